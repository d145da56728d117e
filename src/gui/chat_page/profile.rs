use serde_json::Value;

use crate::chat::Scope;
use crate::kernel::{Lenient, LenientResult};

/// The agent that a user of the GUI expects to talk to.
const ZAIN_AGENT: &str = "zain_agent";

/// What the messages of the chat page are answered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RoutingProfile {
    #[default]
    DirectLlm,
    ZainAgent,
    ToolsData,
}

impl RoutingProfile {
    /// Each of them, in the order in which the page shows them.
    pub(super) const ALL: [Self; 3] = [Self::DirectLlm, Self::ZainAgent, Self::ToolsData];

    pub(super) fn id(self) -> &'static str {
        match self {
            Self::DirectLlm => "direct_llm",
            Self::ZainAgent => ZAIN_AGENT,
            Self::ToolsData => "tools_data",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DirectLlm => "Direct LLM",
            Self::ZainAgent => "Zain Agent",
            Self::ToolsData => "Tools + Data",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::DirectLlm => "The model alone answers",
            Self::ZainAgent => "An agent works on it: zain_agent, or the one that fits",
            Self::ToolsData => "Agents, data sources and tools are used as the message needs them",
        }
    }

    /// What may be used; `use_tools` offers the tools to the model that would be alone.
    pub(super) fn scope(self, use_tools: bool) -> Scope {
        match self {
            Self::DirectLlm if use_tools => Scope::Tools,
            Self::DirectLlm => Scope::Model,
            Self::ZainAgent => Scope::Agent { preferred: ZAIN_AGENT },
            Self::ToolsData => Scope::Everything,
        }
    }

    /// The profile of that id.
    pub(super) fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.id() == id)
    }
}

impl Lenient for RoutingProfile {
    fn read(value: &Value) -> LenientResult<Self> {
        let expected = ("enum", "Input should be 'direct_llm', 'zain_agent' or 'tools_data'");
        value.as_str().and_then(Self::parse).ok_or(expected)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_profile_says_what_is_used_and_tools_only_add_to_the_model_alone() {
        use RoutingProfile::{DirectLlm, ToolsData, ZainAgent};
        assert_eq!((DirectLlm.scope(false), DirectLlm.scope(true)), (Scope::Model, Scope::Tools));
        for use_tools in [false, true] {
            assert_eq!(ZainAgent.scope(use_tools), Scope::Agent { preferred: "zain_agent" });
            assert_eq!(ToolsData.scope(use_tools), Scope::Everything);
        }
    }

    #[test]
    fn an_unknown_profile_is_told_the_known_ones() {
        for profile in RoutingProfile::ALL {
            assert_eq!(RoutingProfile::read(&json!(profile.id())), Ok(profile));
        }
        for wrong in [json!("Direct LLM"), json!(""), json!(null), json!(1)] {
            let (_, expected) = RoutingProfile::read(&wrong).unwrap_err();
            assert!(RoutingProfile::ALL.iter().all(|profile| expected.contains(profile.id())));
        }
    }
}
