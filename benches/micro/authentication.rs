//! What it costs to tell callers apart: the same request of a server that does not, with a key, with a token made from it, and with a
//! limit that counts it.

use std::hint::black_box;

use axum::http::{Method, StatusCode};
use criterion::Criterion;
use tokio::runtime::Runtime;

use super::server::Server;

const KEY: &str = "Vt7qYx2LmR9cZw4KpHs8NbJd3FgUa6Eo";
const PATH: &str = "/v1/chat/health";

pub fn authentication(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let secret = ("AUTH_SECRET_KEY", "Qm7Zt1kXvR4cN8yWb3Hs6LpDf0JgUa5E9oTiKe2MxBz");
    let on = [("AUTH_ENABLED", "true"), secret, ("AUTH_BOOTSTRAP_KEY", KEY)];
    let limit = [("LIMIT_REQUESTS_PER_MINUTE", "key=9000000000000,user=9000000000000")];
    let start = |variables: &[(&str, &str)]| runtime.block_on(Server::start(variables));
    let (open, closed, limited) = (start(&[]), start(&on), start(&[&on[..], &limit].concat()));
    let issuing = closed.call(Method::POST, "/api/auth/token", "{}", Some(KEY));
    let token = runtime.block_on(issuing).1["access_token"].as_str().unwrap().to_owned();
    let mut group = criterion.benchmark_group("authentication");
    for (name, server, credential) in [
        ("none", &open, None),
        ("key", &closed, Some(KEY)),
        ("token HS256", &closed, Some(token.as_str())),
        ("key with limits", &limited, Some(KEY)),
    ] {
        let (status, reply) = runtime.block_on(server.call(Method::GET, PATH, "", credential));
        assert_eq!(status, StatusCode::OK, "{name}: {reply}");
        group.bench_function(name, |bencher| {
            bencher
                .to_async(&runtime)
                .iter(|| async { black_box(server.call(Method::GET, PATH, "", credential).await) });
        });
    }
    group.finish();
}
