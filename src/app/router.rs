use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::agents::AgentService;
use crate::chat::routes::ChatState;
use crate::datasources::DataSourceService;
use crate::executions::ExecutionService;
use crate::kernel::Error;
use crate::llm::LlmService;
use crate::memory::routes::MemoryState;
use crate::monitoring::MonitoringService;
use crate::tools::ToolService;
use crate::web::openapi::{base_document, complete};
use crate::web::{AppState, docs_router, system_router};
use crate::{agents, chat, datasources, executions, llm, memory, monitoring, tools};

/// The state of each module's routes.
pub(super) struct Modules {
    pub(super) system: AppState,
    pub(super) llm: LlmService,
    pub(super) agents: AgentService,
    pub(super) datasources: DataSourceService,
    pub(super) tools: ToolService,
    pub(super) memory: MemoryState,
    pub(super) chat: ChatState,
    pub(super) executions: ExecutionService,
    pub(super) monitoring: MonitoringService,
}

/// All routes, and the documents made from the same lines.
pub(super) fn router(modules: Modules, prefix: &str) -> Result<Router, Error> {
    let (router, document) = OpenApiRouter::with_openapi(base_document())
        .merge(system_router().with_state(modules.system.clone()))
        .merge(llm::routes::router().with_state(modules.llm))
        .merge(agents::routes::router().with_state(modules.agents))
        .merge(datasources::routes::router().with_state(modules.datasources))
        .merge(tools::routes::router().with_state(modules.tools))
        .merge(memory::routes::router().with_state(modules.memory))
        .nest(prefix, chat::routes::router().with_state(modules.chat))
        .nest(prefix, executions::routes::router().with_state(modules.executions))
        .merge(monitoring::routes::router().with_state(modules.monitoring.clone()))
        .split_for_parts();
    let router = router.merge(docs_router(&complete(document))?);
    let enabled = modules.system.settings.snapshot().monitoring.enabled;
    let prometheus = enabled.then(|| monitoring::routes::prometheus_router().with_state(modules.monitoring));
    Ok(router.merge(prometheus.unwrap_or_default()))
}

/// The OpenAPI document with the default prefix, as it is committed.
pub fn openapi_document() -> OpenApi {
    let document = OpenApiRouter::with_openapi(base_document())
        .merge(stateless(system_router()))
        .merge(stateless(llm::routes::router()))
        .merge(stateless(agents::routes::router()))
        .merge(stateless(datasources::routes::router()))
        .merge(stateless(tools::routes::router()))
        .merge(stateless(memory::routes::router()))
        .nest("/v1", stateless(chat::routes::router()))
        .nest("/v1", stateless(executions::routes::router()))
        .merge(stateless(monitoring::routes::router()))
        .into_openapi();
    complete(document)
}

/// Only the document of a router.
fn stateless<S: Clone + Send + Sync + 'static>(router: OpenApiRouter<S>) -> OpenApiRouter {
    OpenApiRouter::with_openapi(router.into_openapi())
}
