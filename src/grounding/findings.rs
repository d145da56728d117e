use std::collections::HashSet;

use super::ResourceKind;

/// What a prompt was found to be about.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Whether anything that is configured is needed at all.
    pub need: Need,
    /// The resources that it may be about, best first; none if it is about nothing that is configured.
    pub candidates: Vec<Candidate>,
    /// The verified question that it asks in other words, best first.
    pub verified: Vec<VerifiedMatch>,
    /// The resources that it rules out by their names: none of these is used for it.
    pub denied: Vec<(ResourceKind, String)>,
}

/// Whether a prompt needs something that is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// It does not: small talk, a translation, a program, an explanation.
    #[default]
    Nothing,
    /// It names no subject: `Hello`, `Please look it up`.
    Unsaid,
    /// It might: a statement, a letter, a request for advice.
    Perhaps,
    /// It asks for something that somebody may know.
    Something,
}

/// How certain it is that a resource has to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clarity {
    /// Worth offering to a model, which decides.
    Possible,
    /// It has to be used: no model needs to be asked.
    Clear,
}

/// A resource that a prompt may be about.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name in the catalog.
    pub name: String,
    /// For a tool with several functions: the one that fits best, by its published name.
    pub function: Option<String>,
    /// 0 to 1.
    pub score: f64,
    /// Whether that is enough.
    pub clarity: Clarity,
    /// Whether the prompt calls it by its name.
    pub is_named: bool,
    /// Why, in words for a person: `'invoices' and 'overdue' (table invoices)`.
    pub reason: String,
    /// The items that fit, best first: tables, functions.
    pub items: Vec<String>,
    /// The number of the clause of the prompt that it serves.
    pub clause: usize,
    /// Whether that clause points to what earlier ones ask for: `.. and write a reminder for each`.
    pub builds_on_earlier: bool,
}

/// A verified question that a prompt asks in other words.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedMatch {
    /// The data source.
    pub datasource: String,
    /// The id of the question.
    pub id: String,
    /// 0 to 1.
    pub similarity: f64,
    /// Values that the prompt gives to parameters of the question: as many have to be found in it.
    pub given: usize,
}

/// Scores by which an embedding alone makes a resource clear, or worth offering. Sentences that mean the same are seldom less alike
/// than the first, others seldom as much as the second.
const CLEAR_SIMILARITY: f64 = 0.62;
const POSSIBLE_SIMILARITY: f64 = 0.35;

impl Clarity {
    /// What a similarity of meanings, 0 to 1, makes of a resource; `None` if it is not worth offering.
    pub fn of_similarity(similarity: f64) -> Option<Self> {
        match similarity {
            clear if clear >= CLEAR_SIMILARITY => Some(Self::Clear),
            possible if possible >= POSSIBLE_SIMILARITY => Some(Self::Possible),
            _ => None,
        }
    }
}

impl Findings {
    /// Whether the words alone decide: something has to be used, or clearly nothing.
    pub fn is_settled(&self) -> bool {
        self.need <= Need::Unsaid || self.clear().next().is_some()
    }

    /// What has to be used, in the order of the prompt.
    pub fn clear(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.clarity == Clarity::Clear)
    }

    /// Whether the prompt rules a resource out.
    pub fn is_denied(&self, kind: ResourceKind, name: &str) -> bool {
        self.denied.iter().any(|(denied, of_it)| *denied == kind && of_it == name)
    }

    /// Adds a candidate, or what it adds to one that is known. What is clear must be needed, and what is ruled out is none.
    pub fn add(&mut self, candidate: Candidate) {
        if self.is_denied(candidate.kind, &candidate.name) {
            return;
        }
        let is_clear = self.need == Need::Something || candidate.is_named || candidate.kind == ResourceKind::Agent;
        let clarity = if is_clear { candidate.clarity } else { Clarity::Possible };
        let candidate = Candidate { clarity, ..candidate };
        let same = |known: &&mut Candidate| known.kind == candidate.kind && known.name == candidate.name;
        let Some(known) = self.candidates.iter_mut().find(same) else { return self.candidates.push(candidate) };
        for item in &candidate.items {
            if !known.items.contains(item) {
                known.items.push(item.clone());
            }
        }
        if (candidate.clarity, candidate.score) > (known.clarity, known.score) {
            let clause = if known.clarity == candidate.clarity { known.clause } else { candidate.clause };
            let items = std::mem::take(&mut known.items);
            *known = Candidate { items, clause, ..candidate };
        }
    }

    /// Adds many candidates, each of another resource, none of them clear.
    pub(super) fn add_possible(&mut self, candidates: impl Iterator<Item = Candidate>) {
        let known: HashSet<_> = self.candidates.iter().map(|known| (known.kind, known.name.clone())).collect();
        for candidate in candidates {
            if known.contains(&(candidate.kind, candidate.name.clone())) {
                self.add(candidate);
            } else if !self.is_denied(candidate.kind, &candidate.name) {
                self.candidates.push(candidate);
            }
        }
    }

    /// Puts the best candidates first: what is clear, in the order of the prompt, then the others by their scores.
    pub fn sort(&mut self) {
        self.candidates.sort_by(|one, other| {
            let place = |candidate: &Candidate| match candidate.clarity {
                Clarity::Clear => candidate.clause,
                Clarity::Possible => usize::MAX,
            };
            place(one).cmp(&place(other)).then(other.score.total_cmp(&one.score)).then(one.name.cmp(&other.name))
        });
    }
}
