//! Agents, data sources and tools are kept in the same way: added, shown, changed, renamed, listed, removed; from files, the
//! environment and the API. Each story is told of all of them, as far as their fields are alike. Credentials have
//! `security::resource_secrets`, files `api::resource_files`.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::common::resources::{AGENTS_AND_SOURCES, ALL, SECRET, SOURCES, with, without};
use crate::common::upstream::{json_reply, reply};
use crate::common::{Act, Answer, TestServer, Upstream};

#[tokio::test]
async fn an_entry_is_added_shown_changed_and_removed_and_each_step_survives_a_restart() {
    for resource in AGENTS_AND_SOURCES {
        let mut server = TestServer::bare().await;
        let mut entry = resource.entry("crm", "http://127.0.0.1:9/base");
        entry[resource.free] = json!({"description": "Kunden 💶", "deep": [{"a": null}, 1.5]});
        let added = server.post(resource.path, &entry).await.expect(201);
        let message = format!("{} 'crm' created successfully", resource.label);
        assert_eq!(added, json!({"success": true, "message": message, resource.key: entry}));
        server = server.restart().await;
        assert_eq!(server.get(&resource.at("crm")).await.expect(200), entry);

        entry["url"] = json!("http://127.0.0.1:9/other");
        entry["timeout_seconds"] = json!(3600);
        entry["enabled"] = json!(false);
        entry[resource.free] = json!({"b": true});
        let changed = server.put(&resource.at("crm"), &entry).await.expect(200);
        let message = format!("{} 'crm' updated successfully", resource.label);
        assert_eq!(changed, json!({"success": true, "message": message, resource.key: entry}));
        server = server.restart().await;
        assert_eq!(server.get(resource.path).await.expect(200), json!([entry]));

        let removed = server.delete(&resource.at("crm")).await.expect(200);
        let message = format!("{} 'crm' deleted successfully", resource.label);
        assert_eq!(removed, json!({"success": true, "message": message}));
        server = server.restart().await;
        assert_eq!(server.get(resource.path).await.text, "[]");
        let gone = format!("{} 'crm' not found", resource.label);
        assert_eq!(server.get(&resource.at("crm")).await.expect(404)["detail"], gone);
        assert_eq!(server.put(&resource.at("crm"), &entry).await.expect(404)["detail"], gone);
        assert_eq!(server.delete(&resource.at("crm")).await.expect(404)["detail"], gone);
    }
}

#[tokio::test]
async fn what_is_left_out_has_the_originals_defaults_and_members_keep_their_order() {
    let server = TestServer::bare().await;
    for resource in AGENTS_AND_SOURCES {
        let entry = resource.entry("a", "http://127.0.0.1:9");
        let least: Value = ["name", "type", "url"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), entry.get(name)?.clone())))
            .collect();
        let answer = server.post(resource.path, &least).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        answer.expect(201);
        assert_eq!(server.get(&resource.at("a")).await.text, entry.to_string());
        // A PUT replaces the whole.
        server
            .put(&resource.at("a"), &with(&with(&entry, resource.free, json!({"x": 1})), "enabled", json!(false)))
            .await
            .expect(200);
        server.put(&resource.at("a"), &least).await.expect(200);
        assert_eq!(server.get(&resource.at("a")).await.text, entry.to_string());
    }
}

#[tokio::test]
async fn values_are_read_leniently_and_what_is_unknown_is_dropped() {
    let server = TestServer::bare().await;
    for resource in AGENTS_AND_SOURCES {
        let mut entry = resource.entry("a", " http://127.0.0.1:9 ".trim());
        for (field, value) in [
            ("timeout_seconds", json!("07")),
            ("enabled", json!("off")),
            ("id", json!(5)),
            ("status", json!({"connected": true})),
            ("revision", json!(9)),
            ("description", json!("top")),
        ] {
            entry[field] = value;
        }
        let added = server.post(resource.path, &entry).await.expect(201);
        let mut expected = with(&resource.entry("a", "http://127.0.0.1:9"), "timeout_seconds", json!(7));
        expected["enabled"] = json!(false);
        assert_eq!(added[resource.key], expected);
        entry["timeout_seconds"] = json!(2.0);
        entry["enabled"] = json!(1);
        let changed = server.put(&resource.at("a"), &entry).await.expect(200);
        assert_eq!(
            (&changed[resource.key]["timeout_seconds"], &changed[resource.key]["enabled"]),
            (&json!(2), &json!(true))
        );
        assert!(!resource.stored(server.folder()).contains("connected"));
    }
}

