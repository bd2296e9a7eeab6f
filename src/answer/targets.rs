//! The targets that a key may scrape: the contract's table of errors from top to bottom.

use super::access_log::{AccessLog, Step};
use super::admit::take_slot;
use super::call::Call;
use super::{AnswerError, Outcome, SCRAPE_PATH, Service};
use crate::exposition::targets;
use crate::http::parameters::MAX_ENDPOINTS;
use crate::http::reply;
use crate::http::request::TargetsRequest;
use crate::model::host::Asked;

impl Service {
    /// Method not allowed, no or malformed key, invalid view: no I/O. Key store unavailable, key invalid, serverless:
    /// one read. Over the limit, limiter unavailable: one write; else the groups.
    pub(super) async fn targets(&self, call: Call<'_>, log: &mut AccessLog<'_>) -> Result<Outcome, AnswerError> {
        let request = TargetsRequest::parse(call.request)?;
        let grant = self.authorize(call, request.key, Asked::All, log).await?;
        let limit = take_slot(call, &grant, &self.limits.targets).await?.limit();
        log.step(Step::Limit);

        let host = &call.request.domain_name;
        let groups = targets::groups(host, SCRAPE_PATH, grant.endpoints(), MAX_ENDPOINTS, request.view);
        let response = reply::json(call.id, limit, &groups);
        log.step(Step::Render);
        Ok(Outcome { limit: Some(limit), result: Ok(response) })
    }
}
