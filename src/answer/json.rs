//! The figures of one endpoint as JSON, over a range: the contract's table of errors from top to bottom.

use futures_util::future::join;

use super::access_log::{AccessLog, Step};
use super::admit::Admitted;
use super::call::{Call, within};
use super::{AnswerError, Outcome, Service};
use crate::exposition::json::{Document, RangeSnapshot};
use crate::http::reply::{self, ResponseEvent};
use crate::http::request::JsonRequest;
use crate::model::host::Asked;

impl Service {
    /// Method not allowed, no or malformed key, invalid parameters: no I/O. Then what [`Service::admit`] checks; no
    /// figures, or none in time; else the document.
    pub(super) async fn json(&self, call: Call<'_>, log: &mut AccessLog<'_>) -> Result<Outcome, AnswerError> {
        let json = JsonRequest::parse(call.request)?;
        let asked = Asked::Named(vec![json.endpoint.clone()]);
        let admitted = self.admit(call, json.key.clone(), asked, &self.limits.json, log).await?;
        let limit = Some(admitted.admission.limit());
        Ok(Outcome { limit, result: self.answer_json(call, &json, admitted, log).await })
    }

    async fn answer_json(
        &self,
        call: Call<'_>,
        json: &JsonRequest,
        Admitted { admission, watermark, .. }: Admitted,
        log: &mut AccessLog<'_>,
    ) -> Result<ResponseEvent, AnswerError> {
        let watermark = self.fresh(watermark?, call.now())?;
        log.window(&watermark);

        let JsonRequest { endpoint, range, .. } = json;
        let figures = async {
            let bins = self.rollups.bins(&admission, endpoint, *range, &watermark, call.now());
            bins.await.map_err(AnswerError::SummaryFailed)
        };
        let figures = within(call.answer_by, figures, |_| AnswerError::SummaryTimeout);
        let heartbeats = self.heartbeats(call, &admission, std::slice::from_ref(endpoint), log);
        let (figures, mut heartbeats) = join(figures, heartbeats).await;
        let figures = figures?;
        log.step(Step::Read);

        let document = Document::from(RangeSnapshot {
            endpoint,
            range: *range,
            window: figures.window,
            bins: figures.bins,
            concurrent_requests: figures.concurrent_requests,
            heartbeats: heartbeats.pop().flatten(),
            now: call.now(),
        });
        let response = reply::json(call.id, admission.limit(), &document);
        log.step(Step::Render);
        Ok(response)
    }
}
