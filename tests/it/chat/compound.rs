//! A prompt that needs several things: all of them are used, and what fails is named while the rest is there.

use serde_json::{Value, json};

use crate::common::chat::{Wanted, catalog, notes_of, source_reply, texts, wanted};
use crate::common::tools::*;
use crate::common::upstream::{json_reply, openai};
use crate::common::{TestServer, Upstream};

const PROMPT: &str = "Show the plans from shop and the open tickets from support, ask the zain agent for advice, then tell me the \
     weather in Oslo";
const PARTS: [&str; 4] = ["shop", "support", "zain", "weather"];

/// A model that writes queries and arguments, and answers with few words.
async fn scripted() -> Upstream {
    Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, "```sql\nSELECT name FROM plans\n```"),
        _ if offered(seen) == ["weather"] => say(seen, &weather_of("oslo")),
        _ => openai(seen, "Here you are."),
    })
    .await
}

/// Two data sources, an agent and a tool, some of which fail.
struct Scene {
    llm: Upstream,
    server: TestServer,
    /// They end with it.
    _upstreams: Vec<Upstream>,
}

impl Scene {
    async fn with_failing(failing: &'static [&'static str]) -> Self {
        let failed = |name: &'static str| failing.contains(&name);
        let refusal = || json_reply("500 Internal Server Error", &json!({"error": "out of order"}));
        let mut upstreams = Vec::new();
        for name in ["shop", "support"] {
            let rows = json!([{"name": format!("a row of {name}")}]);
            let reply = move |path: &str| failed(name) && path == "/query";
            upstreams.push(
                Upstream::start(move |seen, _| if reply(&seen.path) { refusal() } else { source_reply(seen, &rows) })
                    .await,
            );
        }
        upstreams.push(
            Upstream::start(move |_, _| {
                if failed("zain") { refusal() } else { json_reply("200 OK", &json!({"answer": "Call them."})) }
            })
            .await,
        );
        upstreams.push(
            Upstream::start(
                move |_, _| {
                    if failed("weather") { refusal() } else { json_reply("200 OK", &json!({"degrees": 9})) }
                },
            )
            .await,
        );
        let sources = catalog(&[
            (
                "shop",
                json!({"type": "api", "url": upstreams[0].url(), "config": {"description": "Plans and what they cost"}}),
            ),
            (
                "support",
                json!({"type": "api", "url": upstreams[1].url(), "config": {"description": "Tickets, open and closed"}}),
            ),
        ]);
        let zain = json!({"url": upstreams[2].url(), "metadata": {"description": "Gives advice on customers"}});
        let (agents, tools) = (catalog(&[("zain", zain)]), catalog(&[("weather", http_tool(&upstreams[3]))]));
        let llm = scripted().await;
        let given = [("DATASOURCES", sources.as_str()), ("EXTERNAL_AGENTS", &agents), ("TOOLS", &tools)];
        let server = TestServer::with_llm(&llm, &given).await;
        Self { llm, server, _upstreams: upstreams }
    }

    async fn ask(&self) -> Value {
        ask(&self.server, PROMPT, json!({})).await
    }

    /// Looks whether each part is in the answer or, if it failed, named in it with a reason.
    fn check(&self, reply: &Value, failing: &[&str]) {
        let answer = reply["answer"].as_str().unwrap();
        let notes = notes_of(self.llm.chats().last().unwrap());
        let found = [
            ("shop", "a row of shop"),
            ("support", "a row of support"),
            ("zain", "Call them."),
            ("weather", "\"degrees\":9"),
        ];
        for (part, gives) in found {
            let is_failing = failing.contains(&part);
            assert_eq!(notes.contains(gives), !is_failing, "{part}: the model is told what was found: {notes}");
            assert_eq!(answer.contains(&format!("\n- {part}: ")), is_failing, "{part}: {answer}");
            let errors = reply["error"].as_str().unwrap_or_default();
            assert_eq!(errors.contains(&format!("'{part}' failed: ")), is_failing, "{part}: {errors}");
        }
        for (part, gives) in &found[..2] {
            assert_eq!(answer.contains(gives), !failing.contains(part), "{answer}");
        }
        assert_eq!(texts(&reply["metadata"]["missing"]).len(), failing.len(), "{reply}");
        let names: Vec<_> =
            reply["metadata"]["routing"]["targets"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
        assert!(PARTS.iter().all(|part| names.contains(&&json!(part))), "{names:?}");
    }
}

#[tokio::test]
async fn a_prompt_that_needs_two_sources_an_agent_and_a_tool_gets_all_of_them() {
    let scene = Scene::with_failing(&[]).await;
    let reply = scene.ask().await;
    scene.check(&reply, &[]);
    assert_eq!((&reply["error"], &reply["metadata"]["degraded"]), (&json!(null), &json!(false)));
    let mut targets = of_action(&reply, "data_query", "target");
    targets.extend(of_action(&reply, "external_agent", "target"));
    targets.extend(of_action(&reply, "tool_execution", "target"));
    targets[..2].sort_by_key(|target| target.to_string());
    assert_eq!(targets, PARTS);
    assert_eq!(of_action(&reply, "tool_execution", "query"), ["{\"url\":\"/oslo\"}"], "a model wrote the arguments");
    assert!(reply["answer"].as_str().unwrap().starts_with("Here you are.\n\n1 row from data source 'shop'"), "{reply}");
    // What may have an effect is recorded before it begins, and nothing else.
    let log = scene.server.get(&format!("/v1/executions/{}/events", reply["execution_id"].as_str().unwrap())).await;
    let begun = log.expect(200)["events"].as_array().unwrap().clone().into_iter();
    let begun: Vec<_> = begun.filter(|event| event["type"] == "task_started").collect();
    let mut told: Vec<_> = begun.iter().map(|event| [&event["action"], &event["target"], &event["query"]]).collect();
    told.sort_by_key(|event| event[1].to_string());
    let (tool, agent) = (json!("tool_execution"), json!("external_agent"));
    let expected = [[&tool, &json!("weather"), &json!("{\"url\":\"/oslo\"}")], [&agent, &json!("zain"), &json!(null)]];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn each_part_that_fails_is_named_and_the_others_are_there() {
    for failing in [["shop"], ["support"], ["zain"], ["weather"]] {
        let failing: &'static [&'static str] = Box::leak(Box::new(failing));
        let scene = Scene::with_failing(failing).await;
        let reply = scene.ask().await;
        scene.check(&reply, failing);
        let answer = reply["answer"].as_str().unwrap();
        assert!(answer.starts_with("Here you are."), "what was found carries the answer: {answer}");
        assert!(answer.contains("\n\nMissing from this answer:\n- "), "{answer}");
    }
}

#[tokio::test]
async fn if_all_parts_fail_the_answer_says_so_first() {
    let scene = Scene::with_failing(&PARTS).await;
    let reply = scene.ask().await;
    scene.check(&reply, &PARTS);
    let answer = reply["answer"].as_str().unwrap();
    let first = answer.lines().next().unwrap();
    assert!(
        first.starts_with("Nothing could be obtained from ") && PARTS.iter().all(|part| first.contains(part)),
        "{first}"
    );
}
