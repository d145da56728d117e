use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::identity::token::TokenKind;

const ALL: [TokenAlgorithm; 5] =
    [TokenAlgorithm::Hs256, TokenAlgorithm::Hs384, TokenAlgorithm::Hs512, TokenAlgorithm::Rs256, TokenAlgorithm::Es256];

fn signer(algorithm: TokenAlgorithm) -> Signer {
    match algorithm {
        TokenAlgorithm::Rs256 => Signer::rsa(),
        TokenAlgorithm::Es256 => Signer::new_ec(),
        _ => Signer::Hmac(algorithm, SECRET.as_bytes().to_vec()),
    }
}

fn audience(algorithm: TokenAlgorithm) -> TokenReader {
    reader(algorithm, &[("AUTH_AUDIENCE", "studio")])
}

#[test]
fn only_the_algorithm_of_the_settings_is_accepted() {
    for wanted in ALL {
        for given in ALL {
            let signer = signer(given);
            let read = audience(wanted).read(&signer.token(&ada(&json!({}))), &signer.keys(), NOW);
            match given == wanted {
                true => assert_eq!(read.unwrap().user.as_deref(), Some("ada")),
                // Those under HS256 are the server's own, which this one does not claim to be.
                false if !wanted.is_symmetric() && given == TokenAlgorithm::Hs256 => {
                    assert_eq!(wrong_claim(read), "iss")
                }
                false => assert_eq!(read, Err(TokenError::Algorithm), "{wanted:?} {given:?}"),
            }
        }
    }
}

#[test]
fn a_token_without_a_signature_is_none() {
    let secret = Signer::secret();
    let reader = audience(TokenAlgorithm::Hs256);
    for name in ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256"] {
        let signed = secret.token_with(&json!({"alg": name}), &ada(&json!({})));
        assert_eq!(reader.read(&signed, &KeySet::default(), NOW), Err(TokenError::Algorithm), "{name}");
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        for token in [unsigned.to_owned(), format!("{unsigned}.")] {
            assert!(matches!(reader.read(&token, &KeySet::default(), NOW), Err(TokenError::Malformed(_))), "{token}");
        }
    }
}

/// The attack on readers that take the algorithm from the token and the key from the settings.
#[test]
fn a_public_key_is_no_secret() {
    let Signer::Rsa(rsa) = Signer::rsa() else { panic!() };
    let der = rsa.public().as_ref().to_vec();
    let signer = Signer::Rsa(rsa);
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", STANDARD.encode(&der));
    let key = signer.public_key("a");
    let secrets = [der, pem.clone().into_bytes(), pem.trim_end().as_bytes().to_vec(), bytes(&key, "n")];
    let written = [key.to_string(), key_set(std::slice::from_ref(&key)), key["n"].as_str().unwrap().to_owned()];
    for secret in secrets.into_iter().chain(written.map(String::into_bytes)) {
        let forger = Signer::Hmac(TokenAlgorithm::Hs256, secret);
        for issuer in [ISSUER, AuthSettings::OWN_NAME] {
            let claims = ada(&json!({"iss": issuer, "aud": issuer, "role": "admin"}));
            for token in [forger.token(&claims), forger.token_with(&json!({"alg": "RS256", "kid": "a"}), &claims)] {
                let read = audience(TokenAlgorithm::Rs256).read(&token, &signer.keys(), NOW);
                assert_eq!(read, Err(TokenError::Signature));
            }
        }
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let (provider, forger) = (Signer::new_ec(), Signer::new_ec());
    let key = forger.public_key("a");
    let reader = audience(TokenAlgorithm::Es256);
    for more in [
        json!({"jwk": key}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"x5u": "https://evil.example/chain.pem"}),
        json!({"x5c": ["MIIB"]}),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "a"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let read = |signer: &Signer| reader.read(&signer.token_with(&header, &ada(&json!({}))), &provider.keys(), NOW);
        assert_eq!(read(&forger), Err(TokenError::Signature), "{more}");
        assert!(read(&provider).is_ok(), "{more}");
    }
}

