"""Runs the client kit against the local stack: see --help."""

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import datadog
import documents
import expressions
import history
import kit
import obtain
import page
import parsers
import query
import schemas
import scrapes
from processes import end_on_termination
from prometheus import Promtool, prometheus
from report import Report
from stack import CHAT, CODE, ENVIRONMENT, IDLE, local_stack


def main():
    parser = argparse.ArgumentParser(
        prog="make conformance",
        description="Starts the local stack, and runs on it what clients/ holds: the scrape configurations in Prometheus, vmagent and "
        "Datadog's check class, every query of the dashboard and the rules, the rules' unit tests, and schemas for the clients that are "
        "not to be had here. Every process listens on loopback and ends with the test.",
        epilog=ENVIRONMENT,
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with configurations, logs and data, and print its name")
    arguments = parser.parse_args()
    end_on_termination()
    folder = Path(tempfile.mkdtemp(prefix="conformance-"))
    report = Report()
    try:
        with report.check("the run came to its end"), ExitStack() as running:
            check_all(report, running, folder)
    finally:
        if arguments.keep:
            print(folder)
        else:
            shutil.rmtree(folder)
    return report.close()


def check_all(report, running, folder):
    programs = obtain.programs()
    promtool = Promtool(programs["promtool"])
    stack, wait_until_ready = running.enter_context(local_stack(folder))
    check_files(report, promtool, kit.CACHE / "node_modules", folder)
    wait_until_ready()

    keys = scrapes.KeyFiles(stack, folder)
    ours, second = folder / "prometheus", folder / "second"
    config = scrapes.prometheus_config(stack, keys, ours)
    data = ours / "data"
    with report.check("promtool check config: prometheus.yml filled in, with alerts.yml"):
        promtool.must("check", "config", config)
    past, _ = stack.scrape(stack.new_key(), CHAT, CODE)
    end = history.backfill(promtool, past, {"job": "wafer", "instance": stack.address}, folder, data)
    server = running.enter_context(prometheus(programs["prometheus"], config, data))
    second_config = scrapes.second_config(stack, keys, second)
    other = running.enter_context(prometheus(programs["prometheus"], second_config, second / "data", "--web.enable-remote-write-receiver"))
    running.enter_context(scrapes.vmagent(programs["vmagent"], stack, keys, folder / "vmagent", other))
    history.backfill_rules(promtool, server, ours / "alerts.yml", end, data)

    check_texts(report, promtool, stack, keys)
    check_scrapes(report, server, other)
    check_expressions(report, server, other)


def check_files(report, promtool, node_modules, folder):
    """What needs no endpoint; the stack starts meanwhile."""
    for name in page.CONFIGURATIONS:
        with report.check(f"clients/{name} marks the lines to change"):
            kit.check_marks(name)
    for document in (
        documents.prometheus, documents.vmagent, documents.datadog_agent, documents.otel_collector, documents.grafana_agent,
        documents.grafana_alloy, documents.telegraf,
    ):
        with report.check(f"documented keys: {document.__name__}"):
            document()
    with report.check("types of the Prometheus Operator: ScrapeConfig, ServiceMonitor"):
        schemas.check_kubernetes_types(node_modules)
    with report.check("ScrapeConfig and ServiceMonitor scrape as the others do"):
        schemas.check_kubernetes_content()
    with report.check("types of Grafana: dashboard.json"):
        schemas.check_dashboard_types(node_modules)
    with report.check("dashboard.json shows every series, each panel with unit and description"):
        schemas.check_dashboard_content()
    with report.check("rules and dashboard name no other series or label"):
        expressions.check_names()
    with report.check("docs/clients.md shows the files as they are"):
        page.check_files_shown()
    with report.check("docs/clients.md lists every series"):
        page.check_series_listed()
    with report.check("docs/query.sql is Athena's SQL, and scans the logs once"):
        query.check_parses_as_athena()
    with report.check("promtool check rules: alerts.yml"):
        promtool.must("check", "rules", kit.CLIENTS / "alerts.yml")
    with report.check("promtool test rules: alerts_test.yml"):
        promtool.must("test", "rules", kit.CLIENTS / "alerts_test.yml")


def check_texts(report, promtool, stack, keys):
    endpoints = (CHAT, CODE, IDLE)
    key = stack.new_key()
    text, content_type = stack.scrape(key, *endpoints)
    with report.check("prometheus-client reads the text format"):
        parsers.check_text(text, content_type)
    with report.check("promtool check metrics, but for its remark on quantile labels"):
        parsers.check_lint(promtool, text)
    with report.check("prometheus-client reads OpenMetrics"):
        parsers.check_openmetrics(*stack.scrape(key, *endpoints, accept=parsers.OPENMETRICS))
    with report.check("text format for Telegraf, which prefers protobuf"):
        parsers.check_text(*stack.scrape(key, *endpoints, accept=parsers.TELEGRAF_ACCEPT))
    key_file = keys.new("datadog")
    instance = datadog.instance(stack, key_file)
    with report.check("Datadog's OpenMetricsBaseCheckV2 collects every series, key from a file"):
        datadog.check_collects(instance)
    with report.check("Datadog's OpenMetricsBaseCheckV2 collects every series, key in headers"):
        datadog.check_collects(datadog.with_plain_header(instance, key_file.read_text().strip()))


def check_scrapes(report, server, other):
    with report.check(f"Prometheus, {scrapes.SCRAPES} scrapes every {scrapes.INTERVAL}: up throughout, every series stored"):
        scrapes.check_scraped(server, "wafer")
    with report.check(f"vmagent, {scrapes.SCRAPES} scrapes every {scrapes.INTERVAL}: up throughout, every series stored"):
        scrapes.check_scraped(other, "wafer")
    for job in scrapes.embedded_jobs():
        with report.check(f"the scrape part of {job.removeprefix('wafer-')}, in Prometheus: up throughout, every series stored"):
            scrapes.check_scraped(other, job)
    with report.check("a target label endpoint renames ours, and honor_labels prevents it"):
        scrapes.check_target_label(other)


def check_expressions(report, server, other):
    with report.check("the rules' past is loaded"):
        server.wait_for("wafer:error_ratio:last_24h offset 1d", scrapes.SECONDS)
    for name, expression in expressions.rules():
        with report.check(f"rule {name} has data"):
            expressions.check_rule(server, expression)
    with report.check("no rule fails, and no alert fires on a healthy endpoint"):
        expressions.check_evaluated(server)
    for label, prometheus_server in (("endpoint", server), ("exported_endpoint", other)):
        with report.check(f"every panel of the dashboard has data, by the label {label}"):
            expressions.check_panels(prometheus_server, label)


if __name__ == "__main__":
    sys.exit(main())
