use std::sync::Arc;

use serde_json::{Map, Value};

use super::ChatService;
use super::task::Action;
use crate::datasources::{Source, VerifiedDraft};
use crate::kernel::{Caller, Deadline, Error, ErrorKind, Fields, quoted};
use crate::settings::VerifiedQuestion;
use crate::storage::{Step, StepStatus};

impl ChatService {
    /// Keeps what a step of an execution asked a data source as a verified question of it: the execution's prompt and the step's
    /// query, unless the body says otherwise.
    pub(super) async fn verify_step(
        &self,
        execution: &str,
        step: &str,
        body: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(Source, Arc<VerifiedQuestion>), Error> {
        let settings = self.settings.snapshot();
        settings.server.object_limits.check(body)?;
        let missing = || Error::not_found(format!("Execution {} not found", quoted(execution)));
        let (execution, steps) = self.executions.get_for(execution, caller).await?.ok_or_else(missing)?;
        let unknown = || Error::not_found(format!("Execution {} has no step {}", quoted(&execution.id), quoted(step)));
        let step = steps.into_iter().find(|known| known.id == step).ok_or_else(unknown)?;
        let name = queried_source(&step)?;
        let gone = || conflict(&step, &format!("its data source '{name}' is no more"));
        let source = settings.datasources.get(name).ok_or_else(gone)?;
        let mut fields = Fields::new(body, vec!["body".into()]);
        let draft = VerifiedDraft::read(&mut fields, Some(&execution.prompt), step.query.as_deref());
        let draft = fields.finish(draft)?;
        let deadline = Deadline::after(settings.orchestration.timeout);
        let question = self.services.datasources.add_verified(source, draft, deadline).await?;
        Ok((source.clone(), question))
    }
}

/// The data source that a step has asked with success.
fn queried_source(step: &Step) -> Result<&str, Error> {
    if step.action != Action::DataQuery.as_str() {
        return Err(conflict(step, &format!("it is no data_query but {}", step.action)));
    }
    if step.status != StepStatus::Completed {
        return Err(conflict(step, &format!("it has not completed but {}", step.status.as_str())));
    }
    step.target.as_deref().ok_or_else(|| conflict(step, "it names no data source"))
}

fn conflict(step: &Step, why: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("Step '{}' can't be verified: {why}", step.id))
}
