//! What `config` holds, by the type of the tool. Clients send `""` for what they leave empty, so that and null are taken for
//! every key.

use utoipa::openapi::Schema;

use crate::settings::bounds::{MEMORY_MEGABYTES, PORTS, SEARCH_RESULTS, TOOL_SECONDS};
use crate::settings::{Language, SearchProvider};
use crate::web::openapi::schema::{
    Members, PADDING, any_case, any_of, boolean, decimal, integer, list_or_text, map_of, or_blank, or_null, pattern,
    text,
};
use crate::web::openapi::{numbers, texts};

/// Keys, each with what it is for.
struct ConfigSchema(Members);

impl ConfigSchema {
    fn new() -> Self {
        Self(Members::new()).key("timeout", "Limit for one execution, in seconds.", decimal(&TOOL_SECONDS))
    }

    fn key(self, name: &str, purpose: &str, schema: Schema) -> Self {
        Self(self.0.optional(name, purpose, or_null(or_blank(schema))))
    }

    /// Keys that name the server, or its credential.
    fn keys(self, names: [&str; 2], purpose: &str, schema: fn() -> Schema) -> Self {
        names.into_iter().fold(self, |config, name| config.key(name, purpose, schema()))
    }

    /// Where the server is, and what it wants to see.
    fn service(self) -> Self {
        self.keys(["base_url", "endpoint"], "Where the server is.", texts::trimmed_http_url)
            .key("port", "Port of `endpoint`, if that names none.", integer(&PORTS))
            .keys(["auth_token", "api_key"], "Credential.", texts::without_control)
    }

    fn object(self, purpose: &str) -> Schema {
        self.0.object(purpose)
    }
}

pub(super) fn http_request() -> Schema {
    let hosts = list_or_text(texts::host_pattern(), comma_separated(&texts::host_expression()));
    ConfigSchema::new()
        .service()
        .key("headers", "Sent to the own server with every request.", texts::headers(&[]))
        .key("allowed_hosts", "Other servers that may be called, without the credentials.", hosts)
        .object("Settings of an HTTP client.")
}

pub(super) fn web_search() -> Schema {
    let known = any_case(&SearchProvider::ALL.map(|(name, _)| name));
    let known = search_keys(pattern(format!(r"^{PADDING}(?:{known}){PADDING}$")));
    any_of([known.object("Settings of a search of the web."), own_search("endpoint"), own_search("base_url")])
}

/// A service of one's own may have any name; then it says where it is.
fn own_search(key: &str) -> Schema {
    let keys = search_keys(text()).0.required(key, "Where the server is.", texts::trimmed_http_url());
    keys.object("Settings of a search by a service of one's own, which is asked as the original asked all of them.")
}

fn search_keys(provider: Schema) -> ConfigSchema {
    ConfigSchema::new()
        .service()
        .key("provider", "Who searches.", provider)
        .keys(["engine_id", "cx"], "Search engine of Google Custom Search.", text)
        .key("max_results", "Results that are asked for unless a caller says so.", integer(&SEARCH_RESULTS))
}

pub(super) fn code_executor() -> Schema {
    let languages = any_case(&Language::ALL.map(Language::as_str));
    let one = pattern(format!(r"^{PADDING}(?:{languages}){PADDING}$"));
    let memory = "Memory of a program: a number of megabytes, or such as `512MB` or `2GB`.";
    ConfigSchema::new()
        .key("allowed_languages", "Languages.", list_or_text(one, comma_separated(&format!("(?:{languages})"))))
        .key("max_memory", memory, megabytes())
        .key("sandbox_enabled", "False has an effect only with `ALLOW_UNSANDBOXED_CODE=true`.", boolean())
        .key("auto_execute", "True lets chat run code that a model wrote though no request asks for it.", boolean())
        .object("Settings of a sandbox.")
}

pub(super) fn mcp() -> Schema {
    let texts_of = || list_or_text(text(), text());
    let variables = map_of(texts::variable_name(), pattern(r"^[^\x00]*$"));
    ConfigSchema::new()
        .keys(["url", "endpoint"], "Where the server is.", texts::trimmed_http_url)
        .key("base_url", "Where the server is.", texts::trimmed_http_url())
        .keys(["auth_token", "api_key"], "Sent as a bearer token.", texts::without_control)
        .key(
            "headers",
            "Sent with every request.",
            texts::headers(&["accept", "content-type", "last-event-id", "mcp-.*"]),
        )
        .key("command", "Starts a server instead: one of `MCP_STDIO_COMMANDS`. Not together with `url`.", text())
        .key("args", "Arguments of the command.", texts_of())
        .key("env", "Variables of its process.", variables)
        .key("include", "Only these of its tools.", texts_of())
        .key("exclude", "None of these.", texts_of())
        .object("Settings of an MCP server.")
}

fn comma_separated(one: &str) -> Schema {
    pattern(format!(r"^(?:{PADDING}{one}{PADDING})?(?:,(?:{PADDING}{one}{PADDING})?)*$"))
}

fn megabytes() -> Schema {
    let (least, most) = (*MEMORY_MEGABYTES.start(), *MEMORY_MEGABYTES.end());
    let range = i64::try_from(least).unwrap_or(0)..=i64::try_from(most).unwrap_or(i64::MAX);
    let with_unit = |range, unit| pattern(format!(r"^{PADDING}{}{PADDING}{unit}{PADDING}$", numbers::digits(&range)));
    let small = with_unit(least..=most, "(?:[mM](?:[iI]?[bB])?)?");
    let large = with_unit(least.div_ceil(1024)..=most / 1024, "[gG](?:[iI]?[bB])?");
    any_of([integer(&range), small, large])
}
