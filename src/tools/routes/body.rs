use serde_json::json;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::config;
use crate::settings::bounds::{MAX_DESCRIPTION_CHARS, MAX_TYPE_CHARS};
use crate::web::openapi::schema::{Members, any_object, boolean, name_of, or_null, short_text};
use crate::web::openapi::texts;

/// A tool as a client sends it: the type decides on what `config` holds.
pub(super) struct ToolBody;

/// Types, and what `config` holds for them.
type ToolTypeSchema = (&'static [&'static str], fn() -> Schema);

const TOOL_TYPES: [ToolTypeSchema; 4] = [
    (&["http_request", "http"], config::http_request),
    (&["web_search"], config::web_search),
    (&["code_executor"], config::code_executor),
    (&["mcp"], config::mcp),
];

impl PartialSchema for ToolBody {
    fn schema() -> RefOr<Schema> {
        let known: Vec<_> = TOOL_TYPES.iter().flat_map(|(types, _)| types.iter().copied()).collect();
        let other = variant(texts::plain_but(&known.join("|"), MAX_TYPE_CHARS), any_object());
        let variants = TOOL_TYPES.iter().map(|(types, config)| variant(name_of(types.iter().copied()), config()));
        let all = variants.chain([other]).fold(OneOfBuilder::new(), OneOfBuilder::item);
        let description = "A tool as a client sends it. `\"\"` and null in `config` mean that a key is not set; in a PUT the \
            mask keeps the stored credential.";
        let example = json!({"name": "weather", "type": "http_request", "enabled": true,
            "config": {"base_url": "http://localhost:9003", "timeout": "30"},
            "description": "Forecasts by city: GET /forecast?city=NAME"});
        RefOr::T(all.description(Some(description)).examples([example]).into())
    }
}

impl ToSchema for ToolBody {}

fn variant(kind: Schema, config: Schema) -> Schema {
    Members::new()
        .required("name", texts::NEW_NAME_PURPOSE, texts::new_name())
        .required("type", "Other types than the known ones are stored, and refused when used.", kind)
        .optional("config", "", config)
        .with_default("enabled", "Whether it may be used.", boolean(), true)
        .optional(
            "description",
            "What it is for; models read it, unless `config.description` says so.",
            or_null(short_text(MAX_DESCRIPTION_CHARS)),
        )
        .object("")
}
