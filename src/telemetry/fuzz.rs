use super::redact::mask_patterns;
use crate::fuzz::first_line;

/// What a line of the log has before a secret, and behind it.
const PLACES: [(&str, &str); 20] = [
    ("api_key=", ""),
    ("LLM_API_KEY: ", ""),
    ("password = ", ";"),
    ("{\"token\":\"", "\"}"),
    ("{\\\"client_secret\\\":\\\"", "\\\"}"),
    ("secret: Some(\"", "\")"),
    ("{'access-key': '", "'}"),
    ("Authorization: Bearer ", ""),
    ("authorization: ", ""),
    ("sent Bearer ", " to it"),
    ("token: Bearer ", ""),
    ("Set-Cookie: id=", "; Path=/"),
    ("https://h/x?sig=", "&limit=5"),
    ("postgres://reader:", "@db/shop"),
    ("redis://:", "@cache"),
    ("--api-key ", ""),
    ("--token Bearer ", ""),
    ("Authorization: Digest username=\"u\", response=\"", "\""),
    ("{\"cookie\":\"id=\\\"", "\\\"\"}"),
    ("{'Authorization': 'Basic ", "'}"),
];

/// The first line is a key, which is put where the log has such: it is shown nowhere, whatever stands around it; and what is masked
/// stays as it is.
pub(crate) fn log_line(data: &[u8]) {
    let (key, around) = first_line(data);
    let masked = mask_patterns(&around);
    assert_eq!(mask_patterns(&masked), masked);
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    let is_telling = key.len() >= 8 && !around.contains(&key) && !PLACES.iter().any(|(place, _)| place.contains(&key));
    if !is_telling {
        return;
    }
    // A quote that nothing closes leaves open what is quoted after it, and what follows an option is its value.
    let ahead = if around.contains(['"', '\'']) { "" } else { around.as_str() };
    for (before, behind) in PLACES {
        let line = format!("{ahead} | {before}{key}{behind} {around}");
        let masked = mask_patterns(&line);
        assert!(!masked.contains(&key), "{key} in {masked:?}");
    }
}
