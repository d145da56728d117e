use std::time::Duration;

use serde_json::{Map, Value};

use super::fields::{read_headers, read_secret, read_timeout, read_url};
use crate::kernel::{FieldIssue, Fields, Lenient, LenientResult, Secret, SecretUrl};
use crate::settings::bounds::{DANGEROUS_VARIABLE_PREFIXES, DANGEROUS_VARIABLES};
use crate::settings::{Environment, ToolPolicy};

/// Options of `mcp`.
#[derive(Clone, Debug)]
pub struct McpOptions {
    /// `url` or `command`; `None` if neither is set.
    pub transport: Option<McpTransport>,
    /// `include`: only these of the server's tools; all if empty.
    pub include: Vec<String>,
    /// `exclude`: none of these.
    pub exclude: Vec<String>,
    /// `timeout`
    pub timeout: Option<Duration>,
}

/// How an MCP server is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpTransport {
    /// Streamable HTTP.
    Http {
        /// `url`, or else `endpoint` or `base_url`.
        url: SecretUrl,
        /// `auth_token` or `api_key`: sent as a bearer token.
        auth_token: Option<Secret>,
        /// `headers`
        headers: Vec<(String, Secret)>,
    },
    /// A child process that reads stdin and writes stdout.
    Stdio {
        /// `command`, as it stands in `MCP_STDIO_COMMANDS`.
        command: String,
        /// `args`
        args: Vec<String>,
        /// `env`: variables of the process, besides those it has from this server, such as `PATH`, which it can't set.
        env: Vec<(String, Secret)>,
    },
}

impl McpOptions {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            transport: read_transport(fields),
            include: fields.or("include", Vec::new()),
            exclude: fields.or("exclude", Vec::new()),
            timeout: read_timeout(fields),
        }
    }

    /// The program it starts, if that is none of those the operator allows.
    pub(super) fn forbidden(&self, environment: &Environment) -> Vec<FieldIssue> {
        let rules = ToolPolicy::read(&mut environment.fields());
        match &self.transport {
            Some(McpTransport::Stdio { command, .. }) if !rules.mcp_stdio_commands.contains(command) => {
                let loc = vec!["config".into(), "command".into()];
                let msg = "Input should be one of the commands that MCP_STDIO_COMMANDS allows";
                vec![FieldIssue::new("value_error", loc, msg, command.as_str().into())]
            }
            _ => Vec::new(),
        }
    }
}

fn read_transport(fields: &mut Fields<'_>) -> Option<McpTransport> {
    let url = ["url", "endpoint", "base_url"].into_iter().find_map(|key| read_url(fields, key));
    let (auth_token, headers) = (read_secret(fields, ["auth_token", "api_key"]), read_headers(fields));
    for (name, _) in &headers {
        let name = name.to_ascii_lowercase();
        let is_protocols =
            ["accept", "content-type", "last-event-id"].contains(&name.as_str()) || name.starts_with("mcp-");
        if is_protocols || (name == "authorization" && auth_token.is_some()) {
            fields.reject("headers", format!("Input should not have the header '{name}', which is set otherwise"));
        }
    }
    let command: Option<String> = fields.optional("command");
    let args = fields.or("args", CommandArgs::default()).0;
    let env = read_env(fields);
    match (url, command) {
        (Some(_), Some(_)) => {
            fields.reject("command", "Input should not be given together with url");
            None
        }
        (Some(url), None) => Some(McpTransport::Http { url, auth_token, headers }),
        (None, Some(command)) => Some(McpTransport::Stdio { command, args, env }),
        (None, None) => None,
    }
}

/// A list of texts; unlike elsewhere a single text is one of them, commas and all.
#[derive(Default)]
struct CommandArgs(Vec<String>);

impl Lenient for CommandArgs {
    fn read(value: &Value) -> LenientResult<Self> {
        let texts = |items: &Vec<Value>| items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        let read = value.as_array().and_then(texts).or_else(|| value.as_str().map(|one| vec![one.to_owned()]));
        read.map(Self).ok_or(("list_type", "Input should be a list of strings"))
    }
}

/// Whether a variable of this name could make another program of one that the operator allows.
fn is_dangerous_variable(name: &str) -> bool {
    DANGEROUS_VARIABLES.contains(&name) || DANGEROUS_VARIABLE_PREFIXES.iter().any(|start| name.starts_with(start))
}

fn read_env(fields: &mut Fields<'_>) -> Vec<(String, Secret)> {
    let mut variables = Vec::new();
    for (name, value) in fields.or("env", Map::new()) {
        match value.as_str() {
            Some(_) if is_dangerous_variable(&name) => {
                let msg = format!(
                    "Input should not set '{name}', which decides on what program is run, or is loaded into it"
                );
                fields.reject("env", msg);
            }
            Some(text) if !name.is_empty() && !name.contains(['=', '\0']) && !text.contains('\0') => {
                variables.push((name, Secret::new(text)));
            }
            _ => fields.reject("env", format!("Input should map names of variables to texts; '{name}' is none")),
        }
    }
    variables
}
