use std::cmp::Reverse;

use serde_json::{Map, Value};

use super::intent::Intent;
use super::request::{ChatOptions, UserRequest};
use super::search_query;
use super::target_selection::{Choice, serves, words};
use crate::kernel::{Error, FieldIssue};
use crate::settings::{Resource, Settings, ToolOptions};
use crate::tools::{Tool, ToolFunction, ToolFunctions, resolve_name};

/// Functions that a model is offered at once: more would fill its context.
const MAX_OFFERED: usize = 64;
/// What is missing where there is nothing to run.
const NONE: &str = "no tool is available to this server";
/// The same where there are only tools that run code, which nobody asked for.
const CODE_UNASKED: &str = "code is run only if the request says so (metadata.execute)";

/// A tool that the request names, and what to run it with.
#[derive(Clone, Debug)]
pub(super) struct ToolRun {
    pub(super) tool: Tool,
    /// As the request names it; `server__tool` for a tool of an MCP server.
    pub(super) name: String,
    /// A search that is given no query takes it from the prompt.
    pub(super) arguments: Map<String, Value>,
}

/// The tools that a model is offered while it answers.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolOffer {
    /// All of them.
    pub(super) tools: Vec<Tool>,
    /// What `metadata.tools` names; None if it is not there.
    only: Option<Vec<String>>,
    /// Whether the user wants one to be used.
    pub(super) is_wanted: bool,
}

impl ToolOffer {
    /// Whether the request names what is offered.
    pub(super) fn is_named(&self) -> bool {
        self.only.is_some()
    }

    /// What of these functions is offered, the ones that fit the prompt first if there are too many; and what is missing of
    /// that which the request wants.
    pub(super) fn narrowed(&self, found: ToolFunctions, prompt: &str) -> (Vec<ToolFunction>, Vec<String>) {
        let ToolFunctions { mut all, problems } = found;
        let mut missing = if self.is_wanted || self.only.is_some() { problems } else { Vec::new() };
        if let Some(only) = &self.only {
            let is_named = |function: &ToolFunction, name: &String| {
                function.has_name(name) || *name == *function.tool.name.as_str()
            };
            if missing.is_empty() {
                let lacking = only.iter().filter(|name| is_member(name, &self.tools));
                let lacking = lacking.filter(|name| !all.iter().any(|function| is_named(function, name)));
                missing.extend(lacking.map(|name| format!("Tool '{name}': its server has no such tool")));
            }
            all.retain(|function| only.iter().any(|name| is_named(function, name)));
        }
        if all.len() > MAX_OFFERED {
            let asked = words(prompt);
            let score = |function: &ToolFunction| {
                let about = format!("{} {}", function.name.replace('_', " "), function.description);
                words(&about).intersection(&asked).count()
            };
            all.sort_by_cached_key(|function| Reverse(score(function)));
            all.truncate(MAX_OFFERED);
        }
        (all, missing)
    }
}

/// Whether a name is that of a tool of one of these servers.
fn is_member(name: &str, tools: &[Tool]) -> bool {
    matches!(resolve_name(tools.iter(), name), Some((_, Some(_))))
}

/// Whether a request has code run: it says so itself, or else its prompt does, clearly.
pub(super) fn wants_run(user_request: &UserRequest) -> bool {
    user_request.options.execute.unwrap_or_else(|| search_query::prompt_asks_to_run(&user_request.prompt))
}

/// The tools to offer for an intent. An error is the caller's fault; what is named and disabled is told in words.
pub(super) fn offer(
    user_request: &UserRequest,
    intent: Intent,
    settings: &Settings,
) -> Result<(ToolOffer, Vec<String>), Error> {
    let options = &user_request.options;
    let mut denied = Vec::new();
    let mut tools = Vec::new();
    for name in options.tools.iter().flatten() {
        match named(settings, name, "tools")? {
            Ok(tool) if !tools.iter().any(|known: &Tool| known.name == tool.name) => tools.push(tool),
            Ok(_) => {}
            Err(why) => denied.push(why),
        }
    }
    if options.tools.is_none() {
        tools = usable(settings).collect();
    }
    // Written code is run by plan, if at all. Elsewhere a model may run some if the request names the tool or has code run.
    let is_named = options.tools.is_some() && options.execute != Some(false);
    if intent == Intent::CodeGeneration || !(is_named || wants_run(user_request)) {
        tools.retain(|tool| !is_code(tool));
    }
    // A request that names one tool has it run, and no other.
    if options.use_tools == Some(false) || options.tool.is_some() {
        tools.clear();
        denied.clear();
    }
    let is_wanted = intent == Intent::ToolExecution && !tools.is_empty();
    Ok((ToolOffer { tools, only: options.tools.clone(), is_wanted }, denied))
}

