//! LLM inference traces: when calls came, and how many tokens each carried.
//!
//! The format is that of the Azure LLM inference traces, `TIMESTAMP,ContextTokens,GeneratedTokens`, plain or gzip.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const CHAT: (&str, &[u8]) =
    ("AzureLLMInferenceTrace_conv.csv.gz", include_bytes!("../../data/AzureLLMInferenceTrace_conv.csv.gz"));
const CODE: (&str, &[u8]) =
    ("AzureLLMInferenceTrace_code.csv.gz", include_bytes!("../../data/AzureLLMInferenceTrace_code.csv.gz"));

const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Milliseconds since the trace's first call.
    pub offset_ms: i64,
    /// Tokens of the prompt.
    pub context_tokens: u32,
    /// Tokens of the answer.
    pub generated_tokens: u32,
}

/// The calls of a trace, oldest first, and the period after which it may start over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    calls: Vec<Call>,
    period_ms: i64,
}

impl Trace {
    /// The shipped conversation trace: 19,366 calls in 58.4 minutes.
    ///
    /// # Errors
    ///
    /// As [`Trace::parse`]; a test sees to it that the shipped file parses.
    pub fn chat() -> Result<Self, TraceError> {
        Self::parse(CHAT.0, CHAT.1)
    }

    /// The shipped coding trace: 8,819 calls in 57.3 minutes.
    ///
    /// # Errors
    ///
    /// As [`Trace::parse`]; a test sees to it that the shipped file parses.
    pub fn code() -> Result<Self, TraceError> {
        Self::parse(CODE.0, CODE.1)
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, and as [`Trace::parse`].
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        match fs::read(path) {
            Ok(content) => Self::parse(&name, &content),
            Err(source) => Err(TraceError::Read { name, source }),
        }
    }

    /// Parses the content of a trace file, gzip or plain; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// When the gzip stream is broken, a line does not fit the format, or the calls span no time.
    pub fn parse(name: &str, content: &[u8]) -> Result<Self, TraceError> {
        let unpacked;
        let text = if content.starts_with(&GZIP_MAGIC) {
            unpacked = gunzip(name, content)?;
            &unpacked
        } else {
            content
        };

        let mut arrivals = Vec::new();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let parsed = if index == 0 { header(line).map(|()| None) } else { record(line) };
            let arrival = parsed.map_err(|fault| TraceError::Line { name: name.to_owned(), line: index + 1, fault })?;
            arrivals.extend(arrival);
        }
        Self::from_arrivals(arrivals).ok_or_else(|| TraceError::NoPace { name: name.to_owned() })
    }

    /// The calls, oldest first; every offset is below the period.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Milliseconds from one start to the next when the trace is repeated back to back: its span and one mean gap,
    /// so that the pace across the seam is the trace's own.
    #[must_use]
    pub fn period_ms(&self) -> i64 {
        self.period_ms
    }

    /// `None` when the calls span no time: such a trace has no pace to repeat.
    fn from_arrivals(mut arrivals: Vec<Arrival>) -> Option<Self> {
        arrivals.sort_by_key(|arrival| arrival.at_ms);
        let first_ms = arrivals.first()?.at_ms;
        let span_ms = arrivals.last()?.at_ms - first_ms;
        if span_ms == 0 {
            return None;
        }
        let gaps = i64::try_from(arrivals.len() - 1).ok()?;
        let mean_gap_ms = (span_ms / gaps).max(1);
        let calls = arrivals.iter().map(|arrival| Call {
            offset_ms: arrival.at_ms - first_ms,
            context_tokens: arrival.context_tokens,
            generated_tokens: arrival.generated_tokens,
        });
        Some(Self { calls: calls.collect(), period_ms: span_ms + mean_gap_ms })
    }
}

/// Why a trace cannot be used. Each names the file, and the line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("{name}: {source}")]
    Read { name: String, source: io::Error },
    #[error("{name} line {line}: {fault}")]
    Line {
        name: String,
        /// Counted from 1, the header being the first.
        line: usize,
        fault: LineFault,
    },
    #[error("{name}: a trace needs at least two calls at different times")]
    NoPace { name: String },
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    #[error("expected the header {HEADER}")]
    Header,
    #[error("not UTF-8 text")]
    Encoding,
    #[error("expected 3 fields, found {0}")]
    Fields(usize),
    #[error("TIMESTAMP is not a time such as 2023-11-16 18:15:46.6805900: {0:?}")]
    Time(String),
    #[error("{column} is not a whole number from 0 to 4294967295: {text:?}")]
    Tokens { column: &'static str, text: String },
}

struct Arrival {
    at_ms: i64,
    context_tokens: u32,
    generated_tokens: u32,
}

fn gunzip(name: &str, content: &[u8]) -> Result<Vec<u8>, TraceError> {
    let mut unpacked = Vec::new();
    match MultiGzDecoder::new(content).read_to_end(&mut unpacked) {
        Ok(_) => Ok(unpacked),
        Err(source) => Err(TraceError::Read { name: name.to_owned(), source }),
    }
}

fn header(line: &[u8]) -> Result<(), LineFault> {
    // Spreadsheets write a byte order mark.
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    if line.trim_ascii_end() == HEADER.as_bytes() { Ok(()) } else { Err(LineFault::Header) }
}

