//! Verified questions and what the model that writes queries is told: from a step to an answer that says it is verified.

use serde_json::{Value, json};

use crate::common::chat::{Wanted, asked_for, catalog, of_steps, prompt_of, wanted};
use crate::common::cube::{TOKEN, cube};
use crate::common::databases::{postgres, sqlite};
use crate::common::grounding::{COLLECTING, collected};
use crate::common::sources::wait_for;
use crate::common::upstream::openai;
use crate::common::{Seen, TestServer, Upstream};

const SHOP: &[&str] = &[
    "CREATE TABLE customers (id int PRIMARY KEY, name varchar(20) NOT NULL, city varchar(20), since date)",
    "INSERT INTO customers VALUES (1, 'Ada', 'Lisbon', '2024-01-01'), (2, 'Alan', 'Porto', '2024-02-01'), (3, 'Eve', 'Porto', '2025-01-01')",
];

const COUNT_IN: &str = "SELECT count(*) AS n FROM customers WHERE city = :city";

fn fills(seen: &Seen) -> bool {
    prompt_of(seen).starts_with("Which values does a question give")
}

/// An LLM that writes this query, gives these values to parameters, and else says something.
async fn llm(query: &'static str, values: &'static str) -> Upstream {
    Upstream::start(move |seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, query),
        _ if fills(seen) => openai(seen, values),
        _ => openai(seen, "Here you are."),
    })
    .await
}

async fn ask(server: &TestServer, prompt: &str) -> Value {
    let body = json!({"prompt": prompt, "metadata": {"datasource": "db"}});
    server.post("/v1/chat", &body).await.expect(200)
}

async fn verified(server: &TestServer) -> Value {
    server.get("/api/datasources/db/verified").await.expect(200)["verified"].take()
}

fn step_path(reply: &Value, step: &str) -> String {
    format!("/v1/executions/{}/steps/{step}/verify", reply["execution_id"].as_str().unwrap())
}

#[tokio::test]
async fn a_step_becomes_a_verified_question_that_the_next_chat_is_answered_by() {
    let database = postgres(SHOP).await;
    let file = sqlite(SHOP).await;
    for (kind, url) in [("postgres", database.url.clone()), ("sqlite", file.url())] {
        let llm = llm("SELECT count(*) AS n FROM customers WHERE city = 'Lisbon'", "{}").await;
        let sources = catalog(&[("db", json!({"type": kind, "url": url}))]);
        let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
        let written = ask(&server, "How many customers are there in Lisbon?").await;
        assert_eq!(written["metadata"]["data"][0].get("verified"), None);
        let body = json!({"query": COUNT_IN, "verified_by": "ada", "parameters": {"city": {"default": "Lisbon"}}});
        let kept = server.post(&step_path(&written, "task_1"), &body).await.expect(201);
        let question = &kept["verified"];
        assert_eq!(
            (&kept["datasource"], &question["question"]),
            (&json!("db"), &json!("How many customers are there in Lisbon?"))
        );

        let asked = asked_for(&llm, Wanted::Query).len();
        let reply = ask(&server, "how many customers are there in lisbon").await;
        assert_eq!(asked_for(&llm, Wanted::Query).len(), asked, "nobody writes a query that is there");
        let data = &reply["metadata"]["data"][0];
        assert_eq!((&data["rows"], &data["parameters"]), (&json!([{"n": 1}]), &json!({"city": "Lisbon"})));
        let shown = json!({"id": question["id"], "question": question["question"], "verified_by": "ada",
            "verified_at": question["verified_at"]});
        assert_eq!(data["verified"], shown);
        assert_eq!(of_steps(&reply, "query")[0], COUNT_IN);
        let answer = reply["answer"].as_str().unwrap();
        assert!(answer.contains("The query is verified by ada (") && answer.contains("| 1 |"), "{answer}");
    }
}

