// For those who keep their monitoring in jsonnet: the rules of alerts.yml, records and alerts together, since a record
// stands in the group of the alerts that use it; and the dashboard. Needs jsonnet 0.18 or later, for std.parseYaml.
local rules = std.parseYaml(importstr '../alerts.yml');
{
  _config+:: { runbooks: 'https://runbooks.example.com/wafer' },  // CHANGE: where you keep docs/runbooks.md
  prometheusAlerts+:: std.parseJson(
    std.strReplace(std.toString(rules), 'https://runbooks.example.com/wafer', $._config.runbooks)
  ),
  grafanaDashboards+:: { 'wafer.json': import '../grafana/dashboard.json' },
}
