//! What is in a database, as far as it may be of use: all of it, with what is part of something else behind the rest.

use serde_json::{Value, json};

use crate::common::chat::{Wanted, asked_for, catalog, wanted};
use crate::common::databases::{mariadb, postgres, sqlite};
use crate::common::grounding::{COLLECTING, collected, item};
use crate::common::sources::{by_name, server_with};
use crate::common::upstream::openai;
use crate::common::{TestServer, Upstream};

async fn schema(server: &TestServer) -> Value {
    let reply = server.get("/api/datasources/db/schema").await.expect(200);
    assert_eq!(reply["success"], true, "{reply}");
    reply["schema"].clone()
}

fn names(schema: &Value) -> Vec<&str> {
    schema["tables"].as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect()
}

/// What a model that is to write a query is told, for this question to the source `db`.
async fn told(kind: &str, url: &str, question: &str) -> String {
    let llm = Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, "SELECT 1"),
        _ => openai(seen, "Here you are."),
    })
    .await;
    let sources = catalog(&[("db", json!({"type": kind, "url": url}))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    let body = json!({"prompt": question, "metadata": {"datasource": "db", "intent": "data_query"}});
    server.post("/v1/chat", &body).await.expect(200);
    let asked = asked_for(&llm, Wanted::Query);
    asked[0].body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_catalog_of_many_thousand_columns_is_told_to_its_last_table() {
    let columns = |count: usize| (0..count).map(|nth| format!(", c{nth} int")).collect::<String>();
    let block = format!(
        "DO $$ BEGIN FOR n IN 1..1200 LOOP EXECUTE format('CREATE TABLE %I (id int{})', 't' || lpad(n::text, 4, '0') || '_log');
         END LOOP; END $$",
        columns(20)
    );
    let last = format!("CREATE TABLE zebra_sightings (id int, herd text{})", columns(19));
    let one = postgres(&[&block, &last]).await;
    let many: Vec<_> = (0..300).map(|n| format!("CREATE TABLE t{n:04}_log (id int{})", columns(79))).collect();
    let statements: Vec<_> = many.iter().chain([&last]).map(String::as_str).collect();
    let two = mariadb(&statements).await;
    let wide: Vec<_> = (0..300).map(|n| format!("CREATE TABLE t{n:04}_log (id int{});", columns(79))).collect();
    let file = sqlite(&[&wide.concat(), &last]).await;
    for (kind, url, count) in [("postgres", &one.url, 1201), ("mysql", &two.url, 301), ("sqlite", &file.url(), 301)] {
        let server = server_with(kind, url, json!({"timeout_seconds": 120})).await;
        let schema = schema(&server).await;
        assert_eq!(names(&schema).len(), count, "{kind}");
        assert!(schema.get("truncated").is_none() && schema.get("warnings").is_none());
        let tables = by_name(&schema["tables"]);
        let whole = |name: &str, columns: usize| tables[name]["columns"].as_array().unwrap().len() == columns;
        assert!(whole("zebra_sightings", 21) && whole("t0200_log", if kind == "postgres" { 21 } else { 80 }), "{kind}");
        assert_eq!(server.get("/api/datasources/db/tables").await.expect(200)["count"], count, "{kind}");
    }
    let sources = catalog(&[("db", json!({"type": "postgres", "url": one.url, "timeout_seconds": 120}))]);
    let server = TestServer::with(&[COLLECTING, ("DATASOURCES", &sources)]).await;
    let vocabulary = collected(&server, "db").await;
    assert_eq!(item(&vocabulary, "zebra_sightings")["details"].as_array().unwrap().len(), 21);
    assert!(
        told("postgres", &one.url, "How many zebra sightings are there?")
            .await
            .contains("\nzebra_sightings (id integer")
    );
}

#[tokio::test]
async fn partitions_and_heirs_stand_behind_their_table_and_what_extensions_bring_behind_the_rest() {
    let days =
        "DO $$ BEGIN FOR n IN 0..364 LOOP EXECUTE format('CREATE TABLE %I PARTITION OF page_views FOR VALUES IN (%L)',
        'page_views_' || n, date '2024-01-01' + n); END LOOP; END $$";
    let database = postgres(&[
        "CREATE TABLE page_views (day date, country text, views int) PARTITION BY LIST (day)",
        days,
        "CREATE TABLE visitors (id int, country text)",
        "CREATE TABLE cities (name text)",
        "CREATE TABLE capitals (state text) INHERITS (cities)",
    ])
    .await;
    database.execute("CREATE EXTENSION pg_stat_statements").await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let schema = schema(&server).await;
    let listed = names(&schema);
    assert_eq!(listed[..4], ["cities", "page_views", "visitors", "pg_stat_statements"], "{listed:?}");
    assert_eq!(listed.len(), 4 + 1 + 365 + usize::from(listed.contains(&"pg_stat_statements_info")));
    let tables = by_name(&schema["tables"]);
    let partition = json!({"schema": "public", "name": "page_views_7", "type": "partition", "comment": null, "part_of": "page_views"});
    assert_eq!(Value::from(tables["page_views_7"].clone()), partition);
    assert_eq!(
        (&tables["capitals"]["part_of"], &tables["capitals"]["columns"][1]["name"]),
        (&json!("cities"), &json!("state"))
    );
    assert_eq!(tables["pg_stat_statements"]["part_of"], "extension pg_stat_statements");
    assert!(tables["page_views"].get("part_of").is_none());

    let told = told("postgres", &database.url, "How many page views per country of the visitors?").await;
    assert!(told.contains("\npage_views (day date, country text, views integer)\nvisitors (id integer"), "{told}");
    assert!(!told.contains("page_views_"), "{told}");
    let text = "SELECT country FROM page_views_7";
    let question = json!({"question": "Which countries on that day?", "query": text});
    server.post("/api/datasources/db/verified", &question).await.expect(201);
}

#[tokio::test]
async fn what_a_virtual_table_keeps_its_rows_in_is_no_table_of_its_own() {
    let file = sqlite(&[
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)",
        "CREATE VIRTUAL TABLE ft USING fts5(body)",
        "CREATE VIRTUAL TABLE old USING fts4(body)",
        "CREATE VIRTUAL TABLE rt USING rtree(id, x0, x1)",
        "CREATE TABLE ft_extra (id INTEGER)",
        "CREATE VIEW gone AS SELECT x FROM no_longer_there",
    ])
    .await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let schema = schema(&server).await;
    assert_eq!(names(&schema), ["ft", "notes", "old", "rt", "ft_extra"]);
    assert_eq!(by_name(&schema["tables"])["ft_extra"]["part_of"], "ft");
    let warnings = schema["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("The view 'gone' is left out: "),
        "{warnings:?}"
    );
    assert!(schema.get("truncated").is_none());
    let tables = server.get("/api/datasources/db/tables").await.expect(200);
    assert_eq!((&tables["count"], &tables["warnings"]), (&json!(5), &schema["warnings"]));
}

