"""A past for a Prometheus that has none: rules that look a day back need data a day old."""

import time

MINUTE = 60
PAST_SECONDS = 26 * 3600


def backfill(promtool, exposition, labels, folder, data):
    """Writes the samples of one scrape into `data` once more for each minute of the last 26 hours, with the labels of the job."""
    end = int(time.time()) - 2 * MINUTE
    source = folder / "history.om"
    extra = ",".join(f'{label}="{value}"' for label, value in labels.items())
    with source.open("w") as history:
        for line in exposition.splitlines():
            if line.startswith("# EOF"):
                break
            if line.startswith("#"):
                history.write(line + "\n")
                continue
            series, _, value = line.rpartition(" ")
            series = series.replace("{", "{" + extra + ",", 1)
            for at in range(end - PAST_SECONDS, end, MINUTE):
                # The window's end moves on with time; the other figures may stand still.
                history.write(f"{series} {at - 2 * MINUTE if 'window_end' in series else value} {at}\n")
        history.write("# EOF\n")
    promtool.must("tsdb", "create-blocks-from", "openmetrics", source, data)
    return end


def backfill_rules(promtool, server, rules, end, data):
    """The recording rules over that past. Prometheus loads the blocks within a minute."""
    promtool.must(
        "tsdb", "create-blocks-from", "rules", f"--url={server.url}", f"--start={end - PAST_SECONDS}", f"--end={end}",
        "--eval-interval=60s", f"--output-dir={data}", rules,
    )
