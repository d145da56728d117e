use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::TokenError;
use super::signature::ProviderKey;
use crate::kernel::JsonReader;
use crate::settings::TokenAlgorithm;

/// Keys that are taken from one set.
const MAX_KEYS: usize = 100;
const MIN_RSA_BITS: usize = 2048;

/// The keys of an identity provider that may have signed a token (RFC 7517).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<(Option<String>, ProviderKey)>,
}

#[derive(Deserialize)]
struct KeySetBody {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct JsonWebKey {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// Part of a private key.
    d: Option<IgnoredAny>,
}

impl KeySet {
    /// Reads the keys that may verify tokens of this algorithm. Others are left out, and so are those that can't be told apart since
    /// they have one id. The error says what was expected.
    pub fn read(body: &[u8], algorithm: TokenAlgorithm) -> Result<Self, &'static str> {
        let read = JsonReader::new(10_000).read(body);
        let KeySetBody { keys } = read.map_err(|_| "it is no JSON object with a list of keys")?;
        let usable =
            keys.into_iter().take(MAX_KEYS).filter_map(|key| JsonWebKey::deserialize(key).ok()?.usable(algorithm));
        let mut all: Vec<(Option<String>, ProviderKey)> = Vec::new();
        for key in usable {
            if !all.contains(&key) {
                all.push(key);
            }
        }
        let is_unique =
            |(id, _): &&(Option<String>, ProviderKey)| all.iter().filter(|(other, _)| other == id).count() == 1;
        let keys = all.iter().filter(is_unique).cloned().collect();
        Ok(Self { keys })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of a token that names `id`. One that names none must be signed with the only key that there is.
    pub(super) fn find(&self, id: Option<&str>) -> Result<&ProviderKey, TokenError> {
        match (id, self.keys.as_slice()) {
            (_, []) => Err(TokenError::NoKeys),
            (None, [(_, only)]) => Ok(only),
            (None, _) => Err(TokenError::NoKeyId),
            (Some(id), keys) => {
                let found = keys.iter().find(|(known, _)| known.as_deref() == Some(id));
                found.map(|(_, key)| key).ok_or(TokenError::UnknownKey)
            }
        }
    }
}

impl JsonWebKey {
    /// The key and its id, if it is a public one that is meant for this.
    fn usable(self, algorithm: TokenAlgorithm) -> Option<(Option<String>, ProviderKey)> {
        let is_meant = self.alg.as_deref().is_none_or(|alg| alg == algorithm.name())
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let key = match (algorithm, self.kty.as_str()) {
            _ if !is_meant || self.d.is_some() => None,
            (TokenAlgorithm::Rs256, "RSA") => rsa_key(self.n.as_deref()?, self.e.as_deref()?),
            (TokenAlgorithm::Es256, "EC") if self.crv.as_deref() == Some("P-256") => {
                p256_key(self.x.as_deref()?, self.y.as_deref()?)
            }
            _ => None,
        };
        Some((self.kid, key?))
    }
}

fn rsa_key(n: &str, e: &str) -> Option<ProviderKey> {
    // Some providers write zeros before the number.
    let number = |text| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>())
    };
    let (n, e) = (number(n)?, number(e)?);
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    (bits >= MIN_RSA_BITS).then_some(ProviderKey::Rsa { n, e })
}

fn p256_key(x: &str, y: &str) -> Option<ProviderKey> {
    let coordinate = |text| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == 32);
    Some(ProviderKey::P256([vec![4], coordinate(x)?, coordinate(y)?].concat()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(id: &str, more: &Value) -> Value {
        let n = URL_SAFE_NO_PAD.encode([0xC5; 256]);
        let mut key = json!({"kty": "RSA", "kid": id, "n": n, "e": "AQAB", "use": "sig", "alg": "RS256"});
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn read(keys: &[Value], algorithm: TokenAlgorithm) -> KeySet {
        KeySet::read(json!({"keys": keys}).to_string().as_bytes(), algorithm).unwrap()
    }

    #[test]
    fn a_bad_key_takes_no_other_with_it() {
        let short = URL_SAFE_NO_PAD.encode([0xC5; 255]);
        let half_bit_short = URL_SAFE_NO_PAD.encode([[0x7F].as_slice(), &[0xC5; 255]].concat());
        let unfit = [
            json!({"alg": "RS512"}),
            json!({"use": "enc"}),
            json!({"key_ops": ["sign"]}),
            json!({"key_ops": "verify"}),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "EC"}),
            json!({"kty": null}),
            json!({"n": short}),
            json!({"n": half_bit_short}),
            json!({"n": "!"}),
            json!({"n": null}),
            json!({"e": ""}),
            json!({"kid": 7}),
            json!({"d": "c2VjcmV0"}),
        ];
        let mut keys: Vec<_> = unfit.iter().enumerate().map(|(nth, more)| rsa(&format!("bad-{nth}"), more)).collect();
        keys.extend([json!("key"), json!(null), rsa("good", &json!({"x5c": ["MII"], "key_ops": ["verify"]}))]);
        let set = read(&keys, TokenAlgorithm::Rs256);
        assert_eq!((set.len(), set.find(Some("good")).is_ok()), (2, true), "{set:?}");
        assert_eq!(set.find(Some("bad-11")).map(|_| ()), Ok(()), "whether e is one, verifying tells");
        assert_eq!(set.find(Some("bad-0")), Err(TokenError::UnknownKey));
        assert_eq!(read(&keys, TokenAlgorithm::Es256), KeySet::default());
    }

    #[test]
    fn zeros_before_a_modulus_do_not_matter_and_the_wrong_curve_does() {
        let padded = URL_SAFE_NO_PAD.encode([[0].as_slice(), &[0xC5; 256]].concat());
        let set = read(&[rsa("a", &json!({"n": padded}))], TokenAlgorithm::Rs256);
        assert_eq!(set, read(&[rsa("a", &json!({}))], TokenAlgorithm::Rs256));
        let (x, y) = (URL_SAFE_NO_PAD.encode([1; 32]), URL_SAFE_NO_PAD.encode([2; 32]));
        let curves =
            ["P-256", "P-384", "secp256k1", "p-256"].map(|curve| json!({"kty": "EC", "crv": curve, "x": x, "y": y}));
        assert_eq!(read(&curves, TokenAlgorithm::Es256).len(), 1);
        assert!(read(&[json!({"kty": "EC", "crv": "P-256", "x": "AQ", "y": y})], TokenAlgorithm::Es256).is_empty());
    }

    #[test]
    fn keys_of_one_id_are_none_and_a_token_that_names_no_key_needs_a_single_one() {
        let other = json!({"e": "Aw"});
        let (none, one) = (json!({}), |keys: &[Value]| read(keys, TokenAlgorithm::Rs256));
        assert_eq!(one(&[rsa("a", &none), rsa("a", &none)]).len(), 1, "twice the same");
        let set = one(&[rsa("a", &none), rsa("a", &other), rsa("b", &none)]);
        assert_eq!((set.find(Some("a")), set.find(None).is_ok()), (Err(TokenError::UnknownKey), true));
        let several = one(&[rsa("a", &none), rsa("b", &none)]);
        assert_eq!(several.find(None), Err(TokenError::NoKeyId));
        assert!(several.find(Some("b")).is_ok());
        assert_eq!(KeySet::default().find(Some("b")), Err(TokenError::NoKeys));
        for body in ["", "[]", "{}", r#"{"keys": {}}"#, "<html>"] {
            assert!(KeySet::read(body.as_bytes(), TokenAlgorithm::Rs256).is_err(), "{body}");
        }
    }
}
