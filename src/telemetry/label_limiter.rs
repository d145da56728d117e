use std::collections::HashSet;

use parking_lot::RwLock;

/// Stands for all names beyond the limit.
const OTHER: &str = "other";
/// Longest name used as a label, in bytes.
const MAX_LABEL_BYTES: usize = 128;

/// Names that become labels, up to a number: each costs memory for good, and callers make some of them up.
#[derive(Debug)]
pub(super) struct LabelLimiter {
    max: usize,
    seen: RwLock<HashSet<String>>,
}

impl LabelLimiter {
    pub(super) fn new(max: usize) -> Self {
        Self { max, seen: RwLock::default() }
    }

    /// The label for a name that has one, or else `other`.
    pub(super) fn existing_label(&self, name: &str) -> String {
        let is_known = self.seen.read().contains(name);
        if is_known { name.to_owned() } else { OTHER.to_owned() }
    }

    /// The label for a name: itself, or `other` if there are too many already.
    pub(super) fn label(&self, name: &str) -> String {
        let may_be_one = !name.is_empty() && name.len() <= MAX_LABEL_BYTES;
        if may_be_one && !self.seen.read().contains(name) {
            let mut seen = self.seen.write();
            if seen.len() < self.max {
                seen.insert(name.to_owned());
            }
        }
        self.existing_label(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_share_one_label() {
        let names = LabelLimiter::new(3);
        let labels: HashSet<_> = (0..10_000).map(|n| names.label(&format!("name-{n}"))).collect();
        assert_eq!(labels.len(), 4);
        assert_eq!((names.label("name-1"), names.label("name-9")), ("name-1".to_owned(), "other".to_owned()));
        assert_eq!(names.label(&"x".repeat(200)), "other");
        assert_eq!(
            (names.existing_label("name-2"), names.existing_label("name-3")),
            ("name-2".to_owned(), "other".to_owned())
        );
    }
}
