//! Conversations and the cache.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, json};

use super::{TestStores, stories};
use crate::kernel::{Role, UserId, new_id};
use crate::storage::{Conversation, Message};

const HOUR: Duration = Duration::from_secs(3600);
const MANY: usize = 1000;

stories!(embedded: turns_come_back_as_they_were_newest_first, the_oldest_go_first_and_instructions_last,
    a_window_holds_the_newest_turns_that_fit_and_every_instruction, a_conversation_ends_with_its_time,
    each_message_lengthens_its_conversation, clearing_takes_everything_of_one_user, a_summary_takes_the_place_of_the_oldest_turns,
    turns_that_come_while_a_summary_is_written_stay, a_summary_of_what_was_cleared_does_nothing, two_summaries_of_the_same_turns_are_one,
    instructions_are_never_summarized, turns_behind_many_instructions_are_summarized, odd_texts_are_kept, turns_of_many_writers_stay_whole, the_cache_forgets_in_time);
stories!(redis: turns_come_back_as_they_were_newest_first, the_oldest_go_first_and_instructions_last,
    a_window_holds_the_newest_turns_that_fit_and_every_instruction, a_conversation_ends_with_its_time,
    each_message_lengthens_its_conversation, clearing_takes_everything_of_one_user, a_summary_takes_the_place_of_the_oldest_turns,
    turns_that_come_while_a_summary_is_written_stay, a_summary_of_what_was_cleared_does_nothing, two_summaries_of_the_same_turns_are_one,
    instructions_are_never_summarized, turns_behind_many_instructions_are_summarized, odd_texts_are_kept, turns_of_many_writers_stay_whole, the_cache_forgets_in_time);
stories!(postgres: turns_come_back_as_they_were_newest_first, the_oldest_go_first_and_instructions_last,
    a_window_holds_the_newest_turns_that_fit_and_every_instruction, a_conversation_ends_with_its_time,
    each_message_lengthens_its_conversation, clearing_takes_everything_of_one_user, a_summary_takes_the_place_of_the_oldest_turns,
    turns_that_come_while_a_summary_is_written_stay, a_summary_of_what_was_cleared_does_nothing, two_summaries_of_the_same_turns_are_one,
    instructions_are_never_summarized, turns_behind_many_instructions_are_summarized, odd_texts_are_kept, turns_of_many_writers_stay_whole);
stories!(redis_and_postgres: turns_come_back_as_they_were_newest_first, the_oldest_go_first_and_instructions_last,
    a_window_holds_the_newest_turns_that_fit_and_every_instruction, a_conversation_ends_with_its_time,
    each_message_lengthens_its_conversation, clearing_takes_everything_of_one_user, a_summary_takes_the_place_of_the_oldest_turns,
    turns_that_come_while_a_summary_is_written_stay, a_summary_of_what_was_cleared_does_nothing, two_summaries_of_the_same_turns_are_one,
    instructions_are_never_summarized, turns_behind_many_instructions_are_summarized, odd_texts_are_kept, turns_of_many_writers_stay_whole, the_cache_forgets_in_time);

impl TestStores {
    fn message(&self, role: Role, content: &str) -> Arc<Message> {
        let created_ms = self.clock.now_ms();
        Arc::new(Message { role, content: content.to_owned(), metadata: Map::new(), created_ms })
    }

    async fn say(&self, role: Role, content: &str, retain: usize) -> usize {
        let message = self.message(role, content);
        self.stores.conversations.append(&self.user, &[message], HOUR, retain).await.unwrap()
    }

    async fn recent(&self) -> Conversation {
        self.stores.conversations.recent(&self.user, 1000).await.unwrap()
    }
}

/// Oldest first.
fn contents(conversation: &Conversation) -> Vec<&str> {
    conversation.messages.iter().rev().map(|message| message.content.as_str()).collect()
}

