//! What stands behind a failure, for the log.

use std::error::Error;

use thiserror::Error;

/// Anything that may stand behind a failure.
pub type Cause = Box<dyn Error + Send + Sync>;

#[derive(Clone, Copy, Debug, Error)]
#[error("no answer by the deadline")]
pub struct DeadlinePassed;

/// How much of a text goes into a log line, in bytes as they stand there.
const LOGGED_LENGTH: usize = 800;

/// A text that others wrote, for a log line: of bounded length, and marked where it was cut.
#[must_use]
pub fn for_log(text: &str) -> String {
    let mut length = 0;
    let end = text.char_indices().find(|(_, character)| {
        length += match character {
            '"' | '\\' => 2,
            // As \u001f.
            _ if character.is_ascii_control() => 6,
            _ => character.len_utf8(),
        };
        length > LOGGED_LENGTH
    });
    end.map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

/// An error and what stands behind it, in one line of bounded length. SDK errors are shown by code and message, never
/// by `Debug`: that prints whole responses, in which keys' hashes may stand.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    for_log(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_the_log_has_a_bounded_length_as_it_stands_there() {
        assert_eq!(for_log("table not found"), "table not found");
        for character in ["a", "\"", "\\", "\n", "\u{1f}", "é", "😀"] {
            let logged = for_log(&character.repeat(5_000));
            let line = serde_json::to_string(&logged).unwrap();
            assert!(logged.ends_with('…') && line.len() <= LOGGED_LENGTH + 5, "{}: {line}", line.len());
        }
    }
}
