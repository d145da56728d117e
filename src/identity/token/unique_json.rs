use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON value in which no object has two members of one name: of such two, one reader takes the first and another the last.
#[derive(Debug, PartialEq)]
pub(super) struct UniqueJson(pub(super) Value);

struct UniqueVisitor;

impl<'de> Deserialize<'de> for UniqueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without two members of one name")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(UniqueJson(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some((name, UniqueJson(value))) = members.next_entry::<String, UniqueJson>()? {
            if read.insert(name, value).is_some() {
                return Err(A::Error::custom("two members have one name"));
            }
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::JsonReader;

    fn read(text: &str) -> Option<Value> {
        JsonReader::new(1000).read(text.as_bytes()).ok().map(|UniqueJson(value)| value)
    }

    #[test]
    fn members_of_one_name_are_refused_however_deep_and_however_spelt() {
        for text in [r#"{"a": 1, "a": 1}"#, r#"{"a": 1, "\u0061": 2}"#, r#"[{"b": {"a": [], "c": 0, "a": null}}]"#] {
            assert_eq!(read(text), None, "{text}");
        }
        for text in [r#"{"a": 1} x"#, r#"{"a": "\ud800"}"#, "{\"a\": NaN}", "", &"[".repeat(500), &"[0,".repeat(2000)] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything_else_is_read_as_ever(number: i64, float in -1e9_f64..1e9, text in ".{0,9}", flag: bool) {
            let value = serde_json::json!({"n": [number, u64::MAX, null], "f": {"f": float, "t": text}, "b": flag, text.clone() + "x": 1});
            prop_assert_eq!(read(&value.to_string()), Some(value));
        }
    }
}
