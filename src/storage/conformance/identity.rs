//! API keys, and what becomes of them without Postgres.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::{TestStores, new_database, settings, stories};
use crate::kernel::{Clock, ErrorKind, Secret, new_id};
use crate::storage::{ApiKeyRecord, IdentityStore, Stores};

stories!(embedded: a_key_comes_back_as_it_was_made, a_digest_is_there_once_even_if_it_is_revoked,
    a_revoked_key_stays_revoked_since_it_first_was, uses_are_noted_forward_in_time_only,
    the_revision_is_another_one_after_each_change_and_only_then);
stories!(postgres: a_key_comes_back_as_it_was_made, a_digest_is_there_once_even_if_it_is_revoked,
    a_revoked_key_stays_revoked_since_it_first_was, uses_are_noted_forward_in_time_only,
    the_revision_is_another_one_after_each_change_and_only_then);

/// A key whose digest is made of this number.
pub(super) fn key(number: u8) -> ApiKeyRecord {
    ApiKeyRecord {
        id: new_id(),
        name: format!("key {number}"),
        prefix: format!("osk_{number:08}"),
        hash: [number; 32],
        role: "user".to_owned(),
        scopes: None,
        owner: None,
        tenant: None,
        created_ms: 5,
        created_by: None,
        expires_ms: None,
        last_used_ms: None,
        revoked_ms: None,
    }
}

/// The first byte of each digest, and when the key was revoked.
pub(super) fn told(keys: &[ApiKeyRecord]) -> Vec<(u8, Option<i64>)> {
    keys.iter().map(|key| (key.hash[0], key.revoked_ms)).collect()
}

async fn all(store: &IdentityStore) -> Vec<(u8, Option<i64>)> {
    told(&store.keys().await.unwrap())
}

async fn a_key_comes_back_as_it_was_made(bench: &TestStores) {
    let store = &bench.stores.identity;
    assert_eq!(store.keys().await.unwrap(), []);
    let full = ApiKeyRecord {
        name: "é \u{10FFFF} '\"\\".to_owned(),
        hash: std::array::from_fn(|at| u8::try_from(at).unwrap() ^ 0xf0),
        scopes: Some(vec!["chat".to_owned(), "a\"b".to_owned()]),
        owner: Some("ada".to_owned()),
        tenant: Some("shop".to_owned()),
        created_by: Some("bob".to_owned()),
        expires_ms: Some(i64::MAX),
        last_used_ms: Some(7),
        revoked_ms: Some(9),
        ..key(0)
    };
    let narrowest = ApiKeyRecord { scopes: Some(vec![]), ..key(1) };
    let keys = [full, narrowest, key(2)];
    for key in &keys {
        assert!(store.insert_key(key).await.unwrap());
    }
    assert_eq!(store.keys().await.unwrap(), keys, "oldest first");
    let odd = ApiKeyRecord { name: "a\0b".to_owned(), owner: Some("\0".to_owned()), ..key(3) };
    assert!(store.insert_key(&odd).await.unwrap());
    assert_eq!(store.keys().await.unwrap()[3].name, "a\u{FFFD}b");
}

async fn a_digest_is_there_once_even_if_it_is_revoked(bench: &TestStores) {
    let (store, first) = (&bench.stores.identity, key(1));
    assert!(store.insert_key(&first).await.unwrap());
    assert!(!store.insert_key(&key(1)).await.unwrap());
    assert!(store.revoke_key(&first.id, 9).await.unwrap());
    assert!(!store.insert_key(&key(1)).await.unwrap(), "nobody brings it back");
    let keys = store.keys().await.unwrap();
    assert_eq!((keys.len(), keys[0].id.as_str(), keys[0].revoked_ms), (1, first.id.as_str(), Some(9)));
}

async fn a_revoked_key_stays_revoked_since_it_first_was(bench: &TestStores) {
    let (store, one, other) = (&bench.stores.identity, key(1), key(2));
    for key in [&one, &other] {
        store.insert_key(key).await.unwrap();
    }
    assert!(store.revoke_key(&one.id, 9).await.unwrap());
    assert!(!store.revoke_key(&one.id, 12).await.unwrap());
    for unknown in ["", "nobody", "a\0", "' OR true --"] {
        assert!(!store.revoke_key(unknown, 12).await.unwrap(), "{unknown:?}");
    }
    assert_eq!(all(store).await, [(1, Some(9)), (2, None)]);
}

