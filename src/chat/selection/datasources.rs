use super::{Selection, is_default, named, preferred, serves, targets};
use crate::chat::intent::Intent;
use crate::chat::request::ChatOptions;
use crate::datasources::Source;
use crate::grounding::{Candidate, Clarity, Findings, ResourceKind};
use crate::kernel::Error;
use crate::settings::Settings;

/// The data sources for a request: the one that it names; else, if data sources may be consulted at all, those whose
/// `config.intents` has the intent, or those that the prompt is about. Never more than `GROUNDING_TOP_K`.
pub(in crate::chat) fn choose(
    options: &ChatOptions,
    intent: Intent,
    settings: &Settings,
    findings: &Findings,
) -> Result<Selection<Vec<Source>>, Error> {
    let (catalog, orchestration) = (&settings.datasources, &settings.orchestration);
    if let Some(name) = &options.datasource {
        return Ok(named(catalog, name, "datasource")?.map(|source| vec![source]));
    }
    let unavailable = |why: &str| Ok(Selection::Unavailable(why.to_owned()));
    if !orchestration.grounding_enabled {
        return unavailable("data sources are not consulted (GROUNDING_ENABLED=false)");
    }
    if catalog.enabled().next().is_none() {
        return unavailable("no data source is configured and enabled");
    }
    let allowed = catalog.enabled().filter(|it| !findings.is_denied(ResourceKind::DataSource, it.name.as_str()));
    let candidates = preferred(allowed.cloned().collect(), |source| serves(&source.effective.config, intent));
    if candidates.is_empty() {
        return unavailable("the prompt rules out every data source");
    }
    let mut chosen = most_relevant(candidates, settings, findings);
    chosen.truncate(orchestration.grounding_top_k);
    Ok(Selection::Use(chosen))
}

/// Those that the prompt is clearly about; else those that fit it about as well as the best; if none fits at all, those of
/// `config.default`, or all.
fn most_relevant(sources: Vec<Source>, settings: &Settings, findings: &Findings) -> Vec<Source> {
    let is_candidate = |found: &Candidate| sources.iter().any(|source| source.name.as_str() == found.name);
    let of_sources = |found: &&Candidate| found.kind == ResourceKind::DataSource && is_candidate(found);
    let found: Vec<_> = findings.candidates.iter().filter(of_sources).collect();
    let best = found.iter().map(|found| found.score).fold(0.0, f64::max);
    let has_clear = found.iter().any(|found| found.clarity == Clarity::Clear);
    let fits = |found: &&&Candidate| match has_clear {
        true => found.clarity == Clarity::Clear,
        false => found.score >= settings.orchestration.grounding_threshold * best,
    };
    let fitting: Vec<_> = found.iter().filter(fits).filter_map(|found| targets::source(found, settings)).collect();
    if fitting.is_empty() { preferred(sources, |source| is_default(&source.effective.config)) } else { fitting }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::grounding::{Index, Vocabulary};
    use crate::settings::Resource;
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
        let vocabulary = |source: &Source| {
            let (kind, name, items) = (ResourceKind::DataSource, source.name.to_string(), Vec::new());
            let (version, description) = (source.version.clone(), source.effective.description().map(str::to_owned));
            Arc::new(Vocabulary { kind, name, version, description, items, is_complete: true })
        };
        let findings = Index::build(settings.datasources.enabled().map(vocabulary).collect()).find(prompt);
        match choose(&options, intent, &settings, &findings) {
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
