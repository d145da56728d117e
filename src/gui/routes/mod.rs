//! The calls of the existing GUI, in the shapes that its pages read.

mod connections;
mod memory;
mod pipeline;
mod prompt;
mod setup;
mod topology;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::TopologyService;
use crate::chat::ChatService;
use crate::llm::LlmService;
use crate::memory::MemoryService;
use crate::web::AppState;

/// The LLM page.
pub fn connections_router() -> OpenApiRouter<LlmService> {
    OpenApiRouter::new()
        .routes(routes!(connections::save_config))
        .routes(routes!(connections::list, connections::save))
        .routes(routes!(connections::remove))
        .routes(routes!(connections::models))
        .routes(routes!(connections::test))
}

/// The topology page.
pub fn topology_router() -> OpenApiRouter<TopologyService> {
    OpenApiRouter::new()
        .routes(routes!(topology::graph))
        .routes(routes!(topology::execute))
        .routes(routes!(topology::progress, topology::stop))
        .routes(routes!(topology::test_component))
}

/// The memory page.
pub fn memory_router() -> OpenApiRouter<MemoryService> {
    OpenApiRouter::new()
        .routes(routes!(memory::totals, memory::clear_of_user_stats))
        .routes(routes!(memory::clear_all, memory::clear_of_user_clear))
}

/// The page of routers and planners.
pub fn pipeline_router() -> OpenApiRouter<Arc<ChatService>> {
    OpenApiRouter::new()
        .routes(routes!(pipeline::routers))
        .routes(routes!(pipeline::router))
        .routes(routes!(pipeline::test_router))
        .routes(routes!(pipeline::planners))
        .routes(routes!(pipeline::planner))
        .routes(routes!(pipeline::test_planner))
}

/// What the pages of credentials and certificates show, and how long the pages should wait.
pub fn setup_router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(setup::credentials))
        .routes(routes!(setup::certificates))
        .routes(routes!(setup::timeouts))
}
