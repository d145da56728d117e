use serde_json::{Map, Value};

use crate::kernel::truncate_chars;

/// Schemas within a schema that are written, references followed; what is more becomes "anything".
const MAX_SCHEMAS: usize = 1_000;
/// Levels of schemas.
const MAX_DEPTH: usize = 40;
/// Levels that a reference counts for: a schema may refer to itself.
const REFERENCE_DEPTH: usize = 8;
/// Longest description of a value, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// The types that JSON schema knows.
const TYPES: [&str; 6] = ["object", "array", "string", "number", "integer", "boolean"];
/// Formats that no provider refuses.
const FORMATS: [&str; 1] = ["date-time"];
/// Keywords that are sent as they are.
const KEPT: [&str; 11] = [
    "description",
    "default",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "uniqueItems",
];
/// What a function's own schema may have: it is an object, whatever else it says.
const ROOT: [&str; 5] = ["type", "description", "properties", "required", "additionalProperties"];
/// What is left of a schema in its plainest form.
const PLAINEST: [&str; 6] = ["type", "description", "properties", "required", "items", "enum"];

/// The schema of a function's arguments in the keywords that providers have in common. It allows what the schema allowed, or more:
/// arguments are checked against the schema itself when the function is called.
pub(in crate::llm) fn portable(schema: &Value) -> Value {
    let mut writer = Writer { root: schema, left: MAX_SCHEMAS };
    let mut root = writer.write(schema, 0);
    flatten(&mut root);
    root.retain(|keyword, _| ROOT.contains(&keyword.as_str()));
    root.insert("type".to_owned(), "object".into());
    root.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    keep_known(&mut root);
    Value::Object(root)
}

/// A portable schema without all that is not needed to write arguments: there are providers that know little more.
pub(in crate::llm) fn plain(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    if let Some(Value::Array(options)) = schema.remove("anyOf")
        && let Some(Value::Object(first)) = options.into_iter().next()
    {
        add_missing(schema, first);
    }
    schema.retain(|keyword, _| PLAINEST.contains(&keyword.as_str()));
    let is_text = schema.get("type").is_none_or(|kind| kind == "string");
    let are_texts = schema.get("enum").and_then(Value::as_array).is_some_and(|all| all.iter().all(Value::is_string));
    if !is_text || !are_texts {
        schema.remove("enum");
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(plain);
    }
    schema.get_mut("items").into_iter().for_each(plain);
    if !schema.contains_key("type") {
        schema.insert("type".to_owned(), "string".into());
    }
}

struct Writer<'a> {
    root: &'a Value,
    /// Schemas that may still be written.
    left: usize,
}

impl<'a> Writer<'a> {
    /// A schema, without its nulls and whatever is no schema.
    fn write(&mut self, schema: &'a Value, depth: usize) -> Map<String, Value> {
        let mut written = Map::new();
        let Some(object) = schema.as_object().filter(|_| depth < MAX_DEPTH && self.left > 0) else { return written };
        self.left -= 1;
        for keyword in KEPT {
            if let Some(value) = object.get(keyword).filter(|value| is_sound(keyword, value)) {
                written.insert(keyword.to_owned(), value.clone());
            }
        }
        self.write_type(object, &mut written);
        write_bounds(object, &mut written);
        write_values(object, &mut written);
        self.write_members(object, &mut written, depth);
        self.write_options(object, &mut written, depth);
        if let Some(target) = object.get("$ref").and_then(Value::as_str).and_then(|pointer| self.resolve(pointer)) {
            let target = self.write(target, depth + REFERENCE_DEPTH);
            merge(&mut written, target);
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let part = self.write(part, depth + 1);
            merge(&mut written, part);
        }
        note_format(object, &mut written);
        complete(&mut written);
        written
    }

