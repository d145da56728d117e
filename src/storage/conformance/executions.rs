//! Executions and their steps.

use std::time::Duration;

use serde_json::{Value, json};

use super::{TestStores, stories};
use crate::kernel::new_id;
use crate::storage::{
    Execution, ExecutionCursor, ExecutionFilter, ExecutionStatus, Outcome, PlanRecord, Step, StepStatus, TaskEvent,
    TaskFact,
};

stories!(embedded: a_record_comes_back_as_it_was_made, changes_that_are_made_again_change_nothing,
    pages_follow_each_other_without_gaps, filters_narrow_the_list, old_and_surplus_records_go_with_their_steps,
    unknown_records_are_none, odd_texts_can_be_recorded, gaps_between_positions_are_no_records,
    what_never_ended_keeps_nothing_else_from_being_deleted);
stories!(postgres: a_record_comes_back_as_it_was_made, changes_that_are_made_again_change_nothing,
    pages_follow_each_other_without_gaps, filters_narrow_the_list, old_and_surplus_records_go_with_their_steps,
    unknown_records_are_none, odd_texts_can_be_recorded, gaps_between_positions_are_no_records,
    what_never_ended_keeps_nothing_else_from_being_deleted);

impl TestStores {
    pub(super) fn execution(&self, id: &str) -> Execution {
        begun(id, self.user.as_str(), self.clock.now_ms())
    }

    /// Records an execution that began so long ago.
    async fn begin(&self, id: &str, age: Duration) {
        let started_ms = self.clock.now_ms() - i64::try_from(age.as_millis()).unwrap();
        self.stores.executions.begin(Execution { started_ms, ..self.execution(id) }).await.unwrap();
    }

    pub(super) async fn finish(&self, id: &str, status: ExecutionStatus) {
        let outcome = Outcome { status, answer: Some("That.".to_owned()), error: None, metadata: "{}".to_owned() };
        self.stores.executions.finish(id, outcome).await.unwrap();
    }

    async fn ids(&self, filter: &ExecutionFilter, limit: usize) -> Vec<String> {
        let page = self.stores.executions.list(filter, limit).await.unwrap();
        page.into_iter().map(|(_, execution)| execution.id).collect()
    }
}

/// An execution that has just begun.
pub(super) fn begun(id: &str, user: &str, started_ms: i64) -> Execution {
    Execution {
        id: id.to_owned(),
        user_id: user.to_owned(),
        status: ExecutionStatus::Running,
        prompt: "What?".to_owned(),
        intent: None,
        plan: None,
        planned_ms: None,
        answer: None,
        error: None,
        metadata: None,
        started_ms,
        finished_ms: None,
    }
}

pub(super) fn step(id: &str) -> Step {
    Step {
        id: id.to_owned(),
        action: "data_query".to_owned(),
        target: Some("crm".to_owned()),
        status: StepStatus::Failed,
        error: Some("no".to_owned()),
        query: Some("SELECT 1".to_owned()),
        output: Some("é".to_owned()),
        duration_ms: 7,
    }
}

/// A plan that was just made.
pub(super) fn planned(intent: &str, confidence: f64, plan: &Value) -> PlanRecord {
    PlanRecord { intent: intent.to_owned(), confidence, plan: plan.to_string(), planned_ms: 6 }
}

/// A task has ended, as the event of this number.
pub(super) fn finished(number: i64, step: Step) -> TaskEvent {
    TaskEvent { number, at_ms: 7, fact: TaskFact::Finished(step) }
}

async fn a_record_comes_back_as_it_was_made(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    let begun = bench.execution(&id);
    store.begin(begun.clone()).await.unwrap();
    assert_eq!(store.get(&id).await.unwrap().unwrap(), (begun.clone(), vec![]));
    let plan = json!({"tasks": [{"id": "task_1", "é": null}]});
    store.plan(&id, planned("data_query", 0.85, &plan)).await.unwrap();
    store.task(&id, finished(3, step("task_1"))).await.unwrap();
    store.task(&id, finished(4, step("task_2"))).await.unwrap();
    let metadata = json!({"usage": {"total": 3}});
    let outcome = Outcome {
        status: ExecutionStatus::Failed,
        answer: None,
        error: Some("out of luck".to_owned()),
        metadata: metadata.to_string(),
    };
    store.finish(&id, outcome).await.unwrap();
    let (found, steps) = store.get(&id).await.unwrap().unwrap();
    assert!(found.finished_ms.unwrap() >= begun.started_ms);
    let expected = Execution {
        status: ExecutionStatus::Failed,
        intent: Some(("data_query".to_owned(), 0.85)),
        plan: Some(plan),
        planned_ms: Some(6),
        error: Some("out of luck".to_owned()),
        metadata: Some(metadata),
        finished_ms: found.finished_ms,
        ..begun
    };
    assert_eq!((found, steps), (expected, vec![step("task_1"), step("task_2")]));
}

