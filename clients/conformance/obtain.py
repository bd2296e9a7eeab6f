"""Prometheus, promtool and vmagent: those of the machine, else Debian's, unpacked without installing them."""

import shutil
import subprocess

import kit
from report import Mismatch

PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "vmagent": "victoria-metrics"}


def programs():
    """The path of each program, by its name. Packages are unpacked once, and found the next time."""
    folder = kit.CACHE / "programs"
    return {program: shutil.which(program) or unpacked(program, package, folder) for program, package in PACKAGES.items()}


def unpacked(program, package, folder):
    path = folder / "usr" / "bin" / program
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            download(package, folder)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise Mismatch(f"{program} is not installed, and Debian's package {package} cannot be had: {problem}") from problem
        for archive in folder.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg", "-x", archive, folder], check=True)
            archive.unlink()
    if not path.exists():
        raise Mismatch(f"{program} is not installed, and this machine's package {package} does not have it")
    return str(path)


def download(package, folder):
    command = ["apt-get", "-q", "download", package]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if subprocess.run(command, **quiet).returncode != 0:
        # A fresh machine may know no package yet, or only versions that are gone.
        subprocess.run(["apt-get", "-q", "update"], check=True, **quiet)
        subprocess.run(command, check=True, **quiet)
