//! The OpenAPI document: its base, and what the modules' routes describe requests with.

pub mod numbers;
mod replies;
pub mod schema;
pub mod texts;

use utoipa::OpenApi;
use utoipa::openapi;

use super::error::{ErrorBody, ValidationDetail, ValidationIssue};
pub use replies::complete;

/// What the OpenAPI document says before any route is added to it.
pub fn base_document() -> openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(
        info(
            title = "AI Orchestrator Studio",
            description = "Manages an LLM connection, agents, data sources and tools by name, and orchestrates chat over them.",
            version = "1.0.0",
            license(name = "MIT", identifier = "MIT")
        ),
        components(schemas(ErrorBody, ValidationDetail, ValidationIssue)),
        tags(
            (name = "system", description = "The server itself: what it is, whether it lives, whether it is ready."),
            (name = "auth", description = "Who calls: keys, tokens, and what they may do."),
            (name = "llm", description = "The LLM connection: configure, test, list models."),
            (name = "agents", description = "External agents: keep, test, call."),
            (name = "datasources", description = "Sources of data: keep, test, query, look at their tables."),
            (name = "tools", description = "Tools: keep, test, run, see what they offer to models."),
            (name = "memory", description = "Conversations: history, context, summary."),
            (name = "chat", description = "Ask, and get an answer that the server worked out in steps."),
            (name = "executions", description = "What the server did for each chat request."),
            (name = "monitoring", description = "How the server and its upstreams are. Figures for Prometheus are at /metrics."),
            (name = "gui", description = "For the existing GUI only: what its pages call beyond the rest of this document.")
        )
    )]
    struct Base;
    Base::openapi()
}
