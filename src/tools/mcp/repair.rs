use rmcp::model::{ContentBlock, Implementation, MetaObject, ServerCapabilities};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::kernel::{JsonError, JsonReader};

/// What a text may begin with that is none of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What a repaired result tells of that was left out of it, in its `_meta`. A server that writes this itself is not listened to.
const LEFT_OUT: &str = "orchestrator-studio/left-out";
/// Where servers of 2026-07-28 say who they are.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// JSON-RPC's code of an error whose server gives none.
const INTERNAL_ERROR: i64 = -32603;
/// Characters of a name that is told.
const MAX_NAME_CHARS: usize = 128;
/// What is told of more items than these of one message is their number only.
const MAX_LEFT_OUT: usize = 100;

/// An item of a list that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct LeftOutItem {
    pub(super) name: String,
    pub(super) reason: String,
}

/// Reads a server's message, and makes it one that the SDK reads, as far as what is wrong with it does no harm. The SDK reads a message
/// as a whole, so one bad item would cost all others: here it is left out, and told in `_meta`.
pub(super) fn read_message(text: &[u8], reader: JsonReader) -> Result<Value, JsonError> {
    let mut message: Value = reader.read(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))?;
    if let Value::Object(message) = &mut message {
        repair(message);
    }
    Ok(message)
}

/// [`read_message`] as a text. None if it is no message.
pub(super) fn repaired_text(text: &[u8], reader: JsonReader) -> Option<String> {
    read_message(text, reader).ok().filter(Value::is_object).map(|message| message.to_string())
}

/// What was left out of a result.
pub(super) fn left_out(meta: Option<&MetaObject>) -> Vec<LeftOutItem> {
    let told = meta.and_then(|meta| meta.0.get(LEFT_OUT));
    told.and_then(|told| Vec::deserialize(told).ok()).unwrap_or_default()
}

fn repair(message: &mut Map<String, Value>) {
    if message.get("error").is_some_and(Value::is_null) {
        message.shift_remove("error");
    }
    if let Some(error) = message.get_mut("error") {
        repair_error(error);
        message.shift_remove("result");
    }
    if let Some(Value::Object(result)) = message.get_mut("result") {
        repair_result(result);
    }
    if ["result", "error", "method"].iter().any(|member| message.contains_key(*member)) {
        message.entry("jsonrpc").or_insert_with(|| "2.0".into());
    }
}

fn repair_error(error: &mut Value) {
    let Value::Object(error) = error else {
        let message = text_of(error);
        *error =
            Map::from_iter([("code".to_owned(), INTERNAL_ERROR.into()), ("message".to_owned(), message.into())]).into();
        return;
    };
    let code = error.get("code").and_then(|code| code.as_i64().or_else(|| code.as_str()?.trim().parse().ok()));
    let code = code.filter(|code| i32::try_from(*code).is_ok()).unwrap_or(INTERNAL_ERROR);
    let message = error.get("message").map(text_of).unwrap_or_default();
    error.insert("code".to_owned(), code.into());
    error.insert("message".to_owned(), message.into());
}

/// A text as it is, and what is none as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn repair_result(result: &mut Map<String, Value>) {
    match result.get_mut("_meta") {
        Some(Value::Object(meta)) => drop(meta.shift_remove(LEFT_OUT)),
        _ => drop(result.shift_remove("_meta")),
    }
    if result.contains_key("protocolVersion") {
        repair_capabilities(result);
        let mut info = result.shift_remove("serverInfo").unwrap_or_default();
        repair_server_info(&mut info);
        result.insert("serverInfo".to_owned(), info);
    }
    if result.contains_key("supportedVersions") {
        repair_discovery(result);
    }
    if result.get("tools").is_some_and(Value::is_array) {
        repair_page(result);
        repair_items(result, "tools", readable_tool);
    }
    repair_content(result);
}

fn repair_capabilities(result: &mut Map<String, Value>) {
    let mut capabilities = match result.shift_remove("capabilities") {
        Some(Value::Object(capabilities)) => capabilities,
        _ => Map::new(),
    };
    capabilities.retain(|name, value| {
        let alone = Value::from_iter([(name.clone(), value.clone())]);
        ServerCapabilities::deserialize(&alone).is_ok()
    });
    result.insert("capabilities".to_owned(), capabilities.into());
    keep_if(result, "instructions", Value::is_string);
}

/// A server that tells its name and no version, or one that is a number, is one all the same.
fn repair_server_info(info: &mut Value) {
    if Implementation::deserialize(&*info).is_ok() {
        return;
    }
    let member = |name: &str| match info.get(name) {
        Some(text @ Value::String(_)) => text.clone(),
        Some(number @ Value::Number(_)) => number.to_string().into(),
        _ => "".into(),
    };
    *info = Value::from_iter(["name", "version"].map(|name| (name.to_owned(), member(name))));
}

fn repair_discovery(result: &mut Map<String, Value>) {
    repair_capabilities(result);
    if let Some(info) = result.get_mut("_meta").and_then(|meta| meta.get_mut(SERVER_INFO)) {
        repair_server_info(info);
    }
    repair_page(result);
    result.entry("resultType").or_insert_with(|| "complete".into());
    result.entry("ttlMs").or_insert_with(|| 0.into());
    result.entry("cacheScope").or_insert_with(|| "private".into());
}

