//! The metrics that operators watch in CloudWatch, by the function that writes them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub unit: Unit,
}

/// A metric with a dimension beside `Function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricBy {
    pub metric: Metric,
    pub dimension: &'static str,
}

/// The unit of a metric, by CloudWatch's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    Seconds,
    Milliseconds,
}

const fn count(name: &'static str) -> Metric {
    Metric { name, unit: Unit::Count }
}

pub const SCRAPE_MILLISECONDS: Metric = Metric { name: "ScrapeMilliseconds", unit: Unit::Milliseconds };
pub const DATA_AGE_SECONDS: Metric = Metric { name: "DataAgeSeconds", unit: Unit::Seconds };
pub const SERVER_ERRORS: Metric = count("ServerErrors");
pub const SCRAPES_WITHOUT_HEARTBEATS: Metric = count("ScrapesWithoutHeartbeats");
pub const MALFORMED_KEYS: Metric = count("MalformedKeys");
pub const MALFORMED_HEARTBEATS: Metric = count("MalformedHeartbeats");
/// Every call, whatever its route.
pub const SCRAPES: MetricBy = MetricBy { metric: count("Scrapes"), dimension: "Code" };
pub const CALLS: MetricBy = MetricBy { metric: count("Calls"), dimension: "Route" };

pub const REFRESH_LAG_SECONDS: Metric = Metric { name: "RefreshLagSeconds", unit: Unit::Seconds };
pub const REFRESH_ROWS: Metric = count("RefreshRows");
pub const LATE_ROWS: Metric = count("LateRows");
pub const SKIPPED_ROWS: Metric = count("SkippedRows");
pub const TOO_LATE_ROWS: Metric = count("TooLateRows");
pub const SCANNED_BYTES: Metric = Metric { name: "ScannedBytes", unit: Unit::Bytes };
pub const ITEMS_WRITTEN: Metric = count("ItemsWritten");
pub const HOURS_UNSEALED: Metric = count("HoursUnsealed");
pub const LOGS_SILENT: Metric = count("LogsSilent");
pub const MINUTES_BEHIND: Metric = count("MinutesBehind");
pub const QUERY_MILLISECONDS: Metric = Metric { name: "QueryMilliseconds", unit: Unit::Milliseconds };
pub const REFRESH_MILLISECONDS: Metric = Metric { name: "RefreshMilliseconds", unit: Unit::Milliseconds };
pub const REFRESH_ERRORS: Metric = count("RefreshErrors");
pub const MINUTES_BEHIND_BY_CAUSE: MetricBy = MetricBy { metric: MINUTES_BEHIND, dimension: "Cause" };

/// Those of the scrape function under the dimension `Function` alone.
pub const OF_SCRAPE: [Metric; 6] = [
    SCRAPE_MILLISECONDS,
    DATA_AGE_SECONDS,
    SERVER_ERRORS,
    SCRAPES_WITHOUT_HEARTBEATS,
    MALFORMED_KEYS,
    MALFORMED_HEARTBEATS,
];

/// Those of the refresh function under the dimension `Function` alone.
pub const OF_REFRESH: [Metric; 13] = [
    REFRESH_LAG_SECONDS,
    REFRESH_ROWS,
    LATE_ROWS,
    SKIPPED_ROWS,
    TOO_LATE_ROWS,
    SCANNED_BYTES,
    ITEMS_WRITTEN,
    HOURS_UNSEALED,
    LOGS_SILENT,
    MINUTES_BEHIND,
    QUERY_MILLISECONDS,
    REFRESH_MILLISECONDS,
    REFRESH_ERRORS,
];
