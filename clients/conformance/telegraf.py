"""A real Telegraf with our configuration. It asks for protobuf, which Go's own client library reads.

What it read it writes as Prometheus' text, which says of what type each series is.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from clients.conformance import configurations, programs
from clients.conformance.scrapes import INTERVAL
from clients.conformance.stack import CHAT, CODE
from clients.conformance.witness import Values
from loopback.processes import Command, Program, running

# Where a user says where metrics go. Telegraf writes its log beside it.
TO_THE_LOG = """
[[outputs.file]]
  files = ["stdout"]
  use_batch_format = true
  data_format = "prometheus"
[agent]
  flush_interval = "1s"
"""


@contextlib.contextmanager
def telegraf(address: str, folder: Path, key: str, interval: str = INTERVAL) -> Iterator[Program]:
    config = folder / "telegraf.conf"
    text = configurations.filled_in("telegraf/telegraf.conf", address, (CHAT, CODE), interval=interval)
    config.write_text(text + TO_THE_LOG)
    command: Command = [programs.telegraf(), "--config", config]
    with running(command, folder / "telegraf.log", {**os.environ, "WAFER_API_KEY": key}) as program:
        yield program


def written(log: str) -> tuple[Values, dict[str, str]]:
    """The values and types that it wrote last: what follows where a type was written again."""
    types: dict[str, str] = {}
    text: list[str] = []
    for line in log.splitlines():
        if line.startswith("# TYPE wafer_"):
            _, _, name, kind = line.split()
            if name in types:
                types, text = {}, []
            types[name] = kind
        if line.startswith(("wafer_", "# TYPE wafer_")):
            text.append(line + "\n")
    samples = [one for family in text_string_to_metric_families("".join(text)) for one in family.samples]
    return {(one.name, frozenset(labels_of(one.labels))): one.value for one in samples}, types


def labels_of(labels: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Less what Telegraf adds. It writes bounds without their decimal."""
    for label, value in labels.items():
        if label == "le" and value != "+Inf":
            yield label, str(float(value))
        elif label != "host":
            yield label, value
