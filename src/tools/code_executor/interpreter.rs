use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::sandbox_uid::SandboxUid;
use crate::kernel::JsonReader;
use crate::settings::Language;
use crate::tools::program_path::on_path;

/// Longest wait for an interpreter that is asked who it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer.
const MAX_PROBE_BYTES: u64 = 100_000;

/// Asks Python, which may be behind a wrapper or in a virtual environment, where it really is and where its modules are.
const PROBE_PYTHON: &str = "import json, platform, sys
print(json.dumps({'version': platform.python_version(), 'program': sys.executable, 'prefix': sys.prefix, \
'base': sys.base_prefix, 'paths': sys.path}))";
const PROBE_NODE: &str = "console.log(JSON.stringify({version: process.versions.node, program: process.execPath}))";
const PROBE_BASH: &str = r#"printf '{"version": "%s", "program": "%s"}' "${BASH_VERSION%%(*}" "$BASH""#;

/// A program that runs code.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    pub(super) version: String,
    pub(super) program: PathBuf,
    /// Files and folders besides the system's libraries that it needs to see.
    pub(super) visible_paths: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct InterpreterInfo {
    version: String,
    program: PathBuf,
    #[serde(default)]
    prefix: PathBuf,
    #[serde(default)]
    base: PathBuf,
    #[serde(default)]
    paths: Vec<PathBuf>,
}

/// Finds the first interpreter on `search` that works for this account; the error says what is missing.
pub(super) async fn find(language: Language, search: &str, uid: SandboxUid) -> Result<Interpreter, String> {
    let (names, arguments, package): (&[&str], &[&str], _) = match language {
        Language::Python => (&["python3", "python"], &["-I", "-c", PROBE_PYTHON], "python3"),
        Language::JavaScript => (&["node", "nodejs"], &["-e", PROBE_NODE], "nodejs"),
        Language::Bash => (&["bash"], &["--norc", "--noprofile", "-c", PROBE_BASH], "bash"),
    };
    let mut unusable = Vec::new();
    for file in names.iter().flat_map(|name| on_path(name, search)) {
        match probe(&file, arguments, search, uid).await {
            Some(answer) => return Ok(answer.into_interpreter(language)),
            None => unusable.push(file.display().to_string()),
        }
    }
    let found = if unusable.is_empty() {
        String::new()
    } else {
        format!("; found, but of no use to {}: {}", uid.description(), unusable.join(", "))
    };
    let language = language.as_str();
    Err(format!("No {language} interpreter is on the server's PATH (install the package {package}){found}"))
}

async fn probe(file: &Path, arguments: &[&str], search: &str, uid: SandboxUid) -> Option<InterpreterInfo> {
    let mut command = Command::new(file);
    command.args(arguments).env_clear().env("PATH", search).env("LANG", "C.UTF-8").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    uid.apply(command.as_std_mut());
    let asking = async {
        let mut child = command.spawn().ok()?;
        let mut answer = Vec::new();
        child.stdout.take()?.take(MAX_PROBE_BYTES).read_to_end(&mut answer).await.ok()?;
        let answer: InterpreterInfo = JsonReader::embedded().read(&answer).ok()?;
        answer.program.is_absolute().then_some(answer)
    };
    timeout(PROBE_TIMEOUT, asking).await.ok().flatten()
}

impl InterpreterInfo {
    fn into_interpreter(self, language: Language) -> Interpreter {
        // In a virtual environment the link itself tells Python where it is.
        let is_virtual = self.prefix != self.base;
        let program = if is_virtual { None } else { self.program.canonicalize().ok() }.unwrap_or(self.program);
        let mut visible_paths = vec![program.clone()];
        match language {
            Language::Python => {
                let is_own = |path: &&PathBuf| {
                    [&self.prefix, &self.base].into_iter().any(|own| own.parent().is_some() && path.starts_with(own))
                };
                visible_paths.push(self.prefix.join("pyvenv.cfg"));
                visible_paths.push(self.base.join("lib"));
                visible_paths.extend(self.paths.iter().filter(is_own).cloned());
            }
            Language::JavaScript => visible_paths.push("/usr/share/nodejs".into()),
            Language::Bash => visible_paths.push("/usr/bin".into()),
        }
        Interpreter { version: self.version, program, visible_paths }
    }
}
