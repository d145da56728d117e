//! The numbered log of an execution.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::executions::{finished, planned, step};
use super::{TestStores, stories};
use crate::executions::ExecutionRecorder;
use crate::kernel::{Clock, Deadline, Redaction, new_id};
use crate::storage::execution::ExecutionChange;
use crate::storage::{
    Execution, ExecutionLog, ExecutionStatus, LogFact, Step, StepStatus, Stores, TaskEvent, TaskFact, TaskStart,
};

stories!(embedded: events_are_numbered_from_the_beginning_to_the_end, an_event_that_is_recorded_again_is_there_once,
    a_task_that_had_begun_is_reported_when_it_is_cut_off, what_is_behind_a_gap_waits_for_it_until_the_end,
    an_execution_that_fails_before_its_plan_has_two_events);
stories!(postgres: events_are_numbered_from_the_beginning_to_the_end, an_event_that_is_recorded_again_is_there_once,
    a_task_that_had_begun_is_reported_when_it_is_cut_off, what_is_behind_a_gap_waits_for_it_until_the_end,
    an_execution_that_fails_before_its_plan_has_two_events);

fn start(id: &str) -> TaskStart {
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
    async fn kinds(&self, id: &str) -> Vec<String> {
        let told = self.told(id).await;
        let numbers: Vec<_> = told.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, (1..=i64::try_from(told.len()).unwrap()).collect::<Vec<_>>());
        told.into_iter().map(|(.., kind)| kind).collect()
    }

    /// Puts changes back on what had begun, as a server does that starts.
    async fn start_again(&self) {
        self.clock.advance(Duration::from_secs(1));
        self.stores.executions.interrupt().await.unwrap();
    }
}

