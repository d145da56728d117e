//! The schemas of what requests may hold, as leniently as it is read: each function here describes what one reader of
//! [`crate::kernel::Lenient`] takes, and gets its bounds from the constants that the reader uses.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use utoipa::Number;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOf, AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Required, Schema};

use super::numbers;

/// Matches blanks that are cut off. U+0085 is one to the readers, but not to regular expressions.
pub const PADDING: &str = r"[\s\x85]*";

/// A whole number of `range`; a text or a boolean that means one, too.
pub fn integer(range: &RangeInclusive<i64>) -> Schema {
    let bits: Vec<_> = [(0, false), (1, true)].into_iter().filter(|(bit, _)| range.contains(bit)).collect();
    let bits = (!bits.is_empty()).then(|| values(bits.into_iter().map(|(_, bit)| json!(bit))));
    any_of([query_integer(range)].into_iter().chain(bits))
}

/// A whole number of `range`, where all comes as text: in a query.
pub fn query_integer(range: &RangeInclusive<i64>) -> Schema {
    let unsigned = range.start().unsigned_abs()..=range.end().unsigned_abs();
    any_of([strict_integer(range), pattern(numbers::whole(&unsigned))])
}

/// A whole number of `range`, and no text.
pub fn strict_integer(range: &RangeInclusive<i64>) -> Schema {
    let number = |bound: &i64| isize::try_from(*bound).ok().map(Number::Int);
    ObjectBuilder::new().schema_type(Type::Integer).minimum(number(range.start())).maximum(number(range.end())).into()
}

/// A number of `range`, which begins at whole tenths and ends at a whole one; a text or a boolean that means one, too.
pub fn decimal(range: &RangeInclusive<f64>) -> Schema {
    let (start, end) = (*range.start(), *range.end());
    let number = ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(Number::Float(start)))
        .maximum(Some(Number::Float(end)))
        .into();
    let bits =
        [(0.0, false), (1.0, true)].into_iter().filter(|(bit, _)| range.contains(bit)).map(|(_, bit)| json!(bit));
    any_of([number, pattern(numbers::decimal((start * 10.0).round() as u64, end as u64)), values(bits)])
}

/// A boolean; also 0, 1 and the words for it.
pub fn boolean() -> Schema {
    any_of([ObjectBuilder::new().schema_type(Type::Boolean).into(), values([json!(0), json!(1)]), switch_words()])
}

/// A boolean, where all comes as text: in a query.
pub fn query_boolean() -> Schema {
    any_of([ObjectBuilder::new().schema_type(Type::Boolean).into(), switch_words()])
}

fn switch_words() -> Schema {
    word(&["true", "1", "yes", "y", "on", "t", "false", "0", "no", "n", "off", "f"])
}

/// Any text.
pub fn text() -> Schema {
    string().into()
}

/// A text of at most so many characters.
pub fn short_text(max_chars: usize) -> Schema {
    string().max_length(Some(max_chars)).into()
}

/// A text that the regular expression matches.
pub fn pattern(expression: impl Into<String>) -> Schema {
    string().pattern(Some(expression)).into()
}

/// A text of `length` characters that the regular expression matches.
pub fn bounded_pattern(expression: impl Into<String>, length: &RangeInclusive<usize>) -> Schema {
    string().min_length(Some(*length.start())).max_length(Some(*length.end())).pattern(Some(expression)).into()
}

/// A time as RFC 3339 writes it.
pub fn time() -> Schema {
    string().format(Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime))).into()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// One of these texts, exactly; the first one is an example.
pub fn name_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Schema {
    let names: Vec<_> = names.into_iter().map(Value::from).collect();
    let example = names.first().cloned();
    string().enum_values(Some(names)).examples(example).into()
}

