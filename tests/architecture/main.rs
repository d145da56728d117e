//! The rules of the source that a compiler does not know: who may import whom, how long files and functions may be, which names
//! are used, where JSON is made. ARCHITECTURE.md explains them; these tests read the source and hold them.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod circles;
mod json;
mod names;
mod resolver;
mod rooms;
mod size;
mod source;
mod types;

/// Fails with a list, one finding a line.
fn none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}: {} findings\n{}\n", findings.len(), findings.join("\n"));
}
