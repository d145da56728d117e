//! Cube as a data source.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::common::cube::{TOKEN, cube, meta};
use crate::common::sources::{ask, change, failure, query, refusal, server_with, test};
use crate::common::upstream::{json_reply, reply};
use crate::common::{TestServer, Upstream};

/// Longest wait for what should end after a second.
const DEADLINE: Duration = Duration::from_secs(15);

const ORDERS: &str = r#" {"measures": ["orders.count"], "dimensions": ["orders.status"]}"#;

async fn server_for(cube: &Upstream, more: Value) -> TestServer {
    let mut all = json!({"auth_token": TOKEN});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server_with("cubejs", &cube.url(), all).await
}

#[tokio::test]
async fn a_json_query_is_repeated_unchanged_while_cube_asks_for_patience() {
    let cube = cube(3).await;
    let server = server_for(&cube, json!({})).await;
    let reply = query(&server, ORDERS, json!({})).await;
    let row = |status: &str, count: &str| json!({"orders.status": status, "orders.count": count});
    assert_eq!(reply["data"], json!([row("shipped", "3"), row("processing", "2"), row("completed", "1")]));
    assert_eq!(reply["row_count"], 3);
    let columns = json!([{"name": "orders.count", "type": "number", "title": "Orders Count"},
        {"name": "orders.status", "type": "string", "title": "Orders Status"}]);
    assert_eq!(reply["metadata"], json!({"columns": columns, "truncated": false}));

    let seen = cube.seen();
    assert_eq!(seen.len(), 4);
    let ids: Vec<_> = seen.iter().map(|seen| seen.headers["x-request-id"].clone()).collect();
    let (span, _) = ids[0].split_once("-span-").unwrap();
    assert_eq!(ids, [1, 2, 3, 4].map(|attempt| format!("{span}-span-{attempt}")));
    assert!(!span.is_empty() && seen.iter().all(|again| again.body == seen[0].body));
    assert_eq!(seen[0].body["query"]["measures"], json!(["orders.count"]));
    assert!(seen.iter().all(|seen| seen.headers["authorization"] == TOKEN));
    // Another query has a span of its own.
    query(&server, ORDERS, json!({})).await;
    assert!(!cube.seen()[4].headers["x-request-id"].starts_with(span));
}

#[tokio::test]
async fn a_cube_that_never_stops_asking_for_patience_is_given_up_in_time() {
    let cube = cube(usize::MAX).await;
    let server = server_for(&cube, json!({"timeout_seconds": 1})).await;
    let said = timeout(DEADLINE, failure(&server, ORDERS, json!({}))).await.unwrap();
    assert_eq!(said, "DataSource 'db' did not answer in time");
    let asked = cube.seen().len();
    assert!((2..100).contains(&asked), "{asked}");
}

#[tokio::test]
async fn rows_stop_at_the_limit() {
    let cube = cube(0).await;
    let server = server_for(&cube, json!({"config": {"max_rows": 2}})).await;
    for text in [ORDERS, "SELECT status, count FROM orders"] {
        let reply = query(&server, text, json!({})).await;
        assert_eq!((&reply["row_count"], &reply["metadata"]["truncated"]), (&json!(2), &json!(true)), "{text}");
    }
    // The query's own limit counts if it is lower; the default is one that Cube accepts.
    let limited = r#"{"measures": ["orders.count"], "limit": 1}"#;
    assert_eq!(query(&server, limited, json!({})).await["metadata"]["truncated"], false);
    let body = json!({"query": ORDERS, "max_rows": 100_000});
    assert_eq!(server.post("/api/datasources/db/query", &body).await.expect(200)["row_count"], 3);
    let limits: Vec<_> = cube.seen().iter().filter_map(|seen| seen.body["query"]["limit"].as_u64()).collect();
    assert_eq!(limits, [3, 1, 50_000]);
}

#[tokio::test]
async fn sql_gives_the_rows_of_all_lines() {
    let cube = cube(0).await;
    let server = server_for(&cube, json!({})).await;
    let sql = "SELECT status, MEASURE(count) FROM orders GROUP BY 1";
    let reply = query(&server, sql, json!({})).await;
    let row = |status: &str, count: &str| json!({"status": status, "count": count});
    assert_eq!(reply["data"], json!([row("shipped", "3"), row("processing", "2"), row("completed", "1")]));
    let columns = json!([{"name": "status", "type": "String"}, {"name": "count", "type": "Int64"}]);
    assert_eq!(reply["metadata"], json!({"columns": columns, "truncated": false}));
    assert_eq!((cube.seen()[0].path.as_str(), &cube.seen()[0].body["query"]), ("/cubejs-api/v1/cubesql", &json!(sql)));
    assert_eq!(
        failure(&server, "SELECT broken FROM orders", json!({})).await,
        "DataSource 'db': Arrow error: Compute error"
    );
}

