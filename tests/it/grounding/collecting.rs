//! What resources offer is collected in the background: all that a prompt may mean, nothing that is private, and at nobody's cost.

use serde_json::{Value, json};

use crate::common::chat::{catalog, rest};
use crate::common::cube::{self, TOKEN};
use crate::common::databases::{mariadb, postgres, sqlite};
use crate::common::grounding::{COLLECTING, collected, item, values, vocabularies};
use crate::common::mcp;
use crate::common::sources::wait_for;
use crate::common::upstream::{json_reply, openai};
use crate::common::{Act, TestServer, Upstream};

const SHOP: &[&str] = &[
    "CREATE TYPE order_status AS ENUM ('new', 'it''s paid', 'shipped')",
    "CREATE DOMAIN checked_status AS order_status",
    "CREATE TABLE orders (id int PRIMARY KEY, status order_status NOT NULL, checked checked_status, all_of order_status[],
        channel text NOT NULL, reference text NOT NULL, api_token text, contact_email text, phone text, iban text, last_name text)",
    "COMMENT ON TABLE orders IS 'What customers have ordered'",
    "COMMENT ON COLUMN orders.channel IS 'How the order came in'",
    "INSERT INTO orders SELECT n, 'new', 'shipped', '{new}', CASE n % 2 WHEN 0 THEN 'web shop' ELSE 'telephone' END, 'R-' || n,
        'tok-canary', 'canary@b.example', '555-canary', 'DE-canary', 'canary-name' FROM generate_series(1, 40) n",
    "CREATE VIEW big_orders AS SELECT channel FROM orders",
];

/// A server that collects from these sources.
async fn collecting(sources: &[(&str, Value)]) -> TestServer {
    TestServer::with(&[COLLECTING, ("DATASOURCES", &catalog(sources))]).await
}

