//! Search engines, each replayed by a stand-in in its documented format: what they are asked, what they find, how they refuse.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::common::upstream::{json_reply, reply};
use crate::common::{Act, Seen, TestServer, Upstream};

const KEY: &str = "canary-key-0815-x";
const KEYED: [&str; 5] = ["google", "bing", "brave", "tavily", "serper"];

/// A server with the tool `api::http`, which asks `endpoint` as this provider is asked.
async fn server_with(provider: &str, endpoint: &str) -> TestServer {
    let server = TestServer::bare().await;
    let config =
        json!({"provider": provider, "endpoint": endpoint, "api_key": KEY, "engine_id": "engine-1", "timeout": "20"});
    server.post("/api/tools", &json!({"name": "web", "type": "web_search", "config": config})).await.expect(201);
    server
}

async fn search(server: &TestServer, arguments: Value) -> Value {
    server.post("/api/tools/web/execute", &json!({"arguments": arguments})).await.expect(200)
}

/// The parameters of a GET.
fn asked(seen: &Seen) -> HashMap<String, String> {
    let url = url::Url::parse("http://x").unwrap().join(&seen.path).unwrap();
    url.query_pairs().into_owned().collect()
}

/// What an engine answers, as it documents it.
fn documented(provider: &str) -> Value {
    match provider {
        "google" => json!({
            "kind": "customsearch#search", "queries": {"request": [{"count": 1}]}, "searchInformation": {"totalResults": "1"},
            "items": [{"kind": "customsearch#result", "title": "Rust", "htmlTitle": "<b>Rust</b>", "link": "https://www.rust-lang.org/",
                "displayLink": "www.rust-lang.org", "snippet": "A language empowering everyone", "htmlSnippet": "A <b>language</b>"}]
        }),
        "bing" => json!({
            "_type": "SearchResponse", "queryContext": {"originalQuery": "rust"},
            "webPages": {"webSearchUrl": "https://www.bing.com/search?q=rust", "totalEstimatedMatches": 1, "value": [
                {"id": "https://api.bing.microsoft.com/api/v7/#WebPages.0", "name": "Rust", "url": "https://www.rust-lang.org/",
                    "displayUrl": "https://www.rust-lang.org", "snippet": "A language empowering everyone", "language": "en"}]}
        }),
        "brave" => json!({
            "type": "search", "query": {"original": "rust"}, "mixed": {"type": "mixed", "main": []},
            "web": {"type": "search", "results": [{"type": "search_result", "title": "Rust", "url": "https://www.rust-lang.org/",
                "description": "A <strong>language</strong> empowering everyone", "page_age": "2026-01-02T00:00:00", "language": "en"}]}
        }),
        "tavily" => json!({
            "query": "rust", "follow_up_questions": null, "answer": null, "images": [], "response_time": 0.9,
            "results": [{"url": "https://www.rust-lang.org/", "title": "Rust", "content": "A language empowering everyone",
                "score": 0.93, "raw_content": null}]
        }),
        "serper" => json!({
            "searchParameters": {"q": "rust", "type": "search"}, "credits": 1, "peopleAlsoAsk": [],
            "organic": [{"title": "Rust", "link": "https://www.rust-lang.org/", "snippet": "A language empowering everyone",
                "date": "2 days ago", "position": 1}]
        }),
        "searxng" => json!({
            "query": "rust", "number_of_results": 0, "answers": [], "corrections": [], "infoboxes": [], "suggestions": [],
            "unresponsive_engines": [["brave", "timeout"]],
            "results": [{"url": "https://www.rust-lang.org/", "title": "Rust", "content": "A language empowering everyone",
                "engine": "duckduckgo", "engines": ["duckduckgo"], "score": 1.0, "category": "general", "publishedDate": null}]
        }),
        _ => {
            json!({"results": [{"title": "Rust", "url": "https://www.rust-lang.org/", "snippet": "A language empowering everyone"}]})
        }
    }
}

/// What it answers if it found nothing.
fn nothing(provider: &str) -> Value {
    match provider {
        "google" => {
            json!({"kind": "customsearch#search", "queries": {"request": []}, "searchInformation": {"totalResults": "0"}})
        }
        "bing" => json!({"_type": "SearchResponse", "queryContext": {"originalQuery": "rust"}}),
        "brave" => json!({"type": "search", "query": {"original": "rust"}, "web": null}),
        "tavily" => json!({"query": "rust", "results": [], "response_time": 0.1}),
        "serper" => json!({"searchParameters": {"q": "rust"}, "organic": [], "credits": 1}),
        "searxng" => json!({"query": "rust", "results": [], "unresponsive_engines": []}),
        _ => json!({"results": []}),
    }
}

