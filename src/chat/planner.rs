use super::draft::Draft;
use super::plan::Plan;
use super::request::UserRequest;
use super::router::RoutingDecision;
use super::selection::functions;
use super::task::TaskKind;
use crate::kernel::{Deadline, Error};
use crate::settings::Settings;
use crate::tools::ToolService;

/// Makes the plan out of what is enabled; what that lacks is a gap. An error is the caller's fault.
pub(super) async fn plan(
    route: &RoutingDecision,
    request: &UserRequest,
    settings: &Settings,
    service: &ToolService,
    deadline: Deadline,
) -> Result<Plan, Error> {
    let mut draft = Draft::new(route, request, settings)?;
    draft.add_stages()?;
    for (found, tool) in draft.chosen_tools() {
        let function = Box::pin(functions::chosen(service, found, tool, settings, deadline)).await;
        draft.add_function(found, function);
    }
    draft.add_chosen_agents();
    for task in &draft.steps {
        if let TaskKind::ToolRun(run) = &task.kind {
            Box::pin(functions::check_arguments(service, run, settings, deadline)).await?;
        }
    }
    let functions = functions::offered(service, draft.offered.clone(), request, settings, deadline).await;
    Ok(draft.into_plan(functions))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::chat::intent::Classification;
    use crate::chat::intent::Intent;
    use crate::chat::request::ChatOptions;
    use crate::chat::routing::RoutedBy;
    use crate::chat::stages::{stages, stages_of};
    use crate::chat::task::Action;
    use crate::grounding::{Candidate, ResourceKind};
    use crate::grounding::{Clarity, Findings};
    use crate::kernel::Caller;
    use crate::settings::{Environment, load};

    fn request(options: ChatOptions) -> UserRequest {
        UserRequest::new("What?".to_owned(), None, Caller::unrestricted()).with_metadata(Map::new(), options)
    }

    fn route(intent: Intent) -> RoutingDecision {
        let classification = Classification { intent, confidence: 0.8 };
        let (by, reason, chosen, findings) = (RoutedBy::Rules, String::new(), Vec::new(), Findings::default());
        RoutingDecision { classification, by, reason, chosen, findings }
    }

    fn draft<'a>(
        route: &'a RoutingDecision,
        request: &'a UserRequest,
        settings: &'a Settings,
    ) -> Result<Draft<'a>, Error> {
        let mut draft = Draft::new(route, request, settings)?;
        draft.add_stages()?;
        Ok(draft)
    }

    fn loaded(variables: &[(&str, &str)]) -> Settings {
        load(Environment::from_pairs(variables.iter().copied())).unwrap().settings
    }

    #[test]
    fn what_an_intent_lacks_is_named() {
        let (settings, request) = (loaded(&[]), request(ChatOptions::default()));
        for intent in Intent::ALL {
            let route = route(intent);
            let draft = draft(&route, &request, &settings).unwrap();
            assert_eq!(draft.steps.len() + draft.gaps.len(), stages_of(intent).len(), "{intent:?}");
        }
        assert_eq!(draft(&route(Intent::ChurnAnalytics), &request, &settings).unwrap().gaps.len(), 2);
    }

    #[test]
    fn what_a_request_names_has_its_stage_whatever_the_intent() {
        let options =
            ChatOptions { agent: Some("a".to_owned()), datasource: Some("d".to_owned()), ..ChatOptions::default() };
        for intent in [Intent::ChurnAnalytics, Intent::DataQuery, Intent::ExternalAgent, Intent::GeneralLlm] {
            assert_eq!(stages(intent, &options), [Action::DataQuery, Action::ExternalAgent], "{intent:?}");
            assert_eq!(stages(intent, &ChatOptions::default()), stages_of(intent), "{intent:?}");
        }
    }

    const TOOLS: &str = r#"{"web": {"type": "web_search"}, "api": {"type": "http_request"}, "py": {"type": "code_executor"},
        "off": {"type": "http_request", "enabled": false}, "odd": {"type": "custom"}, "mcp": {"type": "mcp", "config": {"url": "http://m"}}}"#;

    /// The targets of the steps, the tools that are offered, and what the answer is made with.
    fn planned(intent: Intent, options: ChatOptions, tools: &str) -> (Vec<String>, Vec<String>, String) {
        let (settings, request) = (loaded(&[("TOOLS", tools)]), request(options));
        let route = route(intent);
        let draft = draft(&route, &request, &settings).unwrap();
        let steps = draft.steps.iter().map(|task| task.kind.target().unwrap().to_owned()).collect();
        let offered = draft.offered.iter().map(|tool| tool.name.to_string()).collect();
        (steps, offered, draft.answer.target().unwrap_or("the model").to_owned())
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn tools_that_can_be_used_are_offered_and_each_intent_has_its_own() {
        let with = |steps: &[&str], offered: &[&str], answer: &str| (texts(steps), texts(offered), answer.to_owned());
        let all = with(&[], &["web", "api", "mcp"], "the model");
        for intent in [Intent::GeneralLlm, Intent::ToolExecution, Intent::CodeGeneration] {
            assert_eq!(planned(intent, ChatOptions::default(), TOOLS), all, "{intent:?}");
            let none = planned(intent, ChatOptions { use_tools: Some(false), ..ChatOptions::default() }, TOOLS);
            assert_eq!(none, with(&[], &[], "the model"), "{intent:?}");
        }
        let search = planned(Intent::WebSearch, ChatOptions::default(), TOOLS);
        assert_eq!(search, with(&["web"], &["api", "mcp"], "the model"));
    }

    #[test]
    fn three_things_have_code_run_and_a_request_can_rule_it_out() {
        let answer = |options: ChatOptions, tools: &str| planned(Intent::CodeGeneration, options, tools).2;
        let none = ChatOptions::default;
        let named = || ChatOptions { tools: Some(vec!["py".to_owned()]), ..none() };
        let auto = TOOLS.replace(r#""code_executor""#, r#""code_executor", "config": {"auto_execute": true}"#);
        assert_eq!(answer(none(), TOOLS), "the model");
        assert_eq!(answer(ChatOptions { execute: Some(true), ..none() }, TOOLS), "py");
        assert_eq!(answer(named(), TOOLS), "py");
        assert_eq!(answer(none(), &auto), "py");
        for options in [none(), named()] {
            assert_eq!(answer(ChatOptions { execute: Some(false), ..options }, &auto), "the model");
        }
        let offered = |options, tools| planned(Intent::GeneralLlm, options, tools).1.contains(&"py".to_owned());
        assert!(offered(none(), &auto) && !offered(none(), TOOLS));
        assert!(!offered(ChatOptions { execute: Some(false), ..none() }, &auto));
    }

    #[test]
    fn a_servers_tool_is_named_with_its_server() {
        let named = |name: &str| ChatOptions { tool: Some(name.to_owned()), ..ChatOptions::default() };
        let (steps, offered, _) = planned(Intent::GeneralLlm, named("mcp__echo"), TOOLS);
        assert_eq!((steps, offered), (texts(&["mcp__echo"]), vec![]));
        let only = |name: &str| ChatOptions { tools: Some(vec![name.to_owned()]), ..ChatOptions::default() };
        assert_eq!(planned(Intent::GeneralLlm, only("mcp__echo"), TOOLS).1, ["mcp"]);
        let settings = loaded(&[("TOOLS", TOOLS)]);
        for wrong in [named("api__echo"), only("mcp_echo")] {
            assert!(draft(&route(Intent::GeneralLlm), &request(wrong), &settings).is_err());
        }
        let off = request(named("off"));
        let gaps = draft(&route(Intent::GeneralLlm), &off, &settings).unwrap().gaps;
        assert_eq!((gaps[0].text.as_str(), gaps[0].degrades), ("Tool 'off' is disabled", true));
    }

    #[tokio::test]
    async fn sources_are_asked_side_by_side_and_the_answer_builds_on_everything() {
        let settings = loaded(&[
            ("DATASOURCES", r#"{"a": {"type": "api", "url": "http://a"}, "b": {"type": "api", "url": "http://b"}}"#),
            ("EXTERNAL_AGENTS", r#"{"c": {"url": "http://c"}}"#),
        ]);
        let request = request(ChatOptions::default());
        let route = route(Intent::ChurnAnalytics);
        let draft = draft(&route, &request, &settings).unwrap();
        let plan = draft.into_plan(functions::OfferedFunctions::default());
        let expected = json!([
            {"id": "task_1", "action": "data_query", "depends_on": [], "target": "a"},
            {"id": "task_2", "action": "data_query", "depends_on": [], "target": "b"},
            {"id": "task_3", "action": "external_agent", "depends_on": ["task_1", "task_2"], "target": "c"},
            {"id": "task_4", "action": "llm_call", "depends_on": ["task_1", "task_2", "task_3"]},
        ]);
        assert_eq!(json!(plan.shown()), expected);
        assert_eq!(["task_1", "task_2", "task_3", "task_4"].map(|id| plan.stages_after(id)), [2, 2, 1, 0]);
        assert!(!plan.is_repeatable());
    }

    fn found(kind: ResourceKind, name: &str, clause: usize, builds_on_earlier: bool) -> Candidate {
        let (name, reason, items, function) = (name.to_owned(), "why".to_owned(), Vec::new(), None);
        let (score, clarity, is_named) = (0.8, Clarity::Clear, false);
        Candidate { kind, name, function, score, clarity, is_named, reason, items, clause, builds_on_earlier }
    }

    #[test]
    fn what_was_chosen_is_done_side_by_side_unless_it_is_to_work_on_the_rest() {
        let settings = loaded(&[
            ("DATASOURCES", r#"{"a": {"type": "api", "url": "http://a"}, "b": {"type": "api", "url": "http://b"}}"#),
            ("EXTERNAL_AGENTS", r#"{"c": {"url": "http://c"}, "d": {"url": "http://d"}}"#),
            ("TOOLS", TOOLS),
        ]);
        let chosen = vec![
            found(ResourceKind::DataSource, "b", 0, false),
            found(ResourceKind::Tool, "web", 1, false),
            found(ResourceKind::Agent, "c", 2, false),
            found(ResourceKind::Agent, "d", 3, true),
        ];
        let (request, intent) = (request(ChatOptions::default()), Intent::DataQuery);
        let route = RoutingDecision { chosen, by: RoutedBy::Score, ..route(intent) };
        let mut draft = draft(&route, &request, &settings).unwrap();
        assert!(draft.chosen_tools().is_empty(), "the search is there already");
        draft.add_chosen_agents();
        let plan = draft.into_plan(functions::OfferedFunctions::default());
        let expected = json!([
            {"id": "task_1", "action": "data_query", "depends_on": [], "target": "b"},
            {"id": "task_2", "action": "tool_execution", "depends_on": [], "target": "web"},
            {"id": "task_3", "action": "external_agent", "depends_on": [], "target": "c"},
            {"id": "task_4", "action": "external_agent", "depends_on": ["task_1", "task_2", "task_3"], "target": "d"},
            {"id": "task_5", "action": "llm_call", "depends_on": ["task_1", "task_2", "task_3", "task_4"]},
        ]);
        assert_eq!(json!(plan.shown()), expected);
        let targets: Vec<_> = plan.routing.targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!((targets, plan.routing.by), (vec!["b", "web", "c", "d"], RoutedBy::Score));
        assert_eq!(plan.functions.len(), 0, "nothing is needed by the index, so nothing is offered");
    }
}
