//! What was acknowledged is there after kill -9, a full disk and a folder that can't be written; and nothing else is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::resources::{ALL, MASK, ResourceKind, encode, with};
use crate::common::{Client, Program, TestServer};

const KILLS: usize = 50;
const WRITES: usize = 1000;

/// A small generator of its own, so that every run makes the same writes.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

/// The entries that the server should hold, credentials in clear, for each resource.
type Model = [Vec<Value>; 3];

/// One change, and what it makes of the entries.
struct Write {
    method: &'static str,
    path: String,
    body: Value,
    after: Model,
}

fn next_write(dice: &mut Dice, model: &Model, serial: usize) -> Write {
    let at = dice.throw(3);
    let (resource, mut after) = (ALL[at], model.clone());
    let entries = &mut after[at];
    let fresh = |name: &str| {
        let free = json!({"serial": serial, "text": "ü\n\"\\".repeat(serial % 7), "api_key": format!("key-{serial}")});
        let entry = with(&resource.entry(name, "http://127.0.0.1:9"), resource.free, free);
        resource.with_token(&entry, json!(format!("token-{serial}")))
    };
    let new_name = format!("n {serial} ü");
    if entries.is_empty() || (entries.len() < 40 && dice.throw(3) == 0) {
        let body = fresh(&new_name);
        entries.push(body.clone());
        return Write { method: "POST", path: resource.path.to_owned(), body, after };
    }
    let chosen = dice.throw(entries.len());
    let name = entries[chosen]["name"].as_str().unwrap().to_owned();
    let path = format!("{}/{}", resource.path, encode(&name));
    if dice.throw(4) == 0 {
        entries.remove(chosen);
        return Write { method: "DELETE", path, body: Value::Null, after };
    }
    let renamed = dice.throw(3) == 0;
    entries[chosen] = fresh(if renamed { &new_name } else { &name });
    Write { method: "PUT", path, body: entries[chosen].clone(), after }
}

/// The entries as the server shows them.
fn shown(entries: &[Value], resource: &ResourceKind) -> Value {
    let mask = |entry: &Value| {
        let mut entry = resource.with_token(entry, json!(MASK));
        entry[resource.free]["api_key"] = json!(MASK);
        entry
    };
    entries.iter().map(mask).collect()
}

/// The entries as they stand in the file, less what only the server needs.
fn in_file(folder: &Path, resource: &ResourceKind) -> Vec<Value> {
    let path = folder.join(format!("data/config/{}.json", resource.section));
    let Ok(text) = fs::read_to_string(&path) else { return vec![] };
    let file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut entries = file[resource.section].as_array().unwrap().clone();
    for entry in &mut entries {
        entry.as_object_mut().unwrap().remove("revision");
    }
    entries
}

async fn send(client: Client, method: &'static str, path: String, body: Value) -> Option<u16> {
    let request = client.request(method, &path).header("content-type", "application/json").body(body.to_string());
    Some(request.send().await.ok()?.status().as_u16())
}

#[tokio::test]
async fn a_thousand_acknowledged_changes_survive_fifty_kills() {
    let folder = TempDir::new().unwrap();
    let mut dice = Dice(0x5eed_cafe);
    let mut model: Model = [vec![], vec![], vec![]];
    let (mut acknowledged, mut serial, mut cut_off) = (0, 0, 0);
    for kill in 0..KILLS {
        let program = Program::start("serve", folder.path(), &[("LOG_LEVEL", "warn")]).await;
        for (resource, entries) in ALL.iter().zip(&model) {
            assert_eq!(
                program.client.get(resource.path).await.expect(200),
                shown(entries, resource),
                "after {kill} kills"
            );
        }
        while acknowledged * KILLS < WRITES * (kill + 1) {
            serial += 1;
            let Write { method, path, body, after } = next_write(&mut dice, &model, serial);
            let status = send(program.client.clone(), method, path.clone(), body.clone()).await;
            assert!(matches!(status, Some(200 | 201)), "{status:?} {method} {path}");
            (model, acknowledged) = (after, acknowledged + 1);
        }
        // One more is under way when the server dies.
        serial += 1;
        let Write { method, path, body, after } = next_write(&mut dice, &model, serial);
        let under_way = tokio::spawn(send(program.client.clone(), method, path, body));
        tokio::time::sleep(Duration::from_micros(u64::try_from(dice.throw(6000)).unwrap())).await;
        program.kill();
        let answered = under_way.await.unwrap().is_some();
        let stored = ALL.map(|resource| in_file(folder.path(), resource));
        if answered {
            assert_eq!(stored, after, "acknowledged, then lost");
        } else {
            cut_off += 1;
            assert!(stored == model || stored == after, "kill {kill} left neither the old nor the new");
        }
        model = stored;
    }
    assert!(acknowledged >= WRITES, "{acknowledged}");
    assert!(cut_off > 0, "no kill came in time");
}

