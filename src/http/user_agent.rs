//! Which programs call, by what they say of themselves.

use lambda_http::http::HeaderName;
use lambda_http::http::header::{AUTHORIZATION, USER_AGENT};

use crate::http::event::HttpRequest;

const LONGEST_NAME: usize = 31;
const LONGEST_VERSION: usize = 16;
/// No key is as short.
const SHORT: usize = 7;
/// Of all names and versions together.
const LENGTH: usize = 100;

impl HttpRequest {
    /// Names and versions out of `User-Agent`, such as `Prometheus/3.5.0`. What else a caller writes there is left out:
    /// it may be a key.
    pub fn programs(&self) -> String {
        let user_agent = self.texts(&USER_AGENT).next().unwrap_or_default();
        let mut keys = self.texts(&AUTHORIZATION).filter_map(|value| value.split(' ').next_back());
        if keys.any(|key| user_agent.contains(key)) {
            return String::new();
        }
        let mut programs = String::new();
        for program in user_agent.split_ascii_whitespace().filter_map(program) {
            if programs.len() + program.len() >= LENGTH {
                break;
            }
            if !programs.is_empty() {
                programs.push(' ');
            }
            programs.push_str(program);
        }
        programs
    }

    fn texts(&self, header: &HeaderName) -> impl Iterator<Item = &str> {
        self.headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok())
    }
}

/// A word's name, with its version where it has one. A key of some length has digits among its letters, a name has
/// none.
fn program(word: &str) -> Option<&str> {
    let (name, version) = word.split_once('/').unwrap_or((word, ""));
    let short = name.len() <= SHORT && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let letters = name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(&byte));
    let named = !name.is_empty() && (short || letters && name.len() <= LONGEST_NAME);
    named.then_some(if is_version(version) { word } else { name })
}

fn is_version(text: &str) -> bool {
    let number = text.strip_prefix('v').unwrap_or(text);
    (1..=LONGEST_VERSION).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderMap;

    use super::*;

    fn programs(user_agent: &str) -> String {
        let headers = [(USER_AGENT, user_agent), (AUTHORIZATION, "Bearer correct-horse-battery")];
        let headers = HeaderMap::from_iter(headers.map(|(name, value)| (name, value.parse().unwrap())));
        HttpRequest { headers, ..HttpRequest::default() }.programs()
    }

    #[test]
    fn programs_are_named_as_they_name_themselves() {
        for known in [
            "Prometheus/3.5.0",
            "vm_promscrape",
            "Telegraf/1.38.0 Go/1.25.1",
            "Datadog Agent/7.60.0",
            "Alloy/v1.11.3",
            "python-requests/2.31.0",
            "Go-http-client/1.1",
            "urllib3/2",
        ] {
            assert_eq!(programs(known), known);
        }
        let collector = "OpenTelemetry Collector Contrib/0.130.0 (linux/amd64)";
        assert_eq!(programs(collector), "OpenTelemetry Collector Contrib/0.130.0");
        assert_eq!(programs("Prometheus/3.5.0-rc.1"), "Prometheus");
    }

    #[test]
    fn what_may_be_a_key_is_left_out() {
        for (written, kept) in [
            ("curl/8.5.0 wafer_Zq3vYx0bN8mKc5uJwRt7gLhPa2sDf4eGi6oTz9yUQkE", "curl/8.5.0"),
            ("scraper/9f86d081884c7d659a2feaa0c55ad015", "scraper"),
            ("9f86d081884c7d659a2feaa0c55ad015/1.0", ""),
            ("key=sk-12345678", ""),
            // The key of the call itself, whatever it looks like.
            ("correct-horse-battery", ""),
            ("curl/8.5.0 my-correct-horse-battery", ""),
        ] {
            assert_eq!(programs(written), kept, "{written}");
        }
    }

    #[test]
    fn a_long_user_agent_is_cut() {
        let programs = programs(&"scraper/1.0 ".repeat(700));
        assert!(programs.starts_with("scraper/1.0 scraper/1.0") && programs.len() <= 100, "{programs}");
    }
}
