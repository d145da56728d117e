//! Credentials of agents and data sources: kept, cleared, replaced, sent to their own server, and shown to nobody.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::resources::{AGENTS, AGENTS_AND_SOURCES, MASK, SOURCES, with, without};
use crate::common::upstream::json_reply;
use crate::common::{Program, TestServer, Upstream};

#[tokio::test]
async fn a_token_is_kept_when_absent_or_masked_cleared_by_null_or_nothing_and_else_replaced() {
    for resource in AGENTS_AND_SOURCES {
        let upstream = Upstream::answering(json!({})).await;
        let server = TestServer::bare().await;
        let entry = with(&resource.entry("a", &upstream.url()), "auth_token", json!("first-token"));
        server.post(resource.path, &entry).await.expect(201);
        let shown = server.get(&resource.at("a")).await.expect(200);
        assert_eq!(shown["auth_token"], MASK);
        let kept = Some("Bearer first-token".to_owned());
        let rows = [
            (shown.clone(), kept.clone()),
            (without(&entry, "auth_token"), kept.clone()),
            (with(&shown, "url", json!(format!("{}/below", upstream.url()))), kept),
            (with(&entry, "auth_token", json!("second-token")), Some("Bearer second-token".to_owned())),
            (with(&entry, "auth_token", json!(null)), None),
            // Nothing is stored that a mask could keep.
            (with(&entry, "auth_token", json!(MASK)), None),
            (without(&entry, "auth_token"), None),
            (with(&entry, "auth_token", json!("third-token")), Some("Bearer third-token".to_owned())),
            (with(&entry, "auth_token", json!("")), None),
        ];
        for (body, sent) in rows {
            let changed = server.put(&resource.at("a"), &body).await.expect(200);
            let mask = sent.as_ref().map_or(json!(null), |_| json!(MASK));
            assert_eq!(changed[resource.key]["auth_token"], mask, "{body}");
            assert_eq!(resource.token_sent(&server, "a", &upstream).await, sent, "{body}");
        }
    }
}

#[tokio::test]
async fn credentials_among_free_settings_are_masked_and_the_mask_keeps_them() {
    for resource in AGENTS_AND_SOURCES {
        let server = TestServer::bare().await;
        let mut entry = resource.entry("a", "http://127.0.0.1:9");
        entry[resource.free] = json!({"api_key": "k-one-canary", "max_tokens": 5, "primary_key": "id", "headers": {"Authorization": "Bearer k-two-canary"},
            "list": [{"client_secret": "k-three-canary"}], "password": "", "token": null});
        let shown = server.post(resource.path, &entry).await.expect(201)[resource.key].clone();
        let masked = json!({"api_key": MASK, "max_tokens": 5, "primary_key": "id", "headers": {"Authorization": MASK},
            "list": [{"client_secret": MASK}], "password": "", "token": null});
        assert_eq!(shown[resource.free], masked);
        server.put(&resource.at("a"), &with(&shown, "timeout_seconds", json!(9))).await.expect(200);
        let stored: Value = serde_json::from_str(&resource.stored(server.folder())).unwrap();
        assert_eq!(stored[resource.section][0][resource.free], entry[resource.free]);

        let mut changed = shown.clone();
        changed[resource.free]["api_key"] = json!(null);
        changed[resource.free]["headers"]["Authorization"] = json!("");
        changed[resource.free]["password"] = json!("k-four-canary");
        let changed = server.put(&resource.at("a"), &changed).await.expect(200);
        let free = &changed[resource.key][resource.free];
        assert_eq!(
            (&free["api_key"], &free["headers"]["Authorization"], &free["password"]),
            (&json!(null), &json!(""), &json!(MASK))
        );
        let stored = resource.stored(server.folder());
        assert!(
            !stored.contains("k-one")
                && !stored.contains("k-two")
                && stored.contains("k-three")
                && stored.contains("k-four")
        );
    }
}