const ALL: [&str; 7] = ["generic", "google", "bing", "brave", "tavily", "serper", "searxng"];

#[tokio::test]
async fn every_engine_gives_the_same_kind_of_list() {
    for provider in ALL {
        let upstream = Upstream::answering(documented(provider)).await;
        let server = server_with(provider, &upstream.url()).await;
        let done = search(&server, json!({"query": "rust", "max_results": 5})).await;
        assert_eq!(done["status"], "success", "{provider} {done}");
        let mut expected =
            json!({"title": "Rust", "url": "https://www.rust-lang.org/", "snippet": "A language empowering everyone"});
        match provider {
            "brave" => expected["published"] = json!("2026-01-02T00:00:00"),
            "tavily" => expected["score"] = json!(0.93),
            "serper" => expected["published"] = json!("2 days ago"),
            "searxng" => expected["score"] = json!(1.0),
            _ => {}
        }
        let output = json!({"query": "rust", "provider": provider, "results": [expected], "count": 1});
        assert_eq!(done["output"], output, "{provider}");
        assert_eq!(upstream.seen().len(), 1, "{provider}");
        assert!(!done.to_string().contains(KEY), "{provider} {done}");
        assert!(done["metadata"]["endpoint"].as_str().unwrap().starts_with(&upstream.url()), "{done}");
    }
}

