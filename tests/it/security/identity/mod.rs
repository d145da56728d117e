//! A server that tells callers apart: who gets in, what each may do, and what is nobody else's.

mod audit;
mod explorer;
mod identity_provider;
mod keys;
mod limits;
mod matrix;
mod ownership;
mod row_rights;
mod row_rights_cube;
mod shared_limits;
mod usable;

use serde_json::{Value, json};

use crate::common::credentials::{ADMIN, SECRET, with_authentication};
use crate::common::{Client, TestServer};

/// A key with these members, made by the administrator.
pub(super) async fn new_key(server: &TestServer, members: Value) -> String {
    let mut body = json!({"name": "story"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let made = server.with_credential(ADMIN).post("/api/auth/keys", &body).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

/// A client with such a key.
pub(super) async fn client_with(server: &TestServer, members: Value) -> Client {
    server.with_credential(&new_key(server, members).await)
}

/// A client of this user.
pub(super) async fn user(server: &TestServer, name: &str) -> Client {
    client_with(server, json!({"role": "user", "user_id": name})).await
}
