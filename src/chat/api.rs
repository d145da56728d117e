use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::events::EventSender;
use super::intent::Intent;
use super::request::{ChatOptions, ConversationKey, UserRequest};
use super::service::ChatService;
use crate::kernel::{Caller, Deadline, Error, Lenient, UserId};

/// A chat request that nobody waits for.
pub struct StartedChat {
    /// The id of its execution, which is recorded as running.
    pub execution_id: String,
    /// The work. Dropping it before its end ends all that is done for it, and records the execution as cancelled.
    pub work: BoxFuture<'static, ()>,
}

/// What a prompt would be taken for and what would be done, had it been sent.
#[derive(Clone, Debug)]
pub struct PlanPreview {
    /// The intent's label.
    pub intent: &'static str,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
    /// Why that was chosen, for a person.
    pub reason: String,
    /// The tasks as records of executions have them.
    pub tasks: Value,
}

impl ChatService {
    /// Begins a request of `caller` whose answer is only recorded, under this name: see `/v1/executions`.
    pub async fn start(&self, prompt: String, name: UserId, caller: Caller) -> Result<StartedChat, Error> {
        let permit = self.admit(&caller).await?;
        let request = UserRequest::new(prompt, None, caller).in_conversation(Some(ConversationKey::Shared(name)));
        let recorded = self.begin(request, self.settings.snapshot()).await;
        let (service, execution_id) = (self.clone(), recorded.recorder.id().to_owned());
        let work = async move {
            drop(service.carry_out(recorded, EventSender::default()).await);
            drop(permit);
        };
        Ok(StartedChat { execution_id, work: work.boxed() })
    }

    /// Routes and plans a prompt without carrying anything out; `intent` is a label that the request gives itself.
    pub async fn preview(&self, prompt: String, intent: Option<&str>, caller: Caller) -> Result<PlanPreview, Error> {
        // A label that is none counts as none, as a guess does better than a refusal.
        let intent = intent.and_then(|label| Intent::read(&Value::from(label)).ok());
        let options = ChatOptions { intent, ..ChatOptions::default() };
        let settings = self.settings_for_trial(&caller);
        let request = UserRequest::new(prompt, None, caller).with_metadata(Map::new(), options);
        let deadline = Deadline::after(settings.orchestration.timeout);
        let (classification, plan) = self.plan(&request, &settings, deadline).await?;
        Ok(PlanPreview {
            intent: classification.intent.as_str(),
            confidence: classification.confidence,
            reason: plan.routing.reason.clone(),
            tasks: serde_json::to_value(plan.shown()).unwrap_or_default(),
        })
    }
}
