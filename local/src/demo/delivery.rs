//! The demo's request logs, delivered as time goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use wafer_metrics::model::window::{Hour, Minute};

use crate::demo::log_writer::{self, LogWriteError};
use crate::demo::traffic::Traffic;
use crate::hours::hour_of;

/// Logs are kept for so long, and written for as long before the start: the window, its partial first hour, and some.
const LOGS_TTL: SignedDuration = SignedDuration::from_hours(26);

/// A usual refresh opens the files of the last three hours.
const OPENED_HOURS: i64 = 3;

/// The name of the one file of an hour that is over.
const WHOLE: &str = "whole";

/// Traffic, and the folder its logs are delivered to.
#[derive(Debug)]
pub struct Demo {
    traffic: Vec<Traffic>,
    folder: PathBuf,
    delivered_to: Timestamp,
}

/// An hour of which logs are yet to be written, up to some time.
#[derive(Clone, Copy, Debug)]
pub struct Unwritten {
    hour: Hour,
    to: Timestamp,
}

impl Demo {
    /// Traffic of which nothing has been delivered, and what is to be [written](Demo::write_hours) of the time before
    /// `now`.
    #[must_use]
    pub fn new(traffic: Vec<Traffic>, folder: &Path, now: Timestamp) -> (Self, Vec<Unwritten>) {
        let (first, last) = (hour_at(now - LOGS_TTL), hour_at(now));
        let hours = (0..=last.since(first)).map(|number| first.plus(number));
        let unwritten = hours.map(|hour| Unwritten { hour, to: hour.end().start().min(now) }).collect();
        (Self { traffic, folder: folder.to_owned(), delivered_to: now }, unwritten)
    }

    /// Writes the logs of some hours at once.
    pub fn write_hours(&self, hours: &[Unwritten]) -> Result<(), LogWriteError> {
        thread::scope(|threads| {
            let write = |Unwritten { hour, to }: Unwritten| self.write(WHOLE, hour.start().start(), to);
            let writers: Vec<_> = hours.iter().map(|hour| threads.spawn(move || write(*hour))).collect();
            writers
                .into_iter()
                .try_for_each(|writer| writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// Delivers the rows up to `now` in one new file, and removes what nobody needs any more.
    ///
    /// # Errors
    /// When a file cannot be written; the next delivery starts over from there.
    pub fn deliver(&mut self, now: Timestamp) -> Result<(), LogWriteError> {
        self.write(&now.as_millisecond().to_string(), self.delivered_to, now)?;
        let is_new_hour = hour_at(self.delivered_to) < hour_at(now);
        self.delivered_to = now;
        if is_new_hour { self.tidy(now) } else { Ok(()) }
    }

    fn write(&self, name: &str, from: Timestamp, to: Timestamp) -> Result<(), LogWriteError> {
        let rows = self.traffic.iter().flat_map(|traffic| traffic.rows_delivered_between(from, to)).collect();
        log_writer::write(&self.folder, name, rows).map(|_| ())
    }

    /// Keeps the folder from growing: old hours are removed, and those that no usual refresh opens become one file
    /// each, which is a fraction of the size of several hundred.
    fn tidy(&self, now: Timestamp) -> Result<(), LogWriteError> {
        let (oldest, opened) = (hour_at(now - LOGS_TTL), hour_at(now).plus(-OPENED_HOURS));
        for folder in entries(&self.folder)? {
            let Some(hour) = folder.file_name().and_then(|name| hour_of(name.to_str()?)) else { continue };
            if hour < oldest {
                fs::remove_dir_all(&folder).map_err(|source| LogWriteError::Io { path: folder, source })?;
            } else if hour < opened {
                self.make_whole(hour, &folder)?;
            }
        }
        Ok(())
    }

    fn make_whole(&self, hour: Hour, folder: &Path) -> Result<(), LogWriteError> {
        let parts = entries(folder)?.into_iter().filter(|file| file.file_stem().is_some_and(|name| name != WHOLE));
        let parts: Vec<PathBuf> = parts.collect();
        if !parts.is_empty() {
            // Whoever reads meanwhile finds rows twice, which count once.
            self.write(WHOLE, hour.start().start(), hour.end().start())?;
        }
        for path in parts {
            fs::remove_file(&path).map_err(|source| LogWriteError::Io { path, source })?;
        }
        Ok(())
    }
}

fn hour_at(time: Timestamp) -> Hour {
    Minute::floor(time).hour()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, LogWriteError> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|source| LogWriteError::Io { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;

    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use tempfile::TempDir;

    use super::*;
    use crate::demo::trace::Trace;
    use crate::demo::traffic::CHAT;

    /// 1,800 calls an hour.
    fn traffic() -> Traffic {
        let calls = "2023-11-16 18:00:00,100,10\n2023-11-16 18:00:02,200,20";
        let trace = Trace::parse("x", format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{calls}").as_bytes());
        Traffic::new(CHAT, trace.unwrap())
    }

    /// The folders, each with its files and how many rows they hold.
    fn folders(folder: &TempDir) -> BTreeMap<String, Vec<i64>> {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let rows = |file: PathBuf| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
            reader.metadata().file_metadata().num_rows()
        };
        let folders = entries(folder.path()).unwrap();
        folders.iter().map(|hour| (name(hour), entries(hour).unwrap().into_iter().map(rows).collect())).collect()
    }

    #[test]
    fn what_is_written_before_the_start_is_a_day_and_more_in_one_file_an_hour() {
        let folder = TempDir::new().unwrap();
        let now: Timestamp = "2026-11-24T20:15:30Z".parse().unwrap();
        let (demo, unwritten) = Demo::new(vec![traffic()], folder.path(), now);
        demo.write_hours(&unwritten).unwrap();
        let folders = folders(&folder);
        assert_eq!(folders.len(), 27);
        assert_eq!(folders.first_key_value().unwrap().0, "hour=2026-11-23-18");
        assert_eq!(folders.last_key_value().unwrap().0, "hour=2026-11-24-20");
        assert!(folders.values().all(|files| files.len() == 1), "{folders:?}");
        let written: i64 = folders.values().flatten().sum();
        let expected = traffic().rows_delivered_between("2026-11-23T18:00:00Z".parse().unwrap(), now).len();
        assert_eq!(written, i64::try_from(expected).unwrap());
    }

    #[test]
    fn over_a_day_the_folder_does_not_grow_and_loses_no_row() {
        let folder = TempDir::new().unwrap();
        let start: Timestamp = "2026-11-24T20:15:30Z".parse().unwrap();
        let (mut demo, unwritten) = Demo::new(vec![traffic()], folder.path(), start);
        demo.write_hours(&unwritten).unwrap();
        let before = folders(&folder).values().flatten().count();
        let mut now = start;
        for _ in 0..30 * 12 {
            now += SignedDuration::from_mins(5);
            demo.deliver(now).unwrap();
        }
        let folders = folders(&folder);
        assert_eq!(folders.len(), 27);
        assert_eq!(folders.first_key_value().unwrap().0, "hour=2026-11-25-00");
        let files = folders.values().flatten().count();
        assert!(files <= before + 4 * 12, "{files} files, where there were {before}");
        let kept: i64 = folders.values().flatten().sum();
        let expected = traffic().rows_delivered_between("2026-11-25T00:00:00Z".parse().unwrap(), now).len();
        assert_eq!(kept, i64::try_from(expected).unwrap());
    }
}
