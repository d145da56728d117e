//! What it takes to find out what serves a prompt, by words alone: 200 resources, among them 100 data sources with 2,000 tables. A
//! request waits for this, so that it has to take less than 300 microseconds. The second figure is the index after a change of one
//! resource, which no request waits for unless it is the first after the change.

#![expect(clippy::indexing_slicing, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use orchestrator_studio::grounding::{Detail, Index, Item, ItemKind, ResourceKind, Vocabulary};

const SUBJECTS: [&str; 20] = [
    "customer",
    "invoice",
    "order",
    "payment",
    "product",
    "ticket",
    "salary",
    "employee",
    "supplier",
    "warehouse",
    "shipment",
    "discount",
    "refund",
    "contract",
    "project",
    "visit",
    "machine",
    "vehicle",
    "patient",
    "campaign",
];
const PROMPTS: [&str; 5] = [
    "How many invoices are overdue?",
    "Wie hoch ist das Durchschnittsgehalt im Vertrieb?",
    "How many orders did we ship yesterday, and what is the weather in Hamburg?",
    "Translate 'How many invoices are overdue?' into German",
    "What is the capital of Peru?",
];

fn table(source: usize, number: usize) -> Item {
    let subject = SUBJECTS[(source + number) % SUBJECTS.len()];
    let column = |name: &str| Detail { name: name.to_owned(), about: None, values: Vec::new() };
    let names = ["id", "customer_id", "status", "created_on", "due_on", "total_amount", "city", "description"];
    let mut details: Vec<_> = names.iter().map(|name| column(name)).collect();
    details[2].values = ["draft", "sent", "paid", "cancelled"].map(str::to_owned).to_vec();
    let name = format!("{subject}_{}s_{source}", SUBJECTS[(source * 7 + number * 3) % SUBJECTS.len()]);
    let about = Some(format!("The {subject}s of branch {source}, one row each"));
    Item { kind: ItemKind::Table, name, about, details }
}

fn resource(number: usize) -> Arc<Vocabulary> {
    let (kind, prefix, tables) = match number {
        0..100 => (ResourceKind::DataSource, "source", 20),
        100..150 => (ResourceKind::Agent, "agent", 0),
        _ => (ResourceKind::Tool, "tool", 0),
    };
    let description = Some(format!("Knows the {}s of region {number}", SUBJECTS[number % SUBJECTS.len()]));
    let items = (0..tables).map(|at| table(number, at)).collect();
    let (name, version) = (format!("{prefix}_{number}"), String::new());
    Arc::new(Vocabulary { kind, name, version, description, items, is_complete: true })
}

fn routing(criterion: &mut Criterion) {
    let vocabularies: Vec<_> = (0..200).map(resource).collect();
    let index = Index::build(vocabularies.clone());
    let mut group = criterion.benchmark_group("routing");
    for prompt in PROMPTS {
        group.bench_function(prompt, |bencher| bencher.iter(|| black_box(index.find(black_box(prompt)))));
    }
    group.bench_function("index after a change", |bencher| {
        bencher.iter(|| {
            let mut changed = vocabularies.clone();
            changed[7] = resource(7);
            black_box(index.rebuild(changed))
        })
    });
    group.finish();
}

criterion_group!(benches, routing);
criterion_main!(benches);
