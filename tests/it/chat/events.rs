//! The numbered log of an execution: what is told of it, who follows it, and what it knows of a server that was killed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::common::chat::catalog;
use crate::common::client::Frame;
use crate::common::databases::postgres;
use crate::common::tools::{Say, http_tool, model, weather, weather_of, with_tools};
use crate::common::upstream::openai;
use crate::common::{Act, Client, Program, TestServer, Upstream};

const PROMPT: &str = "Tell me about Lisbon, please";
const LIMIT: Duration = Duration::from_secs(20);

fn path(id: &Value) -> String {
    format!("/v1/executions/{}/events", id.as_str().unwrap())
}

async fn events(client: &Client, id: &Value) -> Vec<Value> {
    let list = client.get(&path(id)).await.expect(200);
    let events = list["events"].as_array().unwrap().clone();
    assert_eq!((&list["success"], &list["count"]), (&json!(true), &json!(events.len())));
    let numbers: Vec<_> = events.iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    events
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// All that whoever goes on behind `last` is told, until the stream ends.
async fn followed(client: &Client, id: &Value, last: &str) -> Vec<Frame> {
    timeout(LIMIT, client.follow(&path(id), last).await.collect()).await.unwrap()
}

/// A tool that never answers, and an agent; how often it was asked.
async fn hanging() -> Upstream {
    Upstream::start(|_, _| vec![Act::Hang]).await
}

async fn until_asked(upstream: &Upstream) {
    let asked = async {
        while upstream.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, asked).await.unwrap();
}

#[tokio::test]
async fn the_ids_of_a_stream_are_the_numbers_of_the_log_where_its_reader_goes_on() {
    let (llm, api) = (model(vec![weather_of("lisbon"), Say::Text("Six degrees.")]).await, weather().await);
    let server = with_tools(&llm, &[("weather", http_tool(&api))], &[]).await;
    let frames = server.chat_events(&json!({"prompt": PROMPT, "user_id": "ada"})).await;
    let deltas = frames.iter().filter(|frame| frame.event == "delta");
    assert!(
        deltas.clone().count() > 0 && deltas.clone().all(|frame| frame.id.is_none()),
        "they are no events of the log"
    );
    let logged = frames.iter().filter(|frame| frame.event != "delta");
    let told: Vec<_> = logged.map(|frame| (frame.event.as_str(), frame.id)).collect();
    let expected = [("execution", Some(2)), ("step", Some(4)), ("step", Some(5)), ("answer", Some(6))];
    assert_eq!(told, expected, "a task that begins is told in the log only");

    let id = &frames[0].data["execution_id"];
    let events = events(&server, id).await;
    let kinds = ["started", "planned", "task_started", "task_finished", "task_finished", "answer"];
    assert_eq!(types(&events), kinds);
    let times: Vec<_> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!((&events[0]["user_id"], &events[0]["prompt"]), (&json!("ada"), &json!(PROMPT)));
    assert_eq!((&events[1]["intent"], &events[1]["plan"]), (&json!("general_llm"), &frames[0].data["plan"]));
    let begun = json!({"number": 3, "type": "task_started", "at": times[2], "id": "task_1.1", "action": "tool_execution",
        "target": "weather", "query": "{\"url\":\"/lisbon\"}"});
    assert_eq!(events[2], begun);
    let record = server.get(&format!("/v1/executions/{}", id.as_str().unwrap())).await.expect(200);
    for (event, step) in events[3..5].iter().zip(record["steps"].as_array().unwrap()) {
        let mut facts = event.clone();
        for name in ["number", "type", "at"] {
            facts.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(&facts, step);
    }
    let execution = &record["execution"];
    assert_eq!((&events[5]["answer"], &events[5]["metadata"]), (&json!("Six degrees."), &execution["metadata"]));
    assert_eq!((&events[5]["at"], &events[0]["at"]), (&execution["finished_at"], &execution["started_at"]));

    // Whoever lost the stream behind any of its frames gets what came after it.
    for (last, first) in [(2, 2), (4, 4), (5, 5)] {
        let rest = followed(&server, id, &last.to_string()).await;
        assert_eq!(rest.iter().map(|frame| frame.data.clone()).collect::<Vec<_>>(), events[first..]);
        let same =
            |frame: &Frame| frame.data["number"] == json!(frame.id) && frame.data["type"] == frame.event.as_str();
        assert!(rest.iter().all(same), "{rest:?}");
    }
    let later = server.get(&format!("{}?after=4", path(id))).await.expect(200);
    assert_eq!((&later["count"], later["events"].as_array().unwrap()[..] == events[4..]), (&json!(2), true));
    assert_eq!(server.get(&format!("{}?after=6", path(id))).await.expect(200)["events"], json!([]));
    let headers = [("accept", "text/event-stream"), ("last-event-id", "6")];
    let request =
        headers.iter().fold(server.request("GET", &path(id)), |request, (name, value)| request.header(*name, *value));
    assert_eq!(request.send().await.unwrap().status(), 204, "readers of events do not connect again then");
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused_by_name() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200)["execution_id"].clone();
    for unknown in ["nobody", "a%00b"] {
        let refused = server.get(&format!("/v1/executions/{unknown}/events")).await.expect(404);
        assert!(refused["detail"].as_str().unwrap().contains("not found"), "{refused}");
    }
    for after in ["-1", "x", "1000000000", "1.5"] {
        let refused = server.get(&format!("{}?after={after}", path(&id))).await.expect(422);
        assert!(refused.to_string().contains("\"after\""), "{refused}");
    }
    for last in ["-1", "x", "", "1000000000", "+1", "\u{e9}"] {
        let refused = server.request("GET", &path(&id)).header("last-event-id", last).send().await.unwrap();
        assert_eq!(refused.status(), 422, "{last}");
        let text = refused.text().await.unwrap();
        assert!(text.contains("last-event-id"), "{text}");
    }
    let reply =
        server.request("GET", &format!("{}?after=1", path(&id))).header("last-event-id", "3").send().await.unwrap();
    let told: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    assert_eq!((&told["count"], &told["events"][0]["type"]), (&json!(1), &json!("answer")), "the header goes first");
}

#[tokio::test]
async fn whoever_follows_an_execution_hears_of_each_event_until_the_end() {
    let word = Arc::new(Notify::new());
    let llm = Upstream::paced(&["one ", "two"], &word).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let mut stream = server.open_stream(&json!({"prompt": "Count", "user_id": "ada"})).await;
    let id = stream.next().await.unwrap().data["execution_id"].clone();
    let mut following = server.follow(&path(&id), "0").await;
    for kind in ["started", "planned"] {
        assert_eq!(timeout(LIMIT, following.next()).await.unwrap().unwrap().event, kind);
    }
    assert!(timeout(Duration::from_millis(1200), following.next()).await.is_err(), "nothing has happened");
    word.notify_one();
    stream.next().await.unwrap();
    word.notify_one();
    let told: Vec<_> = timeout(LIMIT, stream.collect::<Vec<_>>()).await.unwrap();
    let rest: Vec<_> = timeout(LIMIT, following.collect::<Vec<_>>()).await.expect("the end ends the stream");
    let rest: Vec<_> = rest.iter().map(|frame| (frame.event.as_str(), frame.id)).collect();
    assert_eq!(rest, [("task_finished", Some(3)), ("answer", Some(4))]);
    assert_eq!(told.last().unwrap().id, Some(4));
}

#[tokio::test]
async fn a_failed_chat_has_its_end_in_the_log_and_a_plain_one_begins_no_task() {
    let llm =
        Upstream::start(|seen, nth| if nth == 0 { openai(seen, "Hi.") } else { vec![Act::Send(String::new())] }).await;
    let server = TestServer::with_llm(&llm, &[("CACHE_ENABLED", "false")]).await;
    let id = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200)["execution_id"].clone();
    assert_eq!(types(&events(&server, &id).await), ["started", "planned", "task_finished", "answer"]);
    let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
    let id = &frames[0].data["execution_id"];
    let events = events(&server, id).await;
    assert_eq!(types(&events), ["started", "planned", "task_finished", "failed"]);
    assert_eq!((frames.last().unwrap().event.as_str(), frames.last().unwrap().id), ("error", Some(4)));
    assert_eq!(events[3]["error"], frames.last().unwrap().data["error"]);
}

