//! Which format and encoding a caller takes (RFC 9110 §12.5).

use crate::exposition::{Format, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    /// RFC 1952.
    Gzip,
}

impl Format {
    /// Of the formats that `Accept` names with a quality above 0, that of the highest, and the last in the order of
    /// [`Format`] where several are alike; text where there is none. Protobuf is taken only where the answer has
    /// counters.
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>, view: View) -> Self {
        let ranges = accept.into_iter().flat_map(|line| split_outside_quotes(line, ','));
        let named = ranges.filter_map(Self::named).filter(|(quality, _)| *quality > Quality::ZERO);
        let served = named.filter(|(_, format)| *format != Self::Protobuf || view.has_counters());
        served.max().map_or(Self::Text, |(_, format)| format)
    }

    fn named(range: &str) -> Option<(Quality, Self)> {
        let (name, parameters) = Parameters::from_range(range);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let format = if is("text/plain") {
            Self::Text
        } else if is("application/openmetrics-text") && matches!(parameters.version, None | Some("1.0.0" | "0.0.1")) {
            Self::OpenMetrics
        } else if is("application/vnd.google.protobuf")
            && parameters.proto == Some("io.prometheus.client.MetricFamily")
            && parameters.encoding == Some("delimited")
        {
            Self::Protobuf
        } else {
            return None;
        };
        Some((parameters.quality, format))
    }
}

impl Encoding {
    /// Gzip where `Accept-Encoding` allows it, by its own name, as `x-gzip`, or by `*`; a quality of 0 refuses it.
    pub fn negotiate<'a>(accept_encoding: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut gzip, mut any) = (None, None);
        for coding in accept_encoding.into_iter().flat_map(|line| split_outside_quotes(line, ',')) {
            let (name, parameters) = Parameters::from_range(coding);
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                gzip = gzip.max(Some(parameters.quality));
            } else if name == "*" {
                any = Some(parameters.quality);
            }
        }
        if gzip.or(any) > Some(Quality::ZERO) { Self::Gzip } else { Self::Identity }
    }
}

/// A quality in thousandths (RFC 9110 §12.4.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Quality(u16);

impl Quality {
    const ZERO: Self = Self(0);
    const ONE: Self = Self(1000);

    /// A quality that is not a number counts as 0: what cannot be read is refused.
    fn parse(text: &str) -> Self {
        let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number)).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
        Self((number * 1000.0).round() as u16)
    }
}

struct Parameters<'a> {
    quality: Quality,
    version: Option<&'a str>,
    proto: Option<&'a str>,
    encoding: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// The name before the first `;`, and the parameters after it.
    fn from_range(range: &'a str) -> (&'a str, Self) {
        let mut parts = split_outside_quotes(range, ';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut parameters = Self { quality: Quality::ONE, version: None, proto: None, encoding: None };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim() {
                key if key.eq_ignore_ascii_case("q") => parameters.quality = Quality::parse(value),
                key if key.eq_ignore_ascii_case("version") => parameters.version = Some(value),
                key if key.eq_ignore_ascii_case("proto") => parameters.proto = Some(value),
                key if key.eq_ignore_ascii_case("encoding") => parameters.encoding = Some(value),
                _ => {}
            }
        }
        (name, parameters)
    }
}

/// Splits at a separator that stands in no quoted string.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::Format::{OpenMetrics, Protobuf, Text};
    use super::*;

    const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn each_real_client_gets_the_format_it_asks_for() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_2_53 = "application/openmetrics-text;version=1.0.0;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let datadog_latest = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (client, accept, format) in [
            ("Prometheus 2.42", prometheus_2, OpenMetrics),
            ("Prometheus 2.53", prometheus_2_53, OpenMetrics),
            ("Prometheus 3.5, OpenTelemetry's receiver", prometheus_3, OpenMetrics),
            ("Prometheus 3.5 with native histograms", &format!("{PROTOBUF};q=0.7,{prometheus_3}"), OpenMetrics),
            ("vmagent", "text/plain;version=0.0.4;q=1,*/*;q=0.1", Text),
            ("Datadog", "text/plain", Text),
            ("Datadog with use_latest_spec", datadog_latest, OpenMetrics),
            ("Telegraf", &format!("{PROTOBUF};q=0.7,text/plain;version=0.0.4;q=0.3"), Text),
            ("curl", "*/*", Text),
            ("a browser", browser, Text),
        ] {
            assert_eq!(Format::negotiate([accept], View::Window), format, "{client}");
        }
        assert_eq!(Format::negotiate([], View::Window), Text, "Datadog with headers");
    }

    #[test]
    fn each_client_gets_the_format_it_prefers() {
        for (accept, format) in [
            ("", Text),
            ("*/*", Text),
            ("text/plain", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text; version=\"1.0.0\" ; q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=0.5,text/plain", Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=nonsense", Text),
            ("application/openmetrics-texts", Text),
        ] {
            assert_eq!(Format::negotiate([accept], View::Window), format, "{accept}");
        }
    }

    #[test]
    fn protobuf_is_for_callers_that_prefer_it_and_ask_for_counters() {
        let others = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, format) in [
            (format!("{PROTOBUF};q=0.6,{others}"), Protobuf),
            (format!("{others},{PROTOBUF};q=0.5"), Protobuf),
            (format!("{others},{PROTOBUF};q=0.4"), OpenMetrics),
            (format!("{PROTOBUF};q=0"), Text),
            (PROTOBUF.replace("delimited", "text"), Text),
            (PROTOBUF.replace(";proto=io.prometheus.client.MetricFamily", ""), Text),
            ("application/vnd.google.protobuf".to_owned(), Text),
        ] {
            for view in [View::Counters, View::Both] {
                assert_eq!(Format::negotiate([accept.as_str()], view), format, "{accept}");
            }
            assert_ne!(Format::negotiate([accept.as_str()], View::Window), Protobuf, "{accept}");
        }
    }

    #[test]
    fn several_accept_lines_count_as_one() {
        let negotiate = |lines: [&'static str; 2]| Format::negotiate(lines, View::Window);
        assert_eq!(negotiate(["text/plain;q=0.9", "application/openmetrics-text;q=0.8"]), Text);
        assert_eq!(negotiate(["text/plain;q=0.2", "application/openmetrics-text;q=0.8"]), OpenMetrics);
    }

    #[test]
    fn gzip_is_used_only_where_it_is_allowed() {
        for (accept, encoding) in [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("gzip, deflate", Encoding::Gzip),
            ("br", Encoding::Identity),
            ("deflate, gzip;q=0.5", Encoding::Gzip),
            ("GZIP;q=0.1", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0.000, *", Encoding::Identity),
            ("*", Encoding::Gzip),
            ("*;q=0", Encoding::Identity),
            ("notgzip", Encoding::Identity),
        ] {
            assert_eq!(Encoding::negotiate([accept]), encoding, "{accept}");
        }
    }
}
