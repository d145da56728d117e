use serde_json::{Map, Value};

/// Keywords below which there are named schemas.
const NAMED_SCHEMAS: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// Keywords that hold a schema.
const ONE_SCHEMA: [&str; 12] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
];
/// Keywords that hold a list of schemas.
const MANY_SCHEMAS: [&str; 5] = ["anyOf", "oneOf", "allOf", "prefixItems", "items"];
/// Keywords whose null is a value.
const MAY_BE_NULL: [&str; 3] = ["default", "const", "example"];
/// Limits that draft 4 marks as exclusive with true, and the keyword that is marked.
const EXCLUSIVE: [(&str, &str); 2] = [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")];
/// The draft after 4, in whose words the limits are then; all else that schemas of tools say is the same in both.
const DRAFT_6: &str = "http://json-schema.org/draft-06/schema#";

/// The schema of a tool's arguments as all who read it take it: without keywords that are null, which say nothing, and with the limits of
/// draft 4 in today's words. Arguments are always an object, so a schema that does not say so means it, and providers want to see its
/// `properties`, be there none.
pub(super) fn normalize(mut schema: Map<String, Value>) -> Map<String, Value> {
    normalize_schema(&mut schema);
    if schema.get("$schema").and_then(Value::as_str).is_some_and(|draft| draft.contains("json-schema.org/draft-04/")) {
        schema.insert("$schema".to_owned(), DRAFT_6.into());
    }
    if is_object_among_others(schema.get("type")) {
        schema.insert("type".to_owned(), "object".into());
    }
    if schema.get("type").is_some_and(|kind| kind == "object") {
        schema.entry("properties").or_insert_with(|| Map::new().into());
    }
    schema
}

/// Whether a root of this type takes objects: it names none, or several of which this is one.
fn is_object_among_others(kind: Option<&Value>) -> bool {
    match kind {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(_) => false,
    }
}

fn normalize_schema(schema: &mut Map<String, Value>) {
    schema.retain(|keyword, value| !value.is_null() || MAY_BE_NULL.contains(&keyword.as_str()));
    for (marker, limit) in EXCLUSIVE {
        let marked = schema.get(marker).and_then(Value::as_bool);
        if let Some(is_exclusive) = marked {
            schema.shift_remove(marker);
            if is_exclusive && let Some(limit) = schema.shift_remove(limit) {
                schema.insert(marker.to_owned(), limit);
            }
        }
    }
    for (keyword, value) in schema {
        let keyword = keyword.as_str();
        match value {
            Value::Object(named) if NAMED_SCHEMAS.contains(&keyword) => {
                named.retain(|_, inner| !inner.is_null());
                named.values_mut().filter_map(Value::as_object_mut).for_each(normalize_schema);
            }
            Value::Object(inner) if ONE_SCHEMA.contains(&keyword) => normalize_schema(inner),
            Value::Array(inner) if MANY_SCHEMAS.contains(&keyword) => {
                inner.iter_mut().filter_map(Value::as_object_mut).for_each(normalize_schema);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalized(schema: Value) -> Value {
        normalize(schema.as_object().unwrap().clone()).into()
    }

    #[test]
    fn what_says_nothing_is_left_out_and_what_goes_without_saying_is_said() {
        let empty = json!({"type": "object", "properties": {}});
        for schema in [
            json!({}),
            json!({"type": null}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": null, "required": null, "additionalProperties": null}),
            json!({"type": ["object"]}),
            json!({"type": ["null", "object"], "$defs": null}),
        ] {
            assert_eq!(normalized(schema.clone()), empty, "{schema}");
        }
        let of_draft_4 = normalized(json!({"$schema": "http://json-schema.org/draft-04/schema#"}));
        assert_eq!(of_draft_4["$schema"], DRAFT_6);
        let any_of = json!({"anyOf": [{"required": ["a"]}, {"required": ["b"], "title": null}]});
        let expected = json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {}});
        assert_eq!(normalized(any_of), expected);
        assert_eq!(normalized(json!({"type": "array", "items": null})), json!({"type": "array"}));
    }

    #[test]
    fn the_repairs_reach_every_depth_but_touch_no_value() {
        let schema = json!({"type": "object", "properties": {
            "n": {"type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false},
            "m": {"type": "integer", "exclusiveMinimum": 3},
            "list": {"type": "array", "items": {"properties": {"required": {"default": null, "enum": [null, 1], "title": null}}}},
            "gone": null,
            "open": {"additionalProperties": true},
        }});
        let expected = json!({"type": "object", "properties": {
            "n": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9},
            "m": {"type": "integer", "exclusiveMinimum": 3},
            "list": {"type": "array", "items": {"properties": {"required": {"default": null, "enum": [null, 1]}}}},
            "open": {"additionalProperties": true},
        }});
        assert_eq!(normalized(schema), expected);
    }
}