async fn uses_are_noted_forward_in_time_only(bench: &TestStores) {
    let (store, one, other) = (&bench.stores.identity, key(1), key(2));
    for key in [&one, &other] {
        store.insert_key(key).await.unwrap();
    }
    let used = async || store.keys().await.unwrap().iter().map(|key| key.last_used_ms).collect::<Vec<_>>();
    store.touch_keys(&[(one.id.clone(), 20), ("nobody".to_owned(), 30)]).await.unwrap();
    assert_eq!(used().await, [Some(20), None]);
    store.touch_keys(&[(other.id.clone(), 25), (one.id.clone(), 10)]).await.unwrap();
    assert_eq!(used().await, [Some(20), Some(25)]);
    store.touch_keys(&[(one.id.clone(), 21), (other.id.clone(), 26)]).await.unwrap();
    assert_eq!(used().await, [Some(21), Some(26)]);
    store.touch_keys(&[]).await.unwrap();
}

async fn the_revision_is_another_one_after_each_change_and_only_then(bench: &TestStores) {
    let (store, one) = (&bench.stores.identity, key(1));
    store.keys().await.unwrap();
    let mut last = store.keys_revision().await.unwrap();
    let mut is_new = async || {
        let revision = store.keys_revision().await.unwrap();
        std::mem::replace(&mut last, revision) != revision
    };
    assert!(!is_new().await);
    store.insert_key(&one).await.unwrap();
    assert!(is_new().await);
    store.insert_key(&key(1)).await.unwrap();
    store.touch_keys(&[(one.id.clone(), 20)]).await.unwrap();
    store.keys().await.unwrap();
    assert!(!is_new().await, "nothing has changed");
    store.revoke_key(&one.id, 9).await.unwrap();
    assert!(is_new().await);
    store.revoke_key(&one.id, 9).await.unwrap();
    assert!(!is_new().await);
    let by_hand = "UPDATE api_key SET expires_at = 7";
    bench.execute(by_hand, by_hand).await;
    assert!(is_new().await, "somebody has changed it in the database itself");
    let by_hand = "DELETE FROM api_key";
    bench.execute(by_hand, by_hand).await;
    assert!(is_new().await);
}

/// Stores in this folder, with this Postgres.
async fn open(folder: &TempDir, dsn: Option<&Secret>) -> Stores {
    Stores::open(&settings(folder, None, dsn.cloned()), Clock::system()).await.unwrap()
}

/// Nobody listens there.
fn nowhere() -> Secret {
    Secret::new("postgres://127.0.0.1:1/x")
}

#[tokio::test]
async fn a_server_without_its_postgres_knows_the_keys_that_it_saw_last_and_changes_none() {
    let Some(dsn) = new_database().await else { return };
    let (folder, one, other) = (TempDir::new().unwrap(), key(1), key(2));
    let stores = open(&folder, Some(&dsn)).await;
    for key in [&one, &other] {
        stores.identity.insert_key(key).await.unwrap();
    }
    stores.identity.revoke_key(&one.id, 9).await.unwrap();
    let seen = stores.identity.keys_revision().await.unwrap();
    stores.close().await;

    let stores = open(&folder, Some(&nowhere())).await;
    let store = &stores.identity;
    assert_eq!(all(store).await, [(1, Some(9)), (2, None)]);
    assert_eq!(store.keys_revision().await.unwrap(), seen, "they are those of that state");
    let refused = [
        store.insert_key(&key(3)).await.unwrap_err(),
        store.revoke_key(&other.id, 12).await.unwrap_err(),
        store.touch_keys(&[(other.id.clone(), 5)]).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
        assert!(error.public_detail().starts_with("Postgres is away"), "{error}");
    }
    assert_eq!(all(store).await, [(1, Some(9)), (2, None)], "nothing is half-written");
    stores.close().await;

    let stores = open(&folder, Some(&dsn)).await;
    assert_eq!(all(&stores.identity).await, [(1, Some(9)), (2, None)]);
    stores.close().await;
}