async fn changes_that_are_made_again_change_nothing(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    bench.begin(&id, Duration::ZERO).await;
    bench.finish(&id, ExecutionStatus::Completed).await;
    let ended = store.get(&id).await.unwrap();
    bench.finish(&id, ExecutionStatus::Cancelled).await;
    assert_eq!(store.get(&id).await.unwrap(), ended, "it has ended already");
}

async fn pages_follow_each_other_without_gaps(bench: &TestStores) {
    let all: Vec<String> = (0..25).map(|number| format!("{number:02}")).collect();
    for id in &all {
        bench.begin(id, Duration::ZERO).await;
    }
    let mut filter = ExecutionFilter::default();
    let mut seen = Vec::new();
    loop {
        let page = bench.stores.executions.list(&filter, 10).await.unwrap();
        let Some((cursor, _)) = page.last() else { break };
        filter.before = Some(ExecutionCursor::parse(&cursor.to_string()).unwrap());
        seen.extend(page.into_iter().map(|(_, execution)| execution.id));
        // What comes meanwhile does not move the pages.
        bench.begin(&new_id(), Duration::ZERO).await;
    }
    seen.reverse();
    assert_eq!(seen, all);
    let long = Execution { prompt: "é".repeat(3000), ..bench.execution(&new_id()) };
    bench.stores.executions.begin(long.clone()).await.unwrap();
    let newest = bench.stores.executions.list(&ExecutionFilter::default(), 1).await.unwrap();
    assert_eq!(newest[0].1.prompt, "é".repeat(1000), "lists cut long texts");
    assert_eq!(bench.stores.executions.get(&long.id).await.unwrap().unwrap().0.prompt.chars().count(), 3000);
}

async fn filters_narrow_the_list(bench: &TestStores) {
    for (id, user, status) in [
        ("1", "ada", Some(ExecutionStatus::Completed)),
        ("2", "bob", Some(ExecutionStatus::Completed)),
        ("3", "ada", Some(ExecutionStatus::Failed)),
        ("4", "ada", None),
    ] {
        let execution = Execution { user_id: user.to_owned(), ..bench.execution(id) };
        bench.stores.executions.begin(execution).await.unwrap();
        if let Some(status) = status {
            bench.finish(id, status).await;
        }
    }
    let ids = async |user: Option<&str>, status| {
        let filter = ExecutionFilter { user_id: user.map(str::to_owned), status, before: None };
        bench.ids(&filter, 10).await.concat()
    };
    assert_eq!(ids(None, None).await, "4321");
    assert_eq!(ids(Some("ada"), None).await, "431");
    assert_eq!(ids(None, Some(ExecutionStatus::Completed)).await, "21");
    assert_eq!(ids(Some("ada"), Some(ExecutionStatus::Running)).await, "4");
    assert_eq!(ids(Some("eve"), None).await, "");
}

async fn old_and_surplus_records_go_with_their_steps(bench: &TestStores) {
    for number in 0..1200_u32 {
        let id = number.to_string();
        bench.begin(&id, Duration::from_secs(u64::from(1200 - number))).await;
        if number % 100 == 0 {
            bench.stores.executions.task(&id, finished(3, step("task_1"))).await.unwrap();
        }
        if number != 7 {
            bench.finish(&id, ExecutionStatus::Completed).await;
        }
    }
    let store = &bench.stores.executions;
    let left = async || bench.ids(&ExecutionFilter::default(), 5000).await;
    store.retain(Duration::from_secs(86_400), 50, bench.postgres_connection().as_ref()).await.unwrap();
    let newest: Vec<String> = (1150..1200).rev().chain([7]).map(|number| number.to_string()).collect();
    assert_eq!(left().await, newest, "what runs stays");
    assert!(store.get("1100").await.unwrap().is_none());
    // A second more than the age of the tenth, for a slow machine.
    store.retain(Duration::from_secs(20), 50, bench.postgres_connection().as_ref()).await.unwrap();
    let left = left().await;
    assert!(left.len() <= 21 && left.contains(&"1199".to_owned()) && left.contains(&"7".to_owned()), "{left:?}");
}

