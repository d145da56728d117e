//! Asking, and being remembered.

use serde_json::json;

use crate::common::{TestServer, Upstream};

#[tokio::test]
async fn a_question_is_answered_and_both_turns_are_remembered() {
    let llm = Upstream::saying("Nice to meet you, Ada.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let prompt = json!({"prompt": "My name is Ada.", "user_id": "ada", "metadata": {"channel": "web"}});
    let reply = server.post("/v1/chat", &prompt).await.expect(200);

    assert_eq!(reply["answer"], "Nice to meet you, Ada.");
    assert_eq!(reply["error"], json!(null));
    let metadata = &reply["metadata"];
    assert_eq!(metadata["execution_id"], reply["execution_id"]);
    assert_eq!((&metadata["intent"], &metadata["intent_confidence"]), (&json!("general_llm"), &json!(0.7)));
    assert_eq!((&metadata["iterations"], &metadata["has_error"]), (&json!(1), &json!(false)));
    assert_eq!((&metadata["model"], &metadata["cached"]), (&json!("stub-model"), &json!(false)));
    assert_eq!(metadata["usage"], json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}));
    assert_eq!(metadata["memory_saved"], true);
    let step = &metadata["steps"][0];
    assert_eq!(
        (&step["action"], &step["target"], &step["status"]),
        (&json!("llm_call"), &json!("stub-model"), &json!("completed"))
    );

    let history = server.get("/api/memory/ada/history").await.expect(200);
    let said: Vec<_> =
        history["messages"].as_array().unwrap().iter().map(|m| (&m["role"], &m["content"], &m["metadata"])).collect();
    assert_eq!(said[0], (&json!("assistant"), &json!("Nice to meet you, Ada."), &json!({})));
    assert_eq!(said[1], (&json!("user"), &json!("My name is Ada."), &json!({"channel": "web"})));

    server.post("/v1/chat", &json!({"prompt": "And my name?", "user_id": "ada"})).await.expect(200);
    let second = &llm.chats()[1].body["messages"];
    assert_eq!(
        second,
        &json!([
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": "Nice to meet you, Ada."},
            {"role": "user", "content": "And my name?"}
        ])
    );
}

#[tokio::test]
async fn no_user_means_the_default_one() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    for user in [json!(null), json!("")] {
        server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": user})).await.expect(200);
    }
    assert_eq!(server.get("/api/memory/default/history").await.expect(200)["count"], 4);
}

#[tokio::test]
async fn a_conversation_survives_a_restart() {
    let llm = Upstream::saying("Noted.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    server.post("/v1/chat", &json!({"prompt": "Remember 42", "user_id": "ada"})).await.expect(200);
    let server = server.restart().await;
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 2);
}

#[tokio::test]
async fn the_same_question_is_answered_from_the_cache_until_something_changes() {
    let llm = Upstream::saying("42").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_ENABLED", "false")]).await;
    let ask = async |body| server.post("/v1/chat", &body).await.expect(200)["metadata"]["cached"].as_bool().unwrap();
    let question = json!({"prompt": "Answer?"});
    assert!(!ask(question.clone()).await);
    assert!(ask(question.clone()).await);
    assert_eq!(llm.chats().len(), 1);

    assert!(!ask(json!({"prompt": "Answer?", "metadata": {"use_cache": false}})).await, "bypassed on request");
    assert!(!ask(json!({"prompt": "Answer? "})).await, "another prompt");
    assert!(!ask(json!({"prompt": "Answer?", "metadata": {"model": "other"}})).await, "another model");
    assert!(!ask(json!({"prompt": "Answer?", "metadata": {"intent": "web_search"}})).await, "another intent");
    server.put("/api/llm/config", &json!({"temperature": 0.1})).await.expect(200);
    assert!(!ask(question.clone()).await, "another temperature");
    assert!(ask(question).await);
}

#[tokio::test]
async fn a_conversation_that_has_gone_on_is_another_question() {
    let llm = Upstream::saying("42").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let body = json!({"prompt": "Answer?", "user_id": "ada"});
    for _ in 0..2 {
        assert_eq!(server.post("/v1/chat", &body).await.expect(200)["metadata"]["cached"], false);
    }
    let stranger = json!({"prompt": "Answer?", "user_id": "bob"});
    let reply = server.post("/v1/chat", &stranger).await.expect(200);
    assert_eq!(reply["metadata"]["cached"], true, "bob's first question looks like ada's first");
    assert_eq!(
        server.get("/api/memory/bob/history").await.expect(200)["count"],
        2,
        "a cached answer is remembered too"
    );
}

#[tokio::test]
async fn the_cache_can_be_off_and_entries_expire() {
    let llm = Upstream::saying("42").await;
    let base = llm.url();
    let llm_variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("MEMORY_ENABLED", "false"),
        ("LLM_PROVIDER", "openai"),
    ];
    let clock = orchestrator_studio::kernel::Clock::manual(1_000_000);
    let server =
        TestServer::with_clock(&[&llm_variables[..], &[("CACHE_TTL_SECONDS", "60")]].concat(), clock.clone()).await;
    let ask = async |server: &TestServer| {
        server.post("/v1/chat", &json!({"prompt": "?"})).await.expect(200)["metadata"]["cached"].as_bool().unwrap()
    };
    assert!(!ask(&server).await && ask(&server).await);
    clock.advance(std::time::Duration::from_secs(61));
    assert!(!ask(&server).await);

    let server = TestServer::with(&[&llm_variables[..], &[("CACHE_ENABLED", "false")]].concat()).await;
    assert!(!ask(&server).await && !ask(&server).await);
}

