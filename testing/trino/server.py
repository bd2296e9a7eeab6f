"""A Trino server: from Maven Central into a cache, unpacked once, started on loopback with one Hive catalog."""

import hashlib
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from processes import free_port, running, waited_for

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("TRINO_CACHE") or ROOT / "target" / "trino")
VERSION = "476"
SHA256 = "cfd5accde17e8ebd251eeeb78aed1f490e77bb3a164d95a0f454bf8a7c1cbd3f"
# What reads Parquet files. The other plugins make most of its size, and of its start.
PLUGIN = "hive"
LEAST_JAVA = 24


def java_home():
    """A Java that is new enough: that of JAVA_HOME, else one that the system installed."""
    homes = [Path(home) for home in [os.environ.get("JAVA_HOME")] if home] + sorted(Path("/usr/lib/jvm").glob("*"))
    found = {home: java_version(home) for home in homes if (home / "bin" / "java").exists()}
    for home, version in found.items():
        if version >= LEAST_JAVA:
            return home
    raise SystemExit(
        f"Trino {VERSION} needs Java {LEAST_JAVA} or later: set JAVA_HOME. Found: {sorted(set(found.values()))}"
    )


def java_version(home):
    words = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', words)
    return int(version[1]) if version else 0


def obtained(java):
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


def unpack(archive, server):
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
def serving(folder):
    """Runs a server over `folder`, and yields its port."""
    java = java_home()
    server = obtained(java)
    port = free_port()
    etc = folder / "etc"
    for name, lines in settings(folder, port).items():
        file = etc / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    log = folder / "trino.log"
    command = [server / "bin" / "launcher", "-etc-dir", etc, "-data-dir", folder / "data", "-jvm-dir", java, "run"]
    with running(command, log) as process:

        def started():
            if process.poll() is not None:
                raise SystemExit(f"Trino ended: see {log}\n{log.read_text()[-2000:]}")
            return "SERVER STARTED" in log.read_text()

        waited_for(started, 120, 0.3)
        yield port


def settings(folder, port):
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
            # It unpacks libraries there, and leaves them.
            f"-Djava.io.tmpdir={folder}",
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
