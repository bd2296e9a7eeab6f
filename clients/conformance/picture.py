"""Draws docs/clients.png: what Prometheus stored of the local stack, scraped with our configuration. See --help."""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path

import matplotlib.dates
import matplotlib.pyplot as plt

from clients.conformance import scrapes
from clients.conformance.dashboard import Panel, panels, queries
from clients.conformance.programs import program
from clients.conformance.prometheus import Prometheus, prometheus
from clients.conformance.stack import CODE, Stack
from loopback import ROOT
from loopback.local_stack import ENVIRONMENT, local_stack
from loopback.processes import end_on_termination

OUTPUT = ROOT / "docs" / "clients.png"

# Panels of the dashboard, and the unit of their axis.
PANELS = {
    "Time to first token": "seconds",
    "Requests per second": "requests a second",
    "Running and queued requests": "requests",
    "KV cache usage": "share",
}
# The names of a panel's lines, where the labels of its queries do not tell them apart.
LINES = {
    "Requests per second": ("24 h average", "last 2 minutes"),
    "Running and queued requests": ("running", "queued"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make picture",
        description="Scrapes the local stack with Prometheus and our configuration for some minutes, asks it the "
        f"queries of four panels of the dashboard for {CODE}, and draws the answers to docs/clients.png.",
        epilog=ENVIRONMENT,
    )
    parser.add_argument("--minutes", type=float, default=20, help="how long to scrape (default: %(default)s)")
    arguments = parser.parse_args()
    end_on_termination()
    with tempfile.TemporaryDirectory() as name, local_stack(Path(name, "local-stack.log")) as addresses:
        folder = Path(name)
        config = scrapes.prometheus_config(Stack(addresses.http, addresses.dynamodb, folder), folder)
        with prometheus(program("prometheus"), config, folder / "data") as server:
            start = time.time()
            print(f"scraping for {arguments.minutes:g} minutes", flush=True)
            time.sleep(arguments.minutes * 60)
            draw(server, start, time.time())


def draw(server: Prometheus, start: float, end: float) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), layout="constrained")
    for axis, (title, unit) in zip(axes.flat, PANELS.items(), strict=True):
        [panel] = [panel for panel in panels() if panel["title"] == title]
        draw_panel(axis, server, panel, start, end)
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_ylabel(unit)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        axis.legend(fontsize=8, ncols=2)
    minutes = round((end - start) / 60)
    figure.suptitle(f"{CODE}: {minutes} minutes of Prometheus scraping every {scrapes.INTERVAL}", fontsize=12)
    figure.savefig(OUTPUT, dpi=90)
    print(OUTPUT)


def draw_panel(axis: plt.Axes, server: Prometheus, panel: Panel, start: float, end: float) -> None:
    names = LINES.get(panel["title"], repeat(CODE))
    for query, line in zip(queries(panel, endpoints=CODE), names, strict=False):
        for series in server.query_range(query, start, end, 10):
            quantile = series["metric"].get("quantile")
            times = [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]
            values = [float(value) for _, value in series["values"]]
            axis.plot(times, values, label=f"p{float(quantile) * 100:g}" if quantile else line)


if __name__ == "__main__":
    main()
