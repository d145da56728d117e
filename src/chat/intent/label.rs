use serde::Serialize;
use serde_json::Value;

use crate::kernel::Lenient;

/// What a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::chat) enum Intent {
    ChurnAnalytics,
    DataQuery,
    WebSearch,
    CodeGeneration,
    ToolExecution,
    ExternalAgent,
    GeneralLlm,
}

impl Intent {
    pub(in crate::chat) const ALL: [Self; 7] = [
        Self::ChurnAnalytics,
        Self::DataQuery,
        Self::WebSearch,
        Self::CodeGeneration,
        Self::ToolExecution,
        Self::ExternalAgent,
        Self::GeneralLlm,
    ];

    /// The label of the original.
    pub(in crate::chat) fn as_str(self) -> &'static str {
        match self {
            Self::ChurnAnalytics => "churn_analytics",
            Self::DataQuery => "data_query",
            Self::WebSearch => "web_search",
            Self::CodeGeneration => "code_generation",
            Self::ToolExecution => "tool_execution",
            Self::ExternalAgent => "external_agent",
            Self::GeneralLlm => "general_llm",
        }
    }

    /// The intent of this label.
    fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|intent| intent.as_str() == label)
    }
}

impl Lenient for Intent {
    fn read(value: &Value) -> Result<Self, (&'static str, &'static str)> {
        value.as_str().and_then(Self::parse).ok_or((
            "enum",
            "Input should be 'churn_analytics', 'data_query', 'web_search', 'code_generation', 'tool_execution', \
             'external_agent' or 'general_llm'",
        ))
    }
}

/// An intent, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::chat) struct Classification {
    pub(in crate::chat) intent: Intent,
    /// 0 to 1; the rules give the original's figures.
    pub(in crate::chat) confidence: f64,
}
