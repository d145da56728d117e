//! Whether two ways to write a resource mean the same, whatever a client makes of numbers when it sends back what it has read.

use serde_json::{Map, Value};

/// Whether these objects have the same members, in whatever order.
pub(super) fn same_members(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, value)| other.get(name).is_some_and(|found| same_value(value, found)))
}

/// `10` and `10.0` are one number: JavaScript writes both as the first.
fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(left), Value::Number(right)) => {
            let are_whole = !left.is_f64() && !right.is_f64();
            left == right || !are_whole && left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(one, other)| same_value(one, other))
        }
        (Value::Object(left), Value::Object(right)) => same_members(left, right),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_count_by_their_value_and_members_in_any_order() {
        let same = [
            (json!({"a": 10, "b": [1.5, {"c": null}]}), json!({"b": [1.5, {"c": null}], "a": 10.0})),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_993_u64)),
        ];
        for (one, other) in same {
            assert!(same_value(&one, &other) && same_value(&other, &one), "{one} {other}");
        }
        let different = [
            (json!({"a": 1}), json!({"a": 1, "b": null})),
            (json!({"a": "1"}), json!({"a": 1})),
            (json!([1, 2]), json!([2, 1])),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64)),
            (json!(true), json!(1)),
        ];
        for (one, other) in different {
            assert!(!same_value(&one, &other) && !same_value(&other, &one), "{one} {other}");
        }
    }
}
