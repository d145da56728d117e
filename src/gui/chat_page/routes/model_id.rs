use utoipa::openapi::Schema;

use crate::kernel::Fields;
use crate::web::openapi::schema::{bounded_pattern, or_null};

const NAME: &str = "model_id";
/// Longest id of a model, in characters.
const MAX_CHARS: usize = 200;

/// What [`read`] takes.
pub(super) fn schema() -> Schema {
    or_null(bounded_pattern(r"^$|\S", &(0..=MAX_CHARS)))
}

/// The model that a body chooses: none if it is null or empty.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<String> {
    let model = fields.optional::<String>(NAME).filter(|model| !model.is_empty())?;
    if model.trim().is_empty() || model.chars().count() > MAX_CHARS {
        fields.reject(NAME, format!("Input should have at most {MAX_CHARS} characters, and not only blanks"));
        return None;
    }
    Some(model)
}
