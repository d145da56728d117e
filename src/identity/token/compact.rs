use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::TokenError;
use super::unique_json::UniqueJson;
use crate::kernel::JsonReader;

/// Bytes of a token: what a header of HTTP holds in most servers.
const MAX_BYTES: usize = 8192;
/// Values of the JSON in its parts.
const READER: JsonReader = JsonReader::new(1000);
/// Sorts of tokens (`typ`) that say who calls. Others that a provider signs with the same keys say something else: that a user logged
/// out, say (RFC 8725, section 3.11).
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// A signed JWT, taken apart; nothing of it is verified (RFC 7515, section 7.1). Keys that its header brings along are not looked at.
#[derive(Debug)]
pub(super) struct CompactToken<'a> {
    /// The algorithm that it names.
    pub(super) algorithm: String,
    /// The key that it names.
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) signed: &'a [u8],
    /// Its signature.
    pub(super) signature: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> CompactToken<'a> {
    /// Takes a token apart. Each part has one spelling only: unpadded base64url without bits that mean nothing.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::Malformed("it has more than 8192 bytes"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let mut header = read_object(&decode(header)?)?;
        if header.contains_key("crit") {
            return Err(TokenError::Malformed("its header has an extension that must be understood"));
        }
        check_type(header.get("typ"))?;
        Ok(Self {
            algorithm: take_text(&mut header, "alg")?.ok_or(TokenError::Algorithm)?,
            key_id: take_text(&mut header, "kid")?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
            payload: decode(payload)?,
        })
    }

    /// What it says, which means something only if the signature is right.
    pub(super) fn unverified_payload(&self) -> Result<Map<String, Value>, TokenError> {
        read_object(&self.payload)
    }
}

fn check_type(given: Option<&Value>) -> Result<(), TokenError> {
    let Some(given) = given else { return Ok(()) };
    let name = given.as_str().map(str::to_ascii_lowercase).unwrap_or_default();
    let is_known = TYPES.contains(&name.strip_prefix("application/").unwrap_or(&name));
    if is_known { Ok(()) } else { Err(TokenError::Malformed("its type is neither JWT nor at+jwt")) }
}

fn take_text(header: &mut Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match header.get_mut(name).map(Value::take) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Malformed("a member of its header is no text")),
    }
}

fn read_object(json: &[u8]) -> Result<Map<String, Value>, TokenError> {
    match READER.read(json) {
        Ok(UniqueJson(Value::Object(members))) => Ok(members),
        _ => Err(TokenError::Malformed("a part of it is no JSON object, or has two members of one name")),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    let decoded = URL_SAFE_NO_PAD.decode(part).ok().filter(|bytes| !bytes.is_empty());
    decoded.ok_or(TokenError::Malformed("a part of it is empty or not base64url without padding"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, payload: &str) -> String {
        [header.as_bytes(), payload.as_bytes(), b"signature"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn a_token_is_read_in_one_spelling_only() {
        let good = token(r#"{"alg":"HS256","kid":"a","jwk":{"kty":"oct"}}"#, r#"{"sub":"ada"}"#);
        let read = CompactToken::parse(&good).unwrap();
        assert_eq!((read.algorithm.as_str(), read.key_id.as_deref()), ("HS256", Some("a")));
        assert_eq!(read.signed, good.rsplit_once('.').unwrap().0.as_bytes());
        assert_eq!(read.unverified_payload().unwrap()["sub"], "ada");
        let [head, body, signature] = Vec::from_iter(good.split('.')).try_into().unwrap();
        for spelt in [
            format!("{good}="),
            format!("{good}."),
            format!(".{good}"),
            format!("{good} "),
            format!("{good}\n"),
            format!("{head}==.{body}.{signature}"),
            format!("{head}.{body}."),
            format!("{head}..{signature}"),
            format!("{head}.{signature}"),
            format!("{head}.{body}.{signature}.{signature}"),
            format!("{head}. {body}.{signature}"),
            format!("Bearer {good}"),
        ] {
            let refused = CompactToken::parse(&spelt).and_then(|token| token.unverified_payload().map(drop));
            assert!(matches!(refused, Err(TokenError::Malformed(_))), "{spelt}");
        }
        // "AA" and "AB" are the same byte to readers that leave the last four bits out.
        assert!(decode("AA").is_ok() && decode("AB").is_err() && decode("A+").is_err() && decode("A").is_err());
    }

    #[test]
    fn headers_that_ask_for_more_are_refused() {
        let refused = [
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","crit":null}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":"HS256","kid":7}"#,
            r#"{"alg":"HS256","typ":"logout+jwt"}"#,
            r#"{"alg":"HS256","typ":["JWT"]}"#,
            r#"["HS256"]"#,
            "{}",
            "HS256",
        ];
        for header in refused {
            assert!(CompactToken::parse(&token(header, "{}")).is_err(), "{header}");
        }
        for kind in ["JWT", "jwt", "at+jwt", "application/at+JWT"] {
            assert!(
                CompactToken::parse(&token(&format!(r#"{{"alg":"HS256","typ":"{kind}"}}"#), "{}")).is_ok(),
                "{kind}"
            );
        }
    }

    #[test]
    fn what_is_large_or_deep_is_refused() {
        let large = token(r#"{"alg":"HS256"}"#, &format!(r#"{{"a":"{}"}}"#, "x".repeat(8192)));
        assert!(CompactToken::parse(&large).is_err());
        for payload in
            [format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200)), format!("[{}1]", "1,".repeat(1500))]
        {
            let token = token(r#"{"alg":"HS256"}"#, &payload);
            assert!(CompactToken::parse(&token).unwrap().unverified_payload().is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", parts in proptest::collection::vec(".{0,40}", 3)) {
            let encoded = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".");
            for token in [text, encoded] {
                drop(CompactToken::parse(&token).map(|token| token.unverified_payload().is_ok()));
            }
        }
    }
}
