//! JSON stays at the edges: services return types, and what comes from outside is read within limits.

use proc_macro2::{TokenStream, TokenTree};

use crate::none;
use crate::source::{Source, paths, production};

/// Where JSON may be read without counting its values: where they are counted, and where it is the operator's.
const READS_JSON: &[&str] = &["src/kernel/json.rs", "src/settings/json_file.rs"];

/// Where JSON may be written down: what is sent to others in their format or told to a model, what is stored in a documented one, the
/// rows that a statement for Postgres reads, and what the OpenAPI document says. Routes may too (`web/resource.rs` has what the three
/// resource rooms share of theirs), and the demo, which plays such others.
const WIRE_FORMATS: &[&str] = &[
    "src/app/evaluate.rs",
    "src/chat/callable.rs",
    "src/datasources/cube.rs",
    "src/datasources/cube_result.rs",
    "src/datasources/rest.rs",
    "src/llm/common_json.rs",
    "src/llm/ollama.rs",
    "src/llm/openai.rs",
    "src/settings/llm/connection.rs",
    "src/settings/resources/agent.rs",
    "src/settings/resources/datasource.rs",
    "src/settings/resources/tool/tool_settings.rs",
    "src/storage/conversation/codec.rs",
    "src/storage/transcript/postgres_batch.rs",
    "src/tools/code_executor/schema.rs",
    "src/tools/http_request/schema.rs",
    "src/tools/web_search/engines/serper.rs",
    "src/tools/web_search/engines/tavily.rs",
    "src/tools/web_search/query.rs",
    "src/web/error.rs",
    "src/web/openapi/schema.rs",
];

#[test]
fn json_from_outside_is_read_within_limits() {
    let reads = |path: &Vec<String>| {
        let functions = ["from_slice", "from_str", "from_reader", "Deserializer", "StreamDeserializer"];
        path.len() > 1 && path[0] == "serde_json" && functions.contains(&path[1].as_str())
    };
    let wrong: Vec<_> = production()
        .iter()
        .filter(|source| !READS_JSON.contains(&source.path.as_str()) && paths(source.tokens.clone()).iter().any(reads))
        .map(|source| source.path.clone())
        .collect();
    none(&wrong, "JSON is read with kernel::JsonReader");
}

#[test]
fn json_is_made_in_routes_and_wire_formats_only() {
    let may = |source: &Source| {
        source.is_routes
            || source.path.starts_with("src/app/demo/")
            || WIRE_FORMATS
                .iter()
                .any(|file| source.path == *file || file.ends_with('/') && source.path.starts_with(file))
    };
    let sources = production();
    let wrong: Vec<_> = sources
        .iter()
        .filter(|source| !may(source))
        .map(|source| (source, calls(source.tokens.clone())))
        .filter(|(_, calls)| *calls > 0)
        .map(|(source, calls)| format!("{} has json! {calls} times", source.path))
        .collect();
    none(&wrong, "json! stands in routes and wire formats only; other rooms are given types");
    let unused: Vec<_> = WIRE_FORMATS
        .iter()
        .filter(|file| {
            !sources.iter().any(|source| source.path.starts_with(**file) && calls(source.tokens.clone()) > 0)
        })
        .map(|file| (*file).to_owned())
        .collect();
    none(&unused, "the list of wire formats names files that have no json!");
}

/// How many `json!` there are.
fn calls(tokens: TokenStream) -> usize {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let inner: usize =
        tokens.iter().map(|token| if let TokenTree::Group(group) = token { calls(group.stream()) } else { 0 }).sum();
    let here = tokens.windows(2).filter(|pair| {
        matches!(pair, [TokenTree::Ident(name), TokenTree::Punct(mark)] if name == "json" && mark.as_char() == '!')
    });
    inner + here.count()
}
