//! `code_executor`: runs a program in isolation and tells what it wrote. The runtime calls [`CodeExecutor`].
//!
//! `interpreter` finds the interpreter and what it needs to see; `sandbox` puts up the walls with bubblewrap, `seccomp` is its
//! filter of system calls, `sandbox_uid` the user it runs as; `limits` are what the kernel holds per process and `memory_watchdog` what is
//! watched for the whole; `autogroup` makes it yield to others; `process_tree` kills all of it; `supervisor` sees a program to its end,
//! `output` keeps what it wrote, `report`
//! tells it. `unsandboxed` runs a program without walls where the operator allows that. To add a language: its variant of
//! `settings::Language`, how it is found in `interpreter`, how it is called in `invocation`.

mod autogroup;
mod interpreter;
mod invocation;
mod limits;
mod memory_watchdog;
mod output;
mod process_tree;
mod report;
mod sandbox;
mod sandbox_uid;
mod seccomp;
mod supervisor;
mod unsandboxed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value, json};

use interpreter::Interpreter;
use invocation::Invocation;
use limits::ProgramLimits;
use sandbox::Sandbox;
use sandbox_uid::SandboxUid;

use super::check::ToolCheck;
use super::function::FunctionSpec;
use super::result::{ToolResult, ToolStatus};
use crate::kernel::Deadline;
use crate::settings::{CodeOptions, Environment, Language, StorageSettings, ToolPolicy};

/// Where programs are looked for if the server has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Characters that code and input may have.
const MAX_CODE_CHARS: usize = 200_000;
const MAX_STDIN_CHARS: usize = 900_000;

/// Runs code. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct CodeExecutor(Arc<ExecutorState>);

#[derive(Debug)]
struct ExecutorState {
    search: String,
    /// The server's own folders, which no program sees even if they are below one that it needs.
    hidden: Vec<PathBuf>,
    found: Mutex<KnownPrograms>,
}

/// What was looked for once is known, until a program can't be started with it.
#[derive(Debug, Default)]
struct KnownPrograms {
    sandbox: Option<Arc<Sandbox>>,
    interpreters: HashMap<(Language, bool), Interpreter>,
}

impl CodeExecutor {
    /// One that finds its programs through the `PATH` of this environment.
    pub(super) fn new(environment: &Environment) -> Self {
        let own = [StorageSettings::data_dir(environment), Path::new(".")];
        let hidden = own.into_iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        let search = environment.get("PATH").unwrap_or(DEFAULT_PATH).to_owned();
        Self(Arc::new(ExecutorState { search, hidden, found: Mutex::default() }))
    }

