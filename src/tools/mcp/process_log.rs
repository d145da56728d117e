use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::kernel::{Redaction, truncate_chars};

/// Bytes of a line that are kept.
const MAX_LINE_BYTES: usize = 4_000;
/// Characters of a line that are quoted.
const MAX_QUOTED_CHARS: usize = 400;
/// Lines that the cause of an end is looked for in: a trace of calls may follow it.
const MAX_LINES: usize = 60;
/// Lines that are quoted.
const MAX_QUOTED_LINES: usize = 5;
/// Words that a line with the cause of an end has.
const CAUSE_WORDS: [&str; 9] =
    ["error", "exception", "panicked", "fatal", "failed", "cannot", "can't", "not found", "denied"];

/// The last lines of a process's log. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessLog(Arc<Mutex<VecDeque<String>>>);

impl ProcessLog {
    /// Keeps the last lines, and shows all of them to whoever debugs.
    pub(super) async fn read(self, mut stderr: impl AsyncRead + Unpin, redaction: Redaction) {
        let mut line = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
            for byte in chunk.get(..count).unwrap_or_default() {
                if *byte != b'\n' {
                    if line.len() < MAX_LINE_BYTES {
                        line.push(*byte);
                    }
                    continue;
                }
                self.add(&line, &redaction);
                line.clear();
            }
        }
        self.add(&line, &redaction);
    }

    fn add(&self, line: &[u8], redaction: &Redaction) {
        let text = redaction.text(String::from_utf8_lossy(line).trim());
        if !text.is_empty() {
            tracing::debug!(untrusted = %text, "log of an MCP server");
            let mut lines = self.0.lock();
            lines.truncate(MAX_LINES - 1);
            lines.push_front(truncate_chars(&text, MAX_QUOTED_CHARS));
        }
    }

    /// What was said at last: some lines, without the calls that led there, and before them the cause if it stands further up.
    pub(super) fn last_lines(&self) -> String {
        let lines = self.0.lock();
        let said: Vec<_> = lines.iter().map(String::as_str).filter(|line| !is_trace(line)).collect();
        let cause = said.iter().position(|line| is_cause(line));
        let last = said.iter().take(MAX_QUOTED_LINES).rev();
        let above = cause.filter(|at| *at >= MAX_QUOTED_LINES).and_then(|at| said.get(at));
        above.into_iter().chain(last).copied().collect::<Vec<_>>().join(" | ")
    }
}

/// Whether a line belongs to a trace of calls, or holds marks only.
fn is_trace(line: &str) -> bool {
    line.starts_with("at ") || !line.chars().any(char::is_alphanumeric)
}

fn is_cause(line: &str) -> bool {
    let line = line.to_lowercase();
    CAUSE_WORDS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_lines(log: &str) -> String {
        let kept = ProcessLog::default();
        log.lines().for_each(|line| kept.add(line.as_bytes(), &Redaction::default()));
        kept.last_lines()
    }

    #[test]
    fn the_cause_is_quoted_wherever_a_language_puts_it() {
        let node = "node:internal/modules/cjs/loader:1080\n  throw err;\n  ^\n\nError: Cannot find module './tools'\n    at A (a:1)\n\
            \x20   at B (b:2) {\n  code: 'MODULE_NOT_FOUND',\n  requireStack: []\n}\n\nNode.js v20.20.2";
        let expected = "throw err; | Error: Cannot find module './tools' | code: 'MODULE_NOT_FOUND', | requireStack: [] | Node.js v20.20.2";
        assert_eq!(last_lines(node), expected);
        let python = "Starting\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import x\n\
            ModuleNotFoundError: No module named 'x'";
        assert!(last_lines(python).ends_with("import x | ModuleNotFoundError: No module named 'x'"));
        let calls: String = (0..70).map(|n| format!("\tat com.example.Main.run{n}(Main.java)\n")).collect();
        let java = format!("Exception in thread \"main\" java.io.IOException: no config\n{}", &calls[..1000]);
        assert_eq!(last_lines(&java), "Exception in thread \"main\" java.io.IOException: no config");
        let chatty = format!("error: port 9 is in use\n{}", "shutting down\n".repeat(20));
        assert_eq!(last_lines(&chatty), format!("error: port 9 is in use{}", " | shutting down".repeat(5)));
    }

    #[test]
    fn nothing_said_is_nothing_quoted_and_much_is_cut() {
        assert_eq!(last_lines("\n  \n{\n}\n"), "");
        assert_eq!(last_lines("one"), "one");
        let much =
            last_lines(&"x".repeat(3_000).lines().chain(std::iter::repeat_n("y", 200)).collect::<Vec<_>>().join("\n"));
        assert_eq!(much, "y | y | y | y | y");
        assert!(last_lines(&"x".repeat(3_000)).chars().count() <= MAX_QUOTED_CHARS + 1);
    }
}