#[tokio::test]
async fn labels_of_types_are_told_whatever_they_are_wrapped_in() {
    let one = postgres(&[
        "CREATE TYPE order_status AS ENUM ('new', 'it''s paid', 'a,b')",
        "CREATE DOMAIN checked AS order_status",
        "CREATE DOMAIN twice AS checked",
        "CREATE DOMAIN listed AS order_status[]",
        "CREATE TABLE orders (a order_status, b order_status[], c checked, d checked[], e twice, f listed, g text)",
    ])
    .await;
    let two = mariadb(&["CREATE TABLE orders (a ENUM('new', 'it''s paid', 'a'',''b'), b SET('x', 'y'), g TEXT)"]).await;
    let server = server_with("postgres", &one.url, json!({})).await;
    let columns = by_name(&schema(&server).await["tables"])["orders"]["columns"].clone();
    for column in columns.as_array().unwrap() {
        let expected = if column["name"] == "g" { json!(null) } else { json!(["new", "it's paid", "a,b"]) };
        assert_eq!(column.get("values").cloned().unwrap_or_default(), expected, "{column}");
    }
    let server = server_with("mysql", &two.url, json!({})).await;
    let columns = by_name(&schema(&server).await["tables"])["orders"]["columns"].clone();
    assert_eq!(
        (&columns[0]["values"], &columns[1]["values"]),
        (&json!(["new", "it's paid", "a','b"]), &json!(["x", "y"]))
    );
    let told_of_one = told("postgres", &one.url, "How many orders are new?").await;
    assert!(told_of_one.contains("a order_status one of ('new', 'it''s paid', 'a,b')"), "{told_of_one}");
    let told_of_two = told("mysql", &two.url, "How many orders are new?").await;
    assert!(told_of_two.contains("one of ('x', 'y')"), "{told_of_two}");
}

/// Reads the first table of the schema in the prompt as a model does that copies names: all its columns.
fn copying_query(prompt: &str) -> String {
    let line = prompt.lines().find(|line| line.contains(" (") && line.ends_with(')')).unwrap();
    let (table, columns) = line.split_once(" (").unwrap();
    let columns = columns.trim_end_matches(')').split(", ").map(|column| column.rsplit_once(' ').unwrap().0);
    format!("SELECT {} FROM {table}", columns.collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn a_query_that_copies_the_names_as_they_are_listed_works() {
    let odd = ["CustomerID", "order", "unit price", "2024", "größe", "say \"hi\"", "back`tick", "a-b"];
    let ansi = |name: &&str| format!("\"{}\" text", name.replace('"', "\"\""));
    let ticks = |name: &&str| format!("`{}` text", name.replace('`', "``"));
    let list = |write: &dyn Fn(&&str) -> String| odd.iter().map(write).collect::<Vec<_>>().join(", ");
    let one =
        postgres(&[&format!("CREATE TABLE \"Customers\" ({})", list(&ansi)), "INSERT INTO \"Customers\" VALUES ('x')"])
            .await;
    let two =
        mariadb(&[&format!("CREATE TABLE `Group` ({})", list(&ticks)), "INSERT INTO `Group` (`order`) VALUES ('x')"])
            .await;
    let file = sqlite(&[
        &format!("CREATE TABLE \"select\" ({})", list(&ansi)),
        "INSERT INTO \"select\" (\"order\") VALUES ('x')",
    ])
    .await;
    let llm = Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query => {
            let prompt = seen.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
            assert!(prompt.contains("exactly as they are written there, quotes included"), "{prompt}");
            openai(seen, &copying_query(prompt))
        }
        _ => openai(seen, "Here you are."),
    })
    .await;
    for (kind, url) in [("postgres", &one.url), ("mysql", &two.url), ("sqlite", &file.url())] {
        let sources = catalog(&[("db", json!({"type": kind, "url": url}))]);
        let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
        let body = json!({"prompt": "Show me everything", "metadata": {"datasource": "db", "intent": "data_query"}});
        let reply = server.post("/v1/chat", &body).await.expect(200);
        let data = &reply["metadata"]["data"][0];
        assert_eq!(data["row_count"], 1, "{kind}: {reply}");
        let found: Vec<_> = data["columns"].as_array().unwrap().iter().map(|column| column["name"].clone()).collect();
        assert_eq!(found, odd.map(Value::from), "{kind}");
    }
}
