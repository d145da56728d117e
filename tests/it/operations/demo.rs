//! The demo as the README shows it: by HTTP, with nothing configured.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chat::code_generation;
use crate::common::chat::of_steps;
use crate::common::tools::of_action;
use crate::common::{Program, code};

async fn ask(demo: &Program, prompt: &str) -> Value {
    let body = json!({"prompt": prompt, "user_id": "ada"});
    let reply = demo.client.post("/v1/chat", &body).await.expect(200);
    assert_eq!((&reply["error"], &reply["metadata"]["degraded"]), (&json!(null), &json!(false)), "{reply}");
    assert_eq!(reply["metadata"]["missing"], json!([]));
    assert!(of_steps(&reply, "status").iter().all(|status| *status == "completed"), "{reply}");
    reply
}

#[tokio::test]
async fn the_four_stories_of_the_demo() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;

    // A question about data: the model writes the query.
    let reply = ask(&demo, "How much revenue did we make by month?").await;
    assert_eq!(reply["metadata"]["intent"], "data_query");
    assert_eq!(of_steps(&reply, "target"), ["shop", "demo-model"]);
    assert!(of_steps(&reply, "query")[0].as_str().unwrap().starts_with("SELECT strftime('%Y-%m', sold_on)"));
    let answer = reply["answer"].as_str().unwrap();
    assert!(
        answer.starts_with("[demo model, scripted] Here is my report. The data begins with month: 2024-12"),
        "{answer}"
    );
    assert!(
        answer.contains("rows from data source 'shop':\n\n| month | revenue |\n| --- | --- |\n| 2024-12 |"),
        "{answer}"
    );
    let rows = reply["metadata"]["data"][0]["rows"].as_array().unwrap();
    assert_eq!(rows[0]["month"], "2024-12");
    let chart = &reply["metadata"]["chart"];
    assert_eq!(
        (&chart["mark"], &chart["data"], &chart["encoding"]["x"]["type"]),
        (&json!("line"), &json!({"name": "shop"}), &json!("temporal"))
    );

    // SQL in the prompt runs as it is.
    let reply = ask(&demo, "SELECT count(*) AS customers FROM customers").await;
    assert_eq!(of_steps(&reply, "query")[0], "SELECT count(*) AS customers FROM customers");
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.ends_with("1 row from data source 'shop':\n\n| customers |\n| --- |\n| 400 |"), "{answer}");
    assert_eq!(reply["metadata"]["data"][0]["rows"], json!([{"customers": 400}]));

    // Work for the agent.
    let reply = ask(&demo, "Ask the retention agent what to do about cancellations").await;
    assert_eq!(of_steps(&reply, "action"), ["external_agent", "llm_call"]);
    assert_eq!(of_steps(&reply, "target"), ["retention", "demo-model"]);
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.starts_with("[demo model, scripted]") && answer.contains("[demo agent, scripted]"), "{answer}");
    assert!(answer.contains("I was given no data"), "{answer}");

    // Churn: data, then the agent, then a report on both.
    let reply = ask(&demo, "Why do customers churn, and what should we do?").await;
    assert_eq!(of_steps(&reply, "action"), ["data_query", "external_agent", "llm_call"]);
    assert_eq!(
        (&reply["metadata"]["intent"], &reply["metadata"]["iterations"]),
        (&json!("churn_analytics"), &json!(3))
    );
    let answer = reply["answer"].as_str().unwrap();
    for part in [
        "The data begins with plan: basic, subscriptions:",
        "I was given 1 result(s) with 3 rows",
        "3 rows from data source 'shop':\n\n| plan | subscriptions | cancelled | churn_percent |",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    let record =
        demo.client.get(&format!("/v1/executions/{}", reply["execution_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(record["steps"].as_array().unwrap().len(), 3);
    assert_eq!(record["execution"]["answer"], reply["answer"]);
}

#[tokio::test]
async fn the_demo_keeps_its_data_from_writes_and_survives_dashes() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;
    let body = json!({"prompt": "DELETE FROM sales", "metadata": {"datasource": "shop"}});
    let reply = demo.client.post("/v1/chat", &body).await.expect(200);
    let error = reply["error"].as_str().unwrap();
    assert!(error.starts_with("data_query failed: Only one statement is allowed, and it must be a query"), "{error}");
    assert_eq!(
        (of_steps(&reply, "query")[0], of_steps(&reply, "status")[0]),
        (&json!("DELETE FROM sales"), &json!("failed"))
    );
    let reply = ask(&demo, "SELECT count(*) AS sales FROM sales").await;
    assert_eq!(reply["metadata"]["data"][0]["rows"], json!([{"sales": 3000}]));
    let reply = ask(&demo, "How many customers are there by city?\n---\nthanks\n---").await;
    assert!(reply["answer"].as_str().unwrap().contains("| city | customers |"), "{reply}");
}

#[tokio::test]
async fn the_demo_uses_its_tools() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;

    // A search, put into words, with its sources.
    let reply = ask(&demo, "Search the web for rust news").await;
    assert_eq!((&reply["metadata"]["intent"], of_steps(&reply, "target")[0]), (&json!("web_search"), &json!("search")));
    let answer = reply["answer"].as_str().unwrap();
    assert!(
        answer.contains("The web says: Teams that moved services to Rust report fewer incidents at night. [1]"),
        "{answer}"
    );
    assert!(answer.contains("\n\nSources:\n1. Rust in production: a field report: https://news.example/"), "{answer}");
    assert_eq!(reply["metadata"]["sources"][1]["url"], "https://crabs.example/ferris");

    // The model asks for tools itself, here twice in one reply.
    for prompt in ["What is the weather in Lisbon and Oslo?", "Call the weather API for Lisbon and Oslo"] {
        let reply = ask(&demo, prompt).await;
        assert!(of_action(&reply, "tool_execution", "target").iter().all(|target| *target == "weather"), "{prompt}");
        let answer = reply["answer"].as_str().unwrap();
        assert!(answer.contains("\"degrees_celsius\":24") && answer.contains("\"degrees_celsius\":9"), "{answer}");
    }
    // A request may name a tool, or do without any.
    let body =
        json!({"prompt": "How is it there?", "metadata": {"tool": "weather", "tool_params": {"url": "/weather/Rome"}}});
    let reply = demo.client.post("/v1/chat", &body).await.expect(200);
    assert!(reply["answer"].as_str().unwrap().contains("\"degrees_celsius\":27"), "{reply}");
    let body = json!({"prompt": "What is the weather in Lisbon?", "metadata": {"use_tools": false}});
    let reply = demo.client.post("/v1/chat", &body).await.expect(200);
    assert!(reply["answer"].as_str().unwrap().contains("You said: "), "{reply}");
    assert_eq!(of_steps(&reply, "action"), ["llm_call"]);
}

#[tokio::test]
async fn the_demo_runs_code_on_request_and_mends_it() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;
    let reply = ask(&demo, "Write a program that adds 19 + 23").await;
    assert!(reply["answer"].as_str().unwrap().ends_with("```python\ntotal = 19 + 23\nprint(total)\n```"), "{reply}");
    if !code::has(&code_generation::PROGRAMS) {
        return;
    }
    let body = json!({"prompt": "Write a program that adds 19 + 23", "metadata": {"execute": true}});
    let reply = demo.client.post("/v1/chat", &body).await.expect(200);
    assert!(reply["answer"].as_str().unwrap().ends_with("It printed:\n\n```text\n42\n```"), "{reply}");
    let body = json!({"prompt": "Write a program that adds 19 + 23, with a mistake", "metadata": {"execute": true}});
    let reply = demo.client.post("/v1/chat", &body).await.expect(200);
    assert_eq!(of_action(&reply, "tool_execution", "status"), ["failed", "completed"]);
    assert!(reply["answer"].as_str().unwrap().contains("I misspelt a name. Mended:"), "{reply}");
    // What the model wants to calculate it has calculated, where the request lets it.
    let body = json!({"prompt": "Calculate 6 * 7", "metadata": {"tools": ["code"]}});
    let reply = demo.client.post("/v1/chat", &body).await.expect(200);
    assert_eq!(of_action(&reply, "tool_execution", "target"), ["code"]);
    assert!(reply["answer"].as_str().unwrap().contains("42"), "{reply}");
}

