//! The text that a scrape gets: Prometheus text 0.0.4 or OpenMetrics 1.0.0.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.

use std::fmt::{self, Display, Write};

use crate::engine::Engine;
use crate::host::Host;
use crate::negotiation::TextFormat;
use crate::sketch::{FINE, Sketch};
use crate::summary::Summary;
use crate::window::{Minute, WINDOW_SECONDS};

/// Everything one scrape says.
#[derive(Debug)]
pub struct Scrape {
    /// In the order asked.
    pub endpoints: Vec<EndpointMetrics>,
    /// Where the 24 h window ends.
    pub window_end: Minute,
    /// Calls the key has left before a slot must free.
    pub budget_remaining: u64,
}

/// What is known of one endpoint.
#[derive(Debug)]
pub struct EndpointMetrics {
    /// The value of the `endpoint` label.
    pub endpoint: Host,
    /// Over the 24 h window.
    pub day: Summary,
    /// Requests that ended in the window's last 2 minutes.
    pub concurrent_requests: u64,
    /// `None` where heartbeats could not be read.
    pub engine: Option<Engine>,
}

/// Writes the exposition, families in the contract's order, each with the lines of all endpoints.
#[must_use]
pub fn render(scrape: &Scrape, format: TextFormat) -> String {
    let mut text = Exposition { text: String::new(), format, scrape };
    text.day_families();
    text.engine_families();
    text.own_families();
    if format == TextFormat::OpenMetrics {
        text.text.push_str("# EOF\n");
    }
    text.text
}

struct Exposition<'a> {
    text: String,
    format: TextFormat,
    scrape: &'a Scrape,
}

