use serde_json::json;

use super::*;
use crate::kernel::Redaction;

/// What is done about a refusal of a request that has everything, with a status.
fn found(code: u16, body: &Value, done: &[Adaptation]) -> Option<Adaptation> {
    let tool = |name: &str| ToolSpec { name: name.to_owned(), description: String::new(), parameters: json!({}) };
    let request = ChatRequest { tools: vec![tool("good"), tool("bad_one")], ..ChatRequest::default() };
    let sent = json!({
        "model": "m", "temperature": 0.7, "max_tokens": 64, "stream": true, "stream_options": {"include_usage": true}, "stop": "x",
        "messages": [{"role": "system", "content": "Rule"}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "a"}]}, {"role": "tool", "content": "x"}],
        "tools": [{"function": {"name": "good"}}, {"function": {"name": "bad_one"}}]
    });
    let said = Box::new(ErrorReport::read(&body.to_string(), &Redaction::default()));
    let error = LlmError::Status { server: "s".to_owned(), code, status: String::new(), said, retry_after: None };
    adaptation(&error, &request, &sent, done)
}

fn without(parameter: &str) -> Adaptation {
    Adaptation::Without(parameter.to_owned())
}

#[test]
fn parameters_are_refused_in_many_forms() {
    let message = |text: &str| json!({"error": {"message": text}});
    let table = [
        (
            400,
            json!({"error": {"message": "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
            "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value"}}),
            without("temperature"),
        ),
        (400, message("temperature: range: 0..1"), without("temperature")),
        (400, message("`temperature` and `top_p` cannot both be specified for this model."), without("temperature")),
        (
            422,
            json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}),
            without("stream_options"),
        ),
        (
            422,
            json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}}),
            without("stream_options"),
        ),
        (
            400,
            json!({"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]"}),
            without("stream_options"),
        ),
        (
            400,
            json!([{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"stream_options\": Cannot find field.", "status": "INVALID_ARGUMENT"}}]),
            without("stream_options"),
        ),
        (400, message("Unrecognized request argument supplied: stream_options"), without("stream_options")),
        (400, json!({"error": {"message": "bad", "param": "stream_options.include_usage"}}), without("stream_options")),
        (400, message("Your organization must be verified to stream this model."), without("stream")),
        (400, message("Unknown parameter: 'stop'."), without("stop")),
        (
            400,
            json!({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "param": "max_tokens", "code": "unsupported_parameter"}}),
            Adaptation::MaxCompletionTokens,
        ),
        (
            400,
            json!({"error": {"message": "max_tokens is too large: 100000. This model supports at most 16384 completion tokens", "param": "max_tokens"}}),
            without("max_tokens"),
        ),
        (
            400,
            json!({"error": {"message": "Provider returned error", "metadata": {"raw": "{\"error\":{\"message\":\"no temperature please\",\"param\":\"temperature\"}}"}}}),
            without("temperature"),
        ),
        (400, json!({"error": "invalid temperature for this model"}), without("temperature")),
        (
            400,
            json!({"error": {"message": "'messages[0].role' does not support 'system' with this model.", "param": "messages[0].role", "code": "unsupported_value"}}),
            Adaptation::SystemAsUser,
        ),
        (
            400,
            message("Unsupported value: 'system' with this model, use the role 'developer' or system role"),
            Adaptation::DeveloperRole,
        ),
        (
            500,
            json!({"error": {"code": 500, "message": "Jinja Exception: System role not supported"}}),
            Adaptation::SystemAsUser,
        ),
        (400, message("Conversation roles must alternate user/assistant/user/assistant/..."), Adaptation::SystemAsUser),
        (400, message("Invalid value for 'content': expected a string, got null."), Adaptation::TextContent),
        (
            422,
            json!({"detail": [{"loc": ["body", "messages", 2, "content"], "msg": "Input should be a valid string"}]}),
            Adaptation::TextContent,
        ),
        (
            400,
            json!({"message": "Tool call id was call_abc but must be a-z, A-Z, 0-9, with a length of 9."}),
            Adaptation::ShortCallIds,
        ),
        (
            400,
            message("Invalid schema for function 'bad_one': object schema missing properties"),
            Adaptation::PlainSchemas,
        ),
        (
            400,
            json!([{"error": {"message": "Invalid JSON payload received. Unknown name \"title\" at 'tools[0].function_declarations[1].parameters': Cannot find field."}}]),
            Adaptation::PlainSchemas,
        ),
        (
            400,
            json!({"error": {"message": "Invalid 'tools': array too long. Expected an array with maximum length 1, but got an array with length 2 instead.", "param": "tools"}}),
            Adaptation::FewerTools(1),
        ),
    ];
    for (code, body, expected) in table {
        assert_eq!(found(code, &body, &[]), Some(expected), "{body}");
    }
}

