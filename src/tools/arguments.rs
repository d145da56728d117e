mod problem_text;
mod validation_cost;

use std::collections::HashSet;

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::kernel::json_depth;

/// Bytes that the arguments of one call may have as JSON, and the same for a schema.
const MAX_BYTES: usize = 1_000_000;
/// Levels that either may be nested.
const MAX_DEPTH: usize = 64;
/// Problems that are told at once.
const MAX_PROBLEMS: usize = 5;
/// Regular expressions that a schema may have.
const MAX_PATTERNS: usize = 100;
/// Bytes that one regular expression may take once it is compiled.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// The arguments of a call as they are to be used, if they fit the schema. The error, for a model, quotes none: they may be huge.
pub(super) fn check(arguments: &Value, schema: &Value) -> Result<Map<String, Value>, String> {
    let object = arguments.as_object().ok_or("The arguments should be a JSON object")?;
    check_bounds("The arguments", arguments)?;
    check_bounds("The function's schema", schema)?;
    validation_cost::check_cost(schema, arguments)?;
    let validator = compile(schema)?;
    if validator.is_valid(arguments) {
        return Ok(object.clone());
    }
    let trimmed = drop_optional_nulls(object, schema);
    if validator.is_valid(&Value::Object(trimmed.clone())) {
        return Ok(trimmed);
    }
    Err(problems(&validator, arguments, schema))
}

/// What is wrong, one problem for each place within the arguments.
fn problems(validator: &Validator, arguments: &Value, schema: &Value) -> String {
    let mut told = HashSet::new();
    let is_new = |error: &ValidationError<'_>| {
        let place = error.instance_path().to_string();
        place.is_empty() || told.insert(place)
    };
    let errors = validator.iter_errors(arguments).filter(is_new).take(MAX_PROBLEMS + 1);
    let mut problems: Vec<_> = errors.map(|error| problem_text::describe(&error, schema)).collect();
    if problems.len() > MAX_PROBLEMS {
        problems.truncate(MAX_PROBLEMS);
        problems.push("and there is more".to_owned());
    }
    problems.join("; ")
}

fn check_bounds(what: &str, value: &Value) -> Result<(), String> {
    if json_depth(value) > MAX_DEPTH {
        return Err(format!("{what} should be nested at most {MAX_DEPTH} levels deep"));
    }
    let bytes = value.to_string().len();
    if bytes > MAX_BYTES {
        return Err(format!("{what} should have at most {MAX_BYTES} bytes as JSON, not {bytes}"));
    }
    Ok(())
}

/// The regular expressions in a schema: what it takes longest to compile.
pub(super) fn count_patterns(schema: &Value) -> usize {
    match schema {
        Value::Array(items) => items.iter().map(count_patterns).sum(),
        Value::Object(map) => {
            let own = |(key, value): (&String, &Value)| match (key.as_str(), value) {
                ("pattern", Value::String(_)) => 1,
                ("patternProperties", Value::Object(members)) => members.len(),
                _ => 0,
            };
            map.iter().map(|member| own(member) + count_patterns(member.1)).sum()
        }
        _ => 0,
    }
}

/// Whether arguments can be checked against this schema, and if not, why. May take a tenth of a second.
pub(super) fn check_schema(schema: &Value) -> Result<(), String> {
    check_bounds("The function's schema", schema)?;
    if count_patterns(schema) > MAX_PATTERNS {
        return Err(format!("its schema has more than {MAX_PATTERNS} patterns"));
    }
    compile(schema).map(drop)
}

/// A validator that fetches nothing and whose patterns take linear time: schemas come from MCP servers too.
fn compile(schema: &Value) -> Result<Validator, String> {
    let pattern = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
    let options = jsonschema::options().with_pattern_options(pattern);
    let draft = Draft::default().detect(schema);
    let draft = if draft == Draft::Unknown { Draft::default() } else { draft };
    let built = options.with_draft(draft).build(schema);
    built.map_err(|error| {
        format!("The schema of this function can't be used: {}", problem_text::shorten(&error.to_string()))
    })
}

/// Many models write null for what they mean to leave out.
fn drop_optional_nulls(arguments: &Map<String, Value>, schema: &Value) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|required| required == name));
    let kept = arguments.iter().filter(|(name, value)| !value.is_null() || is_required(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