/// Changes that must all fail with a text that names this cause, and leave what is live and what is stored as it is.
async fn everything_fails_and_nothing_changes(server: &TestServer, resource: &ResourceKind, cause: &str) {
    let before = server.get(resource.path).await;
    let entry = resource.entry("a", "http://127.0.0.1:9");
    let at = format!("{}/a", resource.path);
    let answers = [
        server.post(resource.path, &with(&entry, "name", json!("new"))).await,
        server.put(&at, &with(&entry, "enabled", json!(false))).await,
        server.put(&at, &with(&entry, "name", json!("renamed"))).await,
        server.delete(&at).await,
    ];
    for answer in answers {
        let failed = answer.expect(500);
        let detail = failed["detail"].as_str().unwrap();
        assert!(detail.contains(cause) && detail.contains("nothing was changed"), "{detail}");
        assert_eq!(failed["code"], "internal_error");
    }
    let after = server.get(resource.path).await;
    assert_eq!((&after.text, after.tag()), (&before.text, before.tag()));
}

#[tokio::test]
async fn on_a_full_disk_a_change_fails_and_the_old_settings_stay_live_and_stored() {
    for resource in ALL {
        let server = TestServer::bare().await;
        server.post(resource.path, &resource.entry("a", "http://127.0.0.1:9")).await.expect(201);
        let file = server.folder().join(format!("config/{}.json", resource.section));
        let beside = server.folder().join(format!("config/{}.json.new", resource.section));
        let stored = fs::read(&file).unwrap();
        symlink("/dev/full", &beside).unwrap();
        everything_fails_and_nothing_changes(&server, resource, "No space left on device").await;
        assert_eq!(fs::read(&file).unwrap(), stored);

        fs::remove_file(&beside).unwrap();
        server.put(&format!("{}/a", resource.path), &resource.entry("b", "http://127.0.0.1:9")).await.expect(200);
        let server = server.restart().await;
        assert_eq!(server.get(resource.path).await.expect(200), json!([resource.entry("b", "http://127.0.0.1:9")]));
    }
}

#[tokio::test]
async fn in_a_folder_that_takes_no_files_a_change_fails_and_the_old_settings_stay_live() {
    for resource in ALL {
        let server = TestServer::bare().await;
        server.post(resource.path, &resource.entry("a", "http://127.0.0.1:9")).await.expect(201);
        let (config, aside) = (server.folder().join("config"), server.folder().join("aside"));
        fs::rename(&config, &aside).unwrap();
        // Not even root may add files there.
        symlink("/sys/kernel", &config).unwrap();
        let cause = fs::File::create("/sys/kernel/agents.json.new").unwrap_err().to_string();
        everything_fails_and_nothing_changes(&server, resource, &cause).await;
        fs::remove_file(&config).unwrap();
        fs::rename(&aside, &config).unwrap();
        let server = server.restart().await;
        assert_eq!(server.get(resource.path).await.expect(200), json!([resource.entry("a", "http://127.0.0.1:9")]));
    }
}

#[tokio::test]
async fn what_a_killed_server_left_beside_the_file_does_no_harm() {
    for resource in ALL {
        let server = TestServer::bare().await;
        server.post(resource.path, &resource.entry("a", "http://127.0.0.1:9")).await.expect(201);
        let beside = server.folder().join(format!("config/{}.json.new", resource.section));
        fs::write(&beside, "{\"revision\": 9, ".repeat(1000)).unwrap();
        let server = server.restart().await;
        server.post(resource.path, &resource.entry("b", "http://127.0.0.1:9")).await.expect(201);
        let list = server.get(resource.path).await.text;
        let server = server.restart().await;
        assert_eq!(server.get(resource.path).await.text, list);
        assert!(!beside.exists());
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_tears_nothing_apart() {
    for resource in ALL {
        let server = TestServer::bare().await;
        let mut asked = vec![];
        for nth in 0..40_u64 {
            let entry = resource.entry(&format!("n{nth}"), "http://127.0.0.1:9");
            let request = server.request("POST", resource.path).header("content-type", "application/json");
            asked.push(request.body(entry.to_string()).timeout(Duration::from_micros(nth * 200)).send().await.is_ok());
        }
        let live = server.get(resource.path).await.json();
        let live = live.as_array().unwrap();
        for (nth, answered) in asked.iter().enumerate() {
            let name = json!(format!("n{nth}"));
            assert!(!answered || live.iter().any(|entry| entry["name"] == name), "{name} was acknowledged");
        }
        // The last of those that were left may still have come in.
        let server = server.restart().await;
        let stored = server.get(resource.path).await.json();
        assert_eq!(stored.as_array().unwrap()[..live.len()], live[..], "what was live is stored");
    }
}
