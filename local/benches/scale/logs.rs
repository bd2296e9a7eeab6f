//! Request logs as they are delivered.

use std::path::Path;

use jiff::Timestamp;
use local_stack::demo::log_writer;
use local_stack::demo::traffic::Row;

/// A file an hour of rows at a constant rate, spread over the endpoints.
pub fn write(folder: &Path, hosts: &[&'static str], from: Timestamp, to: Timestamp, gap_us: i64) {
    let (from_us, to_us) = (from.as_microsecond(), to.as_microsecond());
    let rows = (from_us..to_us).step_by(usize::try_from(gap_us).unwrap()).enumerate().map(|(number, at_us)| {
        let id = u64::try_from(at_us).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "below 1,000")]
        let spread = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as f64;
        Row {
            id,
            endpoint: hosts[number % hosts.len()],
            model: "m",
            status_code: 200,
            is_streaming: true,
            ended_at_ms: at_us / 1_000,
            ttft_ms: Some(50.0 + spread),
            total_latency_ms: 1_000.0 + 10.0 * spread,
            input_tokens: 1_155,
            output_tokens: 211,
            cache_read_tokens: 293,
            error_code: None,
            delivered_at_ms: at_us / 1_000,
        }
    });
    log_writer::write(folder, &format!("to-{to_us}"), rows.collect()).unwrap();
}
