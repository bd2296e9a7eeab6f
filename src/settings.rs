//! The functions' settings: environment variables, all checked at start, every fault named at once.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use lambda_runtime::tracing::subscriber::filter::Targets;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeSettings {
    pub api_keys_table: String,
    pub rate_limits_table: String,
    pub heartbeats_table: String,
    pub rollups_table: String,
    /// `MAX_STALENESS_SECONDS`: how old the end of the window may be before scrapes are refused; an hour at most, since
    /// a first fill reads no further back than that needs.
    pub max_staleness: SignedDuration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshSettings {
    pub rollups_table: String,
    /// `ATHENA_DATABASE`, a plain SQL identifier.
    pub athena_database: String,
    pub athena_workgroup: String,
    /// `REQUEST_LOGS_TABLE`, a plain SQL identifier.
    pub request_logs_table: String,
    /// `LOG_SETTLE_SECONDS`: how long after a minute's end its logs are taken to have arrived.
    pub log_settle: SignedDuration,
    /// `LATE_ARRIVAL_SECONDS`: how long after a request's end its log row may arrive.
    pub late_arrival: SignedDuration,
}

/// Every setting that is missing or unfit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for SettingsError {}

impl ScrapeSettings {
    /// Reads the settings through a lookup, `std::env::var` in production.
    ///
    /// # Errors
    /// Names every fault.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let settings = Self {
            api_keys_table: reader.required("API_KEYS_TABLE"),
            rate_limits_table: reader.required("RATE_LIMITS_TABLE"),
            heartbeats_table: reader.required("HEARTBEATS_TABLE"),
            rollups_table: reader.required("ROLLUPS_TABLE"),
            max_staleness: reader.seconds("MAX_STALENESS_SECONDS", 600, 1..=3_600),
        };
        reader.finish(settings)
    }
}

impl RefreshSettings {
    /// Reads the settings through a lookup, `std::env::var` in production.
    ///
    /// # Errors
    /// Names every fault.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let settings = Self {
            rollups_table: reader.required("ROLLUPS_TABLE"),
            athena_database: reader.identifier("ATHENA_DATABASE"),
            athena_workgroup: reader.required("ATHENA_WORKGROUP"),
            request_logs_table: reader.identifier("REQUEST_LOGS_TABLE"),
            log_settle: reader.seconds("LOG_SETTLE_SECONDS", 90, 0..=3_600),
            late_arrival: reader.seconds("LATE_ARRIVAL_SECONDS", 600, 0..=3_600),
        };
        reader.finish(settings)
    }
}

/// Collects faults while it reads.
struct Reader<L> {
    lookup: L,
    faults: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn new(lookup: L) -> Self {
        let mut reader = Self { lookup, faults: Vec::new() };
        reader.log_filter();
        reader
    }

    fn required(&mut self, name: &str) -> String {
        match (self.lookup)(name) {
            Some(value) if !value.trim().is_empty() => value,
            Some(_) => self.fault(format!("{name} is empty")),
            None => self.fault(format!("{name} is not set")),
        }
    }

    /// Letters, digits and underscores, not starting with a digit: what SQL takes without quotes.
    fn identifier(&mut self, name: &str) -> String {
        let value = self.required(name);
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain && !value.starts_with(|first: char| first.is_ascii_digit()) {
            value
        } else {
            self.fault(format!("{name} is not a plain SQL identifier: use letters, digits and underscores"))
        }
    }

    fn seconds(&mut self, name: &str, default: i64, range: std::ops::RangeInclusive<i64>) -> SignedDuration {
        let seconds = match (self.lookup)(name) {
            None => default,
            Some(value) => i64::from_str(&value).ok().filter(|seconds| range.contains(seconds)).unwrap_or_else(|| {
                self.fault(format!("{name} must be whole seconds from {} to {}", range.start(), range.end()))
            }),
        };
        SignedDuration::from_secs(seconds)
    }

    fn log_filter(&mut self) {
        if (self.lookup)("RUST_LOG").is_some_and(|filter| filter.parse::<Targets>().is_err()) {
            self.fault::<()>(
                "RUST_LOG is not a valid log filter: use a level such as info, or target=level pairs".to_owned(),
            );
        }
    }

    /// Notes a fault; the value returned is never used, since the settings are refused.
    fn fault<T: Default>(&mut self, fault: String) -> T {
        self.faults.push(fault);
        T::default()
    }

    fn finish<S>(self, settings: S) -> Result<S, SettingsError> {
        if self.faults.is_empty() { Ok(settings) } else { Err(SettingsError(self.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    }

    const SCRAPE: [(&str, &str); 4] = [
        ("API_KEYS_TABLE", "keys"),
        ("RATE_LIMITS_TABLE", "limits"),
        ("HEARTBEATS_TABLE", "beats"),
        ("ROLLUPS_TABLE", "rollups"),
    ];

    #[test]
    fn optional_settings_have_the_contracts_defaults() {
        assert_eq!(ScrapeSettings::from_lookup(lookup(&SCRAPE)).unwrap().max_staleness, SignedDuration::from_secs(600));
        let refresh = [
            ("ROLLUPS_TABLE", "r"),
            ("ATHENA_DATABASE", "wafer"),
            ("ATHENA_WORKGROUP", "w"),
            ("REQUEST_LOGS_TABLE", "request_logs"),
        ];
        let settings = RefreshSettings::from_lookup(lookup(&refresh)).unwrap();
        assert_eq!((settings.log_settle.as_secs(), settings.late_arrival.as_secs()), (90, 600));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = RefreshSettings::from_lookup(lookup(&[
            ("ROLLUPS_TABLE", " "),
            ("ATHENA_DATABASE", "wafer; DROP"),
            ("REQUEST_LOGS_TABLE", "1logs"),
            ("LOG_SETTLE_SECONDS", "-1"),
            ("LATE_ARRIVAL_SECONDS", "ten"),
            ("RUST_LOG", "info=loud"),
        ]))
        .unwrap_err();
        insta::assert_snapshot!(faults.to_string().replace("; ", "\n"), @r"
            RUST_LOG is not a valid log filter: use a level such as info, or target=level pairs
            ROLLUPS_TABLE is empty
            ATHENA_DATABASE is not a plain SQL identifier: use letters, digits and underscores
            ATHENA_WORKGROUP is not set
            REQUEST_LOGS_TABLE is not a plain SQL identifier: use letters, digits and underscores
            LOG_SETTLE_SECONDS must be whole seconds from 0 to 3600
            LATE_ARRIVAL_SECONDS must be whole seconds from 0 to 3600
        ");
    }
}