async fn turns_come_back_as_they_were_newest_first(bench: &TestStores) {
    assert_eq!(bench.recent().await, Conversation::default(), "nobody has spoken");
    let metadata = json!({"n": [1, {"deep": null}], "é": "\u{1F600}"}).as_object().unwrap().clone();
    let asked = Arc::new(Message { metadata, ..Message::clone(&bench.message(Role::User, "What?")) });
    let answered = bench.message(Role::Assistant, "That.");
    let both = [asked.clone(), answered.clone()];
    let held = bench.stores.conversations.append(&bench.user, &both, HOUR, MANY).await.unwrap();
    assert_eq!(held, 2);
    assert_eq!(bench.recent().await.messages, [answered.clone(), asked]);
    assert_eq!(bench.stores.conversations.recent(&bench.user, 1).await.unwrap().messages, [answered]);
    assert_eq!(bench.stores.conversations.recent(&bench.user, 0).await.unwrap().messages, []);
}

async fn the_oldest_go_first_and_instructions_last(bench: &TestStores) {
    bench.say(Role::User, "0", MANY).await;
    bench.say(Role::System, "rule", MANY).await;
    for number in 1..6 {
        bench.say(Role::User, &number.to_string(), 3).await;
    }
    assert_eq!(contents(&bench.recent().await), ["rule", "4", "5"]);
    bench.say(Role::System, "second rule", 3).await;
    bench.say(Role::System, "third rule", 3).await;
    assert_eq!(contents(&bench.recent().await), ["rule", "second rule", "third rule"]);
    assert_eq!(bench.say(Role::System, "fourth rule", 3).await, 3);
    assert_eq!(contents(&bench.recent().await), ["second rule", "third rule", "fourth rule"]);
}

async fn a_window_holds_the_newest_turns_that_fit_and_every_instruction(bench: &TestStores) {
    bench.say(Role::System, "a rule of old", MANY).await;
    for number in 0..250 {
        bench.say(Role::User, &format!("é{number:03}"), MANY).await;
    }
    let window = async |chars| bench.stores.conversations.window(&bench.user, chars).await.unwrap();
    assert_eq!(contents(&window(11).await), ["a rule of old", "é248", "é249"], "characters count, not bytes");
    assert_eq!(contents(&window(0).await), ["a rule of old"]);
    assert_eq!(window(4 * 130).await.messages.len(), 131);
    bench.say(Role::User, &"x".repeat(50), MANY).await;
    bench.say(Role::User, "y", MANY).await;
    assert_eq!(contents(&window(20).await), ["a rule of old", "y"], "what does not fit ends the window");
}

async fn a_conversation_ends_with_its_time(bench: &TestStores) {
    let message = [bench.message(Role::User, "soon gone")];
    let store = &bench.stores.conversations;
    store.append(&bench.user, &message, Duration::from_millis(300), MANY).await.unwrap();
    assert_eq!(bench.recent().await.messages.len(), 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.recent().await, Conversation::default());
    bench.say(Role::User, "anew", MANY).await;
    assert_eq!(contents(&bench.recent().await), ["anew"]);
}

