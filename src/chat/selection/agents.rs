use super::{Selection, named, preferred, serves, targets};
use crate::chat::intent::Intent;
use crate::chat::request::ChatOptions;
use crate::chat::task::AgentChoice;
use crate::grounding::{Findings, ResourceKind};
use crate::kernel::Error;
use crate::settings::Settings;

/// The agent that the request names, or else prefers, the one that the prompt is clearly about, the one whose `metadata.intents` has the intent, the
/// only one; else it is left open.
pub(in crate::chat) fn choose(
    options: &ChatOptions,
    intent: Intent,
    settings: &Settings,
    findings: &Findings,
) -> Result<Selection<AgentChoice>, Error> {
    let catalog = &settings.agents;
    if let Some(name) = &options.agent {
        return Ok(named(catalog, name, "agent")?.map(AgentChoice::One));
    }
    let first = options.preferred_agent.and_then(|name| catalog.get(name));
    if let Some(agent) = first.filter(|agent| agent.effective.enabled) {
        return Ok(Selection::Use(AgentChoice::One(agent.clone())));
    }
    if let Some(agent) = findings.clear().find_map(|found| targets::agent(found, settings)) {
        return Ok(Selection::Use(AgentChoice::One(agent)));
    }
    let allowed = catalog.enabled().filter(|agent| !findings.is_denied(ResourceKind::Agent, agent.name.as_str()));
    let mut candidates = preferred(allowed.cloned().collect(), |agent| serves(&agent.effective.metadata, intent));
    Ok(match candidates.len() {
        0 => Selection::Unavailable(match catalog.enabled().next() {
            Some(_) => "the prompt rules out every agent".to_owned(),
            None => "no external agent is configured and enabled".to_owned(),
        }),
        1 => Selection::Use(AgentChoice::One(candidates.remove(0))),
        _ => Selection::Use(AgentChoice::Among(candidates)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn a_preferred_agent_is_asked_if_it_is_there_and_none_was_named() {
        let chosen = |preferred, named: Option<&str>, enabled: bool| {
            let agents = format!(r#"{{"a": {{"url": "http://a"}}, "b": {{"url": "http://b", "enabled": {enabled}}}}}"#);
            let settings = load(Environment::from_pairs([("EXTERNAL_AGENTS", agents.as_str())])).unwrap().settings;
            let (agent, preferred_agent) = (named.map(str::to_owned), Some(preferred));
            let options = ChatOptions { agent, preferred_agent, ..ChatOptions::default() };
            match choose(&options, Intent::ExternalAgent, &settings, &Findings::default()).unwrap() {
                Selection::Use(AgentChoice::One(agent)) => agent.name.to_string(),
                other => format!("{other:?}").chars().take(9).collect(),
            }
        };
        assert_eq!(chosen("b", None, true), "b");
        assert_eq!(chosen("b", Some("a"), true), "a");
        assert_eq!(chosen("b", None, false), "a", "the only one that is left");
        assert_eq!(chosen("c", None, true), "Use(Among");
    }

    #[test]
    fn the_agent_is_the_one_for_the_intent_or_the_only_one() {
        let agents =
            r#"{"a": {"url": "http://a"}, "b": {"url": "http://b", "metadata": {"intents": ["churn_analytics"]}}}"#;
        let settings = load(Environment::from_pairs([("EXTERNAL_AGENTS", agents)])).unwrap().settings;
        let chosen = |intent| choose(&ChatOptions::default(), intent, &settings, &Findings::default()).unwrap();
        assert!(
            matches!(chosen(Intent::ChurnAnalytics), Selection::Use(AgentChoice::One(agent)) if agent.name.as_str() == "b")
        );
        assert!(
            matches!(chosen(Intent::ExternalAgent), Selection::Use(AgentChoice::Among(agents)) if agents.len() == 2)
        );
    }
}
