"""Processes that end with the test, however it ends."""

import ctypes
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from report import Mismatch

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def end_on_termination():
    """SIGTERM unwinds the program as Ctrl-C does, so that it ends its processes and removes its folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def running(command, log, environment=None):
    """Runs a command while the context lasts; what it prints goes to the file `log`."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment, preexec_fn=end_with_parent)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_with_parent():
    """A test that is killed cannot clean up: the kernel does."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for(what, ready, process, log, seconds):
    """Waits until `ready()` is true; fails at once when the process has ended."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise Mismatch(f"{what} ended with {process.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise Mismatch(f"{what} took over {seconds} s:\n{tail(log)}")
        time.sleep(0.2)


def tail(log):
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
