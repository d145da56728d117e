//! What a message of the chat page is answered by: the model alone, an agent, or all that is configured.

use serde_json::{Value, json};

use crate::common::chat::{agent, catalog, llm, rest, source, texts};
use crate::common::chat_page::*;
use crate::common::tools::{Say, call, http_tool, model, offered, weather};
use crate::common::{TestServer, Upstream};

/// It names data, an agent and a tool, so that all would be used if they might be.
const PROMPT: &str = "Query the plans, please, ask the agent helper about them, and tell me the weather";
const SQL: &str = "SELECT name, price FROM plans";

/// A server with a data source, agents and a tool.
struct Studio {
    server: TestServer,
    llm: Upstream,
    shop: Upstream,
    weather: Upstream,
    agents: Vec<Upstream>,
}

impl Studio {
    async fn with(llm: Upstream, agents: &[&str]) -> Self {
        let (shop, weather) = (source(json!([{"name": "basic", "price": 9}])).await, weather().await);
        let sources = catalog(&[("shop", rest(&shop.url()))]);
        let tools = catalog(&[("weather", http_tool(&weather))]);
        let (mut upstreams, mut entries) = (Vec::new(), Vec::new());
        for name in agents {
            let upstream = agent(json!({"answer": format!("Greetings from {name}.")})).await;
            entries.push((*name, json!({"url": upstream.url()})));
            upstreams.push(upstream);
        }
        let agents = catalog(&entries);
        let variables = [("DATASOURCES", sources.as_str()), ("TOOLS", &tools), ("EXTERNAL_AGENTS", &agents)];
        let server = TestServer::with_llm(&llm, &variables).await;
        Self { server, llm, shop, weather, agents: upstreams }
    }

    async fn ask(&self, profile: &str, prompt: &str, more: Value) -> Value {
        let mut body = json!({"message": prompt, "routing_profile": profile});
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name.as_str()] = value.clone());
        self.server.post("/api/chat/ui/send", &body).await.expect(200)
    }

    /// How often the source, the tool and the agents were called.
    fn called(&self) -> (usize, usize, Vec<usize>) {
        (self.shop.seen().len(), self.weather.seen().len(), self.agents.iter().map(|it| it.seen().len()).collect())
    }
}

fn used(reply: &Value) -> Vec<&str> {
    texts(&reply["metadata"]["tools_used"])
}

#[tokio::test]
async fn direct_llm_asks_the_model_and_nothing_else_whatever_the_message_or_its_metadata_names() {
    let studio = Studio::with(llm(SQL, "helper").await, &["helper"]).await;
    let steering = json!({"metadata": {"agent": "helper", "datasource": "shop", "tool": "weather",
        "tool_params": {"url": "/lisbon"}, "tools": ["weather"], "execute": true, "intent": "data_query"}});
    for (prompt, more) in
        [(PROMPT, json!({})), (SQL, json!({})), (PROMPT, steering), (PROMPT, json!({"use_tools": false}))]
    {
        let reply = studio.ask("direct_llm", prompt, more).await;
        assert_eq!((&reply["answer"], &reply["error"]), (&json!("Here you are."), &json!(null)));
        assert_eq!((used(&reply), &reply["metadata"]["routing_profile"]), (vec![], &json!("direct_llm")));
    }
    assert_eq!(studio.called(), (0, 0, vec![0]));
    assert!(studio.llm.chats().iter().all(|seen| offered(seen).is_empty()));
}

#[tokio::test]
async fn direct_llm_with_tools_offers_tools_and_neither_data_nor_agents() {
    let script = vec![call("weather", json!({"url": "/lisbon"})), Say::Text("Six degrees.")];
    let studio = Studio::with(model(script).await, &["helper"]).await;
    let reply = studio.ask("direct_llm", PROMPT, json!({"use_tools": true})).await;
    assert_eq!((&reply["answer"], used(&reply)), (&json!("Six degrees."), vec!["weather"]));
    assert_eq!(offered(&studio.llm.chats()[0]), ["weather"]);
    assert_eq!(studio.called(), (0, 1, vec![0]));
}

#[tokio::test]
async fn zain_agent_is_the_agent_of_that_name_even_among_others() {
    let studio = Studio::with(llm(SQL, "helper").await, &["helper", "zain_agent"]).await;
    let reply = studio.ask("zain_agent", PROMPT, json!({})).await;
    assert_eq!((used(&reply), &reply["error"]), (vec!["zain_agent"], &json!(null)));
    assert_eq!(studio.called(), (0, 0, vec![0, 1]));
    let told = studio.llm.chats().last().unwrap().body.to_string();
    assert!(told.contains("Greetings from zain_agent."), "{told}");
    let named = studio.ask("zain_agent", "Hello", json!({"metadata": {"agent": "helper"}})).await;
    assert_eq!(used(&named), ["helper"], "one that the message names is asked instead");
}

#[tokio::test]
async fn zain_agent_is_else_the_one_that_fits_or_the_only_one() {
    let studio = Studio::with(llm(SQL, r#"{"agent": "clerk"}"#).await, &["helper", "clerk"]).await;
    assert_eq!(used(&studio.ask("zain_agent", "Ask the agent helper for the time", json!({})).await), ["helper"]);
    assert_eq!(used(&studio.ask("zain_agent", "Hello", json!({})).await), ["clerk"], "the model picks");
    let studio = Studio::with(llm(SQL, "").await, &["helper"]).await;
    assert_eq!(used(&studio.ask("zain_agent", "Hello", json!({"use_tools": true})).await), ["helper"]);
    assert_eq!(studio.called(), (0, 0, vec![1]));
}

#[tokio::test]
async fn zain_agent_without_an_agent_says_so() {
    let studio = Studio::with(llm(SQL, "").await, &[]).await;
    let reply = studio.ask("zain_agent", "Hello", json!({})).await;
    assert!(reply["error"].as_str().unwrap().contains("no external agent is configured and enabled"), "{reply}");
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.starts_with("No agent is available, so this answer does not rest on one."), "{answer}");
    assert_eq!(studio.called(), (0, 0, vec![]));
}

#[tokio::test]
async fn tools_data_uses_all_that_the_message_needs_though_the_page_switches_no_tools_on() {
    let studio = Studio::with(llm(SQL, "").await, &["helper"]).await;
    let reply = studio.ask("tools_data", "Query the plans, please", json!({"use_tools": false})).await;
    assert_eq!((used(&reply), &reply["metadata"]["model_used"]), (vec!["shop"], &json!("stub-model")));
    assert!(reply["answer"].as_str().unwrap().contains("| basic | 9 |"), "{reply}");
    let id = reply["conversation_id"].as_str().unwrap();
    let stored = load(&studio.server, id).await["messages"][1]["metadata"].clone();
    assert_eq!((texts(&stored["tools_used"]), &stored["routing_profile"]), (vec!["shop"], &json!("tools_data")));

    let agent = studio.ask("tools_data", "Hello", json!({"metadata": {"agent": "helper"}})).await;
    assert_eq!(used(&agent), ["helper"], "steering keys hold");
}

#[tokio::test]
async fn a_message_without_a_profile_has_that_of_its_conversation() {
    let studio = Studio::with(llm(SQL, "").await, &["helper"]).await;
    let id = begin(&studio.server, "zain_agent").await;
    let body = json!({"conversation_id": id, "message": "Hello"});
    let reply = studio.server.post("/api/chat/ui/send", &body).await.expect(200);
    assert_eq!((&reply["metadata"]["routing_profile"], used(&reply)), (&json!("zain_agent"), vec!["helper"]));
}
