//! Many who write at once, and windows that are kept in memory.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sqlx::Row;

use super::executions::{begun, finished, planned, step};
use super::{TestStores, stories};
use crate::kernel::{Clock, Role, UserId, new_id};
use crate::storage::conversation::{ConversationStore, EmbeddedConversations, WindowCache};
use crate::storage::embedded::batch_statements;
use crate::storage::{ExecutionFilter, ExecutionStatus, Message, Outcome};

const HOUR: Duration = Duration::from_secs(3600);

stories!(embedded: records_that_are_written_together_are_whole, the_first_end_counts_and_can_be_corrected,
    turns_of_one_user_keep_their_order);
stories!(postgres: records_that_are_written_together_are_whole, the_first_end_counts_and_can_be_corrected);
stories!(redis: turns_of_one_user_keep_their_order);

fn ended(status: ExecutionStatus, answer: &str) -> Outcome {
    Outcome { status, answer: Some(answer.to_owned()), error: None, metadata: json!({"n": answer}).to_string() }
}

async fn records_that_are_written_together_are_whole(bench: &TestStores) {
    let store = &bench.stores.executions;
    let chat = async |number: usize| {
        let id = format!("e{number}");
        store.begin(begun(&id, &format!("u{number}"), bench.clock.now_ms())).await.unwrap();
        if number.is_multiple_of(3) {
            // Some are slow: their beginning is written long before their end.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        store.plan(&id, planned("general_llm", 0.5, &json!([number]))).await.unwrap();
        store.task(&id, finished(3, step("task_1"))).await.unwrap();
        store.task(&id, finished(4, step("task_2"))).await.unwrap();
        store.finish(&id, ended(ExecutionStatus::Completed, &number.to_string())).await.unwrap();
    };
    join_all((0..300).map(chat)).await;
    let filter = ExecutionFilter { status: Some(ExecutionStatus::Completed), ..ExecutionFilter::default() };
    assert_eq!(store.list(&filter, 1000).await.unwrap().len(), 300);
    for number in 0..300 {
        let (found, steps) = store.get(&format!("e{number}")).await.unwrap().unwrap();
        let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["task_1", "task_2"]);
        assert_eq!((found.user_id, found.plan), (format!("u{number}"), Some(json!([number]))));
        assert_eq!((found.answer, found.metadata), (Some(number.to_string()), Some(json!({"n": number.to_string()}))));
        assert_eq!((found.intent, found.finished_ms.is_some()), (Some(("general_llm".to_owned(), 0.5)), true));
    }
}

async fn the_first_end_counts_and_can_be_corrected(bench: &TestStores) {
    let (store, id) = (&bench.stores.executions, new_id());
    store.begin(bench.execution(&id)).await.unwrap();
    let (first, second) = (ended(ExecutionStatus::Completed, "first"), ended(ExecutionStatus::Failed, "second"));
    let (one, other) = tokio::join!(store.finish(&id, first), store.finish(&id, second));
    one.unwrap();
    other.unwrap();
    store.begin(bench.execution(&id)).await.unwrap();
    let found = async || store.get(&id).await.unwrap().unwrap().0;
    assert_eq!((found().await.status, found().await.answer), (ExecutionStatus::Completed, Some("first".to_owned())));
    store.amend(&id, Some("not saved".to_owned()), Value::Null.to_string()).await.unwrap();
    assert_eq!((found().await.error.as_deref(), found().await.metadata), (Some("not saved"), Some(Value::Null)));
    assert_eq!((found().await.status, found().await.answer), (ExecutionStatus::Completed, Some("first".to_owned())));
}

async fn turns_of_one_user_keep_their_order(bench: &TestStores) {
    let say = async |number: usize| {
        let message = |role| {
            Arc::new(Message {
                role,
                content: number.to_string(),
                metadata: Map::new(),
                created_ms: bench.clock.now_ms(),
            })
        };
        let turns = [message(Role::User), message(Role::Assistant)];
        bench.stores.conversations.append(&bench.user, &turns, HOUR, 50).await.unwrap();
    };
    for round in 0..4 {
        join_all((0..20).map(|number| say(20 * round + number))).await;
    }
    let found = bench.stores.conversations.window(&bench.user, 10_000).await.unwrap().messages;
    assert_eq!(found.len(), 50);
    for pair in found.chunks(2) {
        assert_eq!((pair[0].role, pair[1].role), (Role::Assistant, Role::User));
        assert_eq!(pair[0].content, pair[1].content);
    }
    let last: Vec<usize> = found.chunks(2).map(|pair| pair[0].content.parse().unwrap()).collect();
    assert!(last.iter().take(20).all(|number| *number >= 60), "{last:?}");
}