#[tokio::test]
async fn a_mask_that_stands_for_nothing_stored_is_refused() {
    for resource in AGENTS_AND_SOURCES {
        let server = TestServer::bare().await;
        resource.add(&server, "kept").await;
        let free = |value: Value| with(&resource.entry("a", "http://127.0.0.1:9"), resource.free, value);
        let rows = [
            (with(&free(json!({})), "auth_token", json!(MASK)), json!(["body", "auth_token"])),
            (free(json!({"api_key": MASK})), json!(["body", resource.free, "api_key"])),
            (
                free(json!({"headers": {"Authorization": MASK}})),
                json!(["body", resource.free, "headers", "Authorization"]),
            ),
            (free(json!({"list": [{"key": "x"}, {"key": MASK}]})), json!(["body", resource.free, "list", 1, "key"])),
        ];
        for (body, place) in &rows {
            let refused = server.post(resource.path, body).await.expect(422);
            assert_eq!(
                (&refused["errors"][0]["loc"], refused["errors"].as_array().unwrap().len()),
                (place, 1),
                "{refused}"
            );
            if place[1] != "auth_token" {
                let refused = server.put(&resource.at("kept"), &with(body, "name", json!("kept"))).await.expect(422);
                assert_eq!(&refused["errors"][0]["loc"], place);
            }
        }
        // Who keeps an entry that has gone meanwhile hears that it has gone.
        for (body, _) in &rows {
            server.put(&resource.at("a"), body).await.expect(404);
        }
        assert_eq!(resource.names(&server, "").await, ["kept"]);
    }
}

#[tokio::test]
async fn a_kept_credential_does_not_move_to_another_server() {
    for resource in AGENTS_AND_SOURCES {
        let (mine, other) = (Upstream::answering(json!({})).await, Upstream::answering(json!({})).await);
        let server = TestServer::bare().await;
        let mut entry = with(&resource.entry("a", &mine.url()), "auth_token", json!("a"));
        server.post(resource.path, &entry).await.expect(201);
        let shown = server.get(&resource.at("a")).await.expect(200);
        let moved = with(&shown, "url", json!(other.url()));
        let far = with(&shown, "url", json!("https://elsewhere.example"));
        for body in
            [far.clone(), without(&far, "auth_token"), with(&far, "name", json!("b")), without(&moved, "auth_token")]
        {
            let refused = server.put(&resource.at("a"), &body).await.expect(422);
            assert_eq!(refused["errors"][0]["loc"], json!(["body", "auth_token"]), "{body}");
        }
        assert_eq!(server.get(resource.path).await.expect(200), json!([shown]));

        server.put(&resource.at("a"), &with(&moved, "auth_token", json!("for-the-other"))).await.expect(200);
        assert_eq!(resource.token_sent(&server, "a", &other).await.unwrap(), "Bearer for-the-other");
        server.put(&resource.at("a"), &with(&moved, "url", json!(format!("{}/below", other.url())))).await.expect(200);
        server
            .put(&resource.at("a"), &with(&with(&moved, "url", json!(mine.url())), "auth_token", json!(null)))
            .await
            .expect(200);
        assert_eq!(resource.token_sent(&server, "a", &mine).await, None);

        // The same goes for what stands among the free settings.
        entry[resource.free] = json!({"headers": {"X-Api-Key": "k-canary"}});
        server.put(&resource.at("a"), &with(&entry, "auth_token", json!(null))).await.expect(200);
        let shown = server.get(&resource.at("a")).await.expect(200);
        let far = with(&shown, "url", json!("https://elsewhere.example"));
        let refused = server.put(&resource.at("a"), &far).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["body", resource.free]));
        assert_eq!(other.seen().len(), 1);
    }
}

