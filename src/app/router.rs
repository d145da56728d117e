use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::agents::AgentService;
use crate::chat::ChatService;
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
    pub(super) chat: ChatService,
    pub(super) executions: ExecutionService,
    pub(super) monitoring: MonitoringService,
}

/// All routes, and the documents made from the same lines.
pub(super) fn router(modules: Modules, prefix: &str) -> Result<Router, Error> {
    let (router, document) = documented(Some(&modules), prefix).split_for_parts();
    let router = router.merge(docs_router(&complete(document))?);
    let enabled = modules.system.settings.snapshot().monitoring.enabled;
    let prometheus = enabled.then(|| monitoring::routes::prometheus_router().with_state(modules.monitoring));
    Ok(router.merge(prometheus.unwrap_or_default()))
}

/// The OpenAPI document with the default prefix, as it is committed.
pub fn openapi_document() -> OpenApi {
    complete(documented(None, "/v1").into_openapi())
}

/// The routes that the document describes; without modules, no more than their description.
fn documented(modules: Option<&Modules>, prefix: &str) -> OpenApiRouter {
    fn mount<S: Clone + Send + Sync + 'static>(router: OpenApiRouter<S>, state: Option<S>) -> OpenApiRouter {
        match state {
            Some(state) => router.with_state(state),
            None => OpenApiRouter::with_openapi(router.into_openapi()),
        }
    }
    OpenApiRouter::with_openapi(base_document())
        .merge(mount(system_router(), modules.map(|it| it.system.clone())))
        .merge(mount(llm::routes::router(), modules.map(|it| it.llm.clone())))
        .merge(mount(agents::routes::router(), modules.map(|it| it.agents.clone())))
        .merge(mount(datasources::routes::router(), modules.map(|it| it.datasources.clone())))
        .merge(mount(tools::routes::router(), modules.map(|it| it.tools.clone())))
        .merge(mount(memory::routes::router(), modules.map(|it| it.memory.clone())))
        .nest(prefix, mount(chat::routes::router(), modules.map(|it| it.chat.clone())))
        .nest(prefix, mount(executions::routes::router(), modules.map(|it| it.executions.clone())))
        .merge(mount(monitoring::routes::router(), modules.map(|it| it.monitoring.clone())))
}
