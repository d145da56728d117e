//! A disk that is full, and then has room again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;

use super::TestStores;
use super::executions::begun;
use crate::kernel::{Role, new_id};
use crate::storage::{ExecutionStatus, Message, Outcome, Transcript};

const HOUR: Duration = Duration::from_secs(3600);

impl TestStores {
    async fn leave_no_room(&self) {
        let writer = self.stores.database.writer();
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(writer).await.unwrap();
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(limit).execute(writer).await.unwrap();
    }

    fn long_turn(&self) -> [Arc<Message>; 1] {
        let content = "x".repeat(2_000_000);
        [Arc::new(Message { role: Role::User, content, metadata: Map::new(), created_ms: self.clock.now_ms() })]
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_the_next_that_fits_is_written() {
    let bench = TestStores::embedded().await.unwrap();
    let conversations = &bench.stores.conversations;
    for _ in 0..3 {
        bench.leave_no_room().await;
        let refused = conversations.append(&bench.user, &bench.long_turn(), HOUR, 9).await.unwrap_err();
        assert!(format!("{refused:?}").contains("full"), "{refused:?}");
        assert_eq!(conversations.window(&bench.user, 9_000_000).await.unwrap().messages, [], "nothing is half-written");
    }
    assert_eq!(conversations.append(&bench.user, &bench.long_turn(), HOUR, 9).await.unwrap(), 1);
    let id = new_id();
    bench.stores.executions.begin(begun(&id, "u", 1)).await.unwrap();
    let outcome = Outcome { status: ExecutionStatus::Completed, answer: None, error: None, metadata: "{}".to_owned() };
    bench.stores.executions.finish(&id, outcome).await.unwrap();
    assert!(bench.stores.executions.get(&id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_transaction_for_which_there_was_no_room_does_not_keep_others_from_beginning() {
    let bench = TestStores::embedded().await.unwrap();
    bench.leave_no_room().await;
    let transcript = |id: &str, title: &str| Transcript {
        id: id.to_owned(),
        title: title.to_owned(),
        user_id: None,
        model_id: None,
        routing_profile: "auto".to_owned(),
        created_ms: 1,
        updated_ms: 1,
        message_count: 0,
    };
    bench.stores.transcripts.create(transcript("a", &"x".repeat(2_000_000))).await.unwrap_err();
    for id in ["b", "c"] {
        bench.stores.transcripts.create(transcript(id, "short")).await.unwrap();
        assert!(bench.stores.transcripts.get(id).await.unwrap().is_some());
    }
    assert_eq!(bench.stores.transcripts.get("a").await.unwrap(), None);
}
