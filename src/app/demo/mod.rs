//! What `orchestrator-studio demo` adds: upstreams on loopback. To teach its model an answer: `script`; a query: `queries`.

mod agent;
mod ollama;
mod openai;
mod queries;
mod script;
mod support;
mod web;

use std::net::{Ipv4Addr, SocketAddr};

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use serde_json::json;

use super::StartError;
use crate::datasources::write_sample_database;
use crate::kernel::{Error, count_panics};
use crate::settings::{Environment, StorageSettings, load};
use script::MODEL;

/// Where the existing GUI looks for the server of its chat page.
const CHAT_UI_PORT: u16 = 8001;

/// Starts the sample upstreams; returns the environment in which the server finds them, and the address of the LLM. What the user
/// configured about upstreams is left aside, and the demo's state has a folder of its own; all else counts as it is.
pub async fn start(environment: &Environment) -> Result<(Environment, SocketAddr), StartError> {
    let folder = StorageSettings::data_dir(environment).join("demo").display().to_string();
    let environment = environment
        .without(is_about_upstreams)
        .with("LLM_CONFIG_PATH", format!("{folder}/llm.json"))
        .with("AGENTS_CONFIG_PATH", format!("{folder}/agents.json"))
        .with("DATASOURCES_CONFIG_PATH", format!("{folder}/datasources.json"))
        .with("TOOLS_CONFIG_PATH", format!("{folder}/tools.json"))
        .with("DATA_DIR", folder);
    let environment = with_chat_page(environment);
    let loaded = load(environment.clone()).map_err(StartError::Settings)?;

    let listener = listen(upstreams_port(loaded.settings.server.address.port())).await?;
    let address = listener.local_addr().map_err(|error| Error::internal("the demo LLM has no address", error))?;
    // Without TCP_NODELAY its words would come in clumps; a socket that refuses it still works.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let models = openai::router().merge(ollama::router());
    let upstreams = models.merge(agent::router()).merge(web::router()).merge(support::router());
    tokio::spawn(count_panics("demo_upstreams", async move { axum::serve(listener, upstreams).await }));
    let sample = loaded.settings.storage.data_dir.join("sample.db");
    write_sample_database(&sample).await?;
    let agents = json!({"retention": {"url": format!("http://{address}/agent"), "metadata": {
        "description": "Advises on keeping customers (a demo, scripted)", "intents": ["churn_analytics", "external_agent"]}}});
    let sources = json!({
        "shop": {"type": "sqlite", "url": format!("sqlite:{}", sample.display()), "config": {
            "description": "Customers, their subscriptions and plans, cancellations, and sales of products by month and city",
            "intents": ["churn_analytics"]}},
        "support": {"type": "api", "url": format!("http://{address}/support"), "config": {"query_language": "text",
            "description": "Support tickets of the help desk, open and closed (a demo, made up)"}},
    });
    let tools = json!({
        "search": {"type": "web_search", "description": "Searches a small web that this demo makes up",
            "config": {"provider": "searxng", "endpoint": format!("http://{address}/web")}},
        "weather": {"type": "http_request", "description": "The weather of a city, made up: GET /weather/Lisbon",
            "config": {"base_url": format!("http://{address}")}},
        "code": {"type": "code_executor", "description": "Runs a program", "config": {"allowed_languages": "python,javascript"}},
    });
    let environment = environment
        .with("TOOLS", tools.to_string())
        .with("LLM_BASE_URL", format!("http://{address}"))
        .with("LLM_DEFAULT_MODEL", MODEL)
        .with("EXTERNAL_AGENTS", agents.to_string())
        .with("DATASOURCES", sources.to_string());
    Ok((environment, address))
}

/// The port after the next, so that the address of the upstreams stays the same from one demo to the next; 0, which means any, if
/// there is none. The next one is where the chat page of the existing GUI looks for a server of its own.
fn upstreams_port(server: u16) -> u16 {
    let next = server.checked_add(2).filter(|port| server != 0 && *port != CHAT_UI_PORT);
    next.unwrap_or(0)
}

/// With a second port, where the GUI that has its chat page there finds it, unless that is the first one or somebody has chosen.
fn with_chat_page(environment: Environment) -> Environment {
    let port = CHAT_UI_PORT.to_string();
    let is_free = environment.get("CHAT_UI_PORT").is_none() && environment.get("API_PORT") != Some(port.as_str());
    if is_free { environment.with("CHAT_UI_PORT", port) } else { environment }
}

fn is_about_upstreams(variable: &str) -> bool {
    let names = ["TOOLS", "REDIS_URL", "REDIS_HOST", "REDIS_PASSWORD"];
    let groups = ["LLM_", "EXTERNAL_AGENT", "DATASOURCE", "POSTGRES_"];
    let variable = variable.strip_suffix("_FILE").unwrap_or(variable);
    names.contains(&variable) || groups.iter().any(|group| variable.starts_with(group))
}

async fn listen(port: u16) -> Result<TcpListener, Error> {
    let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    match at(port).await {
        Ok(listener) => Ok(listener),
        Err(_) => at(0).await.map_err(|error| Error::internal("the demo LLM can't listen on loopback", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_leave_the_chat_page_its_port() {
        assert_eq!([8000, 9000, 7999, 65_534, 0].map(upstreams_port), [8002, 9002, 0, 0, 0]);
    }
}
