//! What a family of series is, and how its values are read off a snapshot.

use std::fmt::{self, Display};

use super::histogram::{Histogram, Scale};
use super::{EndpointSnapshot, Snapshot, View};
use crate::model::sketch::{COARSE, FINE, Sketch};
use crate::model::summary::{Distribution, StatusCounts, Summary, Total};

pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub view: View,
    pub values: Values,
}

/// A Prometheus metric type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// How a family's values come from a snapshot: one per endpoint, or one per value of a further label.
pub enum Values {
    /// A gauge, where there is a value.
    Gauge(fn(&Snapshot, &EndpointSnapshot) -> Option<Number>),
    /// A gauge per status class.
    GaugeByClass(fn(&Summary) -> &StatusCounts),
    /// A gauge per quantile; none without a sample.
    Quantiles {
        quantiles: &'static [(&'static str, u8)],
        sketch: fn(&Summary) -> &Sketch<FINE>,
    },
    Counter(fn(&Total) -> u128),
    /// A counter per status class.
    CounterByClass(fn(&Total) -> &StatusCounts),
    /// A counter per status code that had a request.
    CounterByCode(fn(&Total) -> &StatusCounts),
    Histogram {
        scale: Scale,
        distribution: fn(&Total) -> &Distribution<Sketch<COARSE>>,
    },
}

/// One value of an endpoint in a family, and that of the family's further label.
pub struct Point<'a> {
    pub label: Option<LabelValue>,
    pub value: Value<'a>,
}

pub enum Value<'a> {
    Number(Number),
    Histogram(Histogram<'a>),
}

/// The value of a further label; none holds a character that is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelValue {
    Word(&'static str),
    StatusCode(u16),
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Integer(u128),
    /// So many units of 10 to the power of minus `decimals`, written exactly.
    Decimal {
        units: u128,
        decimals: u32,
    },
    Float(f64),
}

const CLASSES: [(&str, u16); 3] = [("2xx", 2), ("4xx", 4), ("5xx", 5)];

impl Family {
    pub const fn kind(&self) -> Kind {
        match self.values {
            Values::Gauge(_) | Values::GaugeByClass(_) | Values::Quantiles { .. } => Kind::Gauge,
            Values::Counter(_) | Values::CounterByClass(_) | Values::CounterByCode(_) => Kind::Counter,
            Values::Histogram { .. } => Kind::Histogram,
        }
    }

    /// The label beside `endpoint`.
    pub const fn label(&self) -> Option<&'static str> {
        match self.values {
            Values::Gauge(_) | Values::Counter(_) | Values::Histogram { .. } => None,
            Values::GaugeByClass(_) | Values::CounterByClass(_) => Some("status_class"),
            Values::CounterByCode(_) => Some("status_code"),
            Values::Quantiles { .. } => Some("quantile"),
        }
    }

    /// An endpoint's values, where the family is among the figures asked for.
    pub fn points<'a>(&self, snapshot: &Snapshot, endpoint: &'a EndpointSnapshot) -> Vec<Point<'a>> {
        if !endpoint.figures.view().shows(self.view) {
            return Vec::new();
        }
        let (window, counters) = (endpoint.figures.window(), endpoint.figures.counters());
        match &self.values {
            Values::Gauge(value) => value(snapshot, endpoint).map(Point::from).into_iter().collect(),
            Values::GaugeByClass(statuses) => window.map(statuses).map(by_class).unwrap_or_default(),
            Values::Quantiles { quantiles, sketch } => {
                let points = |sketch: &Sketch<FINE>| {
                    let values = sketch.quantiles(quantiles.iter().map(|(_, percent)| *percent));
                    let labelled = quantiles.iter().map(|(label, _)| LabelValue::Word(label)).zip(values);
                    labelled.map(|(label, value)| Point::labelled(label, Number::Float(value))).collect()
                };
                window.map(sketch).map(points).unwrap_or_default()
            }
            Values::Counter(sum) => counters.map(|total| Number::Integer(sum(total)).into()).into_iter().collect(),
            Values::CounterByClass(statuses) => counters.map(statuses).map(by_class).unwrap_or_default(),
            Values::CounterByCode(statuses) => counters.map(statuses).map(by_code).unwrap_or_default(),
            Values::Histogram { scale, distribution } => {
                let point = |distribution| Point {
                    label: None,
                    value: Value::Histogram(Histogram { scale: *scale, distribution }),
                };
                counters.map(distribution).map(point).into_iter().collect()
            }
        }
    }
}

fn by_class(statuses: &StatusCounts) -> Vec<Point<'static>> {
    CLASSES.map(|(name, class)| Point::labelled(LabelValue::Word(name), statuses.class(class).into())).into()
}

fn by_code(statuses: &StatusCounts) -> Vec<Point<'static>> {
    let codes = statuses.iter().filter(|(code, _)| *code >= 100);
    codes.map(|(code, count)| Point::labelled(LabelValue::StatusCode(code), count.into())).collect()
}

impl Point<'_> {
    const fn labelled(label: LabelValue, number: Number) -> Self {
        Self { label: Some(label), value: Value::Number(number) }
    }
}

impl From<Number> for Point<'_> {
    fn from(number: Number) -> Self {
        Self { label: None, value: Value::Number(number) }
    }
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

impl Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::StatusCode(code) => code.fmt(f),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Decimal { units, decimals } => {
                let one = 10_u128.pow(*decimals);
                let (whole, mut rest) = (units / one, units % one);
                if rest == 0 {
                    return whole.fmt(f);
                }
                let mut width = *decimals as usize;
                while rest % 10 == 0 {
                    (rest, width) = (rest / 10, width - 1);
                }
                write!(f, "{whole}.{rest:0width$}")
            }
            Self::Float(number) => number.fmt(f),
        }
    }
}

impl Number {
    /// The nearest float. Of a decimal it is read off the text: a float divided by another may be less than what a
    /// scraper reads there, and a sum would fall where it changes the format.
    #[expect(clippy::cast_precision_loss, reason = "a float is what is asked for")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Decimal { .. } => self.to_string().parse().unwrap_or(f64::INFINITY),
            Self::Float(number) => number,
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Integer(number.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_written_exactly_and_as_short_as_it_goes() {
        let written = |units, decimals| Number::Decimal { units, decimals }.to_string();
        assert_eq!(written(0, 6), "0");
        assert_eq!(written(1, 6), "0.000001");
        assert_eq!(written(1_500_000, 6), "1.5");
        assert_eq!(written(12_000, 3), "12");
        assert_eq!(written(u128::MAX, 3), "340282366920938463463374607431768211.455");
    }

    #[test]
    fn a_decimal_is_the_same_float_in_text_and_protobuf() {
        // Of the last two the quotient of the nearest floats is another one.
        for units in [0, 1, 1_234_567, (1 << 53) + 1, 1_152_921_504_647_842_401, u128::MAX] {
            let number = Number::Decimal { units, decimals: 3 };
            assert_eq!(number.as_f64().to_bits(), number.to_string().parse::<f64>().unwrap().to_bits(), "{number}");
        }
    }
}
