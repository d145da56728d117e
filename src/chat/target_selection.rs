use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::intent::Intent;
use super::request::ChatOptions;
use crate::kernel::{Error, FieldIssue, Lenient};
use crate::settings::{AgentSettings, Catalog, CatalogEntry, DataSourceSettings, Resource, Settings};

/// An agent of the catalog.
pub(super) type AgentEntry = Arc<CatalogEntry<AgentSettings>>;
/// A data source of the catalog.
pub(super) type DataSourceEntry = Arc<CatalogEntry<DataSourceSettings>>;

/// Who is to serve: known, or to be told from a few by a model.
#[derive(Clone, Debug)]
pub(super) enum AgentChoice {
    One(AgentEntry),
    Among(Vec<AgentEntry>),
}

/// What a choice comes to: who serves, or what is missing, in words for the answer. An error is the caller's fault.
pub(super) type Choice<T> = Result<Result<T, String>, Error>;

/// The agent for an intent: the one that the request names, the one whose `metadata.intents` has the intent, the only one;
/// otherwise it is left open.
pub(super) fn choose_agent(options: &ChatOptions, intent: Intent, settings: &Settings) -> Choice<AgentChoice> {
    let catalog = &settings.agents;
    if let Some(name) = &options.agent {
        return Ok(named(catalog, name, "agent")?.map(AgentChoice::One));
    }
    let enabled: Vec<_> = catalog.enabled().cloned().collect();
    let serving: Vec<_> = enabled.iter().filter(|agent| serves(intents_of(agent), intent)).cloned().collect();
    let mut candidates = if serving.is_empty() { enabled } else { serving };
    Ok(match candidates.len() {
        0 => Err("no external agent is configured and enabled".to_owned()),
        1 => Ok(AgentChoice::One(candidates.remove(0))),
        _ => Ok(AgentChoice::Among(candidates)),
    })
}

/// The data sources for a prompt: the one that the request names; else, if data sources may be consulted at all, those whose
/// `config.intents` has the intent, or those whose name and description fit the prompt best. Never more than
/// `GROUNDING_TOP_K`.
pub(super) fn choose_sources(
    options: &ChatOptions,
    prompt: &str,
    intent: Intent,
    settings: &Settings,
) -> Choice<Vec<DataSourceEntry>> {
    let catalog = &settings.datasources;
    if let Some(name) = &options.datasource {
        return Ok(named(catalog, name, "datasource")?.map(|source| vec![source]));
    }
    let orchestration = &settings.orchestration;
    if !orchestration.grounding_enabled {
        return Ok(Err("data sources are not consulted (GROUNDING_ENABLED=false)".to_owned()));
    }
    let enabled: Vec<_> = catalog.enabled().cloned().collect();
    if enabled.is_empty() {
        return Ok(Err("no data source is configured and enabled".to_owned()));
    }
    let serving: Vec<_> = enabled.iter().filter(|source| serves(intents_of_source(source), intent)).cloned().collect();
    let candidates = if serving.is_empty() { enabled } else { serving };
    let mut chosen = most_relevant(&candidates, prompt, orchestration.grounding_threshold);
    chosen.truncate(orchestration.grounding_top_k);
    Ok(Ok(chosen))
}

/// Whether an enabled data source is about what the prompt talks of.
pub(super) fn is_about_data(prompt: &str, settings: &Settings) -> bool {
    let asked = words(prompt);
    settings.orchestration.grounding_enabled && settings.datasources.enabled().any(|source| score(source, &asked) > 0)
}

fn named<T: Resource>(catalog: &Catalog<T>, name: &str, field: &str) -> Choice<Arc<CatalogEntry<T>>> {
    match catalog.get(name) {
        Some(entry) if entry.effective.enabled() => Ok(Ok(entry.clone())),
        Some(_) => Ok(Err(format!("{} '{name}' is disabled", T::LABEL))),
        None => {
            let loc = vec!["body".into(), "metadata".into(), field.into()];
            let msg = format!("Input should name one of the {}: there is no '{name}'", T::SECTION);
            Err(Error::invalid(vec![FieldIssue::new("value_error", loc, msg, Value::String(name.to_owned()))]))
        }
    }
}

fn intents_of(agent: &AgentEntry) -> Option<&Value> {
    agent.effective.metadata.expose().get("intents")
}

fn intents_of_source(source: &DataSourceEntry) -> Option<&Value> {
    source.effective.config.expose().get("intents")
}

/// Whether a list of intents has this one.
pub(super) fn serves(intents: Option<&Value>, intent: Intent) -> bool {
    let intents = intents.and_then(|intents| Vec::<String>::read(intents).ok()).unwrap_or_default();
    intents.iter().any(|label| label == intent.as_str())
}

