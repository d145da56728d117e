//! Resources that a prompt calls by their names: `ask the billing agent`, `billing: ..`, `@billing`, `use billing to ..`.

use std::collections::HashMap;
use std::sync::Arc;

use super::ResourceKind;
use super::denial::{Denial, NamePlace, denial, is_joined};
use super::kind_words::{is_kind_word, kind_words};
use super::prepared::Prepared;
use super::prompt::{Clause, Prompt};
use super::text::WordList;

/// Verbs before a name that call it.
static VERBS: WordList = WordList::new(
    "ask asking use using querying calling consulting tell call consult query via through delegate forward hand pass invoke frag frage fragen nutze nutz \
     benutze benutz verwende nimm ruf rufe sag bitte ubergib pregunta preguntale preguntar usa uses utiliza utilices usar consulta consultes preguntes pidas llames pide \
     pidele dile llama demande demandez demander utilise utilisez consulte interroge interrogez dis appelle appelez",
);
/// Verbs that call the name before them: `kannst du zain fragen`.
static VERBS_AFTER: WordList = WordList::new("fragen bitten nutzen benutzen verwenden befragen abfragen");
/// What somebody does who is asked: `what does zain say`.
static SPEECH: WordList = WordList::new("say think advise recommend suggest");
/// Words that may stand between verb and name.
static BETWEEN: WordList = WordList::new(
    "mal bitte doch einfach please just kurz eben noch por favor if the a to this it that our der die das den dem an zu el la al los le les l au aux and und y et over on with named \
     called namens llamado nomme",
);

/// A resource that is called by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) resource: usize,
    /// The tokens that are for it.
    from: usize,
    to: usize,
    how: MentionForm,
}

/// How a resource is called by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MentionForm {
    /// What follows is said to it.
    Addressed,
    /// It is spoken of: `what does the billing agent say`.
    SpokenOf,
    /// It is ruled out.
    Denied(Denial),
}

impl Mention {
    /// Whether the prompt rules it out.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self.how, MentionForm::Denied(_))
    }

    /// Whether that is all that its clause says.
    pub(super) fn is_whole_denial(&self) -> bool {
        self.how == MentionForm::Denied(Denial::Whole)
    }

    /// Whether a clause is for it.
    pub(super) fn governs(&self, clause: &Clause) -> bool {
        self.from < clause.tokens.1 && clause.tokens.0 < self.to
    }
}

/// The names of resources, to be looked up word by word.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NameTable {
    /// By name: the numbers of the resources that have it.
    by_name: HashMap<Arc<str>, Vec<usize>>,
    /// Words of the longest one.
    longest: usize,
}

impl NameTable {
    /// The names of these.
    pub(super) fn of(resources: &[Arc<Prepared>]) -> Self {
        let mut table = Self::default();
        for (number, prepared) in resources.iter().enumerate().filter(|(_, prepared)| !prepared.name.is_empty()) {
            table.by_name.entry(prepared.name.clone()).or_default().push(number);
            table.longest = table.longest.max(prepared.name.split(' ').count());
        }
        table
    }

    /// The resources whose names begin with a word of a prompt, in their order, and how many words these have.
    fn at(&self, prompt: &Prompt, at: usize) -> Vec<(usize, usize)> {
        let (mut found, mut words) = (Vec::new(), String::new());
        for (length, token) in (1..=self.longest).zip(prompt.tokens.get(at..).unwrap_or_default()) {
            if length > 1 {
                words.push(' ');
            }
            words.push_str(&token.folded);
            found.extend(self.by_name.get(words.as_str()).into_iter().flatten().map(|number| (*number, length)));
        }
        found.sort_unstable();
        found
    }
}

/// The resources that a prompt calls by their names, in its order.
pub(super) fn mentions(prompt: &Prompt, resources: &[Arc<Prepared>], names: &NameTable) -> Vec<Mention> {
    let mut found: Vec<Mention> = Vec::new();
    for at in 0..prompt.tokens.len() {
        for (resource, length) in names.at(prompt, at) {
            let Some(prepared) = resources.get(resource) else { continue };
            let denied = found.iter().find(|mention| mention.is_denied() && is_joined(prompt, mention.to, at));
            let how = denied.map(|mention| mention.how);
            if let Some(how) = how.or_else(|| call(prompt, prepared.vocabulary.kind, at, length)) {
                found.push(Mention { resource, from: at, to: at + length, how });
            }
        }
    }
    let starts: Vec<_> = found.iter().map(|mention| mention.from).collect();
    for mention in found.iter_mut().filter(|mention| !mention.is_denied()) {
        let next = starts.iter().copied().filter(|start| *start > mention.from).min();
        mention.to = end(prompt, mention, next);
    }
    found
}

