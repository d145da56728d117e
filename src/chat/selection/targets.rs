use super::tools::{code_options, is_search};
use crate::agents::AgentEntry;
use crate::chat::callable::Callable;
use crate::chat::intent::Intent;
use crate::chat::request::UserRequest;
use crate::chat::stages::is_open;
use crate::chat::task::{AgentChoice, TaskKind};
use crate::datasources::Source;
use crate::grounding::{Candidate, Findings, ResourceKind};
use crate::settings::{Resource, Settings};
use crate::tools::{Tool, resolve_name};

/// Leaves of what was found what may be used for a request of this intent: what it rules out is not, nor are tools that run code,
/// which no prompt has run.
pub(in crate::chat) fn retain_usable(
    findings: &mut Findings,
    intent: Intent,
    request: &UserRequest,
    settings: &Settings,
) {
    let options = &request.options;
    let allowed = |name: &str| {
        let is_listed = |listed: &String| {
            let tool = resolve_name(settings.tools.iter(), listed).map(|(tool, _)| tool.name.as_str() == name);
            listed == name || tool == Some(true)
        };
        options.tools.as_ref().is_none_or(|names| names.iter().any(is_listed))
    };
    findings.candidates.retain(|found| is_open(found.kind, &found.name, intent, options));
    findings.candidates.retain(|found| match found.kind {
        ResourceKind::DataSource => source(found, settings).is_some(),
        ResourceKind::Agent => agent(found, settings).is_some(),
        ResourceKind::Tool => {
            let may_run = tool(found, settings).is_some_and(|tool| code_options(&tool).is_none());
            may_run && options.use_tools != Some(false) && allowed(&found.name)
        }
    });
}

/// The data source that was found, if data sources are consulted.
pub(in crate::chat) fn source(found: &Candidate, settings: &Settings) -> Option<Source> {
    let is_asked = found.kind == ResourceKind::DataSource && settings.orchestration.grounding_enabled;
    let source = settings.datasources.get(&found.name).filter(|source| source.effective.enabled());
    source.filter(|_| is_asked).cloned()
}

/// The agent that was found.
pub(in crate::chat) fn agent(found: &Candidate, settings: &Settings) -> Option<AgentEntry> {
    let agent = settings.agents.get(&found.name).filter(|agent| agent.effective.enabled());
    agent.filter(|_| found.kind == ResourceKind::Agent).cloned()
}

/// The tool that was found.
pub(in crate::chat) fn tool(found: &Candidate, settings: &Settings) -> Option<Tool> {
    let tool = settings.tools.get(&found.name).filter(|tool| tool.effective.enabled());
    tool.filter(|tool| found.kind == ResourceKind::Tool && !tool.effective.is_unsupported()).cloned()
}

/// Whether a tool was found that searches the web.
pub(in crate::chat) fn is_search_tool(found: &Candidate, settings: &Settings) -> bool {
    tool(found, settings).is_some_and(|tool| is_search(&tool))
}

/// What a model is offered of the data source or the agent that was found.
pub(in crate::chat) fn callable(found: &Candidate, settings: &Settings) -> Option<Callable> {
    match found.kind {
        ResourceKind::DataSource => source(found, settings).map(Callable::Source),
        ResourceKind::Agent => agent(found, settings).map(Callable::Agent),
        ResourceKind::Tool => None,
    }
}

/// Whether a candidate is what a model is offered.
pub(in crate::chat) fn is_callable(found: &Candidate, callable: &Callable) -> bool {
    match callable {
        Callable::Source(source) => found.kind == ResourceKind::DataSource && found.name == source.name.as_str(),
        Callable::Agent(agent) => found.kind == ResourceKind::Agent && found.name == agent.name.as_str(),
        Callable::Tool(function) => found.kind == ResourceKind::Tool && found.name == function.tool.name.as_str(),
    }
}

/// The resource that a task uses, if it is known beforehand.
pub(in crate::chat) fn of_task(kind: &TaskKind) -> Option<(ResourceKind, String)> {
    let (kind, name) = match kind {
        TaskKind::DataQuery(query) => (ResourceKind::DataSource, query.source.name.as_str()),
        TaskKind::ExternalAgent(AgentChoice::One(agent)) => (ResourceKind::Agent, agent.name.as_str()),
        TaskKind::ToolRun(run) => (ResourceKind::Tool, run.tool.name.as_str()),
        TaskKind::ToolCall(function) => (ResourceKind::Tool, function.tool.name.as_str()),
        TaskKind::Program(tool) => (ResourceKind::Tool, tool.name.as_str()),
        TaskKind::ExternalAgent(AgentChoice::Among(_)) | TaskKind::LlmCall => return None,
    };
    Some((kind, name.to_owned()))
}

/// The label of a request that these serve: that of the first, data before others.
pub(in crate::chat) fn intent_of(chosen: &[Candidate], settings: &Settings) -> Intent {
    let intent = |found: &Candidate| match found.kind {
        ResourceKind::DataSource => Intent::DataQuery,
        ResourceKind::Agent => Intent::ExternalAgent,
        ResourceKind::Tool if is_search_tool(found, settings) => Intent::WebSearch,
        ResourceKind::Tool => Intent::ToolExecution,
    };
    let data = chosen.iter().find(|found| found.kind == ResourceKind::DataSource);
    data.or(chosen.first()).map_or(Intent::GeneralLlm, intent)
}
