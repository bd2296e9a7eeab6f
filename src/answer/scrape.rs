//! A scrape, from top to bottom: the contract's table of errors in its order.

use futures_util::future::{join, try_join};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::access_log::{AccessLog, Step};
use super::admit::Admitted;
use super::call::{Call, within};
use super::{AnswerError, ENDPOINTS_AT_ONCE, Outcome, Service};
use crate::error::Cause;
use crate::exposition::{self, EndpointFigures, EndpointSnapshot, Format, Snapshot, View};
use crate::http::reply::{self, ResponseEvent};
use crate::http::request::ScrapeRequest;
use crate::model::engine::EngineGauges;
use crate::model::host::Host;
use crate::model::watermark::Watermark;
use crate::model::window::{Minute, WINDOW_MINUTES};
use crate::stores::rate_limits::Admission;

impl Service {
    /// Method not allowed, no or malformed key, invalid parameters: no I/O. Then what [`Service::admit`] checks; no
    /// figures, or none in time; else the exposition.
    pub(super) async fn scrape(&self, call: Call<'_>, log: &mut AccessLog<'_>) -> Result<Outcome, AnswerError> {
        let scrape = ScrapeRequest::parse(call.request)?;
        let asked = scrape.endpoints.clone();
        let admitted = self.admit(call, scrape.key.clone(), asked, &self.limits.scrape, log).await?;
        let limit = Some(admitted.admission.limit());
        Ok(Outcome { limit, result: self.answer_scrape(call, &scrape, admitted, log).await })
    }

    async fn answer_scrape(
        &self,
        call: Call<'_>,
        scrape: &ScrapeRequest,
        Admitted { grant, admission, watermark }: Admitted,
        log: &mut AccessLog<'_>,
    ) -> Result<ResponseEvent, AnswerError> {
        let watermark = self.fresh(watermark?, call.now())?;
        log.window(&watermark);

        let figures = async {
            let figures = self.figures(call, &admission, grant.endpoints(), scrape.view, &watermark);
            let since = self.counting_since(&admission, scrape.format);
            try_join(figures, since).await.map_err(AnswerError::SummaryFailed)
        };
        let figures = within(call.answer_by, figures, |_| AnswerError::SummaryTimeout);
        let heartbeats = self.heartbeats(call, &admission, grant.endpoints(), log);
        let (figures, heartbeats) = join(figures, heartbeats).await;
        let (figures, counting_since) = figures?;
        log.step(Step::Read);

        let endpoints = grant.endpoints().iter().cloned().zip(figures).zip(heartbeats);
        let endpoints = endpoints.map(|((endpoint, (figures, concurrent_requests)), heartbeats)| EndpointSnapshot {
            endpoint,
            figures,
            concurrent_requests,
            engine: heartbeats.map(|heartbeats| EngineGauges::from_heartbeats(&heartbeats, call.now())),
        });
        let limit = admission.limit();
        let snapshot = Snapshot {
            endpoints: endpoints.collect(),
            window_end: watermark.through,
            counting_since,
            key_expires_at: grant.expires_at(),
            budget_remaining: limit.remaining,
        };
        let written = exposition::write(&snapshot, scrape.format);
        let response = reply::exposition(call.id, limit, written, scrape.format, scrape.encoding);
        log.step(Step::Render);
        Ok(response)
    }

    /// Of each endpoint the figures of a view, and its concurrent requests.
    async fn figures(
        &self,
        call: Call<'_>,
        admission: &Admission,
        endpoints: &[Host],
        view: View,
        watermark: &Watermark,
    ) -> Result<Vec<(EndpointFigures, u64)>, Cause> {
        let mut reads = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            reads.push(async move {
                let window = self.rollups.window(admission, endpoint, WINDOW_MINUTES, watermark, call.now());
                let total = self.rollups.total(admission, endpoint);
                Ok(match view {
                    View::Window => {
                        let window = window.await?;
                        (EndpointFigures::Window(window.summary), window.concurrent_requests)
                    }
                    View::Counters => {
                        let concurrent = self.rollups.concurrent_requests(admission, endpoint, watermark);
                        let (total, concurrent) = try_join(total, concurrent).await?;
                        (EndpointFigures::Counters(total), concurrent)
                    }
                    View::Both => {
                        // The total last: what is in the window is in the counters then, also where a run falls
                        // between.
                        let window = window.await?;
                        let total = total.await?;
                        (EndpointFigures::Both(Box::new((window.summary, total))), window.concurrent_requests)
                    }
                })
            });
        }
        stream::iter(reads).buffered(ENDPOINTS_AT_ONCE).try_collect().await
    }

    /// From when on counters count. Protobuf alone says it.
    async fn counting_since(&self, admission: &Admission, format: Format) -> Result<Option<Minute>, Cause> {
        match format {
            Format::Protobuf => self.rollups.since(admission).await,
            Format::Text | Format::OpenMetrics => Ok(None),
        }
    }
}
