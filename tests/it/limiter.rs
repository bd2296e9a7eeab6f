//! Six calls in any 59 s for each key, exactly, however many instances answer.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testing::dynamodb::tables::{API_KEYS, RATE_LIMITS};
use testing::proxy::{Fault, Proxy};
use tokio::task::JoinSet;
use wafer_metrics::answer::Service;
use wafer_metrics::error::chain;
use wafer_metrics::model::api_key::KeyHash;
use wafer_metrics::model::host::{Asked, Host};
use wafer_metrics::model::quota;
use wafer_metrics::model::request_id::RequestId;
use wafer_metrics::stores::api_keys::ApiKeys;
use wafer_metrics::stores::rate_limits::{LimitError, RateLimits};

use crate::fixture::*;

const HELD_MS: i64 = 59_000;
/// Calls at times that are drawn come a day later: tests of the log find their lines by the time.
const DAY_MS: i64 = 86_400_000;

/// Instances of the function, each with a client of its own.
fn instances(database: SocketAddr, count: usize) -> Vec<Arc<Service>> {
    (0..count).map(|_| Arc::new(scrape(&client(database)))).collect()
}

/// Puts a good key that no other test uses.
async fn new_key(database: SocketAddr, number: usize) -> String {
    let key = format!("limited-key-{number}");
    put_key(&client(database), &key, "dedicated", &[CHAT], &[]).await;
    key
}

/// Whether a call is admitted; that its data may be stale by then is another matter.
async fn admits(scrape: &Service, key: &str, at_ms: i64) -> bool {
    let reply = call(scrape, &Event::scrape().key(key), after(at_ms)).await;
    assert!(matches!(reply.status, 200 | 429 | 502), "{reply:?}");
    reply.status != 429
}

/// The plain model of the limit: when each admitted call came.
#[derive(Default)]
struct Model(Vec<i64>);

