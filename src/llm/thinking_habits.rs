use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Completion;

/// Models whose habit is remembered.
const MAX_MODELS: usize = 256;
/// Parts of the names of models whose templates write the opening tag of their reasoning into the prompt.
const KNOWN_MODELS: [&str; 6] = ["deepseek-r1", "r1-distill", "qwq", "thinking", "glm-z1", "exaone-deep"];

/// Which models begin with reasoning that no tag opens. Until one has answered, its name decides. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ThinkingHabits {
    known: Arc<Mutex<HashMap<String, bool>>>,
}

impl ThinkingHabits {
    /// Whether the text of a model waits until it is certain to be its answer.
    pub(super) fn expects_unopened(&self, model: &str) -> bool {
        let known = self.known.lock().get(model).copied();
        known.unwrap_or_else(|| {
            let name = model.to_ascii_lowercase();
            KNOWN_MODELS.iter().any(|known| name.contains(known))
        })
    }

    /// Remembers how a model has answered.
    pub(super) fn note(&self, model: &str, answer: &Completion) {
        let Some(is_unopened) = answer.unopened_reasoning else { return };
        let mut known = self.known.lock();
        if known.len() >= MAX_MODELS && !known.contains_key(model) {
            known.clear();
        }
        known.insert(model.to_owned(), is_unopened);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_did_counts_more_than_its_name() {
        let habits = ThinkingHabits::default();
        let answer = |unopened_reasoning| Completion { unopened_reasoning, ..Completion::default() };
        assert_eq!(
            ["llama3.2", "DeepSeek-R1:7b", "qwq"].map(|model| habits.expects_unopened(model)),
            [false, true, true]
        );
        habits.note("llama3.2", &answer(Some(true)));
        habits.note("qwq", &answer(Some(false)));
        habits.note("qwq", &answer(None));
        assert_eq!(["llama3.2", "qwq"].map(|model| habits.expects_unopened(model)), [true, false]);
        (0..=MAX_MODELS).for_each(|at| habits.note(&at.to_string(), &answer(Some(true))));
        assert!(habits.known.lock().len() <= MAX_MODELS);
    }
}
