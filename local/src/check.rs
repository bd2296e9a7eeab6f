//! What Athena would make of a log writer's files, line by line: what is said, of which file, and what there is to say.
//!
//! A file that Athena refuses fails every query over its hour; a row that is skipped is in no figure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMillisecondType};
use datafusion::error::DataFusionError;
use jiff::Timestamp;
use local_athena::{Found, LogFile, entries, found_below, log_columns, reason};
use wafer_metrics::model::host::Host;
use wafer_metrics::model::window::{Hour, Minute};

use crate::hours::hour_of;

/// As deployed: how long after a request's end its row may arrive.
const LATE_ARRIVAL_MS: i64 = 10 * 60 * 1000;
/// Of a value that is shown.
const MAX_SHOWN_CHARS: usize = 60;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub files: u64,
    pub refused: u64,
    pub rows: u64,
    pub skipped: u64,
}

impl Totals {
    /// Whether there is anything to read, and all of it counts.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.files > 0 && self.refused == 0 && self.skipped == 0
    }
}

/// Looks through a folder of `hour=…` folders.
pub fn check(folder: &Path, out: &mut impl Write) -> io::Result<Totals> {
    if !folder.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is not a folder", folder.display())));
    }
    let mut check = Check { folder, out, totals: Totals::default() };
    for entry in entries(folder)? {
        let hour = entry.file_name().to_str().and_then(hour_of);
        match hour.filter(|_| entry.path().is_dir()) {
            Some(hour) => check.hour(&entry.path(), hour)?,
            None => check.say("ignored", &entry.path(), "it is not a folder named hour=yyyy-MM-dd-HH")?,
        }
    }
    let Totals { files, refused, rows, skipped } = &check.totals;
    writeln!(check.out, "total\t{files} files, {refused} refused; {rows} rows, {skipped} skipped")?;
    Ok(check.totals)
}

struct Check<'a, W> {
    folder: &'a Path,
    out: &'a mut W,
    totals: Totals,
}

impl<W: Write> Check<'_, W> {
    fn say(&mut self, what: &str, path: &Path, detail: impl Display) -> io::Result<()> {
        let path = path.strip_prefix(self.folder).unwrap_or(path);
        writeln!(self.out, "{what}\t{}\t{detail}", path.display())
    }

    fn hour(&mut self, folder: &Path, hour: Hour) -> io::Result<()> {
        for found in found_below(folder)? {
            match found {
                Found::Ignored(path, why) => self.say("ignored", &path, why)?,
                Found::Log(path) => self.file(&path, hour)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, hour: Hour) -> io::Result<()> {
        self.totals.files += 1;
        match read(path, hour) {
            Ok(Read { file, rows: all, skipped }) => {
                self.totals.rows += all;
                for column in file.missing() {
                    self.say("missing", path, format_args!("{column}: it reads as null"))?;
                }
                for column in file.unknown() {
                    self.say("unknown", path, format_args!("{column}: it is not read"))?;
                }
                for doubt in file.doubts() {
                    self.say("doubtful", path, doubt)?;
                }
                for (why, Skipped { rows, example }) in &skipped {
                    self.totals.skipped += rows;
                    self.say("skipped", path, format_args!("{rows} of {all} rows: {why}; first: {example}"))?;
                }
                let counted = all - skipped.values().map(|skipped| skipped.rows).sum::<u64>();
                self.say("counted", path, format_args!("{counted} of {all} rows"))
            }
            Err(error) => {
                self.totals.refused += 1;
                refusals(path, &error).into_iter().try_for_each(|refusal| self.say("refused", path, refusal))
            }
        }
    }
}

/// A file that Athena takes.
struct Read {
    file: LogFile,
    rows: u64,
    skipped: BTreeMap<&'static str, Skipped>,
}

struct Skipped {
    rows: u64,
    example: String,
}

fn read(path: &Path, hour: Hour) -> Result<Read, DataFusionError> {
    let file = LogFile::open(path, &hour.partition(), &schema(log_columns()))?;
    let (mut rows, mut skipped) = (0, BTreeMap::new());
    for batch in file.read()? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            rows += 1;
            if let Some((why, example)) = why_skipped(&batch, row, hour)? {
                skipped.entry(why).or_insert(Skipped { rows: 0, example }).rows += 1;
            }
        }
    }
    Ok(Read { file, rows, skipped })
}

/// Why a row is in no figure, with the value that is to blame and the row that has it.
fn why_skipped(batch: &RecordBatch, row: usize, hour: Hour) -> Result<Option<(&'static str, String)>, DataFusionError> {
    let text = |column: &str| -> Result<Option<&str>, DataFusionError> {
        let texts = batch.column(batch.schema_ref().index_of(column)?).as_string::<i32>();
        Ok(texts.is_valid(row).then(|| texts.value(row)))
    };
    let times = batch.column(batch.schema_ref().index_of("ended_at")?).as_primitive::<TimestampMillisecondType>();
    let (endpoint, ended_at_ms) = (text("endpoint")?, times.is_valid(row).then(|| times.value(row)));
    let (why, value) = if let Some(ended_at_ms) = ended_at_ms {
        if endpoint.and_then(Host::parse).is_none() {
            ("endpoint is not a valid host name", shown(endpoint))
        } else if let Some(why) = why_not_read(ended_at_ms, hour) {
            let time = Timestamp::from_millisecond(ended_at_ms);
            (why, time.map_or_else(|_| format!("{ended_at_ms} ms"), |time| time.to_string()))
        } else {
            return Ok(None);
        }
    } else {
        ("ended_at is null", shown(None))
    };
    Ok(Some((why, format!("{value}, request_id {}", shown(text("request_id")?)))))
}

/// Of a minute only the hour's own folder is read, the one before, and those in which its rows may arrive.
fn why_not_read(ended_at_ms: i64, folder: Hour) -> Option<&'static str> {
    let ms = |minute: Minute| minute.start().as_millisecond();
    if ended_at_ms >= ms(folder.next().end()) {
        Some("ended_at is later than the hour after the folder's")
    } else if ended_at_ms < ms(folder.start()) - LATE_ARRIVAL_MS {
        Some("ended_at is more than 10 minutes before the folder's hour")
    } else {
        None
    }
}

fn shown(text: Option<&str>) -> String {
    let Some(text) = text else { return "null".to_owned() };
    format!("{:?}", text.chars().take(MAX_SHOWN_CHARS).collect::<String>())
}

/// Each column's own refusal; Athena would name only the first.
fn refusals(path: &Path, first: &DataFusionError) -> BTreeSet<String> {
    let alone = log_columns().into_iter().filter_map(|column| LogFile::open(path, "", &schema([column])).err());
    alone.map(|error| reason(&error)).chain([reason(first)]).collect()
}

fn schema<const N: usize>(columns: [(&str, DataType); N]) -> SchemaRef {
    Arc::new(Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}
