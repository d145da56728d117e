use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Environment;
use crate::kernel::{Fields, Secret, SecretUrl};

/// Where state lives.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// `DATA_DIR`: the embedded store and what was configured through the API.
    pub data_dir: PathBuf,
    /// `EXECUTION_RETENTION_DAYS`: older executions are deleted.
    pub execution_retention: Duration,
    /// `EXECUTION_MAX_ROWS`: the oldest executions beyond this many are deleted.
    pub execution_max_rows: i64,
    /// `REDIS_URL`, or one built from `REDIS_HOST` and its companions.
    pub redis_url: Option<Secret>,
    /// `POSTGRES_DSN`, or one built from `POSTGRES_HOST` and its companions.
    pub postgres_dsn: Option<Secret>,
}

const DATA_DIR: &str = "data";

impl StorageSettings {
    /// `DATA_DIR` alone, for looking at what is stored even if other settings are wrong.
    pub fn data_dir(environment: &Environment) -> &Path {
        Path::new(environment.get("DATA_DIR").unwrap_or(DATA_DIR))
    }

    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        Self {
            data_dir: PathBuf::from(env.or("DATA_DIR", DATA_DIR.to_owned())),
            execution_retention: Duration::from_secs(
                env.int_or("EXECUTION_RETENTION_DAYS", 30, 1..=36_500).unsigned_abs() * 86_400,
            ),
            execution_max_rows: env.int_or("EXECUTION_MAX_ROWS", 100_000, 1..=1_000_000_000),
            redis_url: read_redis(env),
            postgres_dsn: read_postgres(env),
        }
    }
}

fn read_redis(env: &mut Fields<'_>) -> Option<Secret> {
    let host: Option<String> = env.optional("REDIS_HOST");
    let port = env.int_or("REDIS_PORT", 6379, 1..=65_535);
    let password = env.optional::<String>("REDIS_PASSWORD").map(|password| format!(":{}@", escape(&password)));
    let db = env.int_or("REDIS_DB", 0, 0..=1_000_000);
    let built = host.map(|host| format!("redis://{}{host}:{port}/{db}", password.unwrap_or_default()));
    read_url(env, "REDIS_URL", &["redis", "rediss"]).or(built).map(Secret::new)
}

fn read_postgres(env: &mut Fields<'_>) -> Option<Secret> {
    let host: Option<String> = env.optional("POSTGRES_HOST");
    let port = env.int_or("POSTGRES_PORT", 5432, 1..=65_535);
    let user: Option<String> = env.optional("POSTGRES_USER");
    let password: Option<String> = env.optional("POSTGRES_PASSWORD");
    let database: Option<String> = env.optional("POSTGRES_DATABASE");
    let built = host.map(|host| {
        let password = password.map(|password| format!(":{}", escape(&password))).unwrap_or_default();
        let account = user.map(|user| format!("{}{password}@", escape(&user))).unwrap_or_default();
        format!("postgres://{account}{host}:{port}/{}", escape(&database.unwrap_or_default()))
    });
    read_url(env, "POSTGRES_DSN", &["postgres", "postgresql"]).or(built).map(Secret::new)
}

fn read_url(env: &mut Fields<'_>, name: &'static str, schemes: &[&str]) -> Option<String> {
    let text: String = env.optional(name)?;
    // Without a host, what was meant to be one with its account would be shown as the name of a database.
    let is_usable = |url: url::Url| {
        let names_a_host = url.has_host() || url.query().is_some_and(|query| query.contains("host="));
        schemes.contains(&url.scheme()) && names_a_host && !url.path().contains('@')
    };
    match SecretUrl::new(text.as_str()).check_unambiguous() {
        Ok(()) if url::Url::parse(&text).is_ok_and(is_usable) => return Some(text),
        Err(expected) if text.contains("://") => env.reject(name, expected),
        _ => env.reject(name, format!("Input should be a URL that starts with {}://", schemes.join(":// or "))),
    }
    None
}

/// Percent-encodes everything but unreserved characters.
fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
