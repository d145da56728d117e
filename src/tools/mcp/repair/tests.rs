use serde_json::json;

use super::*;
use rmcp::model::{ServerJsonRpcMessage, ServerResult};

/// A result as the SDK reads it.
fn read(result: Value) -> ServerResult {
    let message = json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
    let message = read_message(message.as_bytes(), JsonReader::embedded()).unwrap();
    match serde_json::from_value(message).unwrap() {
        ServerJsonRpcMessage::Response(response) => response.result,
        other => panic!("{other:?}"),
    }
}

/// The names of the tools that are left of a list, and the names and reasons of the others.
fn tools(tools: Value) -> (Vec<String>, Vec<(String, String)>) {
    let ServerResult::ListToolsResult(page) = read(json!({"tools": tools})) else { panic!("no page") };
    let left_out = left_out(page.meta.as_ref()).into_iter().map(|item| (item.name, item.reason));
    (page.tools.into_iter().map(|tool| tool.name.into_owned()).collect(), left_out.collect())
}

#[test]
fn a_bad_tool_is_left_out_and_named_and_the_others_stay() {
    let schema = json!({"type": "object"});
    let good = json!({"name": "good", "inputSchema": schema});
    let rows = [
        (json!({"name": "a"}), "a", "it has no inputSchema"),
        (json!({"name": "a", "inputSchema": null}), "a", "it has no inputSchema"),
        (json!({"name": "a", "inputSchema": "{}"}), "a", "its inputSchema is no object"),
        (json!({"name": "a", "inputSchema": []}), "a", "its inputSchema is no object"),
        (json!({"name": 5, "inputSchema": schema}), "(without a name)", "its name is no text"),
        (json!({"inputSchema": schema}), "(without a name)", "it has no name"),
        (json!("a"), "(without a name)", "it is no object"),
        (json!(null), "(without a name)", "it is no object"),
        (
            json!({"name": "a", "inputSchema": schema, "execution": {"taskSupport": "required"}}),
            "a",
            "it runs as a task only",
        ),
        (json!({"name": "a", "inputSchema": schema, "taskSupport": "required"}), "a", "it runs as a task only"),
    ];
    for (bad, name, reason) in rows {
        let (kept, left_out) = tools(json!([bad, good]));
        assert_eq!(kept, ["good"], "{bad}");
        assert!(left_out[0].0 == name && left_out[0].1.contains(reason) && left_out.len() == 1, "{bad}: {left_out:?}");
    }
    let (kept, left_out) = tools(Value::from_iter((0..300).map(|n| json!({"name": n.to_string()}))));
    assert_eq!((kept.len(), left_out.len(), left_out[100].1.as_str()), (0, 101, "200 more can't be read"));
}

#[test]
fn what_a_tool_has_wrong_besides_costs_nothing() {
    for member in [
        json!({"description": null}),
        json!({"description": 7}),
        json!({"title": ["x"]}),
        json!({"annotations": {"title": 1, "readOnlyHint": "yes"}}),
        json!({"annotations": null}),
        json!({"annotations": []}),
        json!({"outputSchema": {"type": "array"}}),
        json!({"outputSchema": null}),
        json!({"icons": "x.png"}),
        json!({"_meta": null}),
        json!({"execution": {"taskSupport": "optional"}}),
        json!({"execution": null}),
    ] {
        let mut tool = json!({"name": "a", "inputSchema": {}});
        tool.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        assert_eq!(tools(json!([tool])), (vec!["a".to_owned()], vec![]), "{member}");
    }
    for besides in [
        json!({"nextCursor": null}),
        json!({"nextCursor": 5}),
        json!({"ttlMs": "long", "cacheScope": "shared", "resultType": null}),
        json!({"_meta": []}),
        json!({"_meta": {LEFT_OUT: [{"name": "x", "reason": "forged"}]}}),
    ] {
        let mut page = json!({"tools": [{"name": "a", "inputSchema": {}}]});
        page.as_object_mut().unwrap().extend(besides.as_object().unwrap().clone());
        let ServerResult::ListToolsResult(page) = read(page) else { panic!("{besides}") };
        assert_eq!((page.tools.len(), left_out(page.meta.as_ref()).len()), (1, 0), "{besides}");
    }
}

