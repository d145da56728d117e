use futures_util::StreamExt;

use crate::chat::context::TaskContext;
use crate::chat::honesty::Shortfall;
use crate::chat::task::{Inputs, TaskFailure, TaskOutput};
use crate::kernel::{Error, ErrorKind};
use crate::llm::{ChatMessage, Chunk, Completion, LlmError, ToolSpec};

/// Has the model answer.
pub(super) async fn run(context: &TaskContext<'_>, inputs: &Inputs) -> Result<TaskOutput, TaskFailure> {
    let shortfall = Shortfall::of(context.plan, inputs);
    let instruction = shortfall.as_ref().map(Shortfall::instruction);
    let messages = context.messages(inputs, instruction.as_deref());
    let completion = match &shortfall {
        None => stream_answer(context, messages, Vec::new()).await,
        Some(shortfall) => Box::pin(disclosing_answer(context, messages, shortfall)).await,
    };
    let completion = with_text(completion.map_err(Error::from)?)?;
    Ok(TaskOutput {
        target: Some(completion.model.clone()),
        model: Some(completion.model),
        text: completion.content,
        usage: completion.usage,
        reasoning: completion.reasoning,
        finish_reason: completion.finish_reason,
        left_out: completion.left_out,
        gap: shortfall.and_then(|shortfall| shortfall.gap(context.plan, inputs)),
        ..TaskOutput::default()
    })
}

/// Asks the model for an answer that has to say first what it lacks; it is passed on when that is certain.
async fn disclosing_answer(
    context: &TaskContext<'_>,
    messages: Vec<ChatMessage>,
    shortfall: &Shortfall,
) -> Result<Completion, LlmError> {
    let completion = context.complete(&context.llm_request(messages, Vec::new()), context.deadline).await?;
    if completion.content.trim().is_empty() {
        return Ok(completion);
    }
    let content = shortfall.disclosed(&completion.content, context.prompt.prompt);
    context.chat.answer.push(content.clone()).await;
    Ok(Completion { content, ..completion })
}

/// A completion that has text.
pub(super) fn with_text(completion: Completion) -> Result<Completion, Error> {
    match completion.content.trim() {
        "" => Err(Error::new(ErrorKind::Upstream, completion.why_no_text())),
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
    let mut chunks =
        Box::pin(Box::pin(chat.services.llm.stream(llm, &request, &chat.request.caller, context.deadline)).await?);
    let (begun, mut whole) = (answer.written().len(), Completion::default());
    while let Some(chunk) = chunks.next().await {
        match chunk? {
            Chunk::Text(text) => answer.push(text).await,
            Chunk::Restart => answer.rewind(begun),
            Chunk::End(completion) => whole = *completion,
        }
    }
    Ok(whole)
}