#[tokio::test]
async fn every_legal_name_is_reached_by_its_percent_encoded_path() {
    let long = "ü".repeat(128);
    let names = [
        "a",
        "Küche 7",
        "a.b",
        "...",
        ".hidden",
        "100%",
        "health",
        "all",
        "config",
        "a&b=c+d;e",
        "\"quoted\"",
        "日本💶",
        "<b>",
        "{name}",
        &long,
    ];
    for resource in ALL {
        let mut server = TestServer::bare().await;
        for name in names {
            resource.add(&server, name).await;
        }
        server = server.restart().await;
        assert_eq!(resource.names(&server, "").await, names);
        for name in names {
            let shown = server.get(&resource.at(name)).await.expect(200);
            assert_eq!(shown["name"], name);
            server.put(&resource.at(name), &resource.with_timeout(&shown, json!(5))).await.expect(200);
            let tested = server.post(&format!("{}/test", resource.at(name)), &json!({})).await.expect(200);
            assert_eq!(tested[resource.key], name);
            server.delete(&resource.at(name)).await.expect(200);
        }
        assert_eq!(server.get(resource.path).await.text, "[]");
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_in_a_path_is_refused_unless_an_entry_has_it_already() {
    let names = ["q?x=1#y", "a/b", "back\\slash", "%2F", " blanks ", "stored?"];
    for resource in ALL {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("entries.json");
        let of_file: Vec<_> = names[..5].iter().map(|name| resource.entry(name, "http://127.0.0.1:9")).collect();
        std::fs::write(&file, json!({resource.section: of_file}).to_string()).unwrap();
        let server = TestServer::with(&[(resource.file, file.to_str().unwrap())]).await;
        resource.add(&server, "plain").await;
        // As an earlier version stored it.
        let stored = server.folder().join("config").join(format!("{}.json", resource.section));
        std::fs::write(&stored, resource.stored(server.folder()).replace("\"plain\"", "\"stored?\"")).unwrap();
        let mut server = server.restart().await;
        assert_eq!(resource.names(&server, "").await, names);
        for name in names {
            let shown = server.get(&resource.at(name)).await.expect(200);
            let changed = resource.with_timeout(&shown, json!(5));
            server.put(&resource.at(name), &changed).await.expect(200);
            server.post(&format!("{}/test", resource.at(name)), &json!({})).await.expect(200);
            server.post(resource.path, &with(&shown, "name", json!(format!("{name}?")))).await.expect(422);
            server.put(&resource.at(name), &with(&shown, "name", json!(format!("{name}?")))).await.expect(422);
        }
        server = server.restart().await;
        assert_eq!(resource.names(&server, "").await, names);
        for name in names {
            server.delete(&resource.at(name)).await.expect(200);
            let again = server.post(resource.path, &resource.entry(name, "http://127.0.0.1:9")).await.expect(422);
            let text = again["detail"].as_str().unwrap();
            assert!(text.starts_with("name should have no"), "{text}");
        }
        server = server.restart().await;
        assert_eq!(server.get(resource.path).await.text, "[]");
    }
}

#[tokio::test]
async fn another_free_name_in_the_body_renames_and_a_taken_one_is_a_conflict() {
    for resource in ALL {
        let mut server = TestServer::bare().await;
        for name in ["first", "old", "last"] {
            resource.add(&server, name).await;
        }
        let old = resource.with_token(&resource.entry("old", "http://127.0.0.1:9"), json!(SECRET));
        server.put(&resource.at("old"), &old).await.expect(200);
        let shown = server.get(&resource.at("old")).await.expect(200);

        let taken = server.put(&resource.at("old"), &with(&shown, "name", json!("last"))).await.expect(409);
        assert_eq!(taken["detail"], format!("{} 'last' already exists", resource.label));
        assert_eq!(
            server.post(resource.path, &old).await.expect(409)["detail"],
            format!("{} 'old' already exists", resource.label)
        );
        assert_eq!(resource.names(&server, "").await, ["first", "old", "last"]);
        assert_eq!(server.get(&resource.at("old")).await.expect(200), shown);

        let renamed = server.put(&resource.at("old"), &with(&shown, "name", json!("new"))).await.expect(200);
        assert_eq!(renamed["message"], format!("{} 'old' updated successfully", resource.label));
        assert_eq!(renamed[resource.key]["name"], "new");
        server = server.restart().await;
        assert_eq!(resource.names(&server, "").await, ["first", "new", "last"]);
        server.get(&resource.at("old")).await.expect(404);
        assert!(resource.stored(server.folder()).contains(SECRET), "the token has come along");
        resource.add(&server, "old").await;
        assert_eq!(resource.names(&server, "").await, ["first", "new", "last", "old"]);
    }
}

#[tokio::test]
async fn a_list_is_narrowed_by_its_parameters_and_keeps_its_order() {
    for resource in ALL {
        let server = TestServer::bare().await;
        for (name, enabled, description) in
            [("zeta", true, "Rechnungen"), ("Alpha", false, "Reisen"), ("mid", true, "Über uns"), ("alpine", true, "")]
        {
            let mut entry = with(&resource.entry(name, "http://127.0.0.1:9"), "enabled", json!(enabled));
            entry[resource.free] = json!({"description": description, "secret_note": "zeta"});
            server.post(resource.path, &entry).await.expect(201);
        }
        let rows: [(&str, &[&str]); 22] = [
            ("", &["zeta", "Alpha", "mid", "alpine"]),
            ("?limit=2", &["zeta", "Alpha"]),
            ("?offset=1", &["Alpha", "mid", "alpine"]),
            ("?limit=2&offset=1", &["Alpha", "mid"]),
            ("?limit=0", &[]),
            ("?limit=1000000&offset=9223372036854775807", &[]),
            ("?limit=1&limit=3", &["zeta", "Alpha", "mid"]),
            ("?enabled=true", &["zeta", "mid", "alpine"]),
            ("?enabled=no", &["Alpha"]),
            ("?enabled=yes&offset=1&limit=1", &["mid"]),
            ("?q=ALP", &["Alpha", "alpine"]),
            ("?q=R%C3%84T", &[]),
            ("?q=%C3%BCBER", &["mid"]),
            ("?q=Re+", &[]),
            ("?q=", &["zeta", "Alpha", "mid", "alpine"]),
            ("?q=alp&enabled=1", &["alpine"]),
            ("?q=nothing", &[]),
            ("?q=zeta", &["zeta"]),
            ("?q=alp&limit=1", &["Alpha"]),
            ("?q=alp&offset=1", &["alpine"]),
            ("?unknown=x&page=2", &["zeta", "Alpha", "mid", "alpine"]),
            ("?type=", &["zeta", "Alpha", "mid", "alpine"]),
        ];
        for (query, names) in rows {
            assert_eq!(resource.names(&server, query).await, names, "{}{query}", resource.path);
        }
    }
    let server = TestServer::bare().await;
    for (name, kind, url) in [
        ("a", "api", "http://127.0.0.1:9"),
        ("b", "postgres", "postgres://db/x"),
        ("c", "API", "http://127.0.0.1:9"),
        ("d", "mongodb", "mongodb://db/x"),
    ] {
        server.post(SOURCES.path, &with(&SOURCES.entry(name, url), "type", json!(kind))).await.expect(201);
    }
    for (query, names) in
        [("?type=api", vec!["a", "c"]), ("?type=postgres", vec!["b"]), ("?type=mysql", vec![]), ("?q=mongo", vec!["d"])]
    {
        assert_eq!(SOURCES.names(&server, query).await, names, "{query}");
    }
}

#[tokio::test]
async fn a_change_of_what_someone_else_has_changed_is_refused() {
    for resource in ALL {
        let server = TestServer::bare().await;
        let entry = resource.entry("a", "http://127.0.0.1:9");
        let first = server.post(resource.path, &entry).await.tag();
        assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
        assert_eq!(server.get(&resource.at("a")).await.tag(), first);
        let put = async |tag: &str, body: &Value| server.send_if("if-match", tag, "PUT", &resource.at("a"), body).await;
        let delete = async |tag: &str| server.send_if("if-match", tag, "DELETE", &resource.at("a"), &json!(null)).await;

        let changed = put(&first, &with(&entry, "enabled", json!(false))).await;
        assert_eq!(changed.status, 200);
        let second = changed.tag();
        assert_ne!(first, second);
        assert_eq!(server.get(&resource.at("a")).await.tag(), second);

        let stale = put(&first, &entry).await.expect(412);
        assert_eq!(stale["code"], "precondition_failed");
        assert!(stale["detail"].as_str().unwrap().contains(&format!("{} 'a'", resource.label)), "{stale}");
        delete(&first).await.expect(412);
        put("\"\"", &entry).await.expect(412);
        assert_eq!(server.get(&resource.at("a")).await.expect(200)["enabled"], false);

        // Only the token changes: that shows too, and so does a change there and back.
        let third = put(&format!("\"x\", W/{second}"), &resource.with_token(&entry, json!("t1"))).await;
        let fourth = put(&third.tag(), &resource.with_token(&entry, json!("t2"))).await;
        let fifth = put(&fourth.tag(), &resource.with_token(&entry, json!("t1"))).await;
        let tags = [&first, &second, &third.tag(), &fourth.tag(), &fifth.tag()];
        assert!(tags.iter().enumerate().all(|(at, tag)| !tags[at + 1..].contains(tag)), "{tags:?}");
        put("*", &entry).await.expect(200);
        let last = server.get(&resource.at("a")).await.tag();
        let server = server.restart().await;
        assert_eq!(server.get(&resource.at("a")).await.tag(), last, "the same after a restart");
        server.send_if("if-match", &last, "DELETE", &resource.at("a"), &json!(null)).await.expect(200);
        server.send_if("if-match", "*", "PUT", &resource.at("a"), &entry).await.expect(404);
        assert_ne!(server.post(resource.path, &entry).await.tag(), first, "another one of the same name");
    }
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_not_taken_for_none() {
    for resource in ALL {
        let server = TestServer::bare().await;
        resource.add(&server, "a").await;
        let tag = reqwest::header::HeaderValue::from_bytes(b"\"\xff\"").unwrap();
        let request = server.request("DELETE", &resource.at("a")).header("if-match", tag);
        Answer::of(request).await.expect(412);
        server.get(&resource.at("a")).await.expect(200);
    }
}

#[tokio::test]
async fn of_many_who_change_the_same_version_one_succeeds() {
    for resource in ALL {
        let server = TestServer::bare().await;
        resource.add(&server, "a").await;
        let tag = server.get(&resource.at("a")).await.tag();
        let puts = (1..=12).map(|seconds| {
            let body = resource.with_timeout(&resource.entry("a", "http://127.0.0.1:9"), json!(seconds));
            let (server, tag) = (&server, &tag);
            async move { server.send_if("if-match", tag, "PUT", &resource.at("a"), &body).await }
        });
        let replies = join_all(puts).await;
        let done: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
        assert_eq!((done.len(), replies.iter().filter(|reply| reply.status == 412).count()), (1, 11));
        assert_eq!(server.get(&resource.at("a")).await.expect(200), done[0].json()[resource.key]);
    }
}

#[tokio::test]
async fn many_changes_at_once_all_arrive_and_of_many_of_one_name_one_does() {
    for resource in ALL {
        let server = TestServer::bare().await;
        let posts = (0..24).map(|nth| {
            let entry = resource.entry(&format!("n{}", nth % 12), "http://127.0.0.1:9");
            let server = &server;
            async move { server.post(resource.path, &entry).await.status }
        });
        let mut statuses = join_all(posts).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [[201; 12], [409; 12]].concat());
        let shown = server.get(resource.path).await.text;
        assert_eq!(server.restart().await.get(resource.path).await.text, shown);
    }
}

#[tokio::test]
async fn who_has_the_current_version_is_not_sent_it_again() {
    for resource in ALL {
        let server = TestServer::bare().await;
        let get = async |path: &str, tag: &str| server.send_if("if-none-match", tag, "GET", path, &json!(null)).await;
        let mut lists = vec![server.get(resource.path).await.tag()];
        for name in ["a", "b"] {
            resource.add(&server, name).await;
            lists.push(server.get(resource.path).await.tag());
        }
        server
            .put(&resource.at("b"), &resource.with_token(&resource.entry("b", "http://127.0.0.1:9"), json!("t")))
            .await
            .expect(200);
        lists.push(server.get(resource.path).await.tag());
        let last = lists.last().unwrap().clone();
        assert!(lists.iter().enumerate().all(|(at, tag)| !lists[at + 1..].contains(tag)), "{lists:?}");

        let of_a = server.get(&resource.at("a")).await.tag();
        for (path, tag) in [(resource.path.to_owned(), &last), (resource.at("a"), &of_a)] {
            for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
                let reply = get(&path, &known).await;
                assert_eq!((reply.status, reply.text.as_str(), &reply.tag()), (304, "", tag), "{path} {known}");
            }
            for unknown in ["\"x\"", "W/\"x\"", ""] {
                let reply = get(&path, unknown).await;
                assert_eq!((reply.status, &reply.tag()), (200, tag), "{path} {unknown}");
                assert!(reply.text.contains("127.0.0.1"));
            }
        }
        assert_eq!(get(resource.path, &lists[0]).await.status, 200);
        let narrowed = format!("{}?limit=1", resource.path);
        assert_eq!(get(&narrowed, &last).await.status, 200, "another list");
    }
}

#[tokio::test]
async fn a_data_source_is_tested_in_the_words_of_the_original() {
    let upstream = Upstream::start(|seen, _| {
        let status = if seen.path == "/well/health" { "200 OK" } else { "204 No Content" };
        reply(status, "text/plain", "")
    })
    .await;
    let server = TestServer::bare().await;
    let test = async |entry: &Value, query: &str| {
        server.post(SOURCES.path, entry).await.expect(201);
        let path = SOURCES.at("s");
        let tested = server.post(&format!("{path}/test{query}"), &json!("any body")).await.expect(200);
        server.delete(&path).await.expect(200);
        tested
    };
    let base = |url: &str, enabled: bool| json!({"datasource": "s", "type": "api", "config_valid": true, "config_saved": true, "enabled": enabled, "url": url});
    let merged = |mut base: Value, more: Value| {
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        base
    };
    let well_url = format!("{}/well", upstream.url());
    let well = SOURCES.entry("s", &well_url);
    let skipped = test(&well, "?skip_connectivity=true").await;
    let expected = json!({"success": true, "connectivity_tested": false, "connectivity_status": "skipped",
        "message": "DataSource configuration is valid. Connectivity test skipped."});
    assert_eq!(skipped, merged(base(&well_url, true), expected));
    let off = with(&well, "enabled", json!(false));
    for query in ["", "?skip_connectivity=1"] {
        let expected = json!({"success": false, "connectivity_tested": false, "connectivity_status": "skipped",
            "message": "DataSource is disabled. Enable it to test connectivity.",
            "warning": "DataSource configuration is saved but datasource is disabled"});
        assert_eq!(test(&off, query).await, merged(base(&well_url, false), expected));
    }
    assert_eq!(upstream.seen().len(), 0);

    let reached = test(&well, "").await;
    assert_eq!(
        (&reached["success"], &reached["connectivity_status"], &reached["message"]),
        (&json!(true), &json!("reachable"), &json!("Datasource is reachable"))
    );
    let details = &reached["details"];
    assert_eq!(
        (&details["success"], &details["datasource"], &details["status_code"], &details["breaker"]),
        (&json!(true), &json!("s"), &json!(200), &json!("closed"))
    );
    assert!(reached.get("suggestion").is_none() && details.get("error").is_none());

    for (url, message) in [
        (upstream.url(), "Datasource returned non-200 status"),
        ("http://127.0.0.1:1".to_owned(), "Failed to connect to datasource"),
    ] {
        let unreached = test(&SOURCES.entry("s", &url), "").await;
        assert_eq!(
            (&unreached["success"], &unreached["connectivity_tested"], &unreached["connectivity_status"]),
            (&json!(false), &json!(true), &json!("unreachable"))
        );
        assert_eq!((&unreached["message"], &unreached["details"]["message"]), (&json!(message), &json!(message)));
        assert!(unreached["suggestion"].as_str().unwrap().contains("skip_connectivity=true"));
    }
    let unknown = server.post("/api/datasources/nobody/test", &json!({})).await.expect(404);
    assert_eq!(unknown["detail"], "DataSource 'nobody' not found");
}

#[tokio::test]
async fn the_health_of_all_sources_is_asked_at_once() {
    let words = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    let server = TestServer::bare().await;
    assert_eq!(
        server.get("/api/datasources/health/all").await.expect(200),
        json!({"datasources": {}, "total": 0, "healthy": 0})
    );
    let mut upstreams = vec![];
    for (name, mine, other) in [("zoe", &words[0], &words[1]), ("adam", &words[1], &words[0])] {
        let (mine, other) = (mine.clone(), other.clone());
        let upstream = Upstream::start(move |_, _| {
            other.notify_one();
            let mut acts = vec![Act::Wait(mine.clone())];
            acts.extend(reply("200 OK", "text/plain", ""));
            acts
        })
        .await;
        let entry = with(&SOURCES.entry(name, &upstream.url()), "timeout_seconds", json!(10));
        server.post(SOURCES.path, &entry).await.expect(201);
        upstreams.push(upstream);
    }
    let hanging = Upstream::start(|_, _| vec![Act::Hang]).await;
    server
        .post(SOURCES.path, &with(&SOURCES.entry("slow", &hanging.url()), "timeout_seconds", json!(1)))
        .await
        .expect(201);
    server.post(SOURCES.path, &with(&SOURCES.entry("off", &hanging.url()), "enabled", json!(false))).await.expect(201);
    let all = server.get("/api/datasources/health/all").await.expect(200);
    assert_eq!((&all["total"], &all["healthy"]), (&json!(4), &json!(2)), "{all}");
    let told: Vec<_> = all["datasources"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, one)| {
            (
                name.as_str(),
                one["type"].as_str().unwrap(),
                one["message"].as_str().unwrap(),
                one["url"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("zoe", "api", "Datasource is reachable", &*upstreams[0].url()),
        ("adam", "api", "Datasource is reachable", &upstreams[1].url()),
        ("slow", "", "Datasource did not respond within timeout period", ""),
        ("off", "", "Datasource not found or disabled", ""),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_gui_keeps_data_sources() {
    let upstream = Upstream::start(|seen, _| match seen.path.as_str() {
        "/query" => json_reply("200 OK", &json!({"data": [{"n": 1}], "row_count": 1})),
        _ => reply("200 OK", "text/plain", ""),
    })
    .await;
    let server = TestServer::bare().await;
    // ToolsDataSources.tsx: each type that it offers, the whole element back in a PUT.
    for kind in ["cubejs", "postgres", "mysql", "mongodb", "api", "custom"] {
        let form = json!({"name": kind, "type": kind, "url": upstream.url(), "auth_token": "", "timeout_seconds": 30, "enabled": true, "config": {}});
        server.post(SOURCES.path, &form).await.expect(201);
        assert_eq!(
            server.post(SOURCES.path, &form).await.expect(409)["detail"],
            format!("DataSource '{kind}' already exists")
        );
    }
    let list = server.get(SOURCES.path).await.expect(200);
    for shown in list.as_array().unwrap() {
        assert_eq!((&shown["auth_token"], &shown["config"]), (&json!(null), &json!({})));
        let mut edited = with(shown, "timeout_seconds", json!(45));
        edited["status"] = json!({"connected": false, "message": "x"});
        let path = SOURCES.at(shown["name"].as_str().unwrap());
        let saved = server.put(&path, &edited).await.expect(200);
        assert_eq!(saved["datasource"], without(&edited, "status"));
        edited["auth_token"] = json!("a-token");
        server.put(&path, &edited).await.expect(200);
        let shown = server.get(&path).await.expect(200);
        server.put(&path, &shown).await.expect(200);
    }
    let tested = Answer::of(server.request("POST", "/api/datasources/api/test")).await.expect(200);
    assert_eq!(tested["success"], true);
    assert_eq!(
        upstream.seen().last().unwrap().headers["authorization"],
        "Bearer a-token",
        "the mask was sent back and kept"
    );
    let queried =
        server.post("/api/datasources/api/query", &json!({"query": "SELECT n", "parameters": {}})).await.expect(200);
    assert_eq!((&queried["success"], &queried["data"]), (&json!(true), &json!([{"n": 1}])));
    server.delete("/api/datasources/api").await.expect(200);
    assert_eq!(
        server.post("/api/datasources/api/query", &json!({"query": "x"})).await.expect(404)["detail"],
        "DataSource 'api' not found"
    );
}
