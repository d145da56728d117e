//! `code_executor`: runs a program in isolation and tells what it wrote. The runtime calls [`describe`] and
//! [`CodeExecutor`].
//!
//! `interpreter` finds the interpreter and what it needs to see, `invocation` is one run of it; `sandbox` puts up the walls with
//! bubblewrap, `seccomp` is its filter of system calls, `sandbox_uid` the user it runs as; `unsandboxed` does without walls
//! where the operator allows that. `limits` are what the kernel holds per process, `memory_watchdog` watches the whole,
//! `autogroup` makes it yield to others. `supervisor` sees a program to its end, `captured` keeps what it wrote, `process_tree`
//! kills all of it, `report` tells. To add a language: its variant of `settings::Language`, how it is found in `interpreter`,
//! how it is called in `invocation`.

mod autogroup;
mod captured;
mod interpreter;
mod invocation;
mod limits;
mod memory_watchdog;
mod process_tree;
mod report;
mod sandbox;
mod sandbox_uid;
mod schema;
mod seccomp;
mod supervisor;
mod unsandboxed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::timeout_at;

use interpreter::Interpreter;
use invocation::Invocation;
use limits::ProgramLimits;
use sandbox::Sandbox;
use sandbox_uid::SandboxUid;

use super::check::{ToolCheck, ToolCheckStatus};
use super::context::ToolContext;
use super::program_path::search_path;
use super::result::{ToolResult, ToolStatus};
use crate::settings::{CodeOptions, Environment, Language, StorageSettings, ToolPolicy};
pub(super) use schema::describe;

/// Runs code. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct CodeExecutor {
    search: Arc<str>,
    /// The server's own folders, which no program sees even if they are below one that it needs.
    hidden: Arc<[PathBuf]>,
    known: Arc<Mutex<KnownPrograms>>,
}

/// What was looked for once is known, until a program can't be started with it.
#[derive(Debug, Default)]
struct KnownPrograms {
    sandbox: Option<Arc<Sandbox>>,
    interpreters: HashMap<(Language, bool), Interpreter>,
}

/// Whether a language can be used.
#[derive(Serialize)]
struct LanguageCheck {
    available: bool,
    version: Value,
    error: Option<String>,
}

impl CodeExecutor {
    /// One that finds its programs through the `PATH` of this environment.
    pub(super) fn new(environment: &Environment) -> Self {
        let own = [StorageSettings::data_dir(environment), Path::new(".")];
        let hidden = own.into_iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        Self { search: search_path(environment).into(), hidden, known: Arc::default() }
    }

    /// Runs the code of arguments that fit the schema.
    pub(super) async fn execute(
        &self,
        context: ToolContext<'_>,
        options: &CodeOptions,
        arguments: &Map<String, Value>,
    ) -> ToolResult {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let named = text("language").and_then(Language::parse);
        let Some(language) = named.or_else(|| schema::default_language(options)) else {
            return ToolResult::error("The tool allows no language");
        };
        let (code, stdin) = (text("code").unwrap_or_default(), text("stdin").unwrap_or_default());
        self.run(context, options, language, (code, stdin)).await
    }

    /// Looks whether code can be run: in each language, a line of it is.
    pub(super) async fn check(&self, context: ToolContext<'_>, options: &CodeOptions) -> ToolCheck {
        let mut checks = Map::new();
        let mut problems = Vec::new();
        for language in &options.languages {
            let hello = match language {
                Language::Python => "print('ready')",
                Language::JavaScript => "console.log('ready')",
                Language::Bash => "echo ready",
            };
            let result = self.run(context, options, *language, (hello, "")).await;
            let version = result.metadata.get("interpreter_version").cloned().unwrap_or_default();
            let error = result.error.filter(|_| result.status != ToolStatus::Success);
            problems.extend(error.clone().filter(|problem| !problems.contains(problem)));
            let check = LanguageCheck { available: error.is_none(), version, error };
            checks.insert(language.as_str().to_owned(), serde_json::to_value(check).unwrap_or_default());
        }
        let sandboxed = is_sandboxed(options, context.policy);
        let check = if problems.is_empty() {
            let how = if sandboxed { "in a sandbox" } else { "without a sandbox" };
            ToolCheck::passed(format!("Code can be run {how}"))
        } else {
            ToolCheck::failed(ToolCheckStatus::Failed, "Code can't be run", problems.join(". "))
        };
        check.with("languages", checks).with("sandboxed", sandboxed)
    }

    async fn run(
        &self,
        context: ToolContext<'_>,
        options: &CodeOptions,
        language: Language,
        (code, stdin): (&str, &str),
    ) -> ToolResult {
        let is_sandboxed = is_sandboxed(options, context.policy);
        let running = async {
            let sandbox = if is_sandboxed { Some(self.sandbox()?) } else { None };
            let uid = if is_sandboxed { SandboxUid::unprivileged() } else { SandboxUid::own() };
            let limits = ProgramLimits::of(options, language, context.deadline);
            let interpreter = self.interpreter(language, uid, is_sandboxed).await?;
            let invocation = Invocation { language, interpreter, code, stdin, limits, is_sandboxed, uid };
            let program = match sandbox {
                Some(sandbox) => timeout_at(context.deadline.instant(), sandbox.start(&invocation, &self.hidden))
                    .await
                    .map_err(|_| "The sandbox was not ready in time; the machine may be overloaded")??,
                None => unsandboxed::start(&invocation)?,
            };
            Ok(report::result(supervisor::supervise(program, &invocation).await?, &invocation))
        };
        running.await.unwrap_or_else(|error: String| {
            // What was found may have changed.
            let mut known = self.known.lock();
            known.sandbox = None;
            known.interpreters.remove(&(language, is_sandboxed));
            ToolResult::error(error)
        })
    }

    fn sandbox(&self) -> Result<Arc<Sandbox>, String> {
        match &mut self.known.lock().sandbox {
            Some(known) => Ok(Arc::clone(known)),
            unknown => Ok(Arc::clone(unknown.insert(Arc::new(Sandbox::find(&self.search)?)))),
        }
    }

    async fn interpreter(
        &self,
        language: Language,
        uid: SandboxUid,
        is_sandboxed: bool,
    ) -> Result<Interpreter, String> {
        let key = (language, is_sandboxed);
        if let Some(known) = self.known.lock().interpreters.get(&key) {
            return Ok(known.clone());
        }
        let found = interpreter::find(language, &self.search, uid).await?;
        self.known.lock().interpreters.insert(key, found.clone());
        Ok(found)
    }
}

/// A tool may do without a sandbox only if the operator agrees.
fn is_sandboxed(options: &CodeOptions, policy: &ToolPolicy) -> bool {
    options.sandbox_enabled || !policy.allow_unsandboxed_code
}
