//! The two text formats: Prometheus text 0.0.4 and OpenMetrics 1.0.0.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>.

use std::fmt::{self, Display, Write};

use super::families::{FAMILIES, Family};
use super::{Snapshot, TextFormat};

/// Writes every family that has a line, each with the lines of all endpoints.
pub fn render(snapshot: &Snapshot, format: TextFormat) -> String {
    let mut out = String::new();
    for family in &FAMILIES {
        write_family(&mut out, family, snapshot, format);
    }
    if format == TextFormat::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// HELP and TYPE, then each endpoint's lines; nothing where no endpoint has one.
fn write_family(out: &mut String, family: &Family, snapshot: &Snapshot, format: TextFormat) {
    let Family { name, help, kind, .. } = family;
    let mut has_head = false;
    for endpoint in &snapshot.endpoints {
        for (label_value, value) in family.lines(snapshot, endpoint) {
            if !std::mem::replace(&mut has_head, true) {
                let (help, kind) = (Help(help, format), kind.name());
                write_to(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            }
            write_to(out, format_args!("{name}{{endpoint=\"{}\"", LabelValue(endpoint.endpoint.as_str())));
            if let Some(label) = family.label() {
                write_to(out, format_args!(",{label}=\"{}\"", LabelValue(label_value)));
            }
            write_to(out, format_args!("}} {value}\n"));
        }
    }
}

/// Writing to a `String` cannot fail.
fn write_to(out: &mut String, arguments: fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
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
    use crate::exposition::EndpointSnapshot;
    use crate::model::host::Host;
    use crate::model::summary::Summary;
    use crate::model::window::Minute;

    #[test]
    fn label_values_and_help_are_escaped() {
        let hostile = "a\\b\n\"c\"";
        assert_eq!(LabelValue(hostile).to_string(), r#"a\\b\n\"c\""#);
        assert_eq!(Help(hostile, TextFormat::Prometheus).to_string(), r#"a\\b\n"c""#);
        assert_eq!(Help(hostile, TextFormat::OpenMetrics).to_string(), r#"a\\b\n\"c\""#);
    }

    #[test]
    fn a_family_without_a_line_has_no_head() {
        let idle = EndpointSnapshot {
            endpoint: Host::parse("idle.demo.example").unwrap(),
            window: Summary::default(),
            concurrent_requests: 0,
            engine: None,
        };
        let end = Minute::floor("2026-11-24T20:15:00Z".parse().unwrap());
        let text =
            render(&Snapshot { endpoints: vec![idle], window_end: end, budget_remaining: 5 }, TextFormat::OpenMetrics);
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
