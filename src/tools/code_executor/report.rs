use serde_json::Value;

use super::captured::MAX_WRITTEN_BYTES;
use super::invocation::Invocation;
use super::supervisor::{ProgramResult, Termination};
use crate::tools::output::{ProgramOutput, ToolOutput};
use crate::tools::result::ToolResult;

/// Exit codes beyond this tell of a signal.
const SIGNALS: i32 = 128;

/// What a caller is told of a program that was run.
pub(super) fn result(ended: ProgramResult, invocation: &Invocation<'_>) -> ToolResult {
    let ProgramResult { end, stdout, stderr } = ended;
    let exit_code = if let Termination::Exit(code) = end { Some(code) } else { None };
    let result = match end {
        Termination::Exit(0) => ToolResult::success(ToolOutput::Json(Value::Null)),
        Termination::Exit(code) => ToolResult::failure(failure(code, &stderr.text, invocation)),
        Termination::Timeout => ToolResult::timeout(format!(
            "The program did not end within {:.1} seconds and was stopped",
            invocation.limits.seconds
        )),
        Termination::MemoryLimit => ToolResult::failure(too_much_memory(invocation)),
        Termination::OutputLimit => {
            let most = MAX_WRITTEN_BYTES / 1_000_000;
            ToolResult::failure(format!("The program wrote more than {most} MB of output and was stopped"))
        }
    };
    let (is_cut, was_not_utf8) = (stdout.is_cut || stderr.is_cut, stdout.was_not_utf8 || stderr.was_not_utf8);
    result
        .with_output(ToolOutput::Program(ProgramOutput { stdout: stdout.text, stderr: stderr.text, exit_code }))
        .with("language", invocation.language.as_str())
        .with("interpreter_version", invocation.interpreter.version.as_str())
        .with("exit_code", exit_code)
        .with("sandboxed", invocation.is_sandboxed)
        .with_some("truncated", is_cut.then_some(true))
        .with_some("invalid_utf8_replaced", was_not_utf8.then_some(true))
}

fn failure(code: i32, stderr: &str, invocation: &Invocation<'_>) -> String {
    let last = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let last: String = last.chars().take(300).collect();
    let signal = code - SIGNALS;
    let what = if stderr.contains("JavaScript heap out of memory") {
        return too_much_memory(invocation);
    } else if signal == libc::SIGXCPU {
        return format!(
            "The program used more than {} seconds of CPU time and was stopped",
            invocation.limits.cpu_seconds
        );
    } else if (1..=64).contains(&signal) {
        format!("The program was ended by signal {signal}{}", name(signal))
    } else {
        format!("The program ended with exit code {code}")
    };
    if last.is_empty() { what } else { format!("{what}: {last}") }
}

fn too_much_memory(invocation: &Invocation<'_>) -> String {
    format!("The program used more than {} MB of memory and was stopped", invocation.limits.megabytes())
}

fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGILL => " (SIGILL)",
        libc::SIGTRAP => " (SIGTRAP)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGTERM => " (SIGTERM)",
        libc::SIGXFSZ => " (SIGXFSZ, a file grew too large)",
        libc::SIGSYS => " (SIGSYS, a system call of another architecture)",
        _ => "",
    }
}