#[tokio::test]
async fn the_intent_can_be_given_and_what_is_missing_is_said() {
    let llm = Upstream::saying("I can't look into a database.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let body = json!({"prompt": "Numbers, please", "metadata": {"intent": "data_query"}});
    let reply = server.post("/v1/chat", &body).await.expect(200);
    assert_eq!(
        (&reply["metadata"]["intent"], &reply["metadata"]["intent_confidence"]),
        (&json!("data_query"), &json!(1.0))
    );
    assert_eq!(reply["metadata"]["missing"], json!(["no data source is configured and enabled"]));
    let messages = llm.chats()[0].body["messages"].clone();
    assert_eq!((&messages[0]["role"], &messages[1]["role"]), (&json!("system"), &json!("user")));
    assert!(messages[0]["content"].as_str().unwrap().contains("say what is missing"), "{messages}");
    let asked = messages[1]["content"].as_str().unwrap();
    assert!(asked.contains("no data source is configured") && asked.ends_with("\n\nNumbers, please"), "{messages}");
}

#[tokio::test]
async fn executions_are_recorded_with_their_steps_and_listed_page_by_page() {
    let llm = Upstream::saying("Yes.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let mut ids = vec![];
    for (number, user) in ["ada", "bob", "ada"].iter().enumerate() {
        let body = json!({"prompt": format!("Question {number}"), "user_id": user});
        ids.push(server.post("/v1/chat", &body).await.expect(200)["execution_id"].as_str().unwrap().to_owned());
    }
    let one = server.get(&format!("/v1/executions/{}", ids[0])).await.expect(200);
    assert_eq!((&one["execution"]["status"], &one["execution"]["prompt"]), (&json!("completed"), &json!("Question 0")));
    assert_eq!((&one["execution"]["answer"], &one["execution"]["user_id"]), (&json!("Yes."), &json!("ada")));
    assert_eq!((&one["steps"][0]["action"], &one["steps"][0]["output"]), (&json!("llm_call"), &json!("Yes.")));
    assert!(one["execution"]["finished_at"].as_str().unwrap().ends_with('Z'));

    let page = server.get("/v1/executions?limit=2").await.expect(200);
    assert_eq!((&page["executions"][0]["execution_id"], &page["count"]), (&json!(ids[2]), &json!(2)));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = server.get(&format!("/v1/executions?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((&rest["executions"][0]["execution_id"], &rest["next_cursor"]), (&json!(ids[0]), &json!(null)));
    let guessed = cursor.replace('e', "p");
    for invented in ["0", "-1", "abc", "", "2", "3", "e2", "e2-", "e2-00000000", "p2-00000000", "-", "e-1-0", &guessed]
    {
        let refused = server.get(&format!("/v1/executions?cursor={invented}")).await.expect(400);
        assert_eq!(refused["detail"], "cursor should be the next_cursor of the page before", "{invented}");
    }
    assert_eq!(server.get("/v1/executions?user_id=bob&status=completed").await.expect(200)["count"], 1);
    assert_eq!(server.get("/v1/executions?status=failed").await.expect(200)["count"], 0);
    let unknown = server.get("/v1/executions/nope").await.expect(404);
    assert_eq!(unknown["detail"], "Execution 'nope' not found");
}

#[tokio::test]
async fn the_prefix_of_chat_can_be_moved() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("API_PREFIX", "/bot/v2")]).await;
    assert_eq!(server.get("/").await.expect(200)["chat"], "/bot/v2/chat");
    server.post("/bot/v2/chat", &json!({"prompt": "Hello"})).await.expect(200);
    assert_eq!(server.get("/v1/chat/health").await.status, 404);
}

#[tokio::test]
async fn an_answer_that_cannot_be_remembered_is_given_and_says_so() {
    use sqlx::Connection;
    let llm = Upstream::saying("Here it is.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let database = format!("sqlite://{}/studio.db", server.folder().display());
    let mut database = sqlx::SqliteConnection::connect(&database).await.unwrap();
    for table in ["message", "conversation"] {
        let drop = sqlx::AssertSqlSafe(format!("DROP TABLE {table}"));
        sqlx::query(drop).execute(&mut database).await.unwrap();
    }

    let reply = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    assert_eq!(
        (&reply["answer"], &reply["error"]),
        (&json!("Here it is."), &json!("The conversation could not be read; The conversation could not be saved"))
    );
    let metadata = &reply["metadata"];
    assert_eq!(
        (&metadata["degraded"], &metadata["memory_saved"], &metadata["has_error"]),
        (&json!(true), &json!(false), &json!(false))
    );

    let failed = server.get("/api/memory/ada/history").await.expect(500);
    assert_eq!((&failed["detail"], &failed["code"]), (&json!("Internal Server Error"), &json!("internal_error")));
}
