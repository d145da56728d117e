use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::ServerSettings;

/// Sends the log to standard error. A second call changes nothing.
pub fn init(settings: &ServerSettings) {
    let targets = parse_level(&settings.log_level, settings.debug).unwrap_or_else(|_| Targets::new());
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // Already set in tests that start several servers in one process.
    drop(tracing_subscriber::registry().with(layer).with(targets).try_init());
}

/// Says what is wrong with a log level.
pub fn check_level(level: &str) -> Result<(), String> {
    parse_level(level, false).map(|_| ()).map_err(|_| {
        "Input should be a level such as INFO or DEBUG, or targets such as info,orchestrator_studio::llm=debug"
            .to_owned()
    })
}

/// Python's level names are understood beside tracing's, since existing `.env` files use them.
fn parse_level(level: &str, debug: bool) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    let level = level.trim().to_ascii_lowercase();
    let level = match level.as_str() {
        "info" if debug => "info,orchestrator_studio=debug",
        "warning" => "warn",
        "critical" | "fatal" => "error",
        "notset" => "trace",
        other => other,
    };
    // The SDK of MCP logs what servers say, credentials and all; unless it is asked for by name.
    Targets::from_str(&format!("rmcp=off,{level}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_python_and_of_tracing_are_understood() {
        for level in ["INFO", "warning", "CRITICAL", "debug", "info,orchestrator_studio::llm=debug"] {
            assert_eq!(check_level(level), Ok(()), "{level}");
        }
        assert!(check_level("a=b=c").is_err());
        assert!(check_level("info,x=loud").is_err());
    }
}
