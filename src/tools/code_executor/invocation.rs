use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::interpreter::Interpreter;
use super::limits::ProgramLimits;
use super::sandbox_uid::SandboxUid;
use crate::settings::Language;

/// A program to be run.
#[derive(Debug)]
pub(super) struct Invocation<'a> {
    pub(super) language: Language,
    pub(super) interpreter: Interpreter,
    pub(super) code: &'a str,
    pub(super) stdin: &'a str,
    pub(super) limits: ProgramLimits,
    pub(super) is_sandboxed: bool,
    pub(super) uid: SandboxUid,
}

impl Invocation<'_> {
    /// The name of the file that holds the code, which tracebacks tell.
    pub(super) fn file_name(&self) -> &'static str {
        match self.language {
            Language::Python => "main.py",
            Language::JavaScript => "main.js",
            Language::Bash => "main.sh",
        }
    }

    /// What the interpreter is called with, if the code is in this folder.
    pub(super) fn arguments(&self, folder: &OsStr) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = match self.language {
            Language::Python => Vec::new(),
            // Its own limit lets it collect garbage in time and say what happened.
            Language::JavaScript => {
                let heap = format!("--max-old-space-size={}", self.limits.megabytes() / 4 * 3).into();
                if self.knows_modules() { vec![heap, "--experimental-detect-module".into()] } else { vec![heap] }
            }
            Language::Bash => vec!["--norc".into(), "--noprofile".into()],
        };
        arguments.push(Path::new(folder).join(self.file_name()).into());
        arguments
    }

    /// Whether Node.js can tell by itself that a program is a module, with `import` and `await`; newer ones need not be asked to.
    fn knows_modules(&self) -> bool {
        let mut parts = self.interpreter.version.split('.').filter_map(|part| part.parse::<u32>().ok());
        matches!((parts.next(), parts.next()), (Some(20), Some(10..)) | (Some(21..), _))
    }

    /// The whole environment of the program. Output is not held back, so that it is there if the program is stopped.
    pub(super) fn variables(&self, folder: &str) -> Vec<(&'static str, String)> {
        let fixed = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("USER", "sandbox"),
            ("PYTHONUNBUFFERED", "1"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ];
        let own = ["HOME", "TMPDIR"].map(|name| (name, folder.to_owned()));
        fixed.into_iter().map(|(name, value)| (name, value.to_owned())).chain(own).collect()
    }
}
