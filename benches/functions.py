"""The built functions, started as Lambda starts them: with little around them, and an API that they poll."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benches.runtime_api import Request, RuntimeApi, runtime_api
from deploy.invoke import SETTINGS

NAMES = ("scrape", "refresh")


@dataclass(frozen=True)
class Function:
    """A function's process that has asked for its first event."""

    process: int
    api: RuntimeApi
    poll: Request
    # From just before its start to its first poll.
    seconds: float

    def megabytes(self) -> float:
        """The most memory that was resident so far."""
        status = Path(f"/proc/{self.process}/status").read_text()
        [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(kilobytes) / 1000


@contextlib.contextmanager
def started(command: Sequence[str | Path], further: Mapping[str, str] | None = None) -> Iterator[Function]:
    """Yields at the first poll. At the end the function is asked to end, and ends."""
    with runtime_api() as api:
        environment = SETTINGS | {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "wafer-metrics",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "group",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_SESSION_TOKEN": "token",
        }
        environment |= further or {}
        start = time.perf_counter()
        silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        process = os.posix_spawnp(str(command[0]), [str(part) for part in command], environment, file_actions=silent)
        try:
            poll = api.polled()
            yield Function(process, api, poll, poll.at - start)
        finally:
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)
