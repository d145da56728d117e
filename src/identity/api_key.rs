use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use crate::kernel::{Error, Secret};

/// What each key begins with, so that it is known for one where it was left by mistake.
pub const KEY_PREFIX: &str = "osk_";
/// Characters of a key.
pub const KEY_LENGTH: usize = KEY_PREFIX.len() + 43;
/// Longest name of a key, or of something that it is for, in characters.
pub const MAX_LABEL_CHARS: usize = 100;
/// Characters of a key that people are shown.
const SHOWN_CHARS: usize = 12;

/// A key that was just made. The only time that its text is known.
#[derive(Debug)]
pub struct NewApiKey {
    /// What a caller sends.
    pub text: Secret,
    /// How it begins.
    pub prefix: String,
    /// What is kept of it.
    pub hash: [u8; 32],
}

impl NewApiKey {
    /// Makes a key of 256 random bits.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|error| Error::internal("the system gives no random numbers", error.to_string()))?;
        Ok(Self::of(&format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// A key that somebody else has made.
    pub fn of(text: &str) -> Self {
        let prefix = text.chars().take(SHOWN_CHARS).collect();
        Self { text: Secret::new(text), prefix, hash: hash(text) }
    }
}

/// The name of a key, or of something that it is for; the error says what was expected.
pub fn label(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > MAX_LABEL_CHARS {
        return Err(format!("Input should have 1 to {MAX_LABEL_CHARS} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("Input should have no control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// What is kept of a key. A key has so many bits that its digest tells nothing, however often it is tried.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_key_has_its_form_and_is_no_other_one() {
        let keys: Vec<_> = (0..200).map(|_| NewApiKey::generate().unwrap()).collect();
        for key in &keys {
            let text = key.text.expose();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(text.len() == KEY_LENGTH && text.starts_with("osk_") && text.bytes().all(is_plain), "{text}");
            assert_eq!((key.prefix.as_str(), key.hash), (&text[..12], hash(text)));
        }
        assert_eq!(keys.iter().map(|key| key.hash).collect::<HashSet<_>>().len(), 200);
        assert!(!format!("{:?}", keys[0]).contains(keys[0].text.expose()));
    }

    #[test]
    fn a_label_is_a_text_that_people_can_read() {
        assert_eq!(label("CI of the shop").unwrap(), "CI of the shop");
        assert_eq!(label(&"é".repeat(100)).unwrap().chars().count(), 100);
        for wrong in ["", "  ", "a\nb", "\u{1b}[31m", &"é".repeat(101)] {
            assert!(label(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_digest_is_sha256() {
        let shown: String = hash("abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
