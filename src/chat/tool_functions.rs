use std::time::Duration;

use super::planner::Plan;
use super::request::UserRequest;
use crate::kernel::Deadline;
use crate::settings::Settings;
use crate::tools::{ToolFunction, ToolService};

/// Longest wait for what MCP servers list. One that answers at all does so at once; one that is still starting goes on meanwhile,
/// and is there for a later request.
const LISTING_TIMEOUT: Duration = Duration::from_secs(3);

/// The functions that the model is offered. MCP servers are asked for theirs; what the request wants and they lack is noted in
/// the plan.
pub(super) async fn offered(
    tools: &ToolService,
    plan: &mut Plan,
    user_request: &UserRequest,
    settings: &Settings,
    deadline: Deadline,
) -> Vec<ToolFunction> {
    if plan.offer.tools.is_empty() {
        return Vec::new();
    }
    let deadline = deadline.at_most(LISTING_TIMEOUT.min(deadline.remaining() / 4));
    let found = tools.functions(plan.offer.tools.clone(), settings, deadline).await;
    let (offered, missing) = plan.offer.narrowed(found, &user_request.prompt);
    for missing in missing {
        if plan.offer.is_named() { plan.deny(missing) } else { plan.missing.push(missing) }
    }
    offered
}