#[tokio::test]
async fn the_password_of_a_database_is_masked_kept_and_stays_with_its_host() {
    let server = TestServer::bare().await;
    let entry = |url: &str| with(&SOURCES.entry("db", url), "type", json!("postgres"));
    let url = |password: &str, host: &str| format!("postgres://reader:{password}@{host}/crm?sslmode=require");
    let shown =
        server.post(SOURCES.path, &entry(&url("p%40ss-canary", "db:5432"))).await.expect(201)["datasource"].clone();
    assert_eq!(shown["url"], url(MASK, "db:5432"));
    server.put(&SOURCES.at("db"), &with(&shown, "timeout_seconds", json!(5))).await.expect(200);
    assert!(SOURCES.stored(server.folder()).contains(&url("p%40ss-canary", "db:5432")));
    for elsewhere in ["evil:5432", "db:5433"] {
        let refused = server.put(&SOURCES.at("db"), &entry(&url(MASK, elsewhere))).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["body", "url"]));
    }
    let api = with(&entry(&format!("http://u:{MASK}@db:5432")), "type", json!("api"));
    server.put(&SOURCES.at("db"), &api).await.expect(422);
    server.put(&SOURCES.at("db"), &entry(&url("other-canary", "db:5433"))).await.expect(200);
    assert!(SOURCES.stored(server.folder()).contains(&url("other-canary", "db:5433")));
    let refused = server.post(SOURCES.path, &with(&entry(&url(MASK, "db")), "name", json!("new"))).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "url"]));
    server.put(&SOURCES.at("db"), &entry("postgres://reader@db:5433/crm")).await.expect(200);
    assert!(!SOURCES.stored(server.folder()).contains("canary"), "cleared");
}

#[tokio::test]
async fn a_reference_needs_leave_is_stored_as_written_and_used_resolved() {
    for resource in AGENTS_AND_SOURCES {
        let upstream = Upstream::answering(json!({})).await;
        let variables = [
            ("MY_TOKEN", "resolved-canary"),
            ("MY_URL", &*upstream.url()),
            ("OTHER", "kept-canary"),
            ("API_REFERENCES", "my_token, MY_URL"),
        ];
        let server = TestServer::with(&variables).await;
        let mut entry = with(&resource.entry("a", "${MY_URL}"), "auth_token", json!("${MY_TOKEN}"));
        let added = server.post(resource.path, &entry).await.expect(201);
        assert_eq!(
            (&added[resource.key]["url"], &added[resource.key]["auth_token"]),
            (&json!("${MY_URL}"), &json!(MASK))
        );
        assert_eq!(resource.token_sent(&server, "a", &upstream).await.unwrap(), "Bearer resolved-canary");
        let stored = resource.stored(server.folder());
        assert!(stored.contains("${MY_TOKEN}") && !stored.contains("resolved-canary"));
        let server = server.restart().await;
        assert_eq!(resource.token_sent(&server, "a", &upstream).await.unwrap(), "Bearer resolved-canary");

        for (field, value) in
            [("url", "${OTHER}"), ("auth_token", "${OTHER}"), ("auth_token", "${other}"), ("auth_token", "${NOT_SET}")]
        {
            for method in ["POST", "PUT"] {
                let body =
                    with(&with(&entry, field, json!(value)), "name", json!(if method == "PUT" { "a" } else { "b" }));
                let path = if method == "PUT" { resource.at("a") } else { resource.path.to_owned() };
                let refused = server.send_if("x-none", "", method, &path, &body).await.expect(422);
                assert_eq!(refused["errors"][0]["loc"], json!(["body", field]), "{value}");
                assert!(!refused.to_string().contains("canary"));
            }
        }
        // What a variable holds is not quoted when it is no URL.
        let refused = server.put(&resource.at("a"), &with(&entry, "url", json!("${MY_TOKEN}"))).await.expect(422);
        assert_eq!(
            (&refused["errors"][0]["loc"], &refused["errors"][0]["input"]),
            (&json!(["body", "url"]), &json!("${MY_TOKEN}"))
        );
        assert!(!refused.to_string().contains("canary"));
        if resource.section == "datasources" {
            entry["config"] = json!({"path": ["${OTHER}"]});
            let refused = server.put(&resource.at("a"), &entry).await.expect(422);
            assert_eq!(refused["errors"][0]["loc"], json!(["body", "config", "path", 0]));
        }
    }
}

