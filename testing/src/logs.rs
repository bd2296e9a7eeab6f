//! Request logs as no pipeline should write them.

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
}