/// A figure of what is indexed of data sources.
async fn indexed(server: &TestServer, state: &str) -> f64 {
    let start = format!("orchestrator_grounding_resources{{kind=\"datasource\",state=\"{state}\"}} ");
    let text = server.get("/metrics").await.text;
    text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn tables_are_known_with_comments_labels_and_values_but_nothing_private() {
    let database = postgres(SHOP).await;
    let before = database.contents().await;
    let server = collecting(&[("shop", json!({"type": "postgres", "url": database.reader_url}))]).await;
    let shop = collected(&server, "shop").await;
    let orders = item(&shop, "orders");
    assert_eq!((&orders["kind"], &orders["about"]), (&json!("table"), &json!("What customers have ordered")));
    let channel = orders["details"].as_array().unwrap().iter().find(|column| column["name"] == "channel").unwrap();
    assert_eq!(channel["about"], "How the order came in");
    assert_eq!(values(&shop, "orders", "channel"), ["telephone", "web shop"]);
    for labelled in ["status", "checked", "all_of"] {
        assert_eq!(values(&shop, "orders", labelled), ["it's paid", "new", "shipped"], "{labelled}");
    }
    assert!(values(&shop, "orders", "reference").is_empty(), "each is another one");
    assert!(values(&shop, "big_orders", "channel").is_empty(), "a view may cost much");
    let kept = std::fs::read_to_string(server.folder().join("grounding.json")).unwrap();
    assert!(!kept.contains("canary"), "{kept}");

    // The labels are told to whoever asks for the schema, too.
    let schema = server.get("/api/datasources/shop/schema").await.expect(200);
    let orders = schema["schema"]["tables"].as_array().unwrap().iter().find(|table| table["name"] == "orders").unwrap();
    let of = |name: &str| orders["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap();
    assert_eq!(of("status")["values"], json!(["new", "it's paid", "shipped"]));
    assert_eq!(of("id").get("values"), None);
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn other_engines_tell_their_tables_as_well() {
    let maria = mariadb(&[
        "CREATE TABLE tickets (id INT PRIMARY KEY, priority ENUM('low', 'it''s urgent') NOT NULL COMMENT 'How soon',
            team VARCHAR(20) NOT NULL) COMMENT 'Requests for help'",
        "INSERT INTO tickets VALUES (1, 'low', 'billing'), (2, 'low', 'billing'), (3, 'low', 'sales'), (4, 'low', 'sales')",
    ])
    .await;
    let file = sqlite(&[
        "CREATE TABLE plans (id INTEGER PRIMARY KEY, \"tier \"\"x\" TEXT, notes TEXT)",
        "INSERT INTO plans VALUES (1, 'gold', 'n'), (2, 'gold', 'n'), (3, 'tin', 'n'), (4, 'tin', 'n')",
    ])
    .await;
    let sources = [
        ("helpdesk", json!({"type": "mysql", "url": maria.reader_url})),
        ("plans", json!({"type": "sqlite", "url": file.url()})),
    ];
    let server = collecting(&sources).await;
    let helpdesk = collected(&server, "helpdesk").await;
    assert_eq!(item(&helpdesk, "tickets")["about"], "Requests for help");
    assert_eq!(values(&helpdesk, "tickets", "priority"), ["it's urgent", "low"]);
    assert_eq!(values(&helpdesk, "tickets", "team"), ["billing", "sales"]);
    let plans = collected(&server, "plans").await;
    assert_eq!(values(&plans, "plans", "tier \"x"), ["gold", "tin"]);
    assert!(values(&plans, "plans", "notes").is_empty());
}

#[tokio::test]
async fn cubes_services_and_mcp_servers_say_what_they_offer() {
    let (cube, mcp) = (cube::cube(0).await, mcp::modern(|_| None).await);
    let service = Upstream::start(|seen, _| match seen.path.as_str() {
        "/schema" => json_reply("200 OK", &json!({"tables": [{"name": "incidents", "description": "Outages"}]})),
        _ => json_reply("404 Not Found", &json!({})),
    })
    .await;
    let sources = catalog(&[
        ("sales", json!({"type": "cubejs", "url": cube.url(), "auth_token": TOKEN})),
        ("status", rest(&service.url())),
    ]);
    let tools = catalog(&[("helper", json!({"type": "mcp", "config": {"url": mcp.url()}}))]);
    let server = TestServer::with(&[COLLECTING, ("DATASOURCES", &sources), ("TOOLS", &tools)]).await;
    let sales = item(&collected(&server, "sales").await, "orders");
    assert_eq!(sales["about"], "Orders: What was ordered");
    let members: Vec<_> =
        sales["details"].as_array().unwrap().iter().map(|one| (&one["name"], &one["about"])).collect();
    let expected =
        [("count", "Orders Count"), ("status", "Orders Status")].map(|(name, title)| (json!(name), json!(title)));
    assert_eq!(members, expected.each_ref().map(|(name, title)| (name, title)));
    assert_eq!(item(&collected(&server, "status").await, "incidents")["about"], "Outages");
    let echo = item(&collected(&server, "helper").await, "helper__echo");
    assert_eq!((&echo["kind"], &echo["about"]), (&json!("function"), &json!("Says it again")));
    assert!(cube.seen().iter().all(|seen| seen.method == "GET"), "nothing is queried");
}

#[tokio::test]
async fn a_restart_has_it_at_once_and_a_changed_source_is_asked_anew() {
    let database = postgres(SHOP).await;
    let server = collecting(&[]).await;
    let source = |description: &str| json!({"name": "shop", "type": "postgres", "url": database.reader_url, "config": {"description": description}});
    server.post("/api/datasources", &source("Orders")).await.expect(201);
    collected(&server, "shop").await;
    wait_for(async || indexed(&server, "complete").await == 1.0).await;

    // Nothing is asked any more.
    let server = server.restart_with(&[("GROUNDING_REFRESH_SECONDS", "0")]).await;
    assert_eq!((indexed(&server, "complete").await, indexed(&server, "described").await), (1.0, 0.0));
    assert_eq!(values(&collected(&server, "shop").await, "orders", "channel"), ["telephone", "web shop"]);

    let server = server.restart_with(&[COLLECTING]).await;
    database.execute("CREATE TABLE refunds (id int); GRANT SELECT ON refunds TO PUBLIC").await;
    server.put("/api/datasources/shop", &source("Orders and refunds")).await.expect(200);
    let knows_refunds = || {
        let known = vocabularies(server.folder());
        known.iter().any(|one| one["description"] == "Orders and refunds" && one.to_string().contains("\"refunds\""))
    };
    wait_for(async || knows_refunds()).await;
}

#[tokio::test]
async fn a_verified_question_about_a_table_that_has_changed_is_verified_no_more() {
    let file = sqlite(&["CREATE TABLE plans (id INTEGER PRIMARY KEY, price REAL)"]).await;
    let server = collecting(&[]).await;
    let source = |description: &str| json!({"name": "shop", "type": "sqlite", "url": file.url(), "config": {"description": description}});
    server.post("/api/datasources", &source("Plans")).await.expect(201);
    let question =
        json!({"question": "What does the cheapest plan cost?", "query": "SELECT min(price) AS price FROM plans"});
    server.post("/api/datasources/shop/verified", &question).await.expect(201);
    let listed = async || server.get("/api/datasources/shop/verified").await.expect(200);
    collected(&server, "shop").await;
    assert!(listed().await.to_string().contains("\"verified\""));

    file.execute("ALTER TABLE plans RENAME COLUMN price TO monthly_price").await;
    server.put("/api/datasources/shop", &source("Plans and prices")).await.expect(200);
    wait_for(async || listed().await.to_string().contains("\"unverified\"")).await;
    assert!(!listed().await.to_string().contains("\"reason\":null"), "{}", listed().await);
}

#[tokio::test]
async fn what_is_disabled_is_gone_and_what_is_created_is_there_at_once() {
    let file = sqlite(&["CREATE TABLE plans (id INTEGER PRIMARY KEY)"]).await;
    let server = collecting(&[]).await;
    let source = |enabled: bool| json!({"name": "db", "type": "sqlite", "url": file.url(), "enabled": enabled});
    server.post("/api/datasources", &source(true)).await.expect(201);
    wait_for(async || indexed(&server, "complete").await == 1.0).await;
    server.put("/api/datasources/db", &source(false)).await.expect(200);
    wait_for(async || indexed(&server, "complete").await + indexed(&server, "described").await == 0.0).await;
    wait_for(async || vocabularies(server.folder()).is_empty()).await;
    server.put("/api/datasources/db", &source(true)).await.expect(200);
    wait_for(async || indexed(&server, "complete").await == 1.0).await;
    server.delete("/api/datasources/db").await.expect(200);
    wait_for(async || indexed(&server, "complete").await == 0.0).await;
}

#[tokio::test]
async fn a_prompt_reaches_what_was_created_a_request_ago_and_not_what_was_disabled() {
    let server = TestServer::with(&[("INTENT_CLASSIFIER", "rules")]).await;
    let source = |enabled: bool| {
        json!({"name": "books", "type": "api", "url": "http://127.0.0.1:9", "enabled": enabled,
            "config": {"description": "Invoices, payments and overdue amounts"}})
    };
    let reached = async || {
        let case = json!({"cases": [{"prompt": "How many invoices are overdue?", "expect": []}]});
        server.post("/api/chat/evaluate", &case).await.expect(200)["results"][0]["reached"].clone()
    };
    assert_eq!(reached().await, json!([]));
    server.post("/api/datasources", &source(true)).await.expect(201);
    assert_eq!(reached().await, json!(["datasource:books"]));
    server.put("/api/datasources/books", &source(false)).await.expect(200);
    assert_eq!(reached().await, json!([]));
    server.put("/api/datasources/books", &source(true)).await.expect(200);
    assert_eq!(reached().await, json!(["datasource:books"]));
    server.delete("/api/datasources/books").await.expect(200);
    assert_eq!(reached().await, json!([]));
}

#[tokio::test]
async fn an_upstream_that_hangs_delays_nobody() {
    let hanging = Upstream::start(|_, _| vec![Act::Hang]).await;
    let llm = Upstream::start(|seen, _| openai(seen, "Hello there.")).await;
    let file = sqlite(&["CREATE TABLE plans (id INTEGER PRIMARY KEY)"]).await;
    let mut sources: Vec<_> = ["a", "b", "c"].map(|name| (name, rest(&hanging.url()))).into();
    sources.push(("plans", json!({"type": "sqlite", "url": file.url()})));
    for (_, source) in sources.iter_mut().take(3) {
        source["timeout_seconds"] = json!(300);
    }
    let server = TestServer::with_llm(&llm, &[COLLECTING, ("DATASOURCES", &catalog(&sources))]).await;
    wait_for(async || hanging.seen().len() == 3).await;
    collected(&server, "plans").await;
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    assert_eq!(reply["answer"], "Hello there.");
    // One that comes later is asked while the others still hang, and they don't keep the server from stopping.
    let source = json!({"name": "more", "type": "sqlite", "url": file.url()});
    server.post("/api/datasources", &source).await.expect(201);
    collected(&server, "more").await;
    assert_eq!(indexed(&server, "described").await, 3.0);
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_asked_if_the_operator_does_not_want_it() {
    let service = Upstream::answering(json!({"tables": []})).await;
    let mcp = mcp::modern(|_| None).await;
    let sources = catalog(&[("service", rest(&service.url()))]);
    let tools = catalog(&[("helper", json!({"type": "mcp", "config": {"url": mcp.url()}}))]);
    let server = TestServer::with(&[("DATASOURCES", &sources)]).await;
    assert_eq!(indexed(&server, "described").await, 1.0);
    let without = [COLLECTING, ("GROUNDING_ENABLED", "false"), ("DATASOURCES", &sources), ("TOOLS", &tools)];
    let without = TestServer::with(&without).await;
    // Tools are of use without data; sources would be asked together with them.
    collected(&without, "helper").await;
    assert_eq!(indexed(&without, "described").await, 0.0);
    assert!(service.seen().is_empty());
}