#[tokio::test]
async fn the_demo_answers_plain_and_compound_questions() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;

    // A plain question in German, over tables whose names are English.
    let reply = ask(&demo, "Wie viele Kunden haben gekündigt?").await;
    assert_eq!(of_steps(&reply, "target"), ["shop", "demo-model"]);
    let answer = reply["answer"].as_str().unwrap();
    assert!(
        answer
            .starts_with("[demo model, scripted] Hier ist mein Bericht. Die Daten beginnen mit cancelled_customers: "),
        "{answer}"
    );
    assert_eq!(reply["metadata"]["routing"]["targets"][0]["name"], "shop");

    // Two things in one prompt.
    let reply = ask(&demo, "Show a table of plans with their subscribers, then the weather in Oslo").await;
    assert_eq!(of_steps(&reply, "target"), ["shop", "weather", "demo-model"]);
    let answer = reply["answer"].as_str().unwrap();
    assert!(
        answer.contains("\"degrees_celsius\":9") && answer.contains("| plan | subscribers | monthly_revenue |"),
        "{answer}"
    );
    let chart = &reply["metadata"]["chart"];
    assert_eq!((&chart["mark"], &chart["data"]), (&json!("bar"), &json!({"name": "shop"})));

    // Two data sources, an agent and a tool.
    let prompt = "How many subscribers does each plan have, which support tickets are open, what does the retention agent \
         advise, and what is the weather in Oslo?";
    let reply = ask(&demo, prompt).await;
    let mut targets: Vec<_> = of_steps(&reply, "target").into_iter().map(|target| target.as_str().unwrap()).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["demo-model", "retention", "shop", "support", "weather"]);
    let answer = reply["answer"].as_str().unwrap();
    for part in ["| plan |", "| ticket | subject |", "My advice: talk to customers", "\"degrees_celsius\":9"] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
}

