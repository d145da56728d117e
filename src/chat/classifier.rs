use std::time::Duration;

use super::intent::{self, Classification, Intent};
use super::request::UserRequest;
use super::target_selection;
use crate::kernel::Deadline;
use crate::llm::{ChatRequest, LlmClient};
use crate::settings::{IntentClassifier, Settings};

/// Longest wait for a model's word on the intent.
const CLASSIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a request asks for: what it says itself, or else what the rules say, or a model if it is to be asked.
pub(super) async fn classify(
    llm: &LlmClient,
    user_request: &UserRequest,
    settings: &Settings,
    deadline: Deadline,
) -> Classification {
    if let Some(intent) = user_request.options.intent {
        return Classification { intent, confidence: 1.0, unsure: false };
    }
    let by_rules = by_rules(user_request, settings);
    let ask = match settings.orchestration.intent_classifier {
        IntentClassifier::Rules => false,
        IntentClassifier::Auto => by_rules.unsure,
        IntentClassifier::Llm => true,
    };
    if !ask {
        return by_rules;
    }
    let question =
        ChatRequest { temperature: Some(0.0), ..ChatRequest::question(intent::question(&user_request.prompt)) };
    match llm.complete(settings.llm.effective(), &question, deadline.at_most(CLASSIFY_TIMEOUT)).await {
        Ok(answer) => intent::read_answer(&answer.content).unwrap_or(by_rules),
        Err(error) => {
            tracing::warn!(error = error.log_safe(), untrusted = %error, "the model did not classify the prompt; the rules decide");
            by_rules
        }
    }
}

/// What the rules say; a request that names a target says itself what it wants, and a question for figures about what a
/// data source holds is one for data.
fn by_rules(user_request: &UserRequest, settings: &Settings) -> Classification {
    let by_rules = intent::classify(&user_request.prompt);
    let options = &user_request.options;
    let named = match (&options.agent, &options.datasource, &options.tool) {
        (Some(_), None, None) => Some(Intent::ExternalAgent),
        (None, Some(_), None) => Some(Intent::DataQuery),
        (None, None, Some(_)) => Some(Intent::ToolExecution),
        (None, None, None) if options.execute == Some(true) && is_open(by_rules.intent) => Some(Intent::CodeGeneration),
        _ => None,
    };
    match named {
        Some(intent) if by_rules.intent != Intent::ChurnAnalytics => {
            Classification { intent, confidence: 1.0, unsure: false }
        }
        None if by_rules.intent == Intent::GeneralLlm
            && intent::asks_for_figures(&user_request.prompt)
            && target_selection::is_about_data(&user_request.prompt, settings) =>
        {
            Classification { intent: Intent::DataQuery, confidence: 0.6, unsure: true }
        }
        _ => by_rules,
    }
}

/// Whether a prompt taken for this may as well ask for a program.
fn is_open(intent: Intent) -> bool {
    matches!(intent, Intent::GeneralLlm | Intent::ToolExecution)
}
