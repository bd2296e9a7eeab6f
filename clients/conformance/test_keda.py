"""The objects for KEDA, against KEDA's own module, and what they read against a real answer."""

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from clients.conformance import configurations, programs
from clients.conformance.prometheus import Prometheus
from clients.conformance.stack import CHAT, IDLE, Stack
from loopback import ROOT

KEDA = "github.com/kedacore/keda/v2@v2.20.0"
FILES = ("keda/prometheus.yaml", "keda/metrics-api.yaml")
GJSON = ROOT / "clients" / "conformance" / "keda"
CALLS_A_MINUTE = 6


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(configurations.read(name)))


def scaled_object(name: str) -> dict[str, Any]:
    [found] = [one for one in objects(name) if one["kind"] == "ScaledObject"]
    return dict(found["spec"])


@pytest.fixture(scope="module")
def keda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Go keeps KEDA's module."""
    command = ["go", "mod", "download", "-json", KEDA]
    return Path(json.loads(programs.retried("KEDA", command, tmp_path_factory.mktemp("module")))["Dir"])


def closed(schema: Any) -> Any:
    """A schema that has nothing but what it names."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: closed(value) for name, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    return {"additionalProperties": False, **schema} if named else schema


@pytest.mark.parametrize("name", FILES)
def test_objects_are_of_kedas_kinds(keda: Path, name: str) -> None:
    for one in objects(name):
        crd = yaml.safe_load((keda / "config/crd/bases" / f"keda.sh_{one['kind'].lower()}s.yaml").read_text())
        [version] = [
            version for version in crd["spec"]["versions"] if one["apiVersion"] == f"keda.sh/{version['name']}"
        ]
        # What of an object's metadata there is, Kubernetes says.
        schema = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
        jsonschema_rs.validator_for(schema).validate(one["spec"])


@pytest.mark.parametrize("name", FILES)
def test_triggers_have_what_their_scalers_read(keda: Path, name: str) -> None:
    scalers = json.loads((keda / "schema/generated/scalers-schema.json").read_text())["scalers"]
    # Keys of authentication are not part of that list.
    assert "name=authModes;authMode," in (keda / "pkg/scalers/authentication/authentication_types.go").read_text()
    for trigger in scaled_object(name)["triggers"]:
        [scaler] = [one for one in scalers if one["type"] == trigger["type"]]
        parameters = {one["name"]: one for one in scaler["parameters"]}
        assert trigger["metadata"].keys() - {"authMode"} <= parameters.keys()
        required = {name for name, one in parameters.items() if not one.get("optional") and "default" not in one}
        assert required <= trigger["metadata"].keys()


def test_calls_are_within_the_limit_and_workers_never_go_to_none() -> None:
    spec = scaled_object("keda/metrics-api.yaml")
    assert all(trigger["useCachedMetrics"] for trigger in spec["triggers"])
    assert len(spec["triggers"]) * 60 / spec["pollingInterval"] < CALLS_A_MINUTE
    for name in FILES:
        assert scaled_object(name)["minReplicaCount"] == 1
        assert {"failureThreshold", "replicas"} == scaled_object(name)["fallback"].keys()


def test_locations_are_numbers_in_a_real_answer_and_null_where_the_page_says(stack: Stack) -> None:
    programs.fetch(GJSON)
    for trigger in scaled_object("keda/metrics-api.yaml")["triggers"]:
        metadata = trigger["metadata"]
        for endpoint, kind in ((CHAT, "Number"), (IDLE, "Null")):
            url = metadata["url"].replace(configurations.ENDPOINTS[0], endpoint)
            url = url.replace(f"https://{configurations.HOST}", f"http://{stack.address}")
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {stack.new_key()}"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                body = answer.read()
            command = ["go", "run", ".", metadata["valueLocation"]]
            read = subprocess.run(command, cwd=GJSON, input=body, check=True, stdout=subprocess.PIPE).stdout.decode()
            assert read.split()[0] == kind, f"{metadata['valueLocation']} of {endpoint}: {read}"


def test_queries_have_a_value(prometheus: Prometheus) -> None:
    for trigger in scaled_object("keda/prometheus.yaml")["triggers"]:
        query = trigger["metadata"]["query"].replace(configurations.ENDPOINTS[0], CHAT)
        prometheus.wait_for(query)
        assert len(prometheus.query(query)) == 1, query