#[tokio::test]
async fn only_a_step_that_has_asked_a_source_with_success_can_be_verified() {
    let file = sqlite(SHOP).await;
    let llm = llm("SELECT name FROM clients", "{}").await;
    let sources = catalog(&[("db", json!({"type": "sqlite", "url": file.url()}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    let failed = ask(&server, "Who are our clients?").await;
    let refused = server.post(&step_path(&failed, "task_1"), &json!({})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("it has not completed but failed"), "{refused}");
    let refused = server.post(&step_path(&failed, "task_2"), &json!({})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("it is no data_query but llm_call"), "{refused}");
    server.post(&step_path(&failed, "task_9"), &json!({})).await.expect(404);
    server.post("/v1/executions/none/steps/task_1/verify", &json!({})).await.expect(404);

    let spelled = ask(&server, "SELECT name FROM customers ORDER BY name").await;
    let at = step_path(&spelled, "task_1");
    let refused = server.post(&at, &json!({"query": "DELETE FROM customers"})).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "query"]));
    let refused = server.post(&at, &json!({"question": "", "parameters": []})).await.expect(422);
    let places: Vec<_> = refused["errors"].as_array().unwrap().iter().map(|issue| issue["loc"][1].clone()).collect();
    assert_eq!(places, ["question", "parameters"]);
    server.post(&at, &json!([])).await.expect(422);
    let kept = server.request("POST", &at).send().await.unwrap();
    assert_eq!(kept.status(), 201, "the prompt and the step's query will do");
    server.post(&at, &json!({})).await.expect(409);
    server.delete("/api/datasources/db").await.expect(200);
    let refused = server.post(&at, &json!({"question": "Who?"})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("its data source 'db' is no more"), "{refused}");
}

/// A server with one verified question.
async fn with_question(llm: &Upstream, url: &str, question: &Value) -> TestServer {
    let sources = catalog(&[("db", json!({"type": "sqlite", "url": url}))]);
    let server = TestServer::with_llm(llm, &[("DATASOURCES", &sources)]).await;
    server.post("/api/datasources/db/verified", question).await.expect(201);
    server
}

#[tokio::test]
async fn parameters_that_no_rule_fills_are_filled_by_a_model_or_the_query_is_left_aside() {
    let file = sqlite(SHOP).await;
    let written = "SELECT 'written' AS how";
    let question = json!({"question": "How many customers are there in one city?", "query": COUNT_IN,
        "parameters": {"city": {"description": "Where they live"}}});
    let prompt = "How many customers are there in one city?";
    for (values, rows) in [
        ("```json\n{\"city\": \"Porto\", \"other\": 1}\n```", json!([{"n": 2}])),
        ("{\"city\": null}", json!([{"how": "written"}])),
        ("{\"city\": {\"name\": \"Porto\"}}", json!([{"how": "written"}])),
        ("I do not know.", json!([{"how": "written"}])),
        ("{\"city\": \"x'; DROP TABLE customers; --\"}", json!([{"n": 0}])),
    ] {
        let llm = llm(written, values).await;
        let server = with_question(&llm, &file.url(), &question).await;
        let reply = ask(&server, prompt).await;
        assert_eq!(reply["metadata"]["data"][0]["rows"], rows, "{values}");
        let asked: Vec<_> = llm.chats().into_iter().filter(fills).collect();
        assert_eq!(asked.len(), 1, "{values}");
        let told = prompt_of(&asked[0]);
        assert!(told.contains("- city: Where they live") && told.contains(prompt), "{told}");
        let calls = if rows[0].get("how").is_some() { 3 } else { 2 };
        assert_eq!(reply["metadata"]["usage"]["total_tokens"], 10 * calls, "{values}");
    }
}

#[tokio::test]
async fn a_default_is_used_only_if_a_model_says_that_the_prompt_gives_no_value() {
    let file = sqlite(SHOP).await;
    let prompt = "How many customers are there in one city?";
    let question = json!({"question": prompt, "query": COUNT_IN, "parameters": {"city": {"default": "Porto"}}});
    for (values, rows) in [
        ("{\"city\": null}", json!([{"n": 2}])),
        ("{}", json!([{"n": 2}])),
        ("I do not know.", json!([{"how": "written"}])),
        ("[]", json!([{"how": "written"}])),
    ] {
        let llm = llm("SELECT 'written' AS how", values).await;
        let server = with_question(&llm, &file.url(), &question).await;
        let reply = ask(&server, prompt).await;
        assert_eq!(reply["metadata"]["data"][0]["rows"], rows, "{values}");
    }
}

#[tokio::test]
async fn a_question_whose_table_has_changed_is_verified_no_more_and_says_why() {
    let file = sqlite(SHOP).await;
    let llm = llm("SELECT count(*) AS written FROM customers", "{}").await;
    let question = json!({"question": "How many customers per city?", "query": "SELECT city, count(*) AS n FROM customers GROUP BY city"});
    let server = with_question(&llm, &file.url(), &question).await;
    let prompt = "How many customers per city?";
    assert!(ask(&server, prompt).await["metadata"]["data"][0].get("verified").is_some());
    file.execute("ALTER TABLE customers RENAME COLUMN city TO town").await;
    let reply = ask(&server, prompt).await;
    assert_eq!((&reply["metadata"]["data"][0]["rows"], &reply["error"]), (&json!([{"written": 3}]), &json!(null)));
    assert_eq!(reply["metadata"]["data"][0].get("verified"), None);
    let now = verified(&server).await;
    assert_eq!(
        (&now[0]["status"], &now[0]["reason"]),
        (&json!("unverified"), &json!("The table 'customers' has no column 'city' any more"))
    );
    // It is tried no more, also after a restart, until somebody verifies it anew.
    let server = server.restart().await;
    assert_eq!(verified(&server).await, now);
    let mut mended = question.clone();
    mended["query"] = json!("SELECT town, count(*) AS n FROM customers GROUP BY town ORDER BY town");
    let at = format!("/api/datasources/db/verified/{}", now[0]["id"].as_str().unwrap());
    let mended = server.put(&at, &mended).await.expect(200);
    assert_eq!((&mended["verified"]["status"], &mended["verified"]["reason"]), (&json!("verified"), &json!(null)));
    assert_eq!(ask(&server, prompt).await["metadata"]["data"][0]["rows"][1], json!({"town": "Porto", "n": 2}));
}

#[tokio::test]
async fn a_written_query_is_planned_before_it_runs_and_the_objection_goes_to_the_model() {
    let database = postgres(SHOP).await;
    let (wrong, right) = ("SELECT name FROM customers WHERE since > 5", "SELECT name FROM customers WHERE id = 1");
    let llm = Upstream::start(move |seen, _| match wanted(seen) {
        Wanted::Query if prompt_of(seen).contains("Your first attempt was") => openai(seen, right),
        Wanted::Query if prompt_of(seen).contains("Who is it?") => openai(seen, wrong),
        Wanted::Query => openai(seen, right),
        _ => openai(seen, "Here you are."),
    })
    .await;
    let sources = catalog(&[("planned", json!({"type": "postgres", "url": database.url}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    // How the tables, plans and queries of all chats so far went.
    for (prompt, ok, failed) in [("Who is it?", 2, 1), ("Who is the first?", 5, 1)] {
        let body = json!({"prompt": prompt, "metadata": {"datasource": "planned"}});
        let reply = server.post("/v1/chat", &body).await.expect(200);
        assert_eq!(reply["metadata"]["data"][0]["rows"], json!([{"name": "Ada"}]));
        let metrics = server.get("/metrics").await.text;
        for (outcome, number) in [("ok", ok), ("error", failed)] {
            let labels = format!("{{kind=\"datasource\",name=\"planned\",outcome=\"{outcome}\"}} {number}");
            assert!(metrics.contains(&labels), "{prompt}: {labels}");
        }
    }
    let second = prompt_of(&asked_for(&llm, Wanted::Query)[1]);
    assert!(second.contains(wrong) && second.contains("operator does not exist: date > integer"), "{second}");
}

#[tokio::test]
async fn cube_is_asked_for_a_dry_run_first() {
    let upstream = cube(0).await;
    let llm = Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query if prompt_of(seen).contains("'unknown' not found") => {
            openai(seen, r#"{"measures": ["orders.count"]}"#)
        }
        Wanted::Query => openai(seen, r#"{"measures": ["orders.unknown"]}"#),
        _ => openai(seen, "Here you are."),
    })
    .await;
    let sources = catalog(&[("db", json!({"type": "cubejs", "url": upstream.url(), "auth_token": TOKEN}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    let reply = ask(&server, "How many orders?").await;
    assert_eq!((&reply["error"], &reply["metadata"]["data"][0]["row_count"]), (&json!(null), &json!(3)));
    let posts = upstream.seen().into_iter().filter(|seen| seen.method == "POST").map(|seen| seen.path);
    let posts: Vec<_> = posts.map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(posts, ["dry-run", "load"], "the wrong query never ran");
}

#[tokio::test]
async fn a_model_is_told_what_the_operator_says_of_a_source() {
    let file = sqlite(SHOP).await;
    let llm = llm("SELECT name FROM customers ORDER BY id", "{}").await;
    let config = json!({"instructions": "A client is a customer.\nDo not count test accounts.", "time_zone": "Europe/Lisbon",
        "currency": "eur", "max_rows": 2});
    let sources = catalog(&[("db", json!({"type": "sqlite", "url": file.url(), "config": config}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    let reply = ask(&server, "Who are our clients?").await;
    let data = &reply["metadata"]["data"][0];
    assert_eq!((&data["row_count"], &data["truncated"]), (&json!(2), &json!(true)));
    let told = prompt_of(&asked_for(&llm, Wanted::Query)[0]);
    for line in [
        "A client is a customer.\nDo not count test accounts.",
        "Times that have no zone are those of Europe/Lisbon.",
        "Amounts of money are in EUR unless a column says otherwise.",
        "At most 2 rows of the result are read.",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

/// So many customers that a city is no one's own.
const MANY: &str = "INSERT INTO customers SELECT n, 'Customer ' || n, CASE n % 3 WHEN 0 THEN 'Porto' ELSE 'Oslo' END, '2020-01-01' FROM generate_series(11, 40) n";

#[tokio::test]
async fn asked_in_other_words_a_question_is_found_and_its_parameters_are_filled_from_the_prompt() {
    let database = postgres(SHOP).await;
    database.execute(MANY).await;
    let llm = llm("SELECT 'written' AS how", "{}").await;
    let sources = catalog(&[("db", json!({"type": "postgres", "url": database.url}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources), COLLECTING]).await;
    let question = json!({"question": "How many customers are there in Lisbon?", "query": COUNT_IN});
    let kept = server.post("/api/datasources/db/verified", &question).await.expect(201);
    collected(&server, "db").await;
    for (prompt, rows) in [
        ("Count the customers in Porto", json!([{"n": 12}])),
        ("What is the number of customers in \"Lisbon\"?", json!([{"n": 1}])),
        ("Wie viele Kunden gibt es in Porto?", json!([{"n": 12}])),
    ] {
        let reply = server.post("/v1/chat", &json!({"prompt": prompt})).await.expect(200);
        let data = &reply["metadata"]["data"][0];
        assert_eq!((&data["verified"]["id"], &data["rows"]), (&kept["verified"]["id"], &rows), "{prompt}: {reply}");
        assert_eq!(llm.chats().into_iter().filter(fills).count(), 0, "the values are certain: {prompt}");
    }
    assert_eq!(asked_for(&llm, Wanted::Query).len(), 0);
    // Another question, since the query has no place for the date.
    let reply = ask(&server, "How many customers are there in Porto since 2024-02-01?").await;
    assert_eq!(reply["metadata"]["data"][0]["rows"], json!([{"how": "written"}]));
}

#[tokio::test]
async fn a_collection_finds_that_a_table_has_changed() {
    let (database, file) = (postgres(SHOP).await, sqlite(SHOP).await);
    let llm = llm("SELECT 1", "{}").await;
    let entry = |name: &str, kind: &str, url: &str| json!({"name": name, "type": kind, "url": url});
    let server = TestServer::with_llm(&llm, &[COLLECTING]).await;
    for (name, kind, url) in [("one", "postgres", database.url.clone()), ("two", "sqlite", file.url())] {
        server.post("/api/datasources", &entry(name, kind, &url)).await.expect(201);
        let at = format!("/api/datasources/{name}/verified");
        let question = json!({"question": "Where do customers live?", "query": "SELECT DISTINCT city FROM customers"});
        server.post(&at, &question).await.expect(201);
        server.post(&at, &json!({"question": "Who?", "query": "SELECT name FROM customers"})).await.expect(201);
        collected(&server, name).await;
        match name {
            "one" => database.execute("ALTER TABLE customers ALTER city TYPE text").await,
            _ => file.execute("ALTER TABLE customers DROP COLUMN city").await,
        }
        let mut changed = entry(name, kind, &url);
        changed["timeout_seconds"] = json!(20);
        server.put(&format!("/api/datasources/{name}"), &changed).await.expect(200);
        let list = async || server.get(&at).await.expect(200)["verified"].take();
        wait_for(async || list().await[0]["status"] == "unverified").await;
        let why = match name {
            "one" => {
                "The column 'city' of table 'customers' is of type text now, and was of type character varying(20)"
            }
            _ => "The table 'customers' has no column 'city' any more",
        };
        let now = list().await;
        assert_eq!((&now[0]["reason"], &now[1]["status"]), (&json!(why), &json!("verified")));
        // In PostgreSQL it would still work, but nobody vouches for it any more.
        let body = json!({"prompt": "Where do customers live?", "metadata": {"datasource": name}});
        let reply = server.post("/v1/chat", &body).await.expect(200);
        assert_eq!(reply["metadata"]["data"][0].get("verified"), None, "{reply}");
    }
}

#[tokio::test]
async fn a_model_is_told_which_values_columns_have() {
    let database = postgres(SHOP).await;
    database.execute(MANY).await;
    database.execute("CREATE TYPE state AS ENUM ('new', 'it''s paid'); ALTER TABLE customers ADD state state").await;
    let llm = llm("SELECT name FROM customers", "{}").await;
    let sources = catalog(&[("db", json!({"type": "postgres", "url": database.url}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources), COLLECTING]).await;
    collected(&server, "db").await;
    ask(&server, "Which customers have paid?").await;
    let told = prompt_of(&asked_for(&llm, Wanted::Query)[0]);
    assert!(told.contains("state state one of ('new', 'it''s paid')"), "{told}");
    let cities = told.split("city character varying(20) such as (").nth(1).unwrap_or_else(|| panic!("{told}"));
    let mut cities: Vec<_> = cities.split(')').next().unwrap().split(", ").collect();
    cities.sort_unstable();
    assert_eq!(cities, ["'Lisbon'", "'Oslo'", "'Porto'"]);
}
