//! The steps of a scrape, each once, over recorded answers: for callgrind, which looks at nothing but [`step`].

use std::hint::black_box;

use aws_sdk_dynamodb::Client;
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;
use testing::calls::{self, Event};
use wafer_metrics::exposition::{self, EndpointFigures, EndpointSnapshot, Format, Snapshot};
use wafer_metrics::http::event;
use wafer_metrics::http::negotiation::Encoding;
use wafer_metrics::http::reply;
use wafer_metrics::http::request::ScrapeRequest;
use wafer_metrics::model::host::Host;
use wafer_metrics::model::quota::{self, RateLimit};
use wafer_metrics::model::request_id::RequestId;
use wafer_metrics::model::summary::{DenseSummary, Summary};
use wafer_metrics::model::window::Minute;
use wafer_metrics::stores::rollups;

use crate::database::Database;
use crate::floor::{Recorder, Recording};
use crate::replay::Answers;
use crate::tables::{self, NOW};

/// What the process is told to be.
pub const ROLE: &str = "steps";

/// Does a step and names it.
fn step<T>(name: &str, work: impl FnOnce() -> T) -> T {
    println!("{name}");
    let (mut work, mut done) = (Some(work), None);
    measured(&mut || done = work.take().map(|work| work()));
    done.unwrap()
}

/// What callgrind looks at, and finds by this name.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // Not a jump, after which the name would be left.
    black_box(());
}

pub fn take(case: &str, view: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Recorded { event, host, recording, client } = runtime.block_on(record(case, view));
    let service = calls::scrape(&client);
    let now = NOW.parse().unwrap();
    // The first does what later ones need not.
    runtime.block_on(service.handle(event.clone(), now)).unwrap();

    let payload = event.payload.clone();
    step("parse", || ScrapeRequest::parse(&event::parse(&payload).unwrap()).unwrap());
    step("bare calls", || runtime.block_on(recording.repeat(&client, 0)));
    let stored = runtime.block_on(recording.summaries(&client));
    let window = step("decode and add up", || {
        let mut sum = DenseSummary::default();
        for summary in &stored {
            rollups::decode_onto(&mut sum, summary).unwrap();
        }
        sum.take()
    });
    let sketches = [&window.ttft.sketch, &window.duration.sketch, &window.speed.sketch];
    step("quantiles", || sketches.map(|sketch| sketch.quantiles([10, 50, 90, 99]).collect::<Vec<_>>()));
    let snapshot = snapshot(&host, window);
    let written = step("write", || exposition::write(&snapshot, Format::OpenMetrics));
    let (id, limit) = (RequestId::from_invocation("an invocation"), RateLimit::from_slots(quota::PER_KEY, &[], now));
    let response = step("gzip", || reply::exposition(&id, limit, written, Format::OpenMetrics, Encoding::Gzip));
    step("reply", || serde_json::to_vec(&response).unwrap());
    let response = step("event to reply", || runtime.block_on(service.handle(event, now)));
    assert_eq!(response.unwrap().status_code, 200);
}

/// A call, and what DynamoDB was asked and answered.
struct Recorded {
    event: LambdaEvent<Box<RawValue>>,
    host: Host,
    recording: Recording,
    /// Is answered from memory.
    client: Client,
}

async fn record(case: &str, view: &str) -> Recorded {
    let database = Database::start(1);
    let wire = calls::impatient_client(database.address);
    let cases = tables::cases();
    let case = cases.iter().find(|other| other.name == case).unwrap();
    let query = format!("endpoint={}&view={view}", case.hosts.join(","));
    let event = Event::of(include_str!("../../events/scrape.json")).key(&tables::key(0)).query(&query);
    let (recorder, answers) = (Recorder::default(), Answers::default());
    let service = calls::scrape(&recorder.client(&answers.record(&wire)));
    // The answer to a write is that invocation's.
    let event = LambdaEvent::new(event.payload(), calls::invocation("wafer-metrics-scrape"));
    assert_eq!(service.handle(event.clone(), NOW.parse().unwrap()).await.unwrap().status_code, 200);
    let host = Host::parse(&case.hosts[0]).unwrap();
    Recorded { event, host, recording: recorder.take(), client: answers.replay(&wire) }
}

fn snapshot(host: &Host, window: Summary) -> Snapshot {
    let endpoint = EndpointSnapshot {
        endpoint: host.clone(),
        figures: EndpointFigures::Window(window),
        concurrent_requests: 660,
        engine: None,
    };
    Snapshot {
        endpoints: vec![endpoint],
        window_end: Minute::floor(NOW.parse().unwrap()),
        counting_since: None,
        key_expires_at: None,
        budget_remaining: 5,
    }
}
