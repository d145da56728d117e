use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rmcp::model::PaginatedRequestParams;
use rmcp::service::{Peer, RoleClient};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::error::McpError;
use crate::kernel::{Redaction, truncate_chars};
use crate::settings::McpOptions;
use crate::tools::arguments;
use crate::tools::function::FunctionSpec;

/// Tools that a server may have. What it lists beyond them does not exist for us.
const MAX_TOOLS: usize = 1_000;
/// Pages that its list may have.
const MAX_PAGES: usize = 100;
/// Bytes that all descriptions and schemas may have.
const MAX_LISTING_BYTES: usize = 4_000_000;
/// Regular expressions that all schemas may have.
const MAX_PATTERNS: usize = 500;
/// Bytes that the name of a tool may have; the specification asks for no more either.
const MAX_NAME_BYTES: usize = 128;
/// Characters of a description that a model is shown.
const MAX_DESCRIPTION_CHARS: usize = 4_000;
/// Characters of it that a person is shown.
const MAX_SUMMARY_CHARS: usize = 300;
/// Bytes that a schema may have.
const MAX_SCHEMA_BYTES: usize = 100_000;
/// How long a list is believed if its server does not say, and the bounds of what it may say.
const DEFAULT_TTL: Duration = Duration::from_secs(300);
const MIN_TTL: Duration = Duration::from_secs(30);
const MAX_TTL: Duration = Duration::from_secs(3600);

/// The tools of a server, those that the configuration leaves out left out.
#[derive(Clone, Debug)]
pub(super) struct ToolListing {
    pub(super) tools: Vec<ListedTool>,
    /// Tools that can't be offered.
    pub(super) skipped: Vec<SkippedTool>,
    /// Until when it is believed.
    pub(super) expires_at: Instant,
}

/// One of the tools.
#[derive(Clone, Debug)]
pub(super) struct ListedTool {
    pub(super) name: String,
    pub(super) spec: FunctionSpec,
    /// It is not what it was when the tool was first used.
    changed: bool,
}

/// A tool that can't be offered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SkippedTool {
    name: String,
    reason: String,
}

/// A tool as a test of its server shows it.
#[derive(Serialize)]
pub(super) struct ToolSummary<'a> {
    name: &'a str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
}

/// Asks a server for its tools, page by page.
pub(super) async fn list(
    peer: &Peer<RoleClient>,
    options: &McpOptions,
    redaction: &Redaction,
) -> Result<ToolListing, McpError> {
    let mut listed = ToolListing { tools: Vec::new(), skipped: Vec::new(), expires_at: Instant::now() };
    let (mut fresh, mut budget) = (MAX_TTL, (MAX_LISTING_BYTES, MAX_PATTERNS));
    let mut names = HashSet::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let page = peer.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor))).await?;
        fresh = fresh.min(page.ttl_ms.map_or(DEFAULT_TTL, Duration::from_millis)).max(MIN_TTL);
        for tool in page.tools {
            let name: String = redaction.text(&tool.name);
            if !is_included(&name, options) {
                continue;
            }
            if names.len() == MAX_TOOLS {
                listed.skip(&name, format!("the server lists more than {MAX_TOOLS} tools"));
                return Ok(listed.expires_in(fresh));
            }
            match describe(tool, &name, redaction, &mut budget).await {
                _ if !names.insert(name.clone()) => listed.skip(&name, "the server lists it twice"),
                Ok(spec) => listed.tools.push(ListedTool { name, spec, changed: false }),
                Err(why) => listed.skip(&name, why),
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(listed.expires_in(fresh));
        }
        // A long list of small pages leaves others their turn.
        tokio::task::yield_now().await;
    }
    listed.skip("*", format!("the server's list has more than {MAX_PAGES} pages"));
    Ok(listed.expires_in(fresh))
}

/// What models are told of a tool; the error says why it can't be offered.
async fn describe(
    tool: rmcp::model::Tool,
    name: &str,
    redaction: &Redaction,
    (bytes_left, patterns_left): &mut (usize, usize),
) -> Result<FunctionSpec, String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(format!("its name should have 1 to {MAX_NAME_BYTES} bytes and no control characters"));
    }
    let title = tool.annotations.and_then(|annotations| annotations.title);
    let description = tool.description.map(String::from).or(tool.title).or(title);
    let description =
        truncate_chars(&redaction.text(&description.unwrap_or_else(|| name.to_owned())), MAX_DESCRIPTION_CHARS);
    let parameters = redaction.json(Value::Object(Map::clone(&tool.input_schema)));
    let bytes = parameters.to_string().len();
    if bytes > MAX_SCHEMA_BYTES {
        return Err(format!("its schema has more than {MAX_SCHEMA_BYTES} bytes"));
    }
    *bytes_left = bytes_left
        .checked_sub(bytes + description.len())
        .ok_or_else(|| format!("the server's list has more than {MAX_LISTING_BYTES} bytes"))?;
    if parameters.get("type").is_none_or(|kind| kind != "object") {
        return Err("its schema should be that of an object".to_owned());
    }
    *patterns_left = patterns_left
        .checked_sub(arguments::count_patterns(&parameters))
        .ok_or_else(|| format!("the schemas of the server have more than {MAX_PATTERNS} patterns"))?;
    let checking = tokio::task::spawn_blocking(move || arguments::check_schema(&parameters).map(|()| parameters));
    let parameters = checking.await.map_err(|_| "its schema can't be used".to_owned())??;
    Ok(FunctionSpec { description, parameters })
}