#[tokio::test]
async fn every_engine_is_asked_in_its_own_way() {
    let filters =
        json!({"language": "en", "country": "us", "site": "rust-lang.org", "safe": "strict", "time_range": "week"});
    let rows = [
        (
            "google",
            "GET",
            "/customsearch/v1",
            ("", ""),
            json!({"key": KEY, "cx": "engine-1", "q": "café & co site:rust-lang.org",
            "num": "5", "start": "1", "lr": "lang_en", "gl": "us", "dateRestrict": "w1", "safe": "active"}),
        ),
        (
            "bing",
            "GET",
            "/v7.0/search",
            ("ocp-apim-subscription-key", KEY),
            json!({"q": "café & co site:rust-lang.org", "count": "5",
            "responseFilter": "Webpages", "mkt": "en-US", "freshness": "Week", "safeSearch": "Strict"}),
        ),
        (
            "brave",
            "GET",
            "/res/v1/web/search",
            ("x-subscription-token", KEY),
            json!({"q": "café & co site:rust-lang.org",
            "count": "5", "result_filter": "web", "country": "US", "search_lang": "en", "freshness": "pw", "safesearch": "strict"}),
        ),
        (
            "tavily",
            "POST",
            "/search",
            ("authorization", "Bearer canary-key-0815-x"),
            json!({"query": "café & co", "max_results": 5,
            "time_range": "week", "include_domains": ["rust-lang.org"]}),
        ),
        (
            "serper",
            "POST",
            "/search",
            ("x-api-key", KEY),
            json!({"q": "café & co site:rust-lang.org", "num": 5, "gl": "us", "hl": "en",
            "tbs": "qdr:w"}),
        ),
        (
            "searxng",
            "GET",
            "/search",
            ("authorization", "Bearer canary-key-0815-x"),
            json!({"q": "café & co site:rust-lang.org",
            "format": "json", "language": "en", "time_range": "week", "safesearch": "2"}),
        ),
        (
            "generic",
            "GET",
            "/",
            ("authorization", "Bearer canary-key-0815-x"),
            json!({"q": "café & co", "limit": "5", "max_results": "5",
            "language": "en", "country": "us", "site": "rust-lang.org", "safe": "strict", "time_range": "week"}),
        ),
    ];
    for (provider, method, path, (header, value), parameters) in rows {
        let upstream = Upstream::answering(documented(provider)).await;
        let server = server_with(provider, &upstream.url()).await;
        let schemas = server.get("/api/tools/registry/schemas").await.expect(200);
        let known = &schemas["schemas"][0]["parameters"]["properties"]["filters"]["properties"];
        let mut given = filters.clone();
        given.as_object_mut().unwrap().retain(|name, _| known.get(name).is_some());
        let done = search(&server, json!({"query": "café & co", "max_results": 5, "filters": given})).await;
        assert_eq!(done["status"], "success", "{provider} {done}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.split('?').next().unwrap()), (method, path), "{provider}");
        if !header.is_empty() {
            assert_eq!(seen.headers[header], value, "{provider}");
        }
        let sent = if method == "GET" { json!(asked(&seen)) } else { seen.body.clone() };
        assert_eq!(sent, parameters, "{provider}");
        assert_eq!(seen.path.contains(KEY), provider == "google", "{provider} {}", seen.path);
        // A filter that the engine does not have is refused instead of being ignored.
        for name in filters.as_object().unwrap().keys().filter(|name| known.get(*name).is_none()) {
            let body = json!({"arguments": {"query": "a", "filters": {name: filters[name]}}});
            server.post("/api/tools/web/execute", &body).await.expect(422);
        }
    }
}

#[tokio::test]
async fn bing_takes_a_language_or_a_country_alone() {
    let upstream = Upstream::answering(documented("bing")).await;
    let server = server_with("bing", &format!("{}/proxy/v7.0/search", upstream.url())).await;
    search(&server, json!({"query": "a", "filters": {"country": "de"}})).await;
    search(&server, json!({"query": "a", "filters": {"language": "pt-br"}})).await;
    let seen = upstream.seen();
    assert_eq!((asked(&seen[0])["cc"].as_str(), seen[0].headers["accept-language"].as_str()), ("DE", "en"));
    assert_eq!(asked(&seen[1])["setLang"], "pt-br");
    assert!(
        seen[1].path.starts_with("/proxy/v7.0/search?"),
        "an endpoint with a path is taken as it stands: {}",
        seen[1].path
    );
}

/// A service of one's own as people have it configured from the original, where the provider was but a name.
#[tokio::test]
async fn a_service_of_ones_own_is_asked_as_the_original_asked_it_whatever_it_is_called() {
    for provider in ["google", "Google", "duckduckgo", "serpapi", "custom"] {
        // Answers to what the original sent, and to nothing else.
        let upstream = Upstream::start(|seen, _| {
            let asked = asked(seen);
            let is_known = seen.method == "GET" && seen.path.starts_with("/api/search?");
            let is_allowed = seen.headers.get("authorization").is_some_and(|sent| *sent == format!("Bearer {KEY}"));
            match (is_known && is_allowed, asked.get("q"), asked.get("limit")) {
                (true, Some(query), Some(limit)) if query == "rust 2026" && limit == "3" => json_reply(
                    "200 OK",
                    &json!({"results": [], "items": [{"name": "Rust", "url": "", "link": "https://www.rust-lang.org/",
                        "description": "A language", "source": "web"}]}),
                ),
                _ => json_reply("400 Bad Request", &json!({"error": "not what the original sent"})),
            }
        })
        .await;
        let server = TestServer::bare().await;
        let config = json!({"provider": provider, "endpoint": format!("{}/api/search", upstream.url()), "api_key": KEY,
            "engine_id": "", "timeout": "30", "max_results": "3"});
        server.post("/api/tools", &json!({"name": "web", "type": "web_search", "config": config})).await.expect(201);
        let tested = server.post("/api/tools/web/test", &json!({"config": config})).await.expect(200);
        assert_eq!(tested["success"], true, "{provider} {tested}");
        let done = search(&server, json!({"query": "rust 2026"})).await;
        let hit = json!({"title": "Rust", "url": "https://www.rust-lang.org/", "snippet": "A language"});
        assert_eq!(
            (&done["status"], &done["output"]["results"]),
            (&json!("success"), &json!([hit])),
            "{provider} {done}"
        );
        assert_eq!(upstream.seen().len(), 1, "{provider}: a test costs no search");
    }
}

#[tokio::test]
async fn finding_nothing_is_no_failure() {
    for provider in ALL {
        let upstream = Upstream::answering(nothing(provider)).await;
        let server = server_with(provider, &upstream.url()).await;
        let done = search(&server, json!({"query": "rust"})).await;
        assert_eq!((&done["status"], &done["output"]["count"]), (&json!("success"), &json!(0)), "{provider} {done}");
        assert_eq!(done["output"]["results"], json!([]), "{provider}");
    }
}

/// How engines refuse: provider, status line, body, and what the caller is told.
fn refusals() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let google = |code: u16, reason: &str, message: &str| json!({"error": {"code": code, "message": message, "errors": [{"message": message, "domain": "usageLimits", "reason": reason}]}});
    let brave = |status: u16, code: &str, detail: &str| json!({"type": "ErrorResponse", "error": {"id": "x", "status": status, "code": code, "detail": detail, "meta": {}}, "time": 1});
    let bing =
        |code: &str, message: &str| json!({"_type": "ErrorResponse", "errors": [{"code": code, "message": message}]});
    let tavily = |error: &str| json!({"detail": {"error": error}});
    let serper = |message: &str, status: u16| json!({"message": message, "statusCode": status});
    let (quota, key) = ("its quota is used up", "refused the key; config.api_key");
    vec![
        (
            "google",
            "429 Too Many Requests",
            google(429, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries'"),
            quota,
        ),
        ("google", "403 Forbidden", google(403, "dailyLimitExceeded", "Daily Limit Exceeded"), quota),
        (
            "google",
            "400 Bad Request",
            google(400, "badRequest", "API key not valid. Please pass a valid API key."),
            key,
        ),
        ("google", "403 Forbidden", google(403, "forbidden", "Requests to this API are blocked."), key),
        (
            "google",
            "400 Bad Request",
            google(400, "badRequest", "Request contains an invalid argument."),
            "invalid argument",
        ),
        (
            "bing",
            "401 Unauthorized",
            bing("InvalidAuthorization", "The subscription key is missing or is not valid."),
            key,
        ),
        ("bing", "403 Forbidden", json!({"error": {"code": "403", "message": "Out of call volume quota."}}), quota),
        ("bing", "429 Too Many Requests", bing("RateLimitExceeded", "Too many"), quota),
        (
            "bing",
            "400 Bad Request",
            bing("InvalidRequest", "Required parameter is missing."),
            "Required parameter is missing.",
        ),
        (
            "brave",
            "422 Unprocessable Entity",
            brave(422, "SUBSCRIPTION_TOKEN_INVALID", "The provided subscription token is invalid."),
            key,
        ),
        (
            "brave",
            "422 Unprocessable Entity",
            brave(422, "VALIDATION", "Unable to validate request parameter(s)"),
            "Unable to validate",
        ),
        ("brave", "429 Too Many Requests", brave(429, "RATE_LIMITED", "Request rate limit exceeded for plan"), quota),
        ("tavily", "401 Unauthorized", tavily("Unauthorized: missing or invalid API key."), key),
        ("tavily", "429 Too Many Requests", tavily("Your request has been blocked due to excessive requests."), quota),
        ("tavily", "432 Plan Limit", tavily("This request exceeds your plan's set usage limit."), quota),
        ("tavily", "433 Pay As You Go Limit", tavily("This request exceeds the pay-as-you-go limit."), quota),
        ("serper", "403 Forbidden", serper("Unauthorized.", 403), key),
        ("serper", "400 Bad Request", serper("Not enough credits", 400), quota),
        ("serper", "429 Too Many Requests", serper("Too many requests", 429), quota),
        (
            "searxng",
            "403 Forbidden",
            json!("<!doctype html><title>403 Forbidden</title>"),
            "settings.yml should list json",
        ),
        ("searxng", "429 Too Many Requests", json!({}), quota),
        ("generic", "401 Unauthorized", json!({"error": "who are you?"}), "It says: who are you?"),
        ("generic", "402 Payment Required", json!({}), quota),
        ("generic", "404 Not Found", json!({}), "config.endpoint"),
    ]
}

#[tokio::test]
async fn refusals_are_told_apart_and_say_what_to_do() {
    for (provider, status, body, phrase) in refusals() {
        let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let upstream = Upstream::start(move |_, _| reply(status, "application/json", &text)).await;
        let server = server_with(provider, &upstream.url()).await;
        let done = search(&server, json!({"query": "rust"})).await;
        let error = done["error"].as_str().unwrap_or_default();
        assert_eq!((&done["status"], &done["output"]), (&json!("failure"), &Value::Null), "{provider} {status} {done}");
        assert!(error.contains(phrase), "{provider} {status}: {error}");
        assert_eq!(done["metadata"]["status_code"].to_string(), status[..3], "{done}");
        assert_eq!(upstream.seen().len(), 1, "{provider}: asked again");
    }
}

#[tokio::test]
async fn every_engine_that_fails_or_is_something_else_is_named() {
    let rows: [(&str, &str, &str, &str); 6] = [
        (
            "503 Service Unavailable",
            "text/plain",
            "down",
            "is failing (503 Service Unavailable); try again later. It says: down",
        ),
        ("200 OK", "text/html", "<!DOCTYPE html><p>Hello", "a web page instead of JSON"),
        ("200 OK", "application/json", "{oops", "no JSON"),
        ("200 OK", "application/json", "{\"hello\": \"world\"}", "answered with JSON that"),
        ("302 Found", "text/plain", "", "a redirect, which is not followed"),
        (
            "500 Internal Server Error",
            "application/json",
            "{\"error\": {\"stack\": [1]}}",
            "is failing (500 Internal Server Error)",
        ),
    ];
    for provider in ALL {
        for (status, kind, body, phrase) in rows {
            let upstream = Upstream::start(move |_, _| reply(status, kind, body)).await;
            let server = server_with(provider, &upstream.url()).await;
            let done = search(&server, json!({"query": "rust"})).await;
            let error = done["error"].as_str().unwrap_or_default();
            assert_eq!(done["status"], "failure", "{provider} {status} {done}");
            assert!(error.contains(phrase) && error.contains(&upstream.url()), "{provider} {status}: {error}");
        }
        let server = server_with(provider, "http://127.0.0.1:1").await;
        let done = search(&server, json!({"query": "rust"})).await;
        assert_eq!(done["status"], "error", "{provider} {done}");
        assert!(done["error"].as_str().unwrap().ends_with("refused the connection"), "{provider} {done}");
        assert!(!done.to_string().contains(KEY), "{done}");
    }
}

#[tokio::test]
async fn the_key_is_told_to_nobody_even_if_the_engine_quotes_it() {
    for provider in ALL {
        let parrot = Upstream::start(|seen, nth| {
            let all = format!("{} {:?} {}", seen.path, seen.headers, seen.text);
            match nth {
                0 => reply("400 Bad Request", "text/plain", &all),
                1 => json_reply("401 Unauthorized", &json!({"error": {"message": all}})),
                _ => json_reply(
                    "200 OK",
                    &json!({"type": "x", "_type": "x", "query": all, "queries": {}, "searchParameters": {},
                    "results": [{"title": all, "url": format!("http://a/?key={KEY}"), "content": all}]}),
                ),
            }
        })
        .await;
        let server = server_with(provider, &parrot.url()).await;
        for _ in 0..3 {
            let done = search(&server, json!({"query": "rust"})).await;
            assert!(!done.to_string().contains(KEY), "{provider} {done}");
        }
        assert_eq!(parrot.seen().len(), 3);
        let shown = server.get("/api/tools/web").await;
        assert!(!shown.text.contains(KEY), "{}", shown.text);
    }
}

fn numbered(from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|n| json!({"title": format!("n{n}"), "link": format!("https://a/{n}"), "url": format!("https://a/{n}")}))
        .collect()
}

