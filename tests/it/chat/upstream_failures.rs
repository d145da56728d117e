//! Everything that chat relies on fails in every way at every step: the reply says so, in time, and nothing keeps running.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::common::chat::{Wanted, catalog, instructions_of, notes_of, of_steps, source_reply, texts, wanted};
use crate::common::upstream::{json_reply, open_head, openai, reply};
use crate::common::{Act, Answer, Seen, TestServer, Upstream};

const SECOND: Duration = Duration::from_secs(1);

/// A step at which something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Agent,
    Query,
    Schema,
    Writing,
    Answering,
    Picking,
}

impl Step {
    const ALL: [Self; 6] = [Self::Agent, Self::Query, Self::Schema, Self::Writing, Self::Answering, Self::Picking];

    fn prompt(self) -> &'static str {
        match self {
            Self::Agent | Self::Picking => "Ask the agent to help",
            Self::Query | Self::Answering => "SELECT name FROM plans",
            Self::Schema | Self::Writing => "Query the plans",
        }
    }

    /// Whether the LLM is at fault.
    fn is_llm(self) -> bool {
        matches!(self, Self::Writing | Self::Answering | Self::Picking)
    }

    /// Whether this request belongs to the step.
    fn is_hit(self, seen: &Seen) -> bool {
        match self {
            Self::Agent => true,
            Self::Query => seen.path == "/query",
            Self::Schema => seen.path == "/schema",
            Self::Writing => wanted(seen) == Wanted::Query,
            Self::Answering => wanted(seen) == Wanted::Answer,
            Self::Picking => wanted(seen) == Wanted::Pick,
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Error,
    Refuse,
    Hang,
    Garbage,
    Huge,
    BreakOff,
}

impl Trouble {
    const ALL: [Self; 6] = [Self::Error, Self::Refuse, Self::Hang, Self::Garbage, Self::Huge, Self::BreakOff];

    fn acts(self) -> Vec<Act> {
        match self {
            Self::Error => reply("500 Internal Server Error", "text/plain", "It hurts."),
            // Where no connection can be refused, because the same server takes others, it is cut at once.
            Self::Refuse => vec![],
            Self::Hang => vec![Act::Hang],
            Self::Garbage => reply("200 OK", "application/json", "{\"data\": [1, 2"),
            Self::Huge => {
                let chunk = format!("{{\"data\": \"{}", "x".repeat(1_000_000));
                let chunks = (0..50).map(|_| Act::Send(chunk.clone()));
                [open_head("application/json")].into_iter().chain(chunks).chain([Act::Hang]).collect()
            }
            Self::BreakOff => vec![Act::Send(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"data\": "
                    .to_owned(),
            )],
        }
    }

    /// What the reply says of it.
    fn says(self) -> &'static [&'static str] {
        match self {
            Self::Error => &["500 Internal Server Error: It hurts."],
            Self::Refuse => &["refused the connection", "broke off its reply"],
            Self::Hang => &["did not answer in time"],
            Self::Garbage => &["JSON", "json that is none"],
            Self::Huge => &["sent a reply of more than"],
            Self::BreakOff => &["broke off its reply"],
        }
    }

    /// Whether the stand-in sees its client leave.
    fn is_left(self) -> bool {
        matches!(self, Self::Hang | Self::Huge)
    }
}

/// A server, its stand-ins, and the one of them that is in trouble.
struct Scene {
    server: TestServer,
    llm: Upstream,
    source: Upstream,
    agent: Upstream,
    step: Step,
    asked: Arc<Notify>,
}

