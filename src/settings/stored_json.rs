use serde::Serialize;
use serde_json::Value;

use crate::kernel::encrypted_by;

/// Entries in the list of a file stand this deep.
pub(super) const DEPTH_IN_LIST: usize = 2;

/// JSON in lines, as it stands this deep within other JSON.
pub(super) fn json_text(value: &impl Serialize, depth: usize) -> String {
    // A line end in a text is written as `\n`, so all others are between values.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    if depth == 0 { text } else { text.replace('\n', &format!("\n{}", "  ".repeat(depth))) }
}

/// Shows `visit` every text, number and truth value in a JSON value, and the JSON pointer (RFC 6901) to it.
pub(super) fn visit_scalars(path: &mut String, value: &mut Value, visit: &mut impl FnMut(&str, &mut Value)) {
    let mut below = |step: &str, value: &mut Value| {
        let length = path.len();
        path.push('/');
        path.push_str(&step.replace('~', "~0").replace('/', "~1"));
        visit_scalars(path, value, visit);
        path.truncate(length);
    };
    match value {
        Value::Array(items) => (0_usize..).zip(items).for_each(|(index, item)| below(&index.to_string(), item)),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| below(key, value)),
        Value::Null => {}
        scalar => visit(path, scalar),
    }
}

/// Whether a JSON text may have an encrypted one in it.
pub(super) fn may_be_encrypted(text: &str) -> bool {
    text.contains("\"enc:v1:")
}

/// The first encrypted text in a JSON value.
pub(super) fn find_encrypted(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => encrypted_by(text).map(|_| text.as_str()),
        Value::Array(items) => items.iter().find_map(find_encrypted),
        Value::Object(map) => map.values().find_map(find_encrypted),
        _ => None,
    }
}