/// `None` for a blank line, such as the one after a last newline.
fn record(line: &[u8]) -> Result<Option<Arrival>, LineFault> {
    let line = str::from_utf8(line).map_err(|_| LineFault::Encoding)?.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let fields: Vec<&str> = line.split(',').collect();
    let [time, context, generated] = fields[..] else {
        return Err(LineFault::Fields(fields.len()));
    };
    Ok(Some(Arrival {
        at_ms: time_ms(time)?,
        context_tokens: tokens("ContextTokens", context)?,
        generated_tokens: tokens("GeneratedTokens", generated)?,
    }))
}

/// A time without an offset is UTC, as in the 2023 traces; those of 2024 carry one.
fn time_ms(text: &str) -> Result<i64, LineFault> {
    let in_utc = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>()?);
    let time: Timestamp = text.parse().or_else(|_| in_utc()).map_err(|_| LineFault::Time(text.to_owned()))?;
    Ok(time.as_millisecond())
}

fn tokens(column: &'static str, text: &str) -> Result<u32, LineFault> {
    text.parse().map_err(|_| LineFault::Tokens { column, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const PLAIN: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
        2023-11-16 18:00:00.0000000,10,1\n\
        2023-11-16 18:00:01.5000000,20,2\n\
        2023-11-16 18:00:04.0000000,30,3";

    fn message(content: &str) -> String {
        Trace::parse("traces/x.csv", content.as_bytes()).unwrap_err().to_string()
    }

    fn with_line_3(line: &str) -> String {
        PLAIN.replace("2023-11-16 18:00:01.5000000,20,2", line)
    }

    #[test]
    fn both_shipped_traces_parse_to_their_last_line() {
        let (chat, code) = (Trace::chat().unwrap(), Trace::code().unwrap());
        assert_eq!((chat.calls().len(), chat.period_ms()), (19_366, 3_501_902));
        assert_eq!((code.calls().len(), code.period_ms()), (8_819, 3_436_338));
        let last = chat.calls().last().unwrap();
        assert_eq!((last.offset_ms, last.context_tokens, last.generated_tokens), (3_501_722, 197, 183));
    }

    #[test]
    fn offsets_count_from_the_first_call_and_the_period_adds_one_mean_gap() {
        let trace = Trace::parse("x", PLAIN.as_bytes()).unwrap();
        let offsets: Vec<i64> = trace.calls().iter().map(|call| call.offset_ms).collect();
        assert_eq!(offsets, [0, 1_500, 4_000]);
        assert_eq!(trace.period_ms(), 6_000);
    }

    #[test]
    fn line_ends_gzip_offsets_and_order_make_no_difference() {
        let plain = Trace::parse("x", PLAIN.as_bytes()).unwrap();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(PLAIN.as_bytes()).unwrap();
        let mut lines: Vec<&str> = PLAIN.lines().collect();
        lines[1..].reverse();
        let reversed = lines.join("\n");
        let variants = [
            gzip.finish().unwrap(),
            PLAIN.replace('\n', "\r\n").into_bytes(),
            format!("\u{feff}{PLAIN}\r\n\r\n").into_bytes(),
            PLAIN.replace("00,", "00+00:00,").into_bytes(),
            reversed.into_bytes(),
        ];
        for variant in variants {
            assert_eq!(Trace::parse("x", &variant).unwrap(), plain);
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let cases = [
            ("yesterday,20,2", "TIMESTAMP is not a time such as 2023-11-16 18:15:46.6805900: \"yesterday\""),
            ("2023-11-16 18:00:01,20", "expected 3 fields, found 2"),
            ("2023-11-16 18:00:01,-1,2", "ContextTokens is not a whole number from 0 to 4294967295: \"-1\""),
            ("2023-11-16 18:00:01,20,2.5", "GeneratedTokens is not a whole number from 0 to 4294967295: \"2.5\""),
        ];
        for (line, fault) in cases {
            assert_eq!(message(&with_line_3(line)), format!("traces/x.csv line 3: {fault}"));
        }
    }

    #[test]
    fn a_file_without_the_header_or_without_a_pace_is_refused() {
        assert_eq!(
            message("a,b,c\n"),
            "traces/x.csv line 1: expected the header TIMESTAMP,ContextTokens,GeneratedTokens"
        );
        let no_pace = "traces/x.csv: a trace needs at least two calls at different times";
        let lines: Vec<&str> = PLAIN.lines().collect();
        assert_eq!(message(lines[0]), no_pace);
        assert_eq!(message(&lines[..2].join("\n")), no_pace);
        assert_eq!(message(&[lines[0], lines[1], lines[1]].join("\n")), no_pace);
    }

    #[test]
    fn a_broken_gzip_and_a_missing_file_are_named() {
        let broken = Trace::parse("traces/x.csv.gz", &[0x1f, 0x8b, 0x08, 0x00]).unwrap_err().to_string();
        assert!(broken.starts_with("traces/x.csv.gz: "), "{broken}");
        let missing = Trace::read(Path::new("/nowhere/x.csv")).unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/x.csv: "), "{missing}");
    }
}
