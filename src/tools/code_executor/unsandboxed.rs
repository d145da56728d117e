use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::invocation::Invocation;
use super::limits::deprioritize;
use super::process_tree::{Isolation, ProcessTree, RunningProgram};

/// Starts a program without walls, in a folder of its own. Only if the operator has said so.
pub(super) fn start(invocation: &Invocation<'_>) -> Result<RunningProgram, String> {
    let fault = |error: std::io::Error| format!("The program could not be started: {error}");
    let folder = TempDir::new().map_err(fault)?;
    fs::write(folder.path().join(invocation.file_name()), invocation.code).map_err(fault)?;
    let mut command = Command::new(&invocation.interpreter.program);
    command.args(invocation.arguments(folder.path().as_os_str())).current_dir(folder.path());
    command.env_clear().envs(invocation.variables(&folder.path().display().to_string()));
    let processes = ProcessTree::start(command.into()).map_err(fault)?;
    let first = processes.leader().ok_or("The program ended at once")?;
    // It may have begun already, but not got far.
    deprioritize(first);
    invocation.limits.apply_limits(first, false).map_err(fault)?;
    Ok(RunningProgram { processes, first, isolation: Isolation::Folder(folder) })
}
