use sqlparser::dialect::{MySqlDialect, PostgreSqlDialect, SQLiteDialect};

use crate::settings::Protocol;

/// The engine a query is written for. MariaDB counts as MySQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// The dialect that queries over this protocol are judged in.
    pub(super) fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::MySql => Self::MySql,
            Protocol::Sqlite => Self::Sqlite,
            Protocol::Postgres | Protocol::Cube | Protocol::Rest => Self::Postgres,
        }
    }

    /// The parser's grammar for this engine.
    pub(super) fn grammar(self) -> &'static dyn sqlparser::dialect::Dialect {
        match self {
            Self::Postgres => &PostgreSqlDialect {},
            Self::MySql => &MySqlDialect {},
            Self::Sqlite => &SQLiteDialect {},
        }
    }
}
