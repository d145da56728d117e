use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;

use super::secret_variants::json_escaped;

/// Tells in one pass over a whole JSON text that none of its strings holds a secret, or breaks off in the middle of one: how each
/// secret begins, as JSON writes it.
pub(super) struct SecretScreen(Option<AhoCorasick>);

impl SecretScreen {
    /// A screen for these spellings, of which no string shows as much as the first `least` bytes.
    pub(super) fn new(spellings: &[String], least: usize) -> Self {
        let beginning = |text: &String| text.get(..text.floor_char_boundary(least)).map(json_escaped);
        let beginnings: BTreeSet<String> = spellings.iter().filter_map(beginning).collect();
        Self(AhoCorasick::new(beginnings).ok())
    }

    /// Whether one of the strings of this JSON may hold a secret.
    pub(super) fn may_find(&self, json: &str) -> bool {
        self.0.as_ref().is_none_or(|beginnings| beginnings.is_match(json))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::kernel::Redaction;

    proptest! {
        #[test]
        fn json_is_masked_string_by_string_however_it_escapes_them(
            secret in "[a-c\"\\\\é\n]{12,16}", before in "[a\"é ]{0,4}", length in 0usize..17, after in "[a\"]{0,2}",
        ) {
            let known = Redaction::of_texts([secret.as_str()], false);
            let begun = secret.get(..length.min(secret.len())).unwrap_or(&secret);
            let value = json!({"a": [format!("{before}{begun}{after}"), 1.5], format!("{before}{begun}"): null});
            prop_assert_eq!(known.to_json(&value), known.json(value).to_string());
        }
    }
}