#[test]
fn each_thing_is_done_once_and_then_the_next() {
    let limit = json!({"error": {"message": "Unsupported parameter: 'max_completion_tokens'"}});
    assert_eq!(found(400, &limit, &[]), None, "it was not sent");
    let unknown = json!({"error": {"message": "Unknown parameter: 'max_tokens'", "param": "max_tokens"}});
    assert_eq!(found(400, &unknown, &[Adaptation::MaxCompletionTokens]), Some(without("max_tokens")));
    assert_eq!(found(400, &unknown, &[Adaptation::MaxCompletionTokens, without("max_tokens")]), None);
    for schema in [
        json!({"error": {"message": "Invalid schema for function 'bad_one': unknown keyword"}}),
        json!({"error": {"message": "bad schema", "param": "tools[1].function.parameters"}}),
        json!([{"error": {"message": "no at 'tools[0].function_declarations[1].parameters'"}}]),
        json!({"error": {"message": "Invalid schema, which is no good", "param": "tools[1].function"}}),
        json!({"error": {"message": "Bad schema of `bad_one`, which is no good"}}),
        json!({"error": {"message": "No good schema for function 'bad_one'"}}),
    ] {
        let next = found(400, &schema, &[Adaptation::PlainSchemas]);
        assert!(matches!(&next, Some(Adaptation::WithoutTool(name, _)) if name == "bad_one"), "{schema}: {next:?}");
    }
}

#[test]
fn other_refusals_are_left_alone() {
    let message = |text: &str| json!({"error": {"message": text}});
    for (code, body) in [
        (
            400,
            message(
                "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
            ),
        ),
        (400, message("The prompt was flagged")),
        (401, message("temperature: no key")),
        (404, message("The model 'temperature' does not exist")),
        (429, message("too hot: temperature")),
        (500, message("temperature sensor broke")),
        (400, message("this model does not support tools")),
        (400, json!({})),
        (
            400,
            json!({"error": {"message": "tool call validation failed: parameters for tool good did not match schema: errors: [`/unit`: value must be one of \"c\"]",
            "type": "invalid_request_error", "code": "tool_use_failed", "failed_generation": "x"}}),
        ),
        (400, message("Failed to call a function. See 'failed_generation' for more details: good, schema")),
        (
            400,
            message(
                "Invalid prompt: 'a temperature that is not supported' was flagged as potentially violating our usage policy.",
            ),
        ),
        (400, message("The model could not answer. Input was: what is the temperature outside?")),
        (
            400,
            json!({"error": {"message": "Invalid value. 'temperature' is not supported as a call, see 'stop'", "param": "messages[3].tool_calls"}}),
        ),
        (400, json!({"error": {"message": "Invalid schema: unknown keyword", "param": "response_format"}})),
    ] {
        assert_eq!(found(code, &body, &[]), None, "{body}");
    }
    for together in ["Prompt plus max_tokens exceeds 4096", "max_tokens must be smaller: the prompt has 4000 tokens"] {
        assert_eq!(found(400, &message(together), &[]), Some(Adaptation::WithoutLimitOnce), "{together}");
    }
    let both = message(
        "This model's maximum context length is 4097 tokens. However, you requested 4500 tokens (500 in the messages, 4000 in the completion).",
    );
    assert_eq!(found(400, &both, &[]), Some(Adaptation::WithoutLimitOnce));
}

#[test]
fn a_function_is_not_guessed_at_among_several() {
    let both = json!({"error": {"message": "Invalid schema in bad_one, or in good"}});
    assert_eq!(found(400, &both, &[Adaptation::PlainSchemas]), None);
}

#[test]
fn what_was_no_help_is_told_by_the_same_refusal() {
    let refusal = |text: &str| {
        let said = Box::new(ErrorReport::read(text, &Redaction::default()));
        LlmError::Status { server: "s".to_owned(), code: 400, status: String::new(), said, retry_after: None }
    };
    let by_place = refusal("no at tools[0]");
    assert!(is_in_vain(&without("stop"), &by_place, &by_place.clone()));
    assert!(!is_in_vain(&without("stop"), &by_place, &refusal("no at tools[1]")));
    let left_out = Adaptation::WithoutTool("good".to_owned(), 0);
    assert!(!is_in_vain(&left_out, &by_place, &by_place.clone()), "another function stands there now");
    let by_name = refusal("the schema is good");
    assert!(is_in_vain(&left_out, &by_name, &by_name.clone()));
}
