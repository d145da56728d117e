use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::Location;
use jsonschema::types::JsonType;
use serde_json::{Map, Value};

use crate::kernel::truncate_chars;

/// Characters of one problem.
const MAX_PROBLEM_CHARS: usize = 300;
/// Characters of one name or value that is quoted.
const MAX_QUOTED_CHARS: usize = 60;
/// Names or values that are listed.
const MAX_LISTED: usize = 20;

/// One problem: where, and what was expected there.
pub(super) fn describe(error: &ValidationError<'_>, schema: &Value) -> String {
    let at = path_text(error.instance_path());
    let what = expected(error, schema);
    match (error.kind(), at.is_empty()) {
        (ValidationErrorKind::Required { property }, _) => {
            let name = property.as_str().map(quote).unwrap_or_default();
            let at = if at.is_empty() { name } else { format!("{at}.{name}") };
            shorten(&format!("{at}: {what}"))
        }
        (_, true) => shorten(&format!("The arguments {what}")),
        (_, false) => shorten(&format!("{at}: {what}")),
    }
}

/// `text`, cut if it is long.
pub(super) fn shorten(text: &str) -> String {
    truncate_chars(text, MAX_PROBLEM_CHARS)
}

fn expected(error: &ValidationError<'_>, schema: &Value) -> String {
    use ValidationErrorKind as Kind;
    match error.kind() {
        Kind::Type { kind } => {
            format!("should be {}, not {}", types(kind), with_article(JsonType::from(error.instance().as_ref())))
        }
        Kind::Enum { options } => format!("should be one of {}", values(options)),
        Kind::Constant { expected_value } => format!("should be {}", value(expected_value)),
        Kind::Required { .. } => "is required".to_owned(),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unknown(unexpected, error.schema_path(), schema)
        }
        Kind::MaxLength { limit } => format!("should have at most {limit} characters"),
        Kind::MinLength { limit } => format!("should have at least {limit} characters"),
        Kind::Maximum { limit } => format!("should be at most {limit}"),
        Kind::Minimum { limit } => format!("should be at least {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("should be less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("should be more than {limit}"),
        Kind::MaxItems { limit } => format!("should have at most {limit} items"),
        Kind::MinItems { limit } => format!("should have at least {limit} items"),
        Kind::MaxProperties { limit } => format!("should have at most {limit} members"),
        Kind::MinProperties { limit } => format!("should have at least {limit} members"),
        Kind::Pattern { pattern } => format!("should match the pattern {}", truncate_chars(pattern, MAX_QUOTED_CHARS)),
        Kind::Format { format } => format!("should have the format {}", truncate_chars(format, MAX_QUOTED_CHARS)),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            "should have one of the forms that the schema allows, and has none".to_owned()
        }
        Kind::OneOfMultipleValid { .. } => {
            "should have one of the forms that the schema allows, and has several".to_owned()
        }
        _ => format!("don't fit: {}", error.masked_with("the value")),
    }
}

/// Names the members that nobody asked for, and those that there are.
fn unknown(names: &[String], keyword: &Location, schema: &Value) -> String {
    let parent = keyword.as_str().rsplit_once('/').map(|(parent, _)| parent).unwrap_or_default();
    let known = schema.pointer(parent).and_then(|schema| schema.get("properties")?.as_object());
    let known: Vec<_> = known.into_iter().flat_map(Map::keys).take(MAX_LISTED).map(|name| quote(name)).collect();
    let names: Vec<_> = names.iter().take(MAX_LISTED / 4).map(|name| quote(name)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("should have no member {}; those that are known: {known}", names.join(" or "))
}

fn path_text(path: &Location) -> String {
    let segments = path.as_str().split('/').skip(1);
    let names: Vec<_> = segments.map(|name| quote(&name.replace("~1", "/").replace("~0", "~"))).collect();
    names.join(".")
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => with_article(*one),
        TypeKind::Multiple(several) => several.iter().map(with_article).collect::<Vec<_>>().join(" or "),
    }
}

fn with_article(kind: JsonType) -> String {
    match kind {
        JsonType::Null => "null".to_owned(),
        JsonType::Array | JsonType::Integer | JsonType::Object => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn values(options: &Value) -> String {
    options.as_array().into_iter().flatten().take(MAX_LISTED).map(value).collect::<Vec<_>>().join(", ")
}

fn value(value: &Value) -> String {
    truncate_chars(&value.to_string(), MAX_QUOTED_CHARS)
}

fn quote(name: &str) -> String {
    let printable: String = name.chars().take(MAX_QUOTED_CHARS + 1).flat_map(char::escape_debug).collect();
    truncate_chars(&printable, MAX_QUOTED_CHARS)
}
