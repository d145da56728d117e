//! Finds the query in what a model wrote, whatever it wrapped it in.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::sql_extent::{prose_start, without_comments};
use crate::chat::text::json_in;
use crate::kernel::constant_regex;

/// How SQL begins, writes included: those are refused with a reason, not taken for prose.
static SQL_START: LazyLock<Regex> = LazyLock::new(|| {
    constant_regex(
        r"^(?i:\(*\s*select|with|values|explain|insert|update|delete|drop|create|alter|truncate|merge|grant|call)\s",
    )
});

/// A line of prose may begin with `select` too; what a query selects stands in clauses.
static SPELLED_OUT: LazyLock<Regex> = LazyLock::new(|| {
    constant_regex(
        r"(?is:^\(*\s*(select|with|explain)\b.*\bfrom\b)|(?i:^\(*\s*select\s+[\d*'(\w]+\s*[(;,]|^select\s+[\d*]+\s*$)|(?is:^values\s*\()|(?is:^(insert\s+into|update\s+\S+\s+set|delete\s+from|drop\s+(table|view|database|index|schema)|create\s+(table|view|index|or\s)|alter\s+table|truncate\s+|merge\s+into|grant\s+\w+\s+on)\b)",
    )
});

/// Where SQL may begin in a text without fences: a line, or what follows a colon, a dash or a quote.
static CANDIDATE: LazyLock<Regex> = LazyLock::new(|| {
    constant_regex(
        r#"(?im)(?:^|[:：>`*"'“–—→]|- )[ \t`*"'“>]*(\(*\s*(?:select|with|values|explain|insert|update|delete|drop)\s)"#,
    )
});

/// SQL amid a sentence: it has to be in capitals.
static AMID: LazyLock<Regex> = LazyLock::new(|| constant_regex(r"\b((?:SELECT|WITH)\s)"));

/// A common table expression; a sentence may begin with `with` too.
static WITH: LazyLock<Regex> = LazyLock::new(|| {
    constant_regex(
        r#"(?is)^with\s+(?:recursive\s+)?["`\w.]+\s*(?:\([^)]*\)\s*)?as\s*(?:(?:not\s+)?materialized\s*)?\("#,
    )
});

/// An element that holds a query.
static ELEMENT: LazyLock<Regex> = LazyLock::new(|| {
    const NAMES: &str = "sql|query|sql_?query|final_?query|answer|final_answer|code|pre|output|result";
    constant_regex(&format!(r"(?is)[<\[](?:{NAMES})(?:\s[^>\]\n]*)?[>\]](.*?)(?:[<\[]/(?:{NAMES})[>\]]|\z)"))
});

/// Words before a block that is not the answer but another way to it, a check of it, or more than was asked for.
static ALTERNATIVE: LazyLock<Regex> = LazyLock::new(|| {
    const OTHER_WAYS: &str =
        r"alternativ\w*|optional\w*|another way|could also|can also|oder auch|variante?n?|también|vous pouvez aussi";
    // "Let me check" may end in a better query; "to check" does not.
    const CHECKS: &str = "(?:to|can|could|may|should|please) (?:double-)?(?:check|verify|confirm|validate)|verification|zur (?:kontrolle|prüfung|überprüfung)|zu überprüfen|para (?:comprobar|verificar)|pour vérifier";
    const SPEED: &str = "performance|leistung|rendimiento|ind(?:ex|exes|ices|izes)|índices?";
    const BESIDES: &str = "for example|if you (?:also|want|need|prefer)|zum beispiel|wenn du (?:auch|zusätzlich)|falls du|por ejemplo|si también|par exemple";
    constant_regex(&format!(r"(?i)\b(?:{OTHER_WAYS}|{CHECKS}|{SPEED}|{BESIDES})\b"))
});

/// How SQL that writes begins.
static WRITES: LazyLock<Regex> =
    LazyLock::new(|| constant_regex(r"^(?i:insert|update|delete|drop|create|alter|truncate|merge|grant|call)\s"));

