use super::*;
use crate::identity::token::TokenKind;

/// What is read of a token that the holder of the secret has made.
fn read(more: &[(&str, &str)], claims: &Value) -> Result<TokenClaims, TokenError> {
    let variables = [&[("AUTH_AUDIENCE", "studio"), ("AUTH_ISSUER", ISSUER)], more].concat();
    let token = Signer::secret().token(claims);
    reader(TokenAlgorithm::Hs256, &variables).read(&token, &KeySet::default(), NOW)
}

#[test]
fn a_token_has_its_time() {
    let leeway = 30;
    for (claims, accepted) in [
        (json!({"exp": NOW + 1}), true),
        (json!({"exp": NOW - leeway + 1}), true),
        (json!({"exp": (NOW + 1) as f64 + 0.5}), true),
        (json!({"nbf": NOW + leeway, "iat": NOW + leeway}), true),
        (json!({"iat": null, "nbf": null}), true),
    ] {
        assert_eq!(read(&[], &ada(&claims)).is_ok(), accepted, "{claims}");
    }
    for expired in [NOW - leeway, NOW - 3600, 0] {
        let refused = read(&[], &ada(&json!({"exp": expired}))).unwrap_err();
        assert_eq!((&refused, refused.client_text()), (&TokenError::Expired, "The token has expired"));
    }
    for (name, value) in [
        ("exp", json!(null)),
        ("exp", json!("2100-01-01")),
        ("exp", json!((NOW + 60).to_string())),
        ("exp", json!(1e300)),
        ("exp", json!(true)),
        ("nbf", json!(NOW + leeway + 1)),
        ("nbf", json!("now")),
        ("iat", json!(NOW + leeway + 1)),
        ("iat", json!([NOW])),
    ] {
        let refused = read(&[], &ada(&json!({name: value})));
        assert_eq!(refused.clone().unwrap_err().client_text(), "The token is not valid");
        assert_eq!(wrong_claim(refused), name, "{value}");
    }
    let patient = [("AUTH_LEEWAY_SECONDS", "300")];
    assert!(read(&patient, &ada(&json!({"exp": NOW - 299, "nbf": NOW + 300}))).is_ok());
    assert_eq!(read(&[("AUTH_LEEWAY_SECONDS", "0")], &ada(&json!({"exp": NOW}))), Err(TokenError::Expired));
}

#[test]
fn a_token_for_another_application_is_refused() {
    for accepted in [json!("studio"), json!(["studio"]), json!(["other", "studio"])] {
        assert!(read(&[], &ada(&json!({"aud": accepted}))).is_ok(), "{accepted}");
    }
    for refused in [
        json!(null),
        json!("other"),
        json!("studio "),
        json!("Studio"),
        json!([]),
        json!(["other"]),
        json!(7),
        json!({"studio": 1}),
        json!(["studio", 7]),
    ] {
        assert_eq!(wrong_claim(read(&[], &ada(&json!({"aud": refused})))), "aud", "{refused}");
    }
    for refused in
        [json!(null), json!("https://id.example"), json!("https://evil.example/"), json!([ISSUER]), json!("")]
    {
        assert_eq!(wrong_claim(read(&[], &ada(&json!({"iss": refused})))), "iss", "{refused}");
    }
}

#[test]
fn where_no_audience_is_set_a_token_may_name_none() {
    let reader = reader(TokenAlgorithm::Hs256, &[]);
    let read = |claims: &Value| reader.read(&Signer::secret().token(claims), &KeySet::default(), NOW);
    assert!(read(&json!({"exp": NOW + 1, "role": "user"})).is_ok());
    assert_eq!(wrong_claim(read(&json!({"exp": NOW + 1, "role": "user", "aud": "studio"}))), "aud");
}

#[test]
fn what_is_required_has_to_be_there() {
    let required = [("AUTH_REQUIRED_CLAIMS", "email,org.id")];
    assert_eq!(wrong_claim(read(&required, &ada(&json!({"email": null, "org": {"id": 7}})))), "email");
    assert_eq!(wrong_claim(read(&required, &ada(&json!({"email": "a@b.c", "org": {}})))), "org.id");
    assert!(read(&required, &ada(&json!({"email": "a@b.c", "org": {"id": 7}}))).is_ok());
}

