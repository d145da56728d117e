use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::llm::ToolSpec;

/// A piece that owns its texts.
#[derive(Clone, Debug, Default)]
struct Sent {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

fn offered() -> KnownFunctions {
    let tool = |name: &str| ToolSpec { name: name.to_owned(), description: String::new(), parameters: json!({}) };
    KnownFunctions::of(&["weather", "time"].map(tool))
}

fn assembled(pieces: &[Sent]) -> Vec<(String, Value)> {
    let mut calls = CallAssembly::default();
    for piece in pieces {
        let (id, name, arguments) = (&piece.id, &piece.name, Cow::Borrowed(piece.arguments.as_str()));
        calls.add(&CallPiece { index: piece.index, id, name, arguments }, &offered());
    }
    calls.finish().into_iter().map(|call| (call.name, call.arguments)).collect()
}

fn piece(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Sent {
    Sent { index, id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

#[test]
fn what_servers_were_reported_to_send_is_two_calls_or_one() {
    let (a, b) = (r#"{"url":"/a"}"#, r#"{"url":"/b"}"#);
    let two = [("weather".to_owned(), json!({"url": "/a"})), ("weather".to_owned(), json!({"url": "/b"}))];
    let zero = Some(0);
    for pieces in [
        vec![piece(zero, "call_a", "weather", a), piece(zero, "call_b", "weather", b)],
        vec![piece(zero, "", "weather", a), piece(zero, "", "weather", b)],
        vec![piece(None, "", "weather", a), piece(None, "", "weather", b)],
        vec![piece(zero, "weather", "weather", a), piece(Some(1), "weather", "weather", b)],
        vec![piece(zero, "x", "weather", a), piece(zero, "x", "weather", a), piece(zero, "x", "weather", b)],
        vec![piece(Some(1), "x", "weather", ""), piece(Some(1), "", "", a), piece(Some(2), "y", "weather", b)],
        vec![piece(zero, "", "weather", a), piece(zero, "", "weather", ""), piece(zero, "", "", b)],
    ] {
        assert_eq!(assembled(&pieces), two, "{pieces:?}");
    }
    for pieces in [
        vec![piece(None, "x", "weather", ""), piece(None, "", "", "{\"url\""), piece(None, "", "", ":\"/a\"}")],
        vec![
            piece(zero, "x", "weather", ""),
            piece(zero, "", "weather", "{\"url\""),
            piece(zero, "", "weather", ":\"/a\"}"),
        ],
        vec![
            piece(zero, "1", "weather", "{\"url\""),
            piece(zero, "2", "", ":\"/"),
            piece(zero, "3", "weather", "a\"}"),
        ],
        vec![piece(zero, "", "wea", ""), piece(zero, "", "ther", a)],
        vec![piece(zero, "", "wea", ""), piece(zero, "x", "weather", a), piece(zero, "x", "weather", "")],
        vec![piece(zero, "x", "weather", "{}"), piece(zero, "", "", "{\"url\":"), piece(zero, "", "", "\"/a\"}")],
        vec![piece(zero, "x", "weather", "{}"), piece(zero, "x", "weather", a)],
        vec![
            piece(zero, "x", "weather", "{ }"),
            piece(zero, "x", "weather", ""),
            piece(zero, "x", "weather", "{\"url\":"),
            piece(zero, "x", "weather", "\"/a\"}"),
        ],
        vec![
            piece(zero, "x", "weather", "{\"url\":"),
            piece(zero, "x", "weather", "\"/a\"}"),
            piece(zero, "x", "weather", "{ \"url\": \"/a\" }"),
        ],
        vec![piece(zero, "x", "weather", a), piece(zero, "x", "weather", "{\n  \"url\": \"/a\"\n}")],
        vec![piece(zero, "1", "weather", "{\"url\":"), piece(zero, "2", "weather", "\"/a\"}")],
        vec![piece(None, "1", "weather", "{"), piece(None, "2", "weather", "\"url\": \"/a\"}")],
        vec![piece(Some(4), "x", "weather", "{\"url\""), piece(Some(5), "", "", ":\"/a\"}")],
        vec![piece(zero, "x", "weather", a), piece(None, "", "", ""), piece(zero, "", "", " ")],
    ] {
        assert_eq!(assembled(&pieces), two[..1], "{pieces:?}");
    }
    let without = [piece(zero, "x", "weather", ""), piece(Some(1), "y", "time", "")];
    assert_eq!(assembled(&without), [("weather".to_owned(), json!({})), ("time".to_owned(), json!({}))]);
    assert_eq!(assembled(&[piece(zero, "x", "", a)]), [], "what nobody has named is no call");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Numbers {
    FromZero,
    FromOne,
    WithGaps,
    AllZero,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Given {
    First,
    Always,
    /// Another one with each piece.
    Anew,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Written {
    InParts,
    Growing,
    InPartsThenWhole,
    /// The same, but the whole has other blanks.
    InPartsThenPretty,
    /// As `{}` first.
    BehindPlaceholder,
}

/// A server's habits.
#[derive(Clone, Copy, Debug)]
struct Habits {
    numbers: Numbers,
    ids: Given,
    names: Given,
    written: Written,
    /// Whether the first piece of a call has no arguments yet.
    opens_empty: bool,
}

impl Habits {
    /// Whether pieces of two calls can be told apart though they come in turns.
    fn tell_apart(self) -> bool {
        self.ids == Given::Always || !matches!(self.numbers, Numbers::AllZero | Numbers::Absent)
    }

    /// The pieces of one call.
    fn pieces(self, nth: u64, name: &str, text: &str, cuts: &[usize]) -> Vec<Sent> {
        let index = match self.numbers {
            Numbers::FromZero => Some(nth),
            Numbers::FromOne => Some(nth + 1),
            Numbers::WithGaps => Some(3 + nth * 4),
            Numbers::AllZero => Some(0),
            Numbers::Absent => None,
        };
        let mut ends: Vec<_> = cuts.iter().map(|cut| text.floor_char_boundary(cut % (text.len() + 1))).collect();
        // Under another id, what begins like arguments begins others.
        ends.retain(|end| self.ids != Given::Anew || !text[*end..].trim_start().starts_with('{'));
        ends.push(text.len());
        ends.sort_unstable();
        ends.dedup();
        let mut parts: Vec<String> = if self.opens_empty { vec![String::new()] } else { Vec::new() };
        let mut start = 0;
        for end in ends.into_iter().filter(|end| *end > 0) {
            let from = if self.written == Written::Growing { 0 } else { start };
            parts.push(text[from..end].to_owned());
            start = end;
        }
        match self.written {
            Written::InPartsThenWhole => parts.push(text.to_owned()),
            Written::InPartsThenPretty => {
                parts.push(format!("{:#}", serde_json::from_str::<Value>(text).expect("arguments")));
            }
            Written::BehindPlaceholder => parts.insert(0, "{}".to_owned()),
            Written::InParts | Written::Growing => {}
        }
        let given = |when: Given, at: usize| when == Given::Always || when == Given::First && at == 0;
        let part = |(at, arguments): (usize, String)| Sent {
            index,
            id: match self.ids {
                Given::Anew => format!("call_{nth}_{at}"),
                ids if given(ids, at) => format!("call_{nth}"),
                _ => String::new(),
            },
            name: if given(self.names, at) { name.to_owned() } else { String::new() },
            arguments,
        };
        parts.into_iter().enumerate().map(part).collect()
    }
}

fn any_habits() -> impl Strategy<Value = Habits> {
    let numbers = vec![Numbers::FromZero, Numbers::FromOne, Numbers::WithGaps, Numbers::AllZero, Numbers::Absent];
    let written = vec![
        Written::InParts,
        Written::Growing,
        Written::InPartsThenWhole,
        Written::InPartsThenPretty,
        Written::BehindPlaceholder,
    ];
    let ids = vec![Given::First, Given::Always, Given::Anew, Given::Never];
    let names = vec![Given::First, Given::Always];
    (select(numbers), select(ids), select(names), select(written), any::<bool>()).prop_map(
        |(numbers, ids, names, written, opens_empty)| match (ids, written) {
            // Only arguments in parts tell that another id means no other call, and only an id that `{}` means none.
            (Given::Anew, _) => Habits { numbers, ids, names, written: Written::InParts, opens_empty: false },
            (_, Written::BehindPlaceholder) => Habits { numbers, ids: Given::Always, names, written, opens_empty },
            _ => Habits { numbers, ids, names, written, opens_empty },
        },
    )
}

fn any_arguments() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(null)), any::<i32>().prop_map(|n| json!(n)), ".{0,9}".prop_map(|s| json!(s))];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::vec(("[a-c\"{}]{1,3}", inner), 0..3)
                .prop_map(|members| members.into_iter().collect()),
        ]
    });
    proptest::collection::vec(("[a-c\"]{1,3}", value), 1..4).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_splitting_numbering_and_repeating_of_the_same_two_calls_gives_the_same_two_calls(
        habits in any_habits(),
        second_name in select(&["weather", "time"][..]),
        (first, second) in (any_arguments(), any_arguments()),
        is_pretty: bool,
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
        turns in proptest::collection::vec(any::<bool>(), 40),
    ) {
        prop_assume!(first != second);
        let text = |value: &Value| if is_pretty { format!("{value:#}") } else { value.to_string() };
        let mut one = habits.pieces(0, "weather", &text(&first), &cuts).into_iter();
        let mut other = habits.pieces(1, second_name, &text(&second), &cuts).into_iter();
        let mut pieces: Vec<_> = one.next().into_iter().collect();
        if habits.tell_apart() {
            for is_first in turns {
                pieces.extend(if is_first { one.next() } else { other.next() });
            }
        }
        pieces.extend(one);
        pieces.extend(other);
        let expected = vec![("weather".to_owned(), first), (second_name.to_owned(), second)];
        prop_assert_eq!(assembled(&pieces), expected, "{:?}", pieces);
    }
}
