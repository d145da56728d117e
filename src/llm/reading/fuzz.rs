use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::answer::AnswerAssembly;
use super::{AnswerText, Expected, KnownFunctions};
use crate::fuzz::{in_pieces, text_in_pieces};
use crate::llm::api_dialect::ApiDialect;
use crate::llm::{Completion, ToolSpec};
use crate::outbound::{SseLimits, read_lines, sse_events};

/// Calls of one reply that are kept.
const MAX_CALLS: usize = 128;

/// What is expected of a reply: with functions and without, and of a model that is known to think without saying so.
fn expectations() -> [Expected; 3] {
    let parameters = json!({"type": "object", "properties": {"url": {"type": "string"}}});
    let tool = |name: &str| {
        let (name, description) = (name.to_owned(), String::new());
        ToolSpec { name, description, parameters: parameters.clone() }
    };
    let offered = KnownFunctions::of(&[tool("weather"), tool("time")]);
    let with_functions = Expected { offered, unopened_reasoning: false };
    [Expected::default(), with_functions.clone(), Expected { unopened_reasoning: true, ..with_functions }]
}

/// The text that a client has been shown.
#[derive(Default)]
struct ShownText(String);

impl ShownText {
    fn add(&mut self, more: AnswerText) {
        if more.restarts {
            self.0.clear();
        }
        self.0.push_str(&more.text);
    }
}

/// What a client was shown, and what came of it all.
fn read_stream(dialect: ApiDialect, chunks: Vec<Bytes>, expected: &Expected) -> Result<(String, Completion), String> {
    let bytes = stream::iter(chunks.into_iter().map(Ok));
    let pieces = match dialect {
        ApiDialect::OpenAi => sse_events(bytes, SseLimits::default()).map_ok(|event| event.data).boxed(),
        ApiDialect::Ollama => read_lines(bytes).map_ok(Some).boxed(),
    };
    let pieces: Vec<_> = pieces.try_collect().now_or_never().unwrap_or_else(|| Ok(Vec::new())).unwrap_or_default();
    let (mut reader, mut shown) = (dialect.reader(expected.clone()), ShownText::default());
    for piece in pieces.into_iter().flatten() {
        if reader.has_ended() {
            break;
        }
        shown.add(reader.feed(&piece)?);
    }
    shown.add(reader.end());
    Ok((shown.0, reader.finish()))
}

/// A completion without the ids that were made up.
fn without_ids(mut completion: Completion) -> Completion {
    completion.tool_calls.iter_mut().for_each(|call| call.id.clear());
    completion
}

fn check_completion(shown: &str, completion: &Completion) {
    assert_eq!(shown, completion.content);
    assert!(completion.tool_calls.len() <= MAX_CALLS);
    assert!(completion.tool_calls.iter().all(|call| !call.name.trim().is_empty()));
}

fn check_stream(dialect: ApiDialect, data: &[u8]) {
    for expected in expectations() {
        let read = |chunks| {
            let read = read_stream(dialect, chunks, &expected);
            read.map(|(shown, completion)| (shown, without_ids(completion)))
        };
        let whole = read(vec![Bytes::copy_from_slice(data)]);
        if let Ok((shown, completion)) = &whole {
            check_completion(shown, completion);
        }
        for pieces in in_pieces(data) {
            assert_eq!(read(pieces), whole);
        }
        if let Ok(reply) = serde_json::from_slice::<Value>(data)
            && let Ok(completion) = dialect.completion(&reply, expected.clone())
        {
            check_completion(&completion.content, &completion);
        }
    }
}

/// A streamed reply of an OpenAI-compatible server is the same wherever its chunks end, and its pieces make its answer.
pub(crate) fn openai_stream(data: &[u8]) {
    check_stream(ApiDialect::OpenAi, data);
}

/// The same of Ollama's.
pub(crate) fn ollama_stream(data: &[u8]) {
    check_stream(ApiDialect::Ollama, data);
}

/// The text of an answer is told apart from reasoning and calls in the same way, however it is cut; what has no marks is all answer.
pub(crate) fn answer_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for expected in expectations() {
        let read = |pieces: &[&str]| {
            let (mut answer, mut shown) = (AnswerAssembly::new(expected.clone()), ShownText::default());
            pieces.iter().for_each(|piece| shown.add(answer.add_text(piece)));
            shown.add(answer.end());
            let completion = without_ids(answer.into_completion());
            check_completion(&shown.0, &completion);
            completion
        };
        let whole = read(&[&text]);
        if !text.contains(['<', '[', '{', '`', '◁', '(']) {
            assert_eq!((&*whole.content, &whole.reasoning, whole.tool_calls.len()), (&*text, &None, 0));
        }
        for pieces in text_in_pieces(&text) {
            assert_eq!(read(&pieces), whole, "{pieces:?}");
        }
    }
}
