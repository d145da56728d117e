use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

use super::MASK;

/// What encrypted texts begin with.
const PREFIX: &str = "enc:v1:";
/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// A key that encrypts what is stored: AES-256-GCM with a random nonce. What it makes reads `enc:v1:<key id>:<base64 of nonce, ciphertext
/// and tag>`. Cheap to clone.
#[derive(Clone)]
pub struct EncryptionKey {
    id: Arc<str>,
    key: Arc<LessSafeKey>,
}

impl EncryptionKey {
    /// What a key should be.
    pub const EXPECTED: &str = "Input should be 32 random bytes in base64 or hex; 'openssl rand -base64 32' makes them";

    /// A key as it is written: 32 bytes in base64 or hex. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let decoded = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD].into_iter();
        let decoded = decoded.filter_map(|engine| engine.decode(text).ok()).chain(from_hex(text));
        let bytes = decoded.into_iter().find(|bytes| bytes.len() == KEY_BYTES)?;
        // A key is random: one byte over and over is a placeholder.
        if bytes.windows(2).all(|pair| pair.first() == pair.last()) {
            return None;
        }
        let id = digest::digest(&digest::SHA256, &[b"orchestrator-studio key id".as_slice(), &bytes].concat());
        let id: String = id.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?);
        Some(Self { id: id.into(), key: Arc::new(key) })
    }

    /// What tells it from other keys, and nothing of what it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A text in encrypted form, which can be decrypted in the same context only: where the text stands. `None` if the system has no
    /// random numbers.
    pub fn encrypt(&self, text: &str, context: &str) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut bytes = text.as_bytes().to_vec();
        let associated = Aad::from(context.as_bytes());
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated, &mut bytes).ok()?;
        Some(format!("{PREFIX}{}:{}", self.id, STANDARD.encode([nonce.as_slice(), &bytes].concat())))
    }

    /// The text that this key has encrypted in this context; `None` if it has not.
    pub fn decrypt(&self, encrypted: &str, context: &str) -> Option<String> {
        let encoded = encrypted.strip_prefix(PREFIX)?.strip_prefix(self.id())?.strip_prefix(':')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN)?;
        let (nonce, mut text) = (Nonce::try_assume_unique_for_key(nonce).ok()?, ciphertext.to_vec());
        let plain = self.key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut text).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

/// The id of the key that has encrypted a text; `None` if it is not encrypted.
pub fn encrypted_by(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX).map(|rest| rest.split_once(':').map_or(rest, |(id, _)| id))
}

impl std::fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncryptionKey({} {MASK})", self.id)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    digits.map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> EncryptionKey {
        let bytes: Vec<u8> = (0..32).map(|index| byte ^ index).collect();
        EncryptionKey::parse(&STANDARD.encode(bytes)).unwrap()
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hex() {
        let bytes: Vec<u8> = (100..132).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let ids = [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes), hex.clone(), format!(" {hex}\n")]
            .map(|text| EncryptionKey::parse(&text).unwrap().id().to_owned());
        assert!(ids.iter().all(|id| *id == ids[0] && id.len() == 8), "{ids:?}");
        assert!(!format!("{:?}", EncryptionKey::parse(&hex)).contains(&hex[8..]));
        for wrong in
            ["", "secret", &hex[2..], "zz", &STANDARD.encode([7; 32]), &"0".repeat(64), &STANDARD.encode([1; 16])]
        {
            assert!(EncryptionKey::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_text_of_another_key_place_or_hand_is_not_decrypted() {
        let (key, other) = (key(1), key(2));
        let encrypted = key.encrypt("s3cret", "agents/a").unwrap();
        assert_eq!(encrypted_by(&encrypted), Some(key.id()));
        assert_ne!(encrypted, key.encrypt("s3cret", "agents/a").unwrap());
        assert_eq!(key.decrypt(&encrypted, "agents/b"), None);
        assert_eq!(other.decrypt(&encrypted, "agents/a"), None);
        // With the id of another key, as who lays hands on the store would write it.
        assert_eq!(other.decrypt(&encrypted.replace(key.id(), other.id()), "agents/a"), None);
        for broken in
            ["", "enc:v1:", "enc:v1:00", &format!("enc:v1:{}:", key.id()), &format!("enc:v1:{}:AAAA", key.id())]
        {
            assert_eq!(key.decrypt(broken, "agents/a"), None, "{broken}");
        }
        for at in 16..encrypted.len() {
            let mut changed = encrypted.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.decrypt(&String::from_utf8(changed).unwrap(), "agents/a"), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encrypted_is_decrypted(text in ".{0,40}", context in ".{0,10}") {
            let encrypted = key(9).encrypt(&text, &context).unwrap();
            prop_assert_eq!(key(9).decrypt(&encrypted, &context), Some(text));
        }
    }
}
