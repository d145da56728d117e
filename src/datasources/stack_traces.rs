use std::sync::LazyLock;

use regex::Regex;

/// Longest text of an error, in characters.
const MAX_CHARS: usize = 500;

/// What a service says of an error without what is about its own insides: no stack, and no paths of its files.
pub(super) fn strip_stack_traces(said: &str) -> String {
    // A path with two segments or more, with the place in the file behind it, and `at name (...)` around it; the group is what stays.
    static PATH: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let path = r#"(?:file://)?(?:/|[A-Za-z]:\\)[^\s'"()/\\]+(?:[/\\][^\s'"()/\\]+)+"#;
        let call = r"\s+at\s+(?:async\s+)?(?:[\w.<>$\[\] ]+\s)?\(?";
        Regex::new(&format!(r#"(?:{call}{path}\)?)|(^|[\s'"(]){path}"#)).ok()
    });
    let lines = said.trim().lines().filter(|line| !line.trim_start().starts_with("at "));
    let said = lines.collect::<Vec<_>>().join("\n");
    let said = PATH.as_ref().map_or_else(String::new, |path| path.replace_all(&said, "$1").into_owned());
    said.trim().chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_nothing_of_the_insides_of_its_service() {
        for (said, shown) in [
            ("Error: 'x' not found for path 'orders.x'", "Error: 'x' not found for path 'orders.x'"),
            ("Error: no cube at CubeSymbols.path (/app/node_modules/@cubejs/src/Cube.js:10:5)", "Error: no cube"),
            ("\nError: boom\n    at Object.<anonymous> (/app/index.js:1:7)\nin line 2\n", "Error: boom\nin line 2"),
            ("ENOENT: no such file, open '/cube/conf/model/orders.yml'", "ENOENT: no such file, open ''"),
            ("Error: boom at async run (file:///app/dist/x.js:3:1)", "Error: boom"),
            ("Error: boom at /app/node_modules/x.js:3", "Error: boom"),
            (r"cannot open C:\cube\conf\a.js", "cannot open"),
            ("divide a/b/c by 1/2, see https://cube.dev/docs/x", "divide a/b/c by 1/2, see https://cube.dev/docs/x"),
            ("", ""),
        ] {
            assert_eq!(strip_stack_traces(said), shown);
        }
        assert_eq!(strip_stack_traces(&"x".repeat(2000)).len(), MAX_CHARS);
    }
}
