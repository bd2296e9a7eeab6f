//! Requests of every kind, as a pipeline delivers them: mostly in time, some late, some twice.

use std::collections::BTreeMap;

use jiff::Timestamp;
use testing::athena::folder;
use testing::logs::Row;

use super::fixture::Fixture;
use super::tally::MINUTE_MS;

/// A number without a pattern.
fn scrambled(number: i64) -> i64 {
    let mut bits = number.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (bits >> 33).cast_signed()
}

/// A request of any kind that ended then.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn request(host: &str, ended_at_ms: i64) -> Row {
    let draw = scrambled(ended_at_ms ^ i64::try_from(host.len()).unwrap() << 50);
    let odd = |one_in: i64| draw % one_in == 0;
    let status = match draw % 23 {
        0..=2 => Some(429),
        3 => Some(503),
        4 => Some(302),
        5 => Some(700),
        6 => None,
        _ => Some(200),
    };
    Row {
        request_id: if odd(19) { None } else { Some(format!("{host} {ended_at_ms}")) },
        status_code: status,
        is_streaming: Some(draw % 4 > 0),
        ttft_ms: if odd(29) { Some(f64::NAN) } else { Some((draw % 4_001) as f64 / 3.0) },
        total_latency_ms: if odd(31) { Some(-1.0) } else { Some((draw % 90_001) as f64 / 7.0) },
        input_tokens: if odd(37) { Some(-5) } else { Some(draw % 8_000) },
        output_tokens: Some(draw % 700),
        cache_read_tokens: Some(draw % 9_000),
        ..Row::ok(host, "", ended_at_ms)
    }
}

impl Fixture {
    /// Delivers a request of each host every so many seconds of that time. Files come at 20 s past a minute, in the
    /// folder of that time or of their oldest row; one row in 13 comes up to 10 minutes late, and one in 17 comes
    /// twice.
    pub fn deliver(&self, from: Timestamp, to: Timestamp, every_seconds: usize) {
        let (from, to) = (from.as_millisecond(), to.as_millisecond());
        let mut files: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
        for (place, host) in self.hosts.iter().enumerate() {
            for ended in
                (from..to).step_by(every_seconds * 1_000).map(|ended| ended + 137 * i64::try_from(place).unwrap())
            {
                let row = request(host, ended);
                let draw = scrambled(ended + 1);
                let late = if draw % 13 == 0 { draw % 520_000 } else { 0 };
                if draw % 17 == 0 && row.request_id.is_some() {
                    files.entry(arrival(ended + draw % 500_000)).or_default().push(row.clone());
                }
                files.entry(arrival(ended + late)).or_default().push(row);
            }
        }
        for (arrived, rows) in files {
            let oldest = rows.iter().filter_map(|row| row.ended_at_ms).min().unwrap();
            let named_by = if arrived / MINUTE_MS % 2 == 0 { arrived } else { oldest };
            let time = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
            self.athena.deliver_into(&folder(time(named_by)), time(arrived), rows);
        }
    }
}

/// At most 80 s later.
fn arrival(milliseconds: i64) -> i64 {
    (milliseconds.div_euclid(MINUTE_MS) + 1) * MINUTE_MS + 20_000
}
