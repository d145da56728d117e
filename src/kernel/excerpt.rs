use serde_json::{Map, Value};

use super::truncate_bytes;

/// Bytes of a value that an error quotes, roughly.
pub(super) const MAX_QUOTED: usize = 8_000;
/// What stands in the place of the rest.
const ELLIPSIS: &str = "…";

/// A copy of a value without the members that an error would not quote anyway. Its texts are whole, so that a credential in one
/// can still be recognised.
pub(super) fn without_excess(value: &Value) -> Value {
    let mut left = MAX_QUOTED;
    copy(value, false, &mut left)
}

/// [`without_excess`] of an object.
pub(super) fn members_without_excess(object: &Map<String, Value>) -> Value {
    let mut left = MAX_QUOTED;
    members(object, false, &mut left)
}

/// A value as an error quotes it: whole if it is small, else as far as it goes, with an ellipsis; `left` is what may be quoted
/// yet. To be made of a value in which credentials are masked: at a cut, they can't be recognised any more.
pub(super) fn excerpt(value: &Value, left: &mut usize) -> Value {
    let most = MAX_QUOTED.min(*left);
    let mut own = most;
    let quoted = copy(value, true, &mut own);
    *left -= most - own;
    quoted
}

fn copy(value: &Value, cut_texts: bool, left: &mut usize) -> Value {
    *left = left.saturating_sub(4);
    match value {
        Value::String(text) => Value::String(take(text, cut_texts, left)),
        Value::Array(items) => {
            let mut kept = Vec::new();
            for item in items {
                if *left == 0 {
                    kept.push(ELLIPSIS.into());
                    break;
                }
                kept.push(copy(item, cut_texts, left));
            }
            Value::Array(kept)
        }
        Value::Object(object) => members(object, cut_texts, left),
        other => other.clone(),
    }
}

fn members(object: &Map<String, Value>, cut_texts: bool, left: &mut usize) -> Value {
    let mut kept = Map::new();
    for (key, value) in object {
        if *left == 0 {
            kept.insert(ELLIPSIS.to_owned(), ELLIPSIS.into());
            break;
        }
        let key = take(key, cut_texts, left);
        kept.insert(key, copy(value, cut_texts, left));
    }
    Value::Object(kept)
}

/// The text, or as much of it as is left.
fn take(text: &str, cut_texts: bool, left: &mut usize) -> String {
    let taken = truncate_bytes(text, if cut_texts { *left } else { usize::MAX });
    *left = left.saturating_sub(text.len());
    taken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, _| json!([inner]))
    }

    #[test]
    fn what_is_small_is_quoted_whole() {
        for value in [json!(null), json!(5), json!("x".repeat(7_900)), json!({"a": [1, {"b": "é"}]}), nested(100)] {
            assert_eq!(excerpt(&value, &mut MAX_QUOTED.clone()), value);
            assert_eq!(without_excess(&value), value);
        }
    }

    #[test]
    fn what_is_large_is_quoted_to_a_bounded_length() {
        let large = [
            json!("é".repeat(1_000_000)),
            json!(vec![0; 100_000]),
            json!(vec!["x".repeat(1_000); 1_000]),
            json!({"k".repeat(1_000_000): 1, "l".repeat(1_000_000): 2}),
            (0..10_000).map(|n| (n.to_string(), json!([n]))).collect(),
            json!(vec![nested(90); 1_000]),
        ];
        for value in large {
            let mut left = MAX_QUOTED + 100;
            let quoted = excerpt(&value, &mut left).to_string();
            assert!(quoted.len() < 3 * MAX_QUOTED, "{}", quoted.len());
            assert!(quoted.contains(ELLIPSIS));
            let rest = excerpt(&value, &mut left).to_string();
            assert!(rest.len() < 1_000, "{}", rest.len());
            assert!(left == 0 && rest.contains(ELLIPSIS));
        }
    }

    #[test]
    fn a_text_is_not_cut_before_its_credentials_are_masked() {
        let url = format!("postgres://u:{}@h/x", "p".repeat(9_000));
        assert_eq!(without_excess(&json!({"url": url, "rest": [1, 2]})), json!({"url": url, "…": "…"}));
    }
}
