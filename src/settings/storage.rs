use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database_url::{DatabaseEngine, DatabaseUrl, RedisUrl, UrlReach};
use super::{Environment, Keyring};
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
    /// `AUDIT_RETENTION_DAYS`: older records of the audit log are deleted; `None`: none are.
    pub audit_retention: Option<Duration>,
    /// `CONFIG_MAX_REVISIONS`: older revisions of the configuration are forgotten.
    pub config_max_revisions: i64,
    /// `REDIS_URL`, or one built from `REDIS_HOST` and its companions.
    pub redis_url: Option<Secret>,
    /// `POSTGRES_DSN`, or one built from `POSTGRES_HOST` and its companions.
    pub postgres_dsn: Option<Secret>,
    /// `SECRETS_KEY` and `SECRETS_KEYS_OLD`: what encrypts the credentials in it.
    pub keyring: Keyring,
}

const DATA_DIR: &str = "data";

impl StorageSettings {
    /// `DATA_DIR` alone, for looking at what is stored even if other settings are wrong.
    pub fn data_dir(environment: &Environment) -> &Path {
        Path::new(environment.get("DATA_DIR").unwrap_or(DATA_DIR))
    }

    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        let audit_retention = env.seconds_or("AUDIT_RETENTION_DAYS", 365, 0..=36_500) * 86_400;
        Self {
            data_dir: PathBuf::from(env.or("DATA_DIR", DATA_DIR.to_owned())),
            execution_retention: env.seconds_or("EXECUTION_RETENTION_DAYS", 30, 1..=36_500) * 86_400,
            execution_max_rows: env.int_or("EXECUTION_MAX_ROWS", 100_000, 1..=1_000_000_000),
            audit_retention: (!audit_retention.is_zero()).then_some(audit_retention),
            config_max_revisions: env.int_or("CONFIG_MAX_REVISIONS", 1000, 1..=1_000_000),
            redis_url: read_redis(env),
            postgres_dsn: read_postgres(env),
            keyring: Keyring::read(env),
        }
    }
}

fn read_redis(env: &mut Fields<'_>) -> Option<Secret> {
    let has_password = |url: &SecretUrl| RedisUrl::read(url).map(|read| password_of(&read.url).is_some());
    let host: Option<String> = env.optional("REDIS_HOST");
    let port = env.int_or("REDIS_PORT", 6379, 1..=65_535);
    let password = env.optional::<String>("REDIS_PASSWORD").map(|password| escape(&password));
    let db = env.int_or("REDIS_DB", 0, 0..=1_000_000);
    let built = host.map(|host| {
        let account = password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{account}{host}:{port}/{db}")
    });
    read_url(env, ["REDIS_URL", "REDIS_HOST"], built, password, has_password)
}

fn read_postgres(env: &mut Fields<'_>) -> Option<Secret> {
    let has_password = |url: &SecretUrl| match DatabaseUrl::read(url, UrlReach::Machine)? {
        url if url.engine == DatabaseEngine::Postgres => Ok(url.password.is_some()),
        _ => Err("Input should be a URL that starts with postgres:// or postgresql://".to_owned()),
    };
    let host: Option<String> = env.optional("POSTGRES_HOST");
    let port = env.int_or("POSTGRES_PORT", 5432, 1..=65_535);
    let user: Option<String> = env.optional("POSTGRES_USER");
    let password = env.optional::<String>("POSTGRES_PASSWORD").map(|password| escape(&password));
    let database: Option<String> = env.optional("POSTGRES_DATABASE");
    let built = host.map(|host| {
        let password = password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        let account = user.map(|user| format!("{}{password}@", escape(&user))).unwrap_or_default();
        format!("postgres://{account}{host}:{port}/{}", escape(&database.unwrap_or_default()))
    });
    read_url(env, ["POSTGRES_DSN", "POSTGRES_HOST"], built, password, has_password)
}

/// The URL that the first variable holds, with the password that is given apart if it has none; or else the one that was built of the
/// second variable and its companions.
fn read_url(
    env: &mut Fields<'_>,
    [whole, host]: [&'static str; 2],
    built: Option<String>,
    password: Option<String>,
    has_password: impl Fn(&SecretUrl) -> Result<bool, String>,
) -> Option<Secret> {
    let given: Option<String> = env.optional(whole);
    let (name, url) = given.map(|url| (whole, url)).or_else(|| Some((host, built?)))?;
    match has_password(&SecretUrl::new(url.as_str())) {
        Ok(true) => Some(Secret::new(url)),
        Ok(false) => Some(Secret::new(with_password(url, password.as_deref()))),
        Err(_) if name == host => {
            env.reject(host, "Input should be the name or the address of a host, without a port");
            None
        }
        Err(expected) => {
            env.reject(whole, expected);
            None
        }
    }
}

fn password_of(url: &SecretUrl) -> Option<String> {
    url.parse()?.password().map(str::to_owned)
}

/// The URL with this password, which is encoded already: behind its user, or as a parameter where no host stands behind that, as in
/// one of a socket.
fn with_password(url: String, password: Option<&str>) -> String {
    let Some(password) = password else { return url };
    let parsed = SecretUrl::new(url.as_str()).parse();
    let placed = parsed.and_then(|mut parsed| parsed.set_password(Some(password)).ok().map(|()| parsed.into()));
    placed.unwrap_or_else(|| format!("{url}{}password={password}", if url.contains('?') { '&' } else { '?' }))
}

/// Percent-encodes everything but unreserved characters.
fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
