//! The calls of the chat page as both versions of the GUI make them, one after the other, and what the page reads of each reply.

use serde_json::{Map, Value, json};

use crate::common::chat_page::{lines, read_as_the_page_does};
use crate::common::{Answer, TestServer, Upstream};

/// What a field of a reply has to be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    TextOrNull,
    Number,
    Boolean,
    Object,
    /// A moment as RFC 3339 writes it.
    Time,
    Texts,
}

use Kind::{Boolean, Number, Object, Text, TextOrNull, Texts, Time};

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Text => value.is_string(),
            TextOrNull => value.is_string() || value.is_null(),
            Number => value.is_number(),
            Boolean => value.is_boolean(),
            Object => value.is_object(),
            Time => value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z')),
            Texts => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        }
    }
}

const CONVERSATION: &[(&str, Kind)] = &[
    ("id", Text),
    ("title", Text),
    ("user_id", TextOrNull),
    ("model_id", TextOrNull),
    ("routing_profile", Text),
    ("summary", TextOrNull),
    ("created_at", Time),
    ("updated_at", Time),
    ("is_deleted", Boolean),
    ("message_count", Number),
];
const MESSAGE: &[(&str, Kind)] = &[
    ("id", Text),
    ("conversation_id", Text),
    ("role", Text),
    ("content", Text),
    ("metadata", Object),
    ("created_at", Time),
];
const ANSWER: &[(&str, Kind)] = &[("model_used", Text), ("routing_profile", Text), ("tools_used", Texts)];

/// The page reads these fields of a value, and each is what it takes it for.
fn assert_read(value: &Value, fields: &[(&str, Kind)]) {
    for (name, kind) in fields {
        let field = value.get(*name).unwrap_or_else(|| panic!("no {name} in {value}"));
        assert!(kind.fits(field), "{name} is {field}, and no {kind:?}");
    }
}

/// The GUI: both versions send their requests from a page of its origin.
struct Gui<'a>(&'a TestServer);

impl Gui<'_> {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let request = self.0.request(method, path).header("origin", "http://localhost:3000");
        let request = request.header("accept", "application/json, text/plain, */*");
        let answer = Answer::of(match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        });
        let answer = answer.await;
        assert_eq!(answer.headers["access-control-allow-origin"], "http://localhost:3000", "{method} {path}");
        answer.expect(200)
    }

    /// What the page does when it is opened.
    async fn open(&self) -> Value {
        let models = self.call("GET", "/api/chat/ui/models", None).await;
        assert_read(
            &models,
            &[("success", Boolean), ("default_model", Text), ("source", Text), ("message", TextOrNull)],
        );
        each(&models["models"], &[("id", Text), ("name", Text)]);
        let profiles = self.call("GET", "/api/chat/ui/profiles", None).await;
        each(&profiles["profiles"], &[("id", Text), ("name", Text), ("description", Text)]);
        let ids: Vec<_> = profiles["profiles"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
        assert_eq!(ids, ["direct_llm", "zain_agent", "tools_data"]);
        let list = self.call("GET", "/api/chat/ui/conversations?user_id=&limit=50&offset=0", None).await;
        assert_read(&list, &[("total", Number), ("limit", Number), ("offset", Number)]);
        each(&list["conversations"], CONVERSATION);
        list
    }

    async fn begin(&self, body: Value) -> String {
        let begun = self.call("POST", "/api/chat/ui/conversations", Some(body)).await;
        assert_read(&begun, &[("success", Boolean), ("conversation", Object)]);
        assert_read(&begun["conversation"], CONVERSATION);
        begun["conversation"]["id"].as_str().unwrap().to_owned()
    }

    async fn load(&self, id: &str) -> Vec<Value> {
        let loaded = self.call("GET", &format!("/api/chat/ui/conversations/{id}"), None).await;
        assert_read(&loaded["conversation"], CONVERSATION);
        each(&loaded["messages"], MESSAGE);
        let messages = loaded["messages"].as_array().unwrap().clone();
        messages.iter().filter(|it| it["role"] == "assistant").for_each(|it| assert_read(&it["metadata"], ANSWER));
        let times: Vec<_> = messages.iter().map(|it| it["created_at"].as_str().unwrap().to_owned()).collect();
        assert!(times.is_sorted(), "oldest first: {times:?}");
        messages
    }

    async fn delete(&self, id: &str) {
        let gone = self.call("DELETE", &format!("/api/chat/ui/conversations/{id}"), None).await;
        assert_read(&gone, &[("success", Boolean), ("message", Text)]);
    }
}

