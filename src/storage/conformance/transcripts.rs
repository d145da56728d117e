//! Conversations of the chat page, and its prompt profiles.

use std::time::Duration;

use tempfile::TempDir;

use super::{TestStores, new_database, settings, stories};
use crate::kernel::{Clock, ErrorKind, Secret, new_id};
use crate::storage::{
    AnswerFacts, PromptProfile, Stores, Transcript, TranscriptFilter, TranscriptMessage, TranscriptStore, UsageCount,
};

stories!(embedded: a_transcript_comes_back_as_it_was_made, what_is_done_again_changes_nothing,
    the_newest_conversation_comes_first_page_by_page, what_was_deleted_is_gone_and_stays_gone,
    a_long_transcript_shows_its_newest_messages, one_prompt_profile_is_active_and_a_name_stands_once,
    figures_count_the_answers_of_a_time, old_and_surplus_transcripts_go_with_their_messages, odd_texts_can_be_kept);
stories!(postgres: a_transcript_comes_back_as_it_was_made, what_is_done_again_changes_nothing,
    the_newest_conversation_comes_first_page_by_page, what_was_deleted_is_gone_and_stays_gone,
    a_long_transcript_shows_its_newest_messages, one_prompt_profile_is_active_and_a_name_stands_once,
    figures_count_the_answers_of_a_time, old_and_surplus_transcripts_go_with_their_messages, odd_texts_can_be_kept);

fn transcript(id: &str, user: Option<&str>, at_ms: i64) -> Transcript {
    Transcript {
        id: id.to_owned(),
        title: "New Conversation".to_owned(),
        user_id: user.map(str::to_owned),
        model_id: Some("m".to_owned()),
        routing_profile: "direct_llm".to_owned(),
        created_ms: at_ms,
        updated_ms: at_ms,
        message_count: 0,
    }
}

fn said(content: &str, at_ms: i64) -> TranscriptMessage {
    let (id, role, metadata) = (new_id(), "user".to_owned(), r#"{"a":1}"#.to_owned());
    TranscriptMessage { id, role, content: content.to_owned(), metadata, created_ms: at_ms, answer: None }
}

fn answered(model: Option<&str>, succeeded: bool, latency_ms: i64, at_ms: i64) -> TranscriptMessage {
    let (model, routing_profile) = (model.map(str::to_owned), "direct_llm".to_owned());
    let answer = Some(AnswerFacts { model, routing_profile, succeeded, latency_ms });
    TranscriptMessage { role: "assistant".to_owned(), answer, ..said("Hi.", at_ms) }
}

fn page(limit: usize, offset: usize, user: Option<&str>) -> TranscriptFilter {
    TranscriptFilter { user_id: user.map(str::to_owned), limit, offset }
}

async fn ids(store: &TranscriptStore, filter: &TranscriptFilter) -> (String, i64) {
    let page = store.list(filter).await.unwrap();
    (page.transcripts.into_iter().map(|it| it.id).collect(), page.total)
}

async fn a_transcript_comes_back_as_it_was_made(bench: &TestStores) {
    let (store, begun) = (&bench.stores.transcripts, transcript("a", Some("ada"), 5));
    store.create(begun.clone()).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), Some(begun.clone()));
    assert_eq!(store.messages("a").await.unwrap(), []);
    let messages = [said("Hello", 7), answered(Some("m"), true, 12, 9), answered(None, false, 3, 11)];
    for (message, title) in messages.iter().zip([Some("Hello"), None, None]) {
        store.add("a", message.clone(), title.map(str::to_owned)).await.unwrap();
    }
    let expected = Transcript { title: "Hello".to_owned(), updated_ms: 11, message_count: 3, ..begun };
    assert_eq!(store.get("a").await.unwrap(), Some(expected.clone()));
    assert_eq!(store.messages("a").await.unwrap(), messages);
    assert_eq!(store.list(&page(9, 0, None)).await.unwrap().transcripts, [expected]);
    for unknown in ["b", "a\0", ""] {
        assert_eq!(store.get(unknown).await.unwrap(), None);
    }
}