    /// What the tool is offered as.
    pub(super) fn describe(options: &CodeOptions) -> FunctionSpec {
        let languages: Vec<_> = options.languages.iter().map(|language| language.as_str()).collect();
        let megabytes = options.max_memory >> 20;
        let default =
            if options.languages.contains(&Language::Python) { Some("python") } else { languages.first().copied() };
        FunctionSpec {
            description: format!(
                "Execute code in a sandboxed environment. There is no network, and no file is kept; memory is limited to \
                 {megabytes} MB. Only what the program prints comes back."
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "code": {"type": "string", "description": "The program", "minLength": 1, "maxLength": MAX_CODE_CHARS},
                    "language": {"type": "string", "enum": languages, "default": default,
                        "description": "The language of the program"},
                    "stdin": {"type": "string", "description": "What the program reads from standard input",
                        "maxLength": MAX_STDIN_CHARS},
                },
                "required": ["code"],
                "additionalProperties": false,
            }),
        }
    }

    /// Runs the code of arguments that fit the schema.
    pub(super) async fn execute(
        &self,
        options: &CodeOptions,
        rules: &ToolPolicy,
        arguments: &Map<String, Value>,
        deadline: Deadline,
    ) -> ToolResult {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let default = options.languages.iter().find(|language| **language == Language::Python);
        let named = text("language").and_then(Language::parse);
        let Some(language) = named.or(default.or(options.languages.first()).copied()) else {
            return ToolResult::error("The tool allows no language");
        };
        let (code, stdin) = (text("code").unwrap_or_default(), text("stdin").unwrap_or_default());
        self.run(options, rules, language, (code, stdin), deadline).await.unwrap_or_else(ToolResult::error)
    }

    /// Looks whether code can be run: in each language, a line of it is.
    pub(super) async fn check(&self, options: &CodeOptions, rules: &ToolPolicy, deadline: Deadline) -> ToolCheck {
        let mut found = Map::new();
        let mut problems = Vec::new();
        for language in &options.languages {
            let hello = if *language == Language::JavaScript { "console.log('ready')" } else { "print('ready')" };
            let hello = if *language == Language::Bash { "echo ready" } else { hello };
            let result = self.run(options, rules, *language, (hello, ""), deadline).await;
            let result = result.unwrap_or_else(ToolResult::error);
            let version = result.metadata.get("interpreter_version").cloned().unwrap_or_default();
            let problem = (result.status != ToolStatus::Success).then_some(result.error).flatten();
            let told = json!({"available": problem.is_none(), "version": version, "error": problem});
            found.insert(language.as_str().to_owned(), told);
            problems.extend(problem.filter(|problem| !problems.contains(problem)));
        }
        let sandboxed = is_sandboxed(options, rules);
        let check = if problems.is_empty() {
            let how = if sandboxed { "in a sandbox" } else { "without a sandbox" };
            ToolCheck::passed("reachable", format!("Code can be run {how}"))
        } else {
            ToolCheck::failed("failed", "Code can't be run", problems.join(". "))
        };
        check.with("languages", found).with("sandboxed", sandboxed)
    }

    /// Runs a program; the error says why it could not be.
    async fn run(
        &self,
        options: &CodeOptions,
        rules: &ToolPolicy,
        language: Language,
        (code, stdin): (&str, &str),
        deadline: Deadline,
    ) -> Result<ToolResult, String> {
        let seconds = deadline.remaining().as_secs_f64();
        let is_sandboxed = is_sandboxed(options, rules);
        let sandbox = if is_sandboxed { Some(self.sandbox()?) } else { None };
        let uid = if is_sandboxed { SandboxUid::unprivileged() } else { SandboxUid::own() };
        let interpreter = self.interpreter(language, uid, is_sandboxed).await?;
        let limits = ProgramLimits::of(options, language, deadline);
        let invocation = Invocation { language, interpreter, code, stdin, limits };
        let outcome = match sandbox {
            Some(sandbox) => self.run_in(&sandbox, uid, &invocation, deadline).await,
            None => {
                let (mut processes, first, folder) = unsandboxed::start(&invocation)?;
                let outcome = supervisor::supervise_unsandboxed(&mut processes, first, &invocation, deadline).await;
                // It may hold a lot; nobody needs to wait for the end of it.
                drop(tokio::task::spawn_blocking(move || drop(folder)));
                Ok(outcome)
            }
        };
        if outcome.is_err() {
            // What was found may have changed.
            let mut found = self.found();
            found.sandbox = None;
            found.interpreters.remove(&(language, is_sandboxed));
        }
        outcome.map(|outcome| report::result(outcome, &invocation, seconds, is_sandboxed))
    }

    async fn run_in(
        &self,
        sandbox: &Sandbox,
        uid: SandboxUid,
        invocation: &Invocation<'_>,
        deadline: Deadline,
    ) -> Result<supervisor::ProgramResult, String> {
        let started = tokio::time::timeout_at(deadline.instant(), sandbox.start(invocation, uid, &self.0.hidden)).await;
        let started = started.map_err(|_| "The sandbox was not ready in time; the machine may be overloaded")??;
        supervisor::supervise_sandboxed(started, invocation, deadline).await
    }

    fn sandbox(&self) -> Result<Arc<Sandbox>, String> {
        let mut found = self.found();
        let sandbox = match &found.sandbox {
            Some(known) => Arc::clone(known),
            None => Arc::new(Sandbox::find(&self.0.search)?),
        };
        found.sandbox = Some(Arc::clone(&sandbox));
        Ok(sandbox)
    }

    async fn interpreter(
        &self,
        language: Language,
        uid: SandboxUid,
        is_sandboxed: bool,
    ) -> Result<Interpreter, String> {
        let key = (language, is_sandboxed);
        if let Some(known) = self.found().interpreters.get(&key) {
            return Ok(known.clone());
        }
        let found = interpreter::find(language, &self.0.search, uid).await?;
        self.found().interpreters.insert(key, found.clone());
        Ok(found)
    }

    fn found(&self) -> MutexGuard<'_, KnownPrograms> {
        self.0.found.lock()
    }
}

/// A tool may do without a sandbox only if the operator agrees.
fn is_sandboxed(options: &CodeOptions, rules: &ToolPolicy) -> bool {
    options.sandbox_enabled || !rules.allow_unsandboxed_code
}
