//! Reads what LLM servers send: one reader per format (`openai`, `ollama`), and behind both the same assembly of an answer.
//!
//! `answer` keeps apart what a model says, what it thought (`reasoning`) and what it wants to have called (`tool_calls`, and
//! `text_calls` for those that it writes into its text). `finish_reason` and `errors` say how it ended. Nothing here trusts that a
//! server keeps to its format: what is told apart in some way is told apart.

mod answer;
mod arguments;
mod code_spans;
mod content;
mod errors;
mod finish_reason;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod json_scan;
mod marks;
mod offered;
pub(super) mod ollama;
pub(super) mod openai;
mod reasoning;
mod reasoning_marks;
mod reasoning_text;
mod text_calls;
mod tool_calls;

pub(super) use answer::Expected;
pub(super) use errors::error_event;
pub(super) use offered::KnownFunctions;
pub(super) use reasoning::AnswerText;