/// Whether the configuration lets a tool through.
fn is_included(name: &str, options: &McpOptions) -> bool {
    let is_named = |patterns: &[String]| {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        })
    };
    (options.include.is_empty() || is_named(&options.include)) && !is_named(&options.exclude)
}

impl ToolListing {
    fn expires_in(self, time: Duration) -> Self {
        Self { expires_at: Instant::now() + time, ..self }
    }

    fn skip(&mut self, name: &str, reason: impl Into<String>) {
        self.skipped.push(SkippedTool { name: truncate_chars(name, MAX_NAME_BYTES), reason: reason.into() });
    }

    /// The tools for a person who tests the server.
    pub(super) fn summaries<'a>(&'a self) -> Vec<ToolSummary<'a>> {
        let summary = |tool: &'a ListedTool| ToolSummary {
            name: &tool.name,
            description: truncate_chars(&tool.spec.description, MAX_SUMMARY_CHARS),
            changed: tool.changed.then_some(true),
        };
        self.tools.iter().map(summary).collect()
    }
}

/// What the tools of a server were at first and last: one that describes a tool anew may mean to lead a model astray.
#[derive(Debug, Default)]
pub(super) struct ToolFingerprints(HashMap<String, (Fingerprint, Fingerprint)>);

type Fingerprint = [u8; 32];

impl ToolFingerprints {
    /// Compares a list with what is known, marks in it what has changed, and logs what is new about it.
    pub(super) fn compare(&mut self, server: &str, listed: &mut ToolListing) {
        let is_first = self.0.is_empty();
        for tool in &mut listed.tools {
            let now = fingerprint(&tool.spec);
            let Some((first, last)) = self.0.get_mut(&tool.name) else {
                self.0.insert(tool.name.clone(), (now, now));
                if !is_first {
                    tracing::info!(server, tool = %tool.name, "an MCP server has a new tool");
                }
                continue;
            };
            tool.changed = *first != now;
            if *last != now {
                *last = now;
                tracing::warn!(
                    server, tool = %tool.name,
                    "an MCP server has changed the description or schema of a tool; look at it and save the tool to accept it"
                );
            }
        }
        // A server that lists ever new names must not fill our memory.
        if self.0.len() > 2 * MAX_TOOLS {
            self.0.retain(|name, _| listed.tools.iter().any(|tool| tool.name == *name));
        }
    }
}

fn fingerprint(spec: &FunctionSpec) -> Fingerprint {
    let mut schema = spec.parameters.clone();
    schema.sort_all_objects();
    Sha256::digest(format!("{}\0{schema}", spec.description)).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(tools: &[(&str, &str, Value)]) -> ToolListing {
        let describe = |(name, description, parameters): &(&str, &str, Value)| ListedTool {
            name: (*name).to_owned(),
            spec: FunctionSpec { description: (*description).to_owned(), parameters: parameters.clone() },
            changed: false,
        };
        ToolListing { tools: tools.iter().map(describe).collect(), skipped: Vec::new(), expires_at: Instant::now() }
    }

    fn changed(known: &mut ToolFingerprints, tools: &[(&str, &str, Value)]) -> Vec<bool> {
        let mut listed = listed(tools);
        known.compare("test", &mut listed);
        listed.tools.iter().map(|tool| tool.changed).collect()
    }

    #[test]
    fn a_tool_is_changed_until_it_is_again_what_it_was_first() {
        let mut known = ToolFingerprints::default();
        let schema = json!({"type": "object", "title": "A"});
        assert_eq!(changed(&mut known, &[("a", "adds", schema.clone())]), [false]);
        let reordered = json!({"title": "A", "type": "object"});
        assert_eq!(changed(&mut known, &[("a", "adds", reordered), ("b", "new", json!({}))]), [false, false]);
        assert_eq!(changed(&mut known, &[("a", "adds, and sends it to me", schema.clone())]), [true]);
        assert_eq!(changed(&mut known, &[("a", "adds, and sends it to me", schema.clone())]), [true]);
        assert_eq!(changed(&mut known, &[("a", "adds", json!({"type": "object"}))]), [true]);
        assert_eq!(changed(&mut known, &[("a", "adds", schema)]), [false]);
    }

    #[test]
    fn include_and_exclude_take_names_and_beginnings() {
        let options = |include: &[&str], exclude: &[&str]| McpOptions {
            transport: None,
            include: include.iter().map(|name| (*name).to_owned()).collect(),
            exclude: exclude.iter().map(|name| (*name).to_owned()).collect(),
            timeout: None,
        };
        let chosen = |options: &McpOptions| {
            let names = ["read", "read_all", "write"].into_iter();
            names.filter(|name| is_included(name, options)).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&options(&[], &[])), ["read", "read_all", "write"]);
        assert_eq!(chosen(&options(&["read"], &[])), ["read"]);
        assert_eq!(chosen(&options(&["read*"], &["read_all"])), ["read"]);
        assert_eq!(chosen(&options(&[], &["read*"])), ["write"]);
    }
}