impl Scene {
    /// `timeouts` of LLM, agent and source, and of the whole, in seconds.
    async fn set(step: Step, trouble: Trouble, timeouts: (u64, u64)) -> Self {
        let asked = Arc::new(Notify::new());
        let act = |who: fn(Step) -> bool, fine: fn(&Seen) -> Vec<Act>| {
            let asked = asked.clone();
            move |seen: &Seen, _: usize| {
                if !(who(step) && step.is_hit(seen)) {
                    return fine(seen);
                }
                asked.notify_one();
                trouble.acts()
            }
        };
        let llm = Upstream::start(act(Step::is_llm, |seen| match wanted(seen) {
            Wanted::Query => openai(seen, "SELECT name FROM plans"),
            Wanted::Pick => openai(seen, "{\"agent\": \"helper\"}"),
            Wanted::Answer => openai(seen, "I did what I could."),
        }))
        .await;
        let is_source = |step| matches!(step, Step::Query | Step::Schema);
        let source = Upstream::start(act(is_source, |seen| source_reply(seen, &json!([{"name": "basic"}])))).await;
        let agent = Upstream::start(act(|step| step == Step::Agent, |_| json_reply("200 OK", &json!("Advice.")))).await;
        let (own, whole) = (timeouts.0, timeouts.1.to_string());
        let gone = "http://127.0.0.1:1".to_owned();
        let url = |upstream: &Upstream, at: Step| {
            if step == at && trouble == Trouble::Refuse { gone.clone() } else { upstream.url() }
        };
        let mut agents = vec![("helper", json!({"url": url(&agent, Step::Agent), "timeout_seconds": own}))];
        if step == Step::Picking {
            agents.push(("other", json!({"url": agent.url(), "timeout_seconds": own})));
        }
        let at = if is_source(step) { step } else { Step::Query };
        let sources = [("shop", json!({"type": "api", "url": url(&source, at), "timeout_seconds": own}))];
        let own = own.to_string();
        let (agents, sources) = (catalog(&agents), catalog(&sources));
        let server = TestServer::with_llm(
            &llm,
            &[
                ("DATASOURCES", &sources),
                ("EXTERNAL_AGENTS", &agents),
                ("LLM_TIMEOUT_SECONDS", &own),
                ("LLM_MAX_RETRIES", "1"),
                ("ORCHESTRATION_TIMEOUT_SECONDS", &whole),
            ],
        )
        .await;
        Self { server, llm, source, agent, step, asked }
    }

    async fn ask(&self) -> Answer {
        self.server.post("/v1/chat", &json!({"prompt": self.step.prompt(), "user_id": "ada"})).await
    }

    /// The stand-in in trouble has seen its client leave.
    async fn is_left(&self) {
        let upstream = match self.step {
            Step::Agent => &self.agent,
            Step::Query | Step::Schema => &self.source,
            _ => &self.llm,
        };
        timeout(10 * SECOND, upstream.client_left()).await.unwrap_or_else(|_| panic!("{:?} still runs", self.step));
    }
}

/// One step in all troubles.
async fn in_all_troubles(step: Step, check: fn(&Scene, &Value, &[&str])) {
    join_all(Trouble::ALL.map(|trouble| async move {
        // Only what hangs is to run into a timeout.
        let own = if trouble == Trouble::Hang { 2 } else { 30 };
        let scene = Scene::set(step, trouble, (own, 60)).await;
        let reply = scene.ask().await;
        assert_eq!(reply.status, 200, "{step:?} {trouble:?}: {}", reply.text);
        assert!(reply.text.len() < 20_000, "{step:?} {trouble:?}: {} bytes", reply.text.len());
        check(&scene, &reply.json(), trouble.says());
        if trouble.is_left() {
            scene.is_left().await;
        }
    }))
    .await;
}

/// The first step failed for this reason, and the LLM answered knowing so.
fn first_step_failed(scene: &Scene, reply: &Value, action: &str, target: &str, says: &[&str]) {
    let error = reply["error"].as_str().unwrap();
    assert!(error.starts_with(&format!("{action} failed: ")), "{error}");
    assert!(says.iter().any(|says| error.contains(says)), "{error}");
    assert_eq!(texts(&reply["metadata"]["missing"]), [error]);
    let metadata = &reply["metadata"];
    assert_eq!((&metadata["degraded"], &metadata["has_error"]), (&json!(true), &json!(false)));
    assert_eq!(
        (of_steps(reply, "status"), of_steps(reply, "target")[0]),
        (vec![&json!("failed"), &json!("completed")], &json!(target))
    );
    let first = format!("Nothing could be obtained from '{target}', so this answer does not rest on it.");
    assert_eq!(reply["answer"], json!(format!("{first}\n\nI did what I could.")));
    let told = notes_of(scene.llm.chats().last().unwrap());
    assert!(told.contains(error) && told.contains("say what is missing"), "{told}");
    assert!(
        !instructions_of(scene.llm.chats().last().unwrap()).contains(error),
        "an upstream's words are no instructions"
    );
}

#[tokio::test]
async fn an_agent_in_trouble_costs_its_part_of_the_answer() {
    in_all_troubles(Step::Agent, |scene, reply, says| {
        first_step_failed(scene, reply, "external_agent", "helper", says)
    })
    .await;
}