/// Those that share about as many words with the prompt as the best one does. Where none budget any, `config.default` marks
/// the ones to ask; else all are.
fn most_relevant(sources: &[DataSourceEntry], prompt: &str, threshold: f64) -> Vec<DataSourceEntry> {
    let asked = words(prompt);
    let mut scored: Vec<_> = sources.iter().map(|source| (score(source, &asked), source)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or(0);
    if best == 0 {
        let is_default =
            |source: &&DataSourceEntry| source.effective.config.expose().get("default") == Some(&Value::Bool(true));
        let defaults: Vec<_> = sources.iter().filter(is_default).cloned().collect();
        return if defaults.is_empty() { sources.to_vec() } else { defaults };
    }
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.retain(|(score, _)| *score as f64 >= threshold * best as f64 && *score > 0);
    scored.into_iter().map(|(_, source)| source.clone()).collect()
}

fn score(source: &DataSourceEntry, asked: &BTreeSet<String>) -> usize {
    let about = format!("{} {}", source.name, source.effective.description().unwrap_or_default());
    words(&about).intersection(asked).count()
}

/// Words that say nothing about a subject.
const EMPTY_WORDS: [&str; 26] = [
    "the", "and", "for", "with", "from", "that", "this", "what", "which", "who", "how", "many", "much", "are", "was",
    "were", "all", "our", "their", "you", "have", "has", "about", "into", "each", "data",
];

/// The words of a text that may name a subject, without their plural.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| word.chars().count() > 2 && !EMPTY_WORDS.contains(word));
    words.map(|word| word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    fn settings(sources: &str, agents: &str, more: &[(&str, &str)]) -> Settings {
        let given = [("DATASOURCES", sources), ("EXTERNAL_AGENTS", agents)];
        load(Environment::from_pairs(given.into_iter().chain(more.iter().copied()))).unwrap().settings
    }

    const SOURCES: &str = r#"{
        "crm": {"type": "api", "url": "http://a", "config": {"description": "Customers and their subscriptions"}},
        "shop": {"type": "api", "url": "http://b", "config": {"description": "Orders and sales of the shop"}},
        "hr": {"type": "api", "url": "http://c", "config": {"description": "Employees", "intents": ["churn_analytics"]}},
        "old": {"type": "api", "url": "http://d", "enabled": false}}"#;

    fn chosen(prompt: &str, intent: Intent, more: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let settings = settings(SOURCES, "{}", more);
        let choice = choose_sources(&ChatOptions::default(), prompt, intent, &settings).unwrap();
        choice.map(|sources| sources.iter().map(|source| source.name.to_string()).collect())
    }

    #[test]
    fn the_sources_that_fit_the_prompt_are_asked() {
        let asked = |prompt| chosen(prompt, Intent::DataQuery, &[]).unwrap();
        assert_eq!(asked("How many customers have a subscription?"), ["crm"]);
        assert_eq!(asked("Sales per customer"), ["crm", "shop"]);
        assert_eq!(asked("What is in there?"), ["crm", "shop", "hr"]);
        assert_eq!(chosen("Sales", Intent::ChurnAnalytics, &[]).unwrap(), ["hr"], "intents win");
        let two = chosen("What is in there?", Intent::DataQuery, &[("GROUNDING_TOP_K", "2")]);
        assert_eq!(two.unwrap().len(), 2);
        let off = chosen("Sales", Intent::DataQuery, &[("GROUNDING_ENABLED", "false")]);
        assert!(off.unwrap_err().contains("GROUNDING_ENABLED"));
    }

    #[test]
    fn a_named_target_is_taken_even_if_data_sources_are_not_consulted_by_themselves() {
        let settings = settings(SOURCES, "{}", &[("GROUNDING_ENABLED", "false")]);
        let choose = |name: &str| {
            let options = ChatOptions { datasource: Some(name.to_owned()), ..ChatOptions::default() };
            choose_sources(&options, "", Intent::DataQuery, &settings)
        };
        assert_eq!(choose("shop").unwrap().unwrap().len(), 1);
        assert_eq!(choose("old").unwrap().unwrap_err(), "DataSource 'old' is disabled");
        assert_eq!(choose("none").unwrap_err().issues()[0].path(), "body.metadata.datasource");
    }

    #[test]
    fn the_agent_is_the_one_for_the_intent_or_the_only_one() {
        let agents =
            r#"{"a": {"url": "http://a"}, "b": {"url": "http://b", "metadata": {"intents": ["churn_analytics"]}}}"#;
        let settings = settings("{}", agents, &[]);
        let choose = |intent| choose_agent(&ChatOptions::default(), intent, &settings).unwrap().unwrap();
        assert!(matches!(choose(Intent::ChurnAnalytics), AgentChoice::One(agent) if agent.name.as_str() == "b"));
        assert!(matches!(choose(Intent::ExternalAgent), AgentChoice::Among(agents) if agents.len() == 2));
    }
}
