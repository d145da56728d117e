use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::settings::{HttpOptions, SearchOptions, SearchProvider};

fn refusal(arguments: &Value, schema: &Value) -> String {
    check(arguments, schema).expect_err(&arguments.to_string())
}

#[test]
fn every_kind_of_misfit_is_put_into_words() {
    let schema = json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {
            "id": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10},
            "name": {"type": ["string", "null"], "minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"},
            "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"enum": ["a", 5]}},
            "kind": {"const": "x"},
            "deep": {"type": "object", "required": ["a/b"], "properties": {"a/b": {"type": "boolean"}}, "maxProperties": 2},
            "any": {"anyOf": [{"type": "string"}, {"type": "number"}]},
            "even": {"multipleOf": 2},
            "never": false,
        },
    });
    let rows = [
        (json!({}), "id: is required"),
        (json!({"id": "5"}), "id: should be an integer, not a string"),
        (json!({"id": 0}), "id: should be at least 1"),
        (json!({"id": 10}), "id: should be less than 10"),
        (json!({"id": 1, "name": 5}), "name: should be null or a string, not a number"),
        (json!({"id": 1, "name": "a"}), "name: should have at least 2 characters"),
        (json!({"id": 1, "name": "abcd"}), "name: should have at most 3 characters"),
        (json!({"id": 1, "name": "AB"}), "name: should match the pattern ^[a-z]+$"),
        (json!({"id": 1, "tags": []}), "tags: should have at least 1 items"),
        (json!({"id": 1, "tags": ["a", "a", "a"]}), "tags: should have at most 2 items"),
        (json!({"id": 1, "tags": ["a", "b"]}), "tags.1: should be one of \"a\", 5"),
        (json!({"id": 1, "kind": "y"}), "kind: should be \"x\""),
        (json!({"id": 1, "deep": {}}), "deep.a/b: is required"),
        (json!({"id": 1, "deep": {"a/b": 1}}), "deep.a/b: should be a boolean, not a number"),
        (json!({"id": 1, "any": []}), "any: should have one of the forms that the schema allows, and has none"),
        (
            json!({"id": 1, "nmae": "x", "tag": 1}),
            "The arguments should have no member nmae or tag; those that are known: id, name, tags, kind, deep, any, even, never",
        ),
        (
            json!({"kind": 1, "tags": 2}),
            "tags: should be an array, not a number; kind: should be \"x\"; id: is required",
        ),
    ];
    for (arguments, expected) in rows {
        let told = refusal(&arguments, &schema);
        let mut parts: Vec<_> = told.split("; ").collect();
        let mut wanted: Vec<_> = expected.split("; ").collect();
        parts.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(parts, wanted, "{arguments}");
    }
    for arguments in [json!({"id": 1, "even": 3}), json!({"id": 1, "never": 3})] {
        assert!(refusal(&arguments, &schema).contains("the value"), "{arguments}");
    }
    for other in [json!([]), json!("x"), json!(null), json!(5)] {
        assert_eq!(refusal(&other, &schema), "The arguments should be a JSON object");
    }
}

#[test]
fn nothing_huge_is_repeated() {
    let long = "x".repeat(200_000);
    let schema = json!({"properties": {"a": {"enum": ["b"]}, "c": {"pattern": "^d$"}}, "additionalProperties": {"type": "null"}});
    for arguments in
        [json!({"a": long}), json!({"c": long}), json!({long.as_str(): 1}), json!({"a": {long.as_str(): [1]}})]
    {
        let told = refusal(&arguments, &schema);
        assert!(told.len() < 700, "{} bytes", told.len());
    }
    let closed = json!({"properties": {}, "additionalProperties": false});
    assert!(refusal(&json!({long.as_str(): 1, "\n": 2}), &closed).len() < 700);
    assert!(refusal(&json!({"a": "x".repeat(1_000_001)}), &json!({})).contains("at most 1000000 bytes"));
    let deep = (0..100).fold(json!(1), |value, _| json!({"a": value}));
    assert_eq!(refusal(&deep, &json!({})), "The arguments should be nested at most 64 levels deep");
}

#[test]
fn null_stands_for_what_may_be_left_out_and_for_nothing_else() {
    let schema = json!({"required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": ["string", "null"]}}});
    let checked = |arguments: Value| check(&arguments, &schema).map(Value::Object);
    assert_eq!(checked(json!({"a": "x", "b": null})), Ok(json!({"a": "x"})));
    assert_eq!(checked(json!({"a": "x", "c": null})), Ok(json!({"a": "x", "c": null})), "null is what was asked for");
    assert!(checked(json!({"a": null})).is_err());
    assert!(checked(json!({"a": 5, "b": null})).is_err());
}

#[test]
fn schemas_of_any_version_are_understood() {
    let old = json!({"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"maximum": 5, "exclusiveMaximum": true}}});
    assert_eq!(refusal(&json!({"a": 5}), &old), "a: should be less than 5");
    let seventh = json!({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"items": [{"type": "string"}]}}});
    assert_eq!(refusal(&json!({"a": [5]}), &seventh), "a.0: should be a string, not a number");
    let unknown =
        json!({"$schema": "https://example.com/mine", "properties": {"a": {"prefixItems": [{"type": "string"}]}}});
    assert_eq!(refusal(&json!({"a": [5]}), &unknown), "a.0: should be a string, not a number");
    for anything in [json!({}), json!(true), json!({"properties": {"b": {}}})] {
        assert_eq!(check(&json!({"a": 1}), &anything).map(Value::Object), Ok(json!({"a": 1})), "{anything}");
    }
    let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
        "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}});
    assert!(check(&json!({"name": "a", "children": [{"name": "b", "children": []}]}), &tree).is_ok());
    assert_eq!(
        refusal(&json!({"children": [{"name": 5}]}), &tree),
        "children.0.name: should be a string, not a number"
    );
}

