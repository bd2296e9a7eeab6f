"""A past for a Prometheus that has none: rules that look a day back need data a day old."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

from clients.conformance.prometheus import Prometheus, Promtool

MINUTE = 60
PAST_SECONDS = 26 * 3600
COUNTER = re.compile(r"\w+_(?:total|bucket|count|sum)\{")


def backfill(promtool: Promtool, exposition: str, labels: Mapping[str, str], data: Path) -> int:
    """Writes the samples of one scrape into `data` for each minute of the last 26 hours, with the labels of the job.

    Counters rise evenly up to what they are. Returns the Unix time at which they end.
    """
    end = int(time.time()) - 2 * MINUTE
    source = data.with_name("history.om")
    extra = ",".join(f'{label}="{value}"' for label, value in labels.items())
    with source.open("w") as history:
        for line in exposition.splitlines():
            if line.startswith("# EOF"):
                break
            if line.startswith("#"):
                history.write(line + "\n")
                continue
            series, _, now = line.rpartition(" ")
            value = now
            series = series.replace("{", "{" + extra + ",", 1)
            for at in range(end - PAST_SECONDS, end, MINUTE):
                past = end - at
                if "window_end" in series:
                    value = str(at - 2 * MINUTE)
                elif COUNTER.match(series):
                    value = str(int(float(now) * (1 - past / PAST_SECONDS)))
                # The other figures may stand still.
                history.write(f"{series} {value} {at}\n")
        history.write("# EOF\n")
    promtool.check("tsdb", "create-blocks-from", "openmetrics", source, data)
    return end


def backfill_rules(promtool: Promtool, server: Prometheus, rules: Path, end: int, data: Path) -> None:
    """The recording rules over that past. Prometheus loads the blocks within a minute."""
    promtool.check(
        *("tsdb", "create-blocks-from", "rules"),
        *(f"--url={server.url}", f"--start={end - PAST_SECONDS}", f"--end={end}", "--eval-interval=60s"),
        *(f"--output-dir={data}", rules),
    )
