"""clients/kubernetes/prometheusrule.yaml, made of alerts.yml: `python -m clients.conformance.prometheusrule`."""

from clients.conformance.configurations import CLIENTS, read

PATH = CLIENTS / "kubernetes" / "prometheusrule.yaml"

HEAD = """\
# The rules of alerts.yml for the Prometheus Operator, version 0.67 or later, which knows `keep_firing_for`. Made by
# `python -m clients.conformance.prometheusrule`: change alerts.yml.
# Success: `kubectl get prometheusrule wafer` finds it, and the page of rules of your Prometheus shows wafer-scrape.
#
"""
OBJECT = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: wafer
  labels:
    prometheus: main # CHANGE: the labels that `ruleSelector` of your Prometheus selects
spec:
  groups:
"""


def prometheusrule() -> str:
    """A list may stand as far left as its key, so that nothing is indented anew."""
    comments, groups = read("alerts.yml").split("groups:\n", 1)
    return HEAD + comments.replace("alerts.yml\n", "prometheusrule.yaml\n") + OBJECT + groups


if __name__ == "__main__":
    PATH.write_text(prometheusrule())
