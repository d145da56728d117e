use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::near_json::repaired_json;
use super::{Error, FieldIssue};

/// Values that JSON within a text may have: arguments that a model wrote, a cell of a table, a stored message.
const MAX_EMBEDDED_VALUES: usize = 100_000;
/// Values that something stored may have: as many as ten million bytes of JSON can hold, the default of `MAX_BODY_BYTES`.
const MAX_STORED_VALUES: usize = 5_000_000;

/// Reads JSON from outside, up to a number of values. A value takes 72 bytes of memory and one alone in its list 288, while it
/// may be two bytes of text, so a limit on bytes alone bounds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonReader {
    max_values: usize,
}

/// Why a text was not read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It has more values than the reader takes, which is this many.
    #[error("it has more than {0} values")]
    TooManyValues(usize),
    /// It is not JSON, or not of the type wanted.
    #[error(transparent)]
    Invalid(#[from] serde_json::Error),
}

impl JsonReader {
    /// A reader for texts of at most so many values, the keys of objects among them.
    pub const fn new(max_values: usize) -> Self {
        Self { max_values }
    }

    /// A reader for JSON that is part of something else.
    pub const fn embedded() -> Self {
        Self::new(MAX_EMBEDDED_VALUES)
    }

    /// A reader for what this server has stored itself, be it an earlier version without limits.
    pub const fn stored() -> Self {
        Self::new(MAX_STORED_VALUES)
    }

    /// Values that a text may have.
    pub fn max_values(self) -> usize {
        self.max_values
    }

    /// Reads a text. One with too many values takes no memory.
    pub fn read<T: DeserializeOwned>(self, text: &[u8]) -> Result<T, JsonError> {
        // Each value takes a byte at least.
        if text.len() > self.max_values {
            let mut counter = ValueCounter::default();
            counter.feed(text);
            self.check(counter)?;
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// Reads a text that a program or a model may have written almost as JSON: with commas too many, quotes of another kind, `NaN`,
    /// half a surrogate pair. What is JSON is read as it is; the error is that of the text as it came.
    pub fn read_tolerantly(self, text: &[u8]) -> Result<Value, JsonError> {
        self.read(text).or_else(|error| match error {
            JsonError::TooManyValues(_) => Err(error),
            JsonError::Invalid(_) => match repaired_json(&String::from_utf8_lossy(text)) {
                Some(repaired) => self.read(repaired.as_bytes()).map_err(|_| error),
                None => Err(error),
            },
        })
    }

    /// Whether a text of which this has been counted may be read.
    pub fn check(self, counter: ValueCounter) -> Result<(), JsonError> {
        if counter.values > self.max_values { Err(JsonError::TooManyValues(self.max_values)) } else { Ok(()) }
    }
}

/// Counts the values of JSON while it arrives, without reading it: but the first, each value and key follows a bracket, comma
/// or colon outside of texts. Ends of lines, which no text may hold, are a place to start over, so what comes between JSON in
/// a stream of events can't mislead it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueCounter {
    values: usize,
    in_text: bool,
    is_escaped: bool,
}

impl ValueCounter {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        // In a local variable, so that it is kept in registers.
        let mut at = *self;
        for byte in bytes {
            match byte {
                b'\n' => (at.in_text, at.is_escaped) = (false, false),
                _ if at.is_escaped => at.is_escaped = false,
                b'\\' => at.is_escaped = at.in_text,
                b'"' => at.in_text = !at.in_text,
                b'[' | b'{' | b',' | b':' if !at.in_text => at.values += 1,
                _ => {}
            }
        }
        *self = at;
    }
}

