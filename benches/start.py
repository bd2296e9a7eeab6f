"""What a start of each function costs, against a function of the same runtime and profile that does nothing."""

import statistics
import subprocess
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

from benches import callgrind, instructions
from benches.dynamodb import dynamodb
from benches.functions import NAMES, started
from benches.table import Table
from loopback import ROOT

PROFILE = ROOT / "target" / "measured"
MINIMAL = "minimal"
# Of Debian, whose certificates are in one file too, as Amazon Linux's are.
CERTIFICATES = "/etc/ssl/certs"
LAYOUTS = {
    "": {},
    ", certificates from a file": {"SSL_CERT_FILE": f"{CERTIFICATES}/ca-certificates.crt"},
    ", certificates from a folder": {"SSL_CERT_DIR": CERTIFICATES},
}
RUNS = 60
SCRAPES = 5


def stripped(binary: Path, folder: Path) -> Path:
    """As it is deployed."""
    subprocess.run(["strip", "-o", folder / binary.name, binary], check=True)
    return folder / binary.name


def assert_without_athena() -> None:
    """What answers scrapes has nothing of the client that only the refresh needs."""
    assert "aws_sdk_athena" not in callgrind.symbols(PROFILE / "scrape")


def zipped_megabytes(binary: Path) -> float:
    archive = binary.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(binary, "bootstrap")
    return archive.stat().st_size / 1e6


def megabytes_after_scrapes(binary: Path) -> float:
    with dynamodb() as database, started([binary], {"AWS_ENDPOINT_URL_DYNAMODB": database.url}) as function:
        poll = function.poll
        for _ in range(SCRAPES):
            function.api.answer_to(poll, instructions.event())
            poll = function.api.polled()
        return function.megabytes()


def starts(folder: Path) -> Table:
    minimal = stripped(PROFILE / MINIMAL, folder)
    binaries: dict[str, tuple[Path, dict[str, str]]] = {MINIMAL: (minimal, {})}
    for name in NAMES:
        binary = stripped(PROFILE / name, folder)
        binaries |= {f"{name}{layout}": (binary, environment) for layout, environment in LAYOUTS.items()}
    times, memory = defaultdict(list), defaultdict(list)
    # By turns, so that whatever else the machine does falls on all.
    for _ in range(RUNS):
        for name, (binary, environment) in binaries.items():
            with started([binary], environment) as function:
                times[name].append(function.seconds)
                memory[name].append(function.megabytes())
    table = Table(["start of", "against minimal", "median ms", "least ms", "instructions", "memory MB"])
    for name, (binary, environment) in binaries.items():
        ratio = statistics.median(times[name]) / statistics.median(times[MINIMAL])
        millions = instructions.start(binary, environment) / 1e6
        table.add(
            name,
            f"{ratio:.2f}",
            f"{statistics.median(times[name]) * 1e3:.2f}",
            f"{min(times[name]) * 1e3:.2f}",
            f"{millions:.2f} M",
            f"{statistics.median(memory[name]):.1f}",
        )
    return table


def sizes(folder: Path) -> Table:
    table = Table(["function", "binary MB", "zip MB", f"memory MB after {SCRAPES} scrapes"])
    for name in NAMES:
        binary = folder / name
        resident = f"{megabytes_after_scrapes(binary):.1f}" if name == "scrape" else ""
        table.add(name, f"{binary.stat().st_size / 1e6:.1f}", f"{zipped_megabytes(binary):.1f}", resident)
    return table


def main() -> None:
    assert_without_athena()
    with tempfile.TemporaryDirectory() as folder:
        print(f"{starts(Path(folder))}\n\n{sizes(Path(folder))}")


if __name__ == "__main__":
    main()