#[tokio::test]
async fn a_source_in_trouble_costs_its_part_of_the_answer() {
    in_all_troubles(Step::Query, |scene, reply, says| {
        first_step_failed(scene, reply, "data_query", "shop", says);
        assert_eq!(of_steps(reply, "query")[0], "SELECT name FROM plans");
        assert!(scene.source.chats().len() < 2, "a query given is not mended");
    })
    .await;
}

#[tokio::test]
async fn a_schema_in_trouble_costs_its_part_of_the_answer() {
    in_all_troubles(Step::Schema, |scene, reply, says| {
        first_step_failed(scene, reply, "data_query", "shop", says);
        assert_eq!(scene.llm.chats().len(), 1, "no query is written without a schema");
    })
    .await;
}

#[tokio::test]
async fn an_llm_that_cannot_write_the_query_costs_its_part_of_the_answer() {
    in_all_troubles(Step::Writing, |scene, reply, says| {
        first_step_failed(scene, reply, "data_query", "shop", says);
        assert!(reply["error"].as_str().unwrap().contains("No query could be written: LLM at "), "{reply}");
        assert!(scene.source.chats().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_llm_that_cannot_answer_leaves_the_data_to_stand_for_itself() {
    in_all_troubles(Step::Answering, |_, reply, says| {
        assert_eq!(reply["answer"], "1 row from data source 'shop':\n\n| name |\n| --- |\n| basic |");
        let error = reply["error"].as_str().unwrap();
        assert!(error.starts_with("No model could put this into words: LLM at "), "{error}");
        assert!(says.iter().any(|says| error.contains(says)), "{error}");
        let metadata = &reply["metadata"];
        assert_eq!(
            (&metadata["degraded"], &metadata["has_error"], &metadata["memory_saved"]),
            (&json!(true), &json!(false), &json!(true))
        );
        assert_eq!(
            (of_steps(reply, "status"), &metadata["missing"]),
            (vec![&json!("completed"), &json!("failed")], &json!([]))
        );
        assert_eq!(metadata["data"][0]["rows"], json!([{"name": "basic"}]));
    })
    .await;
}

#[tokio::test]
async fn an_llm_that_cannot_pick_leaves_the_choice_to_the_user() {
    in_all_troubles(Step::Picking, |scene, reply, _| {
        let answer = reply["answer"].as_str().unwrap();
        assert!(answer.contains("Agents to choose from (metadata.agent names one):\n- helper: "), "{answer}");
        assert!(scene.agent.seen().is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_deadline_of_the_whole_holds_and_leaves_time_for_the_answer() {
    let scenes = Step::ALL.map(|step| async move {
        let scene = Scene::set(step, Trouble::Hang, (60, 4)).await;
        let started = Instant::now();
        let reply = scene.ask().await;
        assert!(started.elapsed() < 10 * SECOND, "{step:?}: {:?}", started.elapsed());
        let reply = reply.expect(200);
        let error = reply["error"].as_str();
        let (answer, degraded) = (reply["answer"].as_str().unwrap(), reply["metadata"]["degraded"] == true);
        match step {
            Step::Answering => assert!(degraded && answer.contains("| basic |"), "{reply}"),
            Step::Picking => assert!(answer.contains("Agents to choose from"), "{reply}"),
            _ => assert!(
                degraded && answer.ends_with("I did what I could.") && error.unwrap().contains("in time"),
                "{reply}"
            ),
        }
        assert_eq!(reply["metadata"]["memory_saved"], true, "{step:?}");
        scene.is_left().await;
    });
    join_all(scenes).await;
}

/// Two sources over HTTP, `a` and `b`, that do this.
async fn two_sources(
    a: impl Fn(&Seen, usize) -> Vec<Act> + Send + Sync + 'static,
    b: impl Fn(&Seen, usize) -> Vec<Act> + Send + Sync + 'static,
) -> (Upstream, Upstream, String) {
    let (a, b) = (Upstream::start(a).await, Upstream::start(b).await);
    let entry = |upstream: &Upstream| json!({"type": "api", "url": upstream.url(), "timeout_seconds": 3});
    let sources = catalog(&[("a", entry(&a)), ("b", entry(&b))]);
    (a, b, sources)
}

/// A stand-in that answers once the other one has been asked.
fn waits(own: &Arc<Notify>, other: &Arc<Notify>) -> impl Fn(&Seen, usize) -> Vec<Act> + Send + Sync + 'static {
    let (own, other) = (own.clone(), other.clone());
    move |seen, _| {
        other.notify_one();
        [Act::Wait(own.clone())].into_iter().chain(source_reply(seen, &json!([{"name": "basic"}]))).collect()
    }
}

#[tokio::test]
async fn independent_sources_are_asked_at_the_same_time() {
    let words = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (_a, _b, sources) = two_sources(waits(&words.0, &words.1), waits(&words.1, &words.0)).await;
    let server = TestServer::with(&[("DATASOURCES", &sources)]).await;
    let reply = server.post("/v1/chat", &json!({"prompt": "SELECT name FROM plans"})).await.expect(200);
    assert_eq!(reply["metadata"]["data"].as_array().unwrap().len(), 2, "{reply}");
    assert_eq!(of_steps(&reply, "status")[..2], ["completed", "completed"]);
}

#[tokio::test]
async fn one_source_in_trouble_does_not_cost_the_other_and_everything_missing_is_named() {
    let fine = |seen: &Seen, _: usize| source_reply(seen, &json!([{"name": "basic"}]));
    let (_a, b, sources) = two_sources(fine, |_, _| vec![Act::Hang]).await;
    let agent = Upstream::start(|_, _| reply("503 Service Unavailable", "text/plain", "Closed for today.")).await;
    let agents = catalog(&[("helper", json!({"url": agent.url()}))]);
    // No LLM either: of four tasks one has worked.
    let variables = [
        ("DATASOURCES", sources.as_str()),
        ("EXTERNAL_AGENTS", agents.as_str()),
        ("ORCHESTRATION_TIMEOUT_SECONDS", "4"),
    ];
    let server = TestServer::with(&variables).await;
    let body = json!({"prompt": "SELECT name FROM plans", "metadata": {"intent": "churn_analytics"}});
    let reply = server.post("/v1/chat", &body).await.expect(200);
    assert_eq!(of_steps(&reply, "status"), ["completed", "failed", "failed", "failed"]);
    assert!(reply["answer"].as_str().unwrap().contains("1 row from data source 'a'"), "{reply}");
    let error = reply["error"].as_str().unwrap();
    for part in ["DataSource 'b' did not answer in time; ", "Closed for today.", "No model could put this into words"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    timeout(10 * SECOND, b.client_left()).await.unwrap();
}

#[tokio::test]
async fn what_builds_on_a_failed_task_alone_is_skipped() {
    let broken = |_: &Seen, _: usize| reply("500 Internal Server Error", "text/plain", "No.");
    let (_a, _b, sources) = two_sources(broken, broken).await;
    let agent = Upstream::start(|_, _| json_reply("200 OK", &json!("Advice."))).await;
    let agents = catalog(&[("helper", json!({"url": agent.url()}))]);
    let llm = Upstream::saying("There is no data.").await;
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources), ("EXTERNAL_AGENTS", &agents)]).await;
    let body = json!({"prompt": "SELECT name FROM plans", "metadata": {"intent": "churn_analytics"}});
    let reply = server.post("/v1/chat", &body).await.expect(200);
    assert_eq!(of_steps(&reply, "status"), ["failed", "failed", "skipped", "completed"]);
    assert_eq!(
        (of_steps(&reply, "target")[2], of_steps(&reply, "error")[2]),
        (&json!("helper"), &json!("it needs task_1, task_2, which failed"))
    );
    assert_eq!(texts(&reply["metadata"]["missing"]).len(), 3);
    assert!(agent.seen().is_empty());
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.starts_with("Nothing could be obtained from 'a', 'b', 'helper', so "), "{answer}");
    assert!(answer.contains("\n\nThere is no data.\n\nMissing from this answer:\n- "), "{answer}");
    assert_eq!(reply["metadata"]["degraded"], true);
}

#[tokio::test]
async fn a_stream_that_breaks_off_does_not_run_into_the_table() {
    let llm = Upstream::start(|_, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5000\r\n\r\n";
        vec![Act::Send(head.to_owned()), crate::common::upstream::openai_delta("Half a sen")]
    })
    .await;
    let source = Upstream::start(|seen, _| source_reply(seen, &json!([{"name": "basic"}]))).await;
    let sources = catalog(&[("shop", json!({"type": "api", "url": source.url()}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    let frames = server.chat_events(&json!({"prompt": "SELECT name FROM plans"})).await;
    let table = "1 row from data source 'shop':\n\n| name |\n| --- |\n| basic |";
    let pieces: String = frames.iter().filter_map(|frame| frame.data["content"].as_str()).collect();
    assert_eq!(pieces, format!("Half a sen\n\n{table}"));
    let last = frames.last().unwrap();
    assert_eq!((last.event.as_str(), &last.data["answer"]), ("answer", &json!(pieces)), "what was heard stays");
    assert!(last.data["error"].as_str().unwrap().contains("broke off"), "{:?}", last.data);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_work_at_every_step() {
    let leave = |step, stream: bool| async move {
        let scene = Scene::set(step, Trouble::Hang, (60, 60)).await;
        let body = json!({"prompt": step.prompt(), "stream": stream}).to_string();
        let request = scene.server.request("POST", "/v1/chat").header("content-type", "application/json").body(body);
        let read = async { request.send().await.unwrap().text().await };
        tokio::select! {
            _ = read => panic!("there can be no answer"),
            () = scene.asked.notified() => {}
        }
        scene.is_left().await;
        let requests = || scene.llm.seen().len() + scene.agent.seen().len() + scene.source.seen().len();
        let then = requests();
        for _ in 0..100 {
            let list = scene.server.get("/v1/executions").await.expect(200);
            if list["executions"][0]["status"] == "cancelled" {
                assert_eq!(requests(), then, "{step:?}: nothing more is asked");
                assert_eq!(scene.server.get("/api/memory/default/history").await.expect(200)["count"], 0);
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{step:?} was not recorded as cancelled");
    };
    join_all(Step::ALL.into_iter().flat_map(|step| [leave(step, true), leave(step, false)])).await;
}

#[tokio::test]
async fn a_password_in_a_url_is_in_no_reply_no_record_and_not_shown_to_the_llm() {
    let llm = Upstream::saying("I did what I could.").await;
    let gone = "postgres://ada:url-password-1234@127.0.0.1:1/shop".to_owned();
    let sources = catalog(&[("shop", json!({"type": "postgresql", "url": gone, "timeout_seconds": 2}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    for step in [Step::Query, Step::Schema] {
        let reply = server.post("/v1/chat", &json!({"prompt": step.prompt()})).await;
        assert!(reply.expect(200)["error"].as_str().unwrap().starts_with("data_query failed: DataSource 'shop'"));
        let record = server.get(&format!("/v1/executions/{}", reply.json()["execution_id"].as_str().unwrap())).await;
        for text in [reply.text, record.text, llm.chats().last().unwrap().body.to_string()] {
            assert!(!text.contains("url-password"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_agent_that_tells_of_an_error_under_a_status_of_200_has_failed() {
    let llm = Upstream::saying("I could not.").await;
    for (body, kind, said) in [
        (json!({"error": "no such customer"}), "application/json", "no such customer"),
        (json!({"success": false, "message": "quota used up", "data": null}), "application/json", "quota used up"),
        (json!({"jsonrpc": "2.0", "error": {"code": 1, "message": "no method"}}), "application/json", "no method"),
        (json!("event: error\ndata: {\"detail\": \"out of memory\"}\n\n"), "text/event-stream", "out of memory"),
    ] {
        let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let agent = Upstream::start(move |_, _| reply("200 OK", kind, &text)).await;
        let server = TestServer::with_llm(&llm, &[]).await;
        server.post("/api/agents", &json!({"name": "crm", "url": agent.url()})).await.expect(201);
        let ask = json!({"prompt": "Who is Ada?", "metadata": {"agent": "crm"}});
        let reply = server.post("/v1/chat", &ask).await.expect(200);
        let step = &reply["metadata"]["steps"][0];
        let error = step["error"].as_str().unwrap_or_default();
        assert_eq!((&step["status"], &reply["metadata"]["degraded"]), (&json!("failed"), &json!(true)), "{reply}");
        assert!(error.starts_with("Agent 'crm' answered with an error") && error.contains(said), "{reply}");
        assert!(reply["error"].as_str().unwrap().contains(said), "{reply}");
        assert!(!reply["answer"].as_str().unwrap().contains("null"), "{reply}");
        // A caller of the API gets what the agent says.
        let called = server.post("/api/agents/crm/call", &json!({})).await;
        assert!(called.text.contains(said) && called.status == 200, "{}", called.text);
    }
    let partly = Upstream::answering(json!({"answer": "Two of three.", "error": "crm is away", "success": true})).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    server.post("/api/agents", &json!({"name": "crm", "url": partly.url()})).await.expect(201);
    let ask = json!({"prompt": "Who is Ada?", "metadata": {"agent": "crm"}});
    let reply = server.post("/v1/chat", &ask).await.expect(200);
    assert_eq!(reply["metadata"]["steps"][0]["status"], "completed", "{reply}");
    assert!(reply["error"].as_str().unwrap().contains("crm is away"), "{reply}");
}
