//! The prompts of `tests/routing` by words alone, against vocabularies read from the same files.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::index::Index;
use super::prompt::Prompt;
use super::similarity::Asked;
use super::{Clarity, Detail, Item, ItemKind, ResourceKind, Vocabulary};

const SCHEMA: &str = include_str!("../../tests/routing/schema.sql");
const SETUPS: &str = include_str!("../../tests/routing/setups.json");
const CASES: &str = include_str!("../../tests/routing/cases.json");

fn vocabulary(kind: ResourceKind, name: &str, about: &str, items: Vec<Item>) -> Arc<Vocabulary> {
    let (description, is_complete) = (Some(about.to_owned()).filter(|about| !about.is_empty()), true);
    Arc::new(Vocabulary { kind, name: name.to_owned(), version: String::new(), description, items, is_complete })
}

fn table(name: &str, about: Option<String>, columns: &[&str]) -> Item {
    let details = columns.iter().map(|name| Detail { name: (*name).to_owned(), ..Detail::default() }).collect();
    Item { kind: ItemKind::Table, name: name.to_owned(), about, details }
}

/// The tables of the schema, with comments, enum labels and sample values.
fn tables() -> Vec<Item> {
    let mut tables: Vec<Item> = Vec::new();
    let mut enums: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let quoted = |text: &str| text.split('\'').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    for statement in SCHEMA.split(";\n") {
        let statement = statement.split_inclusive('\n').filter(|line| !line.starts_with("--")).collect::<String>();
        let statement = statement.trim();
        if let Some(rest) = statement.strip_prefix("CREATE TYPE ") {
            enums.insert(rest.split(' ').next().unwrap().to_owned(), quoted(rest));
        } else if let Some(rest) = statement.strip_prefix("CREATE TABLE ") {
            let (name, body) = rest.split_once(" (").unwrap();
            let mut item = table(name, None, &[]);
            for part in body.split(", ").filter(|part| part.trim().starts_with(|c: char| c.is_ascii_lowercase())) {
                let mut words = part.split_whitespace();
                let (Some(name), Some(kind)) = (words.next(), words.next()) else { continue };
                let values = enums.get(kind).cloned().unwrap_or_default();
                item.details.push(Detail { name: name.to_owned(), about: None, values });
            }
            tables.push(item);
        } else if let Some(rest) = statement.strip_prefix("COMMENT ON TABLE ") {
            let name = rest.split(' ').next().unwrap();
            tables.iter_mut().find(|table| table.name == name).unwrap().about = quoted(rest).pop();
        } else if let Some(rest) = statement.strip_prefix("COMMENT ON COLUMN ") {
            let (name, column) = rest.split(' ').next().unwrap().split_once('.').unwrap();
            let table = tables.iter_mut().find(|table| table.name == name).unwrap();
            table.details.iter_mut().find(|detail| detail.name == column).unwrap().about = quoted(rest).pop();
        } else if let Some(rest) = statement.strip_prefix("INSERT INTO ") {
            let name = rest.split(' ').next().unwrap();
            let table = tables.iter_mut().find(|table| table.name == name).unwrap();
            if let Some(first) = table.details.first_mut() {
                first.values.extend(quoted(rest).into_iter().filter(|value| !value.starts_with("20")).take(20));
            }
        }
    }
    tables
}

fn company() -> Index {
    let setups: Value = serde_json::from_str(SETUPS).unwrap();
    let company = &setups["company"];
    let mut all = vec![vocabulary(ResourceKind::DataSource, "erp", "", tables())];
    for (name, agent) in company["agents"].as_object().unwrap() {
        let about = agent["metadata"]["description"].as_str().unwrap();
        all.push(vocabulary(ResourceKind::Agent, name, about, vec![]));
    }
    for (name, tool) in company["tools"].as_object().unwrap() {
        let about = tool["description"].as_str().unwrap();
        let item =
            Item { kind: ItemKind::Function, name: name.clone(), about: Some(about.to_owned()), details: vec![] };
        all.push(vocabulary(ResourceKind::Tool, name, about, vec![item]));
    }
    Index::build(all)
}

