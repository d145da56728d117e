//! Keys of the API from the command line, whether a server runs or not.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::common::Program;
use crate::common::credentials::{ADMIN, with_authentication};
use crate::common::databases::postgres;

/// Runs `key` with these arguments, which must succeed; what it says on standard output and on standard error.
fn key(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> (String, String) {
    let Output { status, stdout, stderr } = run(arguments, folder, variables);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(0), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

fn run(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Output {
    Program::run_with(&[&["key"], arguments].concat(), folder, variables)
}

/// What it says when it fails with this exit code.
fn refusal(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = run(arguments, folder, &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), &b""[..]), "{arguments:?}: {told}");
    told
}

/// The cells of a line of the table.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// Whether a file of the folder holds this text.
fn is_in_files(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_files(&path, text);
        }
        std::fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
    })
}

#[test]
fn a_key_is_told_once_listed_and_revoked_for_good() {
    let folder = TempDir::new().unwrap();
    let create = [
        "create",
        "--name",
        "the shop",
        "--role",
        "operator",
        "--scope",
        "chat",
        "--scope",
        "tools:use",
        "--user",
        "ada",
    ];
    let (told, summary) = key(&[&create[..], &["--tenant", "t", "--expires-days", "2"]].concat(), folder.path(), &[]);
    let text = told.strip_suffix('\n').unwrap();
    assert!(text.starts_with("osk_") && text.len() == 47 && !text.contains(char::is_whitespace), "{told}");
    assert!(summary.contains("key 'the shop'") && summary.contains("role operator"), "{summary}");
    assert!(!is_in_files(folder.path(), text) && is_in_files(folder.path(), &text[..12]), "only its beginning is kept");

    let (other, _) = key(&["create", "--name", "ci", "--role", "viewer"], folder.path(), &[]);
    let (table, _) = key(&["list"], folder.path(), &[]);
    let lines: Vec<_> = table.lines().map(cells).collect();
    assert_eq!(lines[0].join(","), "id,prefix,name,role,scopes,user,created,expires,last use,revoked");
    assert_eq!(
        (lines.len(), &lines[1][1..6]),
        (3, &[&text[..12], "the shop", "operator", "chat,tools:use", "ada"][..])
    );
    assert_eq!(
        (&lines[2][1..6], &lines[2][7..]),
        (&[&other[..12], "ci", "viewer", "-", "-"][..], &["-", "-", "-"][..])
    );
    assert!(lines[1][7] > lines[1][6] && lines[1][7].ends_with('Z'), "{table}");
    assert_eq!(&lines[1][8..], ["-", "-"]);

    let (id, prefix) = (lines[1][0], lines[2][1]);
    assert!(key(&["revoke", id], folder.path(), &[]).0.starts_with("revoked key 'the shop'"));
    assert!(key(&["revoke", prefix], folder.path(), &[]).0.starts_with("revoked key 'ci'"));
    for again in [id, text, prefix] {
        assert!(key(&["revoke", again], folder.path(), &[]).0.contains("was revoked already"), "{again}");
    }
    let (table, _) = key(&["list"], folder.path(), &[]);
    assert!(table.lines().skip(1).all(|line| line.ends_with('Z')), "{table}");
}

#[tokio::test]
async fn keys_are_made_and_revoked_beside_a_server_that_does_not_notice() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[]).await;
    let (first, _) = key(&["create", "--name", "a", "--role", "user"], folder.path(), &[]);
    key(&["create", "--name", "b", "--role", "admin"], folder.path(), &[]);
    key(&["revoke", &first[..12]], folder.path(), &[]);
    let (table, _) = key(&["list"], folder.path(), &[]);
    program.client.get("/readyz").await.expect(200);
    program.client.get("/v1/executions").await.expect(200);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert_eq!(key(&["list"], folder.path(), &[]).0, table);
    let program = Program::start("serve", folder.path(), &[]).await;
    assert_eq!((key(&["list"], folder.path(), &[]).0, table.lines().count()), (table, 3));
    program.kill();
}

