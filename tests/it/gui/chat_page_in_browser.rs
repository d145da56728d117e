//! A page of our own does in a real browser what the chat page of the GUI does, from the origin that the GUI has.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::hosted_page::HostedPage;
use crate::common::program::free_port;
use crate::common::upstream::openai;
use crate::common::{Program, Upstream, browser};

const PAGE: &str = include_str!("chat_page_in_browser/page.js");
/// Where the GUI is served.
const GUI_PORT: u16 = 3000;

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_page_works_in_a_browser_on_both_ports() {
    let Some(browser) = browser::find() else { return };
    let llm = Upstream::start(|seen, _| openai(seen, "Nice to meet you, Ada.")).await;
    let second = free_port();
    // Another program may have the GUI's own port; the page then is of another origin, which is allowed instead.
    let gui = match HostedPage::start_at(GUI_PORT, PAGE).await {
        Some(page) => page,
        None => HostedPage::start(PAGE, None).await,
    };
    let origins = format!("http://localhost:{}", gui.port);
    let (base, port) = (llm.url(), second.to_string());
    let mut variables = vec![
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "stub-model"),
        ("LLM_PROVIDER", "openai"),
        ("CHAT_UI_PORT", &port),
    ];
    if gui.port != GUI_PORT {
        variables.push(("CORS_ORIGINS", &origins));
    }
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &variables).await;
    for port in [program.port, second] {
        let report = gui.play(&browser, "localhost", &format!("http://localhost:{port}")).await;
        assert_report(&report, port);
    }
    assert!(program.log().contains("CHAT_UI_PORT"), "the start says that there is a second port");
}

fn assert_report(report: &Value, port: u16) {
    assert_eq!(report["error"], json!(null), "port {port}: {report}");
    assert_eq!((&report["before"], &report["after"]), (&json!(0), &json!(1)), "{report}");
    assert_eq!(report["models"], json!(["stub-model"]));
    assert_eq!(report["profiles"], json!(["direct_llm", "zain_agent", "tools_data"]));
    assert_eq!(report["title"], "I am Ada");
    assert_eq!(report["answer"], "Nice to meet you, Ada.");
    assert_eq!(report["streamed"], json!({"text": "Nice to meet you, Ada.", "done": true}));
    let roles = json!(["user", "assistant", "user", "assistant"]);
    assert_eq!((&report["roles"], &report["model_used"]), (&roles, &json!("stub-model")));
    assert_eq!((&report["deleted"], &report["gone"]), (&json!(true), &json!("Conversation not found")));
    assert_eq!(report["left"], 0);
}
