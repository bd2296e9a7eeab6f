"""Counts what a month costs, and prints the two tables of docs/operations.md.

What the template decides (alarms, metrics, memory) is read from it; what was measured stands here.
"""

import json
import re
from math import ceil

from loopback import ROOT

# Public prices of us-east-1 in dollars, without free tiers.
ATHENA_BYTE = 5.0 / 2**40
S3_WRITE = 0.005e-3  # PUT or LIST
S3_GET = 0.0004e-3
LAMBDA_GB_SECOND = 0.0000133334  # arm64
LAMBDA_CALL = 0.20e-6
HTTP_API_CALL = 1.0e-6
WRITE_UNIT = 0.625e-6
READ_UNIT = 0.125e-6
STORED_GB = 0.25
RECOVERABLE_GB = 0.20
LOG_GB = 0.50
METRIC = 0.30
ALARM = 0.10
DASHBOARD = 3.0
CLOUDFRONT_CALL = 1.0e-6  # HTTPS
WAF_CALL = 0.60e-6
WEB_ACL = 5.0
WAF_RULE = 1.0
SECRET = 0.40

MINUTES = 30 * 24 * 60
HOURS = 30 * 24

# Measured with the demo traffic of the local stack's chat.demo.example, 5.5 requests a second. Bytes:
MINUTE_ITEM = 900
HOUR_ITEM = 2_300
TOTAL_ITEM = 2_000
SCRAPE_LOG = 1_700
LOG_ROW = 38
ACCESS_LOG = 350
# Seconds of a run:
REFRESH_RUN = 3.5
SCRAPE_RUN = 0.030
JUNK_RUN = 0.010

REQUESTS_AN_HOUR = 20_000  # of an endpoint as busy as the demo's
LEAST_SCAN = 10 * 2**20  # bytes that Athena bills at least for a query
# With one file per minute, on average over an hour: folders that a refresh lists, and files that it opens.
FOLDERS, FILES = 2.35, 101
CAUSES = 5  # of MinutesBehind
CEILING = 1_000  # the template's ThrottlingRate

Line = tuple[str, str, float]


def template() -> str:
    return (ROOT / "template.yaml").read_text()


def memory(function: str) -> int:
    """The megabytes that the template gives a function."""
    resource = template().split(f"\n  {function}:\n")[1]
    return int(re.findall(r"MemorySize: (\d+)", resource)[0])


def alarms() -> int:
    """Those that are there without a front too."""
    return template().count("Type: AWS::CloudWatch::Alarm\n    Properties:\n")


def metrics() -> int:
    """The project's metrics on the dashboard, which shows all of those that are always there."""
    body = template().split("DashboardBody: !Sub |\n")[1].split("\nOutputs:")[0]
    dashboard = json.loads(re.sub(r"\$\{[^}]*\}", "0", body))
    names: set[str] = set()
    for widget in dashboard["widgets"]:
        namespace = name = ""
        for metric in widget["properties"].get("metrics", []):
            if not isinstance(metric[0], str) or metric[0] == "...":
                continue
            namespace = namespace if metric[0] == "." else metric[0]
            name = name if metric[1] == "." else metric[1]
            if namespace.startswith("WaferMetrics"):
                names.add(name)
    return len(names)


def codes() -> int:
    """The codes by which scrapes are counted: those of errors, and `ok`."""
    errors = (ROOT / "docs/contract.md").read_text().split("## Errors")[1].split("\n## ")[0]
    return len(set(re.findall(r"^\| \d{3} \| `(\w+)`", errors, re.MULTILINE))) + 1


def routes() -> int:
    """The routes by which calls are counted: those of the API, the one for all other paths among them."""
    return template().count("Type: AWS::ApiGatewayV2::Route\n")


def write_units(*sizes: int) -> int:
    """Of one transaction: each item's kilobytes, twice."""
    return sum(2 * ceil(size / 1024) for size in sizes)


def read_units(size: float, consistent: bool) -> float:
    return ceil(size / 4096) * (1.0 if consistent else 0.5)


def for_all() -> list[Line]:
    queries = MINUTES + HOURS
    megabytes = memory("RefreshFunction")
    series, by_dimension = metrics(), codes() + CAUSES + routes()
    lambda_run = LAMBDA_CALL + REFRESH_RUN * megabytes / 1024 * LAMBDA_GB_SECOND
    return [
        (
            "Athena",
            f"{queries:,} queries (one a minute, one more an hour) at the minimum of 10 MB, $5 a TB",
            queries * LEAST_SCAN * ATHENA_BYTE,
        ),
        ("S3, results", "2 PUT per query, $0.005 a thousand", queries * 2 * S3_WRITE),
        (
            "S3, logs",
            f"with one file per minute: {FILES} files per query, 3 GET per file, $0.0004 a thousand; {FOLDERS} LIST",
            queries * (FILES * 3 * S3_GET + FOLDERS * S3_WRITE),
        ),
        (
            "Lambda, refresh",
            f"{MINUTES:,} runs of {REFRESH_RUN} s at {megabytes} MB, arm64, $0.0000133 a GB-s",
            MINUTES * lambda_run,
        ),
        ("DynamoDB, watermark", "a write and a consistent read per minute", MINUTES * (WRITE_UNIT + READ_UNIT)),
        (
            "CloudWatch",
            (
                f"{series} metrics and up to {by_dimension} more by code, cause and route at $0.30, "
                f"{alarms()} alarms at $0.10, a dashboard at $3"
            ),
            (series + by_dimension) * METRIC + alarms() * ALARM + DASHBOARD,
        ),
    ]


