//! A real browser without a window, in a profile of its own, that reaches nothing but this machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

#[expect(clippy::disallowed_methods, reason = "asks how the tests are run, not how the server is configured")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// The browser on `PATH`, if there is one.
#[expect(clippy::print_stdout, reason = "tells who runs the tests that one is skipped")]
pub fn find() -> Option<PathBuf> {
    let path = variable("PATH");
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find_map(|name| path.split(':').map(|folder| Path::new(folder).join(name)).find(|file| file.is_file()));
    assert!(
        found.is_some() || variable("ORCHESTRATOR_TESTS") != "required",
        "no browser on PATH; install the package chromium"
    );
    if found.is_none() {
        println!("skipped: no browser on PATH (chromium, chromium-browser, google-chrome)");
    }
    found
}

/// The browser, told to keep its things in `folder` and to look up no name but these, which are this machine.
pub fn command(browser: &Path, folder: &TempDir, names: &[&str]) -> Command {
    let names = names.iter().map(|name| format!("MAP {name} 127.0.0.1 , ")).collect::<String>();
    let mut command = Command::new(browser);
    command.args(FLAGS).arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    command.arg(format!("--host-resolver-rules={names}MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"));
    command.env("HOME", folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    command
}
