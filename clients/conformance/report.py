"""What was checked and how it went."""

import time
from contextlib import contextmanager


class Mismatch(Exception):
    """Something is not as it should be; the message says what."""


def expect(holds, message):
    if not holds:
        raise Mismatch(message)


class Report:
    """Prints a line for each check. One that fails does not keep the others from being made."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    @contextmanager
    def check(self, what):
        start = time.monotonic()
        try:
            yield
        except Exception as problem:
            self.failed += 1
            lines = f"{type(problem).__name__}: {problem}".splitlines()
            print(f"FAILED  {what}", *lines, sep="\n        ", flush=True)
        else:
            self.passed += 1
            print(f"ok      {what} ({time.monotonic() - start:.1f} s)", flush=True)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0
