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

CODE_ENDPOINT = f'endpoint="{CODE}"'
TTFT, REQUESTS = "wafer_time_to_first_token_seconds", "wafer_requests_total"

# The unit of a panel's axis, and the query of each of its lines.
PANELS = {
    "Time to first token, p90": (
        "seconds",
        {
            "24 h": f'wafer_ttft_seconds{{{CODE_ENDPOINT}, quantile="0.9"}}',
            "5 minutes": f"histogram_quantile(0.9, sum(rate({TTFT}{{{CODE_ENDPOINT}}}[5m])))",
        },
    ),
    "Requests per second": (
        "requests a second",
        {
            "24 h": f"sum(wafer_requests_last_24h{{{CODE_ENDPOINT}}}) / 86400",
            "5 minutes": f"sum(rate({REQUESTS}{{{CODE_ENDPOINT}}}[5m]))",
        },
    ),
    "Failed requests": (
        "share of all",
        {
            "24 h": f'sum(wafer_requests_last_24h{{{CODE_ENDPOINT}, status_class!="2xx"}})'
            f" / sum(wafer_requests_last_24h{{{CODE_ENDPOINT}}})",
            "5 minutes": f'sum(rate({REQUESTS}{{{CODE_ENDPOINT}, status_class!="2xx"}}[5m]))'
            f" / sum(rate({REQUESTS}{{{CODE_ENDPOINT}}}[5m]))",
        },
    ),
    "Requests in the engines": (
        "requests",
        {
            "running": f"wafer_engine_running_requests{{{CODE_ENDPOINT}}}",
            "queued": f"wafer_engine_queue_depth{{{CODE_ENDPOINT}}}",
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
            for series in server.query_range(query, start, end, 10):
                times = [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]
                axis.plot(times, [float(value) for _, value in series["values"]], label=name)
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