/// Members of JSON that hold a query.
const QUERY_MEMBERS: [&str; 10] =
    ["query", "sql", "SQL", "sql_query", "sqlQuery", "final_query", "statement", "answer", "result", "output"];
/// Members that a query of Cube has.
const CUBE_MEMBERS: [&str; 4] = ["measures", "dimensions", "timeDimensions", "segments"];

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenIn {
    Sql,
    /// JSON, or SQL if that is what is given.
    Cube,
}

/// Whether a text begins as a query does.
pub(super) fn is_query(language: WrittenIn, text: &str) -> bool {
    (language == WrittenIn::Cube && text.starts_with('{')) || SQL_START.is_match(text)
}

/// Whether a text that begins like a query has what queries have.
pub(super) fn is_spelled_out(text: &str) -> bool {
    text.starts_with('{') || SPELLED_OUT.is_match(text)
}

/// The query in a model's answer: the last one, if there are several drafts, but for those that it calls another way.
pub(super) fn query_in_answer(language: WrittenIn, answer: &str) -> Option<String> {
    let (all, last) = (blocks(answer), answer.rfind(['`', '~']).map_or(0, |at| at + 1));
    let mut found = None;
    for block in &all {
        if found.is_some() && ALTERNATIVE.is_match(block.lead) {
            continue;
        }
        found = later(found, unwrapped(language, block.text));
    }
    // A block that holds nothing known goes on, to be refused in words.
    let any = || all.iter().map(|block| block.text.trim()).find(|text| !text.is_empty() && !is_plan(text));
    let outside = || unwrapped(language, answer.get(last..)?).filter(|query| is_spelled_out(query));
    match all.is_empty() {
        true => unwrapped(language, answer),
        false => found.or_else(outside).or_else(|| any().map(str::to_owned)),
    }
}

/// The later of two queries; but one that writes corrects none that reads: it is an index that would help, or a table to try it on.
fn later(found: Option<String>, next: Option<String>) -> Option<String> {
    let writes = |query: &Option<String>| query.as_deref().is_some_and(|query| WRITES.is_match(query));
    if found.is_some() && !writes(&found) && writes(&next) { found } else { next.or(found) }
}

/// The fenced blocks, closed or not.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((lead, inside)) =
        ["```", "~~~"].iter().filter_map(|fence| rest.split_once(fence)).min_by_key(|(lead, _)| lead.len())
    {
        let fence = rest.get(lead.len()..lead.len() + 3).unwrap_or_default();
        // In JSON a query may be fenced once more.
        let end = inside.split_once('\n').filter(|(_, body)| body.trim_start().starts_with('{'));
        let end = end.and_then(|_| inside.find(&format!("\n{fence}"))).or_else(|| inside.find(fence));
        let (block, after) = end.and_then(|end| inside.split_at_checked(end)).unwrap_or((inside, ""));
        let after = after.trim_start();
        found.push(Block { lead, text: without_info(block).trim() });
        rest = after.trim_start_matches(['`', '~']);
    }
    found
}

/// A fenced block.
pub(super) struct Block<'a> {
    /// What stands before it.
    lead: &'a str,
    pub(super) text: &'a str,
}

/// A block without the name of its language, which may stand on the query's line.
fn without_info(block: &str) -> &str {
    let block = block.trim_start_matches(['`', '~']);
    let (line, rest) = block.split_once('\n').unwrap_or((block, ""));
    let (word, after) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let is_name = word.chars().all(|c| c.is_alphanumeric() || matches!(c, '+' | '-' | '_' | '.'));
    match is_name && !is_query(WrittenIn::Cube, &format!("{} ", line.trim())) {
        true if is_query(WrittenIn::Cube, after.trim_start()) => block.trim_start().get(word.len()..).unwrap_or(rest),
        true if after.is_empty() || !line.contains([':', '=']) => rest,
        _ => block,
    }
}

