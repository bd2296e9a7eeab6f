"""Processes on loopback that end with the script, and whatever they started too."""

import contextlib
import os
import signal
import socket
import subprocess
import time


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def waited_for(what, seconds, pause=1.0):
    """What `what()` returns once it is something true; an exception counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        error = None
        try:
            if found := what():
                return found
        except Exception as raised:
            error = raised
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what.__name__}") from error
        time.sleep(pause)


def end_group(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def running(command, log, **options):
    """Runs a command in a process group of its own, and kills the group at the end."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options)
    try:
        yield process
    finally:
        end_group(process)


def end_processes_of(folder):
    """Kills what still runs from a folder: functions outlive the process that started them."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/exe").startswith(f"{folder}/"):
                os.kill(int(pid), signal.SIGKILL)
