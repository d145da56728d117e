//! The API explorer as a person sees it: rendered by a real browser that reaches nothing but the server.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::credentials::with_authentication;
use crate::common::{TestServer, browser};

/// Longest run of the browser; it needs about three seconds.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The page as the browser has built it, and the browser's log of everything it did on the network.
async fn render(program: &Path, url: &str) -> (String, Value) {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("net.json");
    let mut command = browser::command(program, &folder, &[]);
    command
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--log-net-log={}", log.display()))
        .arg(url);
    let output = match tokio::time::timeout(TIMEOUT, command.output()).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("the browser did not end within {TIMEOUT:?}"),
    };
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    let log = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    (String::from_utf8(output.stdout).unwrap(), log)
}

/// The parameters of all events of one type.
fn events<'a>(log: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let number = &log["constants"]["logEventTypes"][name];
    assert!(number.is_number(), "this browser knows no event {name}");
    let events = log["events"].as_array().unwrap();
    events.iter().filter(move |event| event["type"] == *number).map(|event| &event["params"])
}

/// The addresses that the page, not the browser on its own account (its clock, its updates), asked for.
fn requested(log: &Value) -> Vec<&str> {
    let by_page = |request: &&Value| request["request_type"] == "main frame" || request["initiator"] != "not an origin";
    let starts = events(log, "URL_REQUEST_START_JOB").filter(|params| params["url"].is_string());
    starts.filter(by_page).map(|params| params["url"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_explorer_shows_every_operation_and_loads_nothing_from_elsewhere() {
    let Some(browser) = browser::find() else { return };
    let server = TestServer::bare().await;
    let (page, log) = render(&browser, &server.url("/docs/")).await;

    let document = server.get("/openapi.json").await.expect(200);
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(page.contains(&format!("data-path=\"{path}\"")), "{path} is not shown");
        for operation in item.as_object().unwrap().values() {
            let (tag, id) = (operation["tags"][0].as_str().unwrap(), operation["operationId"].as_str().unwrap());
            assert!(page.contains(&format!("id=\"operations-{tag}-{id}\"")), "{id} is not shown under {tag}");
            operations += 1;
        }
    }
    assert_eq!(page.matches("class=\"opblock opblock-").count(), operations);
    for path in ["/v1/chat", "/api/llm/config", "/api/memory/{user_id}/history"] {
        assert!(page.contains(path), "{path} is not shown");
    }
    for tag in document["tags"].as_array().unwrap() {
        assert!(page.contains(tag["description"].as_str().unwrap()), "{tag} is not shown");
    }

    let requested = requested(&log);
    let own = server.url("/");
    for path in ["docs/", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "openapi.json"] {
        assert!(requested.contains(&format!("{own}{path}").as_str()), "{path} is not among {requested:?}");
    }
    let foreign = |url: &&&str| ["http", "ws"].iter().any(|scheme| url.starts_with(scheme)) && !url.starts_with(&own);
    let elsewhere: Vec<_> = requested.iter().filter(foreign).collect();
    assert!(elsewhere.is_empty(), "the page asks for {elsewhere:?}");
    let ours = own.trim_start_matches("http://").trim_end_matches('/');
    let connected: Vec<_> =
        events(&log, "TCP_CONNECT_ATTEMPT").filter_map(|params| params["address"].as_str()).collect();
    assert!(!connected.is_empty() && connected.iter().all(|address| *address == ours), "{connected:?}");
}

/// The explorer with one operation unfolded: its example is there to be sent, and nothing in it is unresolved.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfolded_operation_is_ready_to_be_tried() {
    let Some(browser) = browser::find() else { return };
    let server = TestServer::bare().await;
    let (page, _) = render(&browser, &server.url("/docs/#/chat/chat")).await;
    assert!(page.contains("What did I tell you about Lisbon?"), "the example of the body is not shown");
    assert!(page.contains("btn execute"), "there is no button to send it");
    assert!(!page.contains("Could not resolve reference"), "the explorer can't resolve a reference");
}

/// Only where callers are told apart there is something to say who calls with, and each operation shows that it needs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_given_to_the_explorer_where_one_is_needed() {
    let Some(browser) = browser::find() else { return };
    let (guarded, open) = (TestServer::with(&with_authentication(&[])).await, TestServer::bare().await);
    let (page, _) = render(&browser, &guarded.url("/docs/#/chat/chat")).await;
    assert!(page.contains("btn authorize"), "there is no button to give a key");
    assert!(page.contains("authorization__btn"), "the operation does not show that it needs one");
    assert!(page.contains("needs the scope") && page.contains("<code>chat</code>"), "the scope is not told");
    let (page, _) = render(&browser, &open.url("/docs/#/chat/chat")).await;
    assert!(!page.contains("authorization__btn"), "nobody needs a key");
}