async fn what_is_done_again_changes_nothing(bench: &TestStores) {
    let (store, hello) = (&bench.stores.transcripts, said("Hello", 7));
    for _ in 0..2 {
        store.create(transcript("a", None, 5)).await.unwrap();
        store.add("a", hello.clone(), None).await.unwrap();
    }
    assert_eq!(store.messages("a").await.unwrap(), [hello]);
    assert_eq!(store.get("a").await.unwrap().unwrap().updated_ms, 7);
}

async fn the_newest_conversation_comes_first_page_by_page(bench: &TestStores) {
    let store = &bench.stores.transcripts;
    for (id, user, at) in [("a", Some("ada"), 1), ("b", Some("bob"), 2), ("c", Some("ada"), 3), ("d", None, 4)] {
        store.create(transcript(id, user, at)).await.unwrap();
    }
    store.add("b", said("Hello", 9), None).await.unwrap();
    assert_eq!(ids(store, &page(9, 0, None)).await, ("bdca".to_owned(), 4));
    assert_eq!(ids(store, &page(2, 0, None)).await, ("bd".to_owned(), 4));
    assert_eq!(ids(store, &page(2, 2, None)).await, ("ca".to_owned(), 4));
    assert_eq!(ids(store, &page(2, usize::MAX, None)).await, (String::new(), 4));
    assert_eq!(ids(store, &page(9, 0, Some("ada"))).await, ("ca".to_owned(), 2));
    assert_eq!(ids(store, &page(9, 0, Some("nobody"))).await, (String::new(), 0));
}

async fn what_was_deleted_is_gone_and_stays_gone(bench: &TestStores) {
    let store = &bench.stores.transcripts;
    for id in ["a", "b"] {
        store.create(transcript(id, None, 5)).await.unwrap();
        store.add(id, said("Hello", 6), None).await.unwrap();
    }
    store.delete("a").await.unwrap();
    store.delete("a").await.unwrap();
    // An answer that comes late.
    store.add("a", answered(None, true, 1, 7), None).await.unwrap();
    assert_eq!((store.get("a").await.unwrap(), store.messages("a").await.unwrap()), (None, vec![]));
    assert_eq!((store.messages("b").await.unwrap().len(), store.usage(0).await.unwrap().answers), (1, 0));
}

async fn a_long_transcript_shows_its_newest_messages(bench: &TestStores) {
    let store = &bench.stores.transcripts;
    let contents = async |id: &str| -> Vec<String> {
        store.messages(id).await.unwrap().into_iter().map(|message| message.content).collect()
    };
    for id in ["few", "many"] {
        store.create(transcript(id, None, 5)).await.unwrap();
    }
    store.add("few", said("Hello", 6), None).await.unwrap();
    // Most were added before, one by one.
    bench
        .execute(
            "INSERT INTO transcript_message (id, transcript_id, role, content, metadata, created_at)
             SELECT 'many' || n, 'many', 'user', n::text, '{}', 6 FROM generate_series(0, 996) AS n",
            "WITH RECURSIVE count (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM count WHERE n < 996)
             INSERT INTO transcript_message (id, transcript_id, role, content, metadata, created_at)
             SELECT 'many' || n, 'many', 'user', CAST(n AS TEXT), '{}', 6 FROM count",
        )
        .await;
    for number in 997..1005 {
        store.add("many", said(&number.to_string(), 6), None).await.unwrap();
    }
    let expected: Vec<String> = (5..1005).map(|number| number.to_string()).collect();
    assert_eq!(contents("many").await, expected);
    assert_eq!(store.get("many").await.unwrap().unwrap().message_count, 1000, "the others are gone");
    assert_eq!(store.messages("few").await.unwrap().len(), 1, "those of another conversation are not");
    store.create(transcript("large", None, 5)).await.unwrap();
    for letter in ["x", "y", "z"] {
        store.add("large", said(&letter.repeat(1_200_000), 6), None).await.unwrap();
    }
    let shown: Vec<_> = contents("large").await.iter().map(|content| content[..1].to_owned()).collect();
    assert_eq!(shown, ["y", "z"], "no more is read than has room in a reply");
}