#[tokio::test]
async fn a_tool_that_runs_while_its_client_leaves_is_told_of() {
    let (llm, api) = (model(vec![weather_of("lisbon")]).await, hanging().await);
    let server = with_tools(&llm, &[("weather", http_tool(&api))], &[]).await;
    let mut stream = server.open_stream(&json!({"prompt": PROMPT, "user_id": "ada"})).await;
    let first = stream.next().await.unwrap();
    until_asked(&api).await;
    drop(stream);
    let id = &first.data["execution_id"];
    let rest = followed(&server, id, &first.id.unwrap().to_string()).await;
    let told: Vec<_> = rest.iter().map(|frame| (frame.event.as_str(), frame.id)).collect();
    assert_eq!(told, [("task_started", Some(3)), ("cancelled", Some(4))]);
    assert_interrupted(&server, id, "cancelled", "task_1.1", "weather").await;
}

/// The execution has ended so, and this task of it, the only one, is told of.
async fn assert_interrupted(client: &Client, id: &Value, status: &str, task: &str, target: &str) {
    let record = client.get(&format!("/v1/executions/{}", id.as_str().unwrap())).await.expect(200);
    assert_eq!(record["execution"]["status"], status);
    let [step] = &record["steps"].as_array().unwrap()[..] else { panic!("{record}") };
    assert_eq!((&step["status"], &step["id"], &step["target"]), (&json!("interrupted"), &json!(task), &json!(target)));
    let why = "It had begun when the execution was cut off, so it may have taken effect; it was not repeated";
    assert_eq!((&step["error"], &step["output"]), (&json!(why), &json!(null)));
}

