//! Verified questions of a data source: kept, shown, changed and removed through the API, and never a query that may not run.

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::common::cube::{TOKEN, cube};
use crate::common::databases::{mariadb, postgres, sqlite};
use crate::common::sources::{change, server_with, source};

const SHOP: &[&str] = &[
    "CREATE TABLE customers (id int PRIMARY KEY, name varchar(20) NOT NULL, city varchar(20))",
    "INSERT INTO customers VALUES (1, 'Ada', 'Lisbon'), (2, 'Alan', 'Porto')",
];

const AT: &str = "/api/datasources/db/verified";

fn question(text: &str, query: &str) -> Value {
    json!({"question": text, "query": query})
}

async fn add(server: &TestServer, text: &str, query: &str) -> Value {
    server.post(AT, &question(text, query)).await.expect(201)["verified"].take()
}

async fn listed(server: &TestServer) -> Vec<String> {
    let list = server.get(AT).await.expect(200);
    assert_eq!(list["count"], list["verified"].as_array().unwrap().len());
    list["verified"].as_array().unwrap().iter().map(|item| item["question"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_question_is_kept_with_what_its_query_takes_and_uses() {
    let (one, two) = (postgres(SHOP).await, mariadb(SHOP).await);
    let file = sqlite(SHOP).await;
    for (kind, url, integer, text) in [
        ("postgres", one.url.clone(), "integer", "character varying(20)"),
        ("mysql", two.url.clone(), "int(11)", "varchar(20)"),
        ("sqlite", file.url(), "int", "varchar(20)"),
    ] {
        let server = server_with(kind, &url, json!({})).await;
        let body = json!({"question": " How many customers are there in Lisbon? ", "verified_by": "ada",
            "query": "SELECT count(id) AS n FROM customers c WHERE c.city = :city AND id > :least",
            "parameters": {"city": {"description": "A city", "default": "Lisbon"}}});
        let reply = server.post(AT, &body).await;
        let tag = reply.tag();
        let kept = reply.expect(201)["verified"].take();
        assert_eq!(
            (&kept["question"], &kept["status"]),
            (&json!("How many customers are there in Lisbon?"), &json!("verified"))
        );
        assert_eq!(kept["parameters"]["city"], json!({"description": "A city", "default": "Lisbon"}));
        assert_eq!(kept["parameters"]["least"], json!({"description": null, "default": null}));
        let used = json!({"customers": {"city": text, "id": integer}});
        let lower = kept["tables"].to_string().to_lowercase();
        assert_eq!(lower, used.to_string(), "{kind}");
        assert!(kept["verified_at"].as_str().unwrap().ends_with('Z') && !tag.is_empty());

        let at = format!("{AT}/{}", kept["id"].as_str().unwrap());
        assert_eq!(server.get(&at).await.expect(200), kept);
        let again = server.restart().await;
        assert_eq!(again.get(&at).await.expect(200), kept, "a restart keeps it");
    }
}

#[tokio::test]
async fn a_query_that_may_not_run_is_refused_and_says_why() {
    let file = sqlite(SHOP).await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    for (query, why) in [
        ("DELETE FROM customers", "Only one statement is allowed, and it must be a query"),
        ("SELECT 1; SELECT 2", "Only one statement"),
        ("SELECT load_extension('x')", "load_extension"),
        ("SELECT count(*) FROM customers, nope", "there is no 'nope'"),
        ("SELECT * FROM customers WHERE city = ?", ":name parameters"),
    ] {
        let reply = server.post(AT, &question("How?", query)).await.expect(422);
        assert_eq!(reply["errors"][0]["loc"], json!(["body", "query"]), "{query}");
        assert!(reply["errors"][0]["msg"].as_str().unwrap().contains(why), "{reply}");
    }
    let with = |field: &str, value: Value| {
        let mut body = question("How many?", "SELECT count(*) FROM customers WHERE city = :city");
        body[field] = value;
        body
    };
    for (body, at) in [
        (with("question", json!(" ")), vec!["body", "question"]),
        (with("question", json!("x".repeat(1001))), vec!["body", "question"]),
        (with("query", json!(null)), vec!["body", "query"]),
        (json!({"query": "SELECT 1"}), vec!["body", "question"]),
        (with("verified_by", json!("x".repeat(201))), vec!["body", "verified_by"]),
        (with("verified_at", json!("yesterday")), vec!["body", "verified_at"]),
        (with("parameters", json!({"town": null})), vec!["body", "parameters"]),
        (with("parameters", json!({"city": 5})), vec!["body", "parameters", "city"]),
        (with("parameters", json!({"city": {"default": {"a": 1}}})), vec!["body", "parameters", "city", "default"]),
        (
            with("parameters", json!({"city": {"description": "x".repeat(501)}})),
            vec!["body", "parameters", "city", "description"],
        ),
    ] {
        let reply = server.post(AT, &body).await.expect(422);
        assert_eq!(reply["errors"][0]["loc"], json!(at), "{reply}");
    }
    server.post("/api/datasources/none/verified", &question("How?", "SELECT 1")).await.expect(404);
    assert_eq!(listed(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn questions_are_listed_changed_replaced_and_removed() {
    let file = sqlite(SHOP).await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let first = add(&server, "How many customers?", "SELECT count(*) AS n FROM customers").await;
    let second = add(&server, "Who?", "SELECT name FROM customers").await;
    let twin = server.post(AT, &question("how many CUSTOMERS", "SELECT 1")).await.expect(409);
    assert!(twin["detail"].as_str().unwrap().contains("verified question already"), "{twin}");
    let at = |question: &Value| format!("{AT}/{}", question["id"].as_str().unwrap());

    let changed = server.put(&at(&first), &question("How many are there?", "SELECT 2 AS n")).await.expect(200);
    assert_eq!((&changed["verified"]["id"], &changed["verified"]["query"]), (&first["id"], &json!("SELECT 2 AS n")));
    let other = question("Why?", "SELECT 3 AS n");
    server.send_if("if-match", "\"old\"", "PUT", &at(&first), &other).await.expect(412);
    server.put(&at(&first), &question("who", "SELECT 2")).await.expect(409);
    server.put(&format!("{AT}/none"), &question("Why?", "SELECT 2")).await.expect(404);
    assert_eq!(listed(&server).await, ["How many are there?", "Who?"]);

    let mut kept = question("Who is it?", "SELECT name FROM customers");
    kept["id"] = second["id"].clone();
    kept["verified_at"] = json!("2020-01-01T00:00:00+01:00");
    let list = json!({"verified": [question("Where?", "SELECT city FROM customers"), kept]});
    let replaced = server.put(AT, &list).await.expect(200);
    assert_eq!(
        (&replaced["verified"][1]["id"], &replaced["verified"][1]["verified_at"]),
        (&second["id"], &json!("2019-12-31T23:00:00.000Z"))
    );
    server.get(&at(&first)).await.expect(404);
    let wrong = json!({"verified": [question("Where?", "SELECT 1"), question("When?", "DROP TABLE customers")]});
    let refused = server.put(AT, &wrong).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "verified", 1, "query"]));
    assert_eq!(listed(&server).await, ["Where?", "Who is it?"], "a list is taken as a whole or not at all");

    server.delete(&at(&second)).await.expect(200);
    server.delete(&at(&second)).await.expect(404);
    assert_eq!(listed(&server).await, ["Where?"]);
    assert_eq!(server.delete(AT).await.expect(200)["message"], "1 verified question deleted");
    assert_eq!(listed(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_source_that_is_renamed_or_removed_takes_its_questions_along() {
    let file = sqlite(SHOP).await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    add(&server, "Who?", "SELECT name FROM customers").await;
    change(&server, "sqlite", &file.url(), json!({"config": {"max_rows": 5}})).await;
    assert_eq!(listed(&server).await, ["Who?"]);
    change(&server, "sqlite", &file.url(), json!({"name": "shop"})).await;
    server.get(AT).await.expect(404);
    let server = server.restart().await;
    assert_eq!(server.get("/api/datasources/shop/verified").await.expect(200)["count"], 1);
    // Another one of the old name has none of them.
    server.post("/api/datasources", &source("sqlite", &file.url(), json!({}))).await.expect(201);
    assert_eq!(listed(&server).await, Vec::<String>::new());
    server.delete("/api/datasources/shop").await.expect(200);
    server.post("/api/datasources", &source("sqlite", &file.url(), json!({"name": "shop"}))).await.expect(201);
    assert_eq!(server.get("/api/datasources/shop/verified").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn a_cubes_question_may_have_parameters_in_its_json() {
    let upstream = cube(0).await;
    let server = server_with("cubejs", &upstream.url(), json!({"auth_token": TOKEN})).await;
    let query = json!({"measures": ["orders.count"],
        "filters": [{"member": "orders.status", "operator": "equals", "values": [":status"]}]});
    let kept = add(&server, "How many orders are shipped?", &query.to_string()).await;
    assert_eq!(kept["parameters"], json!({"status": {"description": null, "default": null}}));
    let asked = json!({"query": query.to_string(), "parameters": {"status": ["shipped", 7]}});
    server.post("/api/datasources/db/query", &asked).await.expect(200);
    let sent = upstream.seen().into_iter().rfind(|seen| seen.path.ends_with("/load")).unwrap();
    assert_eq!(sent.body["query"]["filters"][0]["values"], json!(["shipped", "7"]));
    let refused = server.post(AT, &question("How?", "SELECT 1 WHERE 1 = :one")).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "query"]));
}

#[tokio::test]
async fn what_a_model_is_to_be_told_of_a_source_has_its_form() {
    let file = sqlite(SHOP).await;
    let with = |config: Value| source("sqlite", &file.url(), json!({"config": config}));
    let server = TestServer::bare().await;
    for (config, field) in [
        (json!({"instructions": 5}), "instructions"),
        (json!({"instructions": "x".repeat(4001)}), "instructions"),
        (json!({"time_zone": "here and now"}), "time_zone"),
        (json!({"currency": "Euro"}), "currency"),
        (json!({"max_rows": 0}), "max_rows"),
        (json!({"max_rows": "many"}), "max_rows"),
    ] {
        let reply = server.post("/api/datasources", &with(config)).await.expect(422);
        assert_eq!(reply["errors"][0]["loc"], json!(["body", "config", field]));
    }
    let good =
        json!({"instructions": "Net amounts", "time_zone": "Europe/Lisbon", "currency": "EUR", "max_rows": 100_000});
    server.post("/api/datasources", &with(good)).await.expect(201);
}
