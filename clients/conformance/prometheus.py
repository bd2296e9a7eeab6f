"""Prometheus itself, its query API, and promtool."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

from processes import free_port, running, wait_for
from report import Mismatch, expect

START_SECONDS = 60


class Prometheus:
    def __init__(self, url):
        self.url = url

    def query(self, expression, **parameters):
        return self.get("query", query=expression, **parameters)["result"]

    def query_range(self, expression, start, end, step):
        return self.get("query_range", query=expression, start=start, end=end, step=step)["result"]

    def get(self, path, **parameters):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as problem:
            raise Mismatch(f"{parameters}: {problem.read().decode()}") from problem

    def value(self, expression):
        """The only value of an expression, None where it has none."""
        result = self.query(expression)
        expect(len(result) <= 1, f"{expression} has {len(result)} values")
        return float(result[0]["value"][1]) if result else None

    def stored(self, job):
        """Every wafer series of a job, less the labels that the scrape adds."""
        result = self.query(f'{{job="{job}", __name__=~"wafer_.+"}}')
        return {
            (one["metric"]["__name__"], frozenset(labels(one["metric"]))) for one in result
        }

    def wait_for_scrapes(self, job, scrapes, seconds):
        self.wait_for(f'sum(count_over_time(up{{job="{job}"}}[10m])) >= {scrapes}', seconds)

    def wait_for(self, expression, seconds):
        deadline = time.monotonic() + seconds
        while not self.query(expression):
            expect(time.monotonic() < deadline, f"no data within {seconds} s: {expression}")
            time.sleep(1)


def labels(metric):
    return ((label, value) for label, value in metric.items() if label not in ("__name__", "job", "instance"))


@contextmanager
def prometheus(program, config, data, *options):
    url = f"127.0.0.1:{free_port()}"
    log = config.with_suffix(".log")
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address={url}", *options]
    with running(command, log) as process:
        wait_for("prometheus", lambda: answers(f"http://{url}/-/ready"), process, log, START_SECONDS)
        yield Prometheus(f"http://{url}")


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


class Promtool:
    def __init__(self, program):
        self.program = program

    def run(self, *arguments, input=None, cwd=None):
        """What promtool says, and its exit code."""
        done = subprocess.run([self.program, *arguments], input=input, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout, done.returncode

    def must(self, *arguments, **options):
        said, code = self.run(*arguments, **options)
        expect(code == 0, f"promtool {' '.join(map(str, arguments))} exits {code}:\n{said}")
        return said
