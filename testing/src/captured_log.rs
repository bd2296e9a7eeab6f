//! The functions' log, kept for the tests; a line that is too long or holds a secret fails the test that wrote it.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use serde_json::Value;
use tracing::subscriber::set_global_default;
use wafer_metrics::telemetry::log;

use crate::keys::{KEYS, hash};

/// No line is longer, whoever wrote what stands in it.
pub const LONGEST_LINE: usize = 2_048;

static START: Once = Once::new();
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Every line of the process from now on, as the most talkative operator would set it.
pub fn start() {
    START.call_once(|| set_global_default(log::subscriber(Some("trace"), || Writer)).unwrap());
}

/// The lines that hold a text, such as a request id.
pub fn lines_with(text: &str) -> Vec<Value> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.contains(text)).map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(line.len() <= LONGEST_LINE, "{} bytes in the log: {line}", line.len());
        for key in KEYS {
            assert!(!line.contains(key), "a key in the log: {line}");
            assert!(!line.contains(&hash(key)), "a key's hash in the log: {line}");
        }
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
