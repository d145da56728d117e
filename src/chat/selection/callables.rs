use std::cmp::Reverse;

use super::targets;
use crate::agents::AgentEntry;
use crate::chat::callable::Callable;
use crate::chat::relevance::Keywords;
use crate::chat::request::{ChatOptions, UserRequest};
use crate::chat::router::RoutingDecision;
use crate::chat::stages::{is_open, names_work};
use crate::chat::task::{AgentChoice, Task, TaskKind};
use crate::chat::text::short_line;
use crate::datasources::Source;
use crate::grounding::{Candidate, Need};
use crate::settings::Settings;
use crate::tools::ToolFunction;

/// Data sources and agents that a model is offered at once; if there are no more, all of them.
const MAX_RESOURCES: usize = 8;
/// Functions that a model is offered at once: more would fill its context.
const MAX_FUNCTIONS: usize = 64;
/// Functions that are named of those that are not offered.
const MAX_NAMED: usize = 10;

/// What a model may call, and in words what it could have been offered besides.
pub(in crate::chat) struct Offer {
    pub(in crate::chat) callables: Vec<Callable>,
    pub(in crate::chat) left_out: Option<String>,
}

/// What a model may call while it answers: the tools, and the data sources and agents that fit the prompt best and that the plan does
/// not use, as far as the request leaves them open. None but tools if the request names these, or if nothing is needed.
pub(in crate::chat) fn offered(
    mut tools: Vec<ToolFunction>,
    route: &RoutingDecision,
    request: &UserRequest,
    settings: &Settings,
    steps: &[Task],
) -> Offer {
    let options = &request.options;
    let names_tools = options.tool.is_some() || options.tools.is_some() || options.use_tools == Some(false);
    let is_needed = names_work(options) || route.findings.need > Need::Unsaid;
    let mut offered = Vec::new();
    if !names_tools && is_needed {
        offered = resources(&route.findings.candidates, settings);
        offered.retain(|callable| !is_used(callable, steps) && may_be_used(callable, route, options));
        offered.truncate(MAX_RESOURCES);
    }
    let left_out = left_out(&mut tools, MAX_FUNCTIONS.saturating_sub(offered.len()), &request.prompt);
    Offer { callables: tools.into_iter().map(Callable::Tool).chain(offered).collect(), left_out }
}

/// Keeps so many of these functions, if there are more those that fit the prompt best; the others are told in words.
fn left_out(tools: &mut Vec<ToolFunction>, most: usize, prompt: &str) -> Option<String> {
    if tools.len() <= most {
        return None;
    }
    let keywords = Keywords::of(prompt);
    let about = |function: &ToolFunction| format!("{} {}", function.name.replace('_', " "), function.description);
    tools.sort_by_cached_key(|function| Reverse(keywords.score(&about(function))));
    let others = tools.split_off(most);
    let named: Vec<_> = others.iter().take(MAX_NAMED).map(|function| short_line(&function.name)).collect();
    let more = others.len().saturating_sub(MAX_NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(format!(
        "{} of the tools' functions were not offered, since a model is offered {MAX_FUNCTIONS} at most; metadata.tools names those that \
         are wanted: {}{more}",
        others.len(),
        named.join(", ")
    ))
}

/// Data sources and agents, those that fit best first. Of many only those that fit at all.
fn resources(found: &[Candidate], settings: &Settings) -> Vec<Callable> {
    let sources = settings.datasources.enabled().filter(|_| settings.orchestration.grounding_enabled);
    let sources = sources.map(|source: &Source| Callable::Source(source.clone()));
    let agents = settings.agents.enabled().map(|agent: &AgentEntry| Callable::Agent(agent.clone()));
    let some: Vec<_> = sources.chain(agents).take(MAX_RESOURCES + 1).collect();
    if some.len() > MAX_RESOURCES {
        return found.iter().filter_map(|candidate| targets::callable(candidate, settings)).collect();
    }
    let rank = |callable: &Callable| found.iter().position(|candidate| targets::is_callable(candidate, callable));
    let mut ranked: Vec<_> = some.into_iter().map(|callable| (rank(&callable), callable)).collect();
    ranked.sort_by_key(|(rank, _)| Reverse(rank.map(Reverse)));
    ranked.into_iter().map(|(_, callable)| callable).collect()
}

/// Whether the prompt and what the request says in its metadata leave it open.
fn may_be_used(callable: &Callable, route: &RoutingDecision, options: &ChatOptions) -> bool {
    let target = callable.target();
    !route.findings.is_denied(target.kind, &target.name)
        && is_open(target.kind, &target.name, route.classification.intent, options)
}

/// Whether the plan asks it already.
fn is_used(callable: &Callable, steps: &[Task]) -> bool {
    steps.iter().any(|task| match (&task.kind, callable) {
        (TaskKind::DataQuery(query), Callable::Source(source)) => query.source.name == source.name,
        (TaskKind::ExternalAgent(AgentChoice::One(one)), Callable::Agent(agent)) => one.name == agent.name,
        (TaskKind::ExternalAgent(AgentChoice::Among(_)), Callable::Agent(_)) => true,
        _ => false,
    })
}
