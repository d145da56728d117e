use super::label::{Classification, Intent};
use crate::chat::request::UserRequest;

/// What a request says of its intent in `metadata`: by its label, or by naming what serves it, beside what the rules say of its
/// prompt. `None` if it says nothing.
pub(in crate::chat) fn of_request(request: &UserRequest, by_rules: Classification) -> Option<Classification> {
    let options = &request.options;
    let certain = |intent| Some(Classification { intent, confidence: 1.0 });
    if let Some(intent) = options.intent {
        return certain(intent);
    }
    // A prompt taken for one of these may as well ask for a program.
    let may_be_code = matches!(by_rules.intent, Intent::GeneralLlm | Intent::ToolExecution);
    match (&options.agent, &options.datasource, &options.tool) {
        (None, None, None) if options.execute == Some(true) && may_be_code => certain(Intent::CodeGeneration),
        (None, None, None) => None,
        _ if by_rules.intent == Intent::ChurnAnalytics => Some(by_rules),
        (Some(_), None, None) => certain(Intent::ExternalAgent),
        (None, Some(_), None) => certain(Intent::DataQuery),
        (None, None, Some(_)) => certain(Intent::ToolExecution),
        _ => Some(by_rules),
    }
}
