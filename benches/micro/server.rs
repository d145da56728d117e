//! The whole application in this process, without a socket.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use orchestrator_studio::app::{App, Platform, load_settings};
use orchestrator_studio::settings::Environment;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

const AGENTS: usize = 50;
const MESSAGES: usize = 50;

/// An application with resources that prompts may reach, and a conversation.
pub struct Server {
    router: Router,
    _app: App,
    _folder: TempDir,
}

impl Server {
    /// One with these variables besides.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let entry = |nth: usize| {
            let metadata = json!({"description": format!("Knows the contracts of region {nth}")});
            (format!("agent-{nth}"), json!({"url": "http://127.0.0.1:9", "metadata": metadata}))
        };
        let agents: Map<_, _> = (0..AGENTS).map(entry).collect();
        // Nobody answers there: what the guard refuses does not get so far.
        let config = json!({"description": "Orders, invoices and customers"});
        let shop = json!({"shop": {"type": "postgres", "url": "postgres://u@127.0.0.1:9/shop", "config": config}});
        let missing = folder.path().join("none").display().to_string();
        let own = [
            ("DATA_DIR", folder.path().join("data").display().to_string()),
            ("INTENT_CLASSIFIER", "rules".to_owned()),
            ("GROUNDING_REFRESH_SECONDS", "0".to_owned()),
            ("MEMORY_MAX_MESSAGES", MESSAGES.to_string()),
            ("EXTERNAL_AGENTS", Value::Object(agents).to_string()),
            ("DATASOURCES", shop.to_string()),
            ("AGENTS_CONFIG_PATH", missing.clone()),
            ("DATASOURCES_CONFIG_PATH", missing.clone()),
            ("TOOLS_CONFIG_PATH", missing.clone()),
            ("LLM_CONFIG_PATH", missing),
        ];
        let given = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let environment = Environment::from_pairs(own.into_iter().chain(given));
        let app = App::build(load_settings(environment).unwrap(), Platform::system()).await.unwrap();
        Self { router: app.router.clone(), _app: app, _folder: folder }
    }

    /// Fills the conversation of `ada`.
    pub async fn converse(&self) {
        for nth in 0..MESSAGES {
            let role = if nth % 2 == 0 { "user" } else { "assistant" };
            let message =
                json!({"role": role, "content": format!("Sentence {nth} of what was said about the contracts")});
            self.call(Method::POST, "/api/memory/ada/message", &message.to_string(), None).await;
        }
    }

    /// The reply to a request that comes with this key or token.
    pub async fn call(&self, method: Method, path: &str, body: &str, credential: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if let Some(credential) = credential {
            request = request.header(header::AUTHORIZATION, format!("Bearer {credential}"));
        }
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_owned()));
        let reply = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = reply.status();
        let body = to_bytes(reply.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}
