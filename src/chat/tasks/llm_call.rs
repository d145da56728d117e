use futures_util::StreamExt;

use super::{TaskContext, TaskFailure, TaskOutput};
use crate::chat::executor::Inputs;
use crate::chat::prompt;
use crate::kernel::{Error, ErrorKind};
use crate::llm::{ChatMessage, ChatRequest, Chunk, Completion, LlmError, ToolSpec};

/// Asks the model. Streams the text if this is the answer and a client listens for it.
pub(super) async fn run(context: &TaskContext<'_>, inputs: &Inputs, is_last: bool) -> Result<TaskOutput, TaskFailure> {
    let messages = prompt::messages(context, inputs, None);
    let completion = if is_last { say(context, messages, Vec::new()).await } else { ask(context, messages).await };
    let completion = completion.map_err(Error::from)?;
    if completion.content.trim().is_empty() {
        return Err(without_text().into());
    }
    Ok(TaskOutput {
        target: Some(completion.model.clone()),
        model: Some(completion.model),
        text: completion.content,
        usage: completion.usage,
        ..TaskOutput::default()
    })
}

pub(super) fn without_text() -> Error {
    Error::new(ErrorKind::Upstream, "The LLM answered without any text")
}

fn request(context: &TaskContext<'_>, messages: Vec<ChatMessage>, tools: Vec<ToolSpec>) -> ChatRequest {
    ChatRequest { model: context.user_request.options.model.clone(), messages, tools, ..ChatRequest::default() }
}

/// Asks the model for something that the client does not hear as it comes.
pub(super) async fn ask(context: &TaskContext<'_>, messages: Vec<ChatMessage>) -> Result<Completion, LlmError> {
    ask_with(context, messages, Vec::new()).await
}

/// Like [`ask`], with tools that the model may ask for.
pub(super) async fn ask_with(
    context: &TaskContext<'_>,
    messages: Vec<ChatMessage>,
    tools: Vec<ToolSpec>,
) -> Result<Completion, LlmError> {
    let request = request(context, messages, tools);
    context.llm.complete(context.settings.llm.effective(), &request, context.deadline).await
}

/// Asks the model for text that belongs to the answer, and passes it on as it comes.
pub(super) async fn say(
    context: &TaskContext<'_>,
    messages: Vec<ChatMessage>,
    tools: Vec<ToolSpec>,
) -> Result<Completion, LlmError> {
    if !context.events.is_streaming() {
        return ask_with(context, messages, tools).await;
    }
    let request = request(context, messages, tools);
    let llm = context.settings.llm.effective();
    let mut chunks = Box::pin(context.llm.stream(llm, &request, context.deadline).await?);
    let mut whole = Completion::default();
    while let Some(chunk) = chunks.next().await {
        match chunk? {
            Chunk::Text(text) => context.events.delta(text).await,
            Chunk::End(completion) => whole = completion,
        }
    }
    Ok(whole)
}
