"""Draws docs/clients.png: what Prometheus stored of the local stack, scraped with our configuration. See --help."""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import expressions
import kit
import matplotlib.dates
import matplotlib.pyplot as plt
import obtain
import scrapes
from processes import end_on_termination
from prometheus import prometheus
from stack import CODE, ENVIRONMENT, local_stack

OUTPUT = kit.ROOT / "docs" / "clients.png"

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


def main():
    parser = argparse.ArgumentParser(
        prog="make picture",
        description=f"Scrapes the local stack with Prometheus and our configuration for some minutes, asks it the queries of four panels of "
        f"the dashboard for {CODE}, and draws the answers to docs/clients.png.",
        epilog=ENVIRONMENT,
    )
    parser.add_argument("--minutes", type=float, default=20, help="how long to scrape (default: %(default)s)")
    arguments = parser.parse_args()
    end_on_termination()
    programs = obtain.programs()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with local_stack(folder) as (stack, wait_until_ready):
            wait_until_ready()
            config = scrapes.prometheus_config(stack, scrapes.KeyFiles(stack, folder), folder / "prometheus")
            with prometheus(programs["prometheus"], config, folder / "data") as server:
                start = time.time()
                print(f"scraping for {arguments.minutes:g} minutes", flush=True)
                time.sleep(arguments.minutes * 60)
                draw(server, start, time.time())


def draw(server, start, end):
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), layout="constrained")
    for axis, (title, unit) in zip(axes.flat, PANELS.items()):
        queries = [query for panel, query in expressions.panel_queries("endpoint", CODE) if panel == title]
        for query, line in zip(queries, LINES.get(title, [""])):
            for series in server.query_range(query, start, end, 10):
                quantile = series["metric"].get("quantile")
                times = [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]
                axis.plot(times, [float(value) for _, value in series["values"]], label=f"p{float(quantile) * 100:g}" if quantile else line or CODE)
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


if __name__ == "__main__":
    main()