#[tokio::test]
async fn the_demo_answers_with_a_verified_query() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;
    let verified = json!({"question": "How many customers live in Lisbon?",
        "query": "SELECT count(*) AS customers FROM customers WHERE city = :city",
        "parameters": {"city": {"description": "A city", "default": "Lisbon"}}, "verified_by": "ada"});
    demo.client.post("/api/datasources/shop/verified", &verified).await.expect(201);
    let reply = ask(&demo, "How many of our customers live in Lisbon?").await;
    let data = &reply["metadata"]["data"][0];
    assert_eq!((&data["verified"]["verified_by"], &data["parameters"]), (&json!("ada"), &json!({"city": "Lisbon"})));
    assert!(data["rows"][0]["customers"].as_i64().unwrap() > 0, "{reply}");
}

#[tokio::test]
async fn the_existing_gui_finds_every_tool_of_the_demo_well_and_its_chat_page_finds_its_port_free() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;
    for tool in demo.client.get("/api/tools").await.expect(200).as_array().unwrap() {
        let path = format!("/api/tools/{}/test", tool["name"].as_str().unwrap());
        let tested = demo.client.post(&path, &json!({"config": tool["config"]})).await.expect(200);
        assert_eq!(tested["success"], true, "{tested}");
    }
    let upstreams = demo.client.get("/api/llm/config").await.expect(200)["base_url"].as_str().unwrap().to_owned();
    let port: u16 = upstreams.rsplit(':').next().unwrap().parse().unwrap();
    assert_ne!(port, demo.port + 1);
}
