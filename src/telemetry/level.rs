use std::str::FromStr;

use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer};

use crate::kernel::Lenient;

/// Crates that quote what they work on (queries; the SDK of MCP even what servers say): silent unless content may be logged.
const QUOTING_CRATES: [&str; 3] = ["sqlparser", "sqlx", "rmcp"];

/// Lets through what `LOG_LEVEL` asks for, and the server's own spans whatever it asks for: the ids of requests are in them.
pub(super) struct LevelLayer(Targets);

impl LevelLayer {
    pub(super) fn new(level: &str, debug: bool, with_content: bool) -> Self {
        let targets = parse_level(level, debug).unwrap_or_default();
        Self(if with_content { targets } else { silence_quoting_crates(&targets) })
    }
}

impl<S: Subscriber> Layer<S> for LevelLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_own_span(metadata) { Interest::always() } else { Layer::<S>::register_callsite(&self.0, metadata) }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        is_own_span(metadata) || Layer::<S>::enabled(&self.0, metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0).map(|level| level.max(LevelFilter::INFO))
    }
}

fn is_own_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with("orchestrator_studio")
}

/// What levels are called in the log.
pub const LEVEL_OUTPUT_NAMES: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
/// What levels are called in queries, in any case: by Python and by tracing.
pub const LEVEL_INPUT_NAMES: [&str; 9] =
    ["trace", "notset", "debug", "info", "warning", "warn", "error", "critical", "fatal"];

impl Lenient for Level {
    fn read(value: &serde_json::Value) -> Result<Self, (&'static str, &'static str)> {
        let name = value.as_str().map(|text| text.trim().to_ascii_lowercase());
        // tracing takes numbers, too.
        let name = name.filter(|name| LEVEL_INPUT_NAMES.contains(&name.as_str()));
        let level = name.and_then(|name| Self::from_str(&normalize_level(&name)).ok());
        level.ok_or(("enum", "Input should be 'debug', 'info', 'warning' or 'error'"))
    }
}

/// Says what is wrong with a log level.
pub fn check_level(level: &str) -> Result<(), String> {
    parse_level(level, false).map(|_| ()).ok_or_else(|| {
        "Input should be a level such as INFO or DEBUG, or targets such as info,orchestrator_studio::llm=debug"
            .to_owned()
    })
}

/// Reads `LEVEL` or `LEVEL,TARGET=LEVEL,...`. tracing's own parser takes a level that is misspelt for a target.
fn parse_level(text: &str, debug: bool) -> Option<Targets> {
    let level =
        |word: &str| LevelFilter::from_str(&normalize_level(word.trim())).ok().filter(|_| !word.trim().is_empty());
    let mut targets = Targets::new();
    for part in text.split(',') {
        targets = match part.split_once('=') {
            Some((target, word)) if is_target(target.trim()) => targets.with_target(target.trim(), level(word)?),
            Some(_) => return None,
            None => targets.with_default(level(part)?),
        };
    }
    let is_info = targets.default_level() == Some(LevelFilter::INFO) && !text.contains('=');
    Some(if is_info && debug { targets.with_target("orchestrator_studio", LevelFilter::DEBUG) } else { targets })
}

fn silence_quoting_crates(targets: &Targets) -> Targets {
    let is_quoting = |target: &str| QUOTING_CRATES.iter().any(|name| target.starts_with(name));
    let default = targets.default_level().unwrap_or(LevelFilter::OFF);
    let others = targets.iter().filter(|(target, _)| !is_quoting(target));
    let silent = QUOTING_CRATES.map(|name| (name, LevelFilter::OFF));
    Targets::new().with_default(default).with_targets(others).with_targets(silent)
}

fn is_target(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_:-".contains(c))
}

/// Python's level names are understood beside tracing's, since existing `.env` files use them.
fn normalize_level(level: &str) -> String {
    let level = level.to_ascii_lowercase();
    match level.as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        "notset" => "trace".to_owned(),
        _ => level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_python_and_of_tracing_are_understood() {
        for level in ["INFO", "warning", "CRITICAL", "debug", "off", "info,orchestrator_studio::llm=debug"] {
            assert_eq!(check_level(level), Ok(()), "{level}");
        }
        for level in
            ["verbose", "INF0", "waring", "", "info,", "a=b=c", "info,x=loud", "info,x=", "info,=debug", "x y=info"]
        {
            assert!(check_level(level).is_err(), "{level}");
        }
        let mixed = parse_level("Warning, orchestrator_studio::llm = NOTSET,hyper=Critical", false).unwrap();
        let expected = "warn,orchestrator_studio::llm=trace,hyper=error";
        assert_eq!(mixed, Targets::from_str(expected).unwrap());
        let quiet = silence_quoting_crates(&parse_level("warn,rmcp::service=debug,hyper=info", false).unwrap());
        assert!(!quiet.would_enable("rmcp::service", &Level::ERROR) && quiet.would_enable("hyper", &Level::INFO));
        assert!(quiet.would_enable("x", &Level::WARN) && !quiet.would_enable("x", &Level::INFO));
        assert_eq!(parse_level(" Info ", true).unwrap(), Targets::from_str("info,orchestrator_studio=debug").unwrap());
        assert_eq!(Level::read(&"Warning".into()).unwrap(), Level::WARN);
        assert!(Level::read(&"loud".into()).is_err());
    }
}
