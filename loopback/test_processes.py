"""Programs end when they should, and say why where they should not."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback.processes import running, wait_for


def is_running(pid: int) -> bool:
    """A zombie is not: it waits for whoever adopted it."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_that_ends_early_is_reported_at_once_with_what_it_said(tmp_path: Path) -> None:
    with running(["sh", "-c", "echo port taken; exit 3"], tmp_path / "log") as program:
        start = time.monotonic()
        with pytest.raises(RuntimeError, match="ended with 3\nport taken"):
            program.wait_until("the program is ready", lambda: False, 60)
        assert time.monotonic() - start < 50


def test_a_program_that_is_never_ready_is_reported_with_what_it_said(tmp_path: Path) -> None:
    with running(["sh", "-c", "echo waiting; sleep 600"], tmp_path / "log") as program:
        program.wait_until("it waits", lambda: "waiting" in program.log.read_text(), 60)
        with pytest.raises(TimeoutError, match="the program is ready") as raised:
            program.wait_until("the program is ready", lambda: False, 0.5)
        assert raised.value.__notes__ == ["waiting"]


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(["sh", "-c", "sleep 600 & echo $!; wait"], log) as program:
        program.wait_until("it says what it started", lambda: log.read_text().endswith("\n"), 60)
    child = int(log.read_text())
    wait_for("the child ends", lambda: not is_running(child), 60, pause=0.1)


def test_a_program_that_ignores_termination_is_killed_after_the_grace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"], log, grace=0.5) as program:
        program.wait_until("it is deaf", lambda: "deaf" in log.read_text(), 60)
    assert program.process.returncode == -signal.SIGKILL


def test_waiting_takes_a_refused_connection_for_not_yet_and_nothing_else() -> None:
    answers: Iterator[str | Exception] = iter([ConnectionRefusedError(), "ready", ValueError("a mistake of ours")])

    def poll() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_for("the answer", poll, 5, pause=0) == "ready"
    with pytest.raises(ValueError, match="a mistake of ours"):
        wait_for("the answer", poll, 5, pause=0)