impl Model {
    fn admits(&mut self, at_ms: i64) -> bool {
        let held = self.0.iter().filter(|taken| **taken > at_ms - HELD_MS).count();
        if held < 6 {
            self.0.push(at_ms);
        }
        held < 6
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_calls_at_once_over_fifty_keys_and_four_instances_six_a_key_are_admitted() {
    let database = dynamodb().await;
    // The stores have no deadline: a thousand calls at once take as long as the machine does.
    let instance = |_| {
        let client = client(database);
        let limits = RateLimits::new(client.clone(), RATE_LIMITS.to_owned(), quota::PER_KEY, "");
        Arc::new((ApiKeys::new(client, API_KEYS.to_owned()), limits))
    };
    let instances: Vec<_> = (0..4).map(instance).collect();
    let mut keys = Vec::new();
    for number in 0..50 {
        keys.push(new_key(database, number).await);
    }
    let mut calls = JoinSet::new();
    for number in 0..1_000 {
        let (instance, key) = (Arc::clone(&instances[number % 4]), keys[number / 4 % 50].clone());
        calls.spawn(async move {
            let hash = KeyHash::from_authorization(format!("Bearer {key}").as_bytes()).unwrap();
            let asked = Asked::Named(vec![Host::parse(CHAT).unwrap()]);
            let grant = instance.0.authorize(hash, asked, now()).await.unwrap();
            let id = RequestId::from_invocation(&number.to_string());
            (key, instance.1.admit(&grant, &id, now()).await)
        });
    }
    let answers = calls.join_all().await;
    for key in &keys {
        let (mut left, mut refused) = (Vec::new(), 0);
        for (_, answer) in answers.iter().filter(|(of, _)| of == key) {
            let limit = match answer {
                Ok(admission) => {
                    left.push(admission.limit().remaining);
                    admission.limit()
                }
                Err(LimitError::Exceeded(limit)) => {
                    assert_eq!(limit.remaining, 0);
                    refused += 1;
                    *limit
                }
                Err(error @ LimitError::Unavailable(_)) => panic!("{}", chain(error)),
            };
            assert_eq!(limit.frees_in_seconds, 59);
        }
        left.sort_unstable();
        assert_eq!((left, refused), ((0..6).collect(), 14), "{key}");
    }
}

/// Runs a property against a database of its own; each case has a key of its own.
#[expect(clippy::needless_pass_by_value, reason = "a closure in place reads best")]
fn property<S: Strategy>(
    cases: u32,
    strategy: S,
    test: impl AsyncFn(&[Arc<Service>], &str, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let database = runtime.block_on(dynamodb());
    let instances = instances(database, 2);
    let case = std::sync::atomic::AtomicUsize::new(1_000);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let result = runner.run(&strategy, |value| {
        runtime.block_on(async {
            let key = new_key(database, case.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).await;
            test(&instances, &key, value).await
        })
    });
    result.unwrap();
}

#[test]
fn calls_are_admitted_exactly_when_the_model_admits_them() {
    let gaps = prop::collection::vec((prop_oneof![0_i64..3, 0_i64..15_000, 58_990_i64..59_010], 0_usize..2), 1..25);
    property(24, gaps, async |instances, key, gaps| {
        let (mut model, mut at_ms) = (Model::default(), DAY_MS);
        for (gap, instance) in gaps {
            at_ms += gap;
            prop_assert_eq!(admits(&instances[instance], key, at_ms).await, model.admits(at_ms), "at {} ms", at_ms);
        }
        Ok(())
    });
}

#[test]
fn clocks_that_differ_by_50_ms_move_the_bound_by_as_much_and_no_more() {
    const SKEW_MS: i64 = 50;
    let calls = prop::collection::vec(
        (prop_oneof![0_i64..3, 0_i64..15_000, 58_900_i64..59_100], -25_i64..=25, 0_usize..2),
        1..25,
    );
    property(24, calls, async |instances, key, calls| {
        let (mut admitted, mut at_ms) = (Vec::new(), DAY_MS);
        for (gap, offset, instance) in calls {
            at_ms += gap;
            let held = |for_ms: i64| admitted.iter().filter(|taken| **taken > at_ms - for_ms).count();
            let (surely_held, maybe_held) = (held(HELD_MS - SKEW_MS), held(HELD_MS + SKEW_MS));
            if admits(&instances[instance], key, at_ms + offset).await {
                prop_assert!(surely_held < 6, "a seventh at {} ms", at_ms);
                admitted.push(at_ms);
            } else {
                prop_assert!(maybe_held >= 6, "refused at {} ms", at_ms);
            }
        }
        Ok(())
    });
}

#[test]
fn a_scraper_on_a_10_s_interval_that_jitters_by_50_ms_is_never_refused() {
    property(3, prop::collection::vec(-50_i64..=50, 60), async |instances, key, jitters| {
        for (number, jitter) in (0_i64..).zip(jitters) {
            let at_ms = DAY_MS + 10_000 * number + jitter;
            prop_assert!(admits(&instances[usize::from(number % 2 == 1)], key, at_ms).await, "at {} ms", at_ms);
        }
        Ok(())
    });
}

#[tokio::test]
async fn retry_after_is_the_first_whole_second_at_which_a_call_is_admitted() {
    let database = dynamodb().await;
    for (number, refused_at) in [(0, 5_000), (1, 5_001), (2, 5_999), (3, 30_000), (4, 58_999)] {
        let key = new_key(database, number).await;
        let [scrape, other] = &instances(database, 2)[..] else { unreachable!() };
        for at_ms in [0, 1_000, 2_000, 3_000, 4_000, 4_500] {
            assert!(admits(scrape, &key, at_ms).await);
        }
        let refused = call(scrape, &Event::scrape().key(&key), after(refused_at)).await;
        let wait: i64 = refused.header("retry-after").parse().unwrap();
        assert_eq!(refused.header("ratelimit"), format!("\"per-key\";r=0;t={wait}"));
        assert_eq!(refused.header("ratelimit-policy"), "\"per-key\";q=6;w=60");
        assert!(
            !admits(other, &key, refused_at + 1_000 * (wait - 1)).await,
            "a second sooner, refused at {refused_at}"
        );
        let admitted = call(other, &Event::scrape().key(&key), after(refused_at + 1_000 * wait)).await;
        assert_eq!(admitted.status, 200, "refused at {refused_at}");
        assert!(admitted.header("ratelimit").starts_with("\"per-key\";r=0;t="), "{admitted:?}");
    }
}

#[tokio::test]
async fn an_answer_lost_after_the_write_is_charged_once() {
    let proxy = Proxy::to(dynamodb().await).await;
    let scrape = scrape(&client(proxy.address));
    proxy.breaks_times(1, "UpdateItem rate_limits", Fault::AnswerLost);
    let reply = call(&scrape, &Event::scrape(), now()).await;
    assert_eq!((reply.status, reply.value("wafer_scrape_budget_remaining")), (200, Some("5")));
    assert_eq!(proxy.calls().iter().filter(|call| *call == "UpdateItem rate_limits").count(), 2);
    let next = call(&scrape, &Event::scrape(), now()).await;
    assert_eq!(next.value("wafer_scrape_budget_remaining"), Some("4"));
}

#[tokio::test]
async fn an_answer_lost_after_the_sixth_write_is_still_a_yes() {
    let proxy = Proxy::to(dynamodb().await).await;
    let scrape = scrape(&client(proxy.address));
    for _ in 0..5 {
        assert!(admits(&scrape, DEDICATED_KEY, 0).await);
    }
    proxy.breaks_times(1, "UpdateItem rate_limits", Fault::AnswerLost);
    assert!(admits(&scrape, DEDICATED_KEY, 0).await);
    assert!(!admits(&scrape, DEDICATED_KEY, 0).await);
}

#[tokio::test]
async fn a_key_has_one_small_item_that_expires_and_refused_calls_leave_none() {
    let database = dynamodb().await;
    let (scrape, client) = (scrape(&client(database)), client(database));
    let items = async || client.scan().table_name("rate_limits").send().await.unwrap().items.unwrap();
    let good = Event::scrape;
    for refused in [
        good().key(UNKNOWN_KEY),
        good().key(REVOKED_KEY),
        good().key(SERVERLESS_KEY),
        good().query("endpoint=x"),
        good().query(""),
        good().path("/"),
    ] {
        assert_ne!(call(&scrape, &refused, now()).await.status, 200);
    }
    assert_eq!(items().await, []);
    for number in 0..40 {
        admits(&scrape, DEDICATED_KEY, 10_000 * number).await;
    }
    let items = items().await;
    let [item] = &items[..] else { panic!("{items:?}") };
    assert_eq!(item["key_hash"], AttributeValue::S(hash(DEDICATED_KEY)));
    let expiry: i64 = item["expires_at"].as_n().unwrap().parse().unwrap();
    assert!((after(390_000).as_second()..after(390_000).as_second() + 86_400).contains(&expiry));
    // Six times and takers, the key and the expiry.
    assert_eq!(item.len(), 14);
}

#[tokio::test]
async fn a_flood_of_one_key_costs_a_warm_instance_no_write_and_ends_on_time() {
    let proxy = Proxy::to(dynamodb().await).await;
    let scrape = scrape(&client(proxy.address));
    for _ in 0..100 {
        admits(&scrape, DEDICATED_KEY, 0).await;
    }
    let writes = || proxy.calls().iter().filter(|call| *call == "UpdateItem rate_limits").count();
    assert_eq!(writes(), 7, "six that were admitted and the first that was not");
    assert!(!admits(&scrape, DEDICATED_KEY, HELD_MS - 1).await);
    assert_eq!(writes(), 0);
    assert!(admits(&scrape, DEDICATED_KEY, HELD_MS).await);
}

#[tokio::test]
async fn a_failed_summary_is_charged_and_a_refused_call_is_not() {
    let database = dynamodb().await;
    let scrape = scrape(&client(database));
    let stale = 600_000;
    for left in (0..6).rev() {
        assert_eq!(call(&scrape, &Event::scrape().query("endpoint=x"), after(stale)).await.status, 403);
        let reply = call(&scrape, &Event::scrape(), after(stale)).await;
        assert_eq!((reply.status, reply.header("ratelimit")), (502, format!("\"per-key\";r={left};t=59").as_str()));
    }
    assert!(!admits(&scrape, DEDICATED_KEY, stale).await);
    assert!(admits(&scrape, METRICS_KEY, stale).await, "another key has slots of its own");
}
