use futures_util::StreamExt;

use crate::chat::context::TaskContext;
use crate::chat::task::{Inputs, TaskFailure, TaskOutput};
use crate::kernel::{Error, ErrorKind};
use crate::llm::{ChatMessage, Chunk, Completion, LlmError, ToolSpec};

/// Has the model answer.
pub(super) async fn run(context: &TaskContext<'_>, inputs: &Inputs) -> Result<TaskOutput, TaskFailure> {
    let completion = stream_answer(context, context.messages(inputs, None), Vec::new()).await;
    let completion = with_text(completion.map_err(Error::from)?)?;
    Ok(TaskOutput {
        target: Some(completion.model.clone()),
        model: Some(completion.model),
        text: completion.content,
        usage: completion.usage,
        ..TaskOutput::default()
    })
}

/// A completion that has text.
pub(super) fn with_text(completion: Completion) -> Result<Completion, Error> {
    match completion.content.trim() {
        "" => Err(Error::new(ErrorKind::Upstream, "The LLM answered without any text")),
        _ => Ok(completion),
    }
}

/// Asks the model for text that belongs to the answer, and passes it on as it comes.
pub(super) async fn stream_answer(
    context: &TaskContext<'_>,
    messages: Vec<ChatMessage>,
    tools: Vec<ToolSpec>,
) -> Result<Completion, LlmError> {
    let request = context.llm_request(messages, tools);
    let (chat, answer) = (context.chat, &context.chat.answer);
    if !answer.is_streaming() {
        let completion = context.complete(&request, context.deadline).await?;
        if !completion.content.trim().is_empty() {
            answer.push(completion.content.clone()).await;
        }
        return Ok(completion);
    }
    let llm = chat.settings.llm.effective();
    let mut chunks = Box::pin(chat.services.llm.stream(llm, &request, context.deadline).await?);
    let mut whole = Completion::default();
    while let Some(chunk) = chunks.next().await {
        match chunk? {
            Chunk::Text(text) => answer.push(text).await,
            Chunk::End(completion) => whole = completion,
        }
    }
    Ok(whole)
}
