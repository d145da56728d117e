use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use serde_json::{Value, json};

use crate::web::JsonReply;

/// What the sample search engine knows: words that lead to a page, its title, address (reserved for examples) and text.
const PAGES: [(&[&str], &str, &str, &str); 5] = [
    (
        &["rust", "programming", "language", "news"],
        "Rust in production: a field report",
        "https://news.example/rust-in-production",
        "Teams that moved services to Rust report fewer incidents at night.",
    ),
    (
        &["rust", "crab", "ferris", "news"],
        "Ferris the crab turns ten",
        "https://crabs.example/ferris",
        "The unofficial mascot of Rust celebrates with a new set of stickers.",
    ),
    (
        &["customer", "customers", "churn", "retention", "keep"],
        "Five ways to keep subscribers",
        "https://business.example/keep-subscribers",
        "Yearly plans and an early call halve the number of cancellations.",
    ),
    (
        &["lisbon", "portugal", "travel", "weather", "city"],
        "Lisbon in spring",
        "https://travel.example/lisbon",
        "Mild days, few visitors, and the jacarandas begin to bloom in May.",
    ),
    (
        &["news", "latest", "today", "search"],
        "The demo gazette",
        "https://gazette.example/today",
        "Nothing ever happens here: this page is part of a demo.",
    ),
];

/// Cities whose weather the sample service makes up.
const CITIES: [(&str, i64, &str); 4] =
    [("Lisbon", 24, "sunny"), ("Oslo", 9, "rainy"), ("Rome", 27, "hot"), ("Bern", 15, "cloudy")];

/// A search engine under `/web` that answers in SearXNG's format, and a weather service under `/weather`, which says at the root that it
/// is there: a test of the tool asks for what the tool calls its own.
pub(super) fn router() -> Router {
    let search = async |uri: Uri| {
        let mut pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let query = pairs.find(|(name, _)| name == "q").map(|(_, value)| value).unwrap_or_default();
        JsonReply::ok(found(&query))
    };
    let about = json!({"service": "weather", "source": "made up", "cities": CITIES.map(|(city, ..)| city)});
    Router::new()
        .route("/", get(async || JsonReply::ok(about)))
        .route("/web", get(search))
        .route("/web/search", get(search))
        .route("/weather/{*city}", get(async |uri: Uri| JsonReply::ok(weather(uri.path()))))
}

/// The cities whose weather is known.
pub(super) fn cities() -> impl Iterator<Item = &'static str> {
    CITIES.iter().map(|(city, ..)| *city)
}

/// The pages that share the most words with the query; all of them if none does.
fn found(query: &str) -> Value {
    let lower = query.to_lowercase();
    let asked: Vec<_> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let mut scored: Vec<_> =
        PAGES.iter().map(|page| (page.0.iter().filter(|word| asked.contains(word)).count(), page)).collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let best = scored.first().map_or(0, |(score, _)| *score);
    let fitting = scored.into_iter().filter(|(score, _)| best == 0 || *score > 0).take(3);
    let results: Vec<_> = fitting
        .map(|(score, (_, title, url, content))| {
            json!({"title": title, "url": url, "content": content, "engine": "demo", "score": score})
        })
        .collect();
    json!({"query": query, "number_of_results": results.len(), "results": results, "answers": [], "suggestions": []})
}

fn weather(path: &str) -> Value {
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    match CITIES.iter().find(|(city, ..)| city.to_lowercase() == name) {
        Some((city, degrees, sky)) => {
            json!({"city": city, "degrees_celsius": degrees, "sky": sky, "source": "made up"})
        }
        None => json!({"error": "no such city in this demo", "cities": CITIES.map(|(city, ..)| city)}),
    }
}