#[test]
fn claims_have_the_names_that_the_settings_say() {
    let claims = ada(&json!({"scope": "chat  agents:use", "tid": "acme", "key_id": "k1", "scopes": ["keys"]}));
    let expected = TokenClaims {
        user: Some("ada".to_owned()),
        role: Some("user".to_owned()),
        scopes: Some(vec!["chat".to_owned(), "agents:use".to_owned()]),
        key_id: None,
        expires: NOW + 600,
        tenant: Some("acme".to_owned()),
        kind: TokenKind::Provider,
    };
    assert_eq!(read(&[], &claims), Ok(expected.clone()));
    let names = [
        ("AUTH_USER_CLAIM", "preferred_username"),
        ("AUTH_ROLE_CLAIM", "realm_access.roles"),
        ("AUTH_SCOPE_CLAIM", "https://studio.example/scopes"),
    ];
    let other = ada(&json!({
        "sub": "5f0c", "preferred_username": "ada", "role": "admin", "realm_access": {"roles": ["offline_access", "viewer", "user"]},
        "https://studio.example/scopes": ["chat", "agents:use"], "tenant": "acme", "tid": "other"
    }));
    assert_eq!(read(&names, &other), Ok(expected));
    let none = read(&[], &ada(&json!({"sub": null}))).unwrap();
    assert_eq!((none.user, none.scopes, none.tenant), (None, None, None));
    for (name, value) in
        [("sub", json!(7)), ("sub", json!("")), ("scope", json!({})), ("tenant", json!(7)), ("role", json!(7))]
    {
        assert_eq!(wrong_claim(read(&[], &ada(&json!({name: value})))), name, "{value}");
    }
}

#[test]
fn a_role_is_one_of_four_or_the_default() {
    let role =
        |more: &[(&str, &str)], role: Value| read(more, &ada(&json!({"role": role}))).map(|read| read.role.unwrap());
    assert_eq!(role(&[], json!(["viewer", "admin", "operator"])), Ok("admin".to_owned()));
    for unknown in [json!(null), json!("root"), json!("Admin"), json!(["root"]), json!([]), json!("admin user")] {
        assert!(role(&[], unknown.clone()).is_err(), "{unknown}");
        assert_eq!(role(&[("AUTH_DEFAULT_ROLE", "viewer")], unknown.clone()), Ok("viewer".to_owned()), "{unknown}");
    }
}

#[test]
fn the_servers_own_tokens_say_what_they_were_made_of() {
    let claims = TokenClaims {
        user: Some("ada".to_owned()),
        role: Some("operator".to_owned()),
        scopes: Some(vec!["agents:use:the billing agent".to_owned()]),
        key_id: Some("key-7".to_owned()),
        expires: i64::MAX,
        tenant: Some("acme".to_owned()),
        kind: TokenKind::Bearer,
    };
    for algorithm in [TokenAlgorithm::Hs256, TokenAlgorithm::Hs512, TokenAlgorithm::Rs256, TokenAlgorithm::Es256] {
        let reader = reader(algorithm, &[("AUTH_TOKEN_EXPIRE_MINUTES", "10")]);
        let (token, expires) = reader.issue(&claims, NOW);
        assert_eq!(expires, NOW + 600);
        let read = |now| reader.read(&token, &KeySet::default(), now);
        assert_eq!(read(NOW), Ok(TokenClaims { expires, ..claims.clone() }), "{algorithm:?}");
        assert_eq!((read(NOW + 629).is_ok(), read(NOW + 630)), (true, Err(TokenError::Expired)));
        assert_eq!(wrong_claim(read(NOW - 31)), "iat", "another server's clock is wrong");
        assert_ne!(reader.issue(&claims, NOW).0, token, "each has an id of its own");
        let other = TokenReader::new(settings(algorithm, &[("AUTH_SECRET_KEY", &SECRET.replace('Q', "q"))]));
        assert_eq!(other.read(&token, &KeySet::default(), NOW), Err(TokenError::Signature));
        let short = TokenClaims { expires: NOW + 60, ..claims.clone() };
        assert_eq!(reader.issue(&short, NOW).1, NOW + 60, "its key ends sooner");
    }
    let bare = TokenClaims { expires: i64::MAX, kind: TokenKind::Bearer, ..TokenClaims::default() };
    let reader = reader(TokenAlgorithm::Hs256, &[]);
    let (token, expires) = reader.issue(&bare, NOW);
    assert_eq!(reader.read(&token, &KeySet::default(), NOW), Ok(TokenClaims { expires, ..bare }));
}

#[test]
fn nobody_elses_token_is_the_servers_own() {
    let own = json!({"iss": AuthSettings::OWN_NAME, "key_id": "k", "role": "admin"});
    let provider = Signer::rsa();
    let reader = reader(TokenAlgorithm::Rs256, &[]);
    assert_eq!(wrong_claim(reader.read(&provider.token(&ada(&own)), &provider.keys(), NOW)), "iss");
    let secret = Signer::secret();
    assert_eq!(wrong_claim(reader.read(&secret.token(&ada(&own)), &provider.keys(), NOW)), "aud");
    assert_eq!(wrong_claim(reader.read(&secret.token(&ada(&json!({}))), &provider.keys(), NOW)), "iss");
}

#[test]
fn without_a_secret_nobody_can_sign() {
    let off = load(Environment::from_pairs([("AUTH_SECRET_KEY", SECRET)])).unwrap().settings.auth;
    let claims = json!({"exp": NOW + 1, "role": "admin"});
    for secret in [SECRET, ""] {
        let token = Signer::Hmac(TokenAlgorithm::Hs256, secret.as_bytes().to_vec()).token(&claims);
        assert_eq!(TokenReader::new(off.clone()).read(&token, &KeySet::default(), NOW), Err(TokenError::Signature));
    }
}
