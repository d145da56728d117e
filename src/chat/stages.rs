//! The stages of a request before its answer, and which resources its metadata leaves open to them.

use super::intent::Intent;
use super::request::ChatOptions;
use super::task::Action;
use crate::grounding::ResourceKind;

/// Stages of an intent before its answer, each of which uses what came before it.
pub(super) fn stages_of(intent: Intent) -> &'static [Action] {
    use Action::{DataQuery, ExternalAgent, ToolExecution};
    match intent {
        Intent::ChurnAnalytics => &[DataQuery, ExternalAgent],
        Intent::DataQuery => &[DataQuery],
        Intent::WebSearch | Intent::ToolExecution => &[ToolExecution],
        Intent::ExternalAgent => &[ExternalAgent],
        Intent::CodeGeneration | Intent::GeneralLlm => &[],
    }
}

/// The stages of a request before its answer: its intent's, and one for each target that it names.
pub(super) fn stages(intent: Intent, options: &ChatOptions) -> Vec<Action> {
    let mut stages = stages_of(intent).to_vec();
    if options.agent.is_some() && !stages.contains(&Action::ExternalAgent) {
        stages.push(Action::ExternalAgent);
    }
    if options.datasource.is_some() && !stages.contains(&Action::DataQuery) {
        stages.insert(0, Action::DataQuery);
    }
    if options.tool.is_some() && !stages.contains(&Action::ToolExecution) {
        stages.push(Action::ToolExecution);
    }
    stages
}

/// Whether a request leaves a data source or an agent open: the one that it names of a kind and no other; where it names an intent or
/// anything else, those of the stages of its intent; else all.
pub(super) fn is_open(kind: ResourceKind, name: &str, intent: Intent, options: &ChatOptions) -> bool {
    let (named, action) = match kind {
        ResourceKind::DataSource => (&options.datasource, Action::DataQuery),
        ResourceKind::Agent => (&options.agent, Action::ExternalAgent),
        ResourceKind::Tool => return true,
    };
    let names_tools = options.tool.is_some() || options.tools.is_some();
    match named {
        Some(named) => named == name,
        None => !(names_tools || names_work(options)) || stages_of(intent).contains(&action),
    }
}

/// Whether a request says itself what kind of work it is, or who does it.
pub(super) fn names_work(options: &ChatOptions) -> bool {
    options.intent.is_some() || options.agent.is_some() || options.datasource.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_metadata_names_leaves_nothing_else_open() {
        use ResourceKind::{Agent, DataSource, Tool};
        let text = |name: &str| Some(name.to_owned());
        let open = |intent, options: &ChatOptions| {
            let all = [(DataSource, "erp"), (DataSource, "hr"), (Agent, "zain"), (Tool, "clock")];
            let open = all.into_iter().filter(|(kind, name)| is_open(*kind, name, intent, options));
            open.map(|(_, name)| name).collect::<Vec<_>>()
        };
        let none = ChatOptions::default;
        assert_eq!(open(Intent::GeneralLlm, &none()), ["erp", "hr", "zain", "clock"]);
        let with_intent = |intent| open(intent, &ChatOptions { intent: Some(intent), ..none() });
        assert_eq!(with_intent(Intent::GeneralLlm), ["clock"]);
        assert_eq!(with_intent(Intent::DataQuery), ["erp", "hr", "clock"]);
        assert_eq!(with_intent(Intent::ExternalAgent), ["zain", "clock"]);
        let source = ChatOptions { datasource: text("erp"), ..none() };
        assert_eq!(open(Intent::DataQuery, &source), ["erp", "clock"]);
        assert_eq!(open(Intent::ChurnAnalytics, &source), ["erp", "zain", "clock"], "its second stage");
        let agent = ChatOptions { agent: text("zain"), ..none() };
        assert_eq!(open(Intent::ExternalAgent, &agent), ["zain", "clock"]);
        let tools = || ChatOptions { tools: Some(vec!["clock".to_owned()]), ..none() };
        assert_eq!(open(Intent::GeneralLlm, &tools()), ["clock"]);
        assert_eq!(open(Intent::GeneralLlm, &ChatOptions { datasource: text("hr"), ..tools() }), ["hr", "clock"]);
        assert_eq!(open(Intent::ToolExecution, &ChatOptions { tool: text("clock"), ..none() }), ["clock"]);
    }
}
