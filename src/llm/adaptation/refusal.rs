use serde_json::{Map, Value};

use super::change::{Adaptation, MAX_COMPLETION_TOKENS, MAX_TOKENS, is_instruction};
use super::matching::{has_near, is_word, number_after, number_at, only};
use crate::kernel::UpstreamCause;
use crate::llm::{ChatRequest, ErrorReport, LlmError, ToolSpec};

/// Members of a body that are no parameters, or have adaptations of their own.
const ESSENTIAL: [&str; 5] = ["model", "messages", "tools", "stream", "options"];
/// Words that say that a parameter is not known, rather than that its value is wrong.
const UNKNOWN: [&str; 8] =
    ["unsupported", "not supported", "unrecognized", "unknown", "extra ", "unexpected", "not permitted", "instead"];
/// Words near a parameter of those who do not take it as it is.
const REFUSED: [&str; 25] = [
    "support",
    "unknown",
    "unrecognized",
    "unexpected",
    "invalid",
    "permitted",
    "allowed",
    "accept",
    "forbidden",
    "default",
    "deprecated",
    "cannot",
    "too large",
    "too high",
    "too small",
    "range:",
    "range of",
    "of range",
    "the range",
    "extra",
    "must be",
    "should be",
    "at most",
    "less than",
    "greater than",
];
/// Words of those to whom prompt and answer together are too much.
const TOGETHER: [&str; 5] = ["exceed", "prompt", "input token", "input length", "input plus"];
/// Words of those who judge a prompt, which they may quote.
const MODERATION: [&str; 7] = [
    "flagged",
    "moderation",
    "content policy",
    "content_policy",
    "content management policy",
    "content filter",
    "usage polic",
];
/// Words of those who do not take the role of instructions.
const ABOUT_ROLES: [&str; 7] = [
    "system role",
    "role 'system'",
    "role \"system\"",
    "'system' with this model",
    "roles must alternate",
    "roles are supported",
    "system message",
];
/// Words of those who do not stream a model's answers.
const ABOUT_STREAMS: [&str; 4] =
    ["streaming is not", "not support stream", "verified to stream", "streaming not supported"];

/// What to do about a refusal: the first that is known to help and was not done to this request.
pub(super) fn adaptation(
    error: &LlmError,
    request: &ChatRequest,
    body: &Value,
    done: &[Adaptation],
) -> Option<Adaptation> {
    let (LlmError::Status { code, said, .. }, Value::Object(body)) = (error, body) else { return None };
    let refusal = RefusedRequest { text: said.lowercase(), said, body };
    if error.is_failed_call() || MODERATION.iter().any(|words| refusal.text.contains(words)) {
        return None;
    }
    let found = match error.cause() {
        Some(UpstreamCause::ContextLength) => refusal.about_length(),
        Some(_) => Vec::new(),
        None if error.refuses_tools() => Vec::new(),
        None if matches!(code, 400 | 422) => refusal.found(request),
        // Templates of llama.cpp fail like the server itself: only plain words count.
        None if *code == 500 => refusal.about_roles(),
        None => Vec::new(),
    };
    found.into_iter().find(|adaptation| !done.contains(adaptation))
}

/// Whether a refusal is the same as before, so that what was done about that one is no help.
pub(super) fn is_in_vain(done: &Adaptation, before: &LlmError, now: &LlmError) -> bool {
    match (done, now) {
        // By its place, it is about the function that has moved up.
        (Adaptation::WithoutTool(name, _), LlmError::Status { said, .. }) => {
            before == now && is_word(&said.lowercase(), &name.to_lowercase())
        }
        _ => before == now,
    }
}

struct RefusedRequest<'a> {
    said: &'a ErrorReport,
    /// What it says, in lower case.
    text: String,
    body: &'a Map<String, Value>,
}

