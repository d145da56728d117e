use serde_json::{Value, json};

use super::request::METHODS;
use super::target::{MAX_URL_CHARS, display_base, hosts};
use crate::settings::HttpOptions;
use crate::tools::function::FunctionSpec;

/// What the tool is offered as. Models are told of an object as `data`, as the original told them: not all take a list of types. Those
/// that have a reason to send something else may.
pub(in crate::tools) fn describe(options: &HttpOptions) -> FunctionSpec {
    let told = parameters(options, &json!("object"));
    let accepted = Some(Box::new(parameters(options, &json!(["object", "array", "string"]))));
    FunctionSpec { accepted, ..FunctionSpec::new("Make HTTP requests to external APIs", told) }
}

fn parameters(options: &HttpOptions, data: &Value) -> Value {
    let parameter = json!({"type": ["string", "number", "boolean", "array", "null"],
        "items": {"type": ["string", "number", "boolean"]}});
    json!({
        "type": "object",
        "properties": {
            "url": {"type": "string", "maxLength": MAX_URL_CHARS, "description": url_description(options)},
            "method": {"type": "string", "enum": METHODS, "default": "GET", "description": "HTTP method"},
            "params": {"type": "object", "description": "Query parameters, added to those of the URL", "additionalProperties": parameter},
            "data": {"type": data,
                "description": "Body: an object or array is sent as JSON, a string as it is. Not with GET and HEAD"},
            "headers": {"type": "object", "description": "Further request headers. Credentials are added by the tool itself",
                "additionalProperties": {"type": "string"}, "maxProperties": 50},
        },
        "required": ["url"],
        "additionalProperties": false,
    })
}

/// What a model is told of the argument `url`.
fn url_description(options: &HttpOptions) -> String {
    match &options.base_url {
        Some(base) if options.allowed_hosts.is_empty() => {
            format!("Path below {}, such as /items/5", display_base(base))
        }
        Some(base) => {
            format!("Path below {}, such as /items/5; or a whole URL at {}", display_base(base), hosts(options))
        }
        None => format!("Whole URL, http or https, at {}", hosts(options)),
    }
}
