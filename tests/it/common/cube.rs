//! A stand-in for Cube's REST API, as its reference describes it.

use serde_json::{Value, json};

use super::upstream::{json_reply, open_head};
use super::{Act, Seen, Upstream};

/// The only token that it takes, with or without `Bearer`.
pub const TOKEN: &str = "canary-cube-token-1";

/// Answers queries after it has asked for patience this many times.
pub async fn cube(waits: usize) -> Upstream {
    Upstream::start(move |seen, nth| answer(seen, nth < waits)).await
}

fn answer(seen: &Seen, busy: bool) -> Vec<Act> {
    let token = seen.headers.get("authorization").map(String::as_str).unwrap_or_default();
    if token.trim_start_matches("Bearer ") != TOKEN {
        // Real servers don't repeat the token; this one is unkind.
        return json_reply("403 Forbidden", &json!({"error": format!("Invalid token {token}")}));
    }
    match (seen.method.as_str(), seen.path.as_str()) {
        ("POST", "/cubejs-api/v1/load") if busy => json_reply("200 OK", &json!({"error": "Continue wait"})),
        ("POST", "/cubejs-api/v1/load") => load(&seen.body["query"]),
        ("POST", "/cubejs-api/v1/dry-run") => match refused(&seen.body["query"]) {
            Some(text) => json_reply("400 Bad Request", &json!({"error": text})),
            None => json_reply("200 OK", &json!({"queryType": "regularQuery"})),
        },
        ("POST", "/cubejs-api/v1/cubesql") => sql(seen.body["query"].as_str().unwrap()),
        ("GET", "/cubejs-api/v1/meta") => json_reply("200 OK", &meta()),
        _ => json_reply("404 Not Found", &json!({"error": "no such path"})),
    }
}

fn refused(query: &Value) -> Option<&'static str> {
    let is_unknown = query["measures"] == json!(["orders.unknown"]);
    is_unknown.then_some("Error: 'unknown' not found for path 'orders.unknown'")
}

fn load(query: &Value) -> Vec<Act> {
    if let Some(text) = refused(query) {
        return json_reply("400 Bad Request", &json!({"error": text}));
    }
    let status = [("shipped", "3"), ("processing", "2"), ("completed", "1")];
    let limit = usize::try_from(query["limit"].as_u64().unwrap_or(10_000)).unwrap();
    let data: Vec<Value> = status
        .into_iter()
        .take(limit)
        .map(|(status, count)| json!({"orders.status": status, "orders.count": count}))
        .collect();
    let about = |title: &str, kind: &str| json!({"title": title, "shortTitle": title, "type": kind});
    json_reply(
        "200 OK",
        &json!({
            "query": query, "data": data, "lastRefreshTime": "2024-01-01T00:00:00.000Z",
            "annotation": {"measures": {"orders.count": about("Orders Count", "number")},
                "dimensions": {"orders.status": about("Orders Status", "string")}, "segments": {}, "timeDimensions": {}},
            "dataSource": "default", "slowQuery": false, "total": null
        }),
    )
}

/// Lines of JSON, in pieces that end anywhere.
fn sql(query: &str) -> Vec<Act> {
    if query.contains("broken") {
        return vec![
            open_head("application/json"),
            Act::Send("{\"schema\":[{\"name\":\"n\",\"column_type\":\"Int64\"}]}\n{\"error\":\"Arrow ".to_owned()),
            Act::Send("error: Compute error\"}\n".to_owned()),
        ];
    }
    vec![
        open_head("application/json"),
        Act::Send("{\"schema\":[{\"name\":\"status\",\"column_type\":\"String\"},{\"name\":\"count\",".to_owned()),
        Act::Send("\"column_type\":\"Int64\"}]}\n{\"data\":[[\"shipped\",\"3\"],[\"proc".to_owned()),
        Act::Send("essing\",\"2\"]]}\n\n{\"data\":[[\"completed\",\"1\"]]}\n".to_owned()),
    ]
}

pub fn meta() -> Value {
    let count = json!({"name": "orders.count", "title": "Orders Count", "type": "number", "aggType": "count"});
    let status = json!({"name": "orders.status", "title": "Orders Status", "type": "string"});
    json!({"cubes": [
        {"name": "orders", "type": "cube", "title": "Orders", "description": "What was ordered", "measures": [count],
            "dimensions": [status], "segments": [], "connectedComponent": 1},
        {"name": "orders_view", "type": "view", "title": "Orders View", "measures": [], "dimensions": [], "segments": []}
    ]})
}
