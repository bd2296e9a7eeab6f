//! Host names, as an `endpoint` is named in requests, key records and request logs.

use std::fmt;

/// The longest host name DNS carries in text form (RFC 1123 §2.1, RFC 1035 §2.3.4).
const MAX_LENGTH: usize = 253;
const MAX_LABEL_LENGTH: usize = 63;

/// A DNS host name in lower case, without port, scheme, trailing dot or underscore (RFC 1123 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl Host {
    /// Reads a host name in any case; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() <= MAX_LENGTH && text.split('.').all(is_label);
        valid.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which of its endpoints a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// These, in this order.
    Named(Vec<Host>),
    /// All of them, in the order of names: at least one, and at most so many.
    AllUpTo(usize),
    /// All of them, however many, in the order of names.
    All,
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    bytes.len() <= MAX_LABEL_LENGTH
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_kept_in_lower_case() {
        assert_eq!(Host::parse("Chat.Demo.Example").unwrap().as_str(), "chat.demo.example");
    }

    #[test]
    fn accepts_what_rfc_1123_allows() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(longest.len(), 253);
        for name in ["a", "localhost", "3com.example", "a-b.example", "10.0.0.1", "xn--bcher-kva.example", &longest] {
            assert!(Host::parse(name).is_some(), "{name}");
        }
    }

    #[test]
    fn refuses_what_is_no_host_name() {
        let label_of_64 = "a".repeat(64);
        let too_long = format!("{}.{}", vec!["a".repeat(63); 3].join("."), "b".repeat(62));
        assert_eq!(too_long.len(), 254);
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a.-b",
            "a_b",
            "a:443",
            "https://a",
            "a/b",
            "a b",
            "a ",
            "\"a\"",
            "a\0",
            "ä.example",
            "\u{212a}.example",
            "a,b",
            &label_of_64,
            &too_long,
        ] {
            assert!(Host::parse(name).is_none(), "{name:?}");
        }
    }
}
