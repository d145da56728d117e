//! Words for a kind of resource: beside a name they say that it is one, and in a name they say nothing.

use super::ResourceKind;
use super::text::is_among;

const AGENT_WORDS: &str = "agent agents agenten agente bot assistant assistent assistente asistente";
const SOURCE_WORDS: &str = "database db datasource source datenbank datenquelle quelle base fuente schema cube";
const TOOL_WORDS: &str = "tool server mcp werkzeug tools herramienta outil plugin";

/// The words for a kind.
pub(super) fn kind_words(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Agent => AGENT_WORDS,
        ResourceKind::DataSource => SOURCE_WORDS,
        ResourceKind::Tool => TOOL_WORDS,
    }
}

/// Whether a word is one for any kind.
pub(super) fn is_kind_word(word: &str) -> bool {
    [AGENT_WORDS, SOURCE_WORDS, TOOL_WORDS].iter().any(|words| is_among(word, words))
}
