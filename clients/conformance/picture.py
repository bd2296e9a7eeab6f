"""Draws docs/clients.png: what Prometheus stored of the local stack, scraped with our configuration. See --help."""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.dates
import matplotlib.pyplot as plt

from clients.conformance import scrapes
from clients.conformance.programs import newest_prometheus
from clients.conformance.prometheus import Prometheus
from clients.conformance.stack import CODE, Stack
from loopback import ROOT
from loopback.local_stack import ENVIRONMENT, local_stack
from loopback.processes import end_on_termination

OUTPUT = ROOT / "docs" / "clients.png"

ALL_REQUESTS, FAILURES = "wafer_requests_total{$}", 'wafer_requests_total{$, status_class!="2xx"}'
ALL_OF_A_DAY, FAILURES_OF_A_DAY = "wafer_requests_last_24h{$}", 'wafer_requests_last_24h{$, status_class!="2xx"}'

# The unit of a panel's axis, and the query of each of its lines, with `$` for the endpoint.
PANELS = {
    "Time to first token, p90": (
        "seconds",
        {
            "24 h": 'wafer_ttft_seconds{$, quantile="0.9"}',
            "5 minutes": "histogram_quantile(0.9, sum(rate(wafer_time_to_first_token_seconds{$}[5m])))",
        },
    ),
    "Requests per second": (
        "requests a second",
        {
            "24 h": f"sum({ALL_OF_A_DAY}) / 86400",
            "5 minutes": f"sum(rate({ALL_REQUESTS}[5m]))",
        },
    ),
    "Failed requests": (
        "share of all",
        {
            "24 h": f"sum({FAILURES_OF_A_DAY}) / sum({ALL_OF_A_DAY})",
            "5 minutes": f"sum(rate({FAILURES}[5m])) / sum(rate({ALL_REQUESTS}[5m]))",
        },
    ),
    "Requests in the engines": (
        "requests",
        {
            "running": "wafer_engine_running_requests{$}",
            "queued": "wafer_engine_queue_depth{$}",
        },
    ),
}
# Rates over five minutes begin so much after the first scrape.
RATE_SECONDS = 5 * 60


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make picture",
        description="Scrapes the local stack for some minutes with the newest Prometheus, native histograms and our "
        f"configuration, and draws figures of {CODE} over 24 h and over five minutes to docs/clients.png.",
        epilog=ENVIRONMENT,
    )
    parser.add_argument("--minutes", type=float, default=30, help="how long to scrape (default: %(default)s)")
    arguments = parser.parse_args()
    end_on_termination()
    with tempfile.TemporaryDirectory() as name, local_stack(Path(name, "local-stack.log")) as addresses:
        folder = Path(name)
        stack = Stack(addresses.http, addresses.dynamodb, folder, folder)
        with scrapes.in_formats(newest_prometheus(), stack, folder, "native") as server:
            start = time.time() + RATE_SECONDS
            print(f"scraping for {arguments.minutes:g} minutes, and five before", flush=True)
            time.sleep(RATE_SECONDS + arguments.minutes * 60)
            draw(server, start, time.time())


def draw(server: Prometheus, start: float, end: float) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), layout="constrained")
    for axis, (title, (unit, lines)) in zip(axes.flat, PANELS.items(), strict=True):
        for name, query in lines.items():
            for series in server.query_range(query.replace("$", f'endpoint="{CODE}"'), start, end, 10):
                times = [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]
                axis.plot(times, [float(value) for _, value in series["values"]], label=name)
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_ylabel(unit)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        axis.legend(fontsize=8, ncols=2)
    minutes = round((end - start) / 60)
    figure.suptitle(f"{CODE}: {minutes} minutes of Prometheus scraping every {scrapes.CALM_INTERVAL}", fontsize=12)
    figure.savefig(OUTPUT, dpi=90)
    print(OUTPUT)


if __name__ == "__main__":
    main()