/// The run of the tool that the request names, if it names one.
pub(super) fn direct(options: &ChatOptions, settings: &Settings) -> Choice<Option<ToolRun>> {
    let Some(name) = &options.tool else { return Ok(Ok(None)) };
    let arguments = || options.tool_params.clone().unwrap_or_default();
    let run = |tool| Some(ToolRun { tool, name: name.clone(), arguments: arguments() });
    let tool = named(settings, name, "tool")?;
    Ok(match tool {
        _ if options.use_tools == Some(false) => Err(switched_off()),
        Ok(tool) if options.execute == Some(false) && is_code(&tool) => {
            Err(format!("Tool '{}' runs code, which this request rules out (metadata.execute=false)", tool.name))
        }
        tool => tool.map(run),
    })
}

const SEARCH: &str = "web_search";

/// The search for an intent that needs one.
pub(super) fn search(options: &ChatOptions, settings: &Settings) -> Choice<ToolRun> {
    let tool = of_kind(options, settings, Intent::WebSearch, is_search)?;
    Ok(tool.map(|tool| ToolRun { name: tool.name.to_string(), tool, arguments: Map::new() }))
}

/// The tool that runs written code.
pub(super) fn code(options: &ChatOptions, settings: &Settings) -> Choice<Tool> {
    of_kind(options, settings, Intent::CodeGeneration, is_code)
}

/// Whether any tool can be used for a request.
pub(super) fn any(user_request: &UserRequest, intent: Intent, settings: &Settings) -> Choice<()> {
    if user_request.options.use_tools == Some(false) {
        return Ok(Err(switched_off()));
    }
    let (offer, _) = offer(user_request, intent, settings)?;
    let has_code = || usable(settings).any(|tool| is_code(&tool));
    Ok(match offer.tools.is_empty() {
        false => Ok(()),
        true => Err(if has_code() { CODE_UNASKED } else { NONE }.to_owned()),
    })
}

/// The enabled tool of a kind: the one whose `config.intents` has the intent, the one that is the default, or the first.
fn of_kind(
    options: &ChatOptions,
    settings: &Settings,
    intent: Intent,
    is_of_kind: impl Fn(&Tool) -> bool,
) -> Choice<Tool> {
    if options.use_tools == Some(false) {
        return Ok(Err(switched_off()));
    }
    let is_named = |tool: &Tool| match &options.tools {
        Some(names) => names.iter().any(|name| name == tool.name.as_str()),
        None => true,
    };
    let usable: Vec<_> = usable(settings).collect();
    if usable.is_empty() {
        return Ok(Err(NONE.to_owned()));
    }
    let candidates: Vec<_> = usable.into_iter().filter(|tool| is_of_kind(tool) && is_named(tool)).collect();
    let config = |tool: &Tool, key: &str| tool.effective.config.expose().get(key).cloned();
    let serving = candidates.iter().find(|tool| serves(config(tool, "intents").as_ref(), intent));
    let default = || candidates.iter().find(|tool| config(tool, "default") == Some(Value::Bool(true)));
    let what = if intent == Intent::WebSearch { "web search" } else { "code" };
    let none = || format!("no {what} tool is configured and enabled");
    Ok(serving.or_else(default).or(candidates.first()).cloned().ok_or_else(none))
}

/// Whether it searches the web.
pub(super) fn is_search(tool: &Tool) -> bool {
    tool.effective.kind == SEARCH
}

fn is_code(tool: &Tool) -> bool {
    matches!(tool.effective.options(), Ok(ToolOptions::Code(_)))
}

/// The enabled tools that this server can run.
fn usable(settings: &Settings) -> impl Iterator<Item = Tool> {
    settings.tools.enabled().filter(|tool| !tool.effective.is_unsupported()).cloned()
}

/// The tool of this name; `server__tool` means a tool of an MCP server.
fn named(settings: &Settings, name: &str, field: &'static str) -> Choice<Tool> {
    match resolve_name(settings.tools.iter(), name).map(|(tool, _)| tool) {
        Some(tool) if !tool.effective.enabled() => Ok(Err(format!("Tool '{}' is disabled", tool.name))),
        Some(tool) if tool.effective.is_unsupported() => {
            Ok(Err(format!("Tool '{}': unsupported type '{}'", tool.name, tool.effective.kind)))
        }
        Some(tool) => Ok(Ok(tool.clone())),
        None => {
            let loc = vec!["body".into(), "metadata".into(), field.into()];
            let msg = format!("Input should name one of the tools: there is no '{name}'");
            Err(Error::invalid(vec![FieldIssue::new("value_error", loc, msg, Value::String(name.to_owned()))]))
        }
    }
}

fn switched_off() -> String {
    "tools are switched off for this request (metadata.use_tools=false)".to_owned()
}
