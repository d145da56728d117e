use std::fmt;

use sha2::{Digest, Sha256};

use crate::kernel::{Error, ErrorKind};

/// Where an execution stands in the list of all. Each store counts for itself, so it says of which one it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutionCursor {
    pub(super) position: i64,
    /// Whether that is a position in Postgres, and not in the embedded store.
    pub(super) in_postgres: bool,
}

impl ExecutionCursor {
    /// What cursors look like, as a regular expression.
    pub const PATTERN: &str = "^[ep](?:0|[1-9][0-9]*)-[0-9a-f]{8}$";

    /// The cursor that a caller gives back.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let read = || {
            let (number, _) = text.split_once('-')?;
            let in_postgres = number.starts_with('p');
            let position = number.strip_prefix(['e', 'p'])?.parse().ok()?;
            Some(Self { position, in_postgres })
        };
        read().filter(|cursor| cursor.to_string() == text).ok_or_else(invalid_cursor)
    }

    /// The position, if it is one in the store that is asked; `has_postgres` tells whether there is Postgres at all.
    pub(super) fn position_in(self, in_postgres: bool, has_postgres: bool) -> Result<i64, Error> {
        match (self.in_postgres, in_postgres) {
            (true, _) if !has_postgres => Err(invalid_cursor()),
            (true, false) => Err(Error::new(
                ErrorKind::NotConfigured,
                "Postgres is away, which gave the page before this one; please try again later",
            )),
            (false, true) => Err(Error::new(
                ErrorKind::Conflict,
                "the page before this one is from when Postgres was away; please begin again without a cursor",
            )),
            _ => Ok(self.position),
        }
    }
}

/// The store, the position, and a checksum that tells a cursor from a guess.
impl fmt::Display for ExecutionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = format!("{}{}", if self.in_postgres { 'p' } else { 'e' }, self.position);
        let digest = Sha256::digest(&number);
        write!(f, "{number}-")?;
        digest.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// No page of this server has given such a cursor.
fn invalid_cursor() -> Error {
    Error::new(ErrorKind::BadRequest, "cursor should be the next_cursor of the page before")
}
