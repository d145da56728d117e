use super::context::ChatServices;
use super::intent::{self, Classification, Intent};
use super::request::UserRequest;
use super::routing::RoutedBy;
use super::selection::{model_choice, targets};
use crate::grounding::{Candidate, Findings, Need, ResourceKind};
use crate::kernel::Deadline;
use crate::llm::LlmClient;
use crate::settings::{IntentClassifier, Settings};

/// The confidence that nothing that is configured is needed, although a rule knows a word.
const UNNEEDED: f64 = 0.8;
/// The confidence in a model's choice.
const CHOSEN: f64 = 0.8;

/// What has to serve a request and what may, before a plan is made of it.
#[derive(Debug)]
pub(super) struct RoutingDecision {
    /// What the request asks for, by the labels of the original.
    pub(super) classification: Classification,
    pub(super) by: RoutedBy,
    /// For a person.
    pub(super) reason: String,
    /// What has to be used, in the order of the prompt.
    pub(super) chosen: Vec<Candidate>,
    /// What the prompt is about by the index.
    pub(super) findings: Findings,
}

/// Finds out what serves a request: what it names itself; else what the rules are sure of, and what the index of all that is
/// configured says; where that is not clear, a model chooses, if it has to be asked.
pub(super) async fn route(
    services: &ChatServices,
    request: &UserRequest,
    settings: &Settings,
    deadline: Deadline,
) -> RoutingDecision {
    let mut findings = services.grounding.find(&request.prompt, settings, &request.caller, deadline).await;
    let by_rules = intent::of_rules(&request.prompt);
    let by_request = intent::of_request(request, by_rules);
    let intent = by_request.unwrap_or(by_rules).intent;
    targets::retain_usable(&mut findings, intent, request, settings);
    if let Some(classification) = by_request {
        let reason = "the request says so in metadata".to_owned();
        return RoutingDecision { classification, by: RoutedBy::Request, reason, chosen: Vec::new(), findings };
    }
    let decided = decide(by_rules, request, settings, findings);
    if !asks_model(&decided, &services.llm, request, settings) {
        return decided;
    }
    let choice = model_choice::choose(&services.llm, request, settings, &decided.findings, deadline);
    // Boxed, because few requests need one.
    match Box::pin(choice).await {
        Some(chosen) => RoutingDecision::by_model(chosen, settings, decided),
        None => decided,
    }
}

/// What rules and index say.
fn decide(by_rules: Classification, request: &UserRequest, settings: &Settings, findings: Findings) -> RoutingDecision {
    let clear: Vec<_> = findings.clear().cloned().collect();
    if by_rules.intent != Intent::GeneralLlm && !is_overruled(by_rules.intent, &request.prompt, &findings) {
        let mut reason = format!("the words of the prompt say {}", by_rules.intent.as_str());
        if !clear.is_empty() {
            reason = format!("{reason}; {}", reasons(&clear));
        }
        return RoutingDecision { classification: by_rules, by: RoutedBy::Rules, reason, chosen: clear, findings };
    }
    if !clear.is_empty() {
        let confidence = clear.iter().map(|candidate| candidate.score).fold(0.0, f64::max);
        let classification = Classification { intent: targets::intent_of(&clear, settings), confidence };
        let reason = reasons(&clear);
        return RoutingDecision { classification, by: RoutedBy::Score, reason, chosen: clear, findings };
    }
    let confidence = if by_rules.intent == Intent::GeneralLlm { by_rules.confidence } else { UNNEEDED };
    let classification = Classification { intent: Intent::GeneralLlm, confidence };
    let reason = match findings.need {
        Need::Nothing | Need::Unsaid => "it needs nothing that is configured",
        _ if findings.candidates.is_empty() => "nothing that is configured is about it",
        _ => "it may be about something that is configured, which is not clear",
    };
    RoutingDecision { classification, by: RoutedBy::Rules, reason: reason.to_owned(), chosen: Vec::new(), findings }
}

/// Why these, in one line.
fn reasons(chosen: &[Candidate]) -> String {
    let reason = |candidate: &Candidate| format!("{}: {}", candidate.name, candidate.reason);
    chosen.iter().map(reason).collect::<Vec<_>>().join("; ")
}

/// Whether what the rules take for a sign is none: the prompt only speaks of it, or searches in data.
fn is_overruled(by_rules: Intent, prompt: &str, findings: &Findings) -> bool {
    match by_rules {
        Intent::CodeGeneration => false,
        Intent::DataQuery if intent::is_query(prompt) => false,
        Intent::WebSearch if findings.need != Need::Nothing => {
            !intent::names_the_web(prompt) && findings.clear().any(|found| found.kind == ResourceKind::DataSource)
        }
        _ if findings.need == Need::Nothing && findings.clear().next().is_none() => true,
        _ => is_ruled_out(by_rules, findings),
    }
}

/// Whether the prompt names what does such work only to rule it out: `Don't ask the billing agent`.
fn is_ruled_out(by_rules: Intent, findings: &Findings) -> bool {
    let kind = match by_rules {
        Intent::DataQuery => ResourceKind::DataSource,
        Intent::ExternalAgent => ResourceKind::Agent,
        Intent::ToolExecution => ResourceKind::Tool,
        Intent::WebSearch | Intent::ChurnAnalytics | Intent::CodeGeneration | Intent::GeneralLlm => return false,
    };
    let is_denied = findings.denied.iter().any(|(denied, _)| *denied == kind);
    is_denied && !findings.clear().any(|found| found.kind == kind)
}

/// Whether a model is asked to choose: always, or where words are not clear and the model that answers can't be offered functions.
/// One that can chooses while it answers.
fn asks_model(route: &RoutingDecision, client: &LlmClient, request: &UserRequest, settings: &Settings) -> bool {
    let (llm, model) = (settings.llm.effective(), request.options.model.as_deref());
    let has_choice = !route.findings.candidates.is_empty();
    let is_open = route.chosen.is_empty() && route.classification.intent == Intent::GeneralLlm;
    match settings.orchestration.intent_classifier {
        IntentClassifier::Rules => false,
        IntentClassifier::Llm => has_choice,
        IntentClassifier::Auto => has_choice && is_open && client.takes_no_tools(llm, model),
    }
}

impl RoutingDecision {
    /// Whether rules on words said what is wanted.
    pub(super) fn is_by_rules(&self) -> bool {
        self.by == RoutedBy::Rules || self.by == RoutedBy::Request
    }

    /// What a model chose. That the prompt wants a program is the rules' to say.
    fn by_model(chosen: Vec<Candidate>, settings: &Settings, decided: Self) -> Self {
        let intent = match chosen.is_empty() {
            true if decided.classification.intent == Intent::CodeGeneration => Intent::CodeGeneration,
            true => Intent::GeneralLlm,
            false => targets::intent_of(&chosen, settings),
        };
        let reason = match chosen.is_empty() {
            true => "the model says that nothing that is configured is needed".to_owned(),
            false => reasons(&chosen),
        };
        let classification = Classification { intent, confidence: CHOSEN };
        Self { classification, by: RoutedBy::Model, reason, chosen, findings: decided.findings }
    }
}
