"""Makes the release of the last commit twice, and compares the sums of all its files.

Each time it is built from nothing: in a folder of another name and depth, with another name for Cargo's folder, in
another time zone and language, with other permissions for new files.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.release import SUMS, version
from loopback import ROOT
from loopback.processes import end_on_termination

TOOLS = ROOT / "target" / "python" / "deploy"


def released(commit: str, folder: Path, tool_of_bill: str, umask: int, **others: str) -> str:
    """The sums of a release that is made in this folder."""
    begun = time.monotonic()
    source = folder / "wafer-metrics"
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", ROOT, source], check=True)
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=source, check=True)
    cargo = folder / "cargo"
    cargo.symlink_to(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_TARGET", "MAKE"))}
    environment |= {"CARGO_HOME": str(cargo), "XDG_CACHE_HOME": str(folder / "cache"), **others}
    environment["PATH"] = f"{ROOT / tool_of_bill / 'bin'}:{environment['PATH']}"
    # As `make release` does, with the tools of this checkout in place of a new installation.
    tools = ["--assume-old=target/python/deploy/ready", f"DEPLOY={TOOLS}"]
    for command in (
        ["make", "--quiet", *tools, "build", "ARCH=x86_64"],
        [sys.executable, "-m", "deploy.release", "target/lambda"],
    ):
        subprocess.run(command, cwd=source, env=environment, umask=umask, stdout=subprocess.DEVNULL, check=True)
    print(f"{source}: {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)
    return (source / "target" / f"release-{version()}" / SUMS).read_text()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.reproduce", description=__doc__)
    parser.add_argument("tool_of_bill", help="the folder that cargo-cyclonedx is installed in, below this checkout")
    end_on_termination()
    tool_of_bill = parser.parse_args().tool_of_bill
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    with tempfile.TemporaryDirectory(prefix="reproduce-") as name:
        first, second = Path(name) / "one", Path(name) / "another" / "and-deeper"
        first.mkdir()
        second.mkdir(parents=True)
        sums = released(commit, first, tool_of_bill, umask=0o022, TZ="UTC", LC_ALL="C")
        others = released(commit, second, tool_of_bill, umask=0o077, TZ="Asia/Kathmandu", LC_ALL="C.UTF-8")
    print(sums, end="")
    if others != sums:
        sys.exit(f"Built again it is another:\n{others}")
    print("Built again it is the same.")


if __name__ == "__main__":
    main()
