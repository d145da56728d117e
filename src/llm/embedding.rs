use super::client::LlmClient;
use super::token_count::tokens_of;
use super::{LlmError, common_json};
use crate::kernel::{Caller, Deadline};
use crate::outbound::Call;
use crate::settings::LlmSettings;
use crate::telemetry::metrics::LlmCall;

/// Texts of one request.
const BATCH_SIZE: usize = 32;
/// Numbers that an embedding may have.
const MAX_DIMENSIONS: usize = 8_192;

impl LlmClient {
    /// The embeddings of texts, in their order, before `deadline`. All have the same number of dimensions. The tokens are `caller`'s.
    pub async fn embed(
        &self,
        llm: &LlmSettings,
        model: &str,
        texts: &[String],
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<Vec<Vec<f32>>, LlmError> {
        let estimate = || texts.iter().map(|text| tokens_of(text)).sum();
        let mut reserved = self.limiter.reserve_tokens(caller, estimate).await?;
        reserved.used(estimate);
        let mut all = Vec::new();
        for batch in texts.chunks(BATCH_SIZE) {
            let call = LlmCall::begin(model, true);
            match self.embed_batch(llm, model, batch, deadline).await {
                Ok(embeddings) => {
                    call.answered(None);
                    all.extend(embeddings);
                }
                Err(error) => {
                    call.failed(error.label());
                    reserved.used(|| 0);
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    async fn embed_batch(
        &self,
        llm: &LlmSettings,
        model: &str,
        texts: &[String],
        deadline: Deadline,
    ) -> Result<Vec<Vec<f32>>, LlmError> {
        let endpoint = self.endpoint(llm, deadline).await?;
        let url = endpoint.dialect.embeddings_url(&endpoint.base);
        let call = Call::post(url, &common_json::embedding_body(model, texts)).bearer(endpoint.key.as_ref());
        let reply = self.checked(&endpoint, &call, deadline).await?;
        let raw = endpoint.read_json(reply, deadline).await?;
        let embeddings = endpoint.dialect.embeddings(&raw).unwrap_or_default();
        if embeddings.len() != texts.len() {
            return Err(endpoint.bad_reply("answered without an embedding for each text"));
        }
        let dimensions = embeddings.first().map_or(0, Vec::len);
        let are_alike = embeddings.iter().all(|embedding| embedding.len() == dimensions);
        if !are_alike || !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(endpoint.bad_reply("answered with embeddings of an odd size"));
        }
        Ok(embeddings)
    }
}