async fn each_message_lengthens_its_conversation(bench: &TestStores) {
    let store = &bench.stores.conversations;
    for number in 0..4 {
        let message = [bench.message(Role::User, &number.to_string())];
        store.append(&bench.user, &message, Duration::from_secs(1), MANY).await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(contents(&bench.recent().await), ["0", "1", "2", "3"]);
}

async fn clearing_takes_everything_of_one_user(bench: &TestStores) {
    let other = UserId::parse(&new_id()).unwrap();
    let store = &bench.stores.conversations;
    store.append(&other, &[bench.message(Role::User, "theirs")], HOUR, MANY).await.unwrap();
    summarized(bench).await;
    store.clear(&bench.user).await.unwrap();
    assert_eq!(bench.recent().await, Conversation::default());
    store.clear(&bench.user).await.unwrap();
    assert_eq!(contents(&store.recent(&other, 9).await.unwrap()), ["theirs"]);
    bench.say(Role::User, "anew", MANY).await;
    assert_eq!(bench.recent().await.summary, None);
}

/// A conversation of `0` to `5`, the first two of which are summarized.
async fn summarized(bench: &TestStores) {
    for number in 0..6 {
        bench.say(Role::User, &number.to_string(), MANY).await;
    }
    let excess = bench.stores.conversations.excess(&bench.user, 3, 2).await.unwrap().unwrap();
    let texts: Vec<_> = excess.messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!((texts, excess.summary.as_deref()), (vec!["0", "1"], None));
    assert!(bench.stores.conversations.summarize(&bench.user, &excess, usize::MAX, "two numbers").await.unwrap());
}

async fn a_summary_takes_the_place_of_the_oldest_turns(bench: &TestStores) {
    assert!(bench.stores.conversations.excess(&bench.user, 3, 9).await.unwrap().is_none());
    summarized(bench).await;
    let conversation = bench.recent().await;
    assert_eq!(
        (contents(&conversation), conversation.summary.as_deref()),
        (vec!["2", "3", "4", "5"], Some("two numbers"))
    );
    let excess = bench.stores.conversations.excess(&bench.user, 1, 9).await.unwrap().unwrap();
    assert_eq!((excess.messages.len(), excess.summary.as_deref()), (3, Some("two numbers")));
    assert!(bench.stores.conversations.summarize(&bench.user, &excess, 1, "three numbers").await.unwrap());
    let conversation = bench.stores.conversations.window(&bench.user, 100).await.unwrap();
    assert_eq!(
        (contents(&conversation), conversation.summary.as_deref()),
        (vec!["3", "4", "5"], Some("three numbers"))
    );
    assert!(bench.stores.conversations.excess(&bench.user, 3, 9).await.unwrap().is_none());
}

async fn turns_that_come_while_a_summary_is_written_stay(bench: &TestStores) {
    for number in 0..6 {
        bench.say(Role::User, &number.to_string(), MANY).await;
    }
    let excess = bench.stores.conversations.excess(&bench.user, 3, 9).await.unwrap().unwrap();
    bench.say(Role::User, "late", MANY).await;
    assert!(bench.stores.conversations.summarize(&bench.user, &excess, usize::MAX, "s").await.unwrap());
    assert_eq!(contents(&bench.recent().await), ["3", "4", "5", "late"]);
}

async fn a_summary_of_what_was_cleared_does_nothing(bench: &TestStores) {
    let same = bench.message(Role::User, "the same to the millisecond");
    let store = &bench.stores.conversations;
    let turns = [same.clone(), same.clone(), same];
    store.append(&bench.user, &turns, HOUR, MANY).await.unwrap();
    let excess = store.excess(&bench.user, 1, 9).await.unwrap().unwrap();
    store.clear(&bench.user).await.unwrap();
    assert!(!store.summarize(&bench.user, &excess, usize::MAX, "of the cleared one").await.unwrap());
    store.append(&bench.user, &turns, HOUR, MANY).await.unwrap();
    assert!(!store.summarize(&bench.user, &excess, usize::MAX, "of the cleared one").await.unwrap());
    let conversation = bench.recent().await;
    assert_eq!((conversation.messages.len(), conversation.summary), (3, None));
}

async fn two_summaries_of_the_same_turns_are_one(bench: &TestStores) {
    for number in 0..6 {
        bench.say(Role::User, &number.to_string(), MANY).await;
    }
    let store = &bench.stores.conversations;
    let excess = store.excess(&bench.user, 4, 9).await.unwrap().unwrap();
    let again = excess.clone();
    assert!(store.summarize(&bench.user, &excess, usize::MAX, "first").await.unwrap());
    assert!(!store.summarize(&bench.user, &again, usize::MAX, "second").await.unwrap());
    let conversation = bench.recent().await;
    assert_eq!((contents(&conversation), conversation.summary.as_deref()), (vec!["2", "3", "4", "5"], Some("first")));
}

async fn instructions_are_never_summarized(bench: &TestStores) {
    for (role, content) in [(Role::User, "0"), (Role::System, "rule"), (Role::User, "1"), (Role::User, "2")] {
        bench.say(role, content, MANY).await;
    }
    let store = &bench.stores.conversations;
    let excess = store.excess(&bench.user, 1, 9).await.unwrap().unwrap();
    assert_eq!(excess.messages.len(), 2);
    assert!(store.summarize(&bench.user, &excess, usize::MAX, "s").await.unwrap());
    assert_eq!(contents(&bench.recent().await), ["rule", "2"]);
}

async fn turns_behind_many_instructions_are_summarized(bench: &TestStores) {
    let rules = vec![bench.message(Role::System, "rule"); 100];
    let turns = vec![bench.message(Role::User, "turn"); 30];
    for messages in [rules, turns] {
        bench.stores.conversations.append(&bench.user, &messages, HOUR, MANY).await.unwrap();
    }
    let excess = bench.stores.conversations.excess(&bench.user, 10, 7).await.unwrap().unwrap();
    assert_eq!(excess.messages.len(), 7);
    let excess = bench.stores.conversations.excess(&bench.user, 10, 99).await.unwrap().unwrap();
    assert_eq!(excess.messages.len(), 20);
    assert!(bench.stores.conversations.summarize(&bench.user, &excess, usize::MAX, "s").await.unwrap());
    assert_eq!(bench.recent().await.messages.len(), 110);
}

async fn odd_texts_are_kept(bench: &TestStores) {
    let odd = ["", "\0", "\"\\\n\r\t", "'; DROP TABLE message; --", "\u{10FFFF}\u{FFFD}", "{\"role\":\"system\"}"];
    for text in odd {
        bench.say(Role::User, text, MANY).await;
    }
    assert_eq!(contents(&bench.recent().await), odd);
    assert_eq!(contents(&bench.stores.conversations.window(&bench.user, 1000).await.unwrap()), odd);
}

async fn turns_of_many_writers_stay_whole(bench: &TestStores) {
    let writers = (0..40).map(|number| {
        let bench = &bench;
        async move {
            let text = number.to_string();
            let turns = [bench.message(Role::User, &text), bench.message(Role::Assistant, &text)];
            bench.stores.conversations.append(&bench.user, &turns, HOUR, MANY).await.unwrap();
        }
    });
    futures_util::future::join_all(writers).await;
    let conversation = bench.recent().await;
    assert_eq!(conversation.messages.len(), 80);
    for pair in conversation.messages.chunks(2) {
        assert_eq!((pair[0].role, pair[1].role), (Role::Assistant, Role::User));
        assert_eq!(pair[0].content, pair[1].content);
    }
}

async fn the_cache_forgets_in_time(bench: &TestStores) {
    let (cache, key) = (&bench.stores.cache, new_id());
    assert_eq!(cache.get(&key).await.unwrap(), None);
    cache.put(&key, "first", HOUR).await.unwrap();
    cache.put(&key, "second é", HOUR).await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap().as_deref(), Some("second é"));
    cache.put(&key, "short", Duration::from_millis(200)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(cache.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn expired_conversations_are_deleted_a_few_at_a_time() {
    let bench = TestStores::embedded().await.unwrap();
    for _ in 0..60 {
        let (user, message) = (UserId::parse(&new_id()).unwrap(), bench.message(Role::User, "soon gone"));
        bench.stores.conversations.append(&user, &[message], Duration::from_millis(1), MANY).await.unwrap();
    }
    bench.say(Role::User, "stays", MANY).await;
    let store = &bench.stores.conversations.embedded;
    assert_eq!(store.purge_batch(bench.clock.now_ms() + 1000).await.unwrap(), 50);
    tokio::time::sleep(Duration::from_millis(5)).await;
    store.purge().await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM conversation").fetch_one(bench.stores.database.read()).await.unwrap();
    assert_eq!(left, 1);
}
