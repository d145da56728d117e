use std::collections::HashSet;
use std::time::Duration;

use rmcp::model::{ListToolsResult, PaginatedRequestParams};
use rmcp::service::{Peer, RoleClient};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::error::McpError;
use super::input_schema;
use super::repair::{LeftOutItem, left_out};
use crate::kernel::{Redaction, truncate_chars};
use crate::settings::McpOptions;
use crate::tools::arguments;
use crate::tools::function::FunctionSpec;

/// Tools that a server may have. What it lists beyond them does not exist for us.
pub(super) const MAX_TOOLS: usize = 1_000;
/// Pages that its list may have.
const MAX_PAGES: usize = 100;
/// Tools of which is told that they can't be offered.
const MAX_SKIPPED: usize = 100;
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
/// Tools that can't be offered of which a chat is told, and the characters of why.
const MAX_TOLD: usize = 5;
const MAX_TOLD_CHARS: usize = 200;
/// How long a list is believed if its server does not say, and the bounds of what it may say.
const DEFAULT_TTL: Duration = Duration::from_secs(300);
const MIN_TTL: Duration = Duration::from_secs(30);
const MAX_TTL: Duration = Duration::from_secs(3600);

/// The tools of a server, those that the configuration leaves out left out.
#[derive(Clone, Debug)]
pub(super) struct ToolListing {
    pub(super) tools: Vec<ListedTool>,
    /// Tools that can't be offered, and under the name `*` what else is wrong with the list.
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
    pub(super) changed: bool,
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
    let mut reader = ListReader::new(options, redaction);
    let mut cursor = None;
    for nth in 1..=MAX_PAGES {
        let page = peer.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor))).await;
        let page = match page.map_err(McpError::from) {
            Err(error @ (McpError::ErrorReply(_) | McpError::Other(_))) if nth > 1 => {
                let error = redaction.text(&error.to_string());
                reader.listing.skip("*", format!("asked for page {nth} of its list, the server {error}"));
                return Ok(reader.finish());
            }
            page => page?,
        };
        cursor = match reader.read(page).await {
            Some(cursor) => Some(cursor),
            None => return Ok(reader.finish()),
        };
        // A long list of small pages leaves others their turn.
        tokio::task::yield_now().await;
    }
    reader.listing.skip("*", format!("the server's list has more than {MAX_PAGES} pages"));
    Ok(reader.finish())
}

/// A list that is being read.
struct ListReader<'a> {
    options: &'a McpOptions,
    redaction: &'a Redaction,
    listing: ToolListing,
    /// How long it is believed.
    ttl: Duration,
    names: HashSet<String>,
    /// Digests of the cursors so far.
    cursors: HashSet<[u8; 32]>,
    bytes_left: usize,
    patterns_left: usize,
}

impl<'a> ListReader<'a> {
    fn new(options: &'a McpOptions, redaction: &'a Redaction) -> Self {
        let listing = ToolListing { tools: Vec::new(), skipped: Vec::new(), expires_at: Instant::now() };
        let (names, cursors, ttl) = (HashSet::new(), HashSet::new(), MAX_TTL);
        let (bytes_left, patterns_left) = (MAX_LISTING_BYTES, MAX_PATTERNS);
        Self { options, redaction, listing, ttl, names, cursors, bytes_left, patterns_left }
    }

    fn finish(self) -> ToolListing {
        ToolListing { expires_at: Instant::now() + self.ttl, ..self.listing }
    }