def for_an_endpoint() -> list[Line]:
    megabytes = memory("ScrapeFunction")
    transaction = write_units(MINUTE_ITEM, TOTAL_ITEM)
    writes = MINUTES * 1.1 * transaction + HOURS * ceil(HOUR_ITEM / 1024)
    sealing = HOURS * (read_units(HOUR_ITEM, True) + read_units(60 * MINUTE_ITEM, True))
    stored = (8 * 24 * 60 * MINUTE_ITEM + 32 * 24 * HOUR_ITEM) / 1e9
    # Of a window: on average half of its first hour's minutes, 22 sealed hours, the newest of them, and 43 minutes.
    reads = 1 + 0.5 + 0.5  # watermark, key, heartbeats
    reads += read_units(30 * MINUTE_ITEM, False) + read_units(22 * HOUR_ITEM, False)
    reads += read_units(HOUR_ITEM, True) + read_units(43 * MINUTE_ITEM, True)
    # Of the counters, which the client kit asks for too: the running total.
    reads += read_units(TOTAL_ITEM, True)
    lambda_run = LAMBDA_CALL + SCRAPE_RUN * megabytes / 1024 * LAMBDA_GB_SECOND
    return [
        ("HTTP API", f"{MINUTES:,} requests, $1 a million", MINUTES * HTTP_API_CALL),
        (
            "Lambda, scrape",
            (
                f"{MINUTES:,} of {SCRAPE_RUN * 1000:.0f} ms at {megabytes} MB (it takes under 10 ms of CPU, and 256 MB "
                "buy a seventh of one), and $0.20 a million"
            ),
            MINUTES * lambda_run,
        ),
        ("DynamoDB, reads", f"3 GetItem and 5 Query: {reads:.0f} units, $0.125 a million", MINUTES * reads * READ_UNIT),
        ("DynamoDB, limits", "1 UpdateItem, $0.625 a million", MINUTES * WRITE_UNIT),
        (
            "DynamoDB, rollups",
            (
                f"a transaction of {transaction} units (a minute and the total) per minute and a tenth of them again, "
                f"an item of 3 units per hour, {stored * 1000:.0f} MB stored at $0.45 a GB"
            ),
            writes * WRITE_UNIT + sealing * READ_UNIT + stored * (STORED_GB + RECOVERABLE_GB),
        ),
        ("CloudWatch Logs", "1.7 KB per scrape, $0.50 a GB", MINUTES * SCRAPE_LOG / 1e9 * LOG_GB),
    ]


def for_the_front() -> list[Line]:
    return [
        ("AWS WAF", f"a web ACL at ${WEB_ACL:.0f}, a rule at ${WAF_RULE:.0f}", WEB_ACL + WAF_RULE),
        ("Secrets Manager", "a secret", SECRET),
        ("CloudWatch", "an alarm more", ALARM),
    ]


def together(lines: list[Line]) -> float:
    return sum(dollars for _, _, dollars in lines)


def table(heading: str, lines: list[Line]) -> str:
    rows = [f"| {heading} | counted | $ |", "|---|---|---|"]
    rows += [f"| {name} | {counted} | {dollars:.2f} |" for name, counted, dollars in lines]
    return "\n".join([*rows, f"| **together** | | **{together(lines):.2f}** |"]) + "\n"


def tables() -> str:
    return (
        table("a month, whatever the number of endpoints", for_all())
        + "\n"
        + table("a month, per endpoint and key scraped each minute", for_an_endpoint())
        + "\n"
        + table("a month, with the front, whatever the number of endpoints", for_the_front())
    )


def first_fill_units(endpoints: int) -> int:
    """25 hours, in steps of an hour: each minute of it, and the total once."""
    return endpoints * 25 * write_units(*[MINUTE_ITEM] * 60, TOTAL_ITEM)


def flood_hour() -> float:
    """At the gateway's ceiling, with made-up keys: each call is answered 401 after one read."""
    call = HTTP_API_CALL + LAMBDA_CALL + JUNK_RUN * memory("ScrapeFunction") / 1024 * LAMBDA_GB_SECOND
    return 3600 * CEILING * (call + READ_UNIT / 2 + (SCRAPE_LOG + ACCESS_LOG) / 1e9 * LOG_GB)


def remarks() -> str:
    """The other figures of the page."""
    one, everything = together(for_an_endpoint()), together(for_all())
    [rollups] = [dollars for name, _, dollars in for_an_endpoint() if name == "DynamoDB, rollups"]
    queries = MINUTES + HOURS
    unpruned = queries * max(LEAST_SCAN, 20 * REQUESTS_AN_HOUR * LOG_ROW * FILES / 60) * ATHENA_BYTE
    lines = [
        f"six scrapes a minute instead of one: ${one + 5 * (one - rollups):.2f}",
        f"20 endpoints, all together: ${everything + 20 * one:.0f}; 2,000: ${everything + 2_000 * one:.0f}",
        f"Athena with 20 such endpoints, where nothing is pruned: ${unpruned:.2f}",
        f"S3 with ten files a minute: ${queries * 10 * FILES * 3 * S3_GET:.0f}",
    ]
    lines.append(f"an hour of {CEILING:,} junk calls a second: ${flood_hour():.0f}")
    front = CLOUDFRONT_CALL + WAF_CALL
    lines.append(f"with the front, per key scraped each minute: ${MINUTES * front:.2f} more")
    lines.append(f"an hour of {CEILING:,} calls a second that WAF ends: ${3600 * CEILING * front:.2f}")
    for endpoints in (200, 2_000, 5_000):
        units = first_fill_units(endpoints)
        minutes = ceil(units / 4_000 / 60)
        dollars = units * WRITE_UNIT
        lines.append(
            f"a first fill of {endpoints:,}: {units / 1e6:.1f} million units, ${dollars:.2f}, {minutes} minutes"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables())
    print(remarks())
