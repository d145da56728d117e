use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::settings::{
    AgentSettings, Catalog, DataSourceSettings, Environment, JsonFile, LlmSection, Precondition, Section,
    VerifiedQuestions, load,
};

const FIRST: &str = "yXg0FvUjT1oG9m8kq3nB7cW5dZ2aLhR4sP6eQxK0iVM=";
const SECOND: &str = "5f3c9a0b7e6d1248fe90ab34cd56ef7801928374655647382910aabbccddeeff";

fn keyring(key: &str, old: &str) -> Keyring {
    let environment = Environment::from_pairs([("SECRETS_KEY", key), ("SECRETS_KEYS_OLD", old)]);
    let given = environment.without(|name| environment.get(name) == Some(""));
    load(given).unwrap().settings.storage.keyring.clone()
}

fn entry(section: &str, value: &Value) -> StoredEntry {
    StoredEntry::new(section, value["name"].as_str().unwrap_or("connection"), 3, &value.to_string())
}

fn value(entry: &StoredEntry) -> Value {
    serde_json::from_str(entry.text.as_ref().unwrap().expose()).unwrap()
}

fn is_encrypted(value: &Value) -> bool {
    value.as_str().is_some_and(|text| encrypted_by(text).is_some())
}

#[test]
fn what_is_masked_when_shown_is_encrypted_and_nothing_else() {
    let keyring = keyring(FIRST, "");
    let tool = json!({"name": "t", "type": "mcp", "enabled": true, "revision": 4, "config": {
        "command": "run", "args": ["--api-key", "s3cret-a", "--token=s3cret-b", "plain"], "env": {"PIN": 4711, "X": "s3cret-c"},
        "headers": {"Accept": "text/html", "X-Team": "s3cret-d"}, "password": "${PASSWORD}", "api_key": "",
        "url": "https://u:s3cret-e@host/x", "a/b~c": {"secret": "s3cret-f"}}});
    let encrypted = entry("tools", &tool).encrypted(&keyring).unwrap();
    let text = encrypted.text.as_ref().unwrap().expose();
    assert!(!text.contains("s3cret") && !text.contains("4711"), "{text}");
    let stored = value(&encrypted);
    let config = &stored["config"];
    let hidden = ["/args/1", "/args/2", "/env/PIN", "/env/X", "/headers/X-Team", "/url", "/a~1b~0c/secret"];
    assert!(hidden.iter().all(|path| is_encrypted(config.pointer(path).unwrap())), "{text}");
    let clear = (&config["args"][0], &config["args"][3], &config["password"], &config["api_key"], &stored["revision"]);
    assert_eq!(clear, (&json!("--api-key"), &json!("plain"), &json!("${PASSWORD}"), &json!(""), &json!(4)));
    assert_eq!(Keyring::keys_in(text).len(), hidden.len());
    assert_eq!(value(&encrypted.decrypted(&keyring)), tool);
}

#[test]
fn an_encrypted_text_counts_in_its_own_place_only() {
    let keyring = keyring(FIRST, "");
    let agent = |name: &str, token: &Value| json!({"name": name, "url": "http://a", "auth_token": token});
    let encrypted = entry("agents", &agent("a", &json!("s3cret"))).encrypted(&keyring).unwrap();
    let token = value(&encrypted)["auth_token"].clone();
    assert!(encrypted.clone().decrypted(&keyring).undecrypted().is_none());
    let elsewhere = [
        entry("agents", &agent("b", &token)),
        entry("tools", &agent("a", &token)),
        entry("agents", &json!({"name": "a", "url": token, "auth_token": null})),
    ];
    for moved in elsewhere {
        let issue = moved.decrypted(&keyring).undecrypted().unwrap().to_string();
        assert!(
            issue.contains("can't be decrypted") && issue.contains(keyring.current.as_ref().unwrap().id()),
            "{issue}"
        );
    }
}