fn demo() -> Index {
    let shop = vec![
        table("customers", None, &["id", "name", "city", "segment", "since"]),
        table("plans", None, &["name", "monthly_price"]),
        table("subscriptions", None, &["id", "customer_id", "plan", "started_on", "cancelled_on", "reason"]),
        table("sales", None, &["month", "city", "product", "amount"]),
    ];
    let about = "Customers, their subscriptions and plans, cancellations, and sales of products by month and city";
    let tool = |name, about| vocabulary(ResourceKind::Tool, name, about, vec![]);
    Index::build(vec![
        vocabulary(ResourceKind::DataSource, "shop", about, shop),
        vocabulary(ResourceKind::Agent, "retention", "Advises on keeping customers (a demo, scripted)", vec![]),
        tool("search", "Searches a small web that this demo makes up"),
        tool("weather", "The weather of a city, made up: GET /weather/Lisbon"),
        tool("code", "Runs a program"),
    ])
}

/// Two sources, an agent and a tool.
fn small() -> Index {
    let about = |name: &str, about: &str| vocabulary(ResourceKind::DataSource, name, about, vec![]);
    let question = |id: &str, text: &str, parameters: &[&str]| {
        let item = table(id, Some(text.to_owned()), parameters);
        Item { kind: ItemKind::Question, ..item }
    };
    let questions = vec![
        question("q1", "How many orders did the customer :name place in :year?", &["name", "year"]),
        question("q2", "Which orders are late this week?", &[]),
    ];
    Index::build(vec![
        about("crm", "Customers and their contracts"),
        vocabulary(ResourceKind::DataSource, "shop", "Orders of the shop", questions),
        vocabulary(ResourceKind::Agent, "legal_agent", "Checks contracts and answers questions of law", vec![]),
        vocabulary(ResourceKind::Tool, "weather", "The weather of a city", vec![]),
    ])
}

fn targets(index: &Index, prompt: &str) -> (Vec<String>, String) {
    let findings = index.find(prompt);
    let label = |kind| match kind {
        ResourceKind::DataSource => "datasource",
        ResourceKind::Agent => "agent",
        ResourceKind::Tool => "tool",
    };
    let mut clear: Vec<_> = findings.clear().map(|found| format!("{}:{}", label(found.kind), found.name)).collect();
    clear.sort();
    let told = findings.candidates.iter().map(|found| {
        let mark = if found.clarity == Clarity::Clear { "!" } else { "?" };
        format!("{mark}{} {:.2} {}", found.name, found.score, found.reason)
    });
    (clear, format!("{:?} {}", findings.need, told.collect::<Vec<_>>().join("; ")))
}

#[test]
fn plain_prompts_reach_what_serves_them_by_their_words_alone() {
    let (company, demo) = (company(), demo());
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let (mut found, mut expected, mut reached, mut wrong, mut plain) = (0, 0, 0, vec![], 0);
    let mut false_alarms = 0;
    for case in cases.as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        let (got, told) = targets(if case["setup"] == "demo" { &demo } else { &company }, prompt);
        let want: Vec<_> =
            case["expect"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        let hits = got.iter().filter(|name| want.contains(name)).count();
        (found, expected, reached) = (found + hits, expected + want.len(), reached + got.len());
        plain += usize::from(case["group"] == "plain" && hits == 1);
        false_alarms += usize::from(want.is_empty() && !got.is_empty());
        let mut sorted = want.clone();
        sorted.sort();
        if got != sorted {
            wrong.push(format!("{prompt}\n    want {want:?}, got {got:?}; {told}"));
        }
    }
    let (recall, precision) = (f64::from(found as u32) / expected as f64, f64::from(found as u32) / reached as f64);
    let wrong = wrong.join("\n");
    println!("recall {recall:.3}, precision {precision:.3}, plain {plain}/14, false alarms {false_alarms}\n{wrong}");
    assert!(plain >= 13 && false_alarms <= 1 && recall > 0.93 && precision > 0.95);
}

#[test]
fn a_name_in_the_prompt_calls_who_has_it_unless_it_is_ruled_out() {
    let index = small();
    let named = [
        "Ask the legal agent whether orders may be cancelled",
        "legal: list the open contracts of customers",
        "@legal how many orders are there?",
        "Could you have the legal agent look at our customers?",
        "Frag legal nach den Kunden",
        "Kannst du legal fragen, was zu tun ist?",
        "Consulta a legal sobre los clientes",
        "Demande à l'agent legal de vérifier les commandes",
    ];
    for prompt in named {
        assert_eq!(targets(&index, prompt).0, ["agent:legal_agent"], "{prompt}");
        assert!(index.find(prompt).clear().all(|found| found.is_named), "{prompt}");
    }
    assert_eq!(targets(&index, "Do not ask the legal agent").0, [""; 0]);
    assert_eq!(targets(&index, "How many orders are legal?").0, ["datasource:shop"]);
}