fn profile(name: &str, prompt: &str, is_active: bool, at_ms: i64) -> PromptProfile {
    PromptProfile {
        id: format!("id of {name}"),
        name: name.to_owned(),
        description: None,
        system_prompt: prompt.to_owned(),
        is_active,
        created_ms: at_ms,
        updated_ms: at_ms,
    }
}

async fn one_prompt_profile_is_active_and_a_name_stands_once(bench: &TestStores) {
    let store = &bench.stores.transcripts;
    let kept = async || -> Vec<_> {
        let profiles = store.profiles().await.unwrap();
        profiles.into_iter().map(|it| (it.name, it.system_prompt, it.is_active, it.created_ms)).collect()
    };
    let expected = |name: &str, prompt: &str, is_active, at| (name.to_owned(), prompt.to_owned(), is_active, at);
    store.put_profile(profile("terse", "Be brief.", true, 5)).await.unwrap();
    store.put_profile(profile("pirate", "Speak as a pirate.", true, 6)).await.unwrap();
    let both = [expected("pirate", "Speak as a pirate.", true, 6), expected("terse", "Be brief.", false, 5)];
    assert_eq!(kept().await, both);
    store.put_profile(profile("terse", "Be very brief.", false, 7)).await.unwrap();
    assert_eq!(kept().await[1], expected("terse", "Be very brief.", false, 5));
    store.put_profile(profile("pirate", "Speak as a pirate.", false, 8)).await.unwrap();
    assert!(kept().await.iter().all(|(_, _, is_active, _)| !is_active));
}

async fn figures_count_the_answers_of_a_time(bench: &TestStores) {
    let store = &bench.stores.transcripts;
    assert_eq!(store.usage(0).await.unwrap().answers, 0);
    store.create(transcript("a", None, 5)).await.unwrap();
    for message in [
        said("Hello", 10),
        answered(Some("old"), true, 1000, 10),
        answered(Some("m"), true, 10, 20),
        answered(Some("m"), true, 20, 21),
        answered(Some("n"), true, 30, 22),
        answered(None, false, 40, 23),
    ] {
        store.add("a", message, None).await.unwrap();
    }
    let usage = store.usage(20).await.unwrap();
    assert_eq!((usage.answers, usage.succeeded, usage.latency_ms), (4, 3, 100));
    let count = |name: &str, count| UsageCount { name: name.to_owned(), count };
    assert_eq!((usage.models, usage.profiles), (vec![count("m", 2), count("n", 1)], vec![count("direct_llm", 4)]));
}

async fn old_and_surplus_transcripts_go_with_their_messages(bench: &TestStores) {
    let (store, now) = (&bench.stores.transcripts, bench.clock.now_ms());
    for number in 0..30_i64 {
        let id = char::from(b'A' + u8::try_from(number).unwrap()).to_string();
        store.create(transcript(&id, None, now - 1_000_000 * (30 - number))).await.unwrap();
        store.add(&id, said("Hello", 0), None).await.unwrap();
    }
    store.retain_newest(Duration::from_secs(86_400), 12, bench.postgres_connection().as_ref()).await.unwrap();
    assert_eq!(ids(store, &page(99, 0, None)).await, ("^]\\[ZYXWVUTS".to_owned(), 12));
    assert_eq!(store.messages("A").await.unwrap(), []);
    store.retain_newest(Duration::from_secs(3_500), 12, bench.postgres_connection().as_ref()).await.unwrap();
    assert_eq!(ids(store, &page(99, 0, None)).await, ("^]\\".to_owned(), 3));
}

