//! Counts what is asked of DynamoDB, and takes from it what only dynoxide, which stands in for it, is slow at.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use aws_sdk_dynamodb::types::AttributeValue;

/// Calls since they were last taken.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    transactions: AtomicU64,
    reads: AtomicU64,
    moves: Mutex<Vec<Move>>,
}

/// A watermark that is put.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    pub through: i64,
    pub at: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub transactions: u64,
    pub reads: u64,
}

impl Calls {
    /// A client whose calls are counted here.
    pub fn count(&self, client: &Client) -> Client {
        Client::from_conf(client.config().to_builder().interceptor(self.clone()).build())
    }

    pub fn take(&self) -> Counts {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Counts { transactions: take(&self.0.transactions), reads: take(&self.0.reads) }
    }

    pub fn take_moves(&self) -> Vec<Move> {
        std::mem::take(&mut self.0.moves.lock().unwrap())
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn read_before_execution(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input();
        if input.downcast_ref::<TransactWriteItemsInput>().is_some() {
            self.0.transactions.fetch_add(1, Ordering::Relaxed);
        } else if input.downcast_ref::<QueryInput>().is_some() || input.downcast_ref::<GetItemInput>().is_some() {
            self.0.reads.fetch_add(1, Ordering::Relaxed);
        } else if let Some(put) = input.downcast_ref::<PutItemInput>()
            && let Some(AttributeValue::N(through)) = put.item().and_then(|item| item.get("through"))
        {
            self.0.moves.lock().unwrap().push(Move { through: through.parse()?, at: Instant::now() });
        }
        Ok(())
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let body = request.body().bytes().map(String::from_utf8_lossy);
        if let Some(shorter) = body.and_then(|body| without_token(&body)) {
            request.headers_mut().insert("content-length", shorter.len().to_string());
            *request.body_mut() = shorter.into();
        }
        Ok(())
    }
}

/// A transaction without its token. That is for lost answers, and here none is lost; and at each transaction dynoxide
/// goes through the tokens of all those of the last ten minutes.
fn without_token(body: &str) -> Option<String> {
    const TOKEN: &str = ",\"ClientRequestToken\":\"";
    let (before, after) = body.split_once(TOKEN)?;
    let (_, after) = after.split_once('"')?;
    Some(format!("{before}{after}"))
}
