"""Programs that end with the process that started them, and with them whatever they started."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
Command = Sequence[str | Path]

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def end_on_termination() -> None:
    """SIGTERM unwinds the program as Ctrl-C does, so that it ends its programs and removes its folders."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def free_address() -> str:
    """A free port on loopback, as `host:port`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def wait_for(what: str, poll: Callable[[], Found | None], seconds: float, pause: float = 1.0) -> Found:
    """What `poll` returns once that is true. A refused connection counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        refused: Exception | None = None
        try:
            if found := poll():
                return found
        except (OSError, HTTPException) as problem:
            refused = problem
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s") from refused
        time.sleep(pause)


@dataclass(frozen=True)
class Program:
    """A program that runs, and the file with what it prints."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until `ready()` is true; fails at once when the program has ended."""

        def ready_or_ended() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{what}: the program ended with {self.process.returncode}\n{self.last_lines()}")
            return ready()

        try:
            wait_for(what, ready_or_ended, seconds, pause=0.2)
        except TimeoutError as problem:
            problem.add_note(self.last_lines())
            raise

    def last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@contextlib.contextmanager
def running(
    command: Command, log: Path, environment: Mapping[str, str] | None = None, grace: float = 10
) -> Iterator[Program]:
    """Runs a command while the context lasts. At its end the program has `grace` seconds to stop; then it is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    try:
        yield Program(process, log)
    finally:
        if grace:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        # The rest of its group too, which may outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end_with_parent() -> None:
    """Whoever is killed cannot clean up: the kernel does."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_processes_of(folder: Path) -> None:
    """Kills what still runs from a folder: an emulator's functions outlive the process that started them."""
    for program in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if program.readlink().is_relative_to(folder):
                os.kill(int(program.parent.name), signal.SIGKILL)
