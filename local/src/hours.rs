//! The folders of request logs, one for each hour.

use wafer_metrics::model::window::{Hour, Minute};

/// The name of an hour's folder, `hour=2026-11-24-20`.
#[must_use]
pub fn folder_of(hour: Hour) -> String {
    format!("hour={}", hour.partition())
}

/// The hour of a folder of this name; `None` where it is not an hour's folder.
#[must_use]
pub fn hour_of(folder: &str) -> Option<Hour> {
    let (day, hour) = folder.strip_prefix("hour=")?.rsplit_once('-')?;
    let hour = Minute::from_key(&format!("{day}T{hour}:00"))?.hour();
    // Athena makes up the names that it looks for: `hour=2026-11-24-7` is not one of them.
    (folder_of(hour) == folder).then_some(hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_an_hours_only_where_it_is_named_as_athena_would() {
        let name = "hour=2026-11-24-07";
        assert_eq!(folder_of(hour_of(name).unwrap()), name);
        for other in [
            "2026-11-24-07",
            "hour=2026-11-24",
            "hour=2026-11-24-7",
            "hour=2026-11-24-24",
            "hour=2026-13-24-07",
            "hour=2026-11-24-07-00",
            "hour=2026-11-24T07",
            "Hour=2026-11-24-07",
            "hour=",
        ] {
            assert_eq!(hour_of(other), None, "{other}");
        }
    }
}