#[tokio::test]
async fn what_writes_or_is_no_query_is_refused_and_never_sent() {
    let cube = cube(0).await;
    let server = server_for(&cube, json!({})).await;
    for sql in
        ["DELETE FROM orders", "SELECT 1; DROP TABLE orders", "SELECT pg_sleep(9)", "SET x = 1", "", "{not json", "{}}"]
    {
        assert_eq!(refusal(&server, sql, json!({})).await.0, json!(["body", "query"]), "{sql}");
    }
    let (at, text) = refusal(&server, "SELECT * FROM orders WHERE status = :status", json!({"status": "x"})).await;
    assert_eq!((at, text.contains("no parameters")), (json!(["body", "parameters"]), true));
    assert!(cube.seen().is_empty());
}

#[tokio::test]
async fn the_base_url_may_be_given_in_any_form() {
    let ends =
        ["", "/load", "/sql", "/cubesql", "/meta", "/dry-run", "/load/"].map(|end| format!("/cubejs-api/v1{end}"));
    let others =
        ["", "/", "/cubejs-api", "/cubejs-api/", "/cubejs-api/v1/", "//cubejs-api//v1//load//"].map(str::to_owned);
    for base in ends.into_iter().chain(others) {
        let cube = cube(0).await;
        let url = format!("{}{base}", cube.url());
        let server = server_with("cubejs", &url, json!({"auth_token": TOKEN})).await;
        query(&server, ORDERS, json!({})).await;
        query(&server, "SELECT status, MEASURE(count) FROM orders GROUP BY 1", json!({})).await;
        assert_eq!(test(&server).await["success"], true, "{base}");
        assert_eq!(server.get("/api/datasources/db/schema").await.expect(200)["schema"], meta(), "{base}");
        let paths: Vec<_> = cube.seen().into_iter().map(|seen| seen.path).collect();
        let expected = ["load", "cubesql", "meta", "meta"].map(|end| format!("/cubejs-api/v1/{end}"));
        assert_eq!(paths, expected, "{base}");
    }
    let cube = Upstream::start(|_, _| json_reply("200 OK", &json!({"data": []}))).await;
    for base in ["", "/semantic/api/v1/load"] {
        let url = format!("{}{base}", cube.url());
        let server = server_with("cube", &url, json!({"config": {"base_path": "/semantic/api/"}})).await;
        query(&server, ORDERS, json!({})).await;
    }
    assert!(cube.seen().iter().all(|seen| seen.path == "/semantic/api/v1/load"));
    assert!(!cube.seen()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_token_is_sent_as_it_is_stored_and_never_shown() {
    let cube = cube(0).await;
    let server = server_for(&cube, json!({})).await;
    query(&server, ORDERS, json!({})).await;
    change(&server, "cubejs", &cube.url(), json!({"auth_token": format!("Bearer {TOKEN}")})).await;
    query(&server, ORDERS, json!({})).await;
    let sent: Vec<_> = cube.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(sent, [TOKEN.to_owned(), format!("Bearer {TOKEN}")]);

    let wrong = "canary-cube-token-2";
    change(&server, "cubejs", &cube.url(), json!({"auth_token": wrong})).await;
    for text in [ORDERS, "SELECT 1"] {
        let said = failure(&server, text, json!({})).await;
        assert!(said.starts_with("DataSource 'db' refused the request with 403 Forbidden: Invalid token"), "{said}");
        assert!(!said.contains(wrong), "{said}");
    }
    let found = test(&server).await;
    assert_eq!((&found["success"], &found["message"]), (&json!(false), &json!("Datasource returned non-200 status")));
    let details = &found["details"];
    assert_eq!(
        (&details["status_code"], &details["reached"], &details["authenticated"]),
        (&json!(403), &json!(true), &json!(false))
    );
    assert_eq!(found["connectivity_status"], "refused");
    assert!(found["suggestion"].as_str().unwrap().contains("auth_token"), "{found}");
    assert!(!found.to_string().contains("canary") && !server.get("/api/datasources").await.text.contains("canary"));
}

#[tokio::test]
async fn its_cubes_are_the_schema_and_the_tables() {
    let cube = cube(0).await;
    let server = server_for(&cube, json!({})).await;
    assert_eq!(server.get("/api/datasources/db/schema").await.expect(200)["schema"], meta());
    let tables = server.get("/api/datasources/db/tables").await.expect(200);
    let orders = json!({"name": "orders", "type": "cube", "title": "Orders", "comment": "What was ordered"});
    assert_eq!((&tables["success"], &tables["count"], &tables["tables"][0]), (&json!(true), &json!(2), &orders));
    assert_eq!(tables["tables"][1]["type"], "view");
    let found = test(&server).await;
    let details = &found["details"];
    assert_eq!((&found["success"], &found["message"]), (&json!(true), &json!("Datasource is reachable")));
    assert_eq!(
        (&details["authenticated"], &details["cubes"], &details["status_code"]),
        (&json!(true), &json!(2), &json!(200))
    );
}

#[tokio::test]
async fn what_cube_objects_to_is_told_and_what_is_no_cube_is_recognised() {
    let cube = cube(0).await;
    let server = server_for(&cube, json!({})).await;
    let said = failure(&server, r#"{"measures": ["orders.unknown"]}"#, json!({})).await;
    assert!(said.contains("400 Bad Request") && said.contains("'unknown' not found"), "{said}");

    let other = Upstream::start(|seen, _| match seen.path.as_str() {
        "/cubejs-api/v1/meta" => reply("200 OK", "text/html", "<html>Welcome</html>"),
        "/cubejs-api/v1/load" => json_reply("200 OK", &json!({"hello": 1})),
        _ => reply("200 OK", "text/html", "<html>Welcome</html>"),
    })
    .await;
    let server = server_for(&other, json!({})).await;
    for text in [ORDERS, "SELECT 1"] {
        assert!(failure(&server, text, json!({})).await.starts_with("DataSource 'db' answered"));
    }
    for path in ["schema", "tables"] {
        let reply = server.get(&format!("/api/datasources/db/{path}")).await.expect(200);
        assert_eq!(reply["success"], false, "{reply}");
    }
    assert_eq!(test(&server).await["success"], false);

    let ill = Upstream::start(|_, _| reply("500 Internal Server Error", "text/plain", "oops")).await;
    let server = server_for(&ill, json!({})).await;
    assert_eq!(test(&server).await["details"]["authenticated"], json!(null));
    assert!(ask(&server, ORDERS, json!({})).await.text.contains("500 Internal Server Error: oops"));
}

#[tokio::test]
async fn what_goes_wrong_inside_of_cube_is_told_without_its_stack_and_its_paths() {
    let text = "Error: no cube 'x' at CubeSymbols.path (/app/node_modules/@cubejs/schema/Cube.js:10:5)\n    at next (/app/i.js:1:2)";
    let stack = format!("{text}\n    at process.nextTick (node:internal:1:1)");
    let error = json!({"error": text, "stack": stack, "requestId": "7"});
    for status in ["400 Bad Request", "500 Internal Server Error", "200 OK"] {
        let body = error.clone();
        let ill = Upstream::start(move |_, _| json_reply(status, &body)).await;
        let server = server_for(&ill, json!({})).await;
        for query in [ORDERS, "SELECT 1"] {
            let said = failure(&server, query, json!({})).await;
            assert!(said.ends_with(": Error: no cube 'x'") && said.starts_with("DataSource 'db'"), "{said}");
        }
        for path in ["schema", "tables"] {
            let reply = server.get(&format!("/api/datasources/db/{path}")).await.text;
            assert!(!reply.contains("/app") && !reply.contains("stack"), "{reply}");
        }
    }
}

/// A Cube that asks for patience once at each of its endpoints.
async fn slow_cube() -> Upstream {
    Upstream::start(|seen, nth| match (nth % 2, seen.path.as_str()) {
        (0, _) => json_reply("200 OK", &json!({"error": "Continue wait"})),
        (_, "/cubejs-api/v1/cubesql") => reply(
            "200 OK",
            "application/json",
            "{\"schema\":[{\"name\":\"n\",\"column_type\":\"Int64\"}]}\n{\"data\":[[1]]}\n",
        ),
        (_, "/cubejs-api/v1/meta") => json_reply("200 OK", &meta()),
        _ => json_reply("200 OK", &json!({"data": [{"orders.count": "1"}]})),
    })
    .await
}

#[tokio::test]
async fn every_endpoint_of_cube_may_ask_for_patience() {
    let cube = slow_cube().await;
    let server = server_for(&cube, json!({})).await;
    assert_eq!(query(&server, "SELECT 1", json!({})).await["data"], json!([{"n": 1}]));
    assert_eq!(query(&server, ORDERS, json!({})).await["data"], json!([{"orders.count": "1"}]));
    assert_eq!(server.get("/api/datasources/db/schema").await.expect(200)["schema"], meta());
    assert_eq!(server.get("/api/datasources/db/tables").await.expect(200)["count"], 2);
    let seen = cube.seen();
    assert_eq!(seen.len(), 8);
    for pair in seen.chunks(2) {
        assert_eq!((&pair[0].path, &pair[0].body), (&pair[1].path, &pair[1].body));
    }
    let never = Upstream::start(|_, _| json_reply("200 OK", &json!({"error": "Continue wait"}))).await;
    let server = server_for(&never, json!({"timeout_seconds": 1})).await;
    for asked in [ORDERS, "SELECT 1"] {
        let said = timeout(DEADLINE, failure(&server, asked, json!({}))).await.unwrap();
        assert_eq!(said, "DataSource 'db' did not answer in time");
    }
}

/// What Cube answers to a query by months, as its REST API documents it: the time comes twice.
fn by_month(cube: &str, months: &[&str]) -> Value {
    let (month, bare) = (format!("{cube}.createdAt.month"), format!("{cube}.createdAt"));
    let data = months
        .iter()
        .map(|at| json!({month.clone(): at, bare.clone(): at, format!("{cube}.count"): "1"}))
        .collect::<Vec<_>>();
    let about = |kind: &str| json!({"title": cube, "shortTitle": cube, "type": kind});
    json!({"data": data, "annotation": {"measures": {format!("{cube}.count"): about("number")}, "dimensions": {}, "segments": {},
        "timeDimensions": {month: about("time"), bare: about("time")}}})
}

#[tokio::test]
async fn queries_are_taken_as_objects_alone_blended_or_comparing_and_a_time_dimension_comes_once() {
    let cube = Upstream::start(|seen, _| {
        let query = &seen.body["query"];
        let compares = query["timeDimensions"][0].get("compareDateRange").is_some();
        let results = match (query, compares) {
            (Value::Array(queries), _) => {
                let cubes =
                    queries.iter().map(|query| query["measures"][0].as_str().unwrap().split('.').next().unwrap());
                json!(cubes.map(|cube| by_month(cube, &["2024-01-01T00:00:00.000"])).collect::<Vec<_>>())
            }
            (_, true) => json!([
                by_month("orders", &["2024-01-01T00:00:00.000"]),
                by_month("orders", &["2023-01-01T00:00:00.000"])
            ]),
            _ => {
                return json_reply(
                    "200 OK",
                    &by_month("orders", &["2024-01-01T00:00:00.000", "2024-02-01T00:00:00.000"]),
                );
            }
        };
        if seen.body["queryType"] != "multi" {
            return json_reply("400 Bad Request", &json!({"error": "'queryType' must be 'multi'"}));
        }
        json_reply(
            "200 OK",
            &json!({"queryType": "blendingQuery", "results": results, "pivotQuery": {}, "slowQuery": false}),
        )
    })
    .await;
    let server = server_for(&cube, json!({})).await;
    let ask = async |body: Value| {
        server.post("/api/datasources/db/query", &json!({"query": body, "parameters": {"m": "month"}})).await
    };
    let time = |more: Value| {
        let mut time = json!({"dimension": "orders.createdAt", "granularity": "month"});
        time.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([time])
    };
    let single = json!({"measures": ["orders.count"], "timeDimensions": time(json!({"dateRange": "last :m"}))});
    let found = ask(single.clone()).await.expect(200);
    let row = |cube: &str, at: &str| json!({format!("{cube}.createdAt.month"): format!("{at}T00:00:00.000"), format!("{cube}.count"): "1"});
    assert_eq!(found["data"], json!([row("orders", "2024-01-01"), row("orders", "2024-02-01")]));
    let names = |found: &Value| {
        let columns = found["metadata"]["columns"].as_array().unwrap().iter();
        columns.map(|column| column["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&found), ["orders.count", "orders.createdAt.month"]);
    assert!(cube.seen()[0].body.get("queryType").is_none() && cube.seen()[0].body["query"]["limit"] == 1001);
    assert_eq!(query(&server, &single.to_string(), json!({})).await["data"], found["data"], "a text does as well");

    let comparing = json!({"measures": ["orders.count"], "timeDimensions": time(json!({"compareDateRange": ["this year", "last year"]}))});
    let found = ask(comparing).await.expect(200);
    assert_eq!(found["data"], json!([row("orders", "2024-01-01"), row("orders", "2023-01-01")]));
    let users = json!({"measures": ["users.count"], "timeDimensions": time(json!({}))});
    let found = ask(json!([single, users])).await.expect(200);
    assert_eq!(
        (&found["data"], &found["row_count"]),
        (&json!([row("orders", "2024-01-01"), row("users", "2024-01-01")]), &json!(2))
    );
    assert_eq!(names(&found), ["orders.count", "orders.createdAt.month", "users.count", "users.createdAt.month"]);
    assert_eq!(cube.seen().last().unwrap().body["query"][1]["limit"], 1001);
    for wrong in [json!([]), json!([1]), json!(7), json!(null)] {
        assert_eq!(ask(wrong).await.expect(422)["errors"][0]["loc"], json!(["body", "query"]));
    }
    change(&server, "sqlite", "sqlite:none.db", json!({"auth_token": null})).await;
    assert_eq!(ask(json!({"measures": []})).await.expect(422)["errors"][0]["loc"], json!(["body", "query"]));
}
