//! The queries that were started: their states, their results, and the tasks that run them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use uuid::Uuid;

use crate::Clock;
use crate::answer::Answer;
use crate::failure::{Failure, FailureKind};

/// Queries beyond these wait as `QUEUED`.
const RUNNING_AT_ONCE: usize = 4;

/// Finished executions are forgotten at this age, too. Athena keeps them for 45 days, but in no one's memory.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// Every execution that is still known.
pub struct Executions {
    shared: Arc<Shared>,
}

#[derive(Debug, Clone, Default)]
pub struct Submission {
    pub query: String,
    /// A repeated token with the same query names the execution it started first.
    pub token: Option<String>,
    /// The database of unqualified tables.
    pub database: Option<String>,
    /// Only reported back.
    pub workgroup: String,
}

#[derive(Debug)]
pub struct Execution {
    /// A UUID.
    pub id: String,
    pub submission: Submission,
    pub state: State,
    pub submitted_at: Timestamp,
    /// When it stopped being `QUEUED`.
    pub began_at: Option<Timestamp>,
    /// When it came to its final state.
    pub ended_at: Option<Timestamp>,
    task: AbortHandle,
}

/// The states of an execution; the last three are final.
#[derive(Debug)]
pub enum State {
    Queued,
    Running,
    Succeeded(Answer),
    /// Given up by the engine.
    Failed(Failure),
    Cancelled,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// Never started, or forgotten.
    #[error("QueryExecution {0} was not found")]
    NotFound(String),
    /// The token has started another query before.
    #[error("Idempotent parameters do not match")]
    TokenReused,
}

struct Shared {
    /// Oldest first.
    known: Mutex<VecDeque<Execution>>,
    turns: Semaphore,
    clock: Clock,
    finished_kept: usize,
}

impl Executions {
    /// None yet; so many that are finished will be kept.
    pub fn new(clock: Clock, finished_kept: usize) -> Self {
        let turns = Semaphore::new(RUNNING_AT_ONCE);
        Self { shared: Arc::new(Shared { known: Mutex::default(), turns, clock, finished_kept }) }
    }

    /// Runs `job` in the background and returns the id to ask for it by; a token seen before
    /// returns the earlier id and drops `job`. A `job` that panics has failed.
    pub fn start(
        &self,
        submission: Submission,
        job: impl Future<Output = Result<Answer, Failure>> + Send + 'static,
    ) -> Result<String, ExecutionError> {
        // Held until the execution is listed: its task, which reports there, may already run.
        let mut known = self.shared.known();
        let earlier =
            known.iter().find(|execution| submission.token.is_some() && execution.submission.token == submission.token);
        if let Some(earlier) = earlier {
            let same =
                earlier.submission.query == submission.query && earlier.submission.database == submission.database;
            return same.then(|| earlier.id.clone()).ok_or(ExecutionError::TokenReused);
        }
        let now = (self.shared.clock)();
        forget_old(&mut known, now, self.shared.finished_kept);
        let id = Uuid::new_v4().to_string();
        let task = tokio::spawn(Arc::clone(&self.shared).run(id.clone(), job));
        known.push_back(Execution {
            id: id.clone(),
            submission,
            state: State::Queued,
            submitted_at: now,
            began_at: None,
            ended_at: None,
            task: task.abort_handle(),
        });
        Ok(id)
    }

    /// What `view` makes of the execution.
    pub fn read<T>(&self, id: &str, view: impl FnOnce(&Execution) -> T) -> Result<T, ExecutionError> {
        self.shared
            .known()
            .iter()
            .find(|execution| execution.id == id)
            .map(view)
            .ok_or_else(|| ExecutionError::NotFound(id.to_owned()))
    }

    /// Ends the execution; one that is finished stays as it is.
    pub fn stop(&self, id: &str) -> Result<(), ExecutionError> {
        if self.shared.update(id, Execution::cancel) { Ok(()) } else { Err(ExecutionError::NotFound(id.to_owned())) }
    }

    pub fn stop_all(&self) {
        let now = (self.shared.clock)();
        self.shared.known().iter_mut().for_each(|execution| execution.cancel(now));
    }
}

impl Execution {
    fn begin(&mut self, now: Timestamp) {
        if matches!(self.state, State::Queued) {
            self.state = State::Running;
            self.began_at = Some(now);
        }
    }

    fn end(&mut self, state: State, now: Timestamp) {
        if self.ended_at.is_none() {
            self.state = state;
            self.ended_at = Some(now);
        }
    }

    fn cancel(&mut self, now: Timestamp) {
        self.task.abort();
        self.end(State::Cancelled, now);
    }
}

impl Shared {
    /// No code panics while it holds the lock, so what it guards is whole even if one did.
    fn known(&self) -> MutexGuard<'_, VecDeque<Execution>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was an execution to update.
    fn update(&self, id: &str, change: impl FnOnce(&mut Execution, Timestamp)) -> bool {
        let now = (self.clock)();
        self.known().iter_mut().find(|execution| execution.id == id).map(|execution| change(execution, now)).is_some()
    }

