//! The product end to end: 24 h of the shipped traces, both functions, over the wire.

use std::fs;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use local_stack::stack::{Options, Stack};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::http;

const TARGET: &str = "/v1/endpoints/metrics/prometheus?endpoint=chat.demo.example";
const KEY: &str = "Authorization: Bearer demo-dedicated-key";

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_answers_24_hours_of_the_trace_and_the_next_minute_moves_it_on() {
    let time: Arc<Mutex<Timestamp>> = Arc::new(Mutex::new("2026-11-24T20:15:30Z".parse().unwrap()));
    let clock = {
        let time = Arc::clone(&time);
        Arc::new(move || *time.lock().unwrap())
    };
    let options =
        Options::parse_from(["local-stack", "--listen=127.0.0.1:0", "--dynamodb=127.0.0.1:0", "--athena=127.0.0.1:0"]);
    let mut stack = Stack::start(&options, clock).await.unwrap();
    stack.catch_up(true).await.unwrap();

    let scrape = http::get(stack.front(), TARGET, &[KEY]).await;
    assert_eq!(scrape.status, 200, "{}", scrape.text());
    assert_eq!(scrape.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    insta::assert_snapshot!(scrape.text(), @r#"
    # HELP wafer_requests_last_24h Requests that ended in the 24 h window, by status class.
    # TYPE wafer_requests_last_24h gauge
    wafer_requests_last_24h{endpoint="chat.demo.example",status_class="2xx"} 474100
    wafer_requests_last_24h{endpoint="chat.demo.example",status_class="4xx"} 2893
    wafer_requests_last_24h{endpoint="chat.demo.example",status_class="5xx"} 1421
    # HELP wafer_input_tokens_last_24h Input tokens billed in the 24 h window.
    # TYPE wafer_input_tokens_last_24h gauge
    wafer_input_tokens_last_24h{endpoint="chat.demo.example"} 552441151
    # HELP wafer_output_tokens_last_24h Output tokens billed in the 24 h window.
    # TYPE wafer_output_tokens_last_24h gauge
    wafer_output_tokens_last_24h{endpoint="chat.demo.example"} 99902239
    # HELP wafer_cache_read_tokens_last_24h Input tokens served from the prompt cache in the 24 h window.
    # TYPE wafer_cache_read_tokens_last_24h gauge
    wafer_cache_read_tokens_last_24h{endpoint="chat.demo.example"} 139972144
    # HELP wafer_cache_hit_ratio_last_24h Cache-read tokens over input tokens in the 24 h window, 0 to 1.
    # TYPE wafer_cache_hit_ratio_last_24h gauge
    wafer_cache_hit_ratio_last_24h{endpoint="chat.demo.example"} 0.25337023454286445
    # HELP wafer_ttft_seconds Time to the first token of successful streaming requests over the 24 h window, by quantile. Quantiles cannot be averaged.
    # TYPE wafer_ttft_seconds gauge
    wafer_ttft_seconds{endpoint="chat.demo.example",quantile="0.5"} 0.12567689492698783
    wafer_ttft_seconds{endpoint="chat.demo.example",quantile="0.9"} 0.35546793856536923
    wafer_ttft_seconds{endpoint="chat.demo.example",quantile="0.95"} 0.5081817063437493
    wafer_ttft_seconds{endpoint="chat.demo.example",quantile="0.99"} 0.932009358799734
    # HELP wafer_request_duration_seconds End-to-end duration of successful requests over the 24 h window, by quantile. Quantiles cannot be averaged.
    # TYPE wafer_request_duration_seconds gauge
    wafer_request_duration_seconds{endpoint="chat.demo.example",quantile="0.5"} 2.5518461408636606
    wafer_request_duration_seconds{endpoint="chat.demo.example",quantile="0.9"} 8.49089332230407
    wafer_request_duration_seconds{endpoint="chat.demo.example",quantile="0.99"} 12.138694348429206
    # HELP wafer_output_tokens_per_second Output tokens per second of each successful request over the 24 h window, by quantile. Quantiles cannot be averaged.
    # TYPE wafer_output_tokens_per_second gauge
    wafer_output_tokens_per_second{endpoint="chat.demo.example",quantile="0.1"} 38.67733125748544
    wafer_output_tokens_per_second{endpoint="chat.demo.example",quantile="0.5"} 51.81476460270495
    wafer_output_tokens_per_second{endpoint="chat.demo.example",quantile="0.9"} 67.92714657843256
    wafer_output_tokens_per_second{endpoint="chat.demo.example",quantile="0.99"} 81.65907650763714
    # HELP wafer_engine_running_requests Requests in flight, summed over the workers that report.
    # TYPE wafer_engine_running_requests gauge
    wafer_engine_running_requests{endpoint="chat.demo.example"} 31
    # HELP wafer_engine_queue_depth Requests waiting for engine admission, summed over the workers that report.
    # TYPE wafer_engine_queue_depth gauge
    wafer_engine_queue_depth{endpoint="chat.demo.example"} 10
    # HELP wafer_engine_kv_cache_usage_ratio KV cache utilisation, 0 to 1, averaged over the workers that report.
    # TYPE wafer_engine_kv_cache_usage_ratio gauge
    wafer_engine_kv_cache_usage_ratio{endpoint="chat.demo.example"} 0.6087333333333333
    # HELP wafer_engine_kv_cache_hit_ratio Engine-side KV cache hit rate, 0 to 1, averaged over the workers that report.
    # TYPE wafer_engine_kv_cache_hit_ratio gauge
    wafer_engine_kv_cache_hit_ratio{endpoint="chat.demo.example"} 0.39746666666666663
    # HELP wafer_concurrent_requests Distinct requests, of any status, that ended in the last 2 minutes of the window: request logs only contain finished requests.
    # TYPE wafer_concurrent_requests gauge
    wafer_concurrent_requests{endpoint="chat.demo.example"} 385
    # HELP wafer_metrics_window_seconds Length of the window of the last_24h series and the quantiles, in seconds.
    # TYPE wafer_metrics_window_seconds gauge
    wafer_metrics_window_seconds{endpoint="chat.demo.example"} 86400
    # HELP wafer_metrics_window_end_timestamp_seconds Unix time at which the 24 h window ends; its age is the age of the data.
    # TYPE wafer_metrics_window_end_timestamp_seconds gauge
    wafer_metrics_window_end_timestamp_seconds{endpoint="chat.demo.example"} 1795551240
    # HELP wafer_engine_replicas_reporting Workers whose last heartbeat is at most 10 minutes old.
    # TYPE wafer_engine_replicas_reporting gauge
    wafer_engine_replicas_reporting{endpoint="chat.demo.example"} 3
    # HELP wafer_engine_scrape_success 1 when worker heartbeats could be read, else 0.
    # TYPE wafer_engine_scrape_success gauge
    wafer_engine_scrape_success{endpoint="chat.demo.example"} 1
    # HELP wafer_scrape_budget_remaining Calls this API key has left before a slot of its rate limit must free.
    # TYPE wafer_scrape_budget_remaining gauge
    wafer_scrape_budget_remaining{endpoint="chat.demo.example"} 5
    "#);

    let open_metrics = ["Accept: application/openmetrics-text;version=1.0.0", "Accept-Encoding: gzip"];
    let compressed = http::get(stack.front(), TARGET, &[KEY, open_metrics[0], open_metrics[1]]).await;
    assert_eq!(compressed.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(compressed.headers["vary"], "Accept, Accept-Encoding");
    let same = scrape.text().replace(
        "budget_remaining{endpoint=\"chat.demo.example\"} 5",
        "budget_remaining{endpoint=\"chat.demo.example\"} 4",
    );
    assert_eq!(gunzip(&compressed.body), same + "# EOF\n");

    let twice = http::get(stack.front(), TARGET, &[KEY, KEY]).await;
    assert_eq!(twice.status, 401, "{}", twice.text());
    let two_lines = ["Accept: text/plain;q=0.5", "Accept: application/openmetrics-text;q=0.6"];
    let open_metrics = http::get(stack.front(), TARGET, &[KEY, two_lines[0], two_lines[1]]).await;
    assert_eq!(open_metrics.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");

    *time.lock().unwrap() += SignedDuration::from_mins(1);
    stack.deliver_logs();
    stack.report_heartbeats().await;
    assert!(stack.refresh().await.unwrap().complete);
    let next = http::get(stack.front(), TARGET, &[KEY]).await;
    assert_eq!(value(next.text(), "wafer_metrics_window_end_timestamp_seconds"), "1795551300");
    assert_ne!(value(next.text(), "wafer_input_tokens_last_24h"), value(scrape.text(), "wafer_input_tokens_last_24h"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_whose_first_refresh_fails_answers_502_until_the_damaged_file_is_gone() {
    let logs = tempfile::tempdir().unwrap();
    // Where a first fill begins.
    let hour = logs.path().join("hour=2026-11-23-19");
    fs::create_dir(&hour).unwrap();
    fs::write(hour.join("part-7.parquet"), "PAR1 and no more").unwrap();
    let mut options = Options::parse_from(["local-stack", "--listen=:0", "--dynamodb=:0", "--athena=:0"]);
    options.logs = Some(logs.path().to_owned());
    options.refresh_every = Duration::from_millis(500);
    let time: Timestamp = "2026-11-24T20:15:30Z".parse().unwrap();
    let stack = Stack::start(&options, Arc::new(move || time)).await.unwrap();
    let front = stack.front();
    let (filled, mut ready) = oneshot::channel();
    let running = tokio::spawn(stack.run(move |_| filled.send(()).unwrap()));
    sleep(Duration::from_secs(4)).await;
    ready.try_recv().unwrap_err();
    let scrape = http::get(front, TARGET, &[KEY]).await;
    assert_eq!(scrape.status, 502, "{}", scrape.text());

    fs::remove_file(hour.join("part-7.parquet")).unwrap();
    timeout(Duration::from_mins(3), ready).await.unwrap().unwrap();
    let scrape = http::get(front, TARGET, &[KEY]).await;
    assert_eq!(scrape.status, 200, "{}", scrape.text());
    running.abort();
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn value<'a>(text: &'a str, series: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(&format!("{series}{{"))).unwrap();
    line.rsplit_once(' ').unwrap().1
}
