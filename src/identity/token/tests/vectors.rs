use super::*;
use crate::identity::token::compact::CompactToken;

const WYCHEPROOF: &str = include_str!("../../../../tests/data/json_web_signatures/wycheproof.json");

/// Results of Wycheproof that are not ours, by id, and why.
const OTHERWISE: [(u64, bool, &str); 5] = [
    (259, false, "nothing is signed, and a JWT says something"),
    (372, false, "a character that base64url does not have"),
    (373, false, "a character that base64url does not have"),
    (367, true, "the text has lost what it is to show: it is that of the valid 357"),
    (370, true, "the same"),
];

/// Whether the signature is right, of a token whose payload may be anything.
fn is_signed(token: &str, algorithm: TokenAlgorithm, keys: &[Value]) -> bool {
    let Ok(token) = CompactToken::parse(token) else { return false };
    if token.algorithm != algorithm.name() {
        return false;
    }
    if algorithm.is_symmetric() {
        let is_named = token.key_id.is_none() || token.key_id.as_deref() == keys[0]["kid"].as_str();
        return is_named && secret_key(algorithm, &bytes(&keys[0], "k")).verify(token.signed, &token.signature);
    }
    let keys = KeySet::read(key_set(keys).as_bytes(), algorithm).unwrap();
    keys.find(token.key_id.as_deref()).is_ok_and(|key| key.verify(token.signed, &token.signature))
}

fn algorithm(name: &Value) -> TokenAlgorithm {
    [TokenAlgorithm::Hs256, TokenAlgorithm::Rs256, TokenAlgorithm::Es256]
        .into_iter()
        .find(|known| *name == known.name())
        .unwrap()
}

#[test]
fn the_examples_of_rfc_7515_are_signed() {
    for name in ["A.1", "A.2", "A.3"] {
        let example = example(name);
        let mut key = example["key"].clone();
        if key["kty"] != "oct" {
            key.as_object_mut().unwrap().remove("d");
        }
        let (token, algorithm) = (example["token"].as_str().unwrap(), algorithm(&example["algorithm"]));
        assert!(is_signed(token, algorithm, &[key]), "{name}");
        let read = CompactToken::parse(token).unwrap();
        assert_eq!(read.unverified_payload().unwrap()["http://example.com/is_root"], true);
    }
}

#[test]
fn the_tests_of_wycheproof_have_the_expected_results() {
    let all: Value = serde_json::from_str(WYCHEPROOF).unwrap();
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for group in all["groups"].as_array().unwrap() {
        let keys = group["keys"].as_array().unwrap();
        for test in group["tests"].as_array().unwrap() {
            let [id, comment, result, token] = Vec::from_iter(test.as_array().unwrap()).try_into().unwrap();
            let is_of_signatures = group["file"] == "json_web_signature_test";
            let other = OTHERWISE.iter().find(|(known, ..)| is_of_signatures && id == known);
            let expected = other.map_or(result == "valid", |(_, expected, _)| *expected);
            let is_accepted = is_signed(token.as_str().unwrap(), algorithm(&group["algorithm"]), keys);
            *if is_accepted { &mut accepted } else { &mut refused } += 1;
            if is_accepted != expected {
                wrong.push(format!("{id} {comment}: accepted {is_accepted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(accepted > 15 && refused > 290, "{accepted} {refused}");
}
