//! Which text format and encoding a caller takes (RFC 9110 §12.5).

use crate::exposition::TextFormat;

/// How the body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
}

impl TextFormat {
    /// OpenMetrics where `Accept` names it, at a version that is spoken here, with a quality above 0 and not under that of
    /// `text/plain`; else Prometheus text.
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut open_metrics, mut plain) = (Quality::ZERO, Quality::ZERO);
        for range in accept.into_iter().flat_map(|line| split_outside_quotes(line, ',')) {
            let (name, parameters) = Parameters::from_range(range);
            if name.eq_ignore_ascii_case("application/openmetrics-text") {
                if matches!(parameters.version, None | Some("1.0.0" | "0.0.1")) {
                    open_metrics = open_metrics.max(parameters.quality);
                }
            } else if name.eq_ignore_ascii_case("text/plain") {
                plain = plain.max(parameters.quality);
            }
        }
        if open_metrics > Quality::ZERO && open_metrics >= plain { Self::OpenMetrics } else { Self::Prometheus }
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
}

impl<'a> Parameters<'a> {
    /// The name before the first `;`, and the parameters after it.
    fn from_range(range: &'a str) -> (&'a str, Self) {
        let mut parts = split_outside_quotes(range, ';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut parameters = Self { quality: Quality::ONE, version: None };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim() {
                key if key.eq_ignore_ascii_case("q") => parameters.quality = Quality::parse(value),
                key if key.eq_ignore_ascii_case("version") => parameters.version = Some(value),
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
    use super::TextFormat::{OpenMetrics, Prometheus};
    use super::*;

    #[test]
    fn each_client_gets_the_format_it_prefers() {
        for (accept, format) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/plain", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;version=2.0.0", Prometheus),
            ("application/openmetrics-text; version=\"1.0.0\" ; q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=0.5,text/plain", Prometheus),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=nonsense", Prometheus),
            ("application/openmetrics-texts", Prometheus),
        ] {
            assert_eq!(TextFormat::negotiate([accept]), format, "{accept}");
        }
    }

    #[test]
    fn several_accept_lines_count_as_one() {
        assert_eq!(TextFormat::negotiate(["text/plain;q=0.9", "application/openmetrics-text;q=0.8"]), Prometheus);
        assert_eq!(TextFormat::negotiate(["text/plain;q=0.2", "application/openmetrics-text;q=0.8"]), OpenMetrics);
    }

    #[test]
    fn gzip_is_used_only_where_it_is_allowed() {
        for (accept, encoding) in [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("gzip, deflate", Encoding::Gzip),
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
