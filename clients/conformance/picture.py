"""Draws docs/clients.png: the dashboard's first row, of what Prometheus stored of the local stack. See --help."""

import argparse
import tempfile
import time
from pathlib import Path

from clients.conformance import scrapes
from clients.conformance.dashboard import chosen, rows
from clients.conformance.drawing import drawn
from clients.conformance.programs import newest_prometheus
from clients.conformance.stack import CODE, Stack
from loopback import ROOT
from loopback.local_stack import ENVIRONMENT, local_stack
from loopback.processes import end_on_termination

OUTPUT = ROOT / "docs" / "clients.png"
# As our configuration has it. Scraped more often, a range holds a minute's step more or less, and rates swing.
INTERVAL = "60s"
# Rates begin so much after the first scrape.
BEFORE_MINUTES = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make picture",
        description="Scrapes the local stack for some minutes with the newest Prometheus, native histograms and our "
        "configuration, and draws the dashboard's rows about as Grafana would.",
        epilog=ENVIRONMENT,
    )
    parser.add_argument("--minutes", type=float, default=30, help="how long to scrape (default: %(default)s)")
    parser.add_argument("--endpoints", nargs="+", default=[CODE], help="which to show (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=1, help="how many rows of the dashboard (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="(default: %(default)s)")
    arguments = parser.parse_args()
    end_on_termination()
    with tempfile.TemporaryDirectory() as name, local_stack(Path(name, "local-stack.log")) as addresses:
        folder = Path(name)
        stack = Stack(addresses.http, addresses.dynamodb, folder, folder)
        with scrapes.in_formats(newest_prometheus(), stack, folder, "native", interval=INTERVAL) as server:
            start = time.time() + BEFORE_MINUTES * 60
            print(f"scraping for {arguments.minutes:g} minutes, and {BEFORE_MINUTES} before", flush=True)
            time.sleep((BEFORE_MINUTES + arguments.minutes) * 60)
            figure = drawn(rows()[: arguments.rows], server, chosen(arguments.endpoints), start, time.time())
    figure.savefig(arguments.output, dpi=80)
    print(arguments.output)


if __name__ == "__main__":
    main()