    /// What a reference within the schema points to.
    fn resolve(&self, pointer: &str) -> Option<&'a Value> {
        self.root.pointer(pointer.strip_prefix('#')?)
    }

    /// One type, or a choice of several; null is what a model leaves out.
    fn write_type(&mut self, object: &'a Map<String, Value>, written: &mut Map<String, Value>) {
        let names: Vec<_> = match object.get("type") {
            Some(Value::String(name)) => vec![name.as_str()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let known: Vec<_> = names.into_iter().filter(|name| TYPES.contains(name)).collect();
        match known.as_slice() {
            [] => {}
            [one] => drop(written.insert("type".to_owned(), (*one).into())),
            several => {
                let option = |name: &&str| {
                    let mut option = Map::from_iter([("type".to_owned(), Value::from(*name))]);
                    complete(&mut option);
                    Value::Object(option)
                };
                written.insert("anyOf".to_owned(), several.iter().map(option).collect());
            }
        }
    }

    fn write_members(&mut self, object: &'a Map<String, Value>, written: &mut Map<String, Value>, depth: usize) {
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            let write = |(name, schema)| (String::clone(name), Value::Object(self.write(schema, depth + 1)));
            let properties: Map<_, _> = properties.iter().map(write).collect();
            written.insert("properties".to_owned(), Value::Object(properties));
        }
        if let Some(required) = object.get("required").filter(|required| required.is_array()) {
            written.insert("required".to_owned(), required.clone());
        }
        if let Some(others) = object.get("additionalProperties").filter(|others| others.is_object()) {
            written.insert("additionalProperties".to_owned(), Value::Object(self.write(others, depth + 1)));
        }
        let tuple = |name: &str| object.get(name).and_then(Value::as_array);
        if let Some(items) = object.get("items").filter(|items| items.is_object()) {
            written.insert("items".to_owned(), Value::Object(self.write(items, depth + 1)));
        } else if let Some(items) = tuple("prefixItems").or_else(|| tuple("items")) {
            let options = self.write_all(items, depth + 1);
            written.insert("items".to_owned(), Value::Object(choice(options)));
        }
    }

    fn write_options(&mut self, object: &'a Map<String, Value>, written: &mut Map<String, Value>, depth: usize) {
        let of = |name: &str| object.get(name).and_then(Value::as_array);
        let Some(options) = of("anyOf").or_else(|| of("oneOf")) else { return };
        let is_null = |option: &&Value| option.get("type").is_some_and(|name| name == "null");
        let options: Vec<_> = options.iter().filter(|option| !is_null(option)).collect();
        let options = self.write_all(options, depth + 1);
        merge(written, choice(options));
    }

    fn write_all(&mut self, schemas: impl IntoIterator<Item = &'a Value>, depth: usize) -> Vec<Value> {
        schemas.into_iter().map(|schema| Value::Object(self.write(schema, depth))).collect()
    }
}

/// Whether a value is one that its keyword can have.
fn is_sound(keyword: &str, value: &Value) -> bool {
    match keyword {
        "description" | "pattern" => value.is_string(),
        "default" => !value.is_null(),
        "uniqueItems" => value.is_boolean(),
        _ => value.is_number(),
    }
}

