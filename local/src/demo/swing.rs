//! What goes up and down in the demo, without end.

use std::f64::consts::TAU;

/// From one busy spell of the demo's workers to the next.
pub const BUSY_PERIOD_MS: i64 = 900_000;

/// A sine from -1 to 1 with this period, `step` periods ahead.
#[expect(clippy::cast_precision_loss, reason = "periods are far below 2^53 ms")]
pub fn swing(at_ms: i64, period_ms: i64, step: f64) -> f64 {
    let phase = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
    ((phase + step) * TAU).sin()
}
