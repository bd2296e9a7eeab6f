//! Progress while the stack fills, on standard error where that is a terminal.

use std::time::Duration;

use athena_endpoint::Clock;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use wafer_metrics::error::Cause;
use wafer_metrics::stores::rollups::RollupWriter;

const LOOKED_AT_EVERY: Duration = Duration::from_millis(250);
const WINDOW_MINUTES: u64 = 24 * 60;

pub fn bar(what: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>14} {wide_bar} {percent:>3} %")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(u64::try_from(length).unwrap_or_default()).with_style(style).with_message(what)
}

/// Shows how much of the window `work` has filled, for as long as it takes.
pub async fn of_window<T>(work: impl Future<Output = T>, rollups: &RollupWriter, clock: &Clock) -> T {
    let bar = bar("24 h window", 24 * 60);
    let show = async {
        loop {
            tokio::time::sleep(LOOKED_AT_EVERY).await;
            if let Ok(minutes_left) = minutes_left(rollups, clock()).await {
                bar.set_position(WINDOW_MINUTES.saturating_sub(minutes_left));
            }
        }
    };
    tokio::select! {
        done = work => {
            bar.finish_and_clear();
            done
        }
        never = show => never,
    }
}

/// How many minutes the watermark is behind.
async fn minutes_left(rollups: &RollupWriter, now: Timestamp) -> Result<u64, Cause> {
    let through = rollups.watermark().await?.map_or(Timestamp::MIN, |mark| mark.value.through.start());
    Ok(u64::try_from(now.duration_since(through).as_mins()).unwrap_or_default())
}
