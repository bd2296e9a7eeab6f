# Not run. Grafana Cloud scrapes by itself, with nothing of yours between. Change the two lines marked CHANGE.
# Success: the page of the connection Metrics Endpoint shows the job as OK, and `wafer_requests_last_24h` has three lines
# for each endpoint.

terraform {
  required_providers {
    grafana = {
      source = "grafana/grafana"
    }
  }
}

variable "wafer_api_key" {
  type      = string
  sensitive = true
}

resource "grafana_connections_metrics_endpoint_scrape_job" "wafer" {
  stack_id = "1" # CHANGE: your stack
  name     = "wafer"

  # Up to 20 endpoints of one key. They share one call, which takes one slot of the rate limit.
  url                         = "https://api.example.com/v1/endpoints/metrics/prometheus?endpoint=my-endpoint.example.com&endpoint=my-other-endpoint.example.com&view=window,counters" # CHANGE: host and endpoints
  authentication_method       = "bearer"
  authentication_bearer_token = var.wafer_api_key
  scrape_interval_seconds     = 60
}
