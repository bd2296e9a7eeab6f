"""The dashboard against Grafana's own types, and the Kubernetes objects against those of the Prometheus Operator.

Both are published on npm as TypeScript types. Each document becomes a TypeScript literal, so that the compiler finds unknown keys,
missing keys and values of a wrong type.
"""

import json
import re
import subprocess

import contract
import kit
import yaml
from documents import INTERVAL, TIMEOUT, check_keys
from report import expect

# JSON has the values of an enum, where the types want its members.
PLAIN = """
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer E)[] ? Plain<E>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""
# A panel's kind: the types of its options and of its field configuration.
PANELS = {"stat": ("Stat.Options", None), "timeseries": ("Timeseries.Options", "Timeseries.FieldConfig")}

# Grafana's names of the units in use.
UNITS = {"short", "percentunit", "s", "reqps"}


def dashboard():
    return json.loads(kit.read("grafana/dashboard.json"))


def panels(board):
    """Those that show data."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def check_dashboard_types(node_modules):
    board = dashboard()
    lines = [
        'import type { Dashboard } from "@grafana/schema";',
        'import type * as Stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";',
        'import type * as Timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";',
        PLAIN,
        literal("dashboard", "Plain<Dashboard>", board),
    ]
    for panel in panels(board):
        expect(panel["type"] in PANELS, f"no types are known for a panel {panel['type']}")
        options, custom = PANELS[panel["type"]]
        lines.append(literal(f"options_{panel['id']}", f"Plain<{options}>", panel["options"]))
        if custom:
            lines.append(literal(f"custom_{panel['id']}", f"Plain<{custom}>", panel["fieldConfig"]["defaults"]["custom"]))
    compile_types("dashboard", lines, node_modules)


def check_dashboard_content():
    board = dashboard()
    shown = panels(board)
    expect(len({panel["id"] for panel in board["panels"]}) == len(board["panels"]), "two panels have one id")
    variables = {variable["name"] for variable in board["templating"]["list"]}
    text = json.dumps(board)
    used = set(re.findall(r"\$\{?([a-z]+)", text))
    expect(used == variables, f"the variables are {variables}, used are {used}")
    unseen = set(contract.FAMILIES) - set(re.findall(r"wafer_\w+", text))
    expect(not unseen, f"no panel shows {unseen}")
    for panel in shown:
        where = f"the panel {panel['title']}"
        expect(panel.get("description"), f"{where} has no description")
        expect(panel["fieldConfig"]["defaults"].get("unit") in UNITS, f"{where} has no unit that Grafana knows")
        expect(panel["datasource"]["uid"] == "${datasource}", f"{where} has a data source of its own")
        for target in panel["targets"]:
            check_keys(where, target, {"refId", "datasource", "editorMode", "expr", "legendFormat", "instant", "range"})
            expression = target["expr"]
            expect(not re.search(r"\b(rate|irate|increase|histogram_quantile)\(", expression), f"{where} takes a rate of a gauge")
            averaged = re.search(r"\b(avg|sum)\b.*(_seconds|_per_second)\{[^}]*\}", expression)
            expect(not averaged or "window" in expression, f"{where} averages or adds quantiles")


def check_kubernetes_types(node_modules):
    scrape_config, = yaml.safe_load_all(kit.read("kubernetes/scrapeconfig.yaml"))
    monitor, service, endpoints = yaml.safe_load_all(kit.read("kubernetes/servicemonitor.yaml"))
    compile_types(
        "kubernetes",
        [
            'import type { IScrapeConfig } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1/ScrapeConfig";',
            'import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";',
            'import type { IService } from "kubernetes-models/v1/Service";',
            'import type { IEndpoints } from "kubernetes-models/v1/Endpoints";',
            literal("scrape_config", "IScrapeConfig", scrape_config),
            literal("monitor", "IServiceMonitor", monitor),
            literal("service", "IService", service),
            literal("endpoints", "IEndpoints", endpoints),
        ],
        node_modules,
    )


def check_kubernetes_content():
    scrape_config, = yaml.safe_load_all(kit.read("kubernetes/scrapeconfig.yaml"))
    monitor, service, endpoints = yaml.safe_load_all(kit.read("kubernetes/servicemonitor.yaml"))
    spec = scrape_config["spec"]
    expect(spec["jobName"] == "wafer" and spec["scheme"] == "HTTPS", "the ScrapeConfig has another job or scheme")
    expect(spec["staticConfigs"] == [{"targets": [kit.HOST]}], f"the ScrapeConfig scrapes {spec['staticConfigs']}")
    check_spec("the ScrapeConfig", spec, "metricsPath", "scrapeInterval")
    endpoint, = monitor["spec"]["endpoints"]
    expect(endpoint["relabelings"] == [{"targetLabel": "__address__", "replacement": f"{kit.HOST}:443"}], "the ServiceMonitor scrapes its stand-in")
    check_spec("the ServiceMonitor", endpoint, "path", "interval")
    expect(monitor["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"], "the ServiceMonitor does not select the Service")
    expect(service["metadata"]["name"] == endpoints["metadata"]["name"] == "wafer", "Service and Endpoints differ, or the job is not wafer")
    expect(service["spec"]["ports"][0]["name"] == endpoints["subsets"][0]["ports"][0]["name"] == endpoint["port"], "the port's names differ")


def check_spec(where, spec, path, interval):
    expect(spec[path] == contract.PATH, f"{where} scrapes {spec[path]}")
    expect((spec[interval], spec["scrapeTimeout"]) == (INTERVAL, TIMEOUT), f"{where} has another interval or timeout")
    expect(spec["params"] == {"endpoint": list(kit.ENDPOINTS)}, f"{where} has the params {spec['params']}")
    expect(spec["honorLabels"] is True, f"{where} does not honor labels")
    wanted = {"type": "Bearer", "credentials": {"name": "wafer-api-key", "key": "api-key"}}
    expect(spec["authorization"] == wanted, f"{where} has the authorization {spec['authorization']}")


def literal(name, type_name, value):
    return f"export const {name}: {type_name} = {json.dumps(value, indent=1)};"


def compile_types(name, lines, node_modules):
    source = node_modules.parent / f"{name}.ts"
    source.write_text("\n".join(lines))
    command = [
        node_modules / ".bin" / "tsc", "--noEmit", "--strict", "--skipLibCheck", "--ignoreConfig",
        "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022", source,
    ]
    done = subprocess.run(command, cwd=node_modules.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    expect(done.returncode == 0, done.stdout)
