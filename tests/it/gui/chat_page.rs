//! The chat page: conversations that are begun, answered, listed, shown again and deleted.

use serde_json::{Value, json};

use crate::common::chat::prompt_of;
use crate::common::chat_page::*;
use crate::common::upstream::openai;
use crate::common::{TestServer, Upstream};

#[tokio::test]
async fn a_conversation_is_answered_shown_again_and_deleted_with_its_memory() {
    let llm = Upstream::saying("You are Ada.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = begin(&server, "direct_llm").await;
    let reply = send(&server, &id, "direct_llm", "What is my name? I forgot.").await;
    assert_eq!((&reply["answer"], &reply["error"]), (&json!("You are Ada."), &json!(null)));
    assert_eq!(reply["conversation_id"], json!(id));
    let metadata = &reply["metadata"];
    assert_eq!((&metadata["model_used"], &metadata["routing_profile"]), (&json!("stub-model"), &json!("direct_llm")));
    assert_eq!((&metadata["tools_used"], &metadata["steps"][0]["action"]), (&json!([]), &json!("llm_call")));

    let loaded = load(&server, &id).await;
    assert_eq!(
        (&loaded["conversation"]["title"], &loaded["conversation"]["message_count"]),
        (&json!("What is my name? I forgot."), &json!(2))
    );
    let answer = &loaded["messages"][1];
    assert_eq!((&answer["id"], &answer["role"]), (&reply["message_id"], &json!("assistant")));
    assert_eq!((&answer["metadata"], &answer["conversation_id"]), (metadata, &json!(id)));
    let history = format!("/api/memory/chat-ui:{id}/history");
    assert_eq!(server.get(&history).await.expect(200)["count"], 2);
    let execution = metadata["execution_id"].as_str().unwrap();
    let record = server.get(&format!("/v1/executions/{execution}")).await.expect(200);
    assert_eq!(record["execution"]["user_id"], "ada", "the record is of the user");

    let server = server.restart().await;
    assert_eq!(load(&server, &id).await, loaded, "it survives a restart");
    let path = format!("{CONVERSATIONS}/{id}");
    assert_eq!(server.delete(&path).await.expect(200)["success"], true);
    assert_eq!(server.get(&path).await.expect(404)["detail"], "Conversation not found");
    server.delete(&path).await.expect(404);
    assert_eq!(server.get(&history).await.expect(200)["count"], 0);
    assert_eq!(server.get(CONVERSATIONS).await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_message_without_a_conversation_begins_one() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let long = "Tell me everything that you know about the harbour of Lisbon in the month of May";
    for none in [json!({"message": long}), json!({"message": long, "conversation_id": null, "title": 1})] {
        let reply = server.post("/api/chat/ui/send", &none).await.expect(200);
        let conversation = load(&server, reply["conversation_id"].as_str().unwrap()).await["conversation"].clone();
        assert_eq!(conversation["title"], "Tell me everything that you know about the harbour of…");
        assert_eq!((&conversation["routing_profile"], &conversation["user_id"]), (&json!("direct_llm"), &json!(null)));
    }
    let named = server.post(CONVERSATIONS, &json!({"title": "Lisbon"})).await.expect(200);
    let named = named["conversation"]["id"].as_str().unwrap();
    send(&server, named, "direct_llm", "Hello").await;
    assert_eq!(load(&server, named).await["conversation"]["title"], "Lisbon", "a title that was given stays");
}

#[tokio::test]
async fn each_conversation_is_a_memory_of_its_own_unless_a_message_goes_without() {
    let llm = Upstream::start(|seen, _| openai(seen, &format!("I heard: {}", prompt_of(seen)))).await;
    let server = TestServer::with_llm(&llm, &[("CACHE_ENABLED", "false")]).await;
    server.post("/v1/chat", &json!({"prompt": "I am Ada", "user_id": "ada"})).await.expect(200);
    let (one, other) = (begin(&server, "direct_llm").await, begin(&server, "direct_llm").await);
    send(&server, &one, "direct_llm", "It rains").await;
    let mut without = message(&one, "direct_llm", "Forget this");
    without["use_memory"] = json!(false);
    server.post("/api/chat/ui/send", &without).await.expect(200);
    assert_eq!(shown_before(llm.chats().last().unwrap()), []);
    send(&server, &other, "direct_llm", "It snows").await;
    assert_eq!(
        shown_before(llm.chats().last().unwrap()),
        [],
        "what the user and the other conversation said is not known"
    );
    send(&server, &one, "direct_llm", "And now?").await;
    let known = turns(&[("user", "It rains"), ("assistant", "I heard: It rains")]);
    assert_eq!(shown_before(llm.chats().last().unwrap()), known);
    let contents: Vec<_> = said(&server, &one).await.into_iter().map(|(_, content)| content).collect();
    assert_eq!(
        contents,
        ["It rains", "I heard: It rains", "Forget this", "I heard: Forget this", "And now?", "I heard: And now?"],
        "people see all of it"
    );
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 2);
}

#[tokio::test]
async fn a_transcript_is_shown_even_where_nothing_is_remembered() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_ENABLED", "false")]).await;
    let id = begin(&server, "direct_llm").await;
    for _ in 0..2 {
        send(&server, &id, "direct_llm", "Hello").await;
    }
    let twice = [("user", "Hello"), ("assistant", "Hi.")].repeat(2);
    assert_eq!(said(&server, &id).await, turns(&twice));
    assert_eq!(shown_before(llm.chats().last().unwrap()), []);
    server.delete(&format!("{CONVERSATIONS}/{id}")).await.expect(200);
}

