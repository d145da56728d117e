use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

/// Bytes that the arguments of one call may have as JSON.
const MOST_BYTES: usize = 1_000_000;
/// Levels that they may be nested.
const DEEPEST: usize = 32;
/// Problems that are told at once.
const MOST_PROBLEMS: usize = 5;
/// Characters of a wrong value that are quoted.
const QUOTED: usize = 80;

/// Checks the arguments of a call against a function's schema. The error tells, in words that a model can act on, what is
/// wrong with each.
pub(super) fn check(arguments: &Value, schema: &Value) -> Result<Map<String, Value>, String> {
    let object = arguments.as_object().ok_or("The arguments should be a JSON object")?;
    if depth(arguments, DEEPEST) > DEEPEST {
        return Err(format!("The arguments should be nested at most {DEEPEST} levels deep"));
    }
    let bytes = arguments.to_string().len();
    if bytes > MOST_BYTES {
        return Err(format!("The arguments should have at most {MOST_BYTES} bytes; these have {bytes}"));
    }
    let validator = compile(schema)?;
    let problems: Vec<_> = validator.iter_errors(arguments).take(MOST_PROBLEMS).map(|error| explain(&error)).collect();
    if problems.is_empty() { Ok(object.clone()) } else { Err(problems.join("; ")) }
}

/// A validator that fetches nothing and whose patterns take linear time: schemas come from MCP servers too.
fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| format!("The schema of this function can't be used: {}", shorten(&error.to_string())))
}

fn explain(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let at = path.trim_start_matches('/').replace('/', ".");
    let what = shorten(&error.masked_with("the value").to_string());
    if at.is_empty() { what } else { format!("{at}: {what}") }
}

fn shorten(text: &str) -> String {
    let longest = 3 * QUOTED;
    if text.chars().count() <= longest { text.to_owned() } else { text.chars().take(longest).chain(['…']).collect() }
}

/// The depth of a value, as far as it matters: no deeper than one level beyond `most`.
fn depth(value: &Value, most: usize) -> usize {
    if most == 0 {
        return 1;
    }
    match value {
        Value::Array(items) => 1 + items.iter().map(|item| depth(item, most - 1)).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(|member| depth(member, most - 1)).max().unwrap_or(0),
        _ => 0,
    }
}
