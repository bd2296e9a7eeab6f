//! The calls behind an answer, recorded once and repeated bare.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::query::paginator::QueryPaginator;
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{join, join_all, join3};

use crate::tables;

#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Recording>>);

/// What one answer asked for.
#[derive(Debug, Default)]
pub struct Recording {
    gets: Vec<GetItemInput>,
    queries: Vec<QueryInput>,
    /// Of all queries.
    pages: usize,
    updates: Vec<UpdateItemInput>,
    /// Of all answers.
    pub bytes: usize,
}

impl Recorder {
    pub fn client(&self, client: &Client) -> Client {
        Client::from_conf(client.config().to_builder().interceptor(self.clone()).build())
    }

    pub fn take(&self) -> Recording {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Recording {
    pub fn calls(&self) -> usize {
        self.gets.len() + self.pages + self.updates.len()
    }

    /// The summaries of all items that are read.
    pub async fn summaries(&self, client: &Client) -> Vec<Vec<u8>> {
        let mut summaries = Vec::new();
        for input in &self.queries {
            let items = pages(client, input).items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
            let blobs = items.iter().filter_map(|item| item.get("summary"));
            summaries.extend(blobs.map(|blob| blob.as_b().unwrap().as_ref().to_vec()));
        }
        summaries
    }

    /// Key; then limiter beside watermark; then everything else at once.
    pub async fn repeat(&self, client: &Client, number: usize) {
        let (first, rest) = self.gets.split_at(2);
        get(client, &first[0]).await;
        join(update(client, &self.updates[0], number), get(client, &first[1])).await;
        join3(
            join_all(rest.iter().map(|input| get(client, input))),
            join_all(self.queries.iter().map(|input| query(client, input))),
            async {},
        )
        .await;
    }
}

async fn get(client: &Client, input: &GetItemInput) {
    let get = client.get_item().set_table_name(input.table_name.clone()).set_key(input.key.clone());
    get.set_consistent_read(input.consistent_read).send().await.unwrap();
}

/// No more is kept than a page.
async fn query(client: &Client, input: &QueryInput) {
    let mut pages = pages(client, input).send();
    while let Some(page) = pages.next().await {
        page.unwrap();
    }
}

fn pages(client: &Client, input: &QueryInput) -> QueryPaginator {
    let query = client.query().set_table_name(input.table_name.clone()).set_consistent_read(input.consistent_read);
    let query = query.set_key_condition_expression(input.key_condition_expression.clone());
    query.set_expression_attribute_values(input.expression_attribute_values.clone()).into_paginator()
}

/// Takes a slot of a key of its own.
async fn update(client: &Client, input: &UpdateItemInput, number: usize) {
    let mut values = input.expression_attribute_values.clone().unwrap();
    values.insert(":id".to_owned(), AttributeValue::S(format!("req_floor{number}")));
    let key = AttributeValue::S(format!("floor-{}", tables::key(number)));
    let update = client.update_item().set_table_name(input.table_name.clone()).key("key_hash", key);
    let update = update.set_update_expression(input.update_expression.clone());
    let update = update.set_condition_expression(input.condition_expression.clone());
    let update = update.set_expression_attribute_values(Some(values)).set_return_values(input.return_values.clone());
    update.send().await.unwrap();
}

impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn read_before_execution(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (input, mut recording) = (context.input(), self.0.lock().unwrap());
        if let Some(get) = input.downcast_ref::<GetItemInput>() {
            recording.gets.push(get.clone());
        } else if let Some(query) = input.downcast_ref::<QueryInput>() {
            // The floor asks for further pages by itself.
            if query.exclusive_start_key.is_none() {
                recording.queries.push(query.clone());
            }
            recording.pages += 1;
        } else if let Some(update) = input.downcast_ref::<UpdateItemInput>() {
            recording.updates.push(update.clone());
        }
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let length = context.response().headers().get("content-length").and_then(|length| length.parse().ok());
        self.0.lock().unwrap().bytes += length.unwrap_or(0);
        Ok(())
    }
}