/// Bounds that a number must not reach are written as those that it may: for whole numbers that is the same.
fn write_bounds(object: &Map<String, Value>, written: &mut Map<String, Value>) {
    let is_whole = object.get("type").is_some_and(|name| name == "integer");
    for (exclusive, inclusive, step) in [("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)] {
        let bound = match object.get(exclusive) {
            // As it was written until draft 4: `true` says that the other bound is one.
            Some(Value::Bool(true)) => object.get(inclusive),
            bound => bound,
        };
        let Some(bound) = bound.filter(|bound| bound.is_number()) else { continue };
        let whole = bound.as_i64().filter(|_| is_whole).map(|bound| bound.saturating_add(step));
        written.insert(inclusive.to_owned(), whole.map_or_else(|| bound.clone(), Value::from));
    }
}

/// The values that there are, null left out.
fn write_values(object: &Map<String, Value>, written: &mut Map<String, Value>) {
    let one = object.get("const").map(std::slice::from_ref);
    let Some(values) = object.get("enum").and_then(Value::as_array).map(Vec::as_slice).or(one) else { return };
    let mut kept: Vec<Value> = Vec::new();
    for value in values.iter().filter(|value| !value.is_null() && **value != "") {
        if !kept.contains(value) {
            kept.push(value.clone());
        }
    }
    if !kept.is_empty() {
        if kept.iter().all(Value::is_string) {
            written.entry("type").or_insert_with(|| "string".into());
        }
        written.insert("enum".to_owned(), Value::Array(kept));
    }
}

/// A format that not all know is told in words.
fn note_format(object: &Map<String, Value>, written: &mut Map<String, Value>) {
    let Some(format) = object.get("format").and_then(Value::as_str) else { return };
    if FORMATS.contains(&format) {
        written.insert("format".to_owned(), format.into());
        return;
    }
    let about = written.get("description").and_then(Value::as_str).map(|about| format!("{about} ")).unwrap_or_default();
    written.insert("description".to_owned(), format!("{about}(format: {format})").into());
}

/// Adds what a type asks for: lists have items, objects properties.
fn complete(schema: &mut Map<String, Value>) {
    if schema.contains_key("properties") && !schema.contains_key("anyOf") {
        schema.entry("type").or_insert_with(|| "object".into());
    }
    let is = |schema: &Map<String, Value>, name: &str| schema.get("type").is_some_and(|kind| kind == name);
    if is(schema, "array") {
        schema.entry("items").or_insert_with(|| Value::Object(Map::new()));
    }
    if is(schema, "object") {
        schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = truncate_chars(description, MAX_DESCRIPTION_CHARS);
    }
    keep_known(schema);
}

/// What is required are properties, each once.
fn keep_known(schema: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = schema.remove("required") else { return };
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut known: Vec<Value> = Vec::new();
    for name in required {
        let is_known = name.as_str().is_some_and(|name| properties.is_some_and(|all| all.contains_key(name)));
        if is_known && !known.contains(&name) {
            known.push(name);
        }
    }
    if !known.is_empty() {
        schema.insert("required".to_owned(), Value::Array(known));
    }
}

/// A choice of several schemas; of one, that schema.
fn choice(mut options: Vec<Value>) -> Map<String, Value> {
    options.dedup();
    match options.as_slice() {
        [] => Map::new(),
        [Value::Object(one)] => one.clone(),
        _ => Map::from_iter([("anyOf".to_owned(), Value::Array(options))]),
    }
}

/// Adds what another schema demands as well; of two that speak of the same, the first counts.
fn merge(schema: &mut Map<String, Value>, other: Map<String, Value>) {
    for (keyword, value) in other {
        match (schema.get_mut(&keyword), value) {
            (Some(Value::Object(properties)), Value::Object(more)) if keyword == "properties" => {
                add_missing(properties, more);
            }
            (Some(Value::Array(required)), Value::Array(more)) if keyword == "required" => required.extend(more),
            (Some(_), _) => {}
            (None, value) => drop(schema.insert(keyword, value)),
        }
    }
}

fn add_missing(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        members.entry(name).or_insert(value);
    }
}

/// Makes one object of a choice of objects: it has the properties of all, and requires what all require.
fn flatten(schema: &mut Map<String, Value>) {
    let Some(Value::Array(options)) = schema.remove("anyOf") else { return };
    let objects = options.into_iter().filter_map(|option| match option {
        Value::Object(option) => Some(option),
        _ => None,
    });
    let options: Vec<_> = objects.collect();
    let required = |option: &Map<String, Value>| {
        let names = option.get("required").and_then(Value::as_array).cloned();
        names.unwrap_or_default()
    };
    let mut common = options.first().map(required).unwrap_or_default();
    common.retain(|name| options.iter().all(|option| required(option).contains(name)));
    for mut option in options {
        flatten(&mut option);
        option.remove("required");
        merge(schema, option);
    }
    merge(schema, Map::from_iter([("required".to_owned(), Value::Array(common))]));
}

#[cfg(test)]
mod tests;
