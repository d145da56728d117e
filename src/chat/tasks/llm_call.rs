use futures_util::StreamExt;

use super::{TaskContext, TaskOutput};
use crate::chat::answer;
use crate::chat::executor::Inputs;
use crate::kernel::{Error, ErrorKind};
use crate::llm::{ChatRequest, Chunk, Completion, LlmError};

/// Asks the model. Streams the text if a client listens for it.
pub(super) async fn run(context: &TaskContext<'_>, inputs: Inputs, is_last: bool) -> Result<TaskOutput, Error> {
    let request = ChatRequest {
        model: context.command.options.model.clone(),
        messages: answer::messages(context, &inputs),
        ..ChatRequest::default()
    };
    let completion = match is_last && context.events.is_streaming() {
        true => stream(context, &request, !inputs.results.is_empty()).await?,
        false => context.llm.complete(context.settings.llm.effective(), &request, context.deadline).await?,
    };
    if completion.content.trim().is_empty() {
        return Err(Error::new(ErrorKind::Upstream, "The LLM answered without any text"));
    }
    Ok(TaskOutput {
        target: Some(completion.model),
        text: completion.content,
        usage: completion.usage,
        ..TaskOutput::default()
    })
}

/// Passes the text on as it comes. If it breaks off and what earlier steps found `follows`, that begins a paragraph of its own.
async fn stream(context: &TaskContext<'_>, request: &ChatRequest, follows: bool) -> Result<Completion, LlmError> {
    let llm = context.settings.llm.effective();
    let mut chunks = Box::pin(context.llm.stream(llm, request, context.deadline).await?);
    let (mut whole, mut begun) = (Completion::default(), false);
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(Chunk::Text(text)) => {
                begun = true;
                context.events.delta(text).await;
            }
            Ok(Chunk::End(completion)) => whole = completion,
            Err(error) => {
                if begun && follows {
                    context.events.delta("\n\n".to_owned()).await;
                }
                return Err(error);
            }
        }
    }
    Ok(whole)
}
