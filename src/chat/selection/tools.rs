use serde_json::Map;

use super::{Selection, is_default, serves, unknown};
use crate::chat::intent::Intent;
use crate::chat::request::ChatOptions;
use crate::chat::task::ToolRun;
use crate::grounding::{Findings, ResourceKind};
use crate::kernel::Error;
use crate::settings::{CodeOptions, Resource, Settings, ToolOptions, ToolSettings};
use crate::tools::{Tool, resolve_name};

/// What is missing where there is nothing to run.
const NO_TOOL: &str = "no tool is available to this server";
/// What is missing where there are only tools that run code.
const CODE_NOT_ALLOWED: &str = "code is run only if the request says so (metadata.execute)";
const SWITCHED_OFF: &str = "tools are switched off for this request (metadata.use_tools=false)";

const SEARCH: &str = "web_search";

/// The tools that a model may ask for while it answers, and why others that the request names can't be used.
pub(in crate::chat) fn offered(
    options: &ChatOptions,
    intent: Intent,
    settings: &Settings,
) -> Result<(Vec<Tool>, Vec<String>), Error> {
    let (mut tools, mut denied) = (Vec::<Tool>::new(), Vec::new());
    for name in options.tools.iter().flatten() {
        match named(settings, name, "tools")? {
            Selection::Use(tool) if tools.iter().any(|known| known.name == tool.name) => {}
            Selection::Use(tool) => tools.push(tool),
            Selection::Unavailable(why) => denied.push(why),
        }
    }
    // A request that names one tool has it run, and no other.
    if options.use_tools == Some(false) || options.tool.is_some() {
        return Ok(Default::default());
    }
    if options.tools.is_none() {
        tools = usable(settings).collect();
    }
    // Code that is to be written is run by plan, if at all.
    let may_run = |code: CodeOptions| intent != Intent::CodeGeneration && may_execute(options, &code);
    tools.retain(|tool| code_options(tool).is_none_or(may_run));
    Ok((tools, denied))
}

/// Whether code may be executed: as `metadata.execute` says; else if the request names the tool among those that may be used,
/// or its configuration allows it. Nothing that a prompt says has code run.
fn may_execute(options: &ChatOptions, code: &CodeOptions) -> bool {
    options.execute.unwrap_or(options.tools.is_some() || code.auto_execute)
}

/// The run of the tool that the request names, if it names one.
pub(in crate::chat) fn direct(options: &ChatOptions, settings: &Settings) -> Result<Option<Selection<ToolRun>>, Error> {
    let Some(name) = &options.tool else { return Ok(None) };
    Ok(Some(match named(settings, name, "tool")? {
        _ if options.use_tools == Some(false) => Selection::Unavailable(SWITCHED_OFF.to_owned()),
        Selection::Use(tool) if options.execute == Some(false) && code_options(&tool).is_some() => {
            let why = format!("Tool '{}' runs code, which this request rules out (metadata.execute=false)", tool.name);
            Selection::Unavailable(why)
        }
        tool => tool.map(|tool| {
            let arguments = options.tool_params.clone().unwrap_or_default();
            ToolRun { tool, name: name.clone(), arguments }
        }),
    }))
}

/// The search for an intent that needs one, with a tool that the prompt does not rule out.
pub(in crate::chat) fn search(options: &ChatOptions, settings: &Settings, findings: &Findings) -> Selection<ToolRun> {
    let may_search = |tool: &Tool| {
        let is_denied = options.tools.is_none() && findings.is_denied(ResourceKind::Tool, tool.name.as_str());
        is_search(tool) && !is_denied
    };
    let tool = of_kind(options, settings, Intent::WebSearch, may_search);
    tool.map(|tool| ToolRun { name: tool.name.to_string(), tool, arguments: Map::new() })
}

/// The tool that runs the code of an answer, if that is asked for or allowed; why there is none, if the request wants one.
pub(in crate::chat) fn code(options: &ChatOptions, settings: &Settings) -> Option<Selection<Tool>> {
    let may_run = |tool: &Tool| code_options(tool).is_some_and(|code| may_execute(options, &code));
    match of_kind(options, settings, Intent::CodeGeneration, may_run) {
        Selection::Unavailable(_) if options.execute != Some(true) => None,
        selection => Some(selection),
    }
}

/// Why no tool can be used for a request that wants one, if none is offered.
pub(in crate::chat) fn why_none(options: &ChatOptions, settings: &Settings) -> String {
    let why = if options.use_tools == Some(false) {
        SWITCHED_OFF
    } else if usable(settings).any(|tool| code_options(&tool).is_some()) {
        CODE_NOT_ALLOWED
    } else {
        NO_TOOL
    };
    why.to_owned()
}

/// The enabled tool of a kind: the one whose `config.intents` has the intent, the one that is the default, or the first.
fn of_kind(
    options: &ChatOptions,
    settings: &Settings,
    intent: Intent,
    is_of_kind: impl Fn(&Tool) -> bool,
) -> Selection<Tool> {
    let unavailable = |why: &str| Selection::Unavailable(why.to_owned());
    if options.use_tools == Some(false) {
        return unavailable(SWITCHED_OFF);
    }
    if usable(settings).next().is_none() {
        return unavailable(NO_TOOL);
    }
    let is_named =
        |tool: &Tool| options.tools.as_ref().is_none_or(|names| names.iter().any(|name| name == tool.name.as_str()));
    let candidates: Vec<_> = usable(settings).filter(|tool| is_of_kind(tool) && is_named(tool)).collect();
    let serving = candidates.iter().find(|tool| serves(&tool.effective.config, intent));
    let default = || candidates.iter().find(|tool| is_default(&tool.effective.config));
    match serving.or_else(default).or(candidates.first()) {
        Some(tool) => Selection::Use(tool.clone()),
        None if intent == Intent::WebSearch => unavailable("no web search tool is configured and enabled"),
        None => unavailable("no code tool is configured and enabled"),
    }
}

/// Whether a tool searches the web.
pub(in crate::chat) fn is_search(tool: &Tool) -> bool {
    tool.effective.kind == SEARCH
}

/// The options of a tool that runs code.
pub(in crate::chat) fn code_options(tool: &Tool) -> Option<CodeOptions> {
    match tool.effective.options() {
        Ok(ToolOptions::Code(options)) => Some(options),
        _ => None,
    }
}

/// The enabled tools that this server can run.
fn usable(settings: &Settings) -> impl Iterator<Item = Tool> {
    settings.tools.enabled().filter(|tool| !tool.effective.is_unsupported()).cloned()
}

/// The tool of this name; `server__tool` means a tool of an MCP server.
fn named(settings: &Settings, name: &str, field: &'static str) -> Result<Selection<Tool>, Error> {
    let Some((tool, _)) = resolve_name(settings.tools.iter(), name) else {
        return Err(unknown::<ToolSettings>(name, field));
    };
    Ok(if !tool.effective.enabled() {
        Selection::Unavailable(format!("Tool '{}' is disabled", tool.name))
    } else if tool.effective.is_unsupported() {
        Selection::Unavailable(format!("Tool '{}': unsupported type '{}'", tool.name, tool.effective.kind))
    } else {
        Selection::Use(tool.clone())
    })
}
