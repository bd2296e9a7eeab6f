"""The local stack on free ports."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loopback import ROOT
from loopback.processes import free_address, running

START_SECONDS = 600
PROGRAM = ROOT / "target" / "debug" / "local-stack"
ENVIRONMENT = "Environment: LOCAL_STACK, the program to start instead of target/debug/local-stack."


@dataclass(frozen=True)
class Addresses:
    """Each as `host:port`."""

    http: str
    dynamodb: str
    athena: str


@contextlib.contextmanager
def started(
    log: Path, *options: str | Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Addresses, Callable[[], None]]]:
    """Yields at once: the addresses, and what waits until the stack answers there."""
    program = os.environ.get("LOCAL_STACK", PROGRAM)
    addresses = Addresses(free_address(), free_address(), free_address())
    command = [
        program,
        *("--listen", addresses.http),
        *("--dynamodb", addresses.dynamodb),
        *("--athena", addresses.athena),
        *options,
    ]
    with running(command, log, environment) as stack:
        yield (
            addresses,
            lambda: stack.wait_until("local-stack is ready", lambda: "ready" in log.read_text(), START_SECONDS),
        )


@contextlib.contextmanager
def local_stack(log: Path, *options: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Addresses]:
    """Yields once the stack answers."""
    with started(log, *options, environment=environment) as (addresses, wait_until_ready):
        wait_until_ready()
        yield addresses
