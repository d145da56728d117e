//! The audit log.

use std::time::Duration;

use sqlx::Row;
use tempfile::TempDir;

use super::{TestStores, new_database, settings, stories};
use crate::kernel::{Clock, Secret, new_id};
use crate::storage::{AuditCursor, AuditFilter, AuditRecord, Stores};

stories!(embedded: a_record_comes_back_as_it_was_made, a_record_that_is_written_again_is_there_once,
    pages_follow_each_other_newest_first, all_conditions_of_a_filter_hold, an_actor_is_a_user_or_a_key,
    old_records_are_deleted, nobody_changes_a_record);
stories!(postgres: a_record_comes_back_as_it_was_made, a_record_that_is_written_again_is_there_once,
    pages_follow_each_other_newest_first, all_conditions_of_a_filter_hold, an_actor_is_a_user_or_a_key,
    old_records_are_deleted, nobody_changes_a_record);

pub(super) fn record(at_ms: i64, request: &str) -> AuditRecord {
    AuditRecord {
        id: new_id(),
        at_ms,
        actor_user: Some("ada".to_owned()),
        actor_key: None,
        actor_role: "admin".to_owned(),
        address: Some("127.0.0.1".to_owned()),
        method: "PUT".to_owned(),
        path: "/api/agents/billing".to_owned(),
        operation: "agents.put".to_owned(),
        outcome: "changed".to_owned(),
        status: 200,
        target: Some("agents/billing".to_owned()),
        before: None,
        after: Some(r#"{"a":[1,"é"]}"#.to_owned()),
        request_id: Some(request.to_owned()),
    }
}

/// The requests of some records.
fn requests(records: &[AuditRecord]) -> String {
    records.iter().filter_map(|record| record.request_id.as_deref()).collect()
}

async fn all(stores: &Stores) -> String {
    requests(&stores.identity.audit(&AuditFilter::default(), 1000).await.unwrap())
}

async fn a_record_comes_back_as_it_was_made(bench: &TestStores) {
    let store = &bench.stores.identity;
    let none = AuditRecord {
        actor_user: None,
        actor_key: Some("7".to_owned()),
        address: None,
        target: None,
        after: None,
        request_id: None,
        status: 403,
        ..record(5, "")
    };
    let records = [record(9, "a"), AuditRecord { before: Some("null".to_owned()), ..record(7, "b") }, none];
    store.append_audit(&records).await.unwrap();
    store.append_audit(&[]).await.unwrap();
    assert_eq!(store.audit(&AuditFilter::default(), 9).await.unwrap(), records);
    let odd = AuditRecord { path: "/a\0b'\u{10FFFF}".to_owned(), target: Some("\0".to_owned()), ..record(11, "c") };
    store.append_audit(&[odd]).await.unwrap();
    let found = store.audit(&AuditFilter::default(), 1).await.unwrap();
    assert_eq!((found[0].path.as_str(), found[0].target.as_deref()), ("/a\u{FFFD}b'\u{10FFFF}", Some("\u{FFFD}")));
}

async fn a_record_that_is_written_again_is_there_once(bench: &TestStores) {
    let (store, first) = (&bench.stores.identity, record(5, "a"));
    for changed in ["changed", "forged"] {
        let again = AuditRecord { outcome: changed.to_owned(), ..first.clone() };
        store.append_audit(&[again, record(6, "b")]).await.unwrap();
    }
    let found = store.audit(&AuditFilter::default(), 9).await.unwrap();
    assert_eq!(requests(&found), "bba");
    assert_eq!(found[2], first);
}

async fn pages_follow_each_other_newest_first(bench: &TestStores) {
    let store = &bench.stores.identity;
    // Many of one time, so that the id decides.
    let records: Vec<_> = (0..25).map(|number| record(5 + number / 10, &format!("{number:02} "))).collect();
    store.append_audit(&records).await.unwrap();
    let mut filter = AuditFilter::default();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.audit(&filter, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some(AuditCursor::parse(&last.cursor().to_string()).unwrap());
        seen.extend(page);
        pages += 1;
        // What comes meanwhile does not move the pages.
        store.append_audit(&[record(100, "new ")]).await.unwrap();
    }
    seen.reverse();
    assert_eq!((requests(&seen), pages), (requests(&records), 4));
}

async fn all_conditions_of_a_filter_hold(bench: &TestStores) {
    let store = &bench.stores.identity;
    let with = |at_ms, request, operation: &str, outcome: &str, target: Option<&str>| AuditRecord {
        operation: operation.to_owned(),
        outcome: outcome.to_owned(),
        target: target.map(str::to_owned),
        ..record(at_ms, request)
    };
    let records = [
        with(10, "a", "agents.put", "changed", Some("agents/x")),
        with(20, "b", "agents.put", "refused", Some("agents/x")),
        with(30, "c", "keys.create", "changed", None),
        with(40, "d", "agents.put", "changed", Some("agents/y")),
    ];
    store.append_audit(&records).await.unwrap();
    let found = async |change: &dyn Fn(&mut AuditFilter)| {
        let mut filter = AuditFilter::default();
        change(&mut filter);
        requests(&store.audit(&filter, 9).await.unwrap())
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(&|_| {}).await, "dcba");
    assert_eq!(found(&|it| it.operation = text("agents.put")).await, "dba");
    assert_eq!(found(&|it| it.outcome = text("changed")).await, "dca");
    assert_eq!(found(&|it| it.target = text("agents/x")).await, "ba");
    assert_eq!(found(&|it| (it.since_ms, it.until_ms) = (Some(20), Some(40))).await, "cb", "until is not within");
    assert_eq!(found(&|it| it.actor = text("ada")).await, "dcba");
    for nobody in ["bob", "", "' OR true --", "a\0"] {
        assert_eq!(found(&|it| it.actor = text(nobody)).await, "", "{nobody:?}");
    }
    let narrow = |it: &mut AuditFilter| {
        (it.actor, it.operation, it.outcome) = (text("ada"), text("agents.put"), text("changed"));
        (it.since_ms, it.until_ms, it.target) = (Some(5), Some(50), text("agents/x"));
    };
    assert_eq!(found(&narrow).await, "a");
    assert_eq!(
        found(&|it| {
            narrow(it);
            it.before = Some(records[0].cursor())
        })
        .await,
        ""
    );
    assert_eq!(
        found(&|it| {
            narrow(it);
            it.before = Some(records[1].cursor())
        })
        .await,
        "a"
    );
}

async fn an_actor_is_a_user_or_a_key(bench: &TestStores) {
    let store = &bench.stores.identity;
    let by = |at_ms, request, user: Option<&str>, key: Option<&str>| AuditRecord {
        actor_user: user.map(str::to_owned),
        actor_key: key.map(str::to_owned),
        ..record(at_ms, request)
    };
    let records = [
        by(1, "a", Some("ada"), Some("k1")),
        by(2, "b", Some("ada"), None),
        by(3, "c", None, Some("k1")),
        by(4, "d", Some("k1"), Some("k1")),
        by(5, "e", Some("bob"), Some("k2")),
        by(6, "f", None, None),
    ];
    store.append_audit(&records).await.unwrap();
    let found = async |actor: &str, limit| {
        let filter = AuditFilter { actor: Some(actor.to_owned()), ..AuditFilter::default() };
        requests(&store.audit(&filter, limit).await.unwrap())
    };
    assert_eq!((found("ada", 9).await, found("k1", 9).await), ("ba".to_owned(), "dca".to_owned()));
    assert_eq!((found("k1", 2).await, found("k2", 9).await), ("dc".to_owned(), "e".to_owned()));
}

async fn old_records_are_deleted(bench: &TestStores) {
    let (store, now) = (&bench.stores.identity, bench.clock.now_ms());
    let records: Vec<_> = (0..250).map(|number| record(now - 1000 * 60 * number, "x")).collect();
    store.append_audit(&records).await.unwrap();
    store.retain_audit(Duration::from_secs(86_400), bench.postgres_connection().as_ref()).await.unwrap();
    assert_eq!(all(&bench.stores).await.len(), 250);
    store.retain_audit(Duration::from_secs(60 * 20 - 30), bench.postgres_connection().as_ref()).await.unwrap();
    assert_eq!(all(&bench.stores).await.len(), 20);
    let settings = settings(&TempDir::new().unwrap(), None, None);
    bench.stores.purge(&settings).await.unwrap();
    assert_eq!(all(&bench.stores).await.len(), 20, "for ever");
    let settings = crate::settings::StorageSettings { audit_retention: Some(Duration::from_secs(30)), ..settings };
    bench.stores.purge(&settings).await.unwrap();
    assert_eq!(all(&bench.stores).await.len(), 1);
}

async fn nobody_changes_a_record(bench: &TestStores) {
    let store = &bench.stores.identity;
    store.append_audit(&[record(5, "a")]).await.unwrap();
    let statements: &[&'static str] = &["UPDATE audit_entry SET outcome = 'x'", "TRUNCATE audit_entry"];
    for sql in statements {
        let refusal = match &bench.stores.postgres {
            Some(failover) => {
                sqlx::query(*sql).execute(&failover.connection().unwrap().pool).await.unwrap_err().to_string()
            }
            None if sql.starts_with("TRUNCATE") => continue,
            None => sqlx::query(*sql).execute(bench.stores.database.writer()).await.unwrap_err().to_string(),
        };
        assert!(refusal.contains("the audit log is append-only"), "{refusal}");
    }
    assert_eq!(store.audit(&AuditFilter::default(), 9).await.unwrap()[0].outcome, "changed");
}

/// Records that the embedded database has.
async fn embedded(stores: &Stores) -> i64 {
    let counting = sqlx::query_scalar("SELECT COUNT(*) FROM audit_entry").fetch_one(stores.database.read());
    counting.await.unwrap()
}

async fn open(folder: &TempDir, dsn: Option<&Secret>) -> Stores {
    Stores::open(&settings(folder, None, dsn.cloned()), Clock::system()).await.unwrap()
}

/// Waits until everything is in Postgres.
async fn moved(stores: &Stores) {
    let _moving = stores.identity.start();
    for _ in 0..500 {
        if embedded(stores).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} audit records are not moved", embedded(stores).await);
}

#[tokio::test]
async fn what_is_taken_down_without_postgres_comes_to_it_once() {
    let Some(dsn) = new_database().await else { return };
    let folder = TempDir::new().unwrap();
    let stores = open(&folder, None).await;
    let early = record(1, "a");
    stores.identity.append_audit(&[early.clone(), record(2, "b")]).await.unwrap();
    stores.close().await;
    let away = Secret::new("postgres://127.0.0.1:1/x");
    let stores = open(&folder, Some(&away)).await;
    stores.identity.append_audit(&[record(3, "c")]).await.unwrap();
    assert_eq!(all(&stores).await, "cba", "they can be read meanwhile");
    stores.close().await;

    // As if an earlier attempt had been cut off before it could forget here what was there.
    let other = TempDir::new().unwrap();
    let replica = open(&other, Some(&dsn)).await;
    replica.identity.append_audit(&[early]).await.unwrap();
    let stores = open(&folder, Some(&dsn)).await;
    moved(&stores).await;
    assert_eq!((all(&stores).await, all(&replica).await), ("cba".to_owned(), "cba".to_owned()));

    // Away for a moment, in the middle of what goes on.
    stores.postgres.as_ref().unwrap().mark_down();
    stores.identity.append_audit(&[record(4, "d")]).await.unwrap();
    stores.identity.append_audit(&[record(5, "e")]).await.unwrap();
    for _ in 0..500 {
        if stores.postgres().unwrap().connected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stores.identity.append_audit(&[record(6, "f")]).await.unwrap();
    moved(&stores).await;
    assert_eq!(all(&replica).await, "fedcba");
    for stores in [stores, replica] {
        stores.close().await;
    }
}

#[tokio::test]
async fn many_and_large_records_are_moved_page_by_page() {
    let Some(dsn) = new_database().await else { return };
    let folder = TempDir::new().unwrap();
    let stores = open(&folder, None).await;
    let large = |number: i64| AuditRecord { after: Some("x".repeat(40_000)), ..record(number / 3, "x") };
    let records: Vec<_> =
        (0..500).map(|number| if number % 20 == 0 { large(number) } else { record(number / 3, "x") }).collect();
    stores.identity.append_audit(&records).await.unwrap();
    let first = stores.identity.embedded.oldest(None).await.unwrap();
    assert!((50..200).contains(&first.len()), "{} are no more bytes than Postgres takes in time", first.len());
    stores.close().await;
    let stores = open(&folder, Some(&dsn)).await;
    moved(&stores).await;
    assert_eq!(all(&stores).await.len(), 500);
    stores.close().await;
}

#[tokio::test]
async fn a_record_that_postgres_refuses_stays_and_keeps_no_other_from_it() {
    let Some(bench) = TestStores::postgres().await else { return };
    bench.execute("ALTER TABLE audit_entry ADD CHECK (status <> 418)", "").await;
    let store = &bench.stores.identity;
    let odd = AuditRecord { status: 418, ..record(2, "b") };
    store.embedded.append(&[record(1, "a"), odd, record(3, "c")]).await.unwrap();
    let connection = bench.stores.postgres.as_ref().unwrap().connection().unwrap();
    store.move_audit(&connection).await.unwrap();
    assert_eq!((all(&bench.stores).await, embedded(&bench.stores).await), ("ca".to_owned(), 1));
}

/// With a million records, going through them for a page would take seconds.
#[tokio::test]
async fn no_page_of_the_embedded_log_takes_more_than_its_index() {
    let bench = TestStores::embedded().await.unwrap();
    let page = "SELECT * FROM audit_entry WHERE true";
    let order = "ORDER BY at DESC, id DESC LIMIT 5";
    let mut statements = vec![
        "DELETE FROM audit_entry WHERE rowid IN (SELECT rowid FROM audit_entry WHERE at < 5 ORDER BY at LIMIT 9)"
            .to_owned(),
    ];
    for condition in ["", "AND at >= 5 AND at < 9", "AND (at, id) < (5, 'x')"] {
        for column in [
            "",
            "AND actor_user = 'x'",
            "AND actor_key = 'x'",
            "AND operation = 'x'",
            "AND outcome = 'x'",
            "AND target = 'x'",
        ] {
            statements.push(format!("{page} {column} {condition} {order}"));
        }
    }
    for sql in statements {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let plan = plan.fetch_all(bench.stores.database.read()).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let is_bad = |step: &String| step.contains("TEMP B-TREE") || step.contains("SCAN") && !step.contains("USING");
        assert!(!steps.iter().any(is_bad), "{sql}\n{steps:#?}");
    }
}
