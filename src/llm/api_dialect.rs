use serde_json::Value;

use super::adaptation::Adaptation;
use super::reading::{self, Expected};
use super::types::StreamReader;
use super::{ChatRequest, Completion, ollama, openai};
use crate::settings::LlmSettings;

/// A wire format, fixed for one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiDialect {
    OpenAi,
    Ollama,
}

impl ApiDialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
        }
    }

    pub(super) fn chat_url(self, base: &str) -> String {
        match self {
            Self::OpenAi => format!("{}/chat/completions", openai_root(base)),
            Self::Ollama => format!("{}/api/chat", ollama_root(base)),
        }
    }

    pub(super) fn models_url(self, base: &str) -> String {
        match self {
            Self::OpenAi => format!("{}/models", openai_root(base)),
            Self::Ollama => format!("{}/api/tags", ollama_root(base)),
        }
    }

    pub(super) fn embeddings_url(self, base: &str) -> String {
        match self {
            Self::OpenAi => format!("{}/embeddings", openai_root(base)),
            Self::Ollama => format!("{}/api/embed", ollama_root(base)),
        }
    }

    /// Where Ollama tells about a model.
    pub(super) fn show_url(base: &str) -> String {
        format!("{}/api/show", ollama_root(base))
    }

    /// Where llama.cpp tells what it runs a model with.
    pub(super) fn props_url(base: &str) -> String {
        format!("{}/props", ollama_root(base))
    }

    /// The embeddings in a reply to [`ApiDialect::embeddings_url`].
    pub(super) fn embeddings(self, reply: &Value) -> Option<Vec<Vec<f32>>> {
        match self {
            Self::OpenAi => openai::embeddings(reply),
            Self::Ollama => ollama::embeddings(reply),
        }
    }

    /// What to ask for a sign of life: the first that answers 200 counts.
    pub(super) fn health_urls(self, base: &str) -> [String; 2] {
        let root = ollama_root(base);
        match self {
            Self::OpenAi => [self.models_url(base), format!("{root}/health")],
            Self::Ollama => [version_url(base), root],
        }
    }

    /// What a stream of this format is announced as.
    pub(super) fn stream_type(self) -> &'static str {
        match self {
            Self::OpenAi => "text/event-stream",
            Self::Ollama => "application/x-ndjson",
        }
    }

    /// The body of a request in the form that the model is known to need.
    pub(super) fn body(
        self,
        request: &ChatRequest,
        model: &str,
        llm: &LlmSettings,
        stream: bool,
        adaptations: &[Adaptation],
    ) -> Value {
        let mut body = match self {
            Self::OpenAi => openai::body(request, model, llm, stream, adaptations),
            Self::Ollama => ollama::body(request, model, llm, stream, adaptations),
        };
        adaptations.iter().for_each(|adaptation| adaptation.apply(&mut body));
        Value::Object(body)
    }

    /// The answer in a complete reply; the error completes a sentence that begins with the server's name.
    pub(super) fn completion(self, reply: &Value, expected: Expected) -> Result<Completion, String> {
        match self {
            Self::OpenAi => reading::openai::completion(reply, expected),
            Self::Ollama => reading::ollama::completion(reply, expected),
        }
    }

    /// The list of models in a reply to [`ApiDialect::models_url`].
    pub(super) fn models(self, reply: &Value) -> Option<Vec<Value>> {
        match self {
            Self::OpenAi => openai::models(reply),
            Self::Ollama => ollama::models(reply),
        }
    }

    pub(super) fn reader(self, expected: Expected) -> Box<dyn StreamReader> {
        match self {
            Self::OpenAi => Box::new(reading::openai::OpenAiReader::new(expected)),
            Self::Ollama => Box::new(reading::ollama::OllamaReader::new(expected)),
        }
    }
}

/// Where to ask whether a server is Ollama.
pub(super) fn version_url(base: &str) -> String {
    format!("{}/api/version", ollama_root(base))
}

/// The base without trailing slashes, doubled slashes, and the endpoint that some people paste along.
fn normalized(base: &str) -> String {
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    let parts: Vec<_> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let endpoint = [["chat", "completions"].as_slice(), &["api", "chat"], &["api", "generate"]];
    let kept = endpoint.iter().find_map(|tail| parts.strip_suffix(*tail)).unwrap_or(&parts);
    format!("{scheme}://{}", kept.join("/"))
}

/// OpenAI-compatible servers differ in where their version stands (`/v1`, `/api/v1`, `/v1beta/openai`): a base that
/// names a version is taken as it is, any other gets `/v1`.
fn openai_root(base: &str) -> String {
    let base = normalized(base);
    let path = base.split_once("://").map_or("", |(_, rest)| rest);
    if path.split('/').skip(1).any(is_version) { base } else { format!("{base}/v1") }
}

fn ollama_root(base: &str) -> String {
    let base = normalized(base);
    let root = base.strip_suffix("/v1").or_else(|| base.strip_suffix("/api")).unwrap_or(&base);
    root.to_owned()
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_works_with_or_without_version_and_with_any_slashes() {
        for base in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1//v1//", "http://h:1/v1/chat/completions"]
        {
            assert_eq!(ApiDialect::OpenAi.chat_url(base), "http://h:1/v1/chat/completions", "{base}");
            assert_eq!(ApiDialect::OpenAi.models_url(base), "http://h:1/v1/models", "{base}");
            assert_eq!(ApiDialect::Ollama.chat_url(base), "http://h:1/api/chat", "{base}");
        }
        for base in ["http://h/api", "http://h/api/chat", "http://h/api/generate/", "http://h"] {
            assert_eq!(ApiDialect::Ollama.chat_url(base), "http://h/api/chat", "{base}");
        }
        let elsewhere = [
            ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"),
            ("https://g.example/v1beta/openai/", "https://g.example/v1beta/openai/chat/completions"),
            ("https://v1.example", "https://v1.example/v1/chat/completions"),
            ("https://h/proxy", "https://h/proxy/v1/chat/completions"),
        ];
        for (base, url) in elsewhere {
            assert_eq!(ApiDialect::OpenAi.chat_url(base), url);
        }
    }
}
