use serde_json::json;

use crate::settings::{CodeOptions, Language};
use crate::tools::function::FunctionSpec;

/// Characters that code and input may have.
const MAX_CODE_CHARS: usize = 200_000;
const MAX_STDIN_CHARS: usize = 900_000;

/// What the tool is offered as.
pub(in crate::tools) fn describe(options: &CodeOptions) -> FunctionSpec {
    let languages: Vec<_> = options.languages.iter().map(|language| language.as_str()).collect();
    FunctionSpec::new(
        format!(
            "Execute code in a sandboxed environment. There is no network, and no file is kept; memory is limited to {} MB. \
             Only what the program prints comes back.",
            options.max_memory >> 20
        ),
        json!({
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "The program", "minLength": 1, "maxLength": MAX_CODE_CHARS},
                "language": {"type": "string", "enum": languages, "default": default_language(options).map(Language::as_str),
                    "description": "The language of the program"},
                "stdin": {"type": "string", "description": "What the program reads from standard input",
                    "maxLength": MAX_STDIN_CHARS},
            },
            "required": ["code"],
            "additionalProperties": false,
        }),
    )
}

/// The language of a program that names none.
pub(super) fn default_language(options: &CodeOptions) -> Option<Language> {
    let python = options.languages.iter().find(|language| **language == Language::Python);
    python.or(options.languages.first()).copied()
}