#[tokio::test]
async fn who_knows_the_name_of_a_variable_cannot_have_it_sent_elsewhere() {
    for resource in AGENTS_AND_SOURCES {
        let (mine, other) = (Upstream::answering(json!({})).await, Upstream::answering(json!({})).await);
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("entries.json");
        let entry = with(&resource.entry("a", &mine.url()), "auth_token", json!("${MY_TOKEN}"));
        std::fs::write(&file, json!({resource.section: [entry]}).to_string()).unwrap();
        let server =
            TestServer::with(&[(resource.file, file.to_str().unwrap()), ("MY_TOKEN", "resolved-canary")]).await;
        // As long as it stays where the operator put it, the entry may be changed.
        server.put(&resource.at("a"), &with(&entry, "timeout_seconds", json!(5))).await.expect(200);
        assert_eq!(resource.token_sent(&server, "a", &mine).await.unwrap(), "Bearer resolved-canary");
        for (token, url) in [("${MY_TOKEN}", other.url()), (MASK, "https://elsewhere.example".to_owned())] {
            let moved = with(&with(&entry, "url", json!(url)), "auth_token", json!(token));
            let refused = server.put(&resource.at("a"), &moved).await.expect(422);
            assert_eq!(refused["errors"][0]["loc"], json!(["body", "auth_token"]));
        }
        server
            .put(&resource.at("a"), &with(&with(&entry, "url", json!(other.url())), "auth_token", json!(null)))
            .await
            .expect(200);
        server.put(&resource.at("a"), &with(&entry, "url", json!(mine.url()))).await.expect(422);
        assert_eq!(other.seen().len(), 0);
    }
}

