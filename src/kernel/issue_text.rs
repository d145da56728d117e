use super::field_issue::path_of;
use super::{FieldIssue, Segment, fit_chars, one_line};

/// Longest text, in characters: what fits into the message box of a page.
const MAX_CHARS: usize = 200;
/// Longest name of a field in it.
const MAX_PLACE_CHARS: usize = 80;
/// What the words on issues that are not told take at most.
const MORE_CHARS: usize = "; and 99 more".len();

/// What is wrong, as one short text for a person: as many issues as fit in, and how many more there are.
pub(super) fn issue_text(issues: &[FieldIssue]) -> String {
    let mut text = String::new();
    for (told, issue) in issues.iter().enumerate() {
        let more = if told + 1 == issues.len() { 0 } else { MORE_CHARS };
        let sentence = sentence(issue);
        if told == 0 {
            text = fit_chars(&sentence, MAX_CHARS - more);
        } else if text.chars().count() + 2 + sentence.chars().count() + more <= MAX_CHARS {
            text.push_str(&format!("; {sentence}"));
        } else {
            text.push_str(&format!("; and {} more", issues.len() - told));
            break;
        }
    }
    text.replace(char::is_control, "\u{fffd}")
}

/// One issue: the field, and what it should be.
fn sentence(issue: &FieldIssue) -> String {
    let place = place(&issue.loc);
    let should_be = match issue.kind {
        "missing" => return format!("{place} is required"),
        "json_invalid" => return "The body is not valid JSON".to_owned(),
        "int_type" | "int_parsing" | "int_from_float" => "a whole number",
        "int_parsing_size" => "a whole number of at most 18 digits",
        "float_type" | "float_parsing" => "a number",
        "bool_type" | "bool_parsing" => "true or false",
        "string_type" => "a text",
        _ => return spoken(&place, &one_line(&issue.msg)),
    };
    format!("{place} should be {should_be}")
}

/// The message with the field as its subject.
fn spoken(place: &str, msg: &str) -> String {
    let Some(rest) = msg.strip_prefix("Input should") else { return format!("{place}: {msg}") };
    let plain = rest.replace("greater than or equal to", "at least").replace("less than or equal to", "at most");
    format!("{place} should{}", plain.replace("a valid dictionary", "an object"))
}

/// The field as a person would call it: clients see what they fill in, and not which part of the request it becomes.
fn place(loc: &[Segment]) -> String {
    let part = |segment: &Segment| ["body", "query", "path"].iter().any(|part| *segment == Segment::from(*part));
    match loc {
        [first] if *first == Segment::from("body") => "The body".to_owned(),
        [first, rest @ ..] if !rest.is_empty() && part(first) => fit_chars(&one_line(&path_of(rest)), MAX_PLACE_CHARS),
        all => fit_chars(&one_line(&path_of(all)), MAX_PLACE_CHARS),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn issue(kind: &'static str, loc: &[&str], msg: &str) -> FieldIssue {
        FieldIssue::new(kind, loc.iter().map(|key| Segment::from(*key)).collect(), msg, Value::Null)
    }

    #[test]
    fn an_issue_reads_as_a_sentence_about_its_field() {
        let rows = [
            (
                issue("less_than_equal", &["body", "timeout_seconds"], "Input should be less than or equal to 3600"),
                "timeout_seconds should be at most 3600",
            ),
            (
                issue("bool_parsing", &["body", "metadata", "use_cache"], "Input should be a valid boolean, ..."),
                "metadata.use_cache should be true or false",
            ),
            (issue("missing", &["query", "role"], "Field required"), "role is required"),
            (issue("dict_type", &["body"], "Input should be a valid dictionary"), "The body should be an object"),
            (
                issue("value_error", &["body", "query"], "The query needs a value for :id"),
                "query: The query needs a value for :id",
            ),
            (issue("value_error", &["path"], "Input should\nbe short"), "path should be short"),
        ];
        for (issue, text) in rows {
            assert_eq!(issue_text(&[issue]), text);
        }
    }

    #[test]
    fn as_many_are_told_as_fit_in() {
        let issues: Vec<_> = (0..30).map(|n| issue("string_type", &["body", &format!("field_{n}")], "")).collect();
        let text = issue_text(&issues);
        assert!(text.starts_with("field_0 should be a text; field_1 should be a text; "), "{text}");
        assert!(text.ends_with("; and 23 more"), "{text}");
        assert_eq!(issue_text(&issues[..2]), "field_0 should be a text; field_1 should be a text");
    }

    proptest! {
        #[test]
        fn no_text_is_long(fields in proptest::collection::vec((".{0,300}", ".{0,300}"), 1..100)) {
            let issues: Vec<_> = fields.iter().map(|(key, msg)| issue("value_error", &["body", key], msg)).collect();
            let text = issue_text(&issues);
            prop_assert!(text.chars().count() <= MAX_CHARS, "{}", text);
            prop_assert!(!text.is_empty());
        }
    }
}