#[tokio::test]
async fn engines_with_small_pages_are_asked_for_more() {
    let upstream = Upstream::start(|seen, _| {
        let start: usize = asked(seen)["start"].parse().unwrap();
        json_reply("200 OK", &json!({"queries": {}, "items": numbered(start, 10)}))
    })
    .await;
    let server = server_with("google", &upstream.url()).await;
    let done = search(&server, json!({"query": "rust", "max_results": 25})).await;
    assert_eq!((&done["output"]["count"], upstream.seen().len()), (&json!(25), 3), "{done}");
    assert_eq!(done["output"]["results"][24]["url"], "https://a/25");
    search(&server, json!({"query": "rust", "max_results": 3})).await;
    assert_eq!((upstream.seen().len(), asked(&upstream.seen()[3])["num"].as_str()), (4, "3"));

    // Brave counts pages; the third has fewer than it was asked for, and a page that was there already is no new one.
    let upstream = Upstream::start(|seen, _| {
        let page: usize = asked(seen).get("offset").map_or(0, |offset| offset.parse().unwrap());
        let (from, count) = [(0, 20), (10, 20), (30, 5)][page];
        json_reply("200 OK", &json!({"type": "search", "web": {"results": numbered(from, count)}}))
    })
    .await;
    let server = server_with("brave", &upstream.url()).await;
    let done = search(&server, json!({"query": "rust", "max_results": 50})).await;
    assert_eq!((&done["output"]["count"], upstream.seen().len()), (&json!(35), 3), "{done}");
}

