use serde_json::json;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::settings::bounds::{CALL_SECONDS, MAX_INSTRUCTIONS_CHARS, MAX_RESULT_ROWS, MAX_TYPE_CHARS, MAX_ZONE_CHARS};
use crate::web::openapi::schema::{
    Members, any_case, any_of, anything, boolean, bounded_pattern, integer, or_null, pattern, short_text,
    strict_integer, word,
};
use crate::web::openapi::texts;

/// A data source as a client sends it: the type decides on the form of the URL.
pub(super) struct DataSourceBody;

/// Types, and the form that their URLs may have besides that of an HTTP service.
type TypeVariant = (&'static [&'static str], fn() -> Option<Schema>);

const TYPE_VARIANTS: [TypeVariant; 4] = [
    (&["postgres", "postgresql"], || {
        Some(texts::database_url(&["postgres", "postgresql", "pgsql", "postgis", "timescaledb"]))
    }),
    (&["mysql", "mariadb"], || Some(texts::database_url(&["mysql", "mysql2", "mariadb"]))),
    (&["sqlite", "sqlite3"], || Some(texts::file_url())),
    (&["cubejs", "cube", "api", "http", "https", "rest"], || None),
];

impl PartialSchema for DataSourceBody {
    fn schema() -> RefOr<Schema> {
        let known = TYPE_VARIANTS.iter().map(|(types, url)| {
            let url = url().into_iter().chain([texts::http_url()]);
            variant(word(types), any_of(url))
        });
        let all = known.chain([variant(other_type(), any_of([texts::http_url(), texts::other_url()]))]);
        let all = all.fold(OneOfBuilder::new(), OneOfBuilder::item);
        let description = "A data source as a client sends it. In a PUT the mask or nothing for `auth_token` keeps the stored \
            one, null or `\"\"` clears it; the mask in the place of a URL's password keeps that.";
        let example = json!({"name": "crm", "type": "postgres", "url": "postgres://reader:a-password@localhost:5432/crm",
            "auth_token": null, "timeout_seconds": 30, "enabled": true,
            "config": {"description": "Customers, subscriptions and sales", "max_rows": 500}});
        RefOr::T(all.description(Some(description)).examples([example]).into())
    }
}

impl ToSchema for DataSourceBody {}

fn variant(kind: Schema, url: Schema) -> Schema {
    Members::new()
        .required("name", texts::NEW_NAME_PURPOSE, texts::new_name())
        .required("type", "Other types than the known ones are stored, and refused when used.", kind)
        .required("url", "`http://`, `https://`, `postgres://`, `mysql://` or `sqlite:`, as the type needs.", url)
        .optional("auth_token", "A token, or the password of a database account.", or_null(texts::trimmed()))
        .with_default("timeout_seconds", "Limit for one query.", integer(&CALL_SECONDS), 30)
        .with_default("enabled", "Whether it may be used.", boolean(), true)
        .optional("config", "Settings of its type; others than these may be there, too.", config())
        .object("")
}

/// What is known of `config`; it may hold anything else.
fn config() -> Schema {
    let instructions = "What a model that writes queries is told: business terms, units, what not to count.";
    let currency = or_null(pattern("^(?:[A-Za-z]{3})?$"));
    let zone = or_null(bounded_pattern("^[A-Za-z0-9/_+-]*$", &(0..=MAX_ZONE_CHARS)));
    Members::new()
        .optional("description", "What it has, in plain words: chat reads it.", anything())
        .optional("intents", "Labels of intents that it serves.", anything())
        .optional("instructions", instructions, or_null(short_text(MAX_INSTRUCTIONS_CHARS)))
        .optional("max_rows", "Rows of a query that asks for no number.", or_null(strict_integer(&MAX_RESULT_ROWS)))
        .optional("time_zone", "That of times without one, as in `Europe/Lisbon`: told to the model.", zone)
        .optional("currency", "Three letters of ISO 4217: told to the model.", currency)
        .object("")
}

fn other_type() -> Schema {
    let known: Vec<_> = TYPE_VARIANTS.iter().flat_map(|(types, _)| types.iter().copied()).collect();
    texts::plain_but(&any_case(&known), MAX_TYPE_CHARS)
}
