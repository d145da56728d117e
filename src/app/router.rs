use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::modules::Modules;
use crate::identity::routes::{AuthenticationLayer, authenticate, describe_access, without_access};
use crate::web::openapi::{base_document, complete};
use crate::web::{docs_router, system_router};
use crate::{agents, chat, configuration, datasources, executions, gui, identity, llm, memory, monitoring, tools};

/// All routes, and the documents made from the same lines.
pub(super) fn router(modules: Modules, prefix: &str) -> Router {
    let (router, document) = documented(Some(&modules), prefix).split_for_parts();
    let (prefix, settings) = (prefix.to_owned(), modules.system.settings.snapshot());
    let served = if settings.auth.enabled { prefixed_document } else { open_document };
    let router = router.merge(docs_router(move || served(&prefix)));
    let prometheus = || monitoring::routes::prometheus_router().with_state(modules.monitoring);
    let prometheus = settings.monitoring.enabled.then(prometheus);
    let operations = Arc::new(identity::routes::operations_of(&document));
    let authentication = AuthenticationLayer { service: modules.identity, operations, server: settings.server.clone() };
    router.merge(prometheus.unwrap_or_default()).layer(from_fn_with_state(authentication, authenticate))
}

/// The OpenAPI document with the default prefix, as it is committed.
pub fn openapi_document() -> OpenApi {
    prefixed_document("/v1")
}

fn prefixed_document(prefix: &str) -> OpenApi {
    complete(describe_access(documented(None, prefix).into_openapi()))
}

/// The document of a server that does not tell callers apart.
fn open_document(prefix: &str) -> OpenApi {
    without_access(prefixed_document(prefix))
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
        .merge(mount(identity::routes::router(), modules.map(|it| it.identity.clone())))
        .merge(mount(llm::routes::router(), modules.map(|it| it.llm.clone())))
        .merge(mount(agents::routes::router(), modules.map(|it| it.agents.clone())))
        .merge(mount(datasources::routes::router(), modules.map(|it| it.datasources.clone())))
        .merge(mount(tools::routes::router(), modules.map(|it| it.tools.clone())))
        .merge(mount(configuration::routes::router(), modules.map(|it| it.config.clone())))
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