/// How a name is used to call whoever has it, if it is.
fn call(prompt: &Prompt, kind: ResourceKind, at: usize, length: usize) -> Option<MentionForm> {
    let kinds = kind_words(kind);
    let word = |at: usize| prompt.tokens.get(at).map_or("", |token| token.folded.as_str());
    let is_kind = |at: Option<usize>| at.is_some_and(|at| kinds.has(word(at)));
    let mut after = at + length;
    let mut has_kind = is_kind(Some(after)) || is_kind(at.checked_sub(1));
    if is_kind(Some(after)) {
        after += 1;
    }
    let back = |from: usize| from.checked_sub(1);
    let mut before = back(at);
    while before.is_some_and(|at| BETWEEN.has(word(at)) || kinds.has(word(at))) {
        before = before.and_then(back);
    }
    let is_verb_after = |after: usize| VERBS_AFTER.has(word(after));
    let is_called = before.is_some_and(|at| VERBS.has(word(at))) || is_verb_after(after);
    let is_other = !has_kind && (is_kind_word(word(after)) || back(at).is_some_and(|at| is_kind_word(word(at))));
    let is_called_or_denied = is_called || is_verb_after(after + 1);
    let place = NamePlace { at, after, before, is_called: is_called_or_denied, has_kind };
    if let Some(denial) = denial(prompt, &place, |at| VERBS.has(word(at))).filter(|_| !is_other) {
        return Some(MentionForm::Denied(denial));
    }
    has_kind |= SPEECH.has(word(after));
    if prompt.gap(at).ends_with('@') {
        return Some(MentionForm::Addressed);
    }
    let begins = prompt.begins_address(at);
    if begins && (prompt.gap(after).starts_with(':') || prompt.gap(after).starts_with(',')) {
        return Some(MentionForm::Addressed);
    }
    match (is_called, has_kind) {
        (false, false) => None,
        (true, _) => Some(MentionForm::Addressed),
        (false, true) => Some(MentionForm::SpokenOf),
    }
}

/// Where what is said to a resource ends: with the sentence, with the next one that is called, or where something else is wanted.
fn end(prompt: &Prompt, mention: &Mention, next: Option<usize>) -> usize {
    let ends = |clause: &&Clause| {
        let is_other = mention.how == MentionForm::SpokenOf && clause.is_imperative;
        let is_next = next.is_some_and(|next| next <= clause.tokens.1);
        let ends = clause.is_sentence || is_other || is_next || prompt.turns_to_us(clause.tokens.0);
        clause.tokens.0 >= mention.to && ends
    };
    prompt.clauses.iter().find(ends).map_or(prompt.tokens.len(), |clause| clause.tokens.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grounding::Vocabulary;

    fn called(name: &str) -> Arc<Prepared> {
        let (name, version, description, items) = (name.to_owned(), String::new(), None, Vec::new());
        let kind = ResourceKind::Agent;
        Arc::new(Prepared::of(Arc::new(Vocabulary { kind, name, version, description, items, is_complete: true })))
    }

    proptest! {
        #[test]
        fn the_table_has_the_names_that_a_look_at_every_resource_finds(
            names in proptest::collection::vec("[ab]( [abé]){0,2}( agent)?|agent", 0..8),
            prompt in "[abeé]( [ab]){0,7}",
        ) {
            let (resources, prompt): (Vec<_>, _) = (names.iter().map(|name| called(name)).collect(), Prompt::read(&prompt));
            let table = NameTable::of(&resources);
            for at in 0..prompt.tokens.len() {
                let rest: Vec<_> = prompt.tokens[at..].iter().map(|token| token.folded.as_str()).collect();
                let begins = |prepared: &Prepared| {
                    let words: Vec<_> = prepared.name.split(' ').filter(|word| !word.is_empty()).collect();
                    (!words.is_empty() && rest.starts_with(&words)).then_some(words.len())
                };
                let scanned = resources.iter().enumerate().filter_map(|(number, one)| Some((number, begins(one)?)));
                prop_assert_eq!(table.at(&prompt, at), scanned.collect::<Vec<_>>());
            }
        }
    }
}
