"""Prometheus itself, its query API, and promtool."""

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clients.conformance.contract import Series
from loopback.processes import Command, free_address, running, wait_for

START_SECONDS = 300
# How long data may take to come: some scrapes, an evaluation of the rules, or blocks that are loaded.
DATA_SECONDS = 150

Result = list[dict[str, Any]]


class Outcome(NamedTuple):
    """Of a scrape: when it began, in Unix seconds, whether it succeeded, and how long it took."""

    at: float
    is_up: bool
    seconds: float


@dataclass(frozen=True)
class Prometheus:
    url: str

    @property
    def write_url(self) -> str:
        """Where it takes what others scraped, if it is started as a receiver."""
        return f"{self.url}/api/v1/write"

    def query(self, expression: str) -> Result:
        return list(self.get("query", query=expression)["result"])

    def query_range(self, expression: str, start: float, end: float, step: float) -> Result:
        return list(self.get("query_range", query=expression, start=start, end=end, step=step)["result"])

    def get(self, path: str, **parameters: str | float) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as problem:
            raise AssertionError(f"{parameters}: {problem.read().decode()}") from problem

    def own_metrics(self) -> str:
        """What it says of itself, as text."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def value(self, expression: str) -> float | None:
        """The only value of an expression, None where it has none."""
        result = self.query(expression)
        assert len(result) <= 1, f"{expression} has {len(result)} values"
        return float(result[0]["value"][1]) if result else None

    def stored(self, job: str) -> set[Series]:
        """Every wafer series of a job, less the labels that the scrape adds."""
        metrics = [one["metric"] for one in self.query(f'{{job="{job}", __name__=~"wafer_.+"}}')]
        added = ("__name__", "job", "instance", "namespace")
        return {
            (metric["__name__"], frozenset((label, value) for label, value in metric.items() if label not in added))
            for metric in metrics
        }

    def outcomes(self, job: str, minutes: int) -> list[Outcome]:
        """Of the scrapes of a job with one target, in order."""
        found = self.query(f'{{__name__=~"up|scrape_duration_seconds",job="{job}"}}[{minutes}m]')
        assert len(found) == 2, f"{job} has not one target but {len(found) / 2:g}"
        values = {one["metric"]["__name__"]: one["values"] for one in found}
        pairs = zip(values["up"], values["scrape_duration_seconds"], strict=True)
        return [Outcome(at, up == "1", float(seconds)) for (at, up), (_, seconds) in pairs]

    def wait_for_scrapes(self, job: str, scrapes: int) -> None:
        self.wait_for(f'sum(count_over_time(up{{job="{job}"}}[10m])) >= {scrapes}')

    def wait_for(self, expression: str, seconds: float = DATA_SECONDS) -> None:
        wait_for(f"data of {expression}", lambda: self.query(expression), seconds)


@contextlib.contextmanager
def prometheus(program: Path, config: Path, data: Path, *options: str) -> Iterator[Prometheus]:
    address = free_address()
    command: Command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
        *options,
    ]
    with running(command, config.with_suffix(".log")) as server:
        server.wait_until("Prometheus is ready", lambda: answers(f"http://{address}/-/ready"), START_SECONDS)
        yield Prometheus(f"http://{address}")


def version(program: Path) -> tuple[int, int]:
    """Major and minor. One that is built from its Go module does not know it, and lies in a folder named after it."""
    said = subprocess.run([program, "--version"], text=True, capture_output=True, check=True).stdout
    match = re.search(r"version (\d+)\.(\d+)", said)
    if match:
        return int(match[1]), int(match[2])
    module = re.fullmatch(r"prometheus-v0\.(\d)(\d\d)\.\d+-\w+", program.parent.name)
    assert module, f"{program} has no version: {said}"
    return int(module[1]), int(module[2])


def answers(url: str) -> bool:
    with contextlib.closing(urllib.request.urlopen(url, timeout=2)):
        return True


@dataclass(frozen=True)
class Promtool:
    program: Path

    def run(self, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    def check(self, *arguments: str | Path) -> None:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{' '.join(map(str, done.args))} exits {done.returncode}:\n{done.stdout}"