impl Exposition<'_> {
    fn day_families(&mut self) {
        self.partitioned(
            "wafer_requests_last_24h",
            "Requests that ended in the 24 h window, by status class.",
            "status_class",
            |metrics| {
                let day = &metrics.day;
                [("2xx", 2), ("4xx", 4), ("5xx", 5)].map(|(class, digit)| (class, day.statuses.class(digit))).into()
            },
        );
        self.gauge("wafer_input_tokens_last_24h", "Input tokens billed in the 24 h window.", |metrics| Some(metrics.day.input_tokens));
        self.gauge("wafer_output_tokens_last_24h", "Output tokens billed in the 24 h window.", |metrics| Some(metrics.day.output_tokens));
        self.gauge("wafer_cache_read_tokens_last_24h", "Input tokens served from the prompt cache in the 24 h window.", |metrics| {
            Some(metrics.day.cache_read_tokens)
        });
        self.gauge("wafer_cache_hit_ratio_last_24h", "Cache-read tokens over input tokens in the 24 h window, 0 to 1.", |metrics| {
            metrics.day.cache_hit_ratio()
        });
        self.quantiles(
            "wafer_ttft_seconds",
            "Time to the first token of successful streaming requests over the 24 h window, by quantile. Quantiles cannot be averaged.",
            &[("0.5", 50), ("0.9", 90), ("0.95", 95), ("0.99", 99)],
            |metrics| &metrics.day.ttft.sketch,
        );
        self.quantiles(
            "wafer_request_duration_seconds",
            "End-to-end duration of successful requests over the 24 h window, by quantile. Quantiles cannot be averaged.",
            &[("0.5", 50), ("0.9", 90), ("0.99", 99)],
            |metrics| &metrics.day.duration.sketch,
        );
        self.quantiles(
            "wafer_output_tokens_per_second",
            "Output tokens per second of each successful request over the 24 h window, by quantile. Quantiles cannot be averaged.",
            &[("0.1", 10), ("0.5", 50), ("0.9", 90), ("0.99", 99)],
            |metrics| &metrics.day.speed.sketch,
        );
    }

    fn engine_families(&mut self) {
        self.gauge("wafer_engine_running_requests", "Requests in flight, summed over the workers that report.", |metrics| {
            metrics.engine.as_ref()?.running_requests
        });
        self.gauge("wafer_engine_queue_depth", "Requests waiting for engine admission, summed over the workers that report.", |metrics| {
            metrics.engine.as_ref()?.queue_depth
        });
        self.gauge(
            "wafer_engine_kv_cache_usage_ratio",
            "KV cache utilisation, 0 to 1, averaged over the workers that report.",
            |metrics| metrics.engine.as_ref()?.kv_cache_usage_ratio,
        );
        self.gauge(
            "wafer_engine_kv_cache_hit_ratio",
            "Engine-side KV cache hit rate, 0 to 1, averaged over the workers that report.",
            |metrics| metrics.engine.as_ref()?.kv_cache_hit_ratio,
        );
    }

    fn own_families(&mut self) {
        let Scrape { window_end, budget_remaining, .. } = *self.scrape;
        self.gauge(
            "wafer_concurrent_requests",
            "Distinct requests, of any status, that ended in the last 2 minutes of the window: request logs tell of finished requests.",
            |metrics| Some(metrics.concurrent_requests),
        );
        self.gauge("wafer_metrics_window_seconds", "Length of the window of the last_24h series and the quantiles, in seconds.", |_| {
            Some(WINDOW_SECONDS)
        });
        self.gauge(
            "wafer_metrics_window_end_timestamp_seconds",
            "Unix time at which the 24 h window ends; its age is the age of the data.",
            |_| Some(window_end.as_second()),
        );
        self.gauge("wafer_engine_replicas_reporting", "Workers whose last heartbeat is at most 10 minutes old.", |metrics| {
            Some(metrics.engine.as_ref()?.replicas_reporting)
        });
        self.gauge("wafer_engine_scrape_success", "1 when worker heartbeats could be read, else 0.", |metrics| {
            Some(u8::from(metrics.engine.is_some()))
        });
        self.gauge("wafer_scrape_budget_remaining", "Calls this API key has left before a slot of its rate limit must free.", |_| {
            Some(budget_remaining)
        });
    }

    /// A family with at most one line an endpoint.
    fn gauge<V: Display>(&mut self, name: &str, help: &str, value: impl Fn(&EndpointMetrics) -> Option<V>) {
        self.family(name, help, None, |metrics| value(metrics).map(|value| ("", value)).into_iter().collect());
    }

    /// A family with a second label.
    fn partitioned<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Fn(&EndpointMetrics) -> Vec<(&'static str, V)>,
    ) {
        self.family(name, help, Some(label), values);
    }

    fn quantiles(&mut self, name: &str, help: &str, quantiles: &[(&'static str, u8)], sketch: impl Fn(&EndpointMetrics) -> &Sketch<FINE>) {
        self.family(name, help, Some("quantile"), |metrics| {
            let sketch = sketch(metrics);
            quantiles.iter().filter_map(|(label, percent)| Some((*label, sketch.quantile(*percent)?))).collect()
        });
    }

    /// HELP and TYPE, then each endpoint's lines; nothing where no endpoint has one.
    fn family<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: Option<&str>,
        lines: impl Fn(&EndpointMetrics) -> Vec<(&'static str, V)>,
    ) {
        let format = self.format;
        let mut head = Some((name, help));
        for metrics in &self.scrape.endpoints {
            for (label_value, value) in lines(metrics) {
                if let Some((name, help)) = head.take() {
                    write_to(&mut self.text, format_args!("# HELP {name} {}\n# TYPE {name} gauge\n", Help(help, format)));
                }
                write_to(&mut self.text, format_args!("{name}{{endpoint=\"{}\"", LabelValue(metrics.endpoint.as_str())));
                if let Some(label) = label {
                    write_to(&mut self.text, format_args!(",{label}=\"{}\"", LabelValue(label_value)));
                }
                write_to(&mut self.text, format_args!("}} {value}\n"));
            }
        }
    }
}

/// Writing to a `String` cannot fail.
fn write_to(text: &mut String, arguments: fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

/// A label value: backslash, newline and quote escaped, in both formats.
struct LabelValue<'a>(&'a str);

impl Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, true, f)
    }
}

