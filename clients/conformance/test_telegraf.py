"""Telegraf with our configuration. It asks for protobuf, and reads it with the parser of Go's own client library."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clients.conformance import configurations, contract
from clients.conformance.contract import COUNTERS, Series
from clients.conformance.programs import telegraf
from clients.conformance.stack import CHAT, CODE, Stack

LINE = re.compile(r"^> prometheus,(?P<tags>\S+) (?P<fields>\S+) \d+$", re.MULTILINE)


@pytest.mark.skipif(not (shutil.which("go") or "CI" in os.environ), reason="Telegraf is built, which takes Go")
def test_telegraf_reads_every_series_and_the_counters_values(stack: Stack, tmp_path: Path) -> None:
    config = tmp_path / "telegraf.conf"
    config.write_text(configurations.filled_in("telegraf/telegraf.conf", stack.address, (CHAT, CODE)))
    key = stack.new_key()
    before = counters(stack, key)
    done = subprocess.run(
        [telegraf(), "--config", config, "--test"],
        env={**os.environ, "WAFER_API_KEY": key},
        text=True,
        capture_output=True,
        check=False,
    )
    after = counters(stack, key)
    assert done.returncode == 0, done.stderr
    assert " E! " not in done.stderr, done.stderr
    found = dict(one for match in LINE.finditer(done.stdout) for one in series_of(match))
    contract.assert_same_series(found, contract.series([CHAT, CODE]))
    for series, value in before.items():
        assert value <= found[series] <= after[series], f"{contract.described(series)} is {found[series]}"


def counters(stack: Stack, key: str) -> dict[Series, float]:
    """As text has them, which can only rise until Telegraf asks."""
    families = text_string_to_metric_families(stack.scrape(CHAT, CODE, view=COUNTERS, key=key).text)
    samples = [sample for family in families if family.type != "gauge" for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def series_of(match: re.Match[str]) -> Iterator[tuple[Series, float]]:
    """A line has one or several, of the same labels."""
    tags = dict(tag.split("=", 1) for tag in match["tags"].split(","))
    tags.pop("host")
    if "le" in tags and tags["le"] != "+Inf":
        tags["le"] = str(float(tags["le"]))
    for field in match["fields"].split(","):
        name, _, value = field.partition("=")
        yield (name, frozenset(tags.items())), float(value)
