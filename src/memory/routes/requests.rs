use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::kernel::{Error, ErrorKind, FieldIssue, Fields, ObjectLimits, Role};
use crate::storage::HistoryCursor;
use crate::web::openapi::schema::{
    Members, any_object, name_of, or_null, pattern, query, query_boolean, query_integer, text,
};
use crate::web::{FromFields, OptionalBody};

pub(super) struct HistoryQuery {
    pub(super) limit: Option<usize>,
    pub(super) archive: bool,
    pub(super) cursor: Option<String>,
}

/// Messages that may be asked for.
const LIMITS: RangeInclusive<i64> = 0..=i64::MAX;

impl IntoParams for HistoryQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = "How many messages; 0 and more than `MEMORY_MAX_MESSAGES` mean that many, and of an archive 1000 can be had";
        let archive = "Whether messages are given too that a summary stands for, or that there was no room for. They are kept with Postgres only";
        let cursor = "Where a page of the archive begins: `next_cursor` of the page before";
        vec![
            query("limit", limit, query_integer(&LIMITS)),
            query("archive", archive, query_boolean()),
            query("cursor", cursor, pattern(HistoryCursor::PATTERN)),
        ]
    }
}

impl FromFields for HistoryQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        let limit = fields.int_optional("limit", LIMITS);
        Self {
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            archive: fields.or("archive", false),
            cursor: fields.optional("cursor"),
        }
    }
}

pub(super) struct ContextQuery(pub(super) usize);

/// Tokens that a context may have.
const TOKENS: RangeInclusive<i64> = 0..=100_000_000;

impl IntoParams for ContextQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let purpose = "Budget, 2000 by default; a token counts as four characters";
        vec![query("max_tokens", purpose, query_integer(&TOKENS))]
    }
}

impl FromFields for ContextQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self(fields.count_or("max_tokens", 2000, TOKENS))
    }
}

/// A message to add.
pub(super) struct NewMessage {
    role: String,
    pub(super) content: String,
    pub(super) metadata: Map<String, Value>,
}

impl PartialSchema for NewMessage {
    fn schema() -> RefOr<Schema> {
        Members::new()
            .required("role", "Who spoke.", name_of(Role::OF_MESSAGES.map(Role::as_str)))
            .required("content", "What was said.", text())
            .optional("metadata", "Stored with it.", or_null(any_object()))
            .with_example(
                "A message to add.",
                json!({"role": "user", "content": "My name is Ada.", "metadata": {"channel": "web"}}),
            )
    }
}

impl ToSchema for NewMessage {}

impl FromFields for NewMessage {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            role: fields.required("role"),
            content: fields.required("content"),
            metadata: fields.optional("metadata").unwrap_or_default(),
        }
    }
}

/// `role` and `content` as query parameters, the original's way.
pub(super) struct MessageQuery(Map<String, Value>);

impl IntoParams for MessageQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let roles = name_of(Role::OF_MESSAGES.map(Role::as_str));
        vec![
            query("role", "The original's way: who spoke", roles),
            query("content", "The original's way: what was said", text()),
        ]
    }
}

impl FromFields for MessageQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        let given = |name| Some((String::from(name), fields.value(name)?.clone()));
        Self(["role", "content"].into_iter().filter_map(given).collect())
    }
}

impl NewMessage {
    /// The message from the query, with the body as its metadata, if the query has all of it; else from the body, completed and
    /// overruled by what the query has.
    pub(super) fn combine(
        MessageQuery(query): MessageQuery,
        OptionalBody(body): OptionalBody,
        limits: ObjectLimits,
    ) -> Result<Self, Error> {
        let is_whole = ["role", "content"].iter().all(|name| query.contains_key(*name));
        let (object, place, metadata) = match body {
            Some(Value::Object(body)) if !is_whole => (body.into_iter().chain(query).collect(), "body", None),
            metadata => (query, "query", metadata),
        };
        let mut fields = Fields::new(&object, vec![place.into()]);
        let message = Self::read(&mut fields);
        fields.extend(limits.issues(&object));
        fields.extend(metadata.as_ref().and_then(|metadata| limits.issue("metadata", metadata, &["body"])));
        let metadata = match metadata {
            None => message.metadata,
            Some(Value::Object(metadata)) => metadata,
            Some(other) => {
                let msg = "Input should be a valid dictionary";
                fields.extend([FieldIssue::new("dict_type", vec!["body".into()], msg, other)]);
                Map::new()
            }
        };
        fields.finish(Self { metadata, ..message })
    }

    pub(super) fn role(&self) -> Result<Role, Error> {
        let expected = || Error::new(ErrorKind::BadRequest, "Role must be one of: user, assistant, system");
        Role::of_message(&self.role).ok_or_else(expected)
    }
}