/// With a million executions, going through them for each batch would take seconds.
#[tokio::test]
async fn no_statement_of_a_batch_goes_through_a_table() {
    let bench = TestStores::embedded().await.unwrap();
    for sql in batch_statements() {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let plan = plan.fetch_all(bench.stores.database.read()).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        for (at, step) in steps.iter().enumerate() {
            let is_of_given = step.contains("given") || step.contains("jsonb_each") || step.contains("CONSTANT ROW");
            assert!(!step.starts_with("SCAN") || is_of_given, "{sql}\n{steps:#?}");
            // JSON that is gone through for each of many rows would be read anew each time.
            assert!(at == 0 || !step.starts_with("SCAN given") || sql.contains("'interrupted'"), "{sql}\n{steps:#?}");
        }
    }
}

/// What happens to two conversations.
#[derive(Clone, Debug)]
enum Happening {
    Said { user: usize, turns: Vec<(Role, usize)>, ttl_ms: u64, max: usize },
    SaidAtOnce { user: usize, sizes: Vec<usize>, max: usize },
    Cleared { user: usize },
    AllCleared,
    Summarized { user: usize },
    TimePasses { ms: u64 },
    Purged,
}

fn happening() -> impl Strategy<Value = Happening> {
    let role = prop_oneof![3 => Just(Role::User), 3 => Just(Role::Assistant), 1 => Just(Role::System)];
    let turns = proptest::collection::vec((role, 0_usize..40), 1..4);
    let (user, max) = (0_usize..2, prop_oneof![Just(3_usize), Just(6), Just(1000)]);
    prop_oneof![
        8 => (user.clone(), turns, prop_oneof![Just(50_u64), Just(10_000)], max.clone())
            .prop_map(|(user, turns, ttl_ms, max)| Happening::Said { user, turns, ttl_ms, max }),
        3 => (user.clone(), proptest::collection::vec(0_usize..40, 2..6), max)
            .prop_map(|(user, sizes, max)| Happening::SaidAtOnce { user, sizes, max }),
        1 => user.clone().prop_map(|user| Happening::Cleared { user }),
        1 => Just(Happening::AllCleared),
        1 => user.prop_map(|user| Happening::Summarized { user }),
        2 => (1_u64..80).prop_map(|ms| Happening::TimePasses { ms }),
        1 => Just(Happening::Purged),
    ]
}

impl TestStores {
    async fn happens(&self, happening: Happening, users: &[UserId]) {
        let store = &self.stores.conversations;
        let message = |role, size: usize| {
            let content = "é".repeat(size);
            Arc::new(Message { role, content, metadata: Map::new(), created_ms: self.clock.now_ms() })
        };
        match happening {
            Happening::Said { user, turns, ttl_ms, max } => {
                let turns: Vec<_> = turns.into_iter().map(|(role, size)| message(role, size)).collect();
                store.append(&users[user], &turns, Duration::from_millis(ttl_ms), max).await.unwrap();
            }
            Happening::SaidAtOnce { user, sizes, max } => {
                let say =
                    async |size| store.append(&users[user], &[message(Role::User, size)], HOUR, max).await.unwrap();
                join_all(sizes.into_iter().map(say)).await;
            }
            Happening::Cleared { user } => store.clear(&users[user]).await.unwrap(),
            Happening::AllCleared => drop(store.clear_all().await.unwrap()),
            Happening::Summarized { user } => {
                if let Some(excess) = store.excess(&users[user], 2, 100).await.unwrap() {
                    store.summarize(&users[user], &excess, 1, "in short").await.unwrap();
                }
            }
            Happening::TimePasses { ms } => self.clock.advance(Duration::from_millis(ms)),
            Happening::Purged => store.embedded.purge().await.unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever happens, a window from memory is the one that the database would give.
    #[test]
    fn a_kept_window_is_what_the_database_has(
        happenings in proptest::collection::vec((happening(), 0_usize..120), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = TestStores::open(None, None, Clock::manual(1_000_000)).await;
            let users = [bench.user.clone(), UserId::parse("other").unwrap()];
            for (happening, chars) in happenings {
                bench.happens(happening.clone(), &users).await;
                for user in &users {
                    let kept = &bench.stores.conversations;
                    let embedded =
                        EmbeddedConversations { windows: WindowCache::default(), ..kept.embedded.clone() };
                    let database = ConversationStore { embedded, redis: None, durable: None };
                    let expected = database.window(user, chars).await.unwrap();
                    assert_eq!(kept.window(user, chars).await.unwrap(), expected, "after {happening:?}");
                }
            }
        });
    }
}