    /// Takes a page; gives the cursor of the next one, if there is one.
    async fn read(&mut self, page: ListToolsResult) -> Option<String> {
        self.ttl = self.ttl.min(page.ttl_ms.map_or(DEFAULT_TTL, Duration::from_millis)).max(MIN_TTL);
        for LeftOutItem { name, reason } in left_out(page.meta.as_ref()) {
            let name = self.redaction.text(&name);
            if is_included(&name, self.options) {
                self.listing.skip(&name, reason);
            }
        }
        let mut twice = Vec::new();
        for tool in page.tools {
            let name: String = self.redaction.text(&tool.name);
            if !is_included(&name, self.options) {
                continue;
            }
            if self.names.len() == MAX_TOOLS {
                self.listing.skip(&name, format!("the server lists more than {MAX_TOOLS} tools"));
                return None;
            }
            if !self.names.insert(name.clone()) {
                twice.push(name);
                continue;
            }
            match self.describe(tool, &name).await {
                Ok(spec) => self.listing.tools.push(ListedTool { name, spec, changed: false }),
                Err(why) => self.listing.skip(&name, why),
            }
        }
        self.next_cursor(page.next_cursor, &twice)
    }

    /// The cursor, unless it leads back to a page that was read: whose tools come twice then, which is no news.
    fn next_cursor(&mut self, cursor: Option<String>, twice: &[String]) -> Option<String> {
        let is_new = cursor.as_ref().is_none_or(|cursor| self.cursors.insert(Sha256::digest(cursor).into()));
        if is_new {
            for name in twice {
                self.listing.skip(name, "the server lists it twice");
            }
            return cursor;
        }
        self.listing.skip("*", "the server's list leads back to a page that was read, and is taken to end there");
        None
    }

    /// What models are told of a tool; the error says why it can't be offered.
    async fn describe(&mut self, tool: rmcp::model::Tool, name: &str) -> Result<FunctionSpec, String> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(format!("its name should have 1 to {MAX_NAME_BYTES} bytes and no control characters"));
        }
        let title = tool.annotations.and_then(|annotations| annotations.title);
        let description = tool.description.map(String::from).or(tool.title).or(title);
        let description = self.redaction.text(&description.unwrap_or_else(|| name.to_owned()));
        let description = truncate_chars(&description, MAX_DESCRIPTION_CHARS);
        let parameters = input_schema::normalize(Map::clone(&tool.input_schema));
        let parameters = self.redaction.json(Value::Object(parameters));
        self.take_budget(&description, &parameters)?;
        let checking = tokio::task::spawn_blocking(move || arguments::check_schema(&parameters).map(|()| parameters));
        let parameters = checking.await.map_err(|_| "its schema can't be used".to_owned())??;
        Ok(FunctionSpec::new(description, parameters))
    }

    fn take_budget(&mut self, description: &str, parameters: &Value) -> Result<(), String> {
        let bytes = parameters.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(format!("its schema has more than {MAX_SCHEMA_BYTES} bytes"));
        }
        let bytes_left = self.bytes_left.checked_sub(bytes + description.len());
        self.bytes_left =
            bytes_left.ok_or_else(|| format!("the server's list has more than {MAX_LISTING_BYTES} bytes"))?;
        if parameters.get("type").is_none_or(|kind| kind != "object") {
            return Err("its schema should be that of an object".to_owned());
        }
        let patterns_left = self.patterns_left.checked_sub(arguments::count_patterns(parameters));
        self.patterns_left =
            patterns_left.ok_or_else(|| format!("the schemas of the server have more than {MAX_PATTERNS} patterns"))?;
        Ok(())
    }
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
    fn skip(&mut self, name: &str, reason: impl Into<String>) {
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(SkippedTool { name: truncate_chars(name, MAX_NAME_BYTES), reason: reason.into() });
        }
    }

    /// What can't be offered, for whoever asks a model: the first of them and why.
    pub(super) fn skipped_summary(&self) -> Option<String> {
        let told = self.skipped.iter().take(MAX_TOLD).map(|SkippedTool { name, reason }| {
            let reason = truncate_chars(reason, MAX_TOLD_CHARS);
            if name == "*" { reason } else { format!("'{name}' can't be offered: {reason}") }
        });
        let told = told.collect::<Vec<_>>().join("; ");
        match self.skipped.len().saturating_sub(MAX_TOLD) {
            _ if self.skipped.is_empty() => None,
            0 => Some(told),
            more => Some(format!("{told}; and {more} more, which its test names")),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