#[test]
fn old_keys_decrypt_and_the_current_one_encrypts() {
    let [first, both, second] = [keyring(FIRST, ""), keyring(SECOND, FIRST), keyring(SECOND, "")];
    let llm = entry("llm", &json!({"base_url": "http://a", "api_key": "s3cret"}));
    let encrypted = llm.encrypted(&first).unwrap();
    assert!(second.clone().current.is_some() && encrypted.clone().decrypted(&second).undecrypted().is_some());
    let renewed = encrypted.renewed(&both).unwrap().unwrap();
    assert_eq!(value(&renewed.clone().decrypted(&second)), value(&llm));
    assert!(renewed.renewed(&both).unwrap().is_none(), "it is done");
    assert!(encrypted.renewed(&second).is_err(), "a lost key");
    // Without a current key all is decrypted.
    let plain = renewed.renewed(&keyring("", &format!("{FIRST}, {SECOND}"))).unwrap().unwrap();
    assert_eq!(
        (value(&plain), plain.has_clear_credentials(), renewed.has_clear_credentials()),
        (value(&llm), true, false)
    );
}

#[test]
fn a_plain_text_that_looks_encrypted_is_refused() {
    let odd = json!({"name": "a", "url": "http://a", "description": "enc:v1:abc:def"});
    for keyring in [Keyring::default(), keyring(FIRST, "")] {
        let refused = entry("agents", &odd).encrypted(&keyring).unwrap_err();
        assert!(refused.issues()[0].to_string().contains("enc:v1:"), "{refused}");
        let inside = json!({"name": "a", "url": "http://a", "description": "as in \"enc:v1:abc\""});
        let kept = entry("agents", &inside).encrypted(&keyring).unwrap().decrypted(&keyring);
        assert_eq!((value(&kept), kept.undecrypted().is_none()), (inside, true));
    }
}

#[test]
fn what_a_lost_key_has_encrypted_is_named_left_out_and_kept_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.json");
    let [first, second] = [keyring(FIRST, ""), keyring(SECOND, "")];
    let environment = Environment::default();
    let added = |catalog: &Catalog<AgentSettings>, name: &str, token: Value| {
        let body = json!({"name": name, "url": "http://a", "auth_token": token});
        catalog.with_created(body.as_object().unwrap(), &environment, &[]).unwrap().0
    };
    let write = |catalog: &Catalog<AgentSettings>, keyring: &Keyring| {
        std::fs::write(&path, catalog.stored_text(keyring).unwrap().unwrap()).unwrap();
    };
    let read = |keyring: &Keyring| {
        let file = JsonFile::read(&path).unwrap().unwrap();
        Catalog::<AgentSettings>::default().with_stored(&file, keyring, &environment).unwrap()
    };
    let names = |catalog: &Catalog<AgentSettings>| catalog.iter().map(|it| it.name.to_string()).collect::<Vec<_>>();
    let secret = |catalog: &Catalog<AgentSettings>, name: &str| {
        catalog.get(name).and_then(|entry| entry.effective.auth_token.as_ref().map(|token| token.expose().to_owned()))
    };
    let two = added(&added(&Catalog::default(), "a", json!("s3cret")), "open", Value::Null);
    write(&two, &first);
    let lost = read(&second);
    assert_eq!((names(&lost), lost.undecrypted().count()), (vec!["open".to_owned()], 1));
    write(&added(&lost, "b", json!("other")), &second);
    assert_eq!(secret(&read(&first), "a").as_deref(), Some("s3cret"), "it is there for whoever has the key");
    // Made anew under its name, it takes the place of the lost one.
    let again = added(&read(&second), "a", json!("new"));
    write(&again, &second);
    let last = read(&second);
    assert_eq!(names(&last), ["a", "open", "b"], "in its place");
    assert_eq!((secret(&last, "a").as_deref(), last.undecrypted().count()), (Some("new"), 0));
    assert_eq!(secret(&last, "b").as_deref(), Some("other"));
}

