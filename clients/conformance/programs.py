"""Prometheus, promtool and vmagent: those of the machine, else Debian's, unpacked without installing them."""

import shutil
import subprocess
from pathlib import Path

from loopback import ROOT

FOLDER = ROOT / "target" / "conformance" / "programs"
PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "vmagent": "victoria-metrics"}


def program(name: str) -> Path:
    """Packages are unpacked once, and found the next time."""
    return Path(shutil.which(name) or unpacked(name, PACKAGES[name]))


def unpacked(name: str, package: str) -> Path:
    path = FOLDER / "usr" / "bin" / name
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        try:
            download(package)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise RuntimeError(f"{name} is not installed, and Debian's package {package} is unavailable") from problem
        for archive in FOLDER.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg", "-x", archive, FOLDER], check=True)
            archive.unlink()
    if not path.exists():
        raise RuntimeError(f"{name} is not installed, and this machine's package {package} does not have it")
    return path


def apt_get(*arguments: str) -> None:
    command = ["apt-get", "-q", *arguments]
    subprocess.run(command, check=True, cwd=FOLDER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def download(package: str) -> None:
    try:
        apt_get("download", package)
    except subprocess.CalledProcessError:
        # A fresh machine may know no package yet, or only versions that are gone.
        apt_get("update")
        apt_get("download", package)
