//! The numbered log of an execution.

use std::time::Duration;

use serde_json::json;

use super::executions::{finished, planned, step};
use super::{TestStores, stories};
use crate::kernel::new_id;
use crate::storage::execution::ExecutionChange;
use crate::storage::{Execution, ExecutionStatus, LogFact, StepStatus, TaskEvent, TaskFact, TaskStart};

stories!(embedded: events_are_numbered_from_the_beginning_to_the_end, an_event_that_is_recorded_again_is_there_once,
    a_task_that_had_begun_is_reported_when_it_is_cut_off, what_is_behind_a_gap_waits_for_it_until_the_end);
stories!(postgres: events_are_numbered_from_the_beginning_to_the_end, an_event_that_is_recorded_again_is_there_once,
    a_task_that_had_begun_is_reported_when_it_is_cut_off, what_is_behind_a_gap_waits_for_it_until_the_end);

pub(super) fn start(id: &str) -> TaskStart {
    let (id, action) = (id.to_owned(), "tool_execution".to_owned());
    TaskStart { id, action, target: Some("lamp".to_owned()), query: Some("{\"on\":true}".to_owned()) }
}

fn starting(number: i64, id: &str) -> TaskEvent {
    TaskEvent { number, at_ms: 5, fact: TaskFact::Started(start(id)) }
}

impl TestStores {
    /// The number, the time and the kind of each event; of a task with its id.
    async fn told(&self, id: &str) -> Vec<(i64, i64, String)> {
        let log = self.stores.executions.log(id).await.unwrap().unwrap();
        log.events().iter().map(|event| (event.number, event.at_ms, name_of(&event.fact))).collect()
    }

    /// The kinds of all events, which have the numbers from 1 on.
    pub(super) async fn kinds(&self, id: &str) -> Vec<String> {
        let told = self.told(id).await;
        let numbers: Vec<_> = told.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, (1..=i64::try_from(told.len()).unwrap()).collect::<Vec<_>>());
        told.into_iter().map(|(.., kind)| kind).collect()
    }

    /// Puts changes back on what had begun, as a server does that starts.
    pub(super) async fn start_again(&self) {
        self.clock.advance(Duration::from_secs(1));
        self.stores.executions.interrupt().await.unwrap();
    }
}

pub(super) fn name_of(fact: &LogFact<'_>) -> String {
    match fact {
        LogFact::Started => "started".to_owned(),
        LogFact::Planned => "planned".to_owned(),
        LogFact::TaskStarted(start) => format!("begins {}", start.id),
        LogFact::TaskFinished(step) => format!("ends {}", step.id),
        LogFact::Ended => "end".to_owned(),
    }
}

async fn events_are_numbered_from_the_beginning_to_the_end(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    store.begin(Execution { started_ms: 4, ..bench.execution(&id) }).await.unwrap();
    assert_eq!(bench.told(&id).await, [(1, 4, "started".to_owned())]);
    store.plan(&id, planned("general_llm", 0.5, &json!([]))).await.unwrap();
    let written = store.task_at_once(&id, starting(3, "task_1.1")).await.unwrap();
    written.written().await.unwrap();
    store.task(&id, finished(4, step("task_1.1"))).await.unwrap();
    store.task(&id, finished(5, step("task_1"))).await.unwrap();
    bench.finish(&id, ExecutionStatus::Completed).await;
    let log = store.log(&id).await.unwrap().unwrap();
    let finished_ms = log.execution.finished_ms.unwrap();
    let expected = [
        (1, 4, "started"),
        (2, 6, "planned"),
        (3, 5, "begins task_1.1"),
        (4, 7, "ends task_1.1"),
        (5, 7, "ends task_1"),
        (6, finished_ms, "end"),
    ];
    assert_eq!(bench.told(&id).await, expected.map(|(number, at, kind)| (number, at, kind.to_owned())));
    let facts: Vec<_> = log.events().into_iter().map(|event| event.fact).collect();
    assert_eq!(facts[2], LogFact::TaskStarted(&start("task_1.1")));
    assert_eq!(facts[3], LogFact::TaskFinished(&step("task_1.1")));
    assert_eq!(log.into_steps().1, [step("task_1.1"), step("task_1")]);
}

