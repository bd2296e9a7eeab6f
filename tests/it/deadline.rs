//! An answer is sent before the caller gives up, whatever hangs.

use std::time::{Duration, Instant};

use testing::proxy::{Fault, Proxy};

use crate::fixture::*;

/// Status, and how long the answer took in seconds.
async fn timed(proxy: &Proxy, timeout: Option<&str>) -> (i64, f64) {
    let scrape = scrape(&client(proxy.address));
    let event = Event::scrape().without_header("x-prometheus-scrape-timeout-seconds");
    let event = match timeout {
        Some(timeout) => event.header("x-prometheus-scrape-timeout-seconds", timeout),
        None => event,
    };
    let started = Instant::now();
    let status = call(&scrape, &event, now()).await.status;
    (status, started.elapsed().as_secs_f64())
}

#[tokio::test]
async fn reads_that_hang_are_504_just_before_the_deadline_and_end_with_it() {
    for call in ["Query rollups", "GetItem rollups"] {
        let proxy = Proxy::to(dynamodb().await).await;
        proxy.breaks(call, Fault::Hangs);
        for (timeout, from, to) in [("0.4", 0.15, 1.1), ("1.5", 0.9, 1.8), ("2.000", 1.4, 2.3)] {
            let (status, seconds) = timed(&proxy, Some(timeout)).await;
            assert_eq!(status, 504, "{call} {timeout}");
            assert!((from..to).contains(&seconds), "{call} {timeout}: {seconds}");
        }
        // None of the calls that hung is left waiting.
        let hung = proxy.calls().iter().filter(|name| *name == call).count();
        tokio::time::timeout(Duration::from_secs(10), proxy.abandoned(hung)).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_store_or_limiter_that_hangs_is_503_before_the_deadline() {
    for call in ["GetItem api_keys", "UpdateItem rate_limits"] {
        let proxy = Proxy::to(dynamodb().await).await;
        proxy.breaks(call, Fault::Hangs);
        let (status, seconds) = timed(&proxy, Some("1.5")).await;
        assert_eq!(status, 503, "{call}");
        assert!((0.9..1.8).contains(&seconds), "{call}: {seconds}");
    }
}

#[tokio::test]
async fn a_call_that_hangs_is_tried_twice_within_the_usual_timeout_of_10_s() {
    let proxy = Proxy::to(dynamodb().await).await;
    proxy.breaks("GetItem api_keys", Fault::Hangs);
    let (status, seconds) = timed(&proxy, Some("10")).await;
    assert_eq!(status, 503);
    assert!(seconds < 5.0, "{seconds}");
    assert!(proxy.calls().len() >= 2);
}

#[tokio::test]
async fn a_caller_that_states_no_timeout_or_none_that_is_a_number_is_answered_just_before_4_and_a_half_seconds() {
    let mut calls = tokio::task::JoinSet::new();
    for timeout in [None, Some("0"), Some("-1"), Some("nan"), Some("inf"), Some(""), Some("1,1")] {
        calls.spawn(async move {
            let proxy = Proxy::to(dynamodb().await).await;
            // The SDK gives the key a second try, and would give up the reads only after the deadline.
            proxy.breaks_times(1, "GetItem api_keys", Fault::Hangs);
            proxy.breaks("Query rollups", Fault::Hangs);
            (timeout, timed(&proxy, timeout).await)
        });
    }
    for (timeout, (status, seconds)) in calls.join_all().await {
        assert_eq!(status, 504, "{timeout:?}");
        assert!((4.3..6.0).contains(&seconds), "{timeout:?}: {seconds}");
    }
}
