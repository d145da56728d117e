use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::issue_text::issue_text;
use super::{FieldIssue, LimitReached, LimitStatus, Redaction};

/// Bytes of values that one error quotes in all, roughly.
const MAX_QUOTED_IN_ALL: usize = 100_000;

/// What went wrong, in terms every room shares. `web` maps each kind to one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request can't be served as asked (400).
    BadRequest,
    /// One or more fields are wrong (422); [`Error::issues`] lists them.
    Invalid,
    /// The caller may not do this (403).
    Forbidden,
    /// No such thing (404).
    NotFound,
    /// The name is taken (409).
    Conflict,
    /// The thing has changed since the caller read it (412).
    Stale,
    /// The body is larger than allowed (413).
    TooLarge,
    /// The caller has used up what it may use (429).
    LimitReached,
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

/// Why an upstream failed, where whoever called can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamCause {
    /// Prompt and answer are too long for the model.
    ContextLength,
    /// The upstream has no such model.
    ModelNotFound,
    /// Too many requests, or too much for now; how long the upstream wants to be left alone.
    RateLimited(Option<Duration>),
    /// The upstream does not take the key.
    Unauthorized,
}

/// The error type of services. Its `detail` is what a caller reads, except for [`ErrorKind::Internal`].
#[derive(Clone, Debug, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    detail: String,
    issues: Vec<FieldIssue>,
    public: bool,
    cause: Option<UpstreamCause>,
    limit: Option<Arc<LimitStatus>>,
    wait: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Wrong fields that one error tells.
    pub const MAX_ISSUES: usize = 100;

    /// An error of `kind` whose text a caller may read.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            issues: Vec::new(),
            public: true,
            cause: None,
            limit: None,
            wait: None,
            source: None,
        }
    }

    /// Our own fault: `detail` is for the log, the caller sees a neutral sentence.
    pub fn internal(detail: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::new(ErrorKind::Internal, detail);
        Self { public: false, source: Some(Arc::from(source.into())), ..error }
    }

    /// Our own fault, with a text that the caller needs (for example: the disk is full, nothing was changed).
    pub fn internal_public(detail: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::new(ErrorKind::Internal, detail);
        Self { source: Some(Arc::from(source.into())), ..error }
    }

    /// Wrong fields, of which the first [`Error::MAX_ISSUES`] are told; `issues` must not be empty.
    pub fn invalid(mut issues: Vec<FieldIssue>) -> Self {
        issues.truncate(Self::MAX_ISSUES);
        let mut left = MAX_QUOTED_IN_ALL;
        issues.iter_mut().for_each(|issue| issue.shorten(&mut left));
        let detail = issue_text(&issues);
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

    /// The error with why the upstream failed.
    pub fn caused_by(self, cause: Option<UpstreamCause>) -> Self {
        Self { cause, ..self }
    }

    /// The error with how long to wait before the next attempt.
    pub fn with_wait(self, wait: Duration) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// The error with these words before its own.
    pub fn prefixed(self, words: &str) -> Self {
        Self { detail: format!("{words}{}", self.detail), ..self }
    }

    /// Why the upstream failed, if that is known.
    pub fn upstream_cause(&self) -> Option<UpstreamCause> {
        self.cause
    }

    /// How long to wait before the next attempt, if that is known.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The limit that was reached, of an [`ErrorKind::LimitReached`] error.
    pub fn limit(&self) -> Option<&Arc<LimitStatus>> {
        self.limit.as_ref()
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

impl From<LimitReached> for Error {
    fn from(reached: LimitReached) -> Self {
        let error = Self::new(ErrorKind::LimitReached, reached.to_string());
        Self { wait: Some(reached.status.reset), limit: Some(Arc::new(reached.status)), ..error }
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