async fn unknown_records_are_none(bench: &TestStores) {
    let store = &bench.stores.executions;
    assert!(store.get("nobody").await.unwrap().is_none());
    assert!(store.get("a\0").await.unwrap().is_none());
    assert!(store.get("'; DROP TABLE execution; --").await.unwrap().is_none());
    store.plan("nobody", planned("x", 1.0, &Value::Null)).await.unwrap();
    bench.finish("nobody", ExecutionStatus::Completed).await;
    assert_eq!(bench.ids(&ExecutionFilter::default(), 9).await, Vec::<String>::new());
}

async fn odd_texts_can_be_recorded(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    let odd = Execution { prompt: "a\0b \u{10FFFF} '\"\\".to_owned(), ..bench.execution(&id) };
    store.begin(odd).await.unwrap();
    store.task(&id, finished(3, Step { output: Some("\0".to_owned()), ..step("task_1") })).await.unwrap();
    store.plan(&id, planned("x", 1.0, &json!("\0"))).await.unwrap();
    let (found, steps) = store.get(&id).await.unwrap().unwrap();
    assert!(found.prompt.starts_with('a') && found.prompt.ends_with(" \u{10FFFF} '\"\\"), "{}", found.prompt);
    assert_eq!((found.plan, steps.len()), (Some(json!("\0")), 1));
}

impl TestStores {
    /// In the database itself: a statement for Postgres, and one for the embedded store.
    pub(super) async fn execute(&self, postgres: &'static str, embedded: &'static str) {
        match &self.stores.postgres {
            Some(failover) => drop(sqlx::query(postgres).execute(&failover.connection().unwrap().pool).await.unwrap()),
            None => drop(sqlx::query(embedded).execute(self.stores.database.writer()).await.unwrap()),
        }
    }
}

async fn gaps_between_positions_are_no_records(bench: &TestStores) {
    for id in ["1", "2", "3", "4"] {
        bench.begin(id, Duration::ZERO).await;
        bench.finish(id, ExecutionStatus::Completed).await;
        // As pages leave behind that were written in vain.
        bench
            .execute(
                "SELECT setval(pg_get_serial_sequence('execution', 'position'), (SELECT MAX(position) FROM execution) + 99)",
                "UPDATE sqlite_sequence SET seq = seq + 99 WHERE name = 'execution'",
            )
            .await;
    }
    let ids = async || bench.ids(&ExecutionFilter::default(), 9).await.concat();
    bench.stores.executions.retain(Duration::from_secs(86_400), 4, bench.postgres_connection().as_ref()).await.unwrap();
    assert_eq!(ids().await, "4321");
    bench.stores.executions.retain(Duration::from_secs(86_400), 3, bench.postgres_connection().as_ref()).await.unwrap();
    assert_eq!(ids().await, "432");
}

async fn what_never_ended_keeps_nothing_else_from_being_deleted(bench: &TestStores) {
    bench
        .execute(
            "INSERT INTO execution (id, server, user_id, status, prompt, started_at)
             SELECT 'r' || n, 'a server that is gone', 'x', 'running', '', 5 FROM generate_series(1, 1100) AS n",
            "WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 1100)
             INSERT INTO execution (id, user_id, status, prompt, started_at)
             SELECT 'r' || n, 'x', 'running', '', 5 FROM count",
        )
        .await;
    for (id, age) in [("old", 7200), ("new", 0)] {
        bench.begin(id, Duration::from_secs(age)).await;
        bench.finish(id, ExecutionStatus::Completed).await;
    }
    bench
        .stores
        .executions
        .retain(Duration::from_secs(3600), 1_000_000, bench.postgres_connection().as_ref())
        .await
        .unwrap();
    let left = bench.ids(&ExecutionFilter::default(), 2000).await;
    assert!(left.contains(&"new".to_owned()) && !left.contains(&"old".to_owned()));
    // Nobody else can say that a server is gone; what is embedded is this server's own.
    let running = ExecutionFilter { status: Some(ExecutionStatus::Running), ..ExecutionFilter::default() };
    let expected = if bench.stores.postgres.is_some() { 0 } else { 1100 };
    assert_eq!(bench.ids(&running, 2000).await.len(), expected);
}