/// How deeply a value is nested: 0 if it holds no others.
pub fn json_depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(json_depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(json_depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// How large the free-form objects of a request may be.
#[derive(Clone, Copy, Debug)]
pub struct ObjectLimits {
    /// Size of `metadata`: its bytes as JSON, each value counting 50 more.
    pub metadata: usize,
    /// The same of `config`.
    pub config: usize,
}

impl ObjectLimits {
    /// What is too large in the body of a request.
    pub fn issues(&self, body: &Map<String, Value>) -> Vec<FieldIssue> {
        let found = ["metadata", "config"].into_iter().filter_map(|name| Some((name, body.get(name)?)));
        found.filter_map(|(name, value)| self.issue(name, value, &["body", name])).collect()
    }

    /// [`ObjectLimits::issues`] as an error, if there are any.
    pub fn check(&self, body: &Map<String, Value>) -> Result<(), Error> {
        let issues = self.issues(body);
        if issues.is_empty() { Ok(()) } else { Err(Error::invalid(issues)) }
    }

    /// What is wrong with an object that counts as `metadata` or `config` and stands at `place`.
    pub fn issue(&self, name: &str, value: &Value, place: &[&str]) -> Option<FieldIssue> {
        let (most, setting) = match name {
            "config" => (self.config, "MAX_CONFIG_BYTES"),
            _ => (self.metadata, "MAX_METADATA_BYTES"),
        };
        let msg = format!(
            "Input should have at most {most} bytes as JSON, each value counting {VALUE_OVERHEAD} more ({setting})"
        );
        let loc = place.iter().copied().map(Into::into).collect();
        (size(value) > most).then(|| FieldIssue::new("value_error", loc, msg, Value::Null))
    }
}

/// What a value counts besides its text: it takes more memory, and metadata is read again with each message of a conversation.
const VALUE_OVERHEAD: usize = 50;

/// The bytes of a value as JSON, and [`VALUE_OVERHEAD`] for each value in it.
fn size(value: &Value) -> usize {
    #[derive(Default)]
    struct CountingWriter {
        bytes: usize,
        values: ValueCounter,
    }
    impl std::io::Write for CountingWriter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.bytes += bytes.len();
            self.values.feed(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut text = CountingWriter::default();
    // Neither the writer nor a value whose keys are texts can fail.
    serde_json::to_writer(&mut text, value).map_or(usize::MAX, |()| text.bytes + VALUE_OVERHEAD * text.values.values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Values and keys.
    fn count(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
            Value::Object(map) => 1 + map.values().map(|value| 1 + count(value)).sum::<usize>(),
            _ => 1,
        }
    }

    fn counted(text: &[u8]) -> usize {
        let mut counter = ValueCounter::default();
        counter.feed(text);
        counter.values
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), any::<i64>().prop_map(|n| json!(n)), ".{0,9}".prop_map(|s| json!(s))];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                proptest::collection::vec((".{0,5}", inner), 0..6).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_escapes_the_count_however_it_is_cut(value in any_json(), pretty: bool, cut in 0_usize..200) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let seen = counted(text.as_bytes());
            prop_assert!(seen + 1 >= count(&value), "{} in {}", seen, text);
            // An empty list or object counts as if it had a member.
            prop_assert!(seen <= 2 * count(&value), "{} in {}", seen, text);
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            let mut counter = ValueCounter::default();
            counter.feed(head);
            counter.feed(tail);
            prop_assert_eq!(counter.values, seen);
        }

        #[test]
        fn the_size_is_that_of_the_text_and_its_values(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(size(&value), text.len() + VALUE_OVERHEAD * counted(text.as_bytes()));
        }
    }

    #[test]
    fn what_stands_in_texts_counts_as_one_value() {
        assert_eq!(counted(r#"["[[[[,,::", "\"[[[", "\\", "é[\u005b"]"#.as_bytes()), 4);
        assert_eq!(counted(b"id: \"\ndata: [[[["), 6);
    }

    /// With the feature `raw_value` of serde_json, this text would be read as JSON whose values nobody has counted.
    #[test]
    fn no_key_makes_a_text_more_than_a_text() {
        let object = json!({"$serde_json::private::RawValue": "[[[[]]]]"});
        assert_eq!(JsonReader::embedded().read::<Value>(object.to_string().as_bytes()).unwrap(), object);
    }

    #[test]
    fn the_limit_is_one_on_values_and_not_on_bytes() {
        let reader = JsonReader::new(10);
        assert_eq!(
            reader.read::<Value>(json!(["x".repeat(1000)]).to_string().as_bytes()).unwrap()[0].as_str().unwrap().len(),
            1000
        );
        let error = reader.read::<Value>("[".repeat(11).as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 10 values");
        assert!(matches!(reader.read::<Value>(b"[1,}").unwrap_err(), JsonError::Invalid(_)));
    }
}
