use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::excerpt::{MAX_QUOTED, excerpt};
use super::properties::quotable;
use super::truncate_bytes;

/// Bytes of a key in the place of a wrong field.
const MAX_KEY: usize = 200;

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
    /// Whether the original's validation raises it as well, as a list of issues; all others are refusals of this server only.
    #[serde(skip)]
    pub raised_by_original: bool,
}

/// The kinds that the original's validation knows: its models declare fields and their types, and neither bounds nor words.
const ORIGINAL_KINDS: [&str; 13] = [
    "missing",
    "json_invalid",
    "model_attributes_type",
    "string_type",
    "int_type",
    "int_parsing",
    "int_from_float",
    "float_type",
    "float_parsing",
    "bool_type",
    "bool_parsing",
    "dict_type",
    "list_type",
];

impl FieldIssue {
    /// An issue at `loc`. Credentials in `input` are masked, so that an error never repeats one, and what is long is cut.
    pub fn new(kind: &'static str, loc: Vec<Segment>, msg: impl Into<String>, input: Value) -> Self {
        let name = match loc.last() {
            // The input of `missing` is the enclosing object, not the field.
            Some(Segment::Key(name)) if kind != "missing" => &**name,
            _ => "",
        };
        let input = Box::new(excerpt(&quotable(name, &input), &mut MAX_QUOTED.clone()));
        let raised_by_original = ORIGINAL_KINDS.contains(&kind);
        Self { kind, loc, msg: truncate_bytes(&msg.into(), MAX_QUOTED), input, ctx: None, raised_by_original }
    }

    /// Cuts what callers made long.
    pub(super) fn shorten(&mut self, left: &mut usize) {
        *self.input = excerpt(&self.input, left);
        for segment in &mut self.loc {
            if let Segment::Key(key) = segment {
                *key = truncate_bytes(key, MAX_KEY).into();
            }
        }
    }

    /// The path as a person writes it: `timeout_seconds`, `config/agents.json: agents[2].url`.
    pub fn path(&self) -> String {
        path_of(&self.loc)
    }
}

/// The path to a value as a person writes it.
pub(super) fn path_of(loc: &[Segment]) -> String {
    let mut path = String::new();
    for segment in loc {
        match segment {
            Segment::Index(index) => path.push_str(&format!("[{index}]")),
            Segment::File(name) => path.push_str(&format!("{name}: ")),
            Segment::Key(key) if path.is_empty() || path.ends_with(": ") => path.push_str(key),
            Segment::Key(key) => path.push_str(&format!(".{key}")),
        }
    }
    path
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
