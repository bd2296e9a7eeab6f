"""A release packed twice from what is built, held against its own sums, the schema of CycloneDX and cargo's list."""

import json
import os
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import release
from loopback import ROOT

BUILT = Path(os.environ.get("BUILT", ROOT / "target/rehearsal/lambda"))
ARCHIVES = [release.archive(function, release.version()) for function in release.FUNCTIONS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "first"
    release.pack(BUILT, folder)
    return folder


def linked() -> set[str]:
    """The crates that are linked into the functions, besides their own, each as `name version`."""
    own = f"wafer-metrics {release.version()}"
    crates = release.linked()
    assert own in crates
    assert len(crates) > 100
    return crates - {own}


def test_it_has_what_an_operator_needs_and_nothing_else(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [*ARCHIVES, "template.yaml", release.BOM, release.LICENSES, "LICENSE", release.SUMS]
    )


def test_its_sums_are_those_of_every_other_file(folder: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", release.SUMS], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    checked = {line.removesuffix(": OK") for line in done.stdout.splitlines()}
    assert checked == {file.name for file in folder.iterdir()} - {release.SUMS}


def test_packed_again_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    release.pack(BUILT, tmp_path / "second")
    assert (tmp_path / "second" / release.SUMS).read_text() == (folder / release.SUMS).read_text()


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_zip_holds_one_program_that_may_be_run(folder: Path, name: str) -> None:
    with zipfile.ZipFile(folder / name) as archive:
        [entry] = archive.infolist()
        assert (entry.filename, oct(entry.external_attr >> 16)) == ("bootstrap", "0o100755")
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert archive.read(entry)[:4] == b"\x7fELF"


def test_what_is_not_built_for_lambda_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "scrape").mkdir()
    arm = b"\x7fELF" + bytes(14) + b"\xb7\x00"
    (tmp_path / "scrape" / "bootstrap").write_bytes(arm)
    with pytest.raises(AssertionError, match="scrape is not built for x86_64"):
        release.bootstrap(tmp_path, "scrape")


def test_what_names_a_folder_of_the_machine_that_built_it_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "scrape").mkdir()
    named = b"\x7fELF" + bytes(14) + release.ELF_OF_X86_64 + f"{ROOT}/src/lib.rs".encode()
    (tmp_path / "scrape" / "bootstrap").write_bytes(named)
    with pytest.raises(AssertionError, match="scrape names"):
        release.bootstrap(tmp_path, "scrape")


def test_the_bill_of_materials_is_valid_and_names_the_crates_that_are_linked(folder: Path) -> None:
    text = (folder / release.BOM).read_text()
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    assert error is None, error
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "wafer-metrics"
    named = {f"{component['name']} {component['version']}" for component in bill["components"]}
    assert named == linked()
    refs = {component["bom-ref"] for component in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {reference for dependency in bill["dependencies"] for reference in dependency["dependsOn"]} <= refs
    assert str(ROOT) not in text
    assert str(Path.home()) not in text


def test_making_it_leaves_nothing_in_the_checkout(folder: Path) -> None:
    assert not list(ROOT.glob("*bill-of-materials*"))
    assert not list((ROOT / "local").glob("**/*bill-of-materials*"))


def test_there_is_a_license_for_every_crate_that_is_linked(folder: Path) -> None:
    text = (folder / release.LICENSES).read_text()
    said = dict(re.findall(r"^  (\S+ \d\S*): (.+)$", text, re.MULTILINE))
    assert said.keys() == linked()
    assert "None" not in said.values()
    # Each license that may be taken has its text, where a crate leaves no other choice.
    titles = {
        "Apache-2.0": "Apache License",
        "MIT": "Permission is hereby granted, free of charge",
        "ISC": "Permission to use, copy, modify, and",
        "BSD-3-Clause": "Redistribution and use in source and binary forms",
        "Unicode-3.0": "UNICODE LICENSE V3",
        "Zlib": "This software is provided 'as-is'",
        "CC0-1.0": "CC0 1.0 Universal",
    }
    assert titles.keys() == set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    for license_, title in titles.items():
        if license_ in said.values():
            assert title in text, license_
