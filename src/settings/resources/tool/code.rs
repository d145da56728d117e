use std::time::Duration;

use serde_json::Value;

use super::fields::read_timeout;
use crate::kernel::{Fields, Lenient};
use crate::settings::bounds::MEMORY_MEGABYTES;

/// A language that code may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Python 3.
    Python,
    /// JavaScript, as Node.js runs it.
    JavaScript,
    /// Bash.
    Bash,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Python, Self::JavaScript, Self::Bash];

    /// Its name in configurations and schemas.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::Bash => "bash",
        }
    }

    /// The language of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str().eq_ignore_ascii_case(name))
    }
}

/// Options of `code_executor`.
#[derive(Clone, Debug)]
pub struct CodeOptions {
    /// `allowed_languages`
    pub languages: Vec<Language>,
    /// `timeout`: wall time.
    pub timeout: Option<Duration>,
    /// `max_memory`: a number of megabytes, or a text such as `512MB`; in bytes.
    pub max_memory: u64,
    /// `sandbox_enabled`: false has an effect only with `ALLOW_UNSANDBOXED_CODE=true`.
    pub sandbox_enabled: bool,
    /// `auto_execute`: whether chat runs code that a model wrote though no request asks for it.
    pub auto_execute: bool,
}

const MEGABYTE: u64 = 1 << 20;
const DEFAULT_MEMORY: u64 = 512 * MEGABYTE;

impl CodeOptions {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            languages: read_languages(fields),
            timeout: read_timeout(fields),
            max_memory: read_memory(fields),
            sandbox_enabled: fields.or("sandbox_enabled", true),
            auto_execute: fields.or("auto_execute", false),
        }
    }
}

fn read_languages(fields: &mut Fields<'_>) -> Vec<Language> {
    let default = || vec![Language::Python, Language::JavaScript];
    let Some(names) = fields.optional::<Vec<String>>("allowed_languages") else { return default() };
    let mut languages = Vec::new();
    for name in names {
        match Language::parse(name.trim()) {
            Some(language) if languages.contains(&language) => {}
            Some(language) => languages.push(language),
            None => fields.reject(
                "allowed_languages",
                format!("Input should be a list of 'python', 'javascript' and 'bash', not '{name}'"),
            ),
        }
    }
    if languages.is_empty() { default() } else { languages }
}

fn read_memory(fields: &mut Fields<'_>) -> u64 {
    let Some(value) = fields.value("max_memory") else { return DEFAULT_MEMORY };
    let megabytes = megabytes_of(value).filter(|megabytes| MEMORY_MEGABYTES.contains(megabytes));
    if megabytes.is_none() {
        fields.reject("max_memory", "Input should be from 64 to 65536 megabytes, such as 512, \"512MB\" or \"2GB\"");
    }
    megabytes.map_or(DEFAULT_MEMORY, |megabytes| megabytes * MEGABYTE)
}

fn megabytes_of(value: &Value) -> Option<u64> {
    if let Ok(megabytes) = i64::read(value) {
        return u64::try_from(megabytes).ok();
    }
    let text = value.as_str()?.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "m" | "mb" | "mib" => 1,
        "g" | "gb" | "gib" => 1024,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_is_a_number_of_megabytes_or_has_a_unit() {
        for (given, megabytes) in [
            (json!(512), 512),
            (json!(512.0), 512),
            (json!("512"), 512),
            (json!("512MB"), 512),
            (json!(" 2 GB "), 2048),
        ] {
            assert_eq!(megabytes_of(&given), Some(megabytes), "{given}");
        }
        for given in [json!("a lot"), json!("-5"), json!(1.5), json!("99999999999999999999"), json!([]), json!("5kb")] {
            assert_eq!(megabytes_of(&given).filter(|megabytes| MEMORY_MEGABYTES.contains(megabytes)), None, "{given}");
        }
    }
}