#[tokio::test]
async fn a_key_that_one_server_revokes_is_revoked_at_the_others() {
    let Some(dsn) = new_database().await else { return };
    let (here, there, one) = (TempDir::new().unwrap(), TempDir::new().unwrap(), key(1));
    let (first, second) = tokio::join!(open(&here, Some(&dsn)), open(&there, Some(&dsn)));
    let changed = async || {
        let _listening = second.start();
        let told = timeout(Duration::from_secs(5), second.identity.keys_changed());
        told.await.expect("nobody tells of the change");
    };
    // That it listens from now on.
    changed().await;
    assert_eq!(all(&second.identity).await, []);
    let mut revision = second.identity.keys_revision().await.unwrap();
    for (number, revoked) in [(0, None), (1, Some(9))] {
        match number {
            0 => first.identity.insert_key(&one).await.unwrap(),
            _ => first.identity.revoke_key(&one.id, 9).await.unwrap(),
        };
        changed().await;
        let now = second.identity.keys_revision().await.unwrap();
        assert_ne!(std::mem::replace(&mut revision, now), now);
        assert_eq!(all(&second.identity).await, [(1, revoked)]);
    }
    for stores in [first, second] {
        stores.close().await;
    }
    let second = open(&there, Some(&nowhere())).await;
    assert_eq!(all(&second.identity).await, [(1, Some(9))], "it remembers");
    second.close().await;
}

#[tokio::test]
async fn keys_go_along_to_postgres_and_back() {
    let Some(dsn) = new_database().await else { return };
    let (folder, another) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (one, other, third, fourth) = (key(1), key(2), key(3), key(4));
    let stores = open(&folder, None).await;
    for key in [&one, &other] {
        stores.identity.insert_key(key).await.unwrap();
    }
    stores.identity.revoke_key(&one.id, 9).await.unwrap();
    stores.close().await;
    let replica = open(&another, Some(&dsn)).await;
    for key in [&third, &fourth] {
        replica.identity.insert_key(key).await.unwrap();
    }
    replica.identity.revoke_key(&fourth.id, 11).await.unwrap();

    // Postgres is not there yet, then it is; as many changes were made in either.
    let stores = open(&folder, Some(&nowhere())).await;
    let before = stores.identity.keys_revision().await.unwrap();
    assert_eq!(all(&stores.identity).await, [(1, Some(9)), (2, None)]);
    stores.close().await;
    let stores = open(&folder, Some(&dsn)).await;
    assert_ne!(stores.identity.keys_revision().await.unwrap(), before, "whoever looks for changes reads them again");
    let expected = [(1, Some(9)), (2, None), (3, None), (4, Some(11))];
    assert_eq!(all(&stores.identity).await, expected);
    assert_eq!(all(&replica.identity).await, expected);
    for stores in [stores, replica] {
        stores.close().await;
    }

    // Without Postgres for a while: what is revoked then is revoked there too.
    let stores = open(&folder, None).await;
    assert!(stores.identity.revoke_key(&other.id, 12).await.unwrap());
    assert!(stores.identity.insert_key(&key(5)).await.unwrap());
    stores.close().await;
    let stores = open(&folder, Some(&dsn)).await;
    let expected = [(1, Some(9)), (2, Some(12)), (3, None), (4, Some(11)), (5, None)];
    assert_eq!(all(&stores.identity).await, expected);
    assert_eq!(all(&stores.identity).await, expected);
    stores.close().await;
}

#[tokio::test]
async fn many_servers_note_the_same_uses_without_waiting_for_each_other() {
    let Some(bench) = TestStores::postgres().await else { return };
    let (store, keys) = (&bench.stores.identity, Vec::from_iter((0..50).map(key)));
    for key in &keys {
        store.insert_key(key).await.unwrap();
    }
    let rounds = (0..40).map(|round| {
        let mut uses: Vec<_> = keys.iter().map(|key| (key.id.clone(), round)).collect();
        fastrand::shuffle(&mut uses);
        async move { store.touch_keys(&uses).await.unwrap() }
    });
    futures_util::future::join_all(rounds).await;
    assert!(store.keys().await.unwrap().iter().all(|key| key.last_used_ms == Some(39)));
    bench.assert_no_fallback();
}
