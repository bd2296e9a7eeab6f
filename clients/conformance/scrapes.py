"""The scrape configurations, run: ours in Prometheus and vmagent, the others' scrape parts in a second Prometheus."""

from contextlib import contextmanager

import alloy
import contract
import kit
import yaml
from processes import free_port, running
from report import expect
from stack import CHAT, CODE

# The shortest that the rate limit bears, so that the test is over soon.
INTERVAL = "10s"
SCRAPES = 6
SECONDS = 150
RENAMED, KEPT = "wafer-target-label", "wafer-target-label-honored"


class KeyFiles:
    """A new key for each client, in a file that ends in a newline, as an editor or `echo` leaves it."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder

    def new(self, name):
        path = self.folder / f"{name}.key"
        path.write_text(self.stack.new_key() + "\n")
        return path


def prometheus_config(stack, keys, folder):
    """Our prometheus.yml with our alerts.yml beside it."""
    folder.mkdir()
    config = folder / "prometheus.yml"
    config.write_text(kit.filled_in("prometheus/prometheus.yml", stack.address, (CHAT, CODE), keys.new("prometheus"), INTERVAL))
    (folder / "alerts.yml").write_text(kit.read("alerts.yml"))
    return config


def embedded_configs(stack, keys):
    """The scrape configurations inside those of clients that cannot be had, by the name of the client."""

    def filled_in(name, client):
        return yaml.safe_load(kit.filled_in(name, stack.address, (CHAT, CODE), keys.new(client), INTERVAL))

    otel = filled_in("otel/collector.yaml", "otel-collector")["receivers"]["prometheus"]["config"]["scrape_configs"][0]
    agent = filled_in("grafana-cloud/agent.yaml", "grafana-agent")["metrics"]["configs"][0]["scrape_configs"][0]
    return {"otel-collector": otel, "grafana-agent": agent, "grafana-alloy": from_alloy(stack, keys.new("grafana-alloy"))}


def from_alloy(stack, key_file):
    """Alloy's arguments have the names of Prometheus' settings. Its key comes from the environment."""
    text = kit.read("alloy/config.alloy")
    changes = {kit.HOST: stack.address, kit.ENDPOINTS[0]: CHAT, kit.ENDPOINTS[1]: CODE, '"https"': '"http"', '"60s"': f'"{INTERVAL}"'}
    for placeholder, value in changes.items():
        text = text.replace(placeholder, value)
    scrape = alloy.parse(text)[0]
    given = {name: value for name, value in scrape.attributes.items() if name not in ("targets", "forward_to")}
    authorization = {"type": scrape.blocks[0].attributes["type"], "credentials": key_file.read_text().strip()}
    targets = [target["__address__"] for target in scrape.attributes["targets"]]
    return {**given, "authorization": authorization, "static_configs": [{"targets": targets}]}


def second_config(stack, keys, folder):
    """What the other clients would scrape, and targets with a label `endpoint` of their own, as a ServiceMonitor makes them."""
    jobs = [{**config, "job_name": f"wafer-{client}"} for client, config in embedded_configs(stack, keys).items()]
    for job, honored in ((RENAMED, False), (KEPT, True)):
        text = kit.filled_in("prometheus/prometheus.yml", stack.address, (CHAT, CODE), keys.new(job), INTERVAL)
        labelled = yaml.safe_load(text)["scrape_configs"][0]
        labelled["static_configs"][0]["labels"] = {"endpoint": "https"}
        jobs.append({**labelled, "job_name": job, "honor_labels": honored})
    folder.mkdir()
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    return config


def embedded_jobs():
    return ["wafer-otel-collector", "wafer-grafana-agent", "wafer-grafana-alloy"]


@contextmanager
def vmagent(program, stack, keys, folder, receiver):
    """vmagent with our configuration; what it scrapes goes to the Prometheus `receiver`."""
    folder.mkdir()
    config = folder / "vmagent.yml"
    config.write_text(kit.filled_in("vmagent/vmagent.yml", stack.address, (CHAT, CODE), keys.new("vmagent"), INTERVAL))
    command = [
        program, f"-promscrape.config={config}", f"-remoteWrite.url={receiver.url}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder / 'queue'}", f"-httpListenAddr=127.0.0.1:{free_port()}",
    ]
    with running(command, folder / "vmagent.log"):
        yield


def check_scraped(server, job):
    """Up throughout, and every series stored."""
    server.wait_for_scrapes(job, SCRAPES, SECONDS)
    expect(server.value(f'min(min_over_time(up{{job="{job}"}}[10m]))') == 1, f"{job} was not up throughout")
    difference = contract.differences(server.stored(job), contract.series([CHAT, CODE]))
    expect(not difference, difference)


def check_target_label(server):
    """A target label `endpoint` renames ours unless honor_labels is on, which is why each configuration turns it on."""
    server.wait_for_scrapes(RENAMED, 1, SECONDS)
    server.wait_for_scrapes(KEPT, 1, SECONDS)
    difference = contract.differences(server.stored(KEPT), contract.series([CHAT, CODE]))
    expect(not difference, difference)
    renamed = {(name, labels - {("endpoint", "https")}) for name, labels in server.stored(RENAMED)}
    difference = contract.differences(renamed, contract.series([CHAT, CODE], "exported_endpoint"))
    expect(not difference, difference)
