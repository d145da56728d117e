//! The fence around the rooms: who may import whom, which room may name a heavy crate, how long a file may be.
//! ARCHITECTURE.md explains the rules; this test reads the source and holds them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

const GROUND: &[&str] = &["kernel", "settings"];
const MODULE: &[&str] = &["kernel", "settings", "web", "outbound", "storage", "telemetry"];
const CHAT: &[&str] = &[
    "kernel",
    "settings",
    "telemetry",
    "auth",
    "outbound",
    "storage",
    "web",
    "llm",
    "agents",
    "datasources",
    "tools",
    "memory",
    "executions",
];

/// Room -> the rooms it may import. `app` may import all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("settings", &["kernel"]),
    ("telemetry", GROUND),
    ("auth", GROUND),
    ("outbound", GROUND),
    ("storage", GROUND),
    ("web", &["kernel", "settings", "auth", "telemetry", "storage"]),
    ("llm", MODULE),
    ("agents", MODULE),
    ("datasources", MODULE),
    ("tools", MODULE),
    ("memory", MODULE),
    ("executions", MODULE),
    ("chat", CHAT),
    ("monitoring", CHAT),
];

/// Crate -> the rooms that may name it; `routes` stands for a module's `routes.rs` or `routes/`.
const HEAVY: &[(&str, &[&str])] = &[
    ("reqwest", &["outbound"]),
    ("rustls", &["outbound"]),
    ("sqlx", &["storage", "datasources"]),
    ("sqlparser", &["datasources"]),
    ("rmcp", &["tools"]),
    ("sse_stream", &["tools"]),
    ("redis", &["storage"]),
    ("sysinfo", &["monitoring"]),
    ("prometheus_client", &["telemetry"]),
    ("axum", &["web", "app", "routes"]),
    ("hyper", &["app"]),
    ("hyper_util", &["app"]),
    ("utoipa", &["web", "app", "routes"]),
    ("utoipa_axum", &["web", "app", "routes"]),
    ("utoipa_swagger_ui", &["web"]),
    ("tower_http", &["web"]),
    ("rustix", &["tools", "monitoring", "datasources", "app"]),
    ("libc", &["tools"]),
    ("command_fds", &["tools"]),
    ("close_fds", &["tools"]),
    ("clap", &["main"]),
    ("dotenvy", &["settings"]),
    ("tracing_subscriber", &["telemetry"]),
];

const LONGEST_FILE: usize = 500;
const LONGEST_HANDLER: usize = 40;

struct Source {
    path: PathBuf,
    room: String,
    is_routes: bool,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let parts: Vec<_> =
                    path.strip_prefix(&root).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
                let room = parts[0].trim_end_matches(".rs").to_owned();
                let is_routes = parts.iter().any(|part| matches!(*part, "routes" | "routes.rs"));
                found.push(Source { room, is_routes, text: fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    assert!(found.len() > 20, "the source was not found");
    found
}

/// Every `head::next` in the code, macros included, comments and strings not; `head::{a, b}` gives both.
fn paths(text: &str) -> Vec<(String, String)> {
    fn walk(tokens: TokenStream, found: &mut Vec<(String, String)>) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                walk(group.stream(), found);
            }
            let colons = matches!(
                (tokens.get(at + 1), tokens.get(at + 2)),
                (Some(TokenTree::Punct(a)), Some(TokenTree::Punct(b)))
                    if a.as_char() == ':' && a.spacing() == Spacing::Joint && b.as_char() == ':'
            );
            let TokenTree::Ident(head) = token else { continue };
            if !colons {
                continue;
            }
            match tokens.get(at + 3) {
                Some(TokenTree::Ident(next)) => found.push((head.to_string(), next.to_string())),
                Some(TokenTree::Group(group)) => {
                    let mut first = true;
                    for token in group.stream() {
                        match token {
                            TokenTree::Ident(next) if first => {
                                found.push((head.to_string(), next.to_string()));
                                first = false;
                            }
                            TokenTree::Punct(punct) if punct.as_char() == ',' => first = true,
                            _ => {}
                        }
                    }
                }
                _ => found.push((head.to_string(), String::new())),
            }
        }
    }
    let mut found = Vec::new();
    walk(text.parse().unwrap(), &mut found);
    found
}

