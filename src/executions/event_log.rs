use parking_lot::Mutex;

use crate::kernel::Error;
use crate::storage::{
    ExecutionStore, FIRST_TASK_EVENT, Outcome, PLANNED_EVENT, PendingWrite, PlanRecord, Step, TaskEvent, TaskFact,
};

/// The log of one execution as it is written: numbers its events, and knows of each whether it is stored. One that was lost is put again
/// before the next one and before the end, so that no number is missing.
#[derive(Debug)]
pub(super) struct EventLog {
    executions: ExecutionStore,
    id: String,
    entries: Mutex<LogEntries>,
}

#[derive(Debug, Default)]
struct LogEntries {
    plan: Option<(PlanRecord, WriteState)>,
    /// The first one has the number [`FIRST_TASK_EVENT`].
    tasks: Vec<(TaskEvent, WriteState)>,
}

/// How far an event is on its way into the store.
#[derive(Debug)]
enum WriteState {
    /// Nothing is known yet: whoever puts it is still about it, or has left.
    Entering,
    /// In the queue.
    Queued(PendingWrite),
    Lost,
    Written,
}

/// Which event.
#[derive(Clone, Copy, Debug)]
pub(super) enum EventKey {
    Plan,
    /// By its index.
    Task(usize),
}

impl EventLog {
    pub(super) fn new(executions: ExecutionStore, id: String) -> Self {
        Self { executions, id, entries: Mutex::default() }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The plan is made. It is to be put at once.
    pub(super) fn add_plan(&self, plan: PlanRecord) -> EventKey {
        self.entries.lock().plan = Some((plan, WriteState::Entering));
        EventKey::Plan
    }

    /// Something happened to a task. It is to be put at once, so that what is put is in the order of its numbers.
    pub(super) fn add(&self, fact: TaskFact) -> (i64, EventKey) {
        let at_ms = self.executions.now_ms();
        let mut entries = self.entries.lock();
        let at = entries.tasks.len();
        let number = FIRST_TASK_EVENT.saturating_add(i64::try_from(at).unwrap_or(i64::MAX));
        entries.tasks.push((TaskEvent { number, at_ms, fact }, WriteState::Entering));
        (number, EventKey::Task(at))
    }

    /// The tasks that have ended.
    pub(super) fn steps(&self) -> Vec<Step> {
        let step = |(event, _): &(TaskEvent, WriteState)| match &event.fact {
            TaskFact::Finished(step) => Some(step.clone()),
            TaskFact::Started(_) => None,
        };
        self.entries.lock().tasks.iter().filter_map(step).collect()
    }

    /// The number that the end has if nothing more is added.
    pub(super) fn end_number(&self) -> i64 {
        let entries = self.entries.lock();
        match entries.tasks.last() {
            Some((last, _)) => last.number.saturating_add(1),
            None => PLANNED_EVENT + i64::from(entries.plan.is_some()),
        }
    }

    /// Puts an event into the queue, and before it what was lost so far. Nobody waits for it to be written.
    pub(super) async fn put(&self, key: EventKey) {
        self.put_again(false).await;
        self.put_one(key).await;
    }

    /// The same for an event that must be written before its task begins.
    pub(super) async fn write(&self, key: EventKey) -> Result<(), Error> {
        self.put_again(false).await;
        let Some(event) = self.entries.lock().task(key) else { return Ok(()) };
        let writing = async { self.executions.task_at_once(&self.id, event).await?.written().await.map(drop) };
        let written = writing.await;
        let state = if written.is_ok() { WriteState::Written } else { WriteState::Lost };
        self.entries.lock().set(key, state);
        written
    }

    /// Writes the end. What happened before is to be put again first, if it is lost.
    pub(super) async fn finish(&self, outcome: Outcome) -> Result<(), Error> {
        let finished = self.executions.finish(&self.id, outcome).await;
        // What of it came into the queue before the end is known by now.
        self.put_again(true).await;
        finished
    }

    /// Puts what was lost, also what somebody has left behind who `is_last`. What is stored already stays as it is.
    pub(super) async fn put_again(&self, is_last: bool) {
        let lost = self.entries.lock().lost(is_last);
        for key in lost {
            self.put_one(key).await;
        }
    }

    async fn put_one(&self, key: EventKey) {
        let (plan, task) = {
            let mut entries = self.entries.lock();
            entries.set(key, WriteState::Entering);
            (entries.plan(key), entries.task(key))
        };
        let put = match (plan, task) {
            (Some(plan), _) => self.executions.plan(&self.id, plan).await,
            (None, Some(event)) => self.executions.task(&self.id, event).await,
            (None, None) => return,
        };
        let put = put.inspect_err(|error| tracing::warn!(%error, "an event of an execution could not be recorded"));
        self.entries.lock().set(key, put.map_or(WriteState::Lost, WriteState::Queued));
    }
}

impl LogEntries {
    fn plan(&self, key: EventKey) -> Option<PlanRecord> {
        match key {
            EventKey::Plan => self.plan.as_ref().map(|(plan, _)| plan.clone()),
            EventKey::Task(_) => None,
        }
    }

    fn task(&self, key: EventKey) -> Option<TaskEvent> {
        match key {
            EventKey::Plan => None,
            EventKey::Task(at) => self.tasks.get(at).map(|(event, _)| event.clone()),
        }
    }

    fn states(&mut self) -> impl Iterator<Item = (EventKey, &mut WriteState)> {
        let plan = self.plan.iter_mut().map(|(_, state)| (EventKey::Plan, state));
        plan.chain(self.tasks.iter_mut().enumerate().map(|(at, (_, state))| (EventKey::Task(at), state)))
    }

    fn set(&mut self, key: EventKey, now: WriteState) {
        let state = match key {
            EventKey::Plan => self.plan.as_mut().map(|(_, state)| state),
            EventKey::Task(at) => self.tasks.get_mut(at).map(|(_, state)| state),
        };
        if let Some(state) = state {
            *state = now;
        }
    }

    /// Events that have not come into the store, as far as is known; of those that are on their way nobody `is_last` waits for.
    fn lost(&mut self, is_last: bool) -> Vec<EventKey> {
        let mut lost = Vec::new();
        for (key, state) in self.states() {
            let known = if let WriteState::Queued(write) = state { write.known() } else { None };
            match known {
                Some(Ok(_)) => *state = WriteState::Written,
                Some(Err(error)) => {
                    tracing::warn!(%error, "an event of an execution was lost and is recorded anew");
                    *state = WriteState::Lost;
                }
                None => {}
            }
            if matches!(state, WriteState::Lost) || is_last && matches!(state, WriteState::Entering) {
                lost.push(key);
            }
        }
        lost
    }
}
