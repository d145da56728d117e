use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kernel::{Error, ErrorKind, Redaction};

/// How far an execution has come, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionStatus {
    /// Under way.
    Running,
    /// Answered.
    Completed,
    /// Ended without an answer.
    Failed,
    /// The client left.
    Cancelled,
    /// The server stopped while it ran.
    Interrupted,
}

impl ExecutionStatus {
    /// Every status, with its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Running, "running"),
        (Self::Completed, "completed"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        name_in(&Self::ALL, self)
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<Self> {
        named_in(&Self::ALL, name)
    }
}

/// The record of one chat request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// Who asked.
    pub user_id: String,
    /// How far it is.
    pub status: ExecutionStatus,
    /// What was asked.
    pub prompt: String,
    /// What the prompt was taken to ask for, and how surely.
    pub intent: Option<(String, f64)>,
    /// The tasks, as JSON.
    pub plan: Option<Value>,
    /// What was answered.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The metadata of the reply.
    pub metadata: Option<Value>,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds since 1970.
    pub finished_ms: Option<i64>,
}

/// What is known about an execution when it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub status: ExecutionStatus,
    /// What was answered.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The metadata of the reply.
    pub metadata: Value,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// It gave what it should.
    Completed,
    /// It gave nothing of use.
    Failed,
    /// It was not begun: it builds on one that failed.
    Skipped,
}

impl StepStatus {
    /// Every status, with its name.
    const ALL: [(Self, &'static str); 3] =
        [(Self::Completed, "completed"), (Self::Failed, "failed"), (Self::Skipped, "skipped")];

    /// The name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        name_in(&Self::ALL, self)
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<Self> {
        named_in(&Self::ALL, name)
    }
}

fn name_in<T: PartialEq>(all: &[(T, &'static str)], value: T) -> &'static str {
    all.iter().find(|(known, _)| *known == value).map_or("", |(_, name)| name)
}

fn named_in<T: Copy>(all: &[(T, &'static str)], name: &str) -> Option<T> {
    all.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
}

/// One finished task of an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its id in the plan.
    pub id: String,
    /// What kind of task it is.
    pub action: String,
    /// What it was done with: a model, an agent, a data source, a tool.
    pub target: Option<String>,
    /// How it ended.
    pub status: StepStatus,
    /// What went wrong.
    pub error: Option<String>,
    /// What a data source was asked.
    pub query: Option<String>,
    /// What came of it.
    pub output: Option<String>,
    /// How long it took.
    pub duration_ms: i64,
}

impl Step {
    /// The step without secrets, in whatever others had a say.
    pub fn masked(self, redaction: &Redaction) -> Self {
        let masked = |text: Option<String>| text.map(|text| redaction.text(&text));
        let (target, error) = (masked(self.target), masked(self.error));
        Self { target, error, query: masked(self.query), output: masked(self.output), ..self }
    }
}

/// Which executions to list.
#[derive(Clone, Debug, Default)]
pub struct ExecutionFilter {
    /// Of this user only.
    pub user_id: Option<String>,
    /// With this status only.
    pub status: Option<ExecutionStatus>,
    /// Older than the one with this cursor.
    pub before: Option<ExecutionCursor>,
}

/// Where an execution stands in the list of all. Each store counts for itself, so it says of which one it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutionCursor {
    position: i64,
    /// Whether that is a position in Postgres, and not in the embedded store.
    in_postgres: bool,
}

/// How a cursor names Postgres.
const POSTGRES_PREFIX: char = 'p';
/// How a cursor names the embedded store.
const EMBEDDED_PREFIX: char = 'e';

impl ExecutionCursor {
    /// What cursors look like, as a regular expression.
    pub const PATTERN: &str = "^[ep](?:0|[1-9][0-9]*)-[0-9a-f]{8}$";

    pub(super) fn new(position: i64, in_postgres: bool) -> Self {
        Self { position, in_postgres }
    }

    /// The cursor that a caller gives back.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let read = || {
            let (number, _) = text.split_once('-')?;
            let in_postgres = number.starts_with(POSTGRES_PREFIX);
            let position =
                number.strip_prefix(if in_postgres { POSTGRES_PREFIX } else { EMBEDDED_PREFIX })?.parse().ok()?;
            Some(Self::new(position, in_postgres))
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
        let number = format!("{}{}", if self.in_postgres { POSTGRES_PREFIX } else { EMBEDDED_PREFIX }, self.position);
        let digest = Sha256::digest(&number);
        f.write_str(&number)?;
        f.write_str("-")?;
        digest.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// No page of this server has given such a cursor.
fn invalid_cursor() -> Error {
    Error::new(ErrorKind::BadRequest, "cursor: Input should be the next_cursor of the page before")
}

/// An [`Outcome`] as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredOutcome {
    pub(super) status: ExecutionStatus,
    pub(super) answer: Option<String>,
    pub(super) error: Option<String>,
    pub(super) metadata: String,
}

/// A change of a record. Each can be made again without harm, and has no more effect then. JSON is text: as part of a change
/// it could be too deep to be read again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExecutionChange {
    /// It has begun.
    Begin(Execution),
    /// What was decided to be done.
    Plan { id: String, intent: String, confidence: f64, plan: String },
    /// A task has ended.
    Step { id: String, ordinal: i64, step: Step },
    /// It has ended. One that has ended already stays as it is.
    Finish { id: String, end: StoredOutcome, finished_ms: i64 },
    /// Whatever this server was at before `before_ms` was cut off.
    Interrupt { before_ms: i64 },
}

/// Why an execution that was cut off has no answer.
pub(super) const INTERRUPTED: &str = "The server stopped while this ran";

impl ExecutionChange {
    /// The execution that it is about.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Begin(execution) => &execution.id,
            Self::Plan { id, .. } | Self::Step { id, .. } | Self::Finish { id, .. } => id,
            Self::Interrupt { .. } => "",
        }
    }

    /// About how much it is to send.
    pub(super) fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Begin(execution) => execution.prompt.len(),
            Self::Plan { plan, .. } => plan.len(),
            Self::Step { step, .. } => length(&step.output) + length(&step.query),
            Self::Finish { end, .. } => end.metadata.len() + length(&end.answer),
            Self::Interrupt { .. } => 0,
        }
    }

    /// What was being done, for an error.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Begin(_) => "could not record an execution",
            Self::Plan { .. } => "could not record a plan",
            Self::Step { .. } => "could not record a step",
            Self::Finish { .. } => "could not record the end of an execution",
            Self::Interrupt { .. } => "could not mark interrupted executions",
        }
    }
}
