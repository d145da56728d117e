use super::gap::Gap;
use super::intent::Intent;
use super::plan::Plan;
use super::request::{ChatOptions, UserRequest};
use super::selection::{Selection, agents, datasources, functions, tools};
use super::task::{Action, Task, TaskKind};
use crate::kernel::{Deadline, Error};
use crate::settings::Settings;
use crate::tools::{Tool, ToolFunction, ToolService};

/// Stages of an intent before its answer, each of which uses what came before it.
fn stages_of(intent: Intent) -> &'static [Action] {
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
fn stages(intent: Intent, options: &ChatOptions) -> Vec<Action> {
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

fn is_named(action: Action, options: &ChatOptions) -> bool {
    match action {
        Action::ExternalAgent => options.agent.is_some(),
        Action::DataQuery => options.datasource.is_some(),
        Action::ToolExecution => options.tool.is_some() || options.tools.is_some(),
        Action::LlmCall => false,
    }
}

/// Makes the plan out of what is enabled; what that lacks is a gap. An error is the caller's fault.
pub(super) async fn plan(
    intent: Intent,
    request: &UserRequest,
    settings: &Settings,
    service: &ToolService,
    deadline: Deadline,
) -> Result<Plan, Error> {
    let mut draft = Draft::new(intent, request, settings)?;
    for action in stages(intent, &request.options) {
        draft.add_stage(action)?;
    }
    for task in &draft.steps {
        if let TaskKind::ToolRun(run) = &task.kind {
            functions::check_arguments(service, run, settings, deadline).await?;
        }
    }
    let (functions, missing) = functions::offered(service, draft.offered.clone(), request, settings, deadline).await;
    Ok(draft.into_plan(functions, missing))
}

/// A plan in the making.
struct Draft<'a> {
    intent: Intent,
    request: &'a UserRequest,
    settings: &'a Settings,
    steps: Vec<Task>,
    /// Ids of the stage that was added last.
    last_stage: Vec<String>,
    answer: TaskKind,
    gaps: Vec<Gap>,
    offered: Vec<Tool>,
}

impl<'a> Draft<'a> {
    fn new(intent: Intent, request: &'a UserRequest, settings: &'a Settings) -> Result<Self, Error> {
        let (offered, denied) = tools::offered(&request.options, intent, settings)?;
        let mut gaps: Vec<_> = denied.into_iter().map(|why| Gap::new(why, true)).collect();
        let mut answer = TaskKind::LlmCall;
        if intent == Intent::CodeGeneration {
            match tools::code(&request.options, settings) {
                Some(Selection::Use(tool)) => answer = TaskKind::Program(tool),
                Some(Selection::Unavailable(why)) => gaps.push(Gap::new(format!("the code is not run: {why}"), true)),
                None => {}
            }
        }
        let (steps, last_stage) = (Vec::new(), Vec::new());
        Ok(Self { intent, request, settings, steps, last_stage, answer, gaps, offered })
    }

    /// Adds who does an action, several if they do it side by side; each builds on the stage before.
    fn add_stage(&mut self, action: Action) -> Result<(), Error> {
        let kinds = match self.kinds(action)? {
            Selection::Use(kinds) => kinds,
            Selection::Unavailable(why) => {
                self.gaps.push(Gap::new(why, is_named(action, &self.request.options)));
                return Ok(());
            }
        };
        let depends_on = std::mem::take(&mut self.last_stage);
        for kind in kinds {
            // What the plan has run is not offered once more.
            if let TaskKind::ToolRun(run) = &kind {
                self.offered.retain(|tool| tool.name != run.tool.name);
            }
            let id = self.next_id();
            self.last_stage.push(id.clone());
            self.steps.push(Task { id, kind, depends_on: depends_on.clone() });
        }
        Ok(())
    }

