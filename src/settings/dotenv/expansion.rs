/// A value with what `meaning` gives in the place of each `${NAME}` and `${NAME:-default}`, from the name and the default. Any other `$`
/// stays. `None` if that has more than `max_bytes`.
pub(super) fn expand<'a>(
    value: &'a str,
    max_bytes: usize,
    mut meaning: impl FnMut(&'a str, Option<&'a str>) -> &'a str,
) -> Option<String> {
    // No reference ends behind the last brace, so each look-up below ends at one.
    let (mut rest, tail) = value.split_at(value.rfind('}').map_or(0, |last| last + 1));
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let (name, after_name) = after.split_at(after.find(['}', ':']).unwrap_or(after.len()));
        let with_default = after_name.strip_prefix(":-").and_then(|after| after.split_once('}'));
        rest = match (after_name.strip_prefix('}'), with_default) {
            (Some(rest), _) => {
                text.push_str(meaning(name, None));
                rest
            }
            (None, Some((default, rest))) => {
                text.push_str(meaning(name, Some(default)));
                rest
            }
            // Another one that begins in the name ends at the same colon.
            (None, None) => {
                text.push_str("${");
                text.push_str(name);
                after_name
            }
        };
        if text.len() > max_bytes {
            return None;
        }
    }
    text.push_str(rest);
    text.push_str(tail);
    (text.len() <= max_bytes).then_some(text)
}