#[test]
fn a_token_names_one_of_the_keys_or_there_is_only_one() {
    let (one, two) = (Signer::new_ec(), Signer::new_ec());
    let reader = audience(TokenAlgorithm::Es256);
    let both = [one.public_key("a"), two.public_key("b")];
    let both = KeySet::read(key_set(&both).as_bytes(), TokenAlgorithm::Es256).unwrap();
    let read = |id: Option<&str>, keys: &KeySet| {
        let header = id.map_or_else(|| json!({"alg": "ES256"}), |id| json!({"alg": "ES256", "kid": id}));
        reader.read(&one.token_with(&header, &ada(&json!({}))), keys, NOW).map(|_| ())
    };
    assert_eq!((read(Some("a"), &both), read(Some("b"), &both)), (Ok(()), Err(TokenError::Signature)));
    assert_eq!((read(None, &both), read(None, &one.keys())), (Err(TokenError::NoKeyId), Ok(())));
    for id in ["c", "", "A", "../a", "a\0"] {
        assert_eq!(read(Some(id), &both), Err(TokenError::UnknownKey), "{id}");
    }
    assert_eq!(read(Some("a"), &KeySet::default()), Err(TokenError::NoKeys));
}

/// One reader, its keys and a token for each algorithm.
fn accepted() -> Vec<(TokenReader, KeySet, String)> {
    let make = |algorithm| {
        let signer = signer(algorithm);
        (audience(algorithm), signer.keys(), signer.token(&ada(&json!({}))))
    };
    ALL.map(make).into()
}

thread_local! {
    static ACCEPTED: Vec<(TokenReader, KeySet, String)> = accepted();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_changed_byte_is_overlooked(which in 0..ALL.len(), place: prop::sample::Index, change in 1_u8..=255) {
        ACCEPTED.with(|all| {
            let (reader, keys, token) = &all[which];
            prop_assert!(reader.read(token, keys, NOW).is_ok());
            let mut changed = token.clone().into_bytes();
            changed[place.index(token.len())] ^= change;
            if let Ok(changed) = String::from_utf8(changed) {
                prop_assert!(reader.read(&changed, keys, NOW).is_err(), "{}", changed);
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_piece_is_left_out_or_put_in(which in 0..ALL.len(), cut: prop::sample::Index, more in "[A-Za-z0-9_.=-]{0,4}", skipped in 0_usize..4) {
        ACCEPTED.with(|all| {
            let (reader, keys, token) = &all[which];
            let (head, rest) = token.split_at(cut.index(token.len()));
            let changed = format!("{head}{more}{}", rest.get(skipped..).unwrap_or_default());
            prop_assert!(changed == *token || reader.read(&changed, keys, NOW).is_err(), "{}", changed);
            Ok(())
        })?;
    }

    #[test]
    fn no_text_is_a_token_or_a_panic(which in 0..ALL.len(), text in ".{0,300}", parts in prop::collection::vec(".{0,60}", 1..5)) {
        ACCEPTED.with(|all| {
            let (reader, keys, _) = &all[which];
            let encoded = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".");
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": ALL[which].name(), "kid": "a"}).to_string());
            for token in [text.clone(), encoded.clone(), format!("{header}.{encoded}")] {
                prop_assert!(reader.read(&token, keys, NOW).is_err());
            }
            Ok(())
        })?;
    }

    /// What an owner of the key may sign by mistake.
    #[test]
    fn no_claims_make_it_panic(name in "exp|nbf|iat|iss|aud|sub|role|scope|tid|jti", number: f64, text in ".{0,20}", kind in 0..6) {
        ACCEPTED.with(|all| {
            let (reader, keys, _) = &all[0];
            let nested = [json!(number), json!(text), json!([text, number]), json!({text.as_str(): [number]}), json!(true), json!(null)];
            let token = Signer::secret().token(&ada(&json!({name.as_str(): nested[kind as usize]})));
            if let Ok(claims) = reader.read(&token, keys, NOW) {
                prop_assert!(claims.expires > NOW - 31 && claims.role.is_some() && claims.kind == TokenKind::Provider);
            }
            Ok(())
        })?;
    }
}