#[tokio::test]
async fn planted_secrets_appear_in_no_reply_no_error_and_no_log_line() {
    // It quotes what it was sent, as servers do.
    let parrot = Upstream::start(|seen, nth| {
        let said = format!("got {:?}", seen.headers.get("authorization"));
        let status = if nth % 2 == 0 { "200 OK" } else { "403 Forbidden" };
        json_reply(status, &json!({"data": [{"a": said}], "tables": [said], "error": said}))
    })
    .await;
    let folder = TempDir::new().unwrap();
    let variables = [
        ("LOG_LEVEL", "trace"),
        ("VAULT", "vault-canary-123"),
        ("EXTERNAL_AGENT_BASE_URL", "http://127.0.0.1:1"),
        ("EXTERNAL_AGENT_AUTH_TOKEN", "env-canary-12345"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let client = &program.client;
    let mut replies = vec![];
    for resource in AGENTS_AND_SOURCES {
        let mut entry = with(&resource.entry("a", &parrot.url()), "auth_token", json!("auth-canary-12345"));
        entry[resource.free] = json!({"api_key": "key-canary-123456", "nested": [{"password": "word-canary-12345"}]});
        replies.push(client.post(resource.path, &entry).await);
        replies.push(client.post(resource.path, &entry).await);
        replies.push(client.post(resource.path, &without(&with(&entry, "name", json!("b")), "url")).await);
        replies.push(
            client
                .post(resource.path, &with(&without(&entry, "name"), "url", json!("http://u:url-canary-123@h/x")))
                .await,
        );
        replies.push(
            client
                .post(
                    resource.path,
                    &with(&with(&entry, "name", json!("b")), "url", json!("http://u:url-canary-123@h/x")),
                )
                .await,
        );
        replies.push(client.post(resource.path, &with(&entry, "auth_token", json!("auth-canary-12345\n\u{1}x"))).await);
        replies.push(client.put(&resource.at("a"), &with(&entry, "timeout_seconds", json!(-1))).await);
        replies.push(
            client.put(&resource.at("a"), &with(&entry, resource.free, json!([{"key": "key-canary-123456"}]))).await,
        );
        replies.push(client.put(&resource.at("a"), &with(&entry, "name", json!("a"))).await);
        replies.push(client.put(&resource.at("nobody"), &entry).await);
        replies.push(client.put(&resource.at("a"), &with(&entry, "url", json!("http://127.0.0.1:1"))).await);
        let shown = client.get(&resource.at("a")).await;
        replies.push(client.put(&resource.at("a"), &with(&shown.json(), "url", json!(parrot.url()))).await);
        replies.push(shown);
        replies.push(client.put(&resource.at("a"), &entry).await);
        for path in ["", "/a", "/health/all", "?q=canary"] {
            replies.push(client.get(&format!("{}{path}", resource.path)).await);
        }
        for _ in 0..2 {
            replies.push(client.post(&format!("{}/test", resource.at("a")), &json!({})).await);
        }
    }
    let database = |name: &str, url: &str| {
        with(&with(&SOURCES.entry(name, url), "type", json!("postgres")), "timeout_seconds", json!(1))
    };
    replies.push(client.post(SOURCES.path, &database("db", "postgres://u:url-canary-123@127.0.0.1:1/x")).await);
    replies.push(
        client
            .post(SOURCES.path, &without(&database("db2", "postgres://u:url-canary-123@127.0.0.1:1/x"), "name"))
            .await,
    );
    replies.push(client.post(SOURCES.path, &database("db2", "postgres://u:url-canary-123@/x")).await);
    replies.push(client.post(SOURCES.path, &database("db2", "postgres://u:url-canary-123@h/x?host=/tmp")).await);
    replies.push(
        client
            .post(SOURCES.path, &with(&database("db2", "postgres://u:url-canary-123@h/x"), "type", json!("api")))
            .await,
    );
    replies.push(
        client
            .post(SOURCES.path, &with(&database("db2", "x"), "url", json!(["postgres://u:url-canary-123@h/x"])))
            .await,
    );
    for path in ["", "/db", "/health/all", "/db/schema", "/db/tables"] {
        replies.push(client.get(&format!("{}{path}", SOURCES.path)).await);
    }
    for name in ["a", "db"] {
        for _ in 0..2 {
            replies.push(client.post(&format!("{}/query", SOURCES.at(name)), &json!({"query": "SELECT 1"})).await);
            replies.push(client.get(&format!("{}/schema", SOURCES.at(name))).await);
            replies.push(client.get(&format!("{}/tables", SOURCES.at(name))).await);
        }
        replies.push(client.post(&format!("{}/test", SOURCES.at(name)), &json!({})).await);
    }
    for name in ["a", "default"] {
        for _ in 0..2 {
            replies.push(client.post(&format!("{}/call", AGENTS.at(name)), &json!({"say": "it"})).await);
        }
        replies.push(client.post(&format!("{}/test", AGENTS.at(name)), &json!({})).await);
    }
    replies.push(
        client.put(&AGENTS.at("a"), &with(&AGENTS.entry("a", &parrot.url()), "auth_token", json!("${VAULT}"))).await,
    );
    replies.push(client.get("/health").await);
    assert!(
        parrot.seen().iter().any(|seen| seen.headers["authorization"] == "Bearer auth-canary-12345"),
        "it was used"
    );
    for reply in &replies {
        assert!(!reply.text.contains("canary") && !format!("{:?}", reply.headers).contains("canary"), "{}", reply.text);
    }
    let log = program.log();
    assert!(log.contains("served"));
    assert_eq!(log.lines().find(|line| line.contains("canary") && !line.contains("q=canary")), None);

    for resource in AGENTS_AND_SOURCES {
        let file = folder.path().join(format!("data/config/{}.json", resource.section));
        let stored = std::fs::read_to_string(&file).unwrap();
        for secret in ["auth-canary-12345", "key-canary-123456", "word-canary-12345"] {
            assert!(stored.contains(secret), "the store itself must have it");
        }
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(SOURCES.stored(&folder.path().join("data")).contains("url-canary-123"));
    assert_eq!(std::fs::metadata(folder.path().join("data/config")).unwrap().permissions().mode() & 0o777, 0o700);
}
