//! What stands before the reads of every route: key, limit, and figures that may be answered from. What a step returns
//! is what the next asks for.

use futures_util::future::try_join;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::access_log::{AccessLog, Step};
use super::call::{Call, within};
use super::{AnswerError, Service};
use crate::model::api_key::KeyHash;
use crate::model::host::Asked;
use crate::model::watermark::Watermark;
use crate::stores::api_keys::{Grant, KeyError};
use crate::stores::rate_limits::{Admission, LimitError, RateLimits};

/// Figures that end further in the future were read by a clock that was wrong.
const MAX_AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// A call that took a slot, and how far the refresh has come.
pub struct Admitted {
    pub grant: Grant,
    pub admission: Admission,
    /// Checked after the limit: a call that is not admitted learns nothing of it.
    pub watermark: Result<Option<Watermark>, AnswerError>,
}

/// Why the figures are not to be answered from.
#[derive(Debug, Error)]
enum NotFresh {
    #[error("nothing has been read yet")]
    NoWatermark,
    #[error("window ended {0} s ago")]
    Stale(i64),
    #[error("window ends {0} s in the future")]
    Ahead(i64),
}

impl Service {
    /// What [`Service::authorize`] checks. Over the limit, limiter unavailable: one write; the watermark is read
    /// concurrently.
    pub(super) async fn admit(
        &self,
        call: Call<'_>,
        key: KeyHash,
        asked: Asked,
        limits: &RateLimits,
        log: &mut AccessLog<'_>,
    ) -> Result<Admitted, AnswerError> {
        let grant = self.authorize(call, key, asked, log).await?;
        let admit = take_slot(call, &grant, limits);
        let watermark = async {
            let read = async { self.rollups.watermark(&grant).await.map_err(AnswerError::SummaryFailed) };
            Ok(within(call.answer_by, read, |_| AnswerError::SummaryTimeout).await)
        };
        let (admission, watermark) = try_join(admit, watermark).await?;
        log.step(Step::Limit);
        Ok(Admitted { grant, admission, watermark })
    }

    /// Key store unavailable, key invalid, serverless, not the key's endpoint: one read.
    pub(super) async fn authorize(
        &self,
        call: Call<'_>,
        key: KeyHash,
        asked: Asked,
        log: &mut AccessLog<'_>,
    ) -> Result<Grant, KeyError> {
        log.asked(&key);
        let authorize = self.keys.authorize(key, asked, call.now());
        let grant = within(call.answer_by, authorize, |late| KeyError::Unavailable(late.into())).await?;
        log.granted(&grant, call.request);
        log.step(Step::Key);
        Ok(grant)
    }

    /// The watermark, where figures may be answered from it.
    pub(super) fn fresh(&self, watermark: Option<Watermark>, now: Timestamp) -> Result<Watermark, AnswerError> {
        self.judge(watermark, now).map_err(|cause| AnswerError::SummaryFailed(cause.into()))
    }

    fn judge(&self, watermark: Option<Watermark>, now: Timestamp) -> Result<Watermark, NotFresh> {
        let watermark = watermark.ok_or(NotFresh::NoWatermark)?;
        let age = now.duration_since(watermark.through.start());
        match age {
            _ if age > self.max_staleness => Err(NotFresh::Stale(age.as_secs())),
            _ if -age > MAX_AHEAD => Err(NotFresh::Ahead(-age.as_secs())),
            _ => Ok(watermark),
        }
    }
}

/// Over the limit, limiter unavailable: one write.
pub(super) async fn take_slot(call: Call<'_>, grant: &Grant, limits: &RateLimits) -> Result<Admission, LimitError> {
    let admit = limits.admit(grant, call.id, call.now());
    within(call.answer_by, admit, |late| LimitError::Unavailable(late.into())).await
}