async fn an_event_that_is_recorded_again_is_there_once(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    store.begin(bench.execution(&id)).await.unwrap();
    for pause in [0, 20, 0] {
        store.plan(&id, planned("general_llm", 0.5, &json!([]))).await.unwrap();
        store.task(&id, starting(3, "task_1")).await.unwrap();
        store.task(&id, starting(3, "task_1")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        store.task(&id, finished(4, step("task_1"))).await.unwrap();
    }
    bench.finish(&id, ExecutionStatus::Completed).await;
    store.task(&id, starting(3, "another")).await.unwrap();
    assert_eq!(bench.kinds(&id).await, ["started", "planned", "begins task_1", "ends task_1", "end"]);
}

async fn a_task_that_had_begun_is_reported_when_it_is_cut_off(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    store.begin(bench.execution(&id)).await.unwrap();
    store.plan(&id, planned("general_llm", 0.5, &json!([]))).await.unwrap();
    for event in [
        starting(3, "task_1"),
        // Its run is part of what ends as a whole.
        starting(4, "task_2.3"),
        starting(5, "task_3.1"),
        finished(6, step("task_2")),
        finished(7, step("task_1")),
        starting(8, "task_3.10"),
        finished(9, step("task_3.1")),
    ] {
        store.task(&id, event).await.unwrap();
    }
    let done = [step("task_2"), step("task_1"), step("task_3.1")];
    assert_eq!(store.get(&id).await.unwrap().unwrap().1, done, "it may still end");
    bench.start_again().await;
    let (found, steps) = store.get(&id).await.unwrap().unwrap();
    assert_eq!((found.status, &steps[..3]), (ExecutionStatus::Interrupted, &done[..]));
    let [open] = &steps[3..] else { panic!("{steps:?}") };
    assert_eq!((open.id.as_str(), open.status), ("task_3.10", StepStatus::Interrupted));
    assert_eq!((open.target.as_deref(), open.query.as_deref()), (Some("lamp"), Some("{\"on\":true}")));
    assert!(open.error.as_ref().unwrap().contains("may have taken effect; it was not repeated"), "{open:?}");
    assert_eq!(bench.kinds(&id).await.len(), 10);
}

async fn what_is_behind_a_gap_waits_for_it_until_the_end(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    store.begin(bench.execution(&id)).await.unwrap();
    store.task(&id, starting(3, "task_1")).await.unwrap();
    assert_eq!(bench.kinds(&id).await, ["started"], "the plan is still to come");
    store.plan(&id, planned("general_llm", 0.5, &json!([]))).await.unwrap();
    store.task(&id, finished(5, step("task_1"))).await.unwrap();
    assert_eq!(bench.kinds(&id).await, ["started", "planned", "begins task_1"]);
    store.task(&id, finished(4, step("task_2"))).await.unwrap();
    assert_eq!(bench.kinds(&id).await, ["started", "planned", "begins task_1", "ends task_2", "ends task_1"]);
    store.task(&id, finished(8, step("task_3"))).await.unwrap();
    bench.start_again().await;
    let closed = ["started", "planned", "begins task_1", "ends task_2", "ends task_1", "ends task_3", "end"];
    assert_eq!(bench.kinds(&id).await, closed, "what was lost with its server comes no more");
}

/// What an earlier version has left in the outbox: steps by their ordinal, and plans without a time.
#[tokio::test]
async fn steps_of_an_earlier_version_that_wait_come_to_their_place() {
    let Some(bench) = TestStores::postgres().await else { return };
    let (id, postgres) = (new_id(), bench.stores.postgres.as_ref().unwrap());
    let begun = json!({"begin": {"id": id, "user_id": "ada", "status": "running", "prompt": "What?", "intent": null,
        "plan": null, "answer": null, "error": null, "metadata": null, "started_ms": 4, "finished_ms": null}});
    let plan = json!({"plan": {"id": id, "intent": "general_llm", "confidence": 0.5, "plan": "[]"}});
    let ended = |ordinal: i64, name: &str| json!({"step": {"id": id, "ordinal": ordinal, "step": step(name)}});
    let end = json!({"finish": {"id": id, "finished_ms": 9,
        "end": {"status": "completed", "answer": "That.", "error": null, "metadata": "{}"}}});
    postgres.mark_down();
    for body in [begun, plan, ended(0, "task_1"), ended(1, "task_2"), end] {
        let body = body.to_string();
        assert!(serde_json::from_str::<ExecutionChange>(&body).is_ok(), "{body}");
        let waiting = "INSERT INTO outbox (service, owner, bytes, body) VALUES ('postgres', ?1, 1, ?2)";
        sqlx::query(waiting).bind(&id).bind(body).execute(bench.stores.database.writer()).await.unwrap();
    }
    // The connection is looked at from time to time, and what was left behind is found then.
    bench.connected(&id).await;
    let stored: Vec<_> =
        bench.stores.executions.log(&id).await.unwrap().unwrap().tasks.iter().map(|task| task.number).collect();
    assert_eq!(stored, [3, 4]);
    let expected = [(1, 4, "started"), (2, 4, "planned"), (3, 4, "ends task_1"), (4, 4, "ends task_2"), (5, 9, "end")];
    assert_eq!(bench.told(&id).await, expected.map(|(number, at, kind)| (number, at, kind.to_owned())));
}
