use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::kernel::constant_regex;
use crate::settings::Language;

/// A program and its language.
#[derive(Debug, PartialEq)]
pub(in crate::chat) struct Program {
    pub(super) language: Language,
    pub(super) code: String,
}

static FENCE: LazyLock<Regex> =
    LazyLock::new(|| constant_regex(r"(?ms)^[ \t]*```[ \t]*([A-Za-z0-9+#.-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*\r?$"));

/// The longest fenced block in a language that may be run; one without a language is taken for the first of them.
pub(super) fn program_in(text: &str, languages: &[Language]) -> Option<Program> {
    let program = |found: Captures<'_>| {
        let language = match found.get(1).map_or("", |tag| tag.as_str()).to_ascii_lowercase().as_str() {
            "" => languages.first().copied(),
            "py" | "python3" => Some(Language::Python),
            "js" | "node" | "mjs" => Some(Language::JavaScript),
            "sh" | "shell" => Some(Language::Bash),
            other => Language::parse(other),
        };
        let language = language.filter(|language| languages.contains(language))?;
        let code = found.get(2)?.as_str().to_owned();
        (!code.trim().is_empty()).then_some(Program { language, code })
    };
    // Of several, the first of the longest.
    let programs: Vec<_> = FENCE.captures_iter(text).filter_map(program).collect();
    programs.into_iter().rev().max_by_key(|program| program.code.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Language; 2] = [Language::Python, Language::JavaScript];

    fn code(text: &str) -> Option<(&'static str, String)> {
        program_in(text, &BOTH).map(|program| (program.language.as_str(), program.code))
    }

    #[test]
    fn the_program_is_the_longest_block_that_may_be_run() {
        let text = "Install:\n```bash\npip install a-very-long-name-of-a-package\n```\nThen:\n```py\nprint(1)\n```\nor\n```\n1\n```";
        assert_eq!(code(text), Some(("python", "print(1)\n".to_owned())));
        assert_eq!(code("```js\nconsole.log(1)\n```"), Some(("javascript", "console.log(1)\n".to_owned())));
        assert_eq!(code("```\nprint(2)\n```"), Some(("python", "print(2)\n".to_owned())));
        assert_eq!(code("  ```python title=a\n  print(3)\n  ```\nbye"), Some(("python", "  print(3)\n".to_owned())));
        for nothing in ["print(1)", "```rust\nfn main() {}\n```", "```python\n```", "```python\nprint(1)"] {
            assert_eq!(code(nothing), None, "{nothing}");
        }
    }
}
