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

/// Enough for all HELP and TYPE lines, and for the lines of one endpoint without counters and with them.
const HEADS_BYTES: usize = 4_096;
const WINDOW_BYTES: usize = 3_072;
const COUNTERS_BYTES: usize = 7_168;

/// Writes every family that has a value.
pub fn write(snapshot: &Snapshot, dialect: Dialect) -> String {
    let mut out = String::with_capacity(room(snapshot));
    for family in &FAMILIES {
        write_family(&mut out, family, snapshot, dialect);
    }
    if dialect == Dialect::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// Bytes that the text fits in.
fn room(snapshot: &Snapshot) -> usize {
    let counters = snapshot.endpoints.iter().filter(|endpoint| endpoint.figures.counters().is_some());
    HEADS_BYTES + WINDOW_BYTES * snapshot.endpoints.len() + COUNTERS_BYTES * counters.count()
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
        write_to(out, format_args!(",le=\"{}\"}} {count}\n", Bound(bound)));
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

/// The upper bound of a classic bucket.
struct Bound(f64);

impl Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() {
            return f.write_str("+Inf");
        }
        // With a decimal always: both formats write a bound the same.
        fmt::Debug::fmt(&self.0, f)
    }
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

    fn snapshot(endpoints: Vec<EndpointSnapshot>) -> Snapshot {
        let window_end = Minute::floor("2026-11-24T20:15:00Z".parse().unwrap());
        Snapshot { endpoints, window_end, counting_since: None, key_expires_at: None, budget_remaining: 5 }
    }

    fn endpoint(host: &str, figures: EndpointFigures) -> EndpointSnapshot {
        EndpointSnapshot { endpoint: Host::parse(host).unwrap(), figures, concurrent_requests: 0, engine: None }
    }

    #[test]
    fn every_view_of_one_endpoint_or_twenty_fits_in_the_first_buffer() {
        let mut window = Summary { input_tokens: u64::MAX.into(), ..Summary::default() };
        for code in [200, 400, 401, 429, 499, 500, 502, 503] {
            window.statuses.add(code, 1_000_000_000);
        }
        for distribution in [&mut window.ttft, &mut window.duration, &mut window.speed] {
            distribution.sum = 1_234_567_890_123_457;
            for bucket in -500..1_000 {
                distribution.sketch.add(bucket, 1_000_000).unwrap();
            }
        }
        let views: [fn(&Summary) -> EndpointFigures; 3] = [
            |window| EndpointFigures::Window(window.clone()),
            |window| EndpointFigures::Counters(window.coarse()),
            |window| EndpointFigures::Both(Box::new((window.clone(), window.coarse()))),
        ];
        for figures in views {
            for count in [1, 20] {
                let host = |number| format!("llm-{number}.customer.example");
                let endpoints = (0..count).map(|number| endpoint(&host(number), figures(&window))).collect();
                let snapshot = snapshot(endpoints);
                let text = write(&snapshot, Dialect::OpenMetrics);
                assert_eq!(text.capacity(), room(&snapshot), "{} bytes", text.len());
            }
        }
    }

    #[test]
    fn a_family_without_a_line_has_no_head() {
        let idle = endpoint("idle.demo.example", EndpointFigures::Window(Summary::default()));
        let snapshot = snapshot(vec![idle]);
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