/// The query in a text without fences.
fn unwrapped(language: WrittenIn, text: &str) -> Option<String> {
    let text = without_comments(text.trim());
    if is_query(language, text)
        && (language == WrittenIn::Cube && text.starts_with('{') || is_plan(text) || is_spelled_out(text))
    {
        let later = || of_lines(text.get(prose_start(text)..)?).filter(|query| is_spelled_out(query));
        return of_json(language, text).or_else(later).or_else(|| kept(text));
    }
    of_json(language, text).or_else(|| of_elements(language, text)).or_else(|| of_lines(text))
}

/// The query in a JSON object: what holds it, or for Cube the object itself.
fn of_json(language: WrittenIn, text: &str) -> Option<String> {
    let json = json_in(text)?;
    if language == WrittenIn::Cube && CUBE_MEMBERS.iter().any(|member| json.get(*member).is_some()) {
        return Some(json.to_string());
    }
    match QUERY_MEMBERS.iter().find_map(|member| json.get(*member))? {
        Value::String(query) => unwrapped_once(language, query),
        object @ Value::Object(_) if language == WrittenIn::Cube => Some(object.to_string()),
        _ => None,
    }
}

/// A query that stands in a member of JSON, perhaps fenced once more.
fn unwrapped_once(language: WrittenIn, text: &str) -> Option<String> {
    let block = blocks(text).pop().map(|block| block.text.to_owned());
    let text = block.unwrap_or_else(|| text.trim().to_owned());
    let text = without_comments(&text);
    if is_query(language, text) { kept(text) } else { of_lines(text) }
}

fn of_elements(language: WrittenIn, text: &str) -> Option<String> {
    let inside = ELEMENT.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str()));
    inside.map(|inside| unwrapped_once(language, inside)).fold(None, later)
}

/// The last query that begins a line or follows a colon.
fn of_lines(text: &str) -> Option<String> {
    let (mut found, mut loose, mut from) = (None, None, 0);
    while let Some(start) = next_start(&CANDIDATE, text, from) {
        let query = extent(text, start);
        from = start + query.len().max(1);
        match kept(query) {
            Some(query) if is_spelled_out(&query) => found = later(found, Some(query)),
            Some(query) => loose = loose.or(Some(query)),
            None => {}
        }
    }
    let amid =
        || next_start(&AMID, text, 0).and_then(|start| kept(extent(text, start))).filter(|query| is_spelled_out(query));
    found.or(loose).or_else(amid)
}

fn next_start(pattern: &Regex, text: &str, from: usize) -> Option<usize> {
    pattern.captures_at(text, from)?.get(1).map(|found| found.start())
}

/// The query that begins here, up to the prose that follows it or the mark that it is between.
fn extent(text: &str, start: usize) -> &str {
    let (before, rest) = text.split_at_checked(start).unwrap_or((text, ""));
    let rest = rest.get(..prose_start(rest)).unwrap_or(rest).trim_end();
    let mark = ["**", "`", "\"", "'", "“"].into_iter().find(|mark| before.ends_with(mark));
    let closing = mark.map(|mark| if mark == "“" { "”" } else { mark });
    let line_end = rest.find('\n').unwrap_or(rest.len());
    let end = closing
        .and_then(|mark| rest.rfind(mark).filter(|at| *at > 0 && (mark != "'" && mark != "\"" || *at <= line_end)));
    end.and_then(|end| rest.get(..end)).unwrap_or(rest)
}

/// A query without what ends it; `None` if it only asks for a plan, or is a sentence.
fn kept(query: &str) -> Option<String> {
    let query = query.get(..prose_start(query)).unwrap_or(query);
    let query = query.trim().trim_end_matches(';').trim_end();
    let is_sentence = starts_with_word(query, "with") && !WITH.is_match(query);
    (!query.is_empty() && !is_plan(query) && !is_sentence).then(|| query.to_owned())
}

fn is_plan(query: &str) -> bool {
    starts_with_word(query, "explain")
}

fn starts_with_word(text: &str, word: &str) -> bool {
    let is_word = text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    is_word && text.get(word.len()..).is_some_and(|rest| rest.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests;