#[tokio::test]
async fn the_audit_log_tells_what_was_done_to_keys_from_the_command_line() {
    let database = postgres(&[]).await;
    for dsn in [None, Some(("POSTGRES_DSN", database.url.as_str()))] {
        let folder = TempDir::new().unwrap();
        let variables = with_authentication(dsn.as_slice());
        let (text, summary) = key(&["create", "--name", "shop", "--role", "user"], folder.path(), &variables);
        assert!(!summary.contains("audit"), "{summary}");
        key(&["revoke", &text[..12]], folder.path(), &variables);
        key(&["revoke", &text[..12]], folder.path(), &variables);

        let program = Program::start("serve", folder.path(), &variables).await;
        let page = program.client.with_credential(ADMIN).get("/api/audit?actor=key:command").await;
        assert!(!page.text.contains(text.trim()), "{}", page.text);
        let records = page.expect(200)["records"].as_array().unwrap().clone();
        let operations: Vec<_> = records.iter().map(|record| record["operation"].as_str().unwrap()).collect();
        assert_eq!(operations, ["revoke_key", "create_key"], "what was over already was not changed");
        assert_eq!((&records[1]["after"]["name"], &records[1]["before"]), (&"shop".into(), &serde_json::Value::Null));
        assert_eq!((&records[0]["after"], &records[0]["target"]), (&serde_json::Value::Null, &records[1]["target"]));
        program.kill();
    }
}

#[tokio::test]
async fn when_a_key_was_used_is_known_once_the_server_has_stopped() {
    let database = postgres(&[]).await;
    for dsn in [None, Some(("POSTGRES_DSN", database.url.as_str()))] {
        let folder = TempDir::new().unwrap();
        let variables = with_authentication(dsn.as_slice());
        key(&["create", "--name", "unused", "--role", "user"], folder.path(), &variables);
        let program = Program::start("serve", folder.path(), &variables).await;
        program.client.with_credential(ADMIN).get("/api/auth/me").await.expect(200);
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
        let (table, _) = key(&["list"], folder.path(), &variables);
        let used = |name: &str| {
            let line = table.lines().map(cells).find(|line| line[2] == name).unwrap();
            line[line.len() - 2].to_owned()
        };
        assert!(used("bootstrap").ends_with('Z') && used("unused") == "-", "{table}");
    }
}

#[tokio::test]
async fn with_postgres_keys_are_made_and_revoked_there() {
    let (folder, database) = (TempDir::new().unwrap(), postgres(&[]).await);
    let variables = [("POSTGRES_DSN", database.url.as_str())];
    let (first, _) = key(&["create", "--name", "a", "--role", "user"], folder.path(), &variables);
    assert!(!folder.path().join("data").exists(), "nothing is kept here");
    let program = Program::start("serve", folder.path(), &variables).await;
    key(&["create", "--name", "b", "--role", "admin"], folder.path(), &variables);
    key(&["revoke", &first[..12]], folder.path(), &variables);
    let (table, _) = key(&["list"], folder.path(), &variables);
    let revoked: Vec<_> = table.lines().skip(1).map(|line| line.ends_with('Z')).collect();
    assert_eq!(revoked, [true, false], "{table}");
    assert_eq!(database.count("SELECT count(*) FROM api_key WHERE revoked_at IS NOT NULL").await, 1);
    program.client.get("/readyz").await.expect(200);
    let away = [("POSTGRES_DSN", "postgres://studio:a-secret-word@127.0.0.1:1/x")];
    let output = run(&["create", "--name", "c", "--role", "user"], folder.path(), &away);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(told.contains("Postgres can't be used") && !told.contains("a-secret-word"), "{told}");
}

#[test]
fn what_is_no_key_is_refused_before_anything_is_made() {
    let folder = TempDir::new().unwrap();
    let with = |more: &[&'static str]| [&["create", "--name", "a", "--role", "user"], more].concat();
    for (arguments, named) in [
        (vec!["create", "--name", "a", "--role", "root"], "or 'admin'"),
        (vec!["create", "--name", "a"], "--role"),
        (vec!["create", "--role", "user"], "--name"),
        (vec!["create", "--name", "a\u{1b}[31m", "--role", "user"], "no control characters"),
        (vec!["create", "--name", " ", "--role", "user"], "1 to 100 characters"),
        (with(&["--expires-days", "0"]), "1..=3650"),
        (with(&["--expires-days", "soon"]), "--expires-days"),
        (with(&["--user", "config"]), "memory module"),
        (with(&["--scope", "tools"]), "tools:use"),
    ] {
        let told = refusal(&arguments, folder.path(), 2);
        assert!(told.contains(named), "{arguments:?}: {told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let whole = format!("osk_{}", "x".repeat(43));
    for (given, named) in [("nobody", "the prefix 'nobody'"), (&whole, "the prefix 'osk_xxxxxxxx'")] {
        let told = refusal(&["revoke", given], folder.path(), 1);
        assert!(told.contains(named) && !told.contains(&whole), "{told}");
    }
    let (table, _) = key(&["list"], folder.path(), &[]);
    assert_eq!(table.lines().count(), 1, "{table}");
}
