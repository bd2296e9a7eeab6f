"""The Kubernetes objects, against the types of the Prometheus Operator and what the other clients do.

What the Operator makes of them is run in test_scrapes.py.
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from clients.conformance import configurations, contract, programs
from clients.conformance.documented import INTERVAL, PARAMS, TIMEOUT
from clients.conformance.scrapes import operator_config
from clients.conformance.test_keda import closed
from clients.conformance.typescript import compile_types, literal

TYPES = "@kubernetes-models/prometheus-operator/monitoring.coreos.com"
OPERATOR = "github.com/prometheus-operator/prometheus-operator"
SCRAPE_CONFIG, PROBE = "kubernetes/scrapeconfig.yaml", "kubernetes/probe.yaml"
# The first version that the file names, the first for native histograms, and a new one.
FIRST, NATIVE, NEW = {SCRAPE_CONFIG: "v0.75.0", PROBE: "v0.65.2"}, "v0.88.0", "v0.93.0"


def parsed(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(configurations.read(name)))


def test_objects_are_of_the_operators_types(node_modules: Path) -> None:
    lines = [
        f'import type {{ IScrapeConfig }} from "{TYPES}/v1alpha1/ScrapeConfig";',
        f'import type {{ IProbe }} from "{TYPES}/v1/Probe";',
        literal("scrape_config", "IScrapeConfig", parsed(SCRAPE_CONFIG)),
        literal("probe", "IProbe", parsed(PROBE)),
    ]
    compile_types("kubernetes", lines, node_modules)


def spec_schema(kind: str, version: str, folder: Path) -> Any:
    """Of the CRD in a version of the Operator's module."""
    command = ["go", "mod", "download", "-json", f"{OPERATOR}@{version}"]
    module = json.loads(programs.retried("the Operator", command, folder))
    crds = Path(module["Dir"], "example", "prometheus-operator-crd")
    crd = yaml.safe_load((crds / f"monitoring.coreos.com_{kind.lower()}s.yaml").read_text())
    [served] = crd["spec"]["versions"]
    return closed(served["schema"]["openAPIV3Schema"]["properties"]["spec"])


@pytest.mark.parametrize("name", FIRST)
def test_the_operator_takes_an_object_from_the_version_on_that_its_file_names(name: str, tmp_path: Path) -> None:
    text, one = configurations.read(name), parsed(name)
    assert FIRST[name].removeprefix("v").rpartition(".")[0] in text.partition("\n")[0]
    for version in (FIRST[name], NEW):
        jsonschema_rs.validator_for(spec_schema(one["kind"], version, tmp_path)).validate(one["spec"])


def test_an_older_operator_does_not_know_the_jobs_name(tmp_path: Path) -> None:
    spec = parsed(SCRAPE_CONFIG)["spec"]
    older = jsonschema_rs.validator_for(spec_schema("ScrapeConfig", "v0.74.0", tmp_path))
    with pytest.raises(jsonschema_rs.ValidationError, match="jobName"):
        older.validate(spec)


def test_native_histograms_are_known_from_the_version_on_that_the_file_names(tmp_path: Path) -> None:
    text = configurations.read(SCRAPE_CONFIG)
    assert f"Operator {NATIVE.removeprefix('v').removesuffix('.0')} or later" in text
    native = yaml.safe_load(configurations.with_native_histograms(text))["spec"]
    jsonschema_rs.validator_for(spec_schema("ScrapeConfig", NATIVE, tmp_path)).validate(native)
    older = jsonschema_rs.validator_for(spec_schema("ScrapeConfig", "v0.87.1", tmp_path))
    with pytest.raises(jsonschema_rs.ValidationError, match="scrapeNativeHistograms"):
        older.validate(native)


@pytest.mark.parametrize("name", FIRST)
def test_the_operator_makes_a_scrape_of_an_object_as_the_others_do(name: str) -> None:
    [job] = operator_config(configurations.read(name), "a-key")["scrape_configs"]
    assert job["scheme"] == "https"
    assert job["metrics_path"] == contract.PATH
    assert (job["scrape_interval"], job["scrape_timeout"]) == (INTERVAL, TIMEOUT)
    assert job["authorization"] == {"type": "Bearer", "credentials": "a-key"}
    assert "wafer" in [one.get("replacement") for one in job["relabel_configs"] if one.get("target_label") == "job"]


def test_datadogs_operator_takes_the_cluster_check() -> None:
    text = configurations.read("datadog/cluster-check.yaml")
    for one, known in ((text, True), (text.replace("extraConfd", "extraConfig"), False)):
        read = subprocess.run([programs.operator()], input=one, text=True, capture_output=True, check=False)
        assert (read.returncode == 0) == known, read.stderr


def test_scrape_config_has_the_parameters_of_the_others() -> None:
    spec = parsed(SCRAPE_CONFIG)["spec"]
    assert spec["params"] == PARAMS
    assert spec["honorLabels"] is True
    assert spec["staticConfigs"] == [{"targets": [configurations.HOST]}]


def test_probe_has_the_parameters_of_the_others() -> None:
    """As one value each: a relabeling sets the first."""
    spec = parsed(PROBE)["spec"]
    assert spec["prober"]["url"] == configurations.HOST
    relabelings: list[Mapping[str, str]] = spec["targets"]["staticConfig"]["relabelingConfigs"]
    wanted = {f"__param_{name}": ",".join(values) for name, values in PARAMS.items()}
    assert {one["targetLabel"]: one["replacement"] for one in relabelings} == wanted
