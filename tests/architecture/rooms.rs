//! Who may import whom, and which room may name a heavy crate.

use crate::none;
use crate::source::{paths, production};

const GROUND: &[&str] = &["kernel", "settings"];
const MODULE: &[&str] = &["kernel", "settings", "web", "outbound", "storage", "telemetry", "limits"];
const CHAT: &[&str] = &[
    "kernel",
    "settings",
    "telemetry",
    "auth",
    "outbound",
    "storage",
    "web",
    "limits",
    "llm",
    "agents",
    "datasources",
    "tools",
    "memory",
    "executions",
    "identity",
    "grounding",
];

const GUI: &[&str] = &[
    "kernel",
    "settings",
    "telemetry",
    "auth",
    "outbound",
    "storage",
    "web",
    "limits",
    "llm",
    "agents",
    "datasources",
    "tools",
    "memory",
    "executions",
    "identity",
    "grounding",
    "chat",
    "monitoring",
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
    ("limits", &["kernel", "settings", "telemetry", "storage"]),
    ("llm", MODULE),
    ("configuration", MODULE),
    ("agents", MODULE),
    ("datasources", MODULE),
    ("tools", MODULE),
    ("memory", MODULE),
    ("executions", MODULE),
    ("identity", MODULE),
    ("grounding", &["kernel", "settings", "telemetry", "storage", "llm", "agents", "datasources", "tools"]),
    ("chat", CHAT),
    ("monitoring", CHAT),
    ("gui", GUI),
];

/// Crate -> the rooms that may name it; `routes` stands for a module's `routes.rs` or `routes/`.
const HEAVY: &[(&str, &[&str])] = &[
    ("reqwest", &["outbound"]),
    ("rustls", &["outbound", "app"]),
    ("tokio_rustls", &["app"]),
    // A module of telemetry has this name too.
    ("ring", &["kernel", "identity", "telemetry"]),
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
    ("tracing_subscriber", &["telemetry"]),
];

#[test]
fn imports_follow_the_table() {
    let mut wrong = Vec::new();
    for source in production() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| *room == source.room) else {
            assert!(matches!(source.room.as_str(), "app" | "main" | "lib"), "{} is in no known room", source.path);
            continue;
        };
        for path in paths(source.tokens) {
            let [head, next, ..] = path.as_slice() else { continue };
            let other = MAY_IMPORT.iter().any(|(room, _)| *room == next) || next == "app";
            if head == "crate" && other && *next != source.room && !allowed.contains(&next.as_str()) {
                wrong.push(format!("{} imports crate::{next}", source.path));
            }
            let is_mod = source.path.ends_with("mod.rs");
            if head == "super" && (next == "super" || (is_mod && other && *next != source.room)) {
                wrong.push(format!("{} climbs out with super::{next}", source.path));
            }
        }
    }
    none(&wrong, "imports against the table");
}

#[test]
fn heavy_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in production() {
        for path in paths(source.tokens).iter().filter(|path| path.len() > 1) {
            let Some((_, rooms)) = HEAVY.iter().find(|(name, _)| *name == path[0]) else { continue };
            let in_routes = source.is_routes && rooms.contains(&"routes");
            if !in_routes && !rooms.contains(&source.room.as_str()) {
                wrong.push(format!("{} names {}", source.path, path[0]));
            }
        }
    }
    none(&wrong, "heavy crates outside their rooms");
}
