use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// A secret as it is written, and as others may quote it: each word of `Bearer ...` alone, the login that `Basic ...` stands for,
/// all of it decoded, and encoded for URLs, JSON or Rust's `Debug`.
pub(super) fn secret_variants(secret: &str) -> BTreeSet<String> {
    let decoded = percent_decode_str(secret).decode_utf8_lossy().into_owned();
    let words = secret.split_whitespace().map(str::to_owned);
    let plain = [secret.to_owned(), decoded].into_iter().chain(words).chain(login(secret));
    plain.flat_map(encodings).collect()
}

/// User and password, and the password alone, of what HTTP sends as `Basic ...`.
fn login(secret: &str) -> Vec<String> {
    let decode = |(scheme, login): (&str, &str)| {
        let login = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(login.trim()).ok())??;
        let login = String::from_utf8(login).ok()?;
        let password = login.split_once(':')?.1.to_owned();
        Some(vec![login, password])
    };
    secret.split_once(' ').and_then(decode).unwrap_or_default()
}

/// What URLs encode.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encodings(text: String) -> Vec<String> {
    // Most keys are the same in all of them.
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return vec![text];
    }
    let escaped = json_escaped(&text);
    let percent = utf8_percent_encode(&text, RESERVED).to_string();
    let is_hex = |c: char| c.is_ascii_hexdigit();
    let lower = percent.split('%').enumerate().map(|(at, part)| match part.split_at_checked(2) {
        Some((hex, rest)) if at > 0 && hex.chars().all(is_hex) => format!("%{}{rest}", hex.to_ascii_lowercase()),
        _ => part.to_owned(),
    });
    vec![
        lower.collect(),
        // As Python quotes it.
        percent.replace("%2F", "/"),
        // As Go writes JSON.
        escaped.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e"),
        BASE64.encode(&text),
        percent,
        form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        text.escape_debug().to_string(),
        // As JSON is written by PHP, and by Python, and within JSON.
        escaped.replace('/', "\\/"),
        ascii(&escaped),
        json_escaped(&escaped),
        escaped,
        text,
    ]
}

/// What stands between the quotes in JSON.
pub(super) fn json_escaped(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// JSON without letters beyond ASCII.
fn ascii(json: &str) -> String {
    let escaped = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    json.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_in_every_form_that_it_is_quoted_in() {
        for (secret, forms) in [
            ("abc", vec!["abc"]),
            ("Bearer t0k/en", vec!["t0k/en", "t0k\\/en", "t0k%2Fen"]),
            ("p%40ss", vec!["p@ss", "p%40ss"]),
            ("k/e&y=", vec!["k%2fe%26y%3d", "k/e%26y%3D", "k/e\\u0026y=", "ay9lJnk9"]),
            ("a\"b\\c", vec![r#"a\"b\\c"#, r#"a\\\"b\\\\c"#, "a%22b%5Cc"]),
            ("schlüssel", vec!["schl\\u00fcssel", "schl%C3%BCssel"]),
            ("Basic dXNlcjpwYXNzd29yZA==", vec!["user:password", "password", "dXNlcjpwYXNzd29yZA=="]),
            ("two words", vec!["two+words", "two%20words"]),
        ] {
            let known = secret_variants(secret);
            assert!(forms.iter().all(|form| known.contains(*form)), "{secret}: {known:?}");
        }
        assert_eq!((secret_variants("sk-a.b_c").len(), secret_variants("a/b").len()), (1, 5));
    }
}
