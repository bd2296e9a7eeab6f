"""The clients that are run.

Prometheus, promtool and vmagent are those of the machine, else its distribution's packages, unpacked without installing
them. The newest programs are those of the release that the distribution is working on. Telegraf, the Collector, the
Prometheus Operator's code, and a Prometheus newer than that are built from their Go modules.
"""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from loopback import ROOT

FOLDER = ROOT / "target" / "conformance" / "programs"
PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "vmagent": "victoria-metrics"}
# Of the newest release, where promtool has a package of its own.
NEWEST_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "promtool",
    "vmalert": "victoria-metrics",
    "amtool": "prometheus-alertmanager",
}

DOWNLOAD_TRIES, DOWNLOAD_PAUSE_SECONDS = 3, 5

TELEGRAF = "v1.37.2"
TELEGRAF_TAGS = "custom,inputs.prometheus,outputs.file,serializers.prometheus"
# As a Go module 3.16.0 is v0.316.0. It needs the discovery of no cloud.
PROMETHEUS = "v0.316.0"
PROMETHEUS_TAGS = "remove_all_sd"

# What a distribution calls the release it is working on, and the part of it that has these packages.
NEWEST_RELEASE = {"debian": ("sid", "main"), "ubuntu": ("devel", "universe")}


def program(name: str) -> Path:
    """Packages are unpacked once, and found the next time."""
    return Path(shutil.which(name) or unpacked(name, PACKAGES[name], FOLDER))


def newest_prometheus() -> Path:
    return newest("prometheus")


def newest(name: str) -> Path:
    folder = FOLDER / "newest"
    options: list[str] = []
    if not (folder / "usr" / "bin" / name).exists():
        try:
            options = newest_release(folder)
        except (OSError, KeyError, IndexError, subprocess.CalledProcessError) as problem:
            raise RuntimeError(f"this machine's distribution has no newer {name} at hand") from problem
    return unpacked(name, NEWEST_PACKAGES[name], folder, options)


def telegraf() -> Path:
    """With what our configuration uses and the test writes."""
    return built("telegraf", "github.com/influxdata/telegraf/cmd/telegraf", TELEGRAF, TELEGRAF_TAGS)


def built_prometheus() -> Path:
    """Without the files of its pages."""
    return built("prometheus", "github.com/prometheus/prometheus/cmd/prometheus", PROMETHEUS, PROMETHEUS_TAGS)


def otel_collector() -> Path:
    """With the parts that our configuration names. Without Prometheus' discovery, and so the clients of many clouds."""
    return of_module("collector", "-tags=remove_all_sd")


def operator() -> Path:
    """What the Prometheus Operator makes of our objects."""
    return of_module("operator")


def built(name: str, package: str, version: str, tags: str) -> Path:
    """Built once from a module of a version."""
    path = FOLDER / f"{name}-{version}-{digest(tags.encode())}" / name
    if not path.exists():
        build(f"{name} {version}", path.parent, f"-tags={tags}", f"{package}@{version}")
    return path


def of_module(name: str, *options: str) -> Path:
    """Built once for what the module beside this file holds."""
    module = Path(__file__).with_name(name)
    held = digest(*((module / file).read_bytes() for file in ("main.go", "go.mod", "go.sum")))
    path = FOLDER / f"{name}-{held}" / name
    if not path.exists():
        for older in FOLDER.glob(f"{name}-*"):
            shutil.rmtree(older)
        build(f"the module {name}", path.parent, "-ldflags=-s -w", *options, module=module)
    return path


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def build(what: str, folder: Path, *arguments: str, module: Path | None = None) -> None:
    retried(what, ["go", "install", *arguments], module, GOBIN=str(folder))


@functools.cache
def fetch(module: Path) -> None:
    """What the program of a Go module needs, so that it can be run."""
    retried(f"the module {module.name}", ["go", "list", "-deps", "."], module)


def retried(what: str, command: list[str], folder: Path | None, **environment: str) -> str:
    """What a command that downloads prints. It is tried again where it fails: a connection may break."""
    if not shutil.which(command[0]):
        raise RuntimeError(f"{what} takes {command[0]}, which is not installed")
    for left in reversed(range(DOWNLOAD_TRIES)):
        done = subprocess.run(
            command, cwd=folder, env=os.environ | environment, text=True, capture_output=True, check=False
        )
        if done.returncode == 0:
            return done.stdout
        if left:
            time.sleep(DOWNLOAD_PAUSE_SECONDS)
    raise RuntimeError(f"{what}: {' '.join(command)} fails:\n{(done.stdout + done.stderr)[-2000:]}")


def unpacked(name: str, package: str, folder: Path, options: Sequence[str] = ()) -> Path:
    path = folder / "usr" / "bin" / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            download(package, folder, options)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise RuntimeError(f"{name} is not installed, and the package {package} is unavailable") from problem
        for archive in folder.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg", "-x", archive, folder], check=True)
            archive.unlink()
    if not path.exists():
        raise RuntimeError(f"{name} is not installed, and the package {package} does not have it")
    return path


def download(package: str, folder: Path, options: Sequence[str]) -> None:
    try:
        apt_get(folder, *options, "download", package)
    except subprocess.CalledProcessError:
        # A fresh machine may know no package yet, or only versions that are gone.
        apt_get(folder, *options, "update")
        apt_get(folder, *options, "download", package)


def newest_release(folder: Path) -> list[str]:
    """Options with which apt-get reads the newest release, and leaves what it knows of the machine's own alone."""
    folder.mkdir(parents=True, exist_ok=True)
    system = platform.freedesktop_os_release()
    release, component = NEWEST_RELEASE[system["ID"]]
    own = [f"Codename: {system['VERSION_CODENAME']}", f"Component: {component}"]
    found = apt_get(folder, "indextargets", "--format", "$(REPO_URI)", *own)
    if not found:
        apt_get(folder, "update")
        found = apt_get(folder, "indextargets", "--format", "$(REPO_URI)", *own)
    sources = folder / "sources.list"
    keyring = f"/usr/share/keyrings/{system['ID']}-archive-keyring.gpg"
    sources.write_text(f"deb [signed-by={keyring}] {found.splitlines()[0]} {release} {component}\n")
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    settings = (f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=-", f"Dir::State::Lists={lists}")
    return [part for setting in (*settings, f"Dir::Cache={folder / 'cache'}") for part in ("-o", setting)]


def apt_get(folder: Path, *arguments: str) -> str:
    # By default an index that does not come is only a warning.
    command = ["apt-get", "-q", "-o", f"Acquire::Retries={DOWNLOAD_TRIES}", "-o", "APT::Update::Error-Mode=any"]
    command += arguments
    done = subprocess.run(command, check=True, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout
