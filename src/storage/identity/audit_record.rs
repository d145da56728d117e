use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use crate::kernel::{Error, ErrorKind};

/// What somebody did, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    /// Of its own ([`crate::kernel::new_id`]): a record that is written again is there once.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// On whose behalf.
    pub actor_user: Option<String>,
    /// The id of the key.
    pub actor_key: Option<String>,
    pub actor_role: String,
    /// Where from.
    pub address: Option<String>,
    pub method: String,
    pub path: String,
    /// What it is called.
    pub operation: String,
    /// What came of it: `changed`, `refused`.
    pub outcome: String,
    /// The status of the reply.
    pub status: i64,
    /// What it was done to.
    pub target: Option<String>,
    /// What that was before, as JSON without secrets.
    pub before: Option<String>,
    /// What it is now.
    pub after: Option<String>,
    pub request_id: Option<String>,
}

impl AuditRecord {
    /// Its place in the log.
    pub fn cursor(&self) -> AuditCursor {
        AuditCursor { at_ms: self.at_ms, id: self.id.clone() }
    }
}

/// Which records are wanted; all of these must fit.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// A user, or the id of a key.
    pub actor: Option<String>,
    pub operation: Option<String>,
    pub outcome: Option<String>,
    pub target: Option<String>,
    /// Not earlier than this.
    pub since_ms: Option<i64>,
    /// Earlier than this.
    pub until_ms: Option<i64>,
    /// Only what comes before this place, which is behind it in the list.
    pub before: Option<AuditCursor>,
}

/// The place of a record in the log: its time, and its id among those of the same time. It is the same in both databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCursor {
    pub(super) at_ms: i64,
    pub(super) id: String,
}

impl AuditCursor {
    /// What cursors look like, as a regular expression.
    pub const PATTERN: &str = "^(?:0|[1-9][0-9]{0,17})-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

    /// The cursor that a caller gives back.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let read = || {
            let (at_ms, id) = text.split_once('-')?;
            Some(Self { at_ms: at_ms.parse().ok()?, id: id.parse::<Uuid>().ok()?.to_string() })
        };
        let is_canonical = |cursor: &Self| cursor.to_string() == text && cursor.at_ms < 10_i64.pow(18);
        let wrong = || Error::new(ErrorKind::BadRequest, "cursor should be the next_cursor of the page before");
        read().filter(is_canonical).ok_or_else(wrong)
    }
}

impl fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at_ms, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{constant_regex, new_id};

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let pattern = constant_regex(AuditCursor::PATTERN);
        for at_ms in [0, 1_700_000_000_000, 999_999_999_999_999_999] {
            let cursor = AuditCursor { at_ms, id: new_id() };
            assert!(pattern.is_match(&cursor.to_string()), "{cursor}");
            assert_eq!(AuditCursor::parse(&cursor.to_string()).unwrap(), cursor);
        }
        let id = "0190c7a0-1111-7222-8333-444455556666";
        let wrong = [
            format!("-5-{id}"),
            format!("05-{id}"),
            format!("+5-{id}"),
            format!("1000000000000000000-{id}"),
            format!("5-{}", id.to_uppercase().replace('0', "A")),
            format!("5-{}", id.replace('-', "")),
            format!("5-{id} "),
            "5-".to_owned(),
            "e5-00000000".to_owned(),
            String::new(),
        ];
        for text in wrong {
            assert!(AuditCursor::parse(&text).is_err() && !pattern.is_match(&text), "{text}");
        }
    }
}