#[test]
fn an_entry_that_is_removed_while_its_key_is_lost_stays_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.json");
    let environment = Environment::from_pairs([("EXTERNAL_AGENTS", r#"{"a": {"url": "http://base"}}"#)]);
    let base = load(environment.clone()).unwrap().settings.agents.clone();
    let read =
        |keyring: &Keyring| base.with_stored(&JsonFile::read(&path).unwrap().unwrap(), keyring, &environment).unwrap();
    let body = json!({"name": "a", "url": "http://own", "auth_token": "s3cret"});
    let body = body.as_object().unwrap();
    let own = base.with_replaced("a", &Precondition::Any, body, &environment, &[]).unwrap().0;
    std::fs::write(&path, own.stored_text(&keyring(FIRST, "")).unwrap().unwrap()).unwrap();
    let lost = read(&keyring(SECOND, ""));
    assert_eq!(lost.get("a").unwrap().effective.url.expose(), "http://base");
    let removed = lost.without("a", &Precondition::Any).unwrap();
    std::fs::write(&path, removed.stored_text(&keyring(SECOND, "")).unwrap().unwrap()).unwrap();
    assert!(read(&keyring(FIRST, "")).is_empty());
}

#[test]
fn questions_of_a_source_that_cant_be_decrypted_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("datasources.json");
    let environment = Environment::default();
    let source = json!({"name": "shop", "type": "api", "url": "http://a", "auth_token": "s3cret"});
    let sources = Catalog::<DataSourceSettings>::default();
    let sources = sources.with_created(source.as_object().unwrap(), &environment, &[]).unwrap().0;
    std::fs::write(&path, sources.stored_text(&keyring(FIRST, "")).unwrap().unwrap()).unwrap();
    let file = JsonFile::read(&path).unwrap().unwrap();
    let lost = Catalog::<DataSourceSettings>::default().with_stored(&file, &keyring(SECOND, ""), &environment).unwrap();
    let question = json!({"id": "1", "question": "How many?", "query": "q", "parameters": {}, "verified_by": null,
        "verified_at": "", "status": "verified", "reason": null, "tables": {}});
    let questions = vec![Arc::new(serde_json::from_value(question).unwrap())];
    let all = VerifiedQuestions::default().with("shop", questions.clone()).with("gone", questions);
    let known = all.of_known(&lost);
    assert_eq!((lost.len(), known.of("shop").len(), known.of("gone").len()), (0, 1, 0));
}

#[test]
fn an_llm_connection_that_cant_be_decrypted_is_given_up_on_purpose_only() {
    let environment = Environment::default();
    let plain = entry("llm", &json!({"base_url": "http://a", "api_key": "s3cret"}));
    let encrypted = plain.encrypted(&keyring(FIRST, "")).unwrap();
    let (lost, issues) = LlmSection::default().with_entries(std::slice::from_ref(&encrypted), &environment);
    assert!(issues[0].to_string().contains("can't be decrypted") && lost.effective().base_url.is_none());
    let change = json!({"temperature": 0.2});
    let refused = lost.with_change(change.as_object().unwrap(), &[], &environment).unwrap_err();
    assert!(refused.to_string().contains("can't be decrypted"), "{refused}");
    assert_eq!(lost.stored_text(&keyring(SECOND, "")).unwrap().as_deref(), encrypted.text.as_ref().map(Secret::expose));
    let given_up = lost.without_changes(&environment).unwrap();
    assert_eq!(given_up.stored_since(Some(&lost)), [StoredEntry::gone("llm", "connection")]);
    let (back, _) = lost.with_entries(&[plain], &environment);
    assert!(back.undecrypted().is_none() && back.effective().api_key.is_some());
}

#[test]
fn a_key_that_is_none_is_refused_and_never_told() {
    for (key, old, named) in [("s3cret-short", "", "SECRETS_KEY"), (FIRST, "s3cret-short", "SECRETS_KEYS_OLD")] {
        let issues = load(Environment::from_pairs([("SECRETS_KEY", key), ("SECRETS_KEYS_OLD", old)])).unwrap_err();
        assert_eq!(issues.iter().map(|issue| issue.path()).collect::<Vec<_>>(), [named]);
        let said = issues[0].to_string();
        assert!(said.contains("32 random bytes") && !said.contains("s3cret"), "{said}");
    }
}
