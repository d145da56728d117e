use std::collections::HashSet;

/// Different bytes of a secret: 32 random ones have some thirty, 64 random hexadecimal digits fifteen.
const MIN_DIFFERENT: usize = 10;

/// What secrets of examples, tutorials and templates hold, in lower case and without what joins words. None is shorter than seven
/// characters, which a random secret practically never has in common with it.
const KNOWN: [&str; 24] = [
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "yoursecret",
    "mysecret",
    "supersecret",
    "topsecret",
    "verysecret",
    "notsecret",
    "bitsecret",
    "stringsecret",
    "secretkey",
    "jwtsecret",
    "example",
    "default",
    "password",
    "passphrase",
    "insecure",
    "placeholder",
    "1234567890",
    "0123456789",
    "abcdefghij",
    // The one in FastAPI's tutorial.
    "09d25e094faa6ca2556c818166b7a956",
];

/// Whether a secret is hard to guess, as far as its text shows; the error says what was expected.
pub(super) fn check_strength(secret: &str, min_bytes: usize) -> Result<(), String> {
    let different = secret.bytes().collect::<HashSet<_>>().len();
    let words: String = secret.to_lowercase().chars().filter(|c| !['-', '_', ' ', '.'].contains(c)).collect();
    let is_known = KNOWN.iter().any(|known| words.contains(known));
    if secret.len() >= min_bytes && different >= MIN_DIFFERENT && !is_known {
        return Ok(());
    }
    Err(format!(
        "Input should be a secret of at least {min_bytes} bytes, {MIN_DIFFERENT} of them different, and none of an example; \
         'openssl rand -base64 48' makes one"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_be_guessed_is_refused() {
        let weak = [
            "",
            "k3Jf9-short",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc",
            "your-256-bit-secret-your-256-bit-secret",
            "a-string-secret-at-least-256-bits-long",
            "CHANGE_ME_to_something_else_0123456789abcdef",
            "django-insecure-k3Jf9vQw8mZx2Lp7Rt5Yb1Nc6Hd4Sg0",
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
            "This Is My Secret And Nobody Will Ever Find It",
            "12345678901234567890123456789012",
        ];
        for secret in weak {
            let expected = check_strength(secret, 32).unwrap_err();
            assert!(
                expected.contains("at least 32 bytes") && expected.contains("openssl rand"),
                "{secret}: {expected}"
            );
            assert!(secret.is_empty() || !expected.contains(secret), "{expected}");
        }
        let strong = "0b5c1f6e9a7d4832b5f0c9e8d7a6142335f7a9c1e2d4b6f8";
        assert_eq!((check_strength(strong, 32), check_strength(strong, 48)), (Ok(()), Ok(())));
        assert!(check_strength(strong, 64).unwrap_err().contains("at least 64 bytes"));
    }

    proptest! {
        #[test]
        fn random_secrets_pass_however_they_are_written(bytes: [u8; 48]) {
            use base64::Engine as _;
            use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
            prop_assume!(bytes.iter().collect::<HashSet<_>>().len() > 24);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            for secret in [STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes), hex] {
                prop_assert_eq!(check_strength(&secret, 64), Ok(()), "{}", secret);
            }
        }
    }
}
