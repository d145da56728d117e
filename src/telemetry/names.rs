use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// Stands for all names beyond the limit.
const OTHER: &str = "other";
/// Longest name used as a label, in bytes.
const LONGEST: usize = 128;

/// Names that become labels, up to a number: each one costs memory here and in Prometheus for good, and some are made up by
/// callers.
#[derive(Debug)]
pub(super) struct Names {
    most: usize,
    known: RwLock<HashSet<String>>,
}

impl Names {
    pub(super) fn at_most(most: usize) -> Self {
        Self { most, known: RwLock::default() }
    }

    /// The label for a name that has one, or else `other`.
    pub(super) fn known(&self, name: &str) -> String {
        let is_known = self.known.read().unwrap_or_else(PoisonError::into_inner).contains(name);
        if is_known { name.to_owned() } else { OTHER.to_owned() }
    }

    /// The label for a name: itself, or `other` if there are too many already.
    pub(super) fn label(&self, name: &str) -> String {
        if name.is_empty() || name.len() > LONGEST {
            return OTHER.to_owned();
        }
        if self.known.read().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return name.to_owned();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < self.most || known.contains(name) {
            known.insert(name.to_owned());
            return name.to_owned();
        }
        OTHER.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_share_one_label() {
        let names = Names::at_most(3);
        let labels: HashSet<_> = (0..10_000).map(|n| names.label(&format!("name-{n}"))).collect();
        assert_eq!(labels.len(), 4);
        assert_eq!((names.label("name-1"), names.label("name-9")), ("name-1".to_owned(), "other".to_owned()));
        assert_eq!(names.label(&"x".repeat(200)), "other");
        assert_eq!((names.known("name-2"), names.known("name-3")), ("name-2".to_owned(), "other".to_owned()));
    }
}
