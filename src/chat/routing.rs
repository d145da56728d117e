use serde::Serialize;

use crate::grounding::ResourceKind;

/// Who decided what serves a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoutedBy {
    /// The request itself, in `metadata`.
    Request,
    /// The rules on words of the original.
    #[default]
    Rules,
    /// The index of what is configured.
    Score,
    /// A model that was asked to choose, or that called a function while it answered.
    Model,
}

/// What was chosen to serve a request, by whom, and why: `metadata.routing` of a reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Routing {
    pub(super) by: RoutedBy,
    /// 0 to 1.
    pub(super) confidence: f64,
    /// For a person.
    pub(super) reason: String,
    /// What has to be used, in the order of the plan; empty if the model alone answers.
    pub(super) targets: Vec<RoutedTarget>,
}

/// A resource that has to be used for a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RoutedTarget {
    pub(super) kind: ResourceKind,
    pub(super) name: String,
    pub(super) score: f64,
    pub(super) reason: String,
    /// Whether there is none: then its name is the word for what is lacking.
    #[serde(skip)]
    pub(super) is_absent: bool,
}
