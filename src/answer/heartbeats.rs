//! What workers report, where it can be read: a call does not fail without it.

use futures_util::{StreamExt, stream};

use super::access_log::AccessLog;
use super::call::{Call, within};
use super::{ENDPOINTS_AT_ONCE, Service};
use crate::error::{Cause, chain};
use crate::model::engine::Heartbeat;
use crate::model::host::Host;
use crate::stores::heartbeats::EngineReading;
use crate::stores::rate_limits::Admission;

impl Service {
    /// The heartbeats of each endpoint, `None` where they could not be read in time.
    pub(super) async fn heartbeats(
        &self,
        call: Call<'_>,
        admission: &Admission,
        endpoints: &[Host],
        log: &mut AccessLog<'_>,
    ) -> Vec<Option<Vec<Heartbeat>>> {
        let mut readings = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let read = self.heartbeats.read(admission, endpoint, call.now());
            readings.push(within(call.heartbeats_by, read, Into::into));
        }
        let readings: Vec<Result<EngineReading, Cause>> =
            stream::iter(readings).buffered(ENDPOINTS_AT_ONCE).collect().await;
        let unread: Vec<_> = readings.iter().filter_map(|reading| reading.as_ref().err()).collect();
        if let Some(cause) = unread.first() {
            let cause = chain(cause.as_ref());
            tracing::warn!(request_id = %call.id, endpoints = unread.len(), cause, "heartbeats not read");
        }
        log.heartbeats(unread.len(), readings.iter().flatten().map(|reading| reading.malformed).sum());
        readings.into_iter().map(|reading| reading.ok().map(|reading| reading.heartbeats)).collect()
    }
}