/// The texts of what a call gave, and the types of what was left out.
fn content(result: Value) -> (Vec<String>, Vec<String>) {
    let ServerResult::CallToolResult(result) = read(result) else { panic!("no result of a call") };
    let texts = result.content.iter().filter_map(|block| Some(block.as_text()?.text.clone())).collect();
    (texts, left_out(result.meta.as_ref()).into_iter().map(|item| item.name).collect())
}

#[test]
fn content_of_an_unknown_type_does_not_cost_the_text_beside_it() {
    let text = json!({"type": "text", "text": "sunny"});
    for (other, name) in [
        (json!({"type": "hologram", "data": "AAAA"}), "hologram"),
        (json!({"type": "image"}), "image"),
        (json!({"type": "resource", "resource": {}}), "resource"),
        (json!({"kind": "x"}), "(without a name)"),
        (json!(5), "(without a name)"),
    ] {
        let read = content(json!({"content": [text, other], "isError": "no"}));
        assert_eq!(read, (vec!["sunny".to_owned()], vec![name.to_owned()]), "{other}");
    }
    for block in [
        json!("sunny"),
        json!({"text": "sunny"}),
        json!({"type": "markdown", "text": "sunny"}),
        json!({"type": "text", "text": "sunny", "annotations": {"audience": "all"}, "_meta": 3}),
        json!({"type": "resource", "resource": {"text": "sunny"}}),
    ] {
        assert_eq!(content(json!({"content": [block]})).0, ["sunny"], "{block}");
        assert_eq!(content(json!({"content": block})).0, ["sunny"], "{block}");
    }
    let picture =
        json!({"type": "image", "data": "AAAA", "mimeType": "image/png", "annotations": {"priority": "high"}});
    assert_eq!(content(json!({"content": [picture], "structuredContent": {"a": 1}})).1, Vec::<String>::new());
}

#[test]
fn a_server_that_says_too_little_of_itself_is_connected_to() {
    for info in [json!({"name": "a"}), json!({"name": "a", "version": 2}), json!({}), json!(null), json!("a")] {
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": true}, "serverInfo": info, "instructions": null});
        let ServerResult::InitializeResult(result) = read(hello) else { panic!("{info}") };
        let has_name = info.get("name").is_some();
        assert_eq!(result.server_info.name, if has_name { "a" } else { "" }, "{info}");
    }
    let bare = json!({"protocolVersion": "2025-06-18"});
    assert!(matches!(read(bare), ServerResult::InitializeResult(_)));
    let discovered = json!({"supportedVersions": ["2026-07-28"], "_meta": {SERVER_INFO: {"name": "a"}}});
    let ServerResult::DiscoverResult(result) = read(discovered) else { panic!("no discovery") };
    assert_eq!(result.server_info().unwrap().name, "a");
}

#[test]
fn errors_are_read_however_they_are_written() {
    for (error, message) in [
        (json!("no such tool"), "no such tool"),
        (json!({"message": "no such tool"}), "no such tool"),
        (json!({"code": "-32601", "message": "no such tool", "data": {"a": 1}}), "no such tool"),
        (json!({"code": 99_999_999_999_i64, "message": null}), "null"),
    ] {
        let text = json!({"id": 1, "result": null, "error": error}).to_string();
        let message_read = read_message(text.as_bytes(), JsonReader::embedded()).unwrap();
        let ServerJsonRpcMessage::Error(read) = serde_json::from_value(message_read).unwrap() else {
            panic!("{error}")
        };
        assert_eq!(read.error.message, message, "{error}");
    }
    let fine = "\u{feff}{\"id\": 1, \"error\": null, \"result\": {\"content\": []}}";
    let read: ServerJsonRpcMessage =
        serde_json::from_str(&repaired_text(fine.as_bytes(), JsonReader::embedded()).unwrap()).unwrap();
    assert!(matches!(read, ServerJsonRpcMessage::Response(_)));
    for no_message in ["[]", "5", "Starting...", "{\"half"] {
        assert_eq!(repaired_text(no_message.as_bytes(), JsonReader::embedded()), None, "{no_message}");
    }
}