/// A HELP text: backslash and newline escaped; the quote too in OpenMetrics.
struct Help<'a>(&'a str, TextFormat);

impl Display for Help<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, self.1 == TextFormat::OpenMetrics, f)
    }
}

fn escape(text: &str, quotes: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in text.chars() {
        match character {
            '\\' => f.write_str(r"\\")?,
            '\n' => f.write_str(r"\n")?,
            '"' if quotes => f.write_str(r#"\""#)?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_and_help_are_escaped() {
        let hostile = "a\\b\n\"c\"";
        assert_eq!(LabelValue(hostile).to_string(), r#"a\\b\n\"c\""#);
        assert_eq!(Help(hostile, TextFormat::Prometheus).to_string(), r#"a\\b\n"c""#);
        assert_eq!(Help(hostile, TextFormat::OpenMetrics).to_string(), r#"a\\b\n\"c\""#);
    }

    #[test]
    fn a_family_without_a_line_has_no_head() {
        let idle = EndpointMetrics {
            endpoint: Host::parse("idle.demo.example").unwrap(),
            day: Summary::default(),
            concurrent_requests: 0,
            engine: None,
        };
        let end = Minute::floor("2026-11-24T20:15:00Z".parse().unwrap());
        let text = render(&Scrape { endpoints: vec![idle], window_end: end, budget_remaining: 5 }, TextFormat::OpenMetrics);
        insta::assert_snapshot!(text, @r#"
            # HELP wafer_requests_last_24h Requests that ended in the 24 h window, by status class.
            # TYPE wafer_requests_last_24h gauge
            wafer_requests_last_24h{endpoint="idle.demo.example",status_class="2xx"} 0
            wafer_requests_last_24h{endpoint="idle.demo.example",status_class="4xx"} 0
            wafer_requests_last_24h{endpoint="idle.demo.example",status_class="5xx"} 0
            # HELP wafer_input_tokens_last_24h Input tokens billed in the 24 h window.
            # TYPE wafer_input_tokens_last_24h gauge
            wafer_input_tokens_last_24h{endpoint="idle.demo.example"} 0
            # HELP wafer_output_tokens_last_24h Output tokens billed in the 24 h window.
            # TYPE wafer_output_tokens_last_24h gauge
            wafer_output_tokens_last_24h{endpoint="idle.demo.example"} 0
            # HELP wafer_cache_read_tokens_last_24h Input tokens served from the prompt cache in the 24 h window.
            # TYPE wafer_cache_read_tokens_last_24h gauge
            wafer_cache_read_tokens_last_24h{endpoint="idle.demo.example"} 0
            # HELP wafer_concurrent_requests Distinct requests, of any status, that ended in the last 2 minutes of the window: request logs tell of finished requests.
            # TYPE wafer_concurrent_requests gauge
            wafer_concurrent_requests{endpoint="idle.demo.example"} 0
            # HELP wafer_metrics_window_seconds Length of the window of the last_24h series and the quantiles, in seconds.
            # TYPE wafer_metrics_window_seconds gauge
            wafer_metrics_window_seconds{endpoint="idle.demo.example"} 86400
            # HELP wafer_metrics_window_end_timestamp_seconds Unix time at which the 24 h window ends; its age is the age of the data.
            # TYPE wafer_metrics_window_end_timestamp_seconds gauge
            wafer_metrics_window_end_timestamp_seconds{endpoint="idle.demo.example"} 1795551300
            # HELP wafer_engine_scrape_success 1 when worker heartbeats could be read, else 0.
            # TYPE wafer_engine_scrape_success gauge
            wafer_engine_scrape_success{endpoint="idle.demo.example"} 0
            # HELP wafer_scrape_budget_remaining Calls this API key has left before a slot of its rate limit must free.
            # TYPE wafer_scrape_budget_remaining gauge
            wafer_scrape_budget_remaining{endpoint="idle.demo.example"} 5
            # EOF
        "#);
    }
}
