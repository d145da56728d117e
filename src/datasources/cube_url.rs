//! Where the endpoints of a Cube are. People enter its server, the API below that, a version of the API, or one of the endpoints that
//! they were shown: all of them mean the same API.

use super::DataError;
use super::http::endpoint_url;
use super::source::Source;

/// Where Cube has its API, unless `CUBEJS_API_BASE_PATH` says otherwise there, and `config.base_path` here.
const BASE_PATH: &str = "/cubejs-api";
/// What stands right below: the version that is spoken here, and an API that is not.
const BELOW: [&str; 2] = ["v1", "graphql"];

/// The URL of an endpoint, such as `load`.
pub(super) fn url_of(source: &Source, endpoint: &str) -> Result<String, DataError> {
    let base_path = source.effective.config.text("base_path").unwrap_or(BASE_PATH);
    let mut url = source.effective.url.expose().to_owned();
    if let Some(mut server) = source.effective.url.parse() {
        server.set_path(&server_path(server.path(), base_path));
        url = server.into();
    }
    endpoint_url(source, &url, "base_path", &format!("{}/v1/{endpoint}", base_path.trim_matches('/')))
}

/// What stands in a path before the API; all of it if the API is not named. Only whole segments count.
fn server_path(path: &str, base_path: &str) -> String {
    let (path, base) = (segments(path), segments(base_path));
    let is_api = |at: &usize| {
        let below = path.get(*at..).and_then(|rest| rest.strip_prefix(base.as_slice()));
        below.is_some_and(|below| below.first().is_none_or(|first| BELOW.contains(first)))
    };
    let end = (0..=path.len()).find(is_api).unwrap_or(path.len());
    path.get(..end).unwrap_or_default().join("/")
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_what_stands_before_its_api() {
        let rows = [
            ("/", BASE_PATH, ""),
            ("/cubejs-api", BASE_PATH, ""),
            ("//cubejs-api//v1//load//", BASE_PATH, ""),
            ("/cubejs-api/v1/cubesql", BASE_PATH, ""),
            ("/cubejs-api/v1/pre-aggregations/jobs", BASE_PATH, ""),
            ("/cubejs-api/graphql", BASE_PATH, ""),
            ("/tenant%201/cubejs-api/v1/meta", BASE_PATH, "tenant%201"),
            ("/proxy/", BASE_PATH, "proxy"),
            // Another API, and a proxy that happens to be called so.
            ("/my-cubejs-api/v1", BASE_PATH, "my-cubejs-api/v1"),
            ("/cubejs-api/tenant/cubejs-api/v1", BASE_PATH, "cubejs-api/tenant"),
            ("/cubejs-api/tenant", BASE_PATH, "cubejs-api/tenant"),
            ("/semantic/api/v1/load", "/semantic/api/", ""),
            ("/cubejs-api/v1/load", "semantic", "cubejs-api/v1/load"),
            ("/proxy/v1/load", "/", "proxy"),
        ];
        for (path, base_path, server) in rows {
            assert_eq!(server_path(path, base_path), server, "{path}");
        }
    }
}
