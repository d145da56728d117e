use super::*;
use crate::kernel::Redaction;

fn status(code: u16, text: &str) -> LlmError {
    LlmError::Status {
        server: "s".to_owned(),
        code,
        status: String::new(),
        said: Box::new(ErrorReport::read(text, &Redaction::default())),
        retry_after: None,
    }
}

#[test]
fn servers_refuse_tools_in_many_words() {
    for (code, text) in [
        (400, "registry.ollama.ai/library/gemma:2b does not support tools"),
        (400, "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set"),
        (400, "Unrecognized request argument supplied: functions"),
        (404, "No endpoints found that support tool use"),
        (422, "Extra inputs are not permitted: tools"),
        (500, "tools param requires --jinja flag"),
        (501, "function calling is not implemented"),
    ] {
        assert!(status(code, text).refuses_tools(), "{code} {text}");
        assert!(!status(code, text).rejects_these_tools(), "{code} {text}");
    }
    for (code, text) in [(400, "context too long"), (401, "no key for tools"), (500, "tool crashed"), (404, "")] {
        assert!(!status(code, text).refuses_tools(), "{code} {text}");
        assert!(!status(code, text).rejects_these_tools(), "{code} {text}");
    }
    let broke_off = "broke off with an error: this model does not support tools";
    assert!(LlmError::BadReply { server: "s".to_owned(), what: broke_off.to_owned() }.refuses_tools());
}

#[test]
fn a_function_that_a_server_does_not_like_is_no_refusal_of_all() {
    for text in [
        "Invalid schema for function 'bad': schema must have type 'object', unknown keyword",
        "Invalid 'tools[0].function.name': unexpected characters",
        "Unknown name \"title\" at 'tools[0].function_declarations[0].parameters'",
        "Invalid 'tools': array too long. Expected an array with maximum length 32",
    ] {
        assert!(!status(400, text).refuses_tools(), "{text}");
        assert!(status(400, text).rejects_these_tools(), "{text}");
    }
}

#[test]
fn causes_that_callers_can_act_on_are_told_apart() {
    use UpstreamCause::{ContextLength, ModelNotFound, RateLimited, Unauthorized};
    let cases = [
        (
            400,
            r#"{"error": {"message": "This model's maximum context length is 4096 tokens.", "code": "context_length_exceeded"}}"#,
            Some(ContextLength),
        ),
        (
            400,
            r#"{"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error"}}"#,
            Some(ContextLength),
        ),
        (
            400,
            r#"[{"error": {"code": 400, "message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]"#,
            Some(ContextLength),
        ),
        (
            413,
            r#"{"error": {"message": "Please reduce the length of the messages or completion."}}"#,
            Some(ContextLength),
        ),
        (
            413,
            r#"{"error": {"message": "Request too large: tokens per minute", "code": "rate_limit_exceeded"}}"#,
            Some(RateLimited(None)),
        ),
        (429, "slow down", Some(RateLimited(None))),
        (
            404,
            r#"{"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}"#,
            Some(ModelNotFound),
        ),
        (404, r#"{"error": "model \"x\" not found, try pulling it first"}"#, Some(ModelNotFound)),
        (
            404,
            r#"{"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}"#,
            Some(ModelNotFound),
        ),
        (
            400,
            r#"{"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}"#,
            Some(ModelNotFound),
        ),
        (400, r#"{"error": {"message": "Model Not Exist"}}"#, Some(ModelNotFound)),
        (400, r#"{"error": {"message": "x is not a valid model ID", "code": 400}}"#, Some(ModelNotFound)),
        (401, r#"{"error": {"message": "Incorrect API key"}}"#, Some(Unauthorized)),
        (
            400,
            r#"{"object": "error", "message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", "code": 400}"#,
            Some(ContextLength),
        ),
        (
            422,
            r#"{"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 512 `max_new_tokens`", "error_type": "validation"}"#,
            Some(ContextLength),
        ),
        (
            400,
            r#"{"error": {"message": "Range of input length should be [1, 30720]", "code": "invalid_parameter_error"}}"#,
            Some(ContextLength),
        ),
        (400, r#"{"error": {"message": "Prompt exceeds max length", "code": "1261"}}"#, Some(ContextLength)),
        (
            400,
            r#"{"error": {"message": "string too long", "param": "messages[1].content", "code": "string_above_max_length"}}"#,
            Some(ContextLength),
        ),
        (
            400,
            r#"{"error": {"message": "string too long", "param": "messages[2].tool_calls[0].id", "code": "string_above_max_length"}}"#,
            None,
        ),
        (
            400,
            r#"{"error": {"message": "string too long", "param": "tools[0].function.description", "code": "string_above_max_length"}}"#,
            None,
        ),
        (404, "404 page not found", None),
        (400, r#"{"error": {"message": "Failed to call a function.", "code": "tool_use_failed"}}"#, None),
        (500, "boom", None),
    ];
    for (code, text, cause) in cases {
        assert_eq!(status(code, text).cause(), cause, "{code} {text}");
    }
}

#[test]
fn a_call_that_the_model_wrote_badly_is_no_refusal_of_its_function() {
    for text in [
        r#"{"error": {"message": "Failed to call a function.", "code": "tool_use_failed"}}"#,
        r#"{"error": {"message": "tool call validation failed: parameters for tool weather did not match schema", "type": "invalid_request_error"}}"#,
        "Tool call validation failed: attempted to call tool 'x', additional properties are not allowed",
        "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
    ] {
        let error = status(400, text);
        assert!(!error.refuses_tools() && !error.rejects_these_tools(), "{text}");
        assert_eq!(error.retry_decision(), RetryDecision::Retry(None), "{text}");
    }
}