/// Declares a type of the document: one of these texts, in replies.
macro_rules! one_of {
    ($(#[$about:meta])* $name:ident, $names:expr) => {
        $(#[$about])*
        struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::RefOr::T($crate::web::openapi::schema::name_of($names))
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
pub(crate) use one_of;

/// One of these words, in any case.
pub fn word(words: &[&str]) -> Schema {
    pattern(format!("^(?:{})$", any_case(words)))
}

/// The alternatives of a regular expression that match these words in any case.
pub fn any_case(words: &[&str]) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
        false => c.to_string(),
    };
    words.iter().map(|word| word.chars().map(letter).collect::<String>()).collect::<Vec<_>>().join("|")
}

/// A list of these, or one text: of which values, separated by commas, `together` tells.
pub fn list_or_text(item: Schema, together: Schema) -> Schema {
    any_of([list(item), together])
}

/// One of a stream of server-sent events of these names, of which `message` is one that has none. What `data` holds is text.
pub fn text_event(names: &[&str], purpose: &str) -> RefOr<Schema> {
    let event = Members::new().optional("event", "", name_of(names.iter().copied())).required(
        "data",
        "",
        string().examples(["Good morning!"]).into(),
    );
    RefOr::T(event.object(purpose))
}

/// One of a stream of server-sent events of these names. What `data` holds is JSON.
pub fn event(names: &[&str], purpose: &str) -> RefOr<Schema> {
    let data = string().content_media_type("application/json");
    let event = Members::new()
        .optional("id", "Counts the events.", pattern("^[0-9]+$"))
        .required("event", "", name_of(names.iter().copied()))
        .required("data", "", data.into());
    RefOr::T(event.object(purpose))
}

/// A list of these.
pub fn list(item: Schema) -> Schema {
    ArrayBuilder::new().items(RefOr::T(item)).into()
}

/// Any value.
pub fn anything() -> Schema {
    ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue).into()
}

/// Any object.
pub fn any_object() -> Schema {
    ObjectBuilder::new().schema_type(Type::Object).into()
}

/// An object of names that `key` matches and values like `value`.
pub fn map_of(key: Schema, value: Schema) -> Schema {
    ObjectBuilder::new().schema_type(Type::Object).property_names(Some(key)).additional_properties(Some(value)).into()
}

/// This, or null.
pub fn or_null(schema: Schema) -> Schema {
    any_of([schema, ObjectBuilder::new().schema_type(Type::Null).into()])
}

/// This, or a text of nothing but blanks.
pub fn or_blank(schema: Schema) -> Schema {
    any_of([schema, pattern(format!("^{PADDING}$"))])
}

/// Any of these.
pub fn any_of(options: impl IntoIterator<Item = Schema>) -> Schema {
    let mut all = AnyOfBuilder::new();
    for option in options {
        match option {
            Schema::AnyOf(AnyOf { items, description: None, .. }) => {
                all = items.into_iter().fold(all, AnyOfBuilder::item);
            }
            other => all = all.item(other),
        }
    }
    all.into()
}

/// One of these values.
fn values(values: impl IntoIterator<Item = Value>) -> Schema {
    ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue).enum_values(Some(values)).into()
}

/// The members of an object in a request, each with what it is for. Others are ignored.
#[derive(Default)]
pub struct Members(ObjectBuilder);

impl Members {
    /// None yet.
    pub fn new() -> Self {
        Self(ObjectBuilder::new().schema_type(Type::Object))
    }

    /// One that must be there.
    pub fn required(self, name: &str, purpose: &str, schema: Schema) -> Self {
        Self(self.0.property(name, described(schema, purpose, None)).required(name))
    }

    /// One that may be missing.
    pub fn optional(self, name: &str, purpose: &str, schema: Schema) -> Self {
        Self(self.0.property(name, described(schema, purpose, None)))
    }

    /// One that may be missing and then has this value.
    pub fn with_default(self, name: &str, purpose: &str, schema: Schema, default: impl Into<Value>) -> Self {
        Self(self.0.property(name, described(schema, purpose, Some(default.into()))))
    }

    /// The object.
    pub fn object(self, purpose: &str) -> Schema {
        described(self.0.into(), purpose, None)
    }

    /// The object, with an example of it.
    pub fn with_example(self, purpose: &str, example: Value) -> RefOr<Schema> {
        RefOr::T(self.0.description(Some(purpose)).examples([example]).into())
    }
}

fn described(mut schema: Schema, purpose: &str, default: Option<Value>) -> Schema {
    let purpose = (!purpose.is_empty()).then(|| purpose.to_owned());
    match &mut schema {
        Schema::AnyOf(any) => (any.description, any.default) = (purpose, default),
        Schema::Object(object) => (object.description, object.default) = (purpose, default),
        _ => {}
    }
    schema
}

/// A query parameter that may be missing.
pub fn query(name: &str, purpose: &str, schema: Schema) -> Parameter {
    parameter(ParameterIn::Query, name, purpose, schema)
}

/// A parameter. One that is not of the path may be missing.
pub fn parameter(place: ParameterIn, name: &str, purpose: &str, schema: Schema) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.description(Some(purpose)).schema(Some(schema)).build()
}
