use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::chat::intent::Intent;
use crate::chat::request::{ChatOptions, ConversationKey, UserRequest};
use crate::kernel::{Caller, Error, Fields, UserId};
use crate::web::FromFields;
use crate::web::openapi::schema::{
    Members, any_object, any_of, boolean, list_or_text, name_of, or_null, pattern, text,
};
use crate::web::openapi::texts;

/// A question.
pub(super) struct ChatBody {
    prompt: String,
    user_id: Option<String>,
    metadata: Option<Map<String, Value>>,
    pub(super) stream: bool,
    options: ChatOptions,
}

impl PartialSchema for ChatBody {
    fn schema() -> RefOr<Schema> {
        let user = any_of([texts::speaker(), pattern("^$")]);
        let stream = "Answer as server-sent events; `Accept: text/event-stream` asks for the same.";
        Members::new()
            .required("prompt", "What is asked.", text())
            .optional("user_id", "Whose conversation this belongs to. Without it: `default`, which all have in common, or none (`MEMORY_ANONYMOUS`).", or_null(user))
            .optional("metadata", "Stored with the turn. These keys steer the server.", or_null(steering_options()))
            .with_default("stream", stream, boolean(), false)
            .with_example(
                "A question.",
                json!({"prompt": "What did I tell you about Lisbon?", "user_id": "ada", "metadata": {"use_cache": false}}),
            )
    }
}

impl ToSchema for ChatBody {}

/// The keys of `metadata` that steer the server.
pub fn steering_options() -> Schema {
    let intents = name_of(Intent::ALL.map(Intent::as_str));
    Members::new()
        .optional("intent", "A label, instead of guessing.", or_null(intents))
        .optional("agent", "Who is to serve.", or_null(text()))
        .optional("datasource", "Who is to serve.", or_null(text()))
        .optional("tools", "The only ones that may be used.", or_null(list_or_text(text(), text())))
        .optional("use_tools", "False: none.", or_null(boolean()))
        .optional("tool", "The one to run.", or_null(text()))
        .optional("tool_params", "What to run it with.", or_null(any_object()))
        .optional("execute", "True: run the code that is written.", or_null(boolean()))
        .optional("use_cache", "False asks for a fresh answer.", or_null(boolean()))
        .optional("include_reasoning", "True: tell in `metadata.reasoning` what the model thought.", or_null(boolean()))
        .optional("model", "Instead of the default one.", or_null(text()))
        .object("")
}

impl FromFields for ChatBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            prompt: fields.required("prompt"),
            user_id: fields.optional::<String>("user_id").filter(|user| !user.is_empty()),
            metadata: fields.optional("metadata"),
            stream: fields.beyond_original(|fields| fields.or("stream", false)),
            options: ChatOptions::default(),
        };
        if let Some(Err(expected)) = body.user_id.as_deref().map(UserId::parse_speaker) {
            fields.reject("user_id", expected);
        }
        let Some(metadata) = &body.metadata else { return body };
        let mut inner = Fields::new(metadata, fields.loc("metadata"));
        let options = ChatOptions::read(&mut inner);
        fields.beyond_original(|fields| fields.extend(inner.into_issues()));
        Self { options, ..body }
    }
}

impl ChatBody {
    /// The request of this caller, who speaks for itself unless it may for others.
    pub(super) fn into_request(self, caller: Caller) -> Result<UserRequest, Error> {
        let body = self;
        let user = caller.acting_for(body.user_id.and_then(|user| UserId::parse_speaker(&user).ok()))?;
        let shared = || ConversationKey::Shared(UserId::anonymous());
        let conversation = user.clone().map_or_else(shared, ConversationKey::Own);
        let request = UserRequest::new(body.prompt, user, caller).in_conversation(Some(conversation));
        Ok(request.with_metadata(body.metadata.unwrap_or_default(), body.options))
    }
}