#[tokio::test]
async fn conversations_are_listed_page_by_page_newest_first_and_by_user() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let mut all = Vec::new();
    for number in 0..5 {
        let user = if number == 2 { "bob" } else { "ada" };
        let body = json!({"title": format!("{number}"), "user_id": user});
        let begun = server.post(CONVERSATIONS, &body).await.expect(200);
        all.insert(0, begun["conversation"]["id"].as_str().unwrap().to_owned());
        // Each at a time of its own.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(listed(&server, "?user_id=&limit=50&offset=0").await, all);
    assert_eq!([listed(&server, "?limit=2").await, listed(&server, "?limit=9&offset=2").await].concat(), all);
    let page = server.get(&format!("{CONVERSATIONS}?limit=2&offset=4")).await.expect(200);
    assert_eq!((&page["total"], &page["limit"], &page["offset"]), (&json!(5), &json!(2), &json!(4)));
    assert_eq!(page["conversations"].as_array().unwrap().len(), 1);
    assert_eq!(listed(&server, "?user_id=bob").await, [all[2].clone()]);
    assert_eq!(server.get(&format!("{CONVERSATIONS}?user_id=bob")).await.expect(200)["total"], 1);
    assert_eq!(listed(&server, "?user_id=eve").await, Vec::<String>::new());
    // What is said in an old one brings it to the top.
    send(&server, &all[4], "direct_llm", "Hello").await;
    assert_eq!(listed(&server, "?limit=1").await, [all[4].clone()]);
}

#[tokio::test]
async fn the_model_of_a_message_wins_over_that_of_its_conversation_and_both_over_the_default() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("CACHE_ENABLED", "false")]).await;
    let begun = server.post(CONVERSATIONS, &json!({"model_id": "larger"})).await.expect(200);
    let id = begun["conversation"]["id"].as_str().unwrap();
    for (chosen, expected) in [(json!(null), "larger"), (json!("smaller"), "smaller"), (json!(""), "larger")] {
        let mut body = message(id, "direct_llm", "Hello");
        body["model_id"] = chosen;
        let reply = server.post("/api/chat/ui/send", &body).await.expect(200);
        assert_eq!(llm.chats().last().unwrap().body["model"], expected);
        assert_eq!(reply["metadata"]["model_used"], expected);
    }
    let other = begin(&server, "direct_llm").await;
    send(&server, &other, "direct_llm", "Hello").await;
    assert_eq!(llm.chats().last().unwrap().body["model"], "stub-model");
}

#[tokio::test]
async fn a_cached_answer_is_given_again_to_whom_asks_the_same_model_only() {
    let llm = Upstream::start(|seen, _| openai(seen, seen.body["model"].as_str().unwrap_or_default())).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    for (model, asked) in [("larger", 1), ("smaller", 2), ("larger", 2), ("smaller", 2)] {
        let body = json!({"message": "Who are you?", "model_id": model});
        let reply = server.post("/api/chat/ui/send", &body).await.expect(200);
        assert_eq!((&reply["answer"], llm.chats().len()), (&json!(model), asked), "{model}");
    }
}

