//! What the query string asks for.

use std::borrow::Cow;

use crate::exposition::View;
use crate::http::request::RequestError;
use crate::model::host::{Asked, Host};
use crate::model::range::BinnedRange;

/// How many different endpoints one scrape may have.
pub const MAX_ENDPOINTS: usize = 20;

/// The different hosts that it names, by repeating the parameter or separated by commas; or all of the key's, by `*`
/// alone.
pub fn endpoints(query: &str) -> Result<Asked, RequestError> {
    let named: Vec<_> = values(query, "endpoint").collect();
    if let [all] = named.as_slice()
        && all == "*"
    {
        return Ok(Asked::AllUpTo(MAX_ENDPOINTS));
    }
    let mut hosts = Vec::new();
    for name in named.iter().flat_map(|value| value.split(',')) {
        let host = Host::parse(name).ok_or(RequestError::InvalidEndpoint)?;
        if !hosts.contains(&host) {
            if hosts.len() == MAX_ENDPOINTS {
                return Err(RequestError::InvalidEndpoint);
            }
            hosts.push(host);
        }
    }
    if hosts.is_empty() { Err(RequestError::InvalidEndpoint) } else { Ok(Asked::Named(hosts)) }
}

/// The one host that it names.
pub fn endpoint(query: &str) -> Result<Host, RequestError> {
    match endpoints(query)? {
        Asked::Named(mut hosts) if hosts.len() == 1 => hosts.pop().ok_or(RequestError::InvalidEndpoint),
        _ => Err(RequestError::InvalidEndpoint),
    }
}

/// The view that it names, if any.
pub fn view(query: &str) -> Result<Option<View>, RequestError> {
    let mut view: Option<View> = None;
    for value in values(query, "view") {
        for name in value.split(',') {
            let named = View::named(name).ok_or(RequestError::InvalidView)?;
            view = Some(view.map_or(named, |view| view.or(named)));
        }
    }
    Ok(view)
}

/// The range that it names, or an hour.
pub fn range(query: &str) -> Result<BinnedRange, RequestError> {
    let mut named = values(query, "range_minutes");
    match (named.next(), named.next()) {
        (None, _) => Ok(BinnedRange::HOUR),
        (Some(minutes), None) => BinnedRange::parse(&minutes).ok_or(RequestError::InvalidRange),
        (Some(_), Some(_)) => Err(RequestError::InvalidRange),
    }
}

/// A parameter's values, in order.
fn values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).filter(move |(key, _)| key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_the_window_the_counters_or_both() {
        for (query, named) in [
            ("", None),
            ("View=counters", None),
            ("view=window", Some(View::Window)),
            ("view=counters", Some(View::Counters)),
            ("view=counters&view=counters", Some(View::Counters)),
            ("view=window,counters", Some(View::Both)),
            ("view=counters&view=window", Some(View::Both)),
            ("view=counters%2Cwindow", Some(View::Both)),
        ] {
            assert_eq!(view(query), Ok(named), "{query}");
        }
        for query in ["view", "view=", "view=both", "view=Window", "view=window,", "view=window&view=", "view=+window"]
        {
            assert_eq!(view(query), Err(RequestError::InvalidView), "{query}");
        }
    }

    #[test]
    fn a_range_is_named_once_or_is_an_hour() {
        assert_eq!(range("x=5"), Ok(BinnedRange::HOUR));
        assert_eq!(range("range_minutes=1440"), Ok(BinnedRange::parse("1440").unwrap()));
        for query in ["range_minutes", "range_minutes=7", "range_minutes=5&range_minutes=5", "range_minutes=5,15"] {
            assert_eq!(range(query), Err(RequestError::InvalidRange), "{query}");
        }
    }

    fn named(query: &str) -> Option<String> {
        match endpoints(query).ok()? {
            Asked::Named(hosts) => Some(hosts.iter().map(Host::as_str).collect::<Vec<_>>().join(" ")),
            Asked::AllUpTo(_) | Asked::All => Some("*".to_owned()),
        }
    }

    #[test]
    fn endpoints_come_in_the_order_asked_and_each_once() {
        for (query, hosts) in [
            ("endpoint=b.example&x=1&endpoint=A.example&endpoint=B.EXAMPLE", "b.example a.example"),
            ("%65ndpoint=%61.example", "a.example"),
            ("endpoint=b.example,a.example&endpoint=c.example,b.example", "b.example a.example c.example"),
            ("endpoint=a.example%2Cb.example", "a.example b.example"),
            ("a b=\"c\"&endpoint=a.example", "a.example"),
            ("&&=&%zz=%&endpoint=a.example&", "a.example"),
            (&("x=1&".repeat(10_000) + "endpoint=a.example"), "a.example"),
            ("endpoint=*", "*"),
        ] {
            assert_eq!(named(query).as_deref(), Some(hosts), "{query:.80}");
        }
        let twenty: Vec<_> = (0..20).map(|n| format!("h{n}.example")).collect();
        for separator in [",", "&endpoint="] {
            let twenty = format!("endpoint={}", twenty.join(separator));
            assert!(named(&twenty).is_some());
            assert!(named(&format!("{twenty}{separator}H0.example")).is_some());
            assert_eq!(named(&format!("{twenty}{separator}h20.example")), None);
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for query in [
            "",
            "endpoint",
            "endpoint=",
            "Endpoint=a",
            "endpoint=a&endpoint=",
            "endpoint=a,",
            "endpoint=,a",
            "endpoint=a,,b",
            "endpoint=a%2C",
            "endpoint=a+",
            "endpoint=a%00",
            "endpoint=a, b",
            "endpoint=a+b",
            "endpoint=%zz",
            "endpoint=%ff",
            "endpoint=*,a",
            "endpoint=*&endpoint=*",
            "endpoint=*&endpoint=a",
            "endpoint=**",
        ] {
            assert_eq!(named(query), None, "{query}");
        }
    }

    #[test]
    fn one_host_is_one_however_often_it_is_named() {
        assert_eq!(endpoint("endpoint=a.example&endpoint=A.EXAMPLE"), Ok(Host::parse("a.example").unwrap()));
        for query in ["", "endpoint=*", "endpoint=a.example,b.example"] {
            assert_eq!(endpoint(query), Err(RequestError::InvalidEndpoint), "{query}");
        }
    }
}