/// What a list says besides its items.
fn repair_page(result: &mut Map<String, Value>) {
    keep_if(result, "resultType", Value::is_string);
    keep_if(result, "ttlMs", Value::is_u64);
    keep_if(result, "cacheScope", |scope| scope == "public" || scope == "private");
    if let Some(number @ Value::Number(_)) = result.get("nextCursor") {
        let cursor = number.to_string();
        result.insert("nextCursor".to_owned(), cursor.into());
    }
    keep_if(result, "nextCursor", Value::is_string);
}

fn keep_if(object: &mut Map<String, Value>, name: &str, is_right: impl Fn(&Value) -> bool) {
    if object.get(name).is_some_and(|value| !is_right(value)) {
        object.shift_remove(name);
    }
}

/// Keeps the items of a list that can be read, in the form that `readable` gives them.
fn repair_items(result: &mut Map<String, Value>, list: &str, readable: impl Fn(Value) -> Result<Value, LeftOutItem>) {
    let Some(Value::Array(items)) = result.get_mut(list).map(Value::take) else { return };
    let (mut kept, mut left_out) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        match readable(item) {
            Ok(item) => kept.push(item),
            Err(item) => left_out.push(item),
        }
    }
    result.insert(list.to_owned(), kept.into());
    if left_out.is_empty() {
        return;
    }
    let more = left_out.len().saturating_sub(MAX_LEFT_OUT);
    left_out.truncate(MAX_LEFT_OUT);
    if more > 0 {
        left_out.push(LeftOutItem { name: "*".to_owned(), reason: format!("{more} more can't be read") });
    }
    let told = left_out.into_iter().map(|LeftOutItem { name, reason }| {
        Value::from_iter([("name".to_owned(), Value::from(name)), ("reason".to_owned(), reason.into())])
    });
    let told = told.collect();
    let meta = result.entry("_meta").or_insert_with(|| Map::new().into());
    if let Value::Object(meta) = meta {
        meta.insert(LEFT_OUT.to_owned(), told);
    }
}

/// A tool with those of its members that are used here.
fn readable_tool(tool: Value) -> Result<Value, LeftOutItem> {
    let Value::Object(mut tool) = tool else { return Err(left_out_item("", "it is no object")) };
    let name = match tool.get("name") {
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Err(left_out_item("", "its name is no text")),
        None => return Err(left_out_item("", "it has no name")),
    };
    let refuse = |reason| Err(left_out_item(&name, reason));
    match tool.get("inputSchema") {
        Some(Value::Object(_)) => {}
        None | Some(Value::Null) => return refuse("it has no inputSchema"),
        Some(_) => return refuse("its inputSchema is no object"),
    }
    if needs_task(&tool) {
        return refuse("it runs as a task only (taskSupport), which this server does not follow");
    }
    let title = tool.get("annotations").and_then(|annotations| annotations.get("title")).cloned();
    tool.retain(|member, value| match member.as_str() {
        "name" | "inputSchema" => true,
        "title" | "description" => value.is_string(),
        _ => false,
    });
    if let Some(title @ Value::String(_)) = title {
        tool.insert("annotations".to_owned(), Value::from_iter([("title".to_owned(), title)]));
    }
    Ok(tool.into())
}

/// Whether a tool of the revision 2025-11-25 can be called as a task only.
fn needs_task(tool: &Map<String, Value>) -> bool {
    let places = [tool.get("execution"), tool.get("annotations")].into_iter().flatten();
    let nested = places.filter_map(|place| place.get("taskSupport"));
    nested.chain(tool.get("taskSupport")).any(|support| support == "required")
}

/// What a call gave: a text alone counts as a list of it.
fn repair_content(result: &mut Map<String, Value>) {
    match result.get("content") {
        None => return,
        Some(Value::Null) => {
            result.shift_remove("content");
            return;
        }
        Some(Value::Array(_)) => {}
        Some(single) => {
            let single = single.clone();
            result.insert("content".to_owned(), vec![single].into());
        }
    }
    keep_if(result, "isError", Value::is_boolean);
    repair_items(result, "content", readable_block);
}

/// A block of content, without what it has besides if that is the trouble; whatever has a text counts as text.
fn readable_block(block: Value) -> Result<Value, LeftOutItem> {
    if is::<ContentBlock>(&block) {
        return Ok(block);
    }
    let text = match &block {
        Value::String(text) => Some(text.clone()),
        block => [block.get("text"), block.pointer("/resource/text")].into_iter().flatten().find_map(text_or_number),
    };
    if let Some(text) = text {
        return Ok(Value::from_iter([("type".to_owned(), Value::from("text")), ("text".to_owned(), text.into())]));
    }
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Value::Object(mut bare) = block else { return Err(left_out_item(&kind, "it is no object")) };
    for member in ["annotations", "_meta", "icons", "title", "description", "size"] {
        bare.shift_remove(member);
    }
    let bare = Value::Object(bare);
    if is::<ContentBlock>(&bare) { Ok(bare) } else { Err(left_out_item(&kind, "it is no content that is known")) }
}

fn text_or_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

fn left_out_item(name: &str, reason: &str) -> LeftOutItem {
    let name = if name.is_empty() { "(without a name)" } else { name };
    LeftOutItem { name: name.chars().take(MAX_NAME_CHARS).collect(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