#[tokio::test]
async fn what_was_found_before_an_engine_failed_is_kept() {
    let upstream = Upstream::start(|_, nth| match nth {
        0 => json_reply("200 OK", &json!({"queries": {}, "items": numbered(1, 10)})),
        _ => json_reply("429 Too Many Requests", &json!({"error": {"message": "Quota exceeded"}})),
    })
    .await;
    let server = server_with("google", &upstream.url()).await;
    let done = search(&server, json!({"query": "rust", "max_results": 20})).await;
    assert_eq!((&done["status"], &done["output"]["count"]), (&json!("success"), &json!(10)), "{done}");
    assert!(done["metadata"]["incomplete"].as_str().unwrap().contains("Quota exceeded"), "{done}");
}

#[tokio::test]
async fn results_are_plain_text_of_pages_and_no_more_than_were_asked_for() {
    let long = "x".repeat(10_000);
    let results = json!([
        {"title": "<b>A</b> &amp; B", "url": "https://a/1", "snippet": "one<br>two &#39;3&#39;"},
        {"title": "script", "url": "javascript:alert(1)", "snippet": ""},
        {"title": "file", "url": "file:///etc/passwd", "snippet": ""},
        {"title": "none", "snippet": "no URL"},
        "no object",
        {"name": "B", "link": "https://a/2", "text": long},
        {"title": "again", "url": "https://a/1"},
        {"url": "https://a/3"},
        {"title": "too many", "url": "https://a/4"},
    ]);
    for reply in
        [results.clone(), json!({"items": results}), json!({"data": results}), json!({"web": {"results": results}})]
    {
        let upstream = Upstream::answering(reply).await;
        let server = server_with("generic", &upstream.url()).await;
        let done = search(&server, json!({"query": "rust", "max_results": 3})).await;
        let found = &done["output"]["results"];
        assert_eq!(found[0], json!({"title": "A & B", "url": "https://a/1", "snippet": "one two '3'"}), "{done}");
        assert_eq!((&found[1]["title"], found[1]["snippet"].as_str().unwrap().chars().count()), (&json!("B"), 2001));
        assert_eq!((&found[2]["url"], &found[2]["title"]), (&json!("https://a/3"), &json!("a")));
        assert_eq!(done["output"]["count"], 3);
    }
}

