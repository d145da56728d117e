use serde::Serialize;
use serde_json::Value;

use crate::kernel::Redaction;

/// Output of a tool. On the wire it is the value alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ToolOutput {
    /// Answer of a server, or any text; null if there is none.
    Json(Value),
    /// Results of a web search.
    Search(SearchOutput),
    /// Output of a program.
    Program(ProgramOutput),
}

/// Results of a web search.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchOutput {
    /// Text that was searched for.
    pub query: String,
    /// Name of the search engine in configurations.
    pub provider: &'static str,
    /// The results, the best first.
    pub results: Vec<SearchHit>,
    /// How many there are.
    pub count: usize,
}

/// One result of a web search.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchHit {
    /// Title of the page.
    pub title: String,
    /// URL of the page.
    pub url: String,
    /// Extract of the page.
    pub snippet: String,
    /// Relevance, as the engine counts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Date of the page, as the engine writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

/// Output of a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProgramOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; none if the program was stopped.
    pub exit_code: Option<i32>,
}

impl ToolOutput {
    /// The output as text; none if there is none.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Json(Value::Null) => None,
            Self::Json(Value::String(text)) => Some(text.clone()),
            other => serde_json::to_string(other).ok(),
        }
    }

    /// The output with these credentials masked.
    pub(super) fn redacted(mut self, redaction: &Redaction) -> Self {
        let mask = |text: &mut String| *text = redaction.text(text);
        match &mut self {
            Self::Json(value) => *value = redaction.json(value.take()),
            Self::Search(found) => {
                mask(&mut found.query);
                for hit in &mut found.results {
                    [&mut hit.title, &mut hit.url, &mut hit.snippet]
                        .into_iter()
                        .chain(&mut hit.published)
                        .for_each(mask);
                }
            }
            Self::Program(output) => [&mut output.stdout, &mut output.stderr].into_iter().for_each(mask),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kernel::Secret;

    #[test]
    fn a_credential_is_masked_wherever_it_stands() {
        let secret = "sk-0123456789abcdef";
        let text = || format!("before {secret} after");
        let hit = SearchHit { title: text(), url: text(), snippet: text(), score: Some(1.0), published: Some(text()) };
        let outputs = [
            ToolOutput::Json(json!({secret: [text()]})),
            ToolOutput::Search(SearchOutput { query: text(), provider: "generic", results: vec![hit], count: 1 }),
            ToolOutput::Program(ProgramOutput { stdout: text(), stderr: text(), exit_code: Some(0) }),
        ];
        let redaction = Redaction::new([Secret::new(secret)]);
        for output in outputs {
            let masked = output.redacted(&redaction).text().unwrap();
            assert!(masked.contains("before") && !masked.contains(secret), "{masked}");
        }
    }
}
