"""A Trino server: from Maven Central into a cache, unpacked once, started on loopback with one Hive catalog."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import ROOT
from loopback.processes import free_address, running

CACHE = Path(os.environ.get("TRINO_CACHE") or ROOT / "target" / "trino")
VERSION = "476"
SHA256 = "cfd5accde17e8ebd251eeeb78aed1f490e77bb3a164d95a0f454bf8a7c1cbd3f"
# What reads Parquet files. The other plugins make most of its size, and of its start.
PLUGIN = "hive"
LEAST_JAVA = 24


def java_home() -> Path:
    """A Java that is new enough: that of JAVA_HOME, else one that the system installed."""
    homes = [Path(home) for home in [os.environ.get("JAVA_HOME")] if home] + sorted(Path("/usr/lib/jvm").glob("*"))
    found = {home: java_version(home) for home in homes if (home / "bin" / "java").exists()}
    for home, version in found.items():
        if version >= LEAST_JAVA:
            return home
    versions = ", ".join(str(version) for version in sorted(set(found.values()))) or "none"
    raise SystemExit(f"Trino {VERSION} needs Java {LEAST_JAVA} or later: set JAVA_HOME. Found: {versions}")


def java_version(home: Path) -> int:
    words = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', words)
    return int(version[1]) if version else 0


def obtained(java: Path) -> Path:
    """The folder of the server; from Maven Central where it is not in the cache yet."""
    server = CACHE / f"trino-server-{VERSION}"
    if server.exists():
        return server
    repository = CACHE / "maven"
    repository.mkdir(parents=True, exist_ok=True)
    get = ["mvn", "--quiet", "--batch-mode", f"-Dmaven.repo.local={repository}", "dependency:get", "-Dtransitive=false"]
    artifact = f"-Dartifact=io.trino:trino-server:{VERSION}:tar.gz"
    subprocess.run([*get, artifact], check=True, env=os.environ | {"JAVA_HOME": str(java)})
    archive = repository / "io" / "trino" / "trino-server" / VERSION / f"trino-server-{VERSION}.tar.gz"
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{archive} has the SHA-256 {digest}, not {SHA256}")
    unpack(archive, server)
    # Most of a gigabyte that nobody reads again.
    shutil.rmtree(repository)
    return server


def unpack(archive: Path, server: Path) -> None:
    """Without most plugins. A folder that is there is whole, whenever this is interrupted."""
    partial = CACHE / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", partial], check=True)
    for plugin in (partial / server.name / "plugin").iterdir():
        if plugin.name != PLUGIN:
            shutil.rmtree(plugin)
    (partial / server.name).rename(server)
    partial.rmdir()


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Runs a server over `folder`, and yields its port."""
    java = java_home()
    server = obtained(java)
    port = int(free_address().rpartition(":")[2])
    etc = folder / "etc"
    for name, lines in settings(folder, port).items():
        file = etc / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    log = folder / "trino.log"
    launcher = server / "bin" / "launcher"
    with running([launcher, "-etc-dir", etc, "-data-dir", folder / "data", "-jvm-dir", java, "run"], log) as program:
        program.wait_until("Trino has started", lambda: "SERVER STARTED" in log.read_text(), 600)
        yield port


def settings(folder: Path, port: int) -> dict[str, list[str]]:
    return {
        # On loopback only.
        "node.properties": ["node.environment=test", "node.bind-ip=127.0.0.1", "node.internal-address=127.0.0.1"],
        "config.properties": [
            "coordinator=true",
            "node-scheduler.include-coordinator=true",
            f"http-server.http.port={port}",
            f"discovery.uri=http://127.0.0.1:{port}",
        ],
        "jvm.config": [
            "-server",
            "-Xmx2G",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+ExitOnOutOfMemoryError",
        ],
        "catalog/hive.properties": [
            "connector.name=hive",
            "hive.metastore=file",
            "hive.metastore.catalog.dir=local:///metastore",
            "fs.native-local.enabled=true",
            f"local.location={folder}",
            "hive.partition-projection-enabled=true",
            "hive.parquet.time-zone=UTC",
            # As Athena does: it reads folders below a partition's, and takes one that is not there for empty.
            "hive.recursive-directories=true",
            "hive.ignore-absent-partitions=true",
        ],
    }
