//! The log of an execution as its recorder writes it, whatever gets lost on the way.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::events::{name_of, start};
use super::executions::step;
use super::{TestStores, stories};
use crate::executions::ExecutionRecorder;
use crate::kernel::{Clock, Deadline, Redaction, new_id};
use crate::storage::{ExecutionLog, Step, Stores};

stories!(embedded: an_execution_that_fails_before_its_plan_has_two_events, that_a_task_begins_is_stored_before_it_does);
stories!(postgres: an_execution_that_fails_before_its_plan_has_two_events, that_a_task_begins_is_stored_before_it_does);

async fn an_execution_that_fails_before_its_plan_has_two_events(bench: &TestStores) {
    let id = new_id();
    let mut recorder = bench.recorder();
    recorder.begin("ada", "What?", 4).await;
    assert_eq!(recorder.end_number(), 2);
    assert!(recorder.finish(true, None, Some("no".to_owned()), "{}".to_owned()).await);
    assert_eq!(bench.kinds(recorder.id()).await, ["started", "end"]);
    assert!(bench.stores.executions.log(&id).await.unwrap().is_none());
}

async fn that_a_task_begins_is_stored_before_it_does(bench: &TestStores) {
    let mut recorder = bench.recorder();
    recorder.begin("ada", "What?", 4).await;
    recorder.plan("general_llm", 0.5, &json!([])).await;
    recorder.task_begins(start("task_1"), Deadline::after(Duration::from_secs(60))).await;
    // Asked past the store, which would let be written what waits.
    assert_eq!(bench.stored().await, 1);
    // Without time left it is not waited for, and comes into the log nevertheless.
    recorder.task_begins(start("task_2"), Deadline::after(Duration::ZERO)).await;
    assert!(recorder.finish(false, None, None, "{}".to_owned()).await);
    assert_eq!(bench.kinds(recorder.id()).await, ["started", "planned", "begins task_1", "begins task_2", "end"]);
}

#[tokio::test]
async fn a_store_that_is_stuck_keeps_a_task_waiting_until_its_deadline() {
    let bench = TestStores::embedded().await.unwrap();
    let mut recorder = bench.recorder();
    recorder.begin("ada", "What?", 4).await;
    recorder.plan("general_llm", 0.5, &json!([])).await;
    let stuck = bench.stores.database.writer().acquire().await.unwrap();
    let begins = recorder.task_begins(start("task_1"), Deadline::after(Duration::from_millis(50)));
    tokio::time::timeout(Duration::from_secs(3), begins).await.unwrap();
    drop(stuck);
    assert!(recorder.finish(false, None, None, "{}".to_owned()).await);
    assert_eq!(bench.kinds(recorder.id()).await, ["started", "planned", "begins task_1", "end"]);
}

/// Whoever hears of the end first sees it close up; then the event has its place.
#[tokio::test]
async fn what_is_lost_together_with_the_end_is_recorded_behind_it() {
    let bench = TestStores::embedded().await.unwrap();
    let mut recorder = bench.recorder();
    recorder.begin("ada", "What?", 4).await;
    recorder.plan("general_llm", 0.5, &json!([])).await;
    bench.stores.executions.log(recorder.id()).await.unwrap();
    let losing = "CREATE TRIGGER lose BEFORE INSERT ON execution_event
        WHEN EXISTS (SELECT 1 FROM execution WHERE id = NEW.execution_id AND status = 'running')
        BEGIN SELECT RAISE(ABORT, 'lost'); END";
    sqlx::query(losing).execute(bench.stores.database.writer()).await.unwrap();
    let (.., recording) = recorder.step(step("task_1"));
    recording.await;
    assert!(recorder.finish(false, None, None, "{}".to_owned()).await);
    assert_eq!(bench.kinds(recorder.id()).await, ["started", "planned", "ends task_1", "end"]);
}

/// A client that leaves while it is recorded that a task begins.
#[tokio::test]
async fn what_nobody_waits_for_any_more_is_recorded_with_the_end() {
    let bench = TestStores::embedded().await.unwrap();
    let recorder = bench.recorder();
    let id = recorder.id().to_owned();
    recorder.begin("ada", "What?", 4).await;
    recorder.plan("general_llm", 0.5, &json!([])).await;
    bench.stores.executions.log(&id).await.unwrap();
    bench.lose_events().await;
    let begins = recorder.task_begins(start("task_1"), Deadline::after(Duration::from_secs(60)));
    assert!(begins.now_or_never().is_none());
    // It is lost meanwhile, of which nobody hears.
    bench.stores.executions.log(&id).await.unwrap();
    bench.lose_no_events().await;
    drop(recorder);
    bench.ended(&id).await;
    bench.stores.executions.log(&id).await.unwrap();
    assert_eq!(bench.kinds(&id).await, ["started", "planned", "begins task_1", "end"]);
}

impl TestStores {
    /// How many events are stored by now.
    async fn stored(&self) -> i64 {
        let count = "SELECT count(*) FROM execution_event";
        match &self.stores.postgres {
            Some(postgres) => sqlx::query_scalar(count).fetch_one(&postgres.connection().unwrap().pool).await.unwrap(),
            None => sqlx::query_scalar(count).fetch_one(self.stores.database.read()).await.unwrap(),
        }
    }

    fn recorder(&self) -> ExecutionRecorder {
        ExecutionRecorder::new(self.stores.executions.clone(), TaskTracker::new(), Redaction::default())
    }

    /// Waits until Postgres is there again and has this execution, if there is one.
    pub(super) async fn connected(&self, id: &str) {
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
