"""Packs a release: the zips of both functions, a template that deploys them, what they are made of, and all sums.

The same commit, built by the same tools, gives the same bytes.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

from loopback import ROOT

TARGET = "x86_64-unknown-linux-gnu"
ARCHITECTURE = "x86_64"
FUNCTIONS = ("scrape", "refresh")
ELF_OF_X86_64 = b"\x3e\x00"  # its field e_machine, at 18
SUMS = "SHA256SUMS"
BOM = "sbom.cdx.json"
LICENSES = "THIRD-PARTY-LICENSES.txt"
LICENSE_FILE = re.compile("(un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)
LICENSES_HEAD = """\
What the functions of wafer-metrics are made of, besides their own code, and under which licenses. The texts that come
with these crates stand below, each once; a crate without one is under the text of that license that others ship. The
standard library of Rust is linked too, under Apache-2.0 or MIT: Copyright (c) The Rust Project Contributors.

"""

CODE_PARAMETERS = """Parameters:
  CodeBucket:
    Type: String
    Description: The bucket, in this region, that holds the zips of the release.
    AllowedPattern: "[a-z0-9][a-z0-9.-]+"
  CodePrefix:
    Type: String
    Description: What stands before their names there, its last slash too.
    AllowedPattern: "([A-Za-z0-9_.=-]+/)*"
    Default: ""
"""


def version() -> str:
    return str(tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"])


def archive(function: str, release: str) -> str:
    return f"{function}-{release}-{ARCHITECTURE}.zip"


def write_archive(file: Path, bootstrap: bytes) -> None:
    """With a time that is always the same."""
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix, where a mode means something
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, bootstrap, zipfile.ZIP_DEFLATED, 9)


def bootstrap(folder: Path, function: str) -> bytes:
    """The binary, if it is one for Lambda and says nothing of the machine that built it."""
    content = (folder / function / "bootstrap").read_bytes()
    assert content[18:20] == ELF_OF_X86_64, f"{function} is not built for {ARCHITECTURE}"
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    for place in (ROOT, cargo):
        assert f"{place}/".encode() not in content, f"{function} names {place}"
    return content


def template(release: str) -> str:
    """template.yaml, which builds from the source, as one that takes the zips."""
    text = (ROOT / "template.yaml").read_text()
    text = replaced(text, "\nParameters:\n", f"\n{CODE_PARAMETERS}")
    text = replaced(text, "    CodeUri: .\n", "")
    text = replaced(text, "operations.md says how", f"operations.md of release {release} says how")
    allowed = f"    AllowedValues: [arm64, {ARCHITECTURE}]\n    Default: arm64\n"
    text = replaced(text, allowed, f"    AllowedValues: [{ARCHITECTURE}]\n    Default: {ARCHITECTURE}\n")
    for function in FUNCTIONS:
        built = (
            "    Metadata:\n      BuildMethod: rust-cargolambda\n      BuildProperties:\n"
            f"        Binary: {function}\n    Properties:\n"
        )
        key = f'!Sub "${{CodePrefix}}{archive(function, release)}"'
        code = f"      CodeUri:\n        Bucket: !Ref CodeBucket\n        Key: {key}\n"
        text = replaced(text, built, f"    Properties:\n{code}")
    return text


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"template.yaml has {text.count(old)} of {old!r}"
    return text.replace(old, new)


def linked() -> set[str]:
    """The crates of the functions, their own too, each as `name version`."""
    command = ["cargo", "tree", "--locked", "--package", "wafer-metrics", "--edges", "normal,no-proc-macro"]
    lines = subprocess.check_output([*command, "--target", TARGET, "--prefix", "none"], cwd=ROOT, text=True)
    return {line.split(" (")[0].replace(" v", " ") for line in lines.splitlines()}


def bill_of_materials() -> str:
    """CycloneDX, of what is linked.

    The tool writes one beside each manifest of the workspace, and takes the features that the whole workspace turns on.
    """
    name = "release-bill-of-materials"
    command = ["cargo", "cyclonedx", "--format", "json", "--spec-version", "1.5", "--target", TARGET, "--all"]
    command += ["--no-build-deps", "--override-filename", name, "--quiet"]
    try:
        subprocess.run(command, cwd=ROOT, env=os.environ | {"SOURCE_DATE_EPOCH": committed()}, check=True)
        bill = json.loads((ROOT / f"{name}.json").read_text().replace(str(ROOT), "/wafer-metrics"))
    finally:
        for manifest in subprocess.check_output(["git", "ls-files", "*Cargo.toml"], cwd=ROOT, text=True).split():
            (ROOT / manifest).with_name(f"{name}.json").unlink(missing_ok=True)
    crates = linked()
    bill["components"] = [part for part in bill["components"] if f"{part['name']} {part['version']}" in crates]
    known = {part["bom-ref"] for part in [bill["metadata"]["component"], *bill["components"]]}
    bill["dependencies"] = [
        dependency | {"dependsOn": [reference for reference in dependency.get("dependsOn", []) if reference in known]}
        for dependency in bill["dependencies"]
        if dependency["ref"] in known
    ]
    return json.dumps(bill, indent=2) + "\n"


def committed() -> str:
    """When, in Unix seconds."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return given or subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True).strip()


def licenses() -> str:
    """What each linked crate says of its license, and every text that they ship, once. deny.toml says which may be."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    packages = json.loads(subprocess.check_output(command, cwd=ROOT))["packages"]
    crates = linked() - {f"wafer-metrics {version()}"}
    lines = [LICENSES_HEAD]
    texts: dict[str, list[str]] = {}
    for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
        crate = f"{package['name']} {package['version']}"
        if crate not in crates:
            continue
        lines.append(f"  {crate}: {package['license']}\n")
        folder = Path(package["manifest_path"]).parent
        for file in sorted([*folder.glob("*"), *folder.glob("*/LICENSE*")]):
            if file.is_file() and LICENSE_FILE.match(file.name):
                texts.setdefault(file.read_text(errors="replace").strip(), []).append(crate)
    for text, users in texts.items():
        lines.append(f"\n{'=' * 80}\n{', '.join(dict.fromkeys(users))}\n{'-' * 80}\n\n{text}\n")
    return "".join(lines)


def write_sums(folder: Path) -> None:
    files = sorted(file for file in folder.iterdir() if file.name != SUMS)
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / SUMS).write_text("".join(lines))


def pack(built: Path, folder: Path) -> None:
    """`built` holds scrape/bootstrap and refresh/bootstrap."""
    release = version()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for function in FUNCTIONS:
        write_archive(folder / archive(function, release), bootstrap(built, function))
    (folder / "template.yaml").write_text(template(release))
    (folder / BOM).write_text(bill_of_materials())
    (folder / LICENSES).write_text(licenses())
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    write_sums(folder)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description=__doc__)
    parser.add_argument("built", type=Path, help="holds scrape/bootstrap and refresh/bootstrap")
    arguments = parser.parse_args()
    folder = ROOT / "target" / f"release-{version()}"
    pack(arguments.built, folder)
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size / 1e6:7.2f} MB  {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