async fn odd_texts_can_be_kept(bench: &TestStores) {
    let store = &bench.stores.transcripts;
    let odd = Transcript { title: "a\0b '\"\\".to_owned(), ..transcript("a", Some("\u{10FFFF}"), 5) };
    store.create(odd).await.unwrap();
    store.add("a", said("\0 é \u{10FFFF}", 6), Some("\0".to_owned())).await.unwrap();
    assert!(store.messages("a").await.unwrap()[0].content.ends_with(" é \u{10FFFF}"));
    store.put_profile(profile("p", "\0", true, 5)).await.unwrap();
    assert_eq!(ids(store, &page(9, 0, Some("\u{10FFFF}"))).await, ("a".to_owned(), 1));
}

#[tokio::test]
async fn what_was_said_while_postgres_was_away_is_there_once_when_it_is_back() {
    let folder = TempDir::new().unwrap();
    // Nobody listens there.
    let nowhere = Secret::new("postgres://127.0.0.1:1/x");
    let stores = Stores::open(&settings(&folder, None, Some(nowhere)), Clock::system()).await.unwrap();
    let store = &stores.transcripts;
    let messages = [said("Hello", 6), answered(Some("m"), true, 1, 7)];
    for id in ["kept", "deleted"] {
        store.create(transcript(id, None, 5)).await.unwrap();
    }
    store.add("kept", messages[0].clone(), Some("Hello".to_owned())).await.unwrap();
    store.add("kept", messages[1].clone(), None).await.unwrap();
    store.put_profile(profile("terse", "Be brief.", true, 5)).await.unwrap();
    store.put_profile(profile("pirate", "Speak as a pirate.", true, 6)).await.unwrap();
    store.delete("deleted").await.unwrap();
    assert_eq!(store.messages("kept").await.unwrap(), messages);
    // It may be in Postgres, where nobody can look.
    assert_eq!(store.get("unknown").await.unwrap_err().kind(), ErrorKind::NotConfigured);
    stores.close().await;

    let Some(dsn) = new_database().await else { return };
    let stores = Stores::open(&settings(&folder, None, Some(dsn)), Clock::system()).await.unwrap();
    let status = stores.postgres().unwrap();
    assert!(status.connected && status.pending == 0, "{status:?}");
    let store = &stores.transcripts;
    assert_eq!(ids(store, &page(9, 0, None)).await, ("kept".to_owned(), 1));
    let kept = store.get("kept").await.unwrap().unwrap();
    assert_eq!((kept.title.as_str(), kept.updated_ms, kept.message_count), ("Hello", 7, 2));
    assert_eq!(store.messages("kept").await.unwrap(), messages);
    let active: Vec<_> = store.profiles().await.unwrap().into_iter().map(|it| (it.name, it.is_active)).collect();
    assert_eq!(active, [("pirate".to_owned(), true), ("terse".to_owned(), false)]);
    let here: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM transcript").fetch_one(stores.database.read()).await.unwrap();
    assert_eq!(here, 0, "what is in Postgres is not kept twice");
    stores.close().await;
}

#[tokio::test]
async fn a_conversation_from_before_postgres_was_used_goes_on_and_can_be_deleted() {
    let Some(dsn) = new_database().await else { return };
    let folder = TempDir::new().unwrap();
    let stores = Stores::open(&settings(&folder, None, None), Clock::system()).await.unwrap();
    stores.transcripts.create(transcript("a", None, 5)).await.unwrap();
    stores.transcripts.add("a", said("Hello", 6), None).await.unwrap();
    stores.close().await;

    let stores = Stores::open(&settings(&folder, None, Some(dsn)), Clock::system()).await.unwrap();
    let store = &stores.transcripts;
    store.add("a", answered(None, true, 1, 7), None).await.unwrap();
    assert_eq!((store.get("a").await.unwrap().unwrap().updated_ms, store.messages("a").await.unwrap().len()), (7, 2));
    store.delete("a").await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), None);
    stores.close().await;
}
