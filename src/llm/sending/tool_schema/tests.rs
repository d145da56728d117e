use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn schemas_of_real_tools_are_written_in_the_words_that_all_providers_know() {
    let table = [
        (json!({"type": "object"}), json!({"type": "object", "properties": {}})),
        (json!({}), json!({"type": "object", "properties": {}})),
        (json!(null), json!({"type": "object", "properties": {}})),
        (json!(true), json!({"type": "object", "properties": {}})),
        (
            json!({"$schema": "x", "$id": "y", "type": "object", "title": "T", "required": null, "properties": null,
                "additionalProperties": false, "description": "D"}),
            json!({"type": "object", "properties": {}, "description": "D"}),
        ),
        (
            json!({"type": "object", "required": ["a", "a", "gone", 7], "properties": {"a": {"type": ["string", "null"]},
                "b": {"type": ["integer", "string"]}, "c": null, "d": {"type": "any"}}}),
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"},
                "b": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "c": {}, "d": {}}}),
        ),
        (
            json!({"properties": {"n": {"type": "integer", "minimum": 0, "exclusiveMinimum": true, "exclusiveMaximum": 10},
                "x": {"type": "number", "exclusiveMinimum": 0.5}}}),
            json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9},
                "x": {"type": "number", "minimum": 0.5}}}),
        ),
        (
            json!({"properties": {"url": {"type": "string", "format": "uri", "description": "Where"},
                "at": {"type": "string", "format": "date-time"}, "list": {"type": "array"},
                "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]}}}),
            json!({"type": "object", "properties": {"url": {"type": "string", "description": "Where (format: uri)"},
                "at": {"type": "string", "format": "date-time"}, "list": {"type": "array", "items": {}},
                "pair": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}}}}),
        ),
        (
            json!({"properties": {"kind": {"const": "file"}, "size": {"enum": ["s", null, "s", "", "l"]},
                "level": {"enum": [1, 2]}}}),
            json!({"type": "object", "properties": {"kind": {"type": "string", "enum": ["file"]},
                "size": {"type": "string", "enum": ["s", "l"]}, "level": {"enum": [1, 2]}}}),
        ),
        (
            json!({"$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
                "properties": {"at": {"$ref": "#/$defs/Place", "description": "Where"},
                    "from": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}], "default": null}}}),
            json!({"type": "object", "properties": {
                "at": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "description": "Where"},
                "from": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}),
        ),
        (
            json!({"anyOf": [{"properties": {"id": {"type": "integer"}, "dry": {"type": "boolean"}}, "required": ["id", "dry"]},
                {"properties": {"name": {"type": "string"}, "dry": {"type": "boolean"}}, "required": ["name", "dry"]}]}),
            json!({"type": "object", "required": ["dry"], "properties": {"id": {"type": "integer"},
                "dry": {"type": "boolean"}, "name": {"type": "string"}}}),
        ),
        (
            json!({"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"type": "string"}}, "required": ["b"]}], "not": {"required": ["c"]}}),
            json!({"type": "object", "required": ["a", "b"],
                "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}),
        ),
        (
            json!({"properties": {"headers": {"type": "object", "additionalProperties": {"type": "string", "format": null}}}}),
            json!({"type": "object", "properties": {
                "headers": {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}}}),
        ),
    ];
    for (schema, expected) in table {
        assert_eq!(portable(&schema), expected, "{schema}");
    }
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    let node = json!({"type": "object", "properties": {"next": {"$ref": "#"}, "all": {"type": "array", "items": {"$ref": "#"}}}});
    let written = portable(&node);
    assert!(written.to_string().len() < 500_000, "{}", written.to_string().len());
    assert!(!written.to_string().contains("$ref"));
    assert_eq!(portable(&json!({"$ref": "https://elsewhere.example/schema"}))["properties"], json!({}));
}

#[test]
fn the_plainest_form_has_types_and_values_only() {
    let schema = json!({"properties": {"n": {"type": "integer", "minimum": 1, "enum": [1, 2]}, "any": {},
        "either": {"anyOf": [{"type": "string", "pattern": "x"}, {"type": "number"}], "description": "Which"},
        "list": {"type": "array", "items": {"type": "string", "maxLength": 5}}}, "required": ["n"]});
    let mut written = portable(&schema);
    plain(&mut written);
    let expected = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"},
        "any": {"type": "string"}, "either": {"type": "string", "description": "Which"},
        "list": {"type": "array", "items": {"type": "string"}}}});
    assert_eq!(written, expected);
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!("object")),
        Just(json!(["string", "null"])),
        Just(json!(["a", 1, null])),
        Just(json!({"type": "object"})),
        Just(json!({"$ref": "#/properties/type"})),
        Just(json!(3)),
    ];
    let keyword = prop_oneof![
        Just("type"),
        Just("properties"),
        Just("items"),
        Just("anyOf"),
        Just("oneOf"),
        Just("allOf"),
        Just("enum"),
        Just("const"),
        Just("required"),
        Just("format"),
        Just("exclusiveMinimum"),
        Just("minimum"),
        Just("additionalProperties"),
        Just("description"),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::hash_map(keyword.clone(), inner.clone(), 0..5)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

/// What a strict provider would object to.
fn objection(schema: &Value) -> Option<String> {
    let object = schema.as_object().ok_or_else(|| format!("{schema} is no object")).map_err(Some);
    let object = match object {
        Ok(object) => object,
        Err(objection) => return objection,
    };
    let kind = object.get("type");
    if kind.is_some_and(|kind| !TYPES.iter().any(|name| kind == name)) {
        return Some(format!("{kind:?} is no type"));
    }
    if kind.is_some_and(|kind| kind == "object") && !object.get("properties").is_some_and(Value::is_object)
        || kind.is_some_and(|kind| kind == "array") && !object.get("items").is_some_and(Value::is_object)
    {
        return Some(format!("{schema} is not complete"));
    }
    let known = ["type", "properties", "items", "anyOf", "enum", "required", "format", "additionalProperties"];
    if let Some((keyword, value)) = object.iter().find(|(keyword, value)| {
        value.is_null() || !known.contains(&keyword.as_str()) && !KEPT.contains(&keyword.as_str())
    }) {
        return Some(format!("{keyword}: {value}"));
    }
    let properties = object.get("properties").and_then(Value::as_object);
    let missing = object.get("required").and_then(Value::as_array).into_iter().flatten();
    let mut missing =
        missing.filter(|name| !properties.is_some_and(|all| all.contains_key(name.as_str().unwrap_or(""))));
    if let Some(name) = missing.next() {
        return Some(format!("{name} is required and no property"));
    }
    let inner = properties.into_iter().flat_map(Map::values).chain(object.get("items"));
    let inner = inner.chain(object.get("anyOf").and_then(Value::as_array).into_iter().flatten());
    inner.chain(object.get("additionalProperties")).find_map(objection)
}

proptest! {
    #[test]
    fn whatever_stands_for_a_schema_becomes_one_that_strict_providers_take(schema in any_schema()) {
        let mut written = portable(&schema);
        prop_assert_eq!(objection(&written), None, "{}", written);
        prop_assert_eq!(written.get("type"), Some(&json!("object")));
        prop_assert_eq!(written.get("anyOf"), None);
        prop_assert_eq!(&portable(&written), &written, "what is written is written once");
        plain(&mut written);
        prop_assert_eq!(objection(&written), None, "{}", written);
    }
}