impl RefusedRequest<'_> {
    /// All that may help, the likeliest first.
    fn found(&self, request: &ChatRequest) -> Vec<Adaptation> {
        let about = [self.about_tools(request), self.about_messages(), self.about_roles(), self.about_parameters()];
        about.into_iter().flatten().collect()
    }

    /// The limit on tokens may be what makes a prompt too long that would fit.
    fn about_length(&self) -> Vec<Adaptation> {
        let is_limited = self.has(MAX_TOKENS) || self.has(MAX_COMPLETION_TOKENS);
        let is_named = self.names(MAX_TOKENS)
            || self.names(MAX_COMPLETION_TOKENS)
            || ["completion", "max_new_tokens"].iter().any(|words| self.text.contains(words));
        if is_limited && is_named { vec![Adaptation::WithoutLimitOnce] } else { Vec::new() }
    }

    /// The schema of a function, or the number of them. What is about one function alone costs only that one.
    fn about_tools(&self, request: &ChatRequest) -> Vec<Adaptation> {
        let is_field = self.objects_to("tools") || self.objects_to("functions");
        let is_said = self.said.fields().is_empty()
            && ["schema", "tools[", "function_declarations"].iter().any(|words| self.text.contains(words));
        if !self.has("tools") || !is_field && !is_said {
            return Vec::new();
        }
        let most = ["maximum length", "at most", "maximum of", "no more than", "more than", "up to"]
            .iter()
            .find_map(|words| number_after(&self.text, words))
            .filter(|most| (1..self.offered()).contains(most) && !self.text.contains("schema"));
        let one = self.named_tool(request).map(Adaptation::without_tool);
        most.map(Adaptation::FewerTools).into_iter().chain([Adaptation::PlainSchemas]).chain(one).collect()
    }

    /// The function that is meant, by its place among those that were offered or by its name, which may be a plain word.
    fn named_tool<'r>(&self, request: &'r ChatRequest) -> Option<&'r ToolSpec> {
        let sent = self.body.get("tools").and_then(Value::as_array)?;
        let name_of = |tool: &Value| Some(tool.get("function")?.get("name")?.as_str()?.to_owned());
        let names: Vec<String> = sent.iter().filter_map(name_of).collect();
        let places = self.said.fields().iter().map(String::as_str).chain([self.text.as_str()]);
        let place = |text: &str| {
            // Gemini puts all functions into the first tool.
            let inner = ["function_declarations[", "function_declarations."];
            let outer = ["tools[", "tools."];
            inner.iter().chain(&outer).find_map(|words| number_at(text, words))
        };
        let by_place = places.filter_map(place).find_map(|at| names.get(at));
        let named = |is_named: &dyn Fn(&str) -> bool| only(names.iter().filter(|name| is_named(&name.to_lowercase())));
        let name = by_place
            .or_else(|| named(&|name| self.calls_function(name)))
            .or_else(|| named(&|name| self.quotes(name)))
            .or_else(|| named(&|name| is_word(&self.text, name)))?;
        request.tools.iter().find(|tool| tool.name == *name)
    }

    /// The form of a message.
    fn about_messages(&self) -> Vec<Adaptation> {
        let is_about_content =
            self.said.fields().iter().any(|field| field.starts_with("messages") && field.contains("content"))
                || self.text.contains("content") && self.text.contains("null");
        let messages = self.body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let has_null = messages.iter().any(|message| message.get("content").is_some_and(Value::is_null));
        let is_about_ids = self.text.contains("tool call id") || self.text.contains("tool_call_id");
        let has_calls = messages.iter().any(|message| message.get("tool_calls").is_some());
        let content = (is_about_content && has_null).then_some(Adaptation::TextContent);
        content.into_iter().chain((is_about_ids && has_calls).then_some(Adaptation::ShortCallIds)).collect()
    }

    /// The role of instructions.
    fn about_roles(&self) -> Vec<Adaptation> {
        let has_instruction = self.body.get("messages").and_then(|all| all.get(0)).is_some_and(is_instruction);
        let is_field = self.said.fields().iter().any(|field| field.starts_with("messages") && field.ends_with("role"));
        if !has_instruction || !is_field && !ABOUT_ROLES.iter().any(|words| self.text.contains(words)) {
            return Vec::new();
        }
        let other = self.text.contains("developer").then_some(Adaptation::DeveloperRole);
        other.into_iter().chain([Adaptation::SystemAsUser]).collect()
    }

    fn about_parameters(&self) -> Vec<Adaptation> {
        let mut found = Vec::new();
        let options = self.body.get("options").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let parameters = self.body.keys().filter(|name| !ESSENTIAL.contains(&name.as_str())).chain(options);
        for parameter in parameters.filter(|parameter| self.refuses(parameter)) {
            if [MAX_TOKENS, MAX_COMPLETION_TOKENS].contains(&parameter.as_str()) {
                found.extend(self.about_limit(parameter));
            } else {
                found.push(Adaptation::Without(parameter.clone()));
            }
        }
        // The parameter that it objects to goes first, whatever else it speaks of.
        found.sort_by_key(|adaptation| {
            !matches!(adaptation, Adaptation::Without(name) if self.objects_to(name))
                && *adaptation != Adaptation::MaxCompletionTokens
        });
        let is_about_streams = match self.said.fields() {
            [] => ABOUT_STREAMS.iter().any(|words| self.text.contains(words)),
            _ => self.objects_to("stream"),
        };
        if is_about_streams && self.has("stream") {
            found.push(Adaptation::Without("stream".to_owned()));
        }
        found
    }

    /// The limit on tokens: its name, its size, or what it comes to with the prompt of this one request.
    fn about_limit(&self, parameter: &str) -> Vec<Adaptation> {
        let is_unknown = UNKNOWN.iter().any(|words| self.text.contains(words));
        if !is_unknown && TOGETHER.iter().any(|words| self.text.contains(words)) {
            return vec![Adaptation::WithoutLimitOnce];
        }
        let renamed = (is_unknown && parameter == MAX_TOKENS).then_some(Adaptation::MaxCompletionTokens);
        renamed.into_iter().chain([Adaptation::Without(MAX_TOKENS.to_owned())]).collect()
    }

    /// Whether it is this parameter that is not taken. Where the server names fields, only those count; a mere text may also quote a
    /// prompt, or tell of the parameter for another reason.
    fn refuses(&self, parameter: &str) -> bool {
        if !self.said.fields().is_empty() {
            return self.objects_to(parameter);
        }
        let is_limit = [MAX_TOKENS, MAX_COMPLETION_TOKENS].contains(&parameter);
        let is_refused = has_near(&self.text, parameter, &REFUSED);
        self.names(parameter) && (is_refused || is_limit && has_near(&self.text, parameter, &TOGETHER))
    }

    fn has(&self, member: &str) -> bool {
        self.body.contains_key(member)
    }

    fn offered(&self) -> usize {
        self.body.get("tools").and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Whether a field that it names is this member of the body, or within it, wherever the server itself has it.
    fn objects_to(&self, member: &str) -> bool {
        let is_it = |field: &String| match field.split('.').next() {
            Some("messages" | "tools" | "functions") => field.split('.').next() == Some(member),
            _ => field.split('.').any(|part| part == member),
        };
        self.said.fields().iter().any(is_it)
    }

    fn quotes(&self, name: &str) -> bool {
        ["'", "\"", "`"].iter().any(|quote| self.text.contains(&format!("{quote}{name}{quote}")))
    }

    /// Whether its text calls this a function.
    fn calls_function(&self, name: &str) -> bool {
        let forms = ["function ", "function: ", "tool ", "tool: "]
            .map(|what| ["'", "\"", "`", ""].map(|quote| format!("{what}{quote}{name}{quote}")));
        forms.iter().flatten().any(|form| is_word(&self.text, form))
    }

    /// Whether its text names a parameter. Names that are plain words have to be in quotes, or be called one.
    fn names(&self, parameter: &str) -> bool {
        if parameter.contains('_') || parameter == "temperature" {
            return is_word(&self.text, parameter);
        }
        self.quotes(parameter)
            || ["parameter", "argument", "field"].iter().any(|what| self.text.contains(&format!("{what} {parameter}")))
    }
}

#[cfg(test)]
mod tests;
