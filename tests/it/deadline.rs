//! An answer is sent before the caller gives up, whatever hangs.

use std::ops::Range;
use std::time::{Duration, Instant};

use testing::proxy::{Fault, Proxy};

use crate::fixture::*;

/// A busy machine is late now and then. What is late by itself is so each time.
const TRIES: usize = 3;

/// Status, and how long the answer took in seconds.
async fn timed(proxy: &Proxy, timeout: Option<&str>) -> (i64, f64) {
    let scrape = scrape(&impatient_client(proxy.address));
    let event = Event::scrape().without_timeout();
    let event = match timeout {
        Some(timeout) => event.waiting(timeout),
        None => event,
    };
    let started = Instant::now();
    let status = call(&scrape, &event, now()).await.status;
    (status, started.elapsed().as_secs_f64())
}

/// A database where that call hangs, after a scrape with that timeout was answered as it must be.
async fn answered(hanging: &str, timeout: &str, status: i64, seconds: Range<f64>) -> Proxy {
    let mut others = Vec::new();
    for _ in 0..TRIES {
        let proxy = Proxy::to(dynamodb().await).await;
        proxy.breaks(hanging, Fault::Hangs);
        let answer = timed(&proxy, Some(timeout)).await;
        assert!(answer.1 >= seconds.start, "{hanging} {timeout}: {answer:?} is too early");
        if answer.0 == status && seconds.contains(&answer.1) {
            return proxy;
        }
        others.push(answer);
    }
    panic!("{hanging} {timeout}: {others:?}")
}

#[tokio::test]
async fn reads_that_hang_are_504_just_before_the_deadline_and_end_with_it() {
    for call in ["Query rollups", "GetItem rollups"] {
        for (timeout, seconds) in [("0.4", 0.15..1.1), ("1.5", 0.9..1.8), ("2.000", 1.4..2.3)] {
            let proxy = answered(call, timeout, 504, seconds).await;
            // None of the calls that hung is left waiting.
            let hung = proxy.calls().iter().filter(|name| *name == call).count();
            tokio::time::timeout(Duration::from_secs(10), proxy.abandoned(hung)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_store_or_limiter_that_hangs_is_503_before_the_deadline() {
    for call in ["GetItem api_keys", "UpdateItem rate_limits"] {
        answered(call, "1.5", 503, 0.9..1.8).await;
    }
}

#[tokio::test]
async fn a_call_that_hangs_is_tried_twice_within_the_usual_timeout_of_10_s() {
    let proxy = answered("GetItem api_keys", "10", 503, 0.0..5.0).await;
    assert!(proxy.calls().len() >= 2);
}

#[tokio::test]
async fn a_caller_that_states_no_timeout_or_none_that_is_a_number_is_answered_just_before_4_and_a_half_seconds() {
    let in_time = |(status, seconds): &(i64, f64)| *status == 504 && (4.3..6.0).contains(seconds);
    let mut calls = tokio::task::JoinSet::new();
    for timeout in [None, Some("0"), Some("-1"), Some("nan"), Some("inf"), Some(""), Some("1,1")] {
        calls.spawn(async move {
            let mut answers = Vec::new();
            while answers.len() < TRIES && !answers.iter().any(in_time) {
                let proxy = Proxy::to(dynamodb().await).await;
                // The SDK gives the key a second try, and would give up the reads only after the deadline.
                proxy.breaks_times(1, "GetItem api_keys", Fault::Hangs);
                proxy.breaks("Query rollups", Fault::Hangs);
                answers.push(timed(&proxy, timeout).await);
            }
            (timeout, answers)
        });
    }
    for (timeout, answers) in calls.join_all().await {
        assert!(!answers.iter().any(|(status, seconds)| *status == 504 && *seconds < 4.3), "{timeout:?}: {answers:?}");
        assert!(answers.iter().any(in_time), "{timeout:?}: {answers:?}");
    }
}