/// The only execution that a server knows, as soon as it knows one.
async fn only_execution(client: &Client) -> Value {
    let list = client.get("/v1/executions").await.expect(200);
    let [execution] = &list["executions"].as_array().unwrap()[..] else { panic!("{list}") };
    execution["execution_id"].clone()
}

/// A chat in which something with an effect hangs is under way while the server is killed.
async fn kill_while_it_runs(metadata: Value, task: &str, target: &str, postgres_dsn: Option<&str>) {
    let (llm, outside) = (model(vec![weather_of("lisbon")]).await, hanging().await);
    let tools = catalog(&[("weather", http_tool(&outside))]);
    let agents = catalog(&[("zain", json!({"url": outside.url()}))]);
    let base = llm.url();
    let mut variables = vec![
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", "openai"),
        ("TOOLS", &tools),
        ("EXTERNAL_AGENTS", &agents),
    ];
    variables.extend(postgres_dsn.map(|dsn| ("POSTGRES_DSN", dsn)));
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &variables).await;
    let client = program.client.clone();
    let body = json!({"prompt": PROMPT, "user_id": "ada", "metadata": metadata});
    let chat = tokio::spawn(async move {
        let request = client.request("POST", "/v1/chat").header("content-type", "application/json");
        request.body(body.to_string()).send().await.map(|reply| reply.status())
    });
    until_asked(&outside).await;
    program.kill();
    assert!(chat.await.unwrap().is_err(), "nobody was answered");

    let program = Program::start("serve", folder.path(), &variables).await;
    let id = only_execution(&program.client).await;
    assert_interrupted(&program.client, &id, "interrupted", task, target).await;
    let events = events(&program.client, &id).await;
    assert_eq!(types(&events), ["started", "planned", "task_started", "interrupted"]);
    assert_eq!((&events[2]["id"], &events[2]["target"]), (&json!(task), &json!(target)));
    assert_eq!(events[3]["error"], "The server stopped while this ran");
    assert_eq!(followed(&program.client, &id, "3").await.len(), 1);
    assert_eq!(outside.seen().len(), 1, "it is not repeated");
}

#[tokio::test]
async fn a_tool_that_ran_while_the_server_was_killed_is_told_of_and_not_repeated() {
    kill_while_it_runs(json!({}), "task_1.1", "weather", None).await;
}

#[tokio::test]
async fn a_tool_of_the_plan_and_an_agent_that_were_under_way_are_told_of() {
    let tool = json!({"tool": "weather", "tool_params": {"url": "/lisbon"}});
    kill_while_it_runs(tool, "task_1", "weather", None).await;
    kill_while_it_runs(json!({"agent": "zain"}), "task_1", "zain", None).await;
}

#[tokio::test]
async fn what_was_under_way_is_told_of_from_postgres_too() {
    let database = postgres(&[]).await;
    kill_while_it_runs(json!({}), "task_1.1", "weather", Some(&database.url)).await;
}
