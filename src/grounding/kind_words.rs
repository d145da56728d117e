//! Words for a kind of resource: beside a name they say that it is one, and in a name they say nothing.

use super::ResourceKind;
use super::text::WordList;

static AGENT_WORDS: WordList =
    WordList::new("agent agents agenten agente bot assistant assistent assistente asistente");
static SOURCE_WORDS: WordList =
    WordList::new("database db datasource source datenbank datenquelle quelle base fuente schema cube");
static TOOL_WORDS: WordList = WordList::new("tool server mcp werkzeug tools herramienta outil plugin");

/// The words for a kind.
pub(super) fn kind_words(kind: ResourceKind) -> &'static WordList {
    match kind {
        ResourceKind::Agent => &AGENT_WORDS,
        ResourceKind::DataSource => &SOURCE_WORDS,
        ResourceKind::Tool => &TOOL_WORDS,
    }
}

/// Whether a word is one for any kind.
pub(super) fn is_kind_word(word: &str) -> bool {
    [&AGENT_WORDS, &SOURCE_WORDS, &TOOL_WORDS].into_iter().any(|words| words.has(word))
}