#[test]
fn what_a_prompt_rules_out_serves_no_part_of_it() {
    let source = |name: &str, about: &str| vocabulary(ResourceKind::DataSource, name, about, vec![]);
    let invoices = || {
        let question = table("q", Some("How many invoices are overdue?".to_owned()), &[]);
        let items = vec![table("invoices", None, &["overdue"]), Item { kind: ItemKind::Question, ..question }];
        vocabulary(ResourceKind::DataSource, "erp", "", items)
    };
    let hr = || source("hr", "Salaries of employees");
    let zain = || vocabulary(ResourceKind::Agent, "zain_agent", "Advises on overdue invoices", vec![]);
    let index = Index::build(vec![invoices(), hr(), zain()]);
    let table: [(&str, &[&str]); 29] = [
        ("Don't ask the hr source, tell me salaries of our employees", &["hr"]),
        ("Don’t ask @hr, tell me salaries of our employees", &["hr"]),
        ("dont ask hr, tell me salaries of our employees", &["hr"]),
        ("How many invoices are overdue? Do not query erp.", &["erp"]),
        ("Without erp, how many invoices are overdue?", &["erp"]),
        ("Without hr, what are the salaries of our employees?", &["hr"]),
        ("How many invoices are overdue, without using the erp source?", &["erp"]),
        ("Do not use erp: how many invoices are overdue?", &["erp"]),
        ("How many invoices are overdue? Don't look in erp.", &["erp"]),
        ("How many invoices are overdue? Never ask the erp database or zain!", &["erp", "zain_agent"]),
        ("How many invoices are overdue, but not erp", &["erp"]),
        ("Frag nicht die Quelle hr, nenne mir die Gehälter unserer Mitarbeiter", &["hr"]),
        ("Wie viele Rechnungen sind überfällig? Frag erp nicht.", &["erp"]),
        ("Wie viele Rechnungen sind überfällig? Bitte nicht erp abfragen.", &["erp"]),
        ("Ohne erp: Wie viele Rechnungen sind überfällig?", &["erp"]),
        ("Verwende erp nicht: wie viele Rechnungen sind überfällig?", &["erp"]),
        ("No preguntes a la fuente hr, dime los salarios de nuestros empleados", &["hr"]),
        ("¿Cuántas facturas están vencidas? No consultes erp.", &["erp"]),
        ("Sin erp, ¿cuántas facturas están vencidas?", &["erp"]),
        ("No uses erp: ¿cuántas facturas están vencidas?", &["erp"]),
        ("Ne demande pas à la source hr, donne-moi les salaires de nos employés", &["hr"]),
        ("Combien de factures sont en retard ? N'interroge pas erp.", &["erp"]),
        ("Sans erp, combien de factures sont en retard ?", &["erp"]),
        ("N'utilise pas erp : combien de factures sont en retard ?", &["erp"]),
        // None is ruled out.
        ("No, ask hr for the salaries of our employees", &[]),
        ("Don't worry. Ask hr for the salaries of our employees", &[]),
        ("Do not guess, ask hr", &[]),
        ("Which employees are without hr training?", &[]),
        ("How many invoices of erp are not overdue?", &[]),
    ];
    let mut wrong = Vec::new();
    for (prompt, denied) in table {
        let findings = index.find(prompt);
        let names: Vec<_> = findings.denied.iter().map(|(_, name)| name.as_str()).collect();
        if names != denied {
            wrong.push(format!("{prompt}: {names:?}"));
            continue;
        }
        let is_free = |name: &String| !denied.contains(&name.as_str());
        assert!(findings.candidates.iter().map(|found| &found.name).all(is_free), "{prompt}");
        assert!(findings.verified.iter().map(|found| &found.datasource).all(is_free), "{prompt}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Others serve all the same.
    let index = Index::build(vec![invoices(), source("ledger", "Invoices of last year"), hr(), zain()]);
    let asked = "Without erp, how many invoices are there?";
    assert_eq!(targets(&index, asked).0, ["datasource:ledger"]);
    let asked = "Don't ask hr. How many invoices are overdue? Ask zain too.";
    assert_eq!(targets(&index, asked).0, ["agent:zain_agent", "datasource:erp", "datasource:ledger"]);
}

#[test]
fn each_part_of_a_prompt_gets_what_serves_it() {
    let index = small();
    let table = [
        ("Orders per customer", vec!["datasource:crm", "datasource:shop"]),
        ("List the customers and the weather in Rome", vec!["datasource:crm", "tool:weather"]),
        ("How many orders are there? Ask legal whether they are valid.", vec!["agent:legal_agent", "datasource:shop"]),
        ("Translate to German: how many orders are there, and will it rain?", vec![]),
        ("Write a poem about customers and orders", vec![]),
        (
            "Show the contracts from crm and the orders from shop, ask the legal agent for advice, then tell me the weather",
            vec!["agent:legal_agent", "datasource:crm", "datasource:shop", "tool:weather"],
        ),
        (
            "Which orders are open, what does the legal agent advise, and what is the weather in Oslo?",
            vec!["agent:legal_agent", "datasource:shop", "tool:weather"],
        ),
        ("Thanks for the orders! How many customers do we have?", vec!["datasource:crm"]),
    ];
    for (prompt, expected) in table {
        assert_eq!(targets(&index, prompt).0, expected, "{prompt}");
    }
    let findings = index.find("Show the late orders and ask legal to write to each customer");
    let depends: Vec<_> = findings.clear().map(|found| (found.name.as_str(), found.builds_on_earlier)).collect();
    assert_eq!(depends, [("shop", false), ("legal_agent", true)]);
}

#[test]
fn a_verified_question_is_known_in_other_words() {
    let index = small();
    let found = |prompt: &str| index.find(prompt).verified.first().map(|found| found.id.clone());
    assert_eq!(found("Number of orders that customer Alpha placed in 2024").as_deref(), Some("q1"));
    assert_eq!(found("Wie viele Bestellungen hat der Kunde Beta 2023 aufgegeben?").as_deref(), None);
    assert_eq!(found("This week, which orders are late?").as_deref(), Some("q2"));
    assert_eq!(found("Which orders are late this month?"), None, "another time");
    assert_eq!(found("Which orders are not late this week?"), None, "the opposite");
}

/// Whether a prompt asks a verified question, whose parameters are given with their defaults.
fn asks(prompt: &str, question: &str, parameters: &[(&str, &str)]) -> bool {
    let detail = |(name, default): &(&str, &str)| {
        let values = Some((*default).to_owned()).filter(|value| !value.is_empty()).into_iter().collect();
        Detail { name: (*name).to_owned(), about: None, values }
    };
    let details = parameters.iter().map(detail).collect();
    let item = Item { kind: ItemKind::Question, name: "q".to_owned(), about: Some(question.to_owned()), details };
    let index = Index::build(vec![vocabulary(ResourceKind::DataSource, "erp", "", vec![item])]);
    !index.find(prompt).verified.is_empty()
}

#[test]
fn one_word_makes_another_question() {
    let overdue = "How many overdue invoices does each customer have?";
    let others = [
        ("How many paid invoices does each customer have?", overdue),
        ("How many overdue invoices does each supplier have?", overdue),
        ("How many overdue invoices do customers have?", overdue),
        ("How many invoices are overdue?", overdue),
        ("Wie viele bezahlte Rechnungen hat jeder Kunde?", overdue),
        ("Total revenue of unpaid invoices per month", "Total revenue of paid invoices per month"),
        ("Total revenue of paid invoices per year", "Total revenue of paid invoices per month"),
        ("Total cost of orders", "Total revenue of orders"),
        ("Revenue by year", "Revenue by month"),
        ("Invoices below 1000", "Invoices above 1000"),
        ("Invoices > 1000", "Invoices < 1000"),
        ("Invoices above 2000", "Invoices above 1000"),
        ("Customers in the wholesale segment", "Customers in the retail segment"),
        ("Top five customers", "Top ten customers"),
        ("Invoices without payments", "Payments without invoices"),
        ("Orders before March", "Orders after March"),
        ("Orders in January", "Orders in February"),
        ("Inactive customers", "Active customers"),
        ("Open tickets per priority", "Closed tickets per priority"),
        ("How many orders were shipped today?", "How many orders were delivered today?"),
        ("Wie viele Lieferantenrechnungen gibt es?", "How many invoices are there?"),
        ("First order of customers", "Last order of customers"),
        ("Average salary", "Median salary"),
    ];
    for (prompt, question) in others {
        assert!(!asks(prompt, question, &[]), "{prompt} is not {question}");
        assert!(!asks(question, prompt, &[]), "{question} is not {prompt}");
        assert!(!asks(prompt, question, &[("shelf", "7")]), "{prompt} is not {question}");
        assert!(asks(prompt, prompt, &[]) && asks(question, question, &[]), "{prompt}, {question}");
    }
    for same in [
        "Number of overdue bills for every client",
        "Wie viele überfällige Rechnungen hat jeder Kunde?",
        "Show me how many overdue invoices each of our customers has",
    ] {
        assert!(asks(same, overdue, &[]), "{same}");
    }
}

#[test]
fn a_prompt_is_compared_with_the_questions_that_have_its_words() {
    let subjects = ["invoices", "tickets", "machines", "vehicles", "parcels"];
    let items = subjects.iter().flat_map(|subject| {
        ["customer", "supplier"].map(|of| Item {
            kind: ItemKind::Question,
            name: format!("{subject} {of}"),
            about: Some(format!("How many {subject} does each {of} have?")),
            details: vec![],
        })
    });
    let index = Index::build(vec![vocabulary(ResourceKind::DataSource, "erp", "", items.collect())]);
    let compared = |prompt: &str| index.known_questions(&Asked::of(&Prompt::read(prompt))).len();
    assert_eq!(compared("How many tickets does each customer have?"), 2);
    assert_eq!(compared("How many parcels are there?"), 2);
    assert_eq!(compared("How many customers are there?"), 0);
}

#[test]
fn values_that_a_parameter_takes_may_differ() {
    let lisbon = "How many customers live in Lisbon?";
    let city: &[(&str, &str)] = &[("city", "Lisbon")];
    for prompt in ["How many of our customers live in Porto?", "How many customers live in \"new york\"?", lisbon] {
        assert!(asks(prompt, lisbon, city) && asks(prompt, lisbon, &[("city", "")]), "{prompt}");
        assert_eq!(asks(prompt, lisbon, &[]), prompt == lisbon, "{prompt}");
        assert!(prompt == lisbon || asks(prompt, "How many customers live in a city?", city), "{prompt}");
    }
    for prompt in [
        "How many customers live?",
        "How many suppliers live in Porto?",
        "How many premium customers live in Porto?",
        "How many premium customers live in Lisbon?",
        "How many customers of Alpha live in Porto?",
        "How many customers do not live in Porto?",
    ] {
        assert!(!asks(prompt, lisbon, city) && !asks(prompt, lisbon, &[("city", "")]), "{prompt}");
    }
    let retail: &[(&str, &str)] = &[("segment", "retail")];
    assert!(asks("Customers in the wholesale segment", "Customers in the retail segment", retail));
    let above: &[(&str, &str)] = &[("amount", "1000")];
    assert!(asks("Invoices above 2000", "Invoices above 1000", above));
    assert!(!asks("Invoices below 2000", "Invoices above 1000", above));
}

#[test]
fn of_many_that_are_alike_none_is_clear() {
    let alike = |number| vocabulary(ResourceKind::DataSource, &format!("crm{number}"), "Customers", vec![]);
    let clear =
        |count: usize| Index::build((0..count).map(alike).collect()).find("How many customers?").clear().count();
    assert_eq!([1, 3, 4].map(clear), [1, 3, 0]);
}

#[test]
fn what_a_source_holds_that_was_not_collected_is_possible_at_most() {
    let mut unknown = Vocabulary::clone(&vocabulary(ResourceKind::DataSource, "erp", "", vec![]));
    unknown.is_complete = false;
    let index = Index::build(vec![Arc::new(unknown)]);
    let found = |prompt: &str| index.find(prompt).candidates.first().map(|found| found.clarity);
    assert_eq!(found("How many widgets do we have?"), Some(Clarity::Possible));
    assert_eq!(found("Hello"), None);
}