/// Schemas that fetch, loop, or unfold into more than anybody can check, and arguments that make them do it.
fn hostile() -> Vec<(&'static str, Value, Value)> {
    let doubling = |levels: usize, keyword: &str| {
        let mut defs = json!({});
        for level in 0..levels {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            defs[format!("d{level}")] = json!({keyword: [next, next]});
        }
        defs[format!("d{levels}")] = json!({"type": "object"});
        defs
    };
    let nested = |levels: usize| (0..levels).fold(json!({}), |value, _| json!({"a": value}));
    let both = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]});
    let unevaluated = (0..40).fold(json!({}), |schema, _| json!({"allOf": [schema], "unevaluatedProperties": {}}));
    vec![
        ("remote", json!({"properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}}), json!({"a": 1})),
        ("remote, unused", json!({"properties": {"a": {"$ref": "https://example.com/schema.json"}}}), json!({})),
        ("file", json!({"$ref": "file:///etc/passwd"}), json!({})),
        ("nowhere", json!({"$ref": "#/$defs/none"}), json!({})),
        ("loop", json!({"allOf": [{"$ref": "#"}]}), json!({})),
        ("loop, unused", json!({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}), json!({"a": 1})),
        ("doubling", json!({"$ref": "#/$defs/d0", "$defs": doubling(40, "allOf")}), json!({})),
        ("doubling any", json!({"$ref": "#/$defs/d0", "$defs": doubling(40, "anyOf")}), json!({})),
        ("doubling below", json!({"properties": {"a": both}}), nested(30)),
        ("doubling unevaluated", unevaluated, json!({"a": 1})),
        (
            "another root",
            json!({"properties": {"a": {"$id": "http://x/y", "$ref": "#/$defs/z", "$defs": {"z": {"type": "string"}}}}, "$defs": {"z": {}}}),
            json!({"a": 1}),
        ),
        ("huge pattern", json!({"properties": {"a": {"pattern": "((a{500}){500}){500}"}}}), json!({"a": "a"})),
        ("no schema", json!({"type": 5}), json!({})),
        ("huge", json!({"description": "x".repeat(1_000_001)}), json!({})),
        ("deep", (0..100).fold(json!({}), |schema, _| json!({"not": schema})), json!({})),
        (
            "long list",
            json!({"properties": {"a": {"items": {"enum": (0..50_000).collect::<Vec<_>>()}}}}),
            json!({"a": vec![-1; 50_000]}),
        ),
    ]
}

#[test]
fn hostile_schemas_are_refused_at_once() {
    for (name, schema, arguments) in hostile() {
        let started = Instant::now();
        let told = check(&arguments, &schema).expect_err(name);
        assert!(started.elapsed() < Duration::from_secs(10), "{name} took {:?}", started.elapsed());
        assert!(told.len() < 500 && told.contains("schema"), "{name}: {told}");
    }
    // What is dangerous is left alone as long as the arguments don't lead there.
    let (_, doubling, _) = hostile().swap_remove(6);
    let unused = json!({"properties": {"a": doubling["$defs"]["d0"]}, "$defs": doubling["$defs"]});
    assert!(check(&json!({"b": 1}), &unused).is_ok());
    // A pattern that takes other engines exponential time.
    let slow = json!({"properties": {"a": {"pattern": "^(a+)+$"}}});
    assert!(check(&json!({"a": format!("{}!", "a".repeat(50_000))}), &slow).is_err());
}

fn our_schemas() -> Vec<Value> {
    let http = HttpOptions { base_url: None, auth_token: None, headers: vec![], allowed_hosts: vec![], timeout: None };
    let search = |provider| SearchOptions {
        provider,
        endpoint: None,
        api_key: None,
        engine_id: None,
        max_results: 10,
        timeout: None,
    };
    let searches =
        SearchProvider::ALL.map(|(_, provider)| crate::tools::web_search::describe(&search(provider)).parameters);
    searches.into_iter().chain([crate::tools::http_request::describe(&http).parameters]).collect()
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = "(url|method|params|data|headers|query|filters|max_results|type|properties|items|allOf|anyOf|\\$ref|enum|required|pattern|not|[a-z$#]{0,3})";
    let texts = "(GET|object|string|#|#/properties/url|http://a|[ -~é]{0,8})";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_model_writes_is_taken_or_refused_in_few_words(arguments in any_json()) {
        for schema in our_schemas() {
            if let Err(told) = check(&arguments, &schema) {
                prop_assert!(!told.is_empty() && told.len() < 2_000);
            }
        }
    }

    #[test]
    fn whatever_a_server_gives_as_schema_is_used_or_refused_in_few_words(schema in any_json(), arguments in any_json()) {
        if let Err(told) = check(&arguments, &schema) {
            prop_assert!(!told.is_empty() && told.len() < 2_000);
        }
    }
}
