use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::modules::Modules;
use crate::web::openapi::{base_document, complete};
use crate::web::{docs_router, system_router};
use crate::{agents, chat, datasources, executions, gui, llm, memory, monitoring, tools};

/// All routes, and the documents made from the same lines.
pub(super) fn router(modules: Modules, prefix: &str) -> Router {
    let (router, _) = documented(Some(&modules), prefix).split_for_parts();
    let prefix = prefix.to_owned();
    let router = router.merge(docs_router(move || prefixed_document(&prefix)));
    let enabled = modules.system.settings.snapshot().monitoring.enabled;
    let prometheus = enabled.then(|| monitoring::routes::prometheus_router().with_state(modules.monitoring));
    router.merge(prometheus.unwrap_or_default())
}

/// The OpenAPI document with the default prefix, as it is committed.
pub fn openapi_document() -> OpenApi {
    prefixed_document("/v1")
}

fn prefixed_document(prefix: &str) -> OpenApi {
    complete(documented(None, prefix).into_openapi())
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
        .merge(mount(chat::routes::api_router(), modules.map(|it| it.chat.clone())))
        .nest(prefix, mount(chat::routes::router(), modules.map(|it| it.chat.clone())))
        .nest(prefix, mount(executions::routes::router(), modules.map(|it| it.executions.clone())))
        .merge(mount(monitoring::routes::router(), modules.map(|it| it.monitoring.clone())))
        .merge(mount(gui::chat_page::routes::router(), modules.map(|it| it.chat_page.clone())))
        .merge(mount(gui::routes::connections_router(), modules.map(|it| it.llm.clone())))
        .merge(mount(gui::routes::topology_router(), modules.map(|it| it.topology.clone())))
        .merge(mount(gui::routes::memory_router(), modules.map(|it| it.memory.clone())))
        .merge(mount(gui::routes::pipeline_router(), modules.map(|it| it.chat.clone())))
        .merge(mount(gui::routes::setup_router(), modules.map(|it| it.system.clone())))
}
