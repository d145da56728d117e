//! Bounds of what can be configured: those who read it and the API's document use the same.

use std::ops::RangeInclusive;

/// Seconds that a call to an agent, a data source or the LLM may take.
pub const CALL_SECONDS: RangeInclusive<i64> = 1..=3600;
/// Attempts at a call to the LLM.
pub const LLM_ATTEMPTS: RangeInclusive<i64> = 0..=10;
/// Sampling temperatures.
pub const TEMPERATURES: RangeInclusive<f64> = 0.0..=2.0;
/// Tokens of an answer.
pub const ANSWER_TOKENS: RangeInclusive<i64> = 1..=10_000_000;
/// Tokens of a conversation that a model is shown.
pub const CONTEXT_TOKENS: RangeInclusive<i64> = 100..=1_000_000;
/// Longest URL, in characters.
pub const MAX_URL_CHARS: usize = 2048;
/// Longest instructions of a data source for a model that writes its queries, in characters.
pub const MAX_INSTRUCTIONS_CHARS: usize = 4000;
/// Longest name of a time zone, in bytes.
pub const MAX_ZONE_CHARS: usize = 64;
/// Rows that one query may ask for.
pub const MAX_RESULT_ROWS: RangeInclusive<i64> = 1..=100_000;
/// Longest type of a data source or a tool, in characters.
pub const MAX_TYPE_CHARS: usize = 64;
/// Longest description of a tool, in characters: every request to a model that may use the tool carries it.
pub const MAX_DESCRIPTION_CHARS: usize = 4000;
/// Seconds that an execution of a tool may take.
pub const TOOL_SECONDS: RangeInclusive<f64> = 0.1..=3600.0;
/// Ports of services.
pub const PORTS: RangeInclusive<i64> = 1..=65_535;
/// Results of a search of the web.
pub const SEARCH_RESULTS: RangeInclusive<i64> = 1..=50;
/// Memory of a program, in megabytes.
pub const MEMORY_MEGABYTES: RangeInclusive<u64> = 64..=65_536;
/// Headers that no tool may set: they describe the connection or the body's length.
pub const RESERVED_HEADERS: [&str; 8] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"];
/// Variables that could make another program of one that the operator allows.
pub const DANGEROUS_VARIABLES: [&str; 10] = [
    "PATH",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "IFS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
    "RUBYOPT",
    "RUBYLIB",
];
/// What the names of more of them begin with.
pub const DANGEROUS_VARIABLE_PREFIXES: [&str; 5] = ["LD_", "DYLD_", "BASH_", "PYTHON", "PERL5"];
/// What the names of parameters that hold a credential end with.
pub const CREDENTIAL_SUFFIXES: [&str; 6] = ["password", "pwd", "pass", "token", "secret", "key"];
