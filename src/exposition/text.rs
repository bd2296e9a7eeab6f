//! The two text formats: Prometheus text 0.0.4 and OpenMetrics 1.0.0.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.

use std::fmt::{self, Display, Write};

use super::Snapshot;
use super::families::FAMILIES;
use super::family::{Family, Kind, Point, Value};
use super::histogram::Histogram;
use crate::model::host::Host;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Prometheus,
    OpenMetrics,
}

/// What both views take, with some to spare: their heads, and the lines of an endpoint.
const HEADS_BYTES: usize = 8_192;
const ENDPOINT_BYTES: usize = 8_192;

/// Writes every family that has a value.
pub fn write(snapshot: &Snapshot, dialect: Dialect) -> String {
    let mut out = String::with_capacity(HEADS_BYTES + ENDPOINT_BYTES * snapshot.endpoints.len());
    for family in &FAMILIES {
        write_family(&mut out, family, snapshot, dialect);
    }
    if dialect == Dialect::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// HELP and TYPE, then each endpoint's lines; nothing where no endpoint has one.
fn write_family(out: &mut String, family: &Family, snapshot: &Snapshot, dialect: Dialect) {
    let name = family.name;
    let mut has_head = false;
    for endpoint in &snapshot.endpoints {
        for Point { label, value } in family.points(snapshot, endpoint) {
            if !std::mem::replace(&mut has_head, true) {
                write_head(out, family, dialect);
            }
            match value {
                Value::Number(number) => {
                    write_start(out, name, "", &endpoint.endpoint);
                    if let (Some(name), Some(value)) = (family.label(), label) {
                        write_to(out, format_args!(",{name}=\"{value}\""));
                    }
                    write_to(out, format_args!("}} {number}\n"));
                }
                Value::Histogram(histogram) => write_histogram(out, name, &endpoint.endpoint, &histogram),
            }
        }
    }
}

/// OpenMetrics names the family of a counter without `_total`, and its lines with it.
fn write_head(out: &mut String, family: &Family, dialect: Dialect) {
    let (kind, help) = (family.kind(), Help(family.help, dialect));
    let name = match (dialect, kind) {
        (Dialect::OpenMetrics, Kind::Counter) => family.name.trim_end_matches("_total"),
        _ => family.name,
    };
    write_to(out, format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name()));
}

fn write_histogram(out: &mut String, name: &str, endpoint: &Host, histogram: &Histogram<'_>) {
    for (bound, count) in histogram.classic() {
        write_start(out, name, "_bucket", endpoint);
        if bound.is_infinite() {
            write_to(out, format_args!(",le=\"+Inf\"}} {count}\n"));
        } else {
            // With a decimal always: both formats write a bound the same.
            write_to(out, format_args!(",le=\"{bound:?}\"}} {count}\n"));
        }
    }
    write_start(out, name, "_sum", endpoint);
    write_to(out, format_args!("}} {}\n", histogram.sum()));
    write_start(out, name, "_count", endpoint);
    write_to(out, format_args!("}} {}\n", histogram.count()));
}

/// The name and the first label.
fn write_start(out: &mut String, name: &str, suffix: &str, endpoint: &Host) {
    // A host name has no character that is escaped.
    write_to(out, format_args!("{name}{suffix}{{endpoint=\"{endpoint}\""));
}

/// Writing to a `String` cannot fail.
fn write_to(out: &mut String, arguments: fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

/// A HELP text: backslash and newline escaped; the quote too in OpenMetrics.
struct Help<'a>(&'a str, Dialect);

impl Display for Help<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str(r"\\")?,
                '\n' => f.write_str(r"\n")?,
                '"' if self.1 == Dialect::OpenMetrics => f.write_str(r#"\""#)?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{EndpointFigures, EndpointSnapshot};
    use crate::model::host::Host;
    use crate::model::summary::Summary;
    use crate::model::window::Minute;

    #[test]
    fn help_is_escaped() {
        let hostile = "a\\b\n\"c\"";
        assert_eq!(Help(hostile, Dialect::Prometheus).to_string(), r#"a\\b\n"c""#);
        assert_eq!(Help(hostile, Dialect::OpenMetrics).to_string(), r#"a\\b\n\"c\""#);
    }

    #[test]
    fn a_family_without_a_line_has_no_head() {
        let idle = EndpointSnapshot {
            endpoint: Host::parse("idle.demo.example").unwrap(),
            figures: EndpointFigures::Window(Summary::default()),
            concurrent_requests: 0,
            engine: None,
        };
        let end = Minute::floor("2026-11-24T20:15:00Z".parse().unwrap());
        let snapshot = Snapshot {
            endpoints: vec![idle],
            window_end: end,
            counting_since: None,
            key_expires_at: None,
            budget_remaining: 5,
        };
        let text = write(&snapshot, Dialect::OpenMetrics);
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
            # HELP wafer_concurrent_requests Distinct requests, of any status, that ended in the last 2 minutes of the window: request logs only contain finished requests.
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
