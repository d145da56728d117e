use super::Tool;
use crate::kernel::Deadline;
use crate::outbound::HttpClient;
use crate::settings::ToolPolicy;

/// What a kind of tool works with: in one execution, one test or one listing.
#[derive(Clone, Copy)]
pub(super) struct ToolContext<'a> {
    pub(super) tool: &'a Tool,
    pub(super) policy: &'a ToolPolicy,
    pub(super) http: &'a HttpClient,
    pub(super) deadline: Deadline,
}
