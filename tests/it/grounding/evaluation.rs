//! Evaluation of routing: what it reports, by HTTP and by the command.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::chat::{catalog, rest, source};
use crate::common::{Program, TestServer, Upstream};

#[tokio::test]
async fn an_evaluation_tells_hits_misses_and_what_has_changed_and_does_nothing() {
    let shop = source(json!([{"n": 1}])).await;
    let entry = json!({"type": "api", "url": shop.url(), "config": {"description": "Customers and their orders"}});
    let server = TestServer::with(&[("DATASOURCES", &catalog(&[("shop", entry)]))]).await;
    let cases = json!({"cases": [
        {"prompt": "How many customers have an order?", "expect": ["datasource:shop"]},
        {"prompt": "Tell me a joke"},
        {"prompt": "How many orders?", "expect": ["tool:counter"], "metadata": {"datasource": "shop"}}]});
    let report = server.post("/api/chat/evaluate", &cases).await.expect(200);
    assert_eq!((&report["cases"], &report["passed"], &report["success"]), (&json!(3), &json!(2), &json!(false)));
    assert_eq!((&report["precision"], &report["recall"]), (&json!(0.5), &json!(0.5)));
    let last = &report["results"][2];
    assert_eq!((&last["missed"], &last["unexpected"]), (&json!(["tool:counter"]), &json!(["datasource:shop"])));
    assert_eq!((&last["routing"]["by"], &report["previous_at"]), (&json!("request"), &json!(null)));
    assert!(shop.chats().is_empty(), "nothing is asked");
    assert_eq!(server.get("/v1/executions").await.expect(200)["count"], 0, "and nothing recorded");

    // Another configuration, and the same prompts once more, after a restart.
    let server = server.restart().await;
    server.delete("/api/datasources/shop").await.expect(200);
    let report = server.post("/api/chat/evaluate", &cases).await.expect(200);
    assert_eq!(report["passed"], 1);
    let changed: Vec<_> = report["differences"].as_array().unwrap().iter().map(|change| &change["prompt"]).collect();
    assert_eq!(changed[0], "How many customers have an order?");
    assert!(report["previous_at"].is_string());
    let error = report["results"][2]["error"].as_str().unwrap();
    assert!(error.contains("metadata.datasource"), "{error}");
}

#[tokio::test]
async fn rows_that_are_expected_are_fetched_and_compared() {
    let shop = source(json!([{"n": 400}])).await;
    let server = TestServer::with(&[("DATASOURCES", &catalog(&[("shop", rest(&shop.url()))]))]).await;
    let case = |rows: Value| json!({"prompt": "SELECT count(*) AS n FROM customers", "expect": ["datasource:shop"], "rows": rows});
    let cases = json!({"cases": [case(json!([{"customers": 400}])), case(json!([[401]]))]});
    let report = server.post("/api/chat/evaluate", &cases).await.expect(200);
    let matches: Vec<_> = report["results"].as_array().unwrap().iter().map(|result| &result["rows_match"]).collect();
    assert_eq!(matches, [&json!(true), &json!(false)]);
    assert_eq!(
        server.get("/api/memory/default/history").await.expect(200)["messages"],
        json!([]),
        "nothing is remembered"
    );
}

#[tokio::test]
async fn what_is_wrong_with_cases_is_named() {
    let server = TestServer::bare().await;
    let wrong = json!({"cases": [{"prompt": "Hi", "expect": ["shop"]}, 7, {"expect": []}, {"prompt": "Hi", "metadata": {"intent": "dance"}}]});
    let answer = server.post("/api/chat/evaluate", &wrong).await.expect(422);
    let named: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|issue| issue["loc"].to_string()).collect();
    let expected = [
        r#"["body","cases",0,"expect"]"#,
        r#"["body","cases",1]"#,
        r#"["body","cases",2,"prompt"]"#,
        r#"["body","cases",3,"metadata","intent"]"#,
    ];
    assert_eq!(named, expected);
    server.post("/api/chat/evaluate", &json!({})).await.expect(422);
}

#[tokio::test]
async fn the_command_evaluates_a_file_on_the_running_server() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;
    let (good, bad) = (folder.path().join("good.json"), folder.path().join("bad.json"));
    fs::write(&good, r#"[{"prompt": "How many customers do we have?", "expect": ["datasource:shop"]}]"#).unwrap();
    fs::write(&bad, r#"{"cases": [{"prompt": "Tell me a joke", "expect": ["tool:weather"]}]}"#).unwrap();
    let run = |file: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_orchestrator-studio"));
        let command = command.arg("evaluate").arg(file).current_dir(folder.path()).env_clear();
        let output = command.env("API_PORT", demo.port.to_string()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said, _) = run(&good);
    assert_eq!((code, said.trim()), (Some(0), "1 of 1 as expected; precision 100.0 %, recall 100.0 %"));
    let (code, said, _) = run(&bad);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("FAIL Tell me a joke: missed tool:weather\n0 of 1 as expected"), "{said}");
    let (code, _, error) = run(&folder.path().join("none.json"));
    assert!(code == Some(1) && error.contains("none.json"), "{error}");
}

#[tokio::test]
async fn a_model_that_takes_no_functions_is_asked_to_choose_instead() {
    let cases = crate::common::routing::cases("company");
    let llm: Upstream = crate::common::routing::scripted(cases, false).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let report = server.post("/api/chat/evaluate", &json!({"cases": [{"prompt": "Hello!"}]})).await.expect(200);
    assert_eq!((&report["passed"], &report["results"][0]["error"]), (&json!(1), &json!(null)));
}