/// Each of a list that is not empty.
fn each(list: &Value, fields: &[(&str, Kind)]) {
    list.as_array().unwrap().iter().for_each(|item| assert_read(item, fields));
}

fn roles(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["role"].as_str().unwrap()).collect()
}

async fn studio() -> (Upstream, TestServer) {
    let llm = Upstream::saying("Hi, Ada.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    (llm, server)
}

#[tokio::test]
async fn version_a_works_as_it_did() {
    let (_llm, server) = studio().await;
    let gui = Gui(&server);
    assert_eq!(gui.open().await["conversations"], json!([]));
    let id = gui
        .begin(json!({"title": "New Conversation", "model_id": "stub-model", "routing_profile": "direct_llm"}))
        .await;
    assert_eq!(gui.load(&id).await, Vec::<Value>::new());
    for profile in ["direct_llm", "zain_agent", "tools_data"] {
        let body = json!({"conversation_id": id, "message": "I am Ada", "model_id": "stub-model",
            "routing_profile": profile, "use_memory": true, "use_tools": false, "stream": false, "metadata": {}});
        let sent = gui.call("POST", "/api/chat/ui/send", Some(body)).await;
        let fields = [
            ("conversation_id", Text),
            ("message_id", Text),
            ("answer", Text),
            ("metadata", Object),
            ("error", TextOrNull),
        ];
        assert_read(&sent, &fields);
        assert_read(&sent["metadata"], ANSWER);
        assert_eq!((&sent["conversation_id"], &sent["metadata"]["routing_profile"]), (&json!(id), &json!(profile)));
    }
    let messages = gui.load(&id).await;
    assert_eq!(roles(&messages), ["user", "assistant"].repeat(3));
    let list = gui.open().await;
    let conversation = &list["conversations"][0];
    assert_eq!((&conversation["title"], &conversation["message_count"]), (&json!("I am Ada"), &json!(6)));
    assert_eq!(list["total"], 1);
    gui.delete(&id).await;
    assert_eq!(gui.open().await["total"], 0);
}

#[tokio::test]
async fn version_b_works_as_it_did() {
    let (_llm, server) = studio().await;
    let gui = Gui(&server);
    gui.open().await;
    // It sends no more than what somebody has chosen.
    let id = gui.begin(json!({})).await;
    let mut body = json!({"conversation_id": id, "message": "I am Ada", "model_id": "stub-model",
        "routing_profile": "direct_llm", "use_memory": true, "use_tools": true, "connection_id": "default"});
    for _ in 0..2 {
        let (text, ended) = read_as_the_page_does(lines(&server, &body).await).await;
        assert_eq!((text.as_str(), ended), ("Hi, Ada.", true));
    }
    body["connection_id"] = json!(null);
    gui.call("POST", "/api/chat/ui/send", Some(body)).await;
    assert_eq!(roles(&gui.load(&id).await), ["user", "assistant"].repeat(3));
    assert_eq!(gui.open().await["conversations"][0]["id"], json!(id));
    gui.delete(&id).await;
}

#[tokio::test]
async fn what_only_the_documentation_shows_is_there_too() {
    let (_llm, server) = studio().await;
    let gui = Gui(&server);
    let put = json!({"name": "terse", "description": "Short", "system_prompt": "Be brief.", "is_active": true});
    let kept = gui.call("POST", "/api/chat/ui/prompt-profiles", Some(put)).await;
    let profile: &[(&str, Kind)] = &[
        ("id", Text),
        ("name", Text),
        ("description", TextOrNull),
        ("system_prompt", Text),
        ("created_at", Time),
        ("updated_at", Time),
        ("is_active", Boolean),
    ];
    assert_read(&kept, &[("success", Boolean)]);
    assert_read(&kept["profile"], profile);
    let list = gui.call("GET", "/api/chat/ui/prompt-profiles", None).await;
    each(&list["profiles"], profile);
    assert_eq!(list["profiles"].as_array().map(Vec::len), Some(1));
    gui.call("POST", "/api/chat/ui/send", Some(json!({"message": "Hello"}))).await;
    let figures = gui.call("GET", "/api/chat/ui/metrics?hours=24", None).await;
    let numbers = ["total_requests", "success_rate", "avg_latency_ms", "requests_per_hour"].map(|name| (name, Number));
    assert_read(&figures, &numbers);
    let lists: Map<_, _> = figures.as_object().unwrap().clone().into_iter().filter(|(_, it)| it.is_array()).collect();
    assert_eq!(lists.keys().collect::<Vec<_>>(), ["top_models", "top_profiles"]);
}