#[tokio::test]
async fn the_models_are_those_that_the_server_lists_or_the_configured_one_and_never_an_error() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let models = server.get("/api/chat/ui/models").await.expect(200);
    let stub = json!([{"id": "stub-model", "name": "stub-model"}]);
    let expected = json!({"success": true, "models": stub, "default_model": "stub-model", "source": "llm_server", "message": null});
    assert_eq!(models, expected);

    let away =
        [("LLM_BASE_URL", "http://127.0.0.1:9"), ("LLM_DEFAULT_MODEL", "mine"), ("LLM_FALLBACK_MODELS", "other")];
    let server = TestServer::with(&away).await;
    let models = server.get("/api/chat/ui/models").await.expect(200);
    let ids: Vec<_> = models["models"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(
        (&models["success"], &models["default_model"], ids.as_slice()),
        (&json!(true), &json!("mine"), &[&json!("mine"), &json!("other")][..])
    );
    assert_eq!(models["source"], "configuration");
    assert!(models["message"].as_str().unwrap().contains("lists no models"), "{models}");

    let models = TestServer::bare().await.get("/api/chat/ui/models").await.expect(200);
    assert_eq!((&models["success"], &models["models"]), (&json!(false), &json!([])));
    assert!(models["message"].as_str().unwrap().starts_with("No LLM is configured yet"), "{models}");
}

#[tokio::test]
async fn the_active_prompt_profile_is_told_to_the_model_before_the_conversation() {
    let llm = Upstream::saying("Arr.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let profiles = "/api/chat/ui/prompt-profiles";
    assert_eq!(server.get(profiles).await.expect(200), json!({"profiles": []}));
    let pirate = json!({"name": "pirate", "description": "Fun", "system_prompt": "Speak as a pirate."});
    let kept = server.post(profiles, &pirate).await.expect(200);
    assert_eq!((&kept["success"], &kept["profile"]["is_active"]), (&json!(true), &json!(true)));
    let terse = json!({"name": "terse", "system_prompt": "Be brief.", "is_active": false});
    server.post(profiles, &terse).await.expect(200);
    let id = begin(&server, "direct_llm").await;
    send(&server, &id, "direct_llm", "Hello").await;
    send(&server, &id, "direct_llm", "Hello again").await;
    let expected = turns(&[("system", "Speak as a pirate."), ("user", "Hello"), ("assistant", "Arr.")]);
    assert_eq!(shown_before(llm.chats().last().unwrap()), expected);
    // A name stands once: this replaces it, and no profile is active.
    let changed = json!({"name": "pirate", "system_prompt": "Speak as a parrot.", "is_active": false});
    let changed = server.post(profiles, &changed).await.expect(200);
    assert_eq!(changed["profile"]["id"], kept["profile"]["id"]);
    let other = begin(&server, "direct_llm").await;
    send(&server, &other, "direct_llm", "Hello").await;
    assert_eq!(
        shown_before(llm.chats().last().unwrap()),
        [],
        "and no answer is given that was made with other instructions"
    );
    // Chat elsewhere is not concerned.
    server.post(profiles, &pirate).await.expect(200);
    server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "bob"})).await.expect(200);
    assert!(!llm.chats().last().unwrap().body.to_string().contains("pirate"));
    let list = server.get(profiles).await.expect(200)["profiles"].clone();
    let shown: Vec<_> = list.as_array().unwrap().iter().map(|it| (&it["name"], &it["is_active"])).collect();
    assert_eq!(shown, [(&json!("pirate"), &json!(true)), (&json!("terse"), &json!(false))]);
}

#[tokio::test]
async fn figures_count_what_was_answered_and_what_was_not() {
    let llm = Upstream::start(|seen, _| match prompt_of(seen).as_str() {
        "fail" => vec![],
        _ => openai(seen, "Hi."),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_MAX_RETRIES", "0"), ("CACHE_ENABLED", "false")]).await;
    let none = json!({"total_requests": 0, "success_rate": 0.0, "avg_latency_ms": 0.0, "requests_per_hour": 0.0,
        "top_models": [], "top_profiles": []});
    assert_eq!(server.get("/api/chat/ui/metrics").await.expect(200), none);
    let id = begin(&server, "direct_llm").await;
    for (profile, text) in [("direct_llm", "a"), ("direct_llm", "b"), ("tools_data", "c"), ("direct_llm", "fail")] {
        send(&server, &id, profile, text).await;
    }
    let figures = server.get("/api/chat/ui/metrics?hours=2").await.expect(200);
    assert_eq!((&figures["total_requests"], &figures["success_rate"]), (&json!(4), &json!(0.75)));
    assert_eq!(figures["requests_per_hour"], 2.0);
    assert!(figures["avg_latency_ms"].as_f64().unwrap() >= 0.0);
    assert_eq!(figures["top_models"], json!([{"model": "stub-model", "count": 3}]));
    let profiles: Value = json!([{"profile": "direct_llm", "count": 3}, {"profile": "tools_data", "count": 1}]);
    assert_eq!(figures["top_profiles"], profiles);
}