    async fn run(self: Arc<Self>, id: String, job: impl Future<Output = Result<Answer, Failure>> + Send + 'static) {
        // The semaphore is never closed, so a turn always comes.
        let _turn = self.turns.acquire().await;
        self.update(&id, Execution::begin);
        // A task within the task: it contains a panic, and the set ends it when this one is aborted.
        let mut task = JoinSet::new();
        task.spawn(job);
        let state = match task.join_next().await {
            Some(Ok(Ok(answer))) => State::Succeeded(answer),
            Some(Ok(Err(failure))) => State::Failed(failure),
            Some(Err(error)) => State::Failed(Failure::new(FailureKind::Internal, panic_message(error))),
            None => State::Cancelled,
        };
        self.update(&id, |execution, now| execution.end(state, now));
    }
}

fn panic_message(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "the query's task was ended".to_owned();
    };
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("the query engine panicked: {message}")
}

fn forget_old(known: &mut VecDeque<Execution>, now: Timestamp, finished_kept: usize) {
    let finished = known.iter().filter(|execution| execution.ended_at.is_some()).count();
    let mut excess = (finished + 1).saturating_sub(finished_kept);
    known.retain(|execution| {
        let Some(ended_at) = execution.ended_at else {
            return true;
        };
        let in_excess = excess > 0;
        excess = excess.saturating_sub(1);
        !in_excess && now.duration_since(ended_at).unsigned_abs() < KEPT_FOR
    });
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const FINISHED_KEPT: usize = 20;

    fn executions() -> Executions {
        Executions::new(Arc::new(Timestamp::now), FINISHED_KEPT)
    }

    fn query(sql: &str) -> Submission {
        Submission { query: sql.to_owned(), ..Submission::default() }
    }

    async fn reaches(executions: &Executions, id: &str, wanted: fn(&State) -> bool) {
        while !executions.read(id, |execution| wanted(&execution.state)).unwrap() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn every_time_of_an_execution_is_the_clocks() {
        let noon: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let executions = Executions::new(Arc::new(move || noon), FINISHED_KEPT);
        let id = executions.start(query("1"), ready(Ok(Answer::default()))).unwrap();
        reaches(&executions, &id, |state| matches!(state, State::Succeeded(_))).await;
        let times = executions.read(&id, |execution| (execution.submitted_at, execution.began_at, execution.ended_at));
        assert_eq!(times.unwrap(), (noon, Some(noon), Some(noon)));
    }

    #[tokio::test]
    async fn a_panic_fails_the_query_and_no_other() {
        let executions = executions();
        let broken = executions.start(query("1"), async { panic!("no plan") }).unwrap();
        let sound = executions.start(query("2"), ready(Ok(Answer::default()))).unwrap();
        reaches(&executions, &sound, |state| matches!(state, State::Succeeded(_))).await;
        reaches(&executions, &broken, |state| {
            matches!(state, State::Failed(failure)
                if failure.reason() == "GENERIC_INTERNAL_ERROR: the query engine panicked: no plan")
        })
        .await;
    }

    #[tokio::test]
    async fn a_query_waits_for_its_turn_and_may_be_stopped_while_it_does() {
        let executions = executions();
        let running: Vec<String> =
            (0..RUNNING_AT_ONCE).map(|_| executions.start(query("slow"), pending()).unwrap()).collect();
        for id in &running {
            reaches(&executions, id, |state| matches!(state, State::Running)).await;
        }
        let given_up = executions.start(query("1"), ready(Ok(Answer::default()))).unwrap();
        let waiting = executions.start(query("2"), ready(Ok(Answer::default()))).unwrap();
        tokio::task::yield_now().await;
        reaches(&executions, &waiting, |state| matches!(state, State::Queued)).await;
        executions.stop(&given_up).unwrap();
        executions.stop(&running[0]).unwrap();
        reaches(&executions, &waiting, |state| matches!(state, State::Succeeded(_))).await;
        reaches(&executions, &given_up, |state| matches!(state, State::Cancelled)).await;
    }

    #[tokio::test]
    async fn the_oldest_finished_executions_are_forgotten() {
        let executions = executions();
        let slow = executions.start(query("slow"), pending()).unwrap();
        let mut ids = Vec::new();
        for _ in 0..FINISHED_KEPT + 5 {
            let id = executions.start(query("1"), ready(Ok(Answer::default()))).unwrap();
            reaches(&executions, &id, |state| matches!(state, State::Succeeded(_))).await;
            ids.push(id);
        }
        assert_eq!(executions.shared.known().len(), FINISHED_KEPT + 1);
        assert!(executions.read(&ids[4], |_| ()).is_err());
        assert!(executions.read(&ids[5], |_| ()).is_ok());
        assert!(executions.read(&slow, |_| ()).is_ok());
    }

    #[tokio::test]
    async fn an_execution_is_forgotten_an_hour_after_its_end() {
        let executions = executions();
        let id = executions.start(query("1"), ready(Ok(Answer::default()))).unwrap();
        reaches(&executions, &id, |state| matches!(state, State::Succeeded(_))).await;
        let mut known = executions.shared.known();
        let ended_at = known[0].ended_at.unwrap();
        forget_old(&mut known, ended_at + KEPT_FOR - Duration::from_millis(1), FINISHED_KEPT);
        assert_eq!(known.len(), 1);
        forget_old(&mut known, ended_at + KEPT_FOR, FINISHED_KEPT);
        assert_eq!(known.len(), 0);
    }
}
