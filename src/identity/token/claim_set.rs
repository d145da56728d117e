use serde_json::{Map, Number, Value};

use super::TokenError;

/// The last second of the year 9999.
const MAX_TIME: i64 = 253_402_300_799;

/// The claims of a token whose signature is right. A claim that is null counts as missing.
#[derive(Debug)]
pub(super) struct ClaimSet(pub(super) Map<String, Value>);

impl ClaimSet {
    /// The claim of that name, or else what stands at this path: `realm_access.roles`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let at_path = || {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |value, step| value.get(step))
        };
        self.0.get(name).or_else(at_path).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, TokenError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(TokenError::claim(name, "it should be a text, and not empty")),
        }
    }

    /// A list of texts, or one text that `split` makes a list of.
    pub(super) fn texts(&self, name: &str, split: impl Fn(&str) -> Vec<&str>) -> Result<Option<Vec<&str>>, TokenError> {
        let wrong = || TokenError::claim(name, "it should be a text or a list of texts");
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(split(text))),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A time in seconds since 1970, which may have a fraction.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, TokenError> {
        let wrong = || TokenError::claim(name, "it should be a number of seconds since 1970");
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => seconds(number).ok_or_else(wrong).map(Some),
            Some(_) => Err(wrong()),
        }
    }
}

fn seconds(number: &Number) -> Option<i64> {
    let whole = number.as_i64().or_else(|| {
        // Within these bounds every whole number is exact.
        let float = number.as_f64().filter(|float| (0.0..=MAX_TIME as f64).contains(float));
        float.map(|float| float as i64)
    });
    whole.filter(|seconds| (0..=MAX_TIME).contains(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> ClaimSet {
        match value {
            Value::Object(members) => ClaimSet(members),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_claim_is_found_by_its_name_or_at_its_path() {
        let claims = claims(json!({
            "https://app.example/role": "a", "realm_access": {"roles": ["b"], "x": null}, "realm_access.id": "c", "none": null
        }));
        assert_eq!(claims.text("https://app.example/role"), Ok(Some("a")));
        assert_eq!(claims.texts("realm_access.roles", |text| vec![text]), Ok(Some(vec!["b"])));
        assert_eq!(claims.text("realm_access.id"), Ok(Some("c")));
        for missing in ["none", "realm_access.x", "realm_access.roles.b", "realm_access.none", "", ".", "a.b"] {
            assert_eq!(claims.get(missing), None, "{missing}");
        }
    }

    #[test]
    fn a_claim_of_another_type_is_an_error_and_not_a_missing_one() {
        let claims = claims(json!({"n": 7, "empty": "", "list": ["a", 7], "object": {}, "t": "a  b"}));
        for wrong in ["n", "empty", "list", "object"] {
            assert!(claims.text(wrong).is_err(), "{wrong}");
        }
        for wrong in ["n", "list", "object"] {
            assert!(claims.texts(wrong, |text| vec![text]).is_err(), "{wrong}");
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(claims.texts("t", |text| text.split_whitespace().collect()).unwrap().unwrap(), words("a b"));
    }

    #[test]
    fn times_are_numbers_of_this_era() {
        let claims = claims(json!({
            "a": 1_300_819_380, "b": 1_300_819_380.9, "c": "1300819380", "d": -1, "e": 1e300, "f": true, "g": u64::MAX, "h": -0.5
        }));
        assert_eq!((claims.time("a"), claims.time("b")), (Ok(Some(1_300_819_380)), Ok(Some(1_300_819_380))));
        for wrong in ["c", "d", "e", "f", "g", "h"] {
            assert!(claims.time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(claims.time("none"), Ok(None));
    }
}
