use std::cmp::Reverse;

use super::{Selection, is_default, named, preferred, serves};
use crate::chat::intent::Intent;
use crate::chat::relevance::Keywords;
use crate::chat::request::UserRequest;
use crate::datasources::Source;
use crate::kernel::Error;
use crate::settings::{Resource, Settings};

/// The data sources for a request: the one that it names; else, if data sources may be consulted at all, those whose
/// `config.intents` has the intent, or those whose name and description fit the prompt best. Never more than
/// `GROUNDING_TOP_K`.
pub(in crate::chat) fn choose(
    request: &UserRequest,
    intent: Intent,
    settings: &Settings,
) -> Result<Selection<Vec<Source>>, Error> {
    let (catalog, orchestration) = (&settings.datasources, &settings.orchestration);
    if let Some(name) = &request.options.datasource {
        return Ok(named(catalog, name, "datasource")?.map(|source| vec![source]));
    }
    let unavailable = |why: &str| Ok(Selection::Unavailable(why.to_owned()));
    if !orchestration.grounding_enabled {
        return unavailable("data sources are not consulted (GROUNDING_ENABLED=false)");
    }
    let candidates = preferred(catalog.enabled().cloned().collect(), |source| serves(&source.effective.config, intent));
    if candidates.is_empty() {
        return unavailable("no data source is configured and enabled");
    }
    let mut chosen = most_relevant(candidates, &request.prompt, orchestration.grounding_threshold);
    chosen.truncate(orchestration.grounding_top_k);
    Ok(Selection::Use(chosen))
}

/// Whether an enabled data source is about what the prompt talks of.
pub(in crate::chat) fn any_relevant(prompt: &str, settings: &Settings) -> bool {
    let keywords = Keywords::of(prompt);
    settings.orchestration.grounding_enabled
        && settings.datasources.enabled().any(|source| score(source, &keywords) > 0)
}

/// Those that share about as many words with the prompt as the best; if none shares any, those of `config.default`, or all.
fn most_relevant(sources: Vec<Source>, prompt: &str, threshold: f64) -> Vec<Source> {
    let keywords = Keywords::of(prompt);
    let mut scored: Vec<_> = sources.into_iter().map(|source| (score(&source, &keywords), source)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or(0);
    if best == 0 {
        let sources = scored.into_iter().map(|(_, source)| source).collect();
        return preferred(sources, |source| is_default(&source.effective.config));
    }
    scored.sort_by_key(|(score, _)| Reverse(*score));
    scored.retain(|(score, _)| *score as f64 >= threshold * best as f64 && *score > 0);
    scored.into_iter().map(|(_, source)| source).collect()
}

fn score(source: &Source, keywords: &Keywords) -> usize {
    keywords.score(&format!("{} {}", source.name, source.effective.description().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::chat::request::ChatOptions;
    use crate::kernel::UserId;
    use crate::settings::{Environment, load};

    const SOURCES: &str = r#"{
        "crm": {"type": "api", "url": "http://a", "config": {"description": "Customers and their subscriptions"}},
        "shop": {"type": "api", "url": "http://b", "config": {"description": "Orders and sales of the shop"}},
        "hr": {"type": "api", "url": "http://c", "config": {"description": "Employees", "intents": ["churn_analytics"]}},
        "old": {"type": "api", "url": "http://d", "enabled": false}}"#;

    fn chosen(prompt: &str, name: Option<&str>, intent: Intent, more: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let given = [("DATASOURCES", SOURCES)].into_iter().chain(more.iter().copied());
        let settings = load(Environment::from_pairs(given)).unwrap().settings;
        let options = ChatOptions { datasource: name.map(str::to_owned), ..ChatOptions::default() };
        let (prompt, user) = (prompt.to_owned(), UserId::anonymous());
        match choose(&UserRequest { prompt, user, metadata: Map::new(), options }, intent, &settings) {
            Ok(Selection::Use(sources)) => Ok(sources.iter().map(|source| source.name.to_string()).collect()),
            Ok(Selection::Unavailable(why)) => Err(why),
            Err(error) => Err(error.issues()[0].path()),
        }
    }

    #[test]
    fn the_sources_that_fit_the_prompt_are_asked() {
        let asked = |prompt| chosen(prompt, None, Intent::DataQuery, &[]).unwrap();
        assert_eq!(asked("How many customers have a subscription?"), ["crm"]);
        assert_eq!(asked("Sales per customer"), ["crm", "shop"]);
        assert_eq!(asked("What is in there?"), ["crm", "shop", "hr"]);
        assert_eq!(chosen("Sales", None, Intent::ChurnAnalytics, &[]).unwrap(), ["hr"], "intents win");
        let two = chosen("What is in there?", None, Intent::DataQuery, &[("GROUNDING_TOP_K", "2")]);
        assert_eq!(two.unwrap().len(), 2);
        let off = chosen("Sales", None, Intent::DataQuery, &[("GROUNDING_ENABLED", "false")]);
        assert!(off.unwrap_err().contains("GROUNDING_ENABLED"));
    }

    #[test]
    fn a_named_target_is_taken_even_if_data_sources_are_not_consulted_by_themselves() {
        let choose = |name| chosen("", Some(name), Intent::DataQuery, &[("GROUNDING_ENABLED", "false")]);
        assert_eq!(choose("shop").unwrap().len(), 1);
        assert_eq!(choose("old").unwrap_err(), "DataSource 'old' is disabled");
        assert_eq!(choose("none").unwrap_err(), "body.metadata.datasource");
    }
}
