//! Prometheus protobuf: a `MetricFamily` after another, each with its length before it. The only format that holds
//! native histograms.
//!
//! Source: <https://github.com/prometheus/client_model/blob/v0.6.2/io/prometheus/client/metrics.proto>. Scalars are
//! optional there, so that a zero is written too.

use prost::Message;

use super::Snapshot;
use super::families::FAMILIES;
use super::family::{Family, Kind, Number, Point, Value};
use super::histogram;
use crate::model::sketch::COARSE;

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Counter>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Gauge {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Counter {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Writes every family that has a value.
pub fn write(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    for family in &FAMILIES {
        let family = metric_family(family, snapshot);
        if !family.metric.is_empty() {
            bytes.extend(family.encode_length_delimited_to_vec());
        }
    }
    bytes
}

fn metric_family(family: &Family, snapshot: &Snapshot) -> MetricFamily {
    let mut metrics = Vec::new();
    for endpoint in &snapshot.endpoints {
        for Point { label, value } in family.points(snapshot, endpoint) {
            let mut labels = vec![label_pair("endpoint", endpoint.endpoint.as_str().to_owned())];
            if let (Some(name), Some(value)) = (family.label(), label) {
                labels.push(label_pair(name, value.to_string()));
            }
            metrics.push(metric(labels, family.kind(), value, snapshot));
        }
    }
    let metric_type = match family.kind() {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    MetricFamily {
        name: Some(family.name.to_owned()),
        help: Some(family.help.to_owned()),
        r#type: Some(metric_type.into()),
        metric: metrics,
    }
}

fn metric(label: Vec<LabelPair>, kind: Kind, value: Value<'_>, snapshot: &Snapshot) -> Metric {
    let created_timestamp = snapshot.counting_since.map(|since| Timestamp { seconds: since.as_second(), nanos: 0 });
    let mut metric = Metric { label, ..Metric::default() };
    match value {
        Value::Number(number) if kind == Kind::Counter => {
            metric.counter = Some(Counter { value: Some(number.as_f64()), created_timestamp });
        }
        Value::Number(number) => metric.gauge = Some(Gauge { value: Some(number.as_f64()) }),
        Value::Histogram(histogram) => metric.histogram = Some(Histogram { created_timestamp, ..histogram.into() }),
    }
    metric
}

/// Classic and native buckets in one: a scraper takes those it wants.
impl From<histogram::Histogram<'_>> for Histogram {
    fn from(histogram: histogram::Histogram<'_>) -> Self {
        let (mut spans, deltas) = histogram.native();
        if spans.is_empty() {
            // A histogram without a span is taken for a classic one.
            spans.push(histogram::Span { offset: 0, length: 0 });
        }
        let span = |span: &histogram::Span| BucketSpan { offset: Some(span.offset), length: Some(span.length) };
        let bucket = |(upper_bound, cumulative_count)| Bucket {
            cumulative_count: Some(cumulative_count),
            upper_bound: Some(upper_bound),
        };
        Self {
            sample_count: Some(histogram.count()),
            sample_sum: Some(Number::as_f64(histogram.sum())),
            bucket: histogram.classic().into_iter().map(bucket).collect(),
            schema: Some(COARSE.cast_signed()),
            zero_threshold: Some(0.0),
            zero_count: Some(histogram.zeros()),
            positive_span: spans.iter().map(span).collect(),
            positive_delta: deltas,
            created_timestamp: None,
        }
    }
}

fn label_pair(name: &str, value: String) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{EndpointFigures, EndpointSnapshot};
    use crate::model::host::Host;
    use crate::model::sketch::ZERO_BUCKET;
    use crate::model::summary::Total;
    use crate::model::window::Minute;

    fn written(total: Total) -> Vec<MetricFamily> {
        let end = Minute::floor("2026-11-24T20:15:00Z".parse().unwrap());
        let endpoint = EndpointSnapshot {
            endpoint: Host::parse("chat.demo.example").unwrap(),
            figures: EndpointFigures::Counters(total),
            concurrent_requests: 0,
            engine: None,
        };
        let snapshot = Snapshot {
            endpoints: vec![endpoint],
            window_end: end,
            counting_since: Some(end.plus(-100)),
            key_expires_at: None,
            budget_remaining: 5,
        };
        let bytes = write(&snapshot);
        let (mut rest, mut families) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
        }
        families
    }

    fn histogram(total: Total) -> Histogram {
        let families = written(total);
        let family = families.iter().find(|family| family.name() == "wafer_e2e_request_latency_seconds").unwrap();
        family.metric[0].histogram.clone().unwrap()
    }

    #[test]
    fn native_buckets_and_zeros_add_up_to_the_count() {
        let mut total = Total::default();
        for (bucket, count) in [(ZERO_BUCKET, 3), (-32, 2), (-31, 7), (5, 1)] {
            total.duration.sketch.add(bucket, count).unwrap();
        }
        total.duration.sum = 2_500_000;
        let histogram = histogram(total);
        let mut count = 0;
        let buckets = histogram.positive_delta.iter().map(|delta| {
            count += delta;
            count
        });
        assert_eq!(buckets.sum::<i64>() + 3, 13);
        assert_eq!((histogram.sample_count(), histogram.zero_count(), histogram.sample_sum()), (13, 3, 2.5));
        assert_eq!(histogram.schema(), 4);
        let spans: Vec<_> = histogram.positive_span.iter().map(|span| (span.offset(), span.length())).collect();
        assert_eq!(spans, [(-32, 2), (35, 1)]);
        assert!(histogram.bucket.last().unwrap().upper_bound().is_infinite());
        assert_eq!(histogram.bucket.last().unwrap().cumulative_count(), 13);
    }

    #[test]
    fn an_empty_histogram_is_native_by_a_span_of_no_length() {
        let histogram = histogram(Total::default());
        let spans: Vec<_> = histogram.positive_span.iter().map(|span| (span.offset, span.length)).collect();
        assert_eq!(spans, [(Some(0), Some(0))]);
        assert_eq!((histogram.zero_count, histogram.zero_threshold), (Some(0), Some(0.0)));
        assert_eq!(histogram.bucket.len(), 18);
    }

    #[test]
    fn counters_keep_total_in_the_familys_name_and_say_since_when_they_count() {
        let families = written(Total { input_tokens: 7, ..Total::default() });
        let family = families.iter().find(|family| family.name() == "wafer_input_tokens_total").unwrap();
        assert_eq!(family.r#type, Some(MetricType::Counter.into()));
        let counter = family.metric[0].counter.clone().unwrap();
        assert_eq!(counter.value, Some(7.0));
        assert_eq!(counter.created_timestamp.unwrap().seconds, 1_795_551_300 - 6_000);
    }
}
