"""Counts instructions, with valgrind's callgrind: the machine's own valgrind, else its distribution's, unpacked.

What it counts hardly depends on what else the machine does.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.conformance.programs import unpacked
from loopback import ROOT

FOLDER = ROOT / "target" / "tools" / "valgrind"
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}


def program(name: str) -> Path:
    return Path(shutil.which(name) or unpacked(name, "valgrind", FOLDER))


@dataclass(frozen=True)
class Counted:
    instructions: int
    allocations: int


def command(output: Path, program_and_arguments: Sequence[str | Path], *options: str) -> list[str | Path]:
    """Runs a program under callgrind, which writes what it counted to that file."""
    return [
        program("valgrind.bin"),
        "--tool=callgrind",
        "--quiet",
        f"--callgrind-out-file={output}",
        *options,
        *program_and_arguments,
    ]


def environment() -> Mapping[str, str]:
    """What an unpacked valgrind needs."""
    libraries = program("valgrind.bin").parent.parent / "libexec" / "valgrind"
    return {"VALGRIND_LIB": str(libraries)} if libraries.is_dir() else {}


class Profiled:
    """A program under callgrind, whose work is counted piece by piece."""

    def __init__(self, folder: Path, arguments: Sequence[str | Path]) -> None:
        self._folder, self._pieces = folder, 0
        self.command = command(folder / "callgrind", arguments, f"--vgdb-prefix={folder}/vgdb")

    def count(self, process: int) -> Counted:
        """What it did since it was last asked, or since its start."""
        self._pieces += 1
        asked: list[str | Path] = [program("vgdb"), f"--vgdb-prefix={self._folder}/vgdb", f"--pid={process}", "dump"]
        subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return counted(self._folder / f"callgrind.{self._pieces}")


def counted(output: Path) -> Counted:
    """What callgrind wrote."""
    names: dict[str, str] = {}
    callee, instructions, allocations = "", 0, 0
    for line in output.read_text(errors="replace").splitlines():
        if match := re.match(r"(c?fn)=(\(\d+\))(?: (.*))?", line):
            kind, number, name = match.groups()
            if name:
                names[number] = name
            if kind == "cfn":
                callee = names[number]
        elif line.startswith("calls=") and callee in ALLOCATORS:
            allocations += int(line.removeprefix("calls=").split()[0])
        elif line.startswith("totals:"):
            instructions = int(line.split()[1])
    assert instructions, f"{output} counts nothing"
    return Counted(instructions, allocations)


def steps(folder: Path, arguments: Sequence[str | Path], marker: str) -> Iterator[tuple[str, Counted]]:
    """Runs a program that names its steps, one on each line; what each took within the function that is the marker."""
    [symbol] = re.findall(rf"\S*{marker}17h\w+", symbols(Path(arguments[0])))
    output = folder / "callgrind"
    options = ["--demangle=no", f"--dump-before={symbol}", f"--dump-after={symbol}"]
    done = subprocess.run(
        command(output, arguments, *options),
        env=os.environ | environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for number, name in enumerate(done.stdout.splitlines(), 1):
        yield name, counted(Path(f"{output}.{2 * number}"))


def symbols(path: Path) -> str:
    return subprocess.run(["nm", path], stdout=subprocess.PIPE, text=True, check=True).stdout