#[tokio::test]
async fn a_search_engine_that_heard_nothing_from_its_own_sources_is_no_empty_result() {
    let silent = json!({"query": "rust", "results": [], "unresponsive_engines": [["google", "Suspended: CAPTCHA"], ["brave", "timeout"]]});
    let upstream = Upstream::answering(silent).await;
    let server = server_with("searxng", &upstream.url()).await;
    let done = search(&server, json!({"query": "rust"})).await;
    assert_eq!(done["status"], "failure", "{done}");
    assert!(done["error"].as_str().unwrap().ends_with("google (Suspended: CAPTCHA), brave (timeout)"), "{done}");
}

#[tokio::test]
async fn a_search_keeps_to_its_time() {
    let upstream = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = TestServer::bare().await;
    let config = json!({"provider": "searxng", "endpoint": format!("{}/searx/", upstream.url()), "timeout": "0.5"});
    server.post("/api/tools", &json!({"name": "web", "type": "web_search", "config": config})).await.expect(201);
    let done = search(&server, json!({"query": "rust"})).await;
    assert_eq!(done["status"], "timeout", "{done}");
    assert!(upstream.seen()[0].path.starts_with("/searx/search?"), "{}", upstream.seen()[0].path);
}

#[tokio::test]
async fn a_test_says_what_is_missing_and_asks_only_what_is_free() {
    let server = TestServer::bare().await;
    let body = |config: Value| json!({"name": "web", "type": "web_search", "config": config});
    server.post("/api/tools", &body(json!({}))).await.expect(201);
    let mut rows = vec![("generic", json!({}), "config.endpoint"), ("searxng", json!({}), "config.endpoint")];
    rows.extend(KEYED.map(|provider| {
        (provider, json!({"api_key": "", "cx": "e", "endpoint": "http://127.0.0.1:1"}), "config.api_key")
    }));
    rows.push(("google", json!({"api_key": KEY, "endpoint": "https://www.googleapis.com"}), "config.engine_id"));
    rows.push(("google", json!({"api_key": KEY}), "config.engine_id"));
    for (provider, mut config, missing) in rows {
        config["provider"] = json!(provider);
        server.put("/api/tools/web", &body(config)).await.expect(200);
        let tested = server.post("/api/tools/web/test", &json!({})).await.expect(200);
        assert_eq!((&tested["success"], &tested["connectivity_tested"]), (&json!(false), &json!(false)), "{tested}");
        let done = search(&server, json!({"query": "rust"})).await;
        assert_eq!(done["status"], "error", "{done}");
        for text in [&tested["message"], &done["error"]] {
            assert!(text.as_str().unwrap().contains(&format!("'{provider}' needs {missing}")), "{text}");
        }
    }
    for provider in KEYED {
        let config = json!({"provider": provider, "api_key": KEY, "cx": "engine-1"});
        server.put("/api/tools/web", &body(config)).await.expect(200);
        let tested = server.post("/api/tools/web/test", &json!({})).await.expect(200);
        let message = "Tool configuration is valid. Connectivity testing not available for 'web_search' tools.";
        assert_eq!((&tested["success"], &tested["message"]), (&json!(true), &json!(message)), "{provider} {tested}");
    }
    let upstream = Upstream::start(|_, nth| match nth {
        0 => json_reply("200 OK", &documented("searxng")),
        _ => reply("403 Forbidden", "text/html", "<h1>Forbidden</h1>"),
    })
    .await;
    server.put("/api/tools/web", &body(json!({"provider": "SearXNG", "endpoint": upstream.url()}))).await.expect(200);
    let tested = server.post("/api/tools/web/test", &json!({})).await.expect(200);
    assert_eq!((&tested["success"], &tested["connectivity_status"]), (&json!(true), &json!("reachable")), "{tested}");
    assert_eq!(upstream.seen()[0].headers.get("authorization"), None);
    let tested = server.post("/api/tools/web/test", &json!({})).await.expect(200);
    assert_eq!((&tested["success"], &tested["status_code"]), (&json!(false), &json!(403)), "{tested}");
    assert!(tested["message"].as_str().unwrap().contains("settings.yml"), "{tested}");
    server
        .put("/api/tools/web", &body(json!({"provider": "searxng", "endpoint": "http://127.0.0.1:1"})))
        .await
        .expect(200);
    let tested = server.post("/api/tools/web/test", &json!({})).await.expect(200);
    assert_eq!(
        (&tested["success"], &tested["connectivity_status"]),
        (&json!(false), &json!("unreachable")),
        "{tested}"
    );
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_and_the_key_named() {
    let server = server_with("generic", "http://127.0.0.1:1").await;
    let rows = [
        ("provider", json!("altavista")),
        ("provider", json!(5)),
        ("max_results", json!("zero")),
        ("max_results", json!(0)),
        ("max_results", json!("51")),
        ("endpoint", json!("search.example.com")),
        ("base_url", json!(17)),
        ("port", json!("99999")),
        ("timeout", json!("abc")),
        ("timeout", json!("-1")),
        ("api_key", json!("two\nlines")),
        ("engine_id", json!(5)),
    ];
    for (key, value) in rows {
        for name in ["new", "web"] {
            let body = json!({"name": name, "type": "web_search", "config": {key: value}});
            let refused = match name {
                "new" => server.post("/api/tools", &body).await,
                _ => server.put("/api/tools/web", &body).await,
            };
            let loc = refused.expect(422)["errors"][0]["loc"].clone();
            assert_eq!(loc, json!(["body", "config", key]), "{name} {value} {}", refused.text);
        }
    }
    let gui = json!({"endpoint": "http://127.0.0.1:1", "port": "", "api_key": "", "timeout": "30", "base_url": "", "headers": {},
        "provider": "", "max_results": "7"});
    server.put("/api/tools/web", &json!({"name": "web", "type": "web_search", "config": gui})).await.expect(200);
    let schemas = server.get("/api/tools/registry/schemas?format=openai").await.expect(200);
    assert_eq!(schemas["schemas"][0]["function"]["parameters"]["properties"]["max_results"]["default"], 7);
}
