use serde_json::json;

use super::*;

#[test]
fn the_text_is_found_in_the_forms_of_all_frameworks() {
    let rows = [
        // Usual members, nested or not.
        (json!("a"), "a"),
        (json!({"answer": "a", "model": "m"}), "a"),
        (json!({"data": {"result": {"text": "a"}}}), "a"),
        (json!({"output": null, "message": "a"}), "a"),
        (json!({"output": "", "response": "a"}), "a"),
        (json!({"result": true, "reply": "a"}), "a"),
        (json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), "a\nb"),
        (json!({"raw": "a", "json_dict": null, "token_usage": {}}), "a"),
        (json!({"replies": ["a"]}), "a"),
        // OpenAI: chat completions and responses.
        (
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}),
            "a",
        ),
        (json!({"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]}), "a"),
        (json!({"choices": [{"message": {"content": null, "refusal": "a"}}]}), "a"),
        (json!({"choices": [{"text": "a"}]}), "a"),
        (
            json!({"object": "response", "output": [{"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]}]}),
            "a",
        ),
        (json!({"output_text": "a", "output": []}), "a"),
        (
            json!({"object": "list", "data": [{"role": "assistant", "content": [{"type": "text", "text": {"value": "a", "annotations": []}}]},
            {"role": "user", "content": [{"type": "text", "text": {"value": "q"}}]}]}),
            "a",
        ),
        // Anthropic and Gemini.
        (
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]}),
            "a",
        ),
        (json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}}]}), "a"),
        (
            json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "hm", "thought": true},
            {"text": "a", "thoughtSignature": "x"}, {"text": "hm", "thought": true, "thoughtSignature": "x"}, {"text": "b"}]}}]}),
            "a\nb",
        ),
        (json!({"parts": [{"text": "hm", "thought": true}, {"text": "a", "thought": false}]}), "a"),
        (
            json!([{"content": {"role": "model", "parts": [{"text": "hm", "thought": true}]}, "author": "agent"},
            {"content": {"role": "model", "parts": [{"text": "a"}]}, "author": "agent"}]),
            "a",
        ),
        // LangChain, LangGraph, AutoGen.
        (
            json!({"messages": [{"type": "human", "content": "q"}, {"type": "ai", "content": "", "tool_calls": [{}]},
            {"type": "tool", "content": "t"}, {"type": "ai", "content": "a"}]}),
            "a",
        ),
        (
            json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}),
            "a",
        ),
        (
            json!({"output": {"messages": [{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"],
            "kwargs": {"content": "a"}}]}}),
            "a",
        ),
        (json!({"values": {"messages": [{"type": "ai", "content": "a"}, {"type": "human", "content": "q"}]}}), "a"),
        (
            json!({"messages": [{"source": "user", "content": "q", "type": "TextMessage"}, {"source": "planner", "type": "TextMessage", "content": "a"}]}),
            "a",
        ),
        (
            json!([{"author": "agent", "content": {"role": "model", "parts": [{"text": "b"}]}},
            {"author": "agent", "content": {"role": "model", "parts": [{"text": "a"}]}}]),
            "a",
        ),
        // n8n and its like.
        (json!([{"output": "a"}]), "a"),
        (json!([{"output": "a"}, {"output": "b"}]), "a\n\nb"),
        (json!([{"json": {"text": "a"}, "pairedItem": {"item": 0}}]), "a"),
        (json!([{"recipient_id": "x", "text": "a"}]), "a"),
        // A2A: a message, a task, and both in the words of 1.0.
        (
            json!({"jsonrpc": "2.0", "id": 1, "result": {"kind": "message", "role": "agent", "parts": [{"kind": "text", "text": "a"},
            {"kind": "file", "file": {}}, {"kind": "text", "text": "b"}]}}),
            "a\nb",
        ),
        (
            json!({"result": {"kind": "task", "status": {"state": "completed"}, "artifacts": [{"parts": [{"kind": "text", "text": "a"}]},
            {"parts": [{"kind": "data", "data": {}}, {"kind": "text", "text": "b"}]}]}}),
            "a\n\nb",
        ),
        (
            json!({"result": {"kind": "task", "status": {"state": "input-required", "message": {"role": "agent",
            "parts": [{"type": "text", "text": "a"}]}}}}),
            "a",
        ),
        (
            json!({"result": {"status": {"state": "completed"}, "history": [{"role": "user", "parts": [{"text": "q"}]},
            {"role": "agent", "parts": [{"text": "a"}]}]}}),
            "a",
        ),
        (
            json!({"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "a"}, {"url": "http://x"}]}}),
            "a",
        ),
        (
            json!({"task": {"status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [{"artifactId": "x", "parts": [{"text": "a"}]}]}}),
            "a",
        ),
        // Langflow.
        (json!({"outputs": [{"inputs": {}, "outputs": [{"results": {}, "message": {"text": "a"}}]}]}), "a"),
    ];
    assert!(rows.len() >= 25);
    for (json, text) in rows {
        assert_eq!(text_of(&json), text, "{json}");
    }
}

#[test]
fn what_holds_no_text_is_shown_as_it_is() {
    for json in [
        json!([1]),
        json!([{"city": "Oslo", "text": "x"}, {"city": "Lima", "text": "y"}]),
        json!({"rows": [{"n": 1}]}),
        json!({"answer": ["Zwei Rechnungen", null, 1.5]}),
        json!({"choices": [{"message": {"content": null, "tool_calls": [{"id": "x"}]}}]}),
        json!({"messages": [{"role": "user", "content": "q"}]}),
    ] {
        assert_eq!(text_of(&json), format!("{json:#}"), "{json}");
    }
    assert_eq!((text_of(&json!(null)), text_of(&json!({"answer": ""}))), (String::new(), String::new()));
    assert_eq!(text_of(&json!({"result": {"rows": 3}})), format!("{:#}", json!({"rows": 3})));
    let deep = (0..60).fold(json!("a"), |inner, _| json!({"result": inner}));
    assert!(text_of(&deep).ends_with('a'), "as it was before there were forms");
}

#[test]
fn errors_are_found_in_the_forms_of_all_frameworks() {
    for (json, text) in [
        (json!({"success": false, "error": "no quota"}), "no quota"),
        (json!([{"error": "no quota"}]), "no quota"),
        (json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "no quota"}}), "no quota"),
        (json!({"result": {"status": "error", "message": "no quota"}}), "no quota"),
        (json!([{"json": {"error": {"message": "no quota"}}}]), "no quota"),
        (json!({"object": "response", "status": "failed", "error": {"message": "no quota"}, "output": []}), "no quota"),
        (
            json!({"result": {"status": {"state": "failed", "message": {"parts": [{"text": "no quota"}]}}}}),
            "the task is failed: no quota",
        ),
        (json!({"task": {"status": {"state": "TASK_STATE_REJECTED"}}}), "the task is rejected"),
        (json!({"isError": true, "message": "no quota", "content": []}), "no quota"),
    ] {
        let found = find_error(&json).map(|error| (error.text, error.has_answer));
        assert_eq!(found, Some((text.to_owned(), false)), "{json}");
    }
    for json in [
        json!({"answer": "fine", "data": {"error": "x"}}),
        json!({"result": {"status": {"state": "completed"}}}),
        json!({"status": "failed", "job": 7}),
        json!([{"error": "a"}, {"output": "b"}]),
        json!("error"),
    ] {
        assert_eq!(find_error(&json), None, "{json}");
    }
}
