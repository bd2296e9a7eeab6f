//! Scrapes beside a run.

use testing::calls::Reply;

use super::fixture::{Fixture, at, hours, minutes};

const HOSTS: [&str; 2] = ["a.example", "b.example"];

/// Runs call by call until nothing is left to do, with a scrape before each.
async fn interleave(fixture: &Fixture) {
    let (refresh, way) = fixture.another_refresh().await;
    let as_of = [fixture.clock.now() - minutes(1), fixture.clock.now()];
    way.step(0);
    let mut running = std::pin::pin!(async { while !fixture.run(&refresh).await.0.complete {} });
    loop {
        tokio::select! {
            () = &mut running => return,
            () = way.held() => {
                fixture.check_as_of(&as_of).await;
                way.permit();
            }
        }
    }
}

#[tokio::test]
async fn a_scrape_between_any_two_calls_of_a_first_fill_is_right_or_refused() {
    // The target is 3 minutes after the hour: the hour's end is young enough to be answered from before the fill is
    // done.
    let now = at("2026-11-24T20:04:30");
    let fixture = Fixture::new(now, &HOSTS[..1]).await;
    fixture.deliver(now - hours(26), now, 1_200);
    fixture.deliver(now - hours(24) - minutes(5), now - hours(24), 40);
    interleave(&fixture).await;
    fixture.check().await;
}

#[tokio::test]
async fn a_scrape_between_any_two_calls_of_a_seal_is_right() {
    let start = at("2026-11-24T19:58:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(2), 30);
    for minute in [12, 40, 60, 70] {
        fixture.clock.set(start + minutes(minute));
        fixture.completes(&fixture.refresh()).await;
    }
    for _ in 0..3 {
        fixture.clock.advance(minutes(1));
        interleave(&fixture).await;
        fixture.check().await;
    }
    assert_eq!(fixture.mark().await.sealed.to_string(), "2026-11-24T21");
}

#[tokio::test]
async fn a_scrape_into_which_a_whole_run_falls_between_any_two_of_its_calls_is_right() {
    let start = at("2026-11-24T19:58:30");
    let fixture = Fixture::begun(start, &HOSTS).await;
    fixture.deliver(start, start + hours(2), 30);
    let refresh = fixture.refresh();
    // From 21:05:30 on, so that a seal is among the runs.
    for minute in [12, 40, 60, 67] {
        fixture.clock.set(start + minutes(minute));
        fixture.completes(&refresh).await;
    }
    for calls in 0..16 {
        let (scrape, way) = fixture.another_scrape().await;
        let before = fixture.clock.now();
        fixture.clock.advance(minutes(1));
        way.step(calls);
        let disturbing = async {
            way.held().await;
            fixture.completes(&refresh).await;
            way.run();
            std::future::pending::<()>().await;
        };
        let reply = tokio::select! {
            reply = fixture.scrape_view(&scrape, "window,counters", "text/plain") => reply,
            () = disturbing => unreachable!("it never ends"),
        };
        assert_eq!(reply.status, 200, "{}", reply.body);
        let is_counter =
            |line: &&str| line.contains("_total{") || line.contains("_seconds_") || line.contains("_second_");
        let window: Vec<_> = reply.body.lines().filter(|line| !is_counter(line)).collect();
        fixture.check_reply(&Reply { body: window.join("\n"), ..reply.clone() }, &[before, fixture.clock.now()]);
        let of = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<u64>().ok());
        for host in HOSTS {
            let labels = format!("{{endpoint=\"{host}\",status_class=\"2xx\"}} ");
            let value = |series: &str| reply.body.lines().find(|line| line.starts_with(&(series.to_owned() + &labels)));
            let [counted, shown] =
                ["wafer_requests_total", "wafer_requests_last_24h"].map(|name| value(name).and_then(of));
            assert!(counted.unwrap() >= shown.unwrap(), "after {calls} calls {host} shows {shown:?} of {counted:?}");
        }
        way.run();
        fixture.completes(&refresh).await;
    }
}