    /// Who does an action.
    fn kinds(&self, action: Action) -> Result<Selection<Vec<TaskKind>>, Error> {
        let (intent, settings, options) = (self.intent, self.settings, &self.request.options);
        let run = |run: Selection<_>| run.map(|run| vec![TaskKind::ToolRun(run)]);
        Ok(match action {
            Action::LlmCall => Selection::Use(Vec::new()),
            Action::ExternalAgent => {
                agents::choose(options, intent, settings)?.map(|choice| vec![TaskKind::ExternalAgent(choice)])
            }
            Action::DataQuery => datasources::choose(self.request, intent, settings)?
                .map(|sources| sources.into_iter().map(TaskKind::DataQuery).collect()),
            Action::ToolExecution => match tools::direct(options, settings)? {
                Some(direct) => run(direct),
                None if intent == Intent::WebSearch => run(tools::search(options, settings)),
                None if self.offered.is_empty() => Selection::Unavailable(tools::why_none(options, settings)),
                // The model chooses while it answers.
                None => Selection::Use(Vec::new()),
            },
        })
    }

    fn next_id(&self) -> String {
        format!("task_{}", self.steps.len() + 1)
    }

    /// The plan with these functions, and with what their servers lack of that which the request wants.
    fn into_plan(self, functions: Vec<ToolFunction>, missing: Vec<String>) -> Plan {
        let wants_tool = self.intent == Intent::ToolExecution && !self.offered.is_empty();
        let names_tools = self.request.options.tools.is_some();
        let depends_on = self.steps.iter().map(|task| task.id.clone()).collect();
        let answer = Task { id: self.next_id(), kind: self.answer, depends_on };
        let mut gaps = self.gaps;
        if wants_tool || names_tools {
            gaps.extend(missing.into_iter().map(|why| Gap::new(why, names_tools)));
        }
        Plan { steps: self.steps, answer, gaps, functions, wants_tool, names_tools }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::kernel::UserId;
    use crate::settings::{Environment, load};

    fn request(options: ChatOptions) -> UserRequest {
        UserRequest { prompt: "What?".to_owned(), user: UserId::anonymous(), metadata: Map::new(), options }
    }

    fn draft<'a>(intent: Intent, request: &'a UserRequest, settings: &'a Settings) -> Result<Draft<'a>, Error> {
        let mut draft = Draft::new(intent, request, settings)?;
        stages(intent, &request.options).into_iter().try_for_each(|action| draft.add_stage(action))?;
        Ok(draft)
    }

    fn loaded(variables: &[(&str, &str)]) -> Settings {
        load(Environment::from_pairs(variables.iter().copied())).unwrap().settings
    }

    #[test]
    fn what_an_intent_lacks_is_named() {
        let (settings, request) = (loaded(&[]), request(ChatOptions::default()));
        for intent in Intent::ALL {
            let draft = draft(intent, &request, &settings).unwrap();
            assert_eq!(draft.steps.len() + draft.gaps.len(), stages_of(intent).len(), "{intent:?}");
        }
        assert_eq!(draft(Intent::ChurnAnalytics, &request, &settings).unwrap().gaps.len(), 2);
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
        let draft = draft(intent, &request, &settings).unwrap();
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
            assert!(draft(Intent::GeneralLlm, &request(wrong), &settings).is_err());
        }
        let off = request(named("off"));
        let gaps = draft(Intent::GeneralLlm, &off, &settings).unwrap().gaps;
        assert_eq!((gaps[0].text.as_str(), gaps[0].degrades), ("Tool 'off' is disabled", true));
    }

    #[tokio::test]
    async fn sources_are_asked_side_by_side_and_the_answer_builds_on_everything() {
        let settings = loaded(&[
            ("DATASOURCES", r#"{"a": {"type": "api", "url": "http://a"}, "b": {"type": "api", "url": "http://b"}}"#),
            ("EXTERNAL_AGENTS", r#"{"c": {"url": "http://c"}}"#),
        ]);
        let request = request(ChatOptions::default());
        let draft = draft(Intent::ChurnAnalytics, &request, &settings).unwrap();
        let plan = draft.into_plan(Vec::new(), Vec::new());
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
}
