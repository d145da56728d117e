//! The second port, on which one version of the GUI looks for its chat page: the same server by the same rules.

use std::net::TcpListener;

use serde_json::json;
use tempfile::TempDir;

use crate::common::program::free_port;
use crate::common::{Answer, Client, Program};

/// A server with a second port, and a client of that.
async fn with_second_port(folder: &TempDir, more: &[(&str, &str)]) -> (Program, Client, u16) {
    let second = free_port();
    let port = second.to_string();
    let mut variables = vec![("CHAT_UI_PORT", port.as_str())];
    variables.extend_from_slice(more);
    let program = Program::start("serve", folder.path(), &variables).await;
    (program, Client::new(format!("http://127.0.0.1:{second}")), second)
}

#[tokio::test]
async fn both_ports_serve_the_same_conversations_and_stop_together() {
    let folder = TempDir::new().unwrap();
    let (program, second, port) = with_second_port(&folder, &[]).await;
    let begun = second.post("/api/chat/ui/conversations", &json!({"title": "Lisbon"})).await.expect(200);
    let path = format!("/api/chat/ui/conversations/{}", begun["conversation"]["id"].as_str().unwrap());
    assert_eq!(program.client.get(&path).await.expect(200)["conversation"], begun["conversation"]);
    second.get("/health").await.expect(200);
    assert!(program.log().contains("CHAT_UI_PORT"), "the log says so");
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[tokio::test]
async fn the_second_port_has_the_rules_of_the_first() {
    let folder = TempDir::new().unwrap();
    let (_program, second, port) = with_second_port(&folder, &[("MAX_BODY_BYTES", "100")]).await;
    let ask = |host: &str, origin: &str| {
        let request =
            second.request("POST", "/api/chat/ui/conversations").header("host", host).header("origin", origin);
        Answer::of(request.header("content-type", "application/json").body("{}"))
    };
    let gui = "http://localhost:3000";
    let taken = ask(&format!("localhost:{port}"), gui).await;
    assert_eq!((taken.status, &taken.headers["access-control-allow-origin"]), (200, &gui.parse().unwrap()));
    assert_eq!(ask(&format!("localhost:{port}"), "http://evil.example").await.expect(403)["code"], "cross_origin");
    assert_eq!(ask("evil.example", gui).await.expect(421)["code"], "misdirected_request");
    let preflight = second.request("OPTIONS", "/api/chat/ui/send").header("origin", gui);
    let preflight = preflight.header("access-control-request-method", "POST");
    let preflight = Answer::of(preflight.header("access-control-request-headers", "content-type")).await;
    assert_eq!(preflight.headers["access-control-allow-origin"], gui);
    second.post("/api/chat/ui/conversations", &json!({"title": "x".repeat(200)})).await.expect(413);
}

#[tokio::test]
async fn a_second_port_that_somebody_has_ends_the_start_but_not_the_demo() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = TempDir::new().unwrap();
    let api = free_port().to_string();
    let ended = Program::run("serve", folder.path(), &[("API_PORT", &api), ("CHAT_UI_PORT", &port)]);
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("can't listen on 127.0.0.1:{port} (API_HOST, CHAT_UI_PORT)")), "{told}");

    let demo = Program::start("demo", folder.path(), &[("CHAT_UI_PORT", &port)]).await;
    demo.client.get("/api/chat/ui/profiles").await.expect(200);
    assert!(demo.log().contains("CHAT_UI_PORT"), "it says that it goes without");
}

#[tokio::test]
async fn a_second_port_that_cannot_be_meant_is_refused() {
    let folder = TempDir::new().unwrap();
    for (api, port) in [("8000", "0"), ("8000", "65536"), ("8000", "8000"), ("8001", "8001"), ("8000", "x")] {
        let checked = Program::run("check-config", folder.path(), &[("API_PORT", api), ("CHAT_UI_PORT", port)]);
        let told = String::from_utf8(checked.stderr).unwrap();
        assert!(checked.status.code() == Some(2) && told.contains("CHAT_UI_PORT: "), "{port}: {told}");
    }
    for (api, port) in [("8000", "8001"), ("8001", ""), ("0", "8001")] {
        let checked = Program::run("check-config", folder.path(), &[("API_PORT", api), ("CHAT_UI_PORT", port)]);
        assert!(checked.status.success(), "{port}: {checked:?}");
    }
}
