use std::ops::RangeInclusive;

use axum::extract::State;
use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use crate::gui::chat_page::ChatPageService;
use crate::kernel::Fields;
use crate::storage::{TranscriptUsage, UsageCount};
use crate::web::openapi::schema::{query, query_integer};
use crate::web::{ApiError, FromFields, JsonReply, QueryParams, ReadErrors};

/// Hours that figures may be of.
const HOURS: RangeInclusive<i64> = 1..=8760;

/// How often a model wrote an answer.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelUse {
    #[schema(example = "llama3.2")]
    model: String,
    #[schema(example = 12)]
    count: i64,
}

/// How often a profile was used.
#[derive(Serialize, ToSchema)]
pub(super) struct ProfileUse {
    #[schema(example = "direct_llm")]
    profile: String,
    #[schema(example = 12)]
    count: i64,
}

/// How the chat page was used. Deleted conversations count no more.
#[derive(Serialize, ToSchema)]
pub(super) struct ChatPageMetrics {
    /// Messages that were answered, or could not be.
    #[schema(example = 12)]
    total_requests: i64,
    /// The share that was answered, 0 to 1; 0 if there was none.
    #[schema(example = 1.0)]
    success_rate: f64,
    /// Mean time to the whole answer.
    #[schema(example = 412.7)]
    avg_latency_ms: f64,
    #[schema(example = 0.5)]
    requests_per_hour: f64,
    /// At most ten, most used first.
    top_models: Vec<ModelUse>,
    /// Most used first.
    top_profiles: Vec<ProfileUse>,
}

impl ChatPageMetrics {
    fn new(usage: TranscriptUsage, hours: u64) -> Self {
        let share = |amount: i64, of: f64| if of > 0.0 { amount as f64 / of } else { 0.0 };
        let answers = usage.answers as f64;
        let model = |UsageCount { name, count }: UsageCount| ModelUse { model: name, count };
        let profile = |UsageCount { name, count }: UsageCount| ProfileUse { profile: name, count };
        Self {
            total_requests: usage.answers,
            success_rate: share(usage.succeeded, answers),
            avg_latency_ms: share(usage.latency_ms, answers),
            requests_per_hour: share(usage.answers, hours as f64),
            top_models: usage.models.into_iter().map(model).collect(),
            top_profiles: usage.profiles.into_iter().map(profile).collect(),
        }
    }
}

/// What time the figures are of.
pub(super) struct MetricsQuery {
    hours: u64,
}

impl IntoParams for MetricsQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![query("hours", "The last hours, 24 by default", query_integer(&HOURS))]
    }
}

impl FromFields for MetricsQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { hours: fields.int_or("hours", 24, HOURS).unsigned_abs() }
    }
}

/// Figures of the chat page
///
/// Of the answers in conversations that are still there, over the last hours.
#[utoipa::path(get, path = "/api/chat/ui/metrics", tag = "gui", operation_id = "chat_page_metrics",
    params(MetricsQuery), responses((status = 200, description = "The figures", body = ChatPageMetrics), ReadErrors))]
pub(super) async fn metrics(
    State(page): State<ChatPageService>,
    QueryParams(MetricsQuery { hours }): QueryParams<MetricsQuery>,
) -> Result<JsonReply<ChatPageMetrics>, ApiError> {
    Ok(JsonReply::ok(ChatPageMetrics::new(page.usage(hours).await?, hours)))
}
