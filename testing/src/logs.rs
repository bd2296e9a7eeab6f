//! Request logs as no pipeline should write them.

use std::cmp::Ordering;

/// A row; anything may be null.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub request_id: Option<String>,
    pub endpoint: Option<String>,
    pub model: Option<String>,
    pub status_code: Option<i32>,
    pub is_streaming: Option<bool>,
    pub ended_at_ms: Option<i64>,
    pub ttft_ms: Option<f64>,
    pub total_latency_ms: Option<f64>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cache_read_tokens: Option<i64>,
    pub error_code: Option<String>,
}

impl Row {
    /// A plain successful request.
    pub fn ok(endpoint: &str, request_id: &str, ended_at_ms: i64) -> Self {
        Self {
            request_id: Some(request_id.to_owned()),
            endpoint: Some(endpoint.to_owned()),
            model: Some("m".to_owned()),
            status_code: Some(200),
            is_streaming: Some(true),
            ended_at_ms: Some(ended_at_ms),
            ttft_ms: Some(120.0),
            total_latency_ms: Some(2_400.0),
            input_tokens: Some(100),
            output_tokens: Some(50),
            cache_read_tokens: Some(25),
            error_code: None,
        }
    }

    /// The order that SQL gives rows over all columns of the table, ascending, nulls last.
    pub fn sql_order(&self, other: &Self) -> Ordering {
        nulls_last(&self.request_id, &other.request_id, Ord::cmp)
            .then_with(|| nulls_last(&self.endpoint, &other.endpoint, Ord::cmp))
            .then_with(|| nulls_last(&self.model, &other.model, Ord::cmp))
            .then_with(|| nulls_last(&self.status_code, &other.status_code, Ord::cmp))
            .then_with(|| nulls_last(&self.is_streaming, &other.is_streaming, Ord::cmp))
            .then_with(|| nulls_last(&self.ended_at_ms, &other.ended_at_ms, Ord::cmp))
            .then_with(|| nulls_last(&self.ttft_ms, &other.ttft_ms, f64::total_cmp))
            .then_with(|| nulls_last(&self.total_latency_ms, &other.total_latency_ms, f64::total_cmp))
            .then_with(|| nulls_last(&self.input_tokens, &other.input_tokens, Ord::cmp))
            .then_with(|| nulls_last(&self.output_tokens, &other.output_tokens, Ord::cmp))
            .then_with(|| nulls_last(&self.cache_read_tokens, &other.cache_read_tokens, Ord::cmp))
            .then_with(|| nulls_last(&self.error_code, &other.error_code, Ord::cmp))
    }
}

fn nulls_last<T>(one: &Option<T>, other: &Option<T>, order: impl FnOnce(&T, &T) -> Ordering) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => order(one, other),
        (one, other) => one.is_none().cmp(&other.is_none()),
    }
}
