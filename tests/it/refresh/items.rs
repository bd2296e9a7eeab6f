//! The raw items of the rollups table. Only their binary attribute is decoded by the product.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use testing::dynamodb::tables::ROLLUPS;
use testing::logs::Row;
use wafer_metrics::model::sketch::Sketch;
use wafer_metrics::model::summary::Figures;
use wafer_metrics::stores::rollups::decode;

use super::tally::{COARSE, FINE, MINUTE_MS, Tally, ZERO, requests};

const HOUR_MS: i64 = 60 * MINUTE_MS;

type Item = HashMap<String, AttributeValue>;

/// How far the refresh has come, in Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mark {
    pub through: i64,
    pub settled: i64,
    pub sealed: i64,
    pub version: u64,
}

/// Everything in the table, by endpoint and Unix milliseconds.
#[derive(Debug, Default)]
pub struct Items {
    pub mark: Option<Mark>,
    pub since: Option<i64>,
    pub minutes: BTreeMap<(String, i64), Tally>,
    pub hours: BTreeMap<(String, i64), Tally>,
    pub totals: BTreeMap<String, Tally>,
}

impl Items {
    pub async fn scan(client: &Client) -> Self {
        let scan = client.scan().table_name(ROLLUPS).consistent_read(true).into_paginator().items().send();
        let mut items = Self::default();
        for item in scan.collect::<Result<Vec<_>, _>>().await.unwrap() {
            items.take(&item);
        }
        items
    }

    /// The watermark and the totals of some endpoints.
    pub async fn marks(client: &Client, endpoints: &[&str]) -> Self {
        let key = |endpoint: &str, period: &str| {
            let text = |value: &str| AttributeValue::S(value.to_owned());
            HashMap::from([("endpoint".to_owned(), text(endpoint)), ("period".to_owned(), text(period))])
        };
        let totals = endpoints.iter().map(|endpoint| key(endpoint, "total2"));
        let keys: Vec<_> = [key("#refresh", "watermark2")].into_iter().chain(totals).collect();
        let mut items = Self::default();
        for keys in keys.chunks(100) {
            let keys = aws_sdk_dynamodb::types::KeysAndAttributes::builder()
                .set_keys(Some(keys.to_vec()))
                .consistent_read(true);
            let get = client.batch_get_item().request_items(ROLLUPS, keys.build().unwrap());
            for item in get.send().await.unwrap().responses.unwrap().remove(ROLLUPS).unwrap() {
                items.take(&item);
            }
        }
        items
    }

    fn take(&mut self, item: &Item) {
        let endpoint = item["endpoint"].as_s().unwrap().clone();
        let period = item["period"].as_s().unwrap();
        match period.split_once('#') {
            Some(("m2", minute)) => {
                self.minutes.insert((endpoint, milliseconds(&format!("{minute}:00Z"))), tally::<6>(item));
            }
            Some(("h2", hour)) => {
                self.hours.insert((endpoint, milliseconds(&format!("{hour}:00:00Z"))), tally::<6>(item));
            }
            None if period == "total2" => {
                self.totals.insert(endpoint, tally::<4>(item));
            }
            None if period == "watermark2" => {
                let [through, settled, sealed] =
                    ["through", "settled", "sealed"].map(|name| number(item, name) * 1_000);
                self.mark =
                    Some(Mark { through, settled, sealed, version: number(item, "version").try_into().unwrap() });
            }
            None if period == "since2" => self.since = Some(number(item, "since") * 1_000),
            _ => {}
        }
    }

    /// Panics where an item is not what these rows make it: each minute from `from` on, each sealed hour the sum of its
    /// minutes.
    pub fn check(&self, rows: &[Row], endpoints: &[&str], from: i64) {
        let mark = self.mark.unwrap();
        for endpoint in endpoints {
            let mut by_minute: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
            for row in requests(rows, endpoint, from, mark.through) {
                by_minute.entry(row.ended_at_ms.unwrap().div_euclid(MINUTE_MS) * MINUTE_MS).or_default().push(row);
            }
            for (minute, rows) in &by_minute {
                let item = self.minutes.get(&((*endpoint).to_owned(), *minute));
                assert_eq!(item, Some(&Tally::of(rows.iter().copied(), FINE)), "{endpoint} at {}", time(*minute));
            }
            let others = self
                .minutes
                .iter()
                .filter(|((host, minute), _)| host == endpoint && (from..mark.through).contains(minute));
            for ((_, minute), item) in others {
                assert!(
                    by_minute.contains_key(minute) || *item == Tally::default(),
                    "{endpoint} at {}: no rows",
                    time(*minute)
                );
            }
            self.check_hours(endpoint, from, mark.sealed);
        }
    }

    fn check_hours(&self, endpoint: &str, from: i64, sealed: i64) {
        let mut hours: BTreeMap<i64, Tally> = BTreeMap::new();
        for ((_, minute), item) in self.minutes.iter().filter(|((host, _), _)| host == endpoint) {
            hours.entry(minute.div_euclid(HOUR_MS) * HOUR_MS).or_default().add(item);
        }
        let first = from.div_euclid(HOUR_MS) * HOUR_MS + if from % HOUR_MS == 0 { 0 } else { HOUR_MS };
        for hour in (first..sealed).step_by(usize::try_from(HOUR_MS).unwrap()) {
            let item = self.hours.get(&(endpoint.to_owned(), hour)).cloned().unwrap_or_default();
            assert_eq!(item, hours.remove(&hour).unwrap_or_default(), "{endpoint}, the hour from {}", time(hour));
        }
    }

    /// Panics where a total is not what these rows make it, each once.
    pub fn check_totals(&self, rows: &[Row], endpoints: &[&str], from: i64) {
        let mark = self.mark.unwrap();
        for endpoint in endpoints {
            let total = self.totals.get(*endpoint).cloned().unwrap_or_default();
            let rows = requests(rows, endpoint, from, mark.through);
            assert_eq!(total, Tally::of(rows, COARSE), "the total of {endpoint}");
        }
    }
}

fn number(item: &Item, name: &str) -> i64 {
    item[name].as_n().unwrap().parse().unwrap()
}

fn tally<const SCHEMA: u32>(item: &Item) -> Tally {
    let figures: Figures<Sketch<SCHEMA>> = decode(item["summary"].as_b().unwrap().as_ref()).unwrap();
    let distributions = [&figures.ttft, &figures.duration, &figures.speed];
    let [ttft, duration, speed] = distributions.map(|distribution| distribution.sum);
    let tokens = [figures.input_tokens, figures.output_tokens, figures.cache_read_tokens];
    Tally {
        statuses: figures.statuses.iter().map(|(code, count)| (code, count.into())).collect(),
        sums: [tokens[0], tokens[1], tokens[2], ttft, duration, speed],
        buckets: distributions.map(|distribution| {
            let zeros = Some((ZERO, distribution.sketch.zeros())).filter(|(_, zeros)| *zeros > 0);
            let buckets = distribution.sketch.buckets().iter().copied();
            zeros.into_iter().chain(buckets).map(|(bucket, count)| (bucket, count.into())).collect()
        }),
    }
}

fn milliseconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn time(milliseconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(milliseconds).unwrap()
}
