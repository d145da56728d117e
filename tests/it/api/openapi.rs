//! The OpenAPI document: the committed one is current, complete, and true of the running server.

use std::collections::HashSet;

use orchestrator_studio::app::openapi_document;
use serde_json::{Value, json};

use crate::common::credentials::{ADMIN, with_authentication};
use crate::common::{Answer, Client, TestServer, Upstream};

const COMMITTED: &str = include_str!("../../openapi.json");
const JSON: &str = "application/json";

/// An agent and a data source called `ada`, like every path parameter.
const RESOURCES: [(&str, &str); 3] = [
    ("EXTERNAL_AGENTS", r#"{"ada": {"url": "http://127.0.0.1:9"}}"#),
    ("DATASOURCES", r#"{"ada": {"type": "api", "url": "http://127.0.0.1:9"}}"#),
    ("TOOLS", r#"{"ada": {"type": "http_request", "config": {"base_url": "http://127.0.0.1:9"}}}"#),
];

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    spec: Value,
}

impl Operation {
    fn all(document: &Value) -> Vec<Self> {
        let paths = document["paths"].as_object().unwrap();
        let verbs = |(path, item): (&String, &Value)| -> Vec<Self> {
            let item = item.as_object().unwrap().iter();
            let verbs = item.filter(|(verb, _)| ["get", "put", "post", "delete", "patch"].contains(&verb.as_str()));
            let resolved = |spec: &Value| {
                let mut spec = spec.clone();
                let replies = spec["responses"].as_object_mut().unwrap().values_mut();
                replies.for_each(|reply| *reply = resolve(document, reply).clone());
                spec
            };
            verbs
                .map(|(verb, spec)| Self { method: verb.to_uppercase(), path: path.clone(), spec: resolved(spec) })
                .collect()
        };
        paths.iter().flat_map(verbs).collect()
    }

    fn text(&self, key: &str) -> &str {
        self.spec[key].as_str().unwrap_or_default().trim()
    }

    /// The names of the parameters of one kind.
    fn parameters(&self, place: &str) -> Vec<&str> {
        let all = self.spec["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|one| one["in"] == place).map(|one| one["name"].as_str().unwrap()).collect()
    }

    fn body_schema(&self) -> Option<&Value> {
        self.spec["requestBody"]["content"][JSON].get("schema")
    }

    /// An example of the body: the media type's own, or that of its schema.
    fn body_example(&self, document: &Value) -> Option<Value> {
        let own = self.spec["requestBody"]["content"][JSON].get("example").cloned();
        own.or_else(|| example(resolve(document, self.body_schema()?)).cloned())
    }

    fn responses(&self) -> impl Iterator<Item = (u16, &Value)> {
        let all = self.spec["responses"].as_object().unwrap().iter();
        all.map(|(status, response)| (status.parse().unwrap(), response))
    }

    fn documents(&self, status: u16) -> bool {
        self.responses().any(|(documented, _)| documented == status)
    }

    /// The path, every parameter being `ada`; or `default`, where there is one of that name only.
    fn filled_path(&self) -> String {
        let of_one = ["/api/config/llm-connections/", "/api/routers/", "/api/planners/"];
        let name = if of_one.iter().any(|start| self.path.starts_with(start)) { "default" } else { "ada" };
        let path = ["{user_id}", "{id}", "{name}", "{step}"]
            .iter()
            .fold(self.path.replace("{number}", "1"), |path, parameter| path.replace(parameter, name));
        assert!(!path.contains('{'), "give the parameters of {path} a value here");
        path
    }

    /// Sends a request for this operation.
    async fn call(&self, client: &Client, body: Option<Value>) -> Answer {
        let request = client.request(&self.method, &self.filled_path());
        Answer::of(match body {
            Some(body) => request.header("content-type", JSON).body(body.to_string()),
            None => request,
        })
        .await
    }

    /// What the document does not say about this answer.
    fn untold(&self, document: &Value, answer: &Answer) -> Vec<String> {
        let Some((_, response)) = self.responses().find(|(status, _)| *status == answer.status) else {
            return vec![format!("{self}: answers {}, which is not documented: {}", answer.status, answer.text)];
        };
        let misfits = match response["content"].get(JSON) {
            Some(content) => misfits(document, &content["schema"], &answer.json(), "reply"),
            // A stream: the schema is that of one event.
            None => Vec::new(),
        };
        let headers = response["headers"].as_object().into_iter().flatten().map(|(name, _)| name);
        let missing = headers.filter(|name| !answer.headers.contains_key(name.as_str()));
        let missing = missing.map(|name| format!("has no header {name}"));
        misfits.into_iter().chain(missing).map(|fault| format!("{self}: {}: {fault}", answer.status)).collect()
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

fn committed() -> Value {
    serde_json::from_str(COMMITTED).unwrap()
}

/// Follows `$ref` to the component; one that leads nowhere is a story of its own.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => schema,
    }
}

/// All `$ref` below `value`.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn example(schema: &Value) -> Option<&Value> {
    schema.get("example").or_else(|| schema.get("examples")?.get(0))
}

/// The parts of a schema that the explorer would fill with `"string"` or `0`, for want of an example.
fn unillustrated(document: &Value, schema: &Value, at: &str) -> Vec<String> {
    let schema = resolve(document, schema);
    if example(schema).is_some() || schema.get("default").is_some() {
        return Vec::new();
    }
    if let Some(properties) = schema["properties"].as_object() {
        let each = properties.iter().flat_map(|(name, inner)| unillustrated(document, inner, &format!("{at}.{name}")));
        return each.collect();
    }
    if let Some(options) = schema["oneOf"].as_array() {
        return options.iter().flat_map(|option| unillustrated(document, option, at)).collect();
    }
    let types = types(schema);
    if types.contains(&"array") {
        return unillustrated(document, &schema["items"], &format!("{at}[]"));
    }
    let filled = ["string", "integer", "number"].iter().any(|plain| types.contains(plain));
    if filled { vec![at.to_owned()] } else { Vec::new() }
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => Vec::new(),
    }
}

/// What keeps `value` from being what `schema` describes. An undocumented member counts.
fn misfits(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = resolve(document, schema);
    if let Some(options) = schema["oneOf"].as_array() {
        let tried: Vec<_> = options.iter().map(|option| misfits(document, option, value, at)).collect();
        return if tried.iter().any(Vec::is_empty) { Vec::new() } else { tried.concat() };
    }
    let (types, kind) = (types(schema), kind(value));
    let fits = types.is_empty() || types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
    if !fits {
        return vec![format!("{at} should be {types:?}, is {value}")];
    }
    match (value, schema["properties"].as_object()) {
        (Value::Array(items), _) => {
            let inner = |(n, item)| misfits(document, &schema["items"], item, &format!("{at}[{n}]"));
            items.iter().enumerate().flat_map(inner).collect()
        }
        (Value::Object(members), Some(properties)) => {
            let inner = members.iter().flat_map(|(name, member)| match properties.get(name) {
                Some(schema) => misfits(document, schema, member, &format!("{at}.{name}")),
                None => vec![format!("{at}.{name} is not documented")],
            });
            let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            let absent = required.iter().filter(|name| !members.contains_key(name.as_str().unwrap()));
            inner.chain(absent.map(|name| format!("{at} has no {name}"))).collect()
        }
        _ => Vec::new(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} fault(s):\n  {}", faults.len(), faults.join("\n  "));
}

#[test]
fn the_committed_document_is_current() {
    let current = openapi_document().to_pretty_json().unwrap();
    let same = COMMITTED.trim_end() == current.trim_end();
    assert!(same, "the routes have changed; run: cargo run -- openapi > tests/openapi.json");
}

#[tokio::test]
async fn the_server_serves_the_committed_document() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let answer = server.get("/openapi.json").await;
    assert_eq!(answer.headers["content-type"], JSON);
    assert!(answer.expect(200) == committed(), "/openapi.json differs from tests/openapi.json");

    // Where callers are not told apart it is the same, but for what they would have to show.
    let mut open = TestServer::bare().await.get("/openapi.json").await.expect(200);
    let mut guarded = committed();
    for document in [&mut open, &mut guarded] {
        for item in document["paths"].as_object_mut().unwrap().values_mut() {
            for operation in item.as_object_mut().unwrap().values_mut() {
                operation.as_object_mut().unwrap().remove("security");
            }
        }
    }
    assert!(open == guarded, "the document of a server without authentication is another one");
}

#[tokio::test]
async fn a_moved_prefix_moves_in_the_document_too() {
    let server = TestServer::with(&[("API_PREFIX", "/bot/v2")]).await;
    let paths = server.get("/openapi.json").await.expect(200)["paths"].clone();
    assert!(paths.get("/bot/v2/chat").is_some() && paths.get("/v1/chat").is_none());
}

#[test]
fn the_document_names_itself() {
    let document = committed();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(document["info"]["title"], "AI Orchestrator Studio");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = committed();
    let targets: HashSet<_> = references(&document).into_iter().collect();
    let mut dangling: Vec<_> =
        targets.into_iter().filter(|target| document.pointer(target.trim_start_matches('#')).is_none()).collect();
    dangling.sort_unstable();
    assert!(dangling.is_empty(), "the explorer can't resolve {dangling:?}");
}

#[test]
fn every_operation_says_what_it_is() {
    let document = committed();
    let declared: HashSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = HashSet::new();
    let mut faults = Vec::new();
    let operations = Operation::all(&document);
    for operation in &operations {
        let tags = operation.spec["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        if tags.is_empty() || !tags.iter().all(|tag| declared.contains(tag.as_str().unwrap())) {
            faults.push(format!("{operation}: its tags {tags:?} are not all declared"));
        }
        for key in ["summary", "description", "operationId"] {
            if operation.text(key).is_empty() {
                faults.push(format!("{operation}: no {key}"));
            }
        }
        if !ids.insert(operation.text("operationId")) {
            faults.push(format!("{operation}: the operationId is taken"));
        }
    }
    assert!(operations.len() > 20, "only {} operations were found", operations.len());
    assert_none(&faults);
}

#[test]
fn every_input_is_described_with_an_example() {
    let document = committed();
    let mut faults = Vec::new();
    for operation in Operation::all(&document) {
        let in_path: Vec<_> =
            operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        if operation.parameters("path") != in_path {
            faults.push(format!("{operation}: declares {:?} for its path", operation.parameters("path")));
        }
        for parameter in operation.spec["parameters"].as_array().into_iter().flatten() {
            let name = &parameter["name"];
            if parameter["description"].as_str().unwrap_or_default().is_empty() || parameter["schema"].is_null() {
                faults.push(format!("{operation}: parameter {name} has no description or schema"));
            }
            if parameter["in"] == "path" && parameter["required"] != true {
                faults.push(format!("{operation}: path parameter {name} is not marked as required"));
            }
        }
        // A test of something that is kept takes any body, and none; so does what forgets all.
        let takes_body = ["POST", "PUT", "PATCH"].contains(&operation.method.as_str());
        let takes_any = ["/{name}/test", "/{id}/test", "/api/memory/clear", "/api/auth/ticket"]
            .iter()
            .any(|end| operation.path.ends_with(end));
        if !takes_body || takes_any {
            continue;
        }
        match (operation.body_schema(), operation.body_example(&document)) {
            (None, _) => faults.push(format!("{operation}: no schema of the body")),
            (_, None) => faults.push(format!("{operation}: no example of the body")),
            (Some(schema), Some(example)) => {
                let misfits = misfits(&document, schema, &example, "example");
                faults.extend(misfits.into_iter().map(|misfit| format!("{operation}: body: {misfit}")));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_reply_is_described_with_an_example() {
    let document = committed();
    let mut faults = Vec::new();
    for operation in Operation::all(&document) {
        if !operation.responses().any(|(status, _)| (200..300).contains(&status)) {
            faults.push(format!("{operation}: no reply of success"));
        }
        for (status, response) in operation.responses().filter(|(status, _)| ![204, 304].contains(status)) {
            let Some(schema) =
                response["content"].as_object().and_then(|content| content.values().next()?.get("schema"))
            else {
                faults.push(format!("{operation}: no schema of the reply {status}"));
                continue;
            };
            if response["description"].as_str().unwrap_or_default().is_empty() {
                faults.push(format!("{operation}: no description of the reply {status}"));
            }
            let bare = unillustrated(&document, schema, "reply");
            faults.extend(bare.into_iter().map(|part| format!("{operation}: {status}: no example of {part}")));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_example_fits_its_schema() {
    let document = committed();
    let mut faults = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if let Some(example) = example(schema) {
            faults.extend(misfits(&document, schema, example, name));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_operation_documents_how_it_refuses() {
    let document = committed();
    let mut faults = Vec::new();
    for operation in Operation::all(&document) {
        let mut expected = vec![400, 403, 413, 421, 500];
        if operation.body_schema().is_some() {
            expected.extend([415, 422]);
        }
        if !operation.parameters("path").is_empty() || !operation.parameters("query").is_empty() {
            expected.push(422);
        }
        expected.dedup();
        let missing: Vec<_> = expected.into_iter().filter(|status| !operation.documents(*status)).collect();
        if !missing.is_empty() {
            faults.push(format!("{operation}: does not document {missing:?}"));
        }
    }
    assert_none(&faults);
}

#[tokio::test]
async fn a_method_that_a_path_has_not_is_refused_with_those_that_it_has() {
    let (document, server) = (committed(), TestServer::bare().await);
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut documented: Vec<_> = item.as_object().unwrap().keys().map(|verb| verb.to_uppercase()).collect();
        documented.extend(documented.contains(&"GET".to_owned()).then(|| "HEAD".to_owned()));
        documented.sort_unstable();
        let path = path.replace("{user_id}", "ada").replace("{id}", "ada").replace("{name}", "ada");
        for method in ["TRACE", "QUERY", "FROB"] {
            let answer = Answer::of(server.request(method, &path)).await;
            assert_eq!(answer.expect(405)["detail"], "Method Not Allowed");
            let mut allowed: Vec<_> = answer.headers["allow"].to_str().unwrap().split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, documented, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn who_calls_the_server_by_another_name_or_from_another_page_is_answered_as_documented() {
    let (document, server) = (committed(), TestServer::bare().await);
    let page = [("origin", "http://evil.example"), ("sec-fetch-mode", "cors"), ("sec-fetch-site", "cross-site")];
    let cases = [(421, &[("host", "evil.example")][..]), (400, &[("host", "a b")]), (403, &page)];
    let mut faults = Vec::new();
    for operation in Operation::all(&document) {
        for (status, headers) in cases {
            let request = server.request(&operation.method, &operation.filled_path());
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let answer = Answer::of(request).await;
            assert_eq!(answer.status, status, "{operation}: {}", answer.text);
            faults.extend(operation.untold(&document, &answer));
        }
    }
    assert_none(&faults);
}

/// With nothing configured and with a model: paths exist, and what is answered is what the document says.
#[tokio::test]
async fn every_operation_is_served_as_documented() {
    let document = committed();
    let llm = Upstream::saying("Hello.").await;
    let mut faults = Vec::new();
    for server in [TestServer::bare().await, TestServer::with_llm(&llm, &[]).await] {
        for operation in Operation::all(&document) {
            let answer = operation.call(&server, operation.body_schema().map(|_| json!({}))).await;
            if answer.status == 405 || (answer.status == 404 && answer.json()["detail"] == "Not Found") {
                faults.push(format!("{operation}: not served"));
            } else {
                faults.extend(operation.untold(&document, &answer));
            }
        }
    }
    assert_none(&faults);
}

/// The variables of a server that has resources, and tells callers apart.
fn guarded() -> Vec<(&'static str, &'static str)> {
    with_authentication(&RESOURCES)
}

#[tokio::test]
async fn every_example_of_a_body_is_accepted() {
    let document = committed();
    let llm = Upstream::saying("Hello.").await;
    let mut faults = Vec::new();
    // What a request has made has an id of its own; chat::verified sends these.
    let is_made =
        |operation: &&Operation| ["/verified/{id}", "/verify"].iter().any(|end| operation.path.ends_with(end));
    let all = Operation::all(&document);
    for operation in all.iter().filter(|operation| operation.body_schema().is_some() && !is_made(operation)) {
        let guarded = TestServer::with_llm(&llm, &guarded()).await;
        let client = guarded.with_credential(ADMIN);
        // Makes the revision that one of the examples goes back to.
        client.put("/api/llm/config", &json!({"temperature": 0.5})).await.expect(200);
        let answer = operation.call(&client, operation.body_example(&document)).await;
        if matches!(answer.status, 200 | 201) {
            faults.extend(operation.untold(&document, &answer));
        } else {
            faults.push(format!("{operation}: its own example gets {}: {}", answer.status, answer.text));
        }
    }
    assert_none(&faults);
}

#[tokio::test]
async fn a_full_conversation_is_answered_as_documented() {
    let document = committed();
    let llm = Upstream::saying("Hello.").await;
    let guarded = TestServer::with_llm(&llm, &guarded()).await;
    let server = guarded.with_credential(ADMIN);
    let question = json!({"prompt": "Hello?", "user_id": "ada", "metadata": {"intent": "data_query"}});
    let id = server.post("/v1/chat", &question).await.expect(200)["execution_id"].as_str().unwrap().to_owned();
    let question = json!({"question": "How?", "query": "SELECT 1"});
    let kept = server.post("/api/datasources/ada/verified", &question).await.expect(201);
    let mut faults = Vec::new();
    let conversation = server.post("/api/chat/ui/conversations", &json!({})).await.expect(200);
    for operation in Operation::all(&document).iter().filter(|operation| operation.method == "GET") {
        let made = match operation.path.as_str() {
            "/api/datasources/{name}/verified/{id}" => kept["verified"]["id"].as_str(),
            "/api/chat/ui/conversations/{id}" => conversation["conversation"]["id"].as_str(),
            "/v1/executions/{id}" | "/v1/executions/{id}/events" | "/api/topology/execution/{id}" => Some(id.as_str()),
            _ => None,
        };
        let path = made.map(|id| operation.path.replace("{name}", "ada").replace("{id}", id));
        let answer = server.get(&path.unwrap_or_else(|| operation.filled_path())).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text);
        faults.extend(operation.untold(&document, &answer));
    }
    assert_none(&faults);
}
