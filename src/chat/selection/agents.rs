use super::{Selection, named, preferred, serves};
use crate::chat::intent::Intent;
use crate::chat::request::ChatOptions;
use crate::chat::task::AgentChoice;
use crate::kernel::Error;
use crate::settings::Settings;

/// The agent that the request names, the one whose `metadata.intents` has the intent, the only one; else it is left open.
pub(in crate::chat) fn choose(
    options: &ChatOptions,
    intent: Intent,
    settings: &Settings,
) -> Result<Selection<AgentChoice>, Error> {
    let catalog = &settings.agents;
    if let Some(name) = &options.agent {
        return Ok(named(catalog, name, "agent")?.map(AgentChoice::One));
    }
    let mut candidates =
        preferred(catalog.enabled().cloned().collect(), |agent| serves(&agent.effective.metadata, intent));
    Ok(match candidates.len() {
        0 => Selection::Unavailable("no external agent is configured and enabled".to_owned()),
        1 => Selection::Use(AgentChoice::One(candidates.remove(0))),
        _ => Selection::Use(AgentChoice::Among(candidates)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn the_agent_is_the_one_for_the_intent_or_the_only_one() {
        let agents =
            r#"{"a": {"url": "http://a"}, "b": {"url": "http://b", "metadata": {"intents": ["churn_analytics"]}}}"#;
        let settings = load(Environment::from_pairs([("EXTERNAL_AGENTS", agents)])).unwrap().settings;
        let chosen = |intent| choose(&ChatOptions::default(), intent, &settings).unwrap();
        assert!(
            matches!(chosen(Intent::ChurnAnalytics), Selection::Use(AgentChoice::One(agent)) if agent.name.as_str() == "b")
        );
        assert!(
            matches!(chosen(Intent::ExternalAgent), Selection::Use(AgentChoice::Among(agents)) if agents.len() == 2)
        );
    }
}