fn name_of(fact: &LogFact<'_>) -> String {
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

async fn an_execution_that_fails_before_its_plan_has_two_events(bench: &TestStores) {
    let id = new_id();
    let mut recorder = bench.recorder();
    recorder.begin("ada", "What?", 4).await;
    assert_eq!(recorder.end_number(), 2);
    assert!(recorder.finish(true, None, Some("no".to_owned()), "{}".to_owned()).await);
    assert_eq!(bench.kinds(recorder.id()).await, ["started", "end"]);
    assert!(bench.stores.executions.log(&id).await.unwrap().is_none());
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
    let expected = [(1, 4, "started"), (2, 4, "planned"), (3, 4, "ends task_1"), (4, 4, "ends task_2"), (5, 9, "end")];
    assert_eq!(bench.told(&id).await, expected.map(|(number, at, kind)| (number, at, kind.to_owned())));
}

impl TestStores {
    fn recorder(&self) -> ExecutionRecorder {
        ExecutionRecorder::new(self.stores.executions.clone(), TaskTracker::new(), Redaction::default())
    }

    /// Waits until Postgres is there again and has this execution, if there is one.
    async fn connected(&self, id: &str) {
        let Some(postgres) = &self.stores.postgres else { return };
        let there = async || match postgres.connection() {
            Some(connection) => {
                let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM execution WHERE id = $1").bind(id);
                count.fetch_one(&connection.pool).await.unwrap() == 1 && postgres.status().pending == 0
            }
            None => false,
        };
        for _ in 0..1000 {
            if there().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("Postgres did not come back: {:?}", postgres.status());
    }
}

/// What happens while an execution runs.
#[derive(Clone, Debug)]
enum Happening {
    /// So many tasks end at once; of as many it is recorded that they begin.
    Tasks {
        ended: usize,
        begun: usize,
    },
    /// Events can't be written, until they can again; or Postgres is away for a moment.
    Trouble,
    Calm,
    TimePasses,
}

/// How an execution ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Answered,
    Left,
    Killed,
}

fn happenings() -> impl Strategy<Value = (Vec<Happening>, Ending)> {
    let happening = prop_oneof![
        6 => (0_usize..4, 0_usize..3).prop_map(|(ended, begun)| Happening::Tasks { ended, begun }),
        2 => Just(Happening::Trouble),
        2 => Just(Happening::Calm),
        2 => Just(Happening::TimePasses),
    ];
    let ending = prop_oneof![3 => Just(Ending::Answered), 1 => Just(Ending::Left), 1 => Just(Ending::Killed)];
    (proptest::collection::vec(happening, 0..10), ending)
}

impl TestStores {
    /// Goes through an execution, and looks at what its log has in the end.
    async fn goes_through(&self, happenings: Vec<Happening>, ending: Ending) {
        let mut recorder = self.recorder();
        let (id, is_embedded) = (recorder.id().to_owned(), self.stores.postgres.is_none());
        recorder.begin("ada", "What?", 4).await;
        if is_embedded {
            // A beginning that is lost takes all with it.
            self.stores.executions.log(&id).await.unwrap().unwrap();
        }
        let (mut is_troubled, mut expected) = (false, vec!["started".to_owned(), "planned".to_owned()]);
        let mut planned = false;
        for happening in happenings {
            match happening {
                Happening::Trouble if !is_embedded => self.stores.postgres.as_ref().unwrap().mark_down(),
                Happening::Trouble if !is_troubled => {
                    self.lose_events().await;
                    is_troubled = true;
                }
                Happening::Calm if is_troubled => {
                    self.lose_no_events().await;
                    is_troubled = false;
                }
                Happening::Trouble | Happening::Calm => {}
                Happening::TimePasses => tokio::time::sleep(Duration::from_millis(8)).await,
                Happening::Tasks { ended, begun } => {
                    if !planned {
                        assert_eq!(recorder.plan("general_llm", 0.5, &json!([])).await, 2);
                        planned = true;
                    }
                    self.tasks(&recorder, ended, begun, &mut expected).await;
                }
            }
        }
        if is_troubled {
            self.lose_no_events().await;
        }
        if !planned {
            recorder.plan("general_llm", 0.5, &json!([])).await;
        }
        expected.push("end".to_owned());
        let end = recorder.end_number();
        match ending {
            Ending::Answered => assert!(recorder.finish(false, None, None, "{}".to_owned()).await),
            Ending::Left => drop(recorder),
            Ending::Killed => {
                // Whatever has not come into the store is lost with its server.
                std::mem::forget(recorder);
                self.start_again().await;
            }
        }
        self.connected(&id).await;
        let log = self.ended(&id).await;
        let told: Vec<_> = log.events().iter().map(|event| name_of(&event.fact)).collect();
        let numbers: Vec<_> = log.events().iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=i64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
        if ending != Ending::Killed {
            assert_eq!((told, numbers.last()), (expected, Some(&end)));
            let stored: Vec<_> = log.tasks.iter().map(|task| task.number).collect();
            assert_eq!(stored, (3..end).collect::<Vec<_>>(), "each has the number that was told");
        }
    }

    async fn tasks(&self, recorder: &ExecutionRecorder, ended: usize, begun: usize, expected: &mut Vec<String>) {
        let deadline = Deadline::after(Duration::from_secs(60));
        let base = expected.len();
        let begin = async |nth: usize| recorder.task_begins(start(&format!("b{base}_{nth}")), deadline).await;
        let end = async |nth: usize| {
            let id = format!("e{base}_{nth}");
            let (number, Step { id: recorded, .. }, recording) = recorder.step(step(&id));
            recording.await;
            assert_eq!(recorded, id);
            number
        };
        let (numbers, ()) = tokio::join!(join_all((0..ended).map(end)), async {
            join_all((0..begun).map(begin)).await;
        });
        let next = i64::try_from(base).unwrap() + 1;
        assert_eq!(numbers, (next..next + i64::try_from(ended).unwrap()).collect::<Vec<_>>());
        expected.extend((0..ended).map(|nth| format!("ends e{base}_{nth}")));
        expected.extend((0..begun).map(|nth| format!("begins b{base}_{nth}")));
    }

    async fn ended(&self, id: &str) -> ExecutionLog {
        for _ in 0..1000 {
            let log = self.stores.executions.log(id).await.unwrap().unwrap();
            if !log.execution.is_running() {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it did not end");
    }

    async fn lose_events(&self) {
        for losing in [
            "CREATE TRIGGER lose_task BEFORE INSERT ON execution_event BEGIN SELECT RAISE(ABORT, 'lost'); END",
            "CREATE TRIGGER lose_plan BEFORE UPDATE OF plan ON execution BEGIN SELECT RAISE(ABORT, 'lost'); END",
        ] {
            sqlx::query(losing).execute(self.stores.database.writer()).await.unwrap();
        }
    }

    async fn lose_no_events(&self) {
        for mending in ["DROP TRIGGER lose_task", "DROP TRIGGER lose_plan"] {
            sqlx::query(mending).execute(self.stores.database.writer()).await.unwrap();
        }
    }
}

/// Runs a story of many on stores of its own.
fn on(stores: impl Future<Output = Option<TestStores>>, happenings: Vec<Happening>, ending: Ending) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if let Some(bench) = stores.await {
            bench.goes_through(happenings, ending).await;
            Stores::close(&bench.stores).await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever is lost on the way, and however it ends: the events have the numbers from 1 to the last.
    #[test]
    fn no_number_is_missing_whatever_gets_lost((happenings, ending) in happenings()) {
        let clock = Clock::manual(1_000_000);
        on(async { Some(TestStores::open(None, None, clock).await) }, happenings, ending);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The same while Postgres comes and goes.
    #[test]
    fn no_number_is_missing_whenever_postgres_is_away((happenings, ending) in happenings()) {
        on(TestStores::postgres_by(Clock::manual(1_000_000)), happenings, ending);
    }
}
