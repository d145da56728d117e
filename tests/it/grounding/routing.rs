//! The figures of routing over a company's 30 tables, two agents and four tools: by words alone, with a model that chooses well, with
//! one that takes no functions, and with a small real embedding model; and over prompts that routing was not written for, also of a
//! clinic. `--nocapture` prints the table.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::grounding::{collected, embedded};
use crate::common::routing::{EmbeddingServer, RoutingCase, cases, configured, database, evaluate, holdouts, scripted};
use crate::common::{Program, TestServer, Upstream};

/// What is wanted of one way of routing.
struct Wanted {
    /// Of the 14 plain questions.
    plain: usize,
    /// Small talk, translation, code: how many may reach anything.
    mistaken: usize,
    precision: f64,
    recall: f64,
}

/// Holds an evaluation to what is wanted, and prints it as a line of a table.
#[expect(clippy::print_stdout, reason = "the table is for who runs the test with --nocapture")]
fn check(way: &str, cases: &[RoutingCase], report: &Value, wanted: &Wanted) {
    let results = report["results"].as_array().unwrap();
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut languages = groups.clone();
    for (case, result) in cases.iter().zip(results) {
        assert_eq!((&result["prompt"], &result["error"]), (&json!(case.prompt), &json!(null)));
        let passes = result["passed"] == true;
        for (passed, all) in [groups.entry(&case.group).or_default(), languages.entry(&case.language).or_default()] {
            *all += 1;
            *passed += usize::from(passes);
        }
        if !passes {
            let (missed, unexpected, routing) = (&result["missed"], &result["unexpected"], &result["routing"]);
            println!("{way}: {} misses {missed} and reaches {unexpected}: {}", case.prompt, routing["reason"]);
        }
    }
    let of_group = |(group, (passed, all)): (&&str, &(usize, usize))| format!("{group} {passed}/{all}");
    let line = groups.iter().chain(&languages).map(of_group).collect::<Vec<_>>().join(", ");
    let (precision, recall) = (report["precision"].as_f64().unwrap(), report["recall"].as_f64().unwrap());
    println!("{way}: precision {precision:.3}, recall {recall:.3}; {line}");

    let reaches = |case: &RoutingCase, result: &Value| {
        let reached = result["reached"].as_array().unwrap();
        case.expect.iter().all(|target| reached.contains(&json!(target)))
    };
    let plain =
        cases.iter().zip(results).filter(|(case, result)| case.group == "plain" && reaches(case, result)).count();
    let (passed, all) = groups["none"];
    assert!(plain >= wanted.plain, "{way}: {plain} of 14 plain questions reach the database");
    assert!(all - passed <= wanted.mistaken, "{way}: {} of {all} that should reach nothing do", all - passed);
    assert!(precision >= wanted.precision && recall >= wanted.recall, "{way}: {precision} {recall}");
}

async fn server(source: &str, variables: Vec<(&'static str, String)>, more: &[(&'static str, &str)]) -> TestServer {
    let given = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<_> = given.chain(more.iter().copied()).collect();
    let server = TestServer::with(&all).await;
    collected(&server, source).await;
    server
}

#[tokio::test]
async fn prompts_reach_a_companys_tables_agents_and_tools() {
    let (database, cases) = (database("company").await, cases("company"));
    let elsewhere = Upstream::answering(json!({})).await;
    let variables = || configured("company", &database, &elsewhere);

    let by_words = server("erp", variables(), &[("INTENT_CLASSIFIER", "rules")]).await;
    let wanted = Wanted { plain: 10, mistaken: 2, precision: 0.9, recall: 0.8 };
    check("by words", &cases, &evaluate(&by_words, &cases).await, &wanted);

    for (way, takes_functions) in [("model with functions", true), ("model without functions", false)] {
        let llm = scripted(cases.clone(), takes_functions).await;
        let (url, model) = (llm.url(), ("LLM_DEFAULT_MODEL", "stub-model"));
        let more = [("LLM_BASE_URL", url.as_str()), model, ("LLM_PROVIDER", "openai")];
        let server = server("erp", variables(), &more).await;
        let wanted = Wanted { plain: 13, mistaken: 2, precision: 0.9, recall: 0.9 };
        check(way, &cases, &evaluate(&server, &cases).await, &wanted);
    }
}

#[tokio::test]
async fn a_small_embedding_model_adds_to_the_words() {
    let (database, cases) = (database("company").await, cases("company"));
    let elsewhere = Upstream::answering(json!({})).await;
    let model = EmbeddingServer::start().await;
    let more = [
        ("LLM_BASE_URL", model.url.as_str()),
        ("LLM_DEFAULT_MODEL", "all-MiniLM-L6-v2"),
        ("LLM_PROVIDER", "openai"),
        ("EMBEDDING_MODEL", "all-MiniLM-L6-v2"),
        ("INTENT_CLASSIFIER", "rules"),
    ];
    let server = server("erp", configured("company", &database, &elsewhere), &more).await;
    // The tables, and what the agents and tools are about.
    embedded(&server, 35).await;
    let wanted = Wanted { plain: 10, mistaken: 2, precision: 0.9, recall: 0.8 };
    check("words and embeddings", &cases, &evaluate(&server, &cases).await, &wanted);
}

#[tokio::test]
async fn prompts_that_routing_was_not_written_for_reach_what_they_need() {
    // Measured: precision 1.000 throughout. Recall by words 0.948 and 0.806 (company, the first and the second set), 0.868 and 0.615
    // (clinic); 0.701 and 0.474 on the first sets when nobody had mended anything by them. Recall with a model 0.979, 0.968, 1.000, 1.000.
    for (setup, source, recall) in [("company", "erp", [0.92, 0.77]), ("clinic", "clinic", [0.84, 0.53])] {
        let (database, sets) = (database(setup).await, holdouts(setup));
        let elsewhere = Upstream::answering(json!({})).await;
        let variables = || configured(setup, &database, &elsewhere);
        let all = sets.iter().flat_map(|(_, cases)| cases.clone()).collect();

        let by_words = server(source, variables(), &[("INTENT_CLASSIFIER", "rules")]).await;
        let llm = scripted(all, true).await;
        let (url, model) = (llm.url(), ("LLM_DEFAULT_MODEL", "stub-model"));
        let more = [("LLM_BASE_URL", url.as_str()), model, ("LLM_PROVIDER", "openai")];
        let with_model = server(source, variables(), &more).await;
        for ((set, cases), recall) in sets.iter().zip(recall) {
            let wanted = Wanted { plain: 0, mistaken: 1, precision: 0.95, recall };
            check(&format!("{set}, {setup}, by words"), cases, &evaluate(&by_words, cases).await, &wanted);
            let report = evaluate(&with_model, cases).await;
            check(&format!("{set}, {setup}, model with functions"), cases, &report, &Wanted { recall: 0.94, ..wanted });
        }
    }
}

#[tokio::test]
async fn prompts_reach_what_the_demo_has() {
    let folder = TempDir::new().unwrap();
    let demo = Program::start("demo", folder.path(), &[]).await;
    let cases = cases("demo");
    let bodies: Vec<_> = cases.iter().map(|case| json!({"prompt": case.prompt, "expect": case.expect})).collect();
    let report = demo.client.post("/api/chat/evaluate", &json!({"cases": bodies})).await.expect(200);
    check("demo", &cases, &report, &Wanted { plain: 0, mistaken: 0, precision: 0.9, recall: 0.9 });
}
