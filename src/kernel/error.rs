use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Redaction;
use super::excerpt::{MAX_QUOTED, excerpt};
use super::properties::quotable;
use super::truncate_bytes;

/// Bytes of values that one error quotes in all, roughly.
const MAX_QUOTED_IN_ALL: usize = 100_000;
/// Bytes of a key in the place of a wrong field.
const MAX_KEY: usize = 200;

/// What went wrong, in terms every room shares. `web` maps each kind to one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request can't be served as asked (400).
    BadRequest,
    /// One or more fields are wrong (422); [`Error::issues`] lists them.
    Invalid,
    /// No such thing (404).
    NotFound,
    /// The name is taken (409).
    Conflict,
    /// The thing has changed since the caller read it (412).
    Stale,
    /// The body is larger than allowed (413).
    TooLarge,
    /// The work needs a connection that nobody has configured (503).
    NotConfigured,
    /// Too many do the same already (503).
    Busy,
    /// An upstream failed or answered something unusable (502).
    Upstream,
    /// An upstream, or the work as a whole, took too long (504).
    Timeout,
    /// Our own fault (500); the text goes to the log only, unless [`Error::internal_public`] made it.
    Internal,
}

/// The error type of services. Its `detail` is what a caller reads, except for [`ErrorKind::Internal`].
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    detail: String,
    issues: Vec<FieldIssue>,
    public: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Wrong fields that one error tells.
    pub const MAX_ISSUES: usize = 100;

    /// An error of `kind` whose text a caller may read.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), issues: Vec::new(), public: true, source: None }
    }

    /// Our own fault: `detail` is for the log, the caller sees a neutral sentence.
    pub fn internal(detail: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::new(ErrorKind::Internal, detail);
        Self { public: false, source: Some(source.into()), ..error }
    }

    /// Our own fault, with a text that the caller needs (for example: the disk is full, nothing was changed).
    pub fn internal_public(detail: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::new(ErrorKind::Internal, detail);
        Self { source: Some(source.into()), ..error }
    }

    /// Wrong fields, of which the first [`Error::MAX_ISSUES`] are told; `issues` must not be empty.
    pub fn invalid(mut issues: Vec<FieldIssue>) -> Self {
        issues.truncate(Self::MAX_ISSUES);
        let mut left = MAX_QUOTED_IN_ALL;
        issues.iter_mut().for_each(|issue| issue.shorten(&mut left));
        let detail = issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Self { issues, ..Self::new(ErrorKind::Invalid, detail) }
    }

    /// No such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, detail)
    }

    /// The error without secrets in its text. Fields quote what a caller sent, and stay as they are.
    pub fn masked(self, redaction: &Redaction) -> Self {
        Self { detail: redaction.text(&self.detail), ..self }
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text for the caller.
    pub fn public_detail(&self) -> &str {
        if self.public { &self.detail } else { "Internal Server Error" }
    }

    /// The wrong fields of an [`ErrorKind::Invalid`] error.
    pub fn issues(&self) -> &[FieldIssue] {
        &self.issues
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// One step of the path to a value: a key, or a place in a list or text. Cheap to clone: values have long paths in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A key of an object, or the name of a query or path parameter.
    Key(Arc<str>),
    /// An index.
    Index(usize),
    /// A file, in which the rest of the path stands.
    File(Arc<str>),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.into())
    }
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(text) | Self::File(text) => serializer.serialize_str(text),
            Self::Index(index) => index.serialize(serializer),
        }
    }
}

/// One wrong value, in the form that clients of the original know from its 422 replies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldIssue {
    /// Machine-readable kind, in pydantic's words (`missing`, `int_parsing`, ...).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where: `["body", "timeout_seconds"]`.
    pub loc: Vec<Segment>,
    /// What was expected.
    pub msg: String,
    /// The value that was given.
    pub input: Box<Value>,
    /// The cause in the parser's words, for `json_invalid` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Box<Value>>,
}

impl FieldIssue {
    /// An issue at `loc`. Credentials in `input` are masked, so that an error never repeats one, and what is long is cut.
    pub fn new(kind: &'static str, loc: Vec<Segment>, msg: impl Into<String>, input: Value) -> Self {
        let name = match loc.last() {
            // The input of `missing` is the enclosing object, not the field.
            Some(Segment::Key(name)) if kind != "missing" => &**name,
            _ => "",
        };
        let input = Box::new(excerpt(&quotable(name, &input), &mut MAX_QUOTED.clone()));
        Self { kind, loc, msg: truncate_bytes(&msg.into(), MAX_QUOTED), input, ctx: None }
    }

    /// Cuts what callers made long.
    fn shorten(&mut self, left: &mut usize) {
        *self.input = excerpt(&self.input, left);
        for segment in &mut self.loc {
            if let Segment::Key(key) = segment
                && key.len() > MAX_KEY
            {
                *key = truncate_bytes(key, MAX_KEY).into();
            }
        }
    }

    /// The path as a person writes it: `timeout_seconds`, `config/agents.json: agents[2].url`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.loc {
            match segment {
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
                Segment::File(name) => path.push_str(&format!("{name}: ")),
                Segment::Key(key) if path.is_empty() || path.ends_with(": ") => path.push_str(key),
                Segment::Key(key) => path.push_str(&format!(".{key}")),
            }
        }
        path
    }
}

/// Issues of something that stands at this place.
pub fn prefixed(at: &[Segment], issues: Vec<FieldIssue>) -> Vec<FieldIssue> {
    issues.into_iter().map(|issue| FieldIssue { loc: [at, &issue.loc].concat(), ..issue }).collect()
}

impl fmt::Display for FieldIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.msg)
    }
}
