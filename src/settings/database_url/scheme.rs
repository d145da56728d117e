use super::ssl_mode::SslMode;

/// A database that is spoken to in a protocol of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseEngine {
    /// PostgreSQL, and what speaks like it.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// A SQLite file.
    Sqlite,
}

use DatabaseEngine::{MySql, Postgres, Sqlite};

/// The names that drivers and ORMs have for an engine.
const SCHEMES: [(&str, DatabaseEngine); 10] = [
    ("postgres", Postgres),
    ("postgresql", Postgres),
    ("pgsql", Postgres),
    ("postgis", Postgres),
    ("timescaledb", Postgres),
    ("mysql", MySql),
    ("mysql2", MySql),
    ("mariadb", MySql),
    ("sqlite", Sqlite),
    ("sqlite3", Sqlite),
];

/// A URL by its scheme: `postgresql+asyncpg://...`, `jdbc:mysql://...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SchemedUrl<'a> {
    pub(super) engine: DatabaseEngine,
    /// Whether it is written as Java's drivers take it.
    pub(super) is_jdbc: bool,
    /// Whether a driver of SQLAlchemy is named.
    pub(super) has_driver: bool,
    /// What stands behind the colon.
    pub(super) rest: &'a str,
}

impl<'a> SchemedUrl<'a> {
    /// `None` for a text without a scheme that is known.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let (first, behind) = text.split_once(':')?;
        let is_jdbc = first.eq_ignore_ascii_case("jdbc");
        let (scheme, rest) = if is_jdbc { behind.split_once(':')? } else { (first, behind) };
        let (name, driver) = scheme.split_once('+').map_or((scheme, None), |(name, driver)| (name, Some(driver)));
        let is_driver = |driver: &str| {
            !driver.is_empty()
                && driver != "srv"
                && driver.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let (_, engine) = SCHEMES.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
        driver.is_none_or(is_driver).then_some(Self { engine, is_jdbc, has_driver: driver.is_some(), rest })
    }
}

impl DatabaseEngine {
    /// The engine that a URL is for; `None` if it is for none.
    pub fn of(url: &str) -> Option<Self> {
        SchemedUrl::of(url).map(|url| url.engine)
    }

    /// The usual scheme.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Postgres => "postgres",
            MySql => "mysql",
            Sqlite => "sqlite",
        }
    }

    /// What `ssl=true` means to those who write URLs of this form: Java's driver for PostgreSQL also checks the certificate.
    pub(super) fn plain_ssl(self, is_jdbc: bool) -> SslMode {
        if is_jdbc && self == Postgres { SslMode::VerifyFull } else { SslMode::Require }
    }

    /// The file that a URL of SQLite names; parameters are left aside. After the name of a driver, SQLAlchemy's rule holds: three
    /// slashes lead to a file in the working directory, four to an absolute one.
    pub fn sqlite_file(url: &str) -> &str {
        let Some(SchemedUrl { has_driver, rest, .. }) = SchemedUrl::of(url) else { return url };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let path = if has_driver && rest.starts_with("//") { path.strip_prefix('/').unwrap_or(path) } else { path };
        path.split('?').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_of_drivers_name_their_engine() {
        for (url, engine) in [
            ("postgres://h/d", Some(Postgres)),
            ("PostgreSQL+asyncpg://h/d", Some(Postgres)),
            ("postgresql+psycopg2://h/d", Some(Postgres)),
            ("jdbc:postgresql://h/d", Some(Postgres)),
            ("postgis://h/d", Some(Postgres)),
            ("mysql+pymysql://h/d", Some(MySql)),
            ("mysql2://h/d", Some(MySql)),
            ("mariadb+mariadbconnector://h/d", Some(MySql)),
            ("jdbc:mariadb://h/d", Some(MySql)),
            ("sqlite+aiosqlite:///a.db", Some(Sqlite)),
            ("jdbc:sqlite:a.db", Some(Sqlite)),
            ("mongodb://h/d", None),
            ("mysql+srv://h/d", None),
            ("postgresql+a-b://h/d", None),
            ("host=h dbname=d", None),
            ("jdbc:oracle:thin:@h", None),
            ("", None),
        ] {
            assert_eq!(DatabaseEngine::of(url), engine, "{url}");
        }
    }

    #[test]
    fn a_url_names_a_file() {
        for (url, path) in [
            ("sqlite:a b.db", "a b.db"),
            ("sqlite://data/a.db?mode=rwc", "data/a.db"),
            ("sqlite:///abs/a.db", "/abs/a.db"),
            ("sqlite:/abs/a.db", "/abs/a.db"),
            ("sqlite3:a.db", "a.db"),
            ("jdbc:sqlite:/abs/a.db", "/abs/a.db"),
            ("sqlite+aiosqlite:///data/a.db", "data/a.db"),
            ("sqlite+pysqlite:////abs/a.db", "/abs/a.db"),
        ] {
            assert_eq!(DatabaseEngine::sqlite_file(url), path, "{url}");
        }
    }
}