#[test]
fn imports_follow_the_table() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| *room == source.room) else {
            assert!(
                matches!(source.room.as_str(), "app" | "main" | "lib"),
                "{} is in no known room",
                source.path.display()
            );
            continue;
        };
        for (head, next) in paths(&source.text) {
            let other = MAY_IMPORT.iter().any(|(room, _)| *room == next) || next == "app";
            if head == "crate" && other && next != source.room && !allowed.contains(&next.as_str()) {
                wrong.push(format!("{} imports crate::{next}", source.path.display()));
            }
            let is_mod = source.path.ends_with("mod.rs");
            if head == "super"
                && (next == "super" || (is_mod && other && next != source.room))
                && !source.text.contains("mod tests {")
            {
                wrong.push(format!("{} climbs out with super::{next}", source.path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn heavy_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (head, _) in paths(&source.text) {
            let Some((_, rooms)) = HEAVY.iter().find(|(name, _)| *name == head) else { continue };
            let in_routes = source.is_routes && rooms.contains(&"routes");
            if !in_routes && !rooms.contains(&source.room.as_str()) {
                wrong.push(format!("{} names {head}", source.path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Where JSON may be read without counting its values: where they are counted, and where it is the operator's.
const READS_JSON: &[&str] = &["src/kernel/json.rs", "src/settings/json_file.rs"];

#[test]
fn json_from_outside_is_read_within_limits() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = source.text.split("#[cfg(test)]").next().unwrap();
        let reads = |(head, next): &(String, String)| {
            let functions = ["from_slice", "from_str", "from_reader", "Deserializer", "StreamDeserializer"];
            head == "serde_json" && functions.contains(&next.as_str())
        };
        if paths(code).iter().any(reads) && !READS_JSON.iter().any(|file| source.path.ends_with(file)) {
            wrong.push(format!("{} reads JSON without kernel::JsonReader", source.path.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn files_stay_short() {
    let long = |source: &Source| source.text.lines().count() > LONGEST_FILE;
    let long: Vec<_> = sources().into_iter().filter(long).map(|source| source.path).collect();
    assert_eq!(long, Vec::<PathBuf>::new());
}

#[test]
fn every_room_says_what_it_is_for() {
    for source in sources().iter().filter(|source| source.path.ends_with("mod.rs")) {
        assert!(source.text.starts_with("//!"), "{} does not open with //!", source.path.display());
    }
}

#[test]
fn handlers_are_thin() {
    struct Handlers(Vec<String>);
    impl<'ast> Visit<'ast> for Handlers {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            let span = function.block.span();
            let lines = span.end().line - span.start().line;
            if lines > LONGEST_HANDLER {
                self.0.push(format!("{} has {lines} lines", function.sig.ident));
            }
        }
    }
    let mut handlers = Handlers(Vec::new());
    for source in sources().iter().filter(|source| source.is_routes) {
        handlers.visit_file(&syn::parse_file(&source.text).unwrap());
    }
    assert_eq!(handlers.0, Vec::<String>::new());
}

#[test]
fn the_reader_of_paths_sees_groups_and_macros() {
    let text = r#"
        use crate::{llm::Client, memory as m};
        fn f() { tracing::info!("{}", crate::chat::X); /* crate::app::Y */ let s = "crate::web::Z"; }
    "#;
    let seen: Vec<_> = paths(text).into_iter().filter(|(head, _)| head == "crate").map(|(_, next)| next).collect();
    assert_eq!(seen, ["llm", "memory", "chat"]);
}
