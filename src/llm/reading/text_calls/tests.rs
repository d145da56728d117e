use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::llm::ToolSpec;

const CALL: &str = r#"{"name": "weather", "arguments": {"url": "/a"}}"#;

fn offered() -> KnownFunctions {
    let parameters = json!({"type": "object", "properties": {"url": {"type": "string"}}});
    KnownFunctions::of(&[ToolSpec { name: "weather".to_owned(), description: String::new(), parameters }])
}

/// What is shown of a text that comes in these pieces, and the URLs that are called.
fn read(pieces: &[&str], offered: KnownFunctions) -> (String, Vec<String>) {
    let mut filter = TextCallFilter::new(offered);
    let mut shown: String = pieces.iter().map(|piece| filter.push((*piece).to_owned())).collect();
    shown.push_str(&filter.finish());
    let url = |call: ToolCall| call.arguments["url"].as_str().unwrap_or_default().to_owned();
    (shown, filter.take_calls().into_iter().map(url).collect())
}

fn texts() -> Vec<String> {
    vec![
        format!("<tool_call>\n{CALL}\n</tool_call>"),
        format!("<tool_call>{CALL}"),
        format!("<TOOLCALL>[{CALL}]</TOOLCALL>"),
        format!("[TOOL_CALLS][{CALL}]"),
        "[TOOL_CALLS]weather[ARGS]{\"url\": \"/a\"}".to_owned(),
        format!("<|python_tag|>{CALL}<|eom_id|>"),
        format!("<|tool_call|>[{CALL}]"),
        "<function=weather>{\"url\": \"/a\"}</function>".to_owned(),
        "<tool_call>\n<function=weather>\n<parameter=url>\n/a\n</parameter>\n</function>\n</tool_call>".to_owned(),
        "<function_calls>\n<invoke name=\"weather\">\n<parameter name=\"url\">/a</parameter>\n</invoke>\n</function_calls>"
            .to_owned(),
        "<tool_call>weather\n<arg_key>url</arg_key>\n<arg_value>/a</arg_value>\n</tool_call>".to_owned(),
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"url\": \"/a\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
            .to_owned(),
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{\"url\": \"/a\"}<|tool_call_end|><|tool_calls_section_end|>"
            .to_owned(),
        "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"url\": \"/a\"}<|call|>".to_owned(),
        format!("```json\n{CALL}\n```"),
        format!("```\n[{CALL}]\n```\n"),
        format!("```xml\n<tool_call>{CALL}</tool_call>\n```"),
        CALL.to_owned(),
        r#"{"name": "weather", "parameters": {"url": "/a"}}"#.to_owned(),
        r#"{"tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": "{\"url\": \"/a\"}"}}]}"#
            .to_owned(),
        r#"{"action": "weather", "action_input": {"url": "/a"}}"#.to_owned(),
        "[weather(url=\"/a\")]".to_owned(),
        "```python\n[weather(url='/a')]\n```".to_owned(),
        "<|python_tag|>weather(url=\"/a\")<|eom_id|>".to_owned(),
        "<|tool_call_start|>[weather(url=\"/a\")]<|tool_call_end|>".to_owned(),
    ]
}

#[test]
fn calls_in_every_form_are_taken_out_of_the_text() {
    for text in texts() {
        assert_eq!(read(&[&text], offered()), (String::new(), vec!["/a".to_owned()]), "{text}");
        let said = format!("Let me look.\n{text}");
        assert_eq!(read(&[&said], offered()), ("Let me look.\n".to_owned(), vec!["/a".to_owned()]), "{said}");
    }
    let second = CALL.replace("/a", "/b");
    for two in [
        format!("<tool_call>{CALL}</tool_call>\n<tool_call>{second}</tool_call>"),
        format!("[TOOL_CALLS][{CALL}, {second}]"),
        format!("<|python_tag|>{CALL}; {second}"),
        format!("{CALL}\n{second}"),
        "[weather(url=\"/a\"), weather(url=\"/b\")]".to_owned(),
        format!("```json\n{CALL}\n{second}\n```"),
    ] {
        assert_eq!(read(&[&two], offered()), (String::new(), vec!["/a".to_owned(), "/b".to_owned()]), "{two}");
    }
}

#[test]
fn what_is_no_call_stays_in_the_answer() {
    for text in [
        "Plain words, a < b, [1] and `code`.",
        "```json\n{\"city\": \"Oslo\"}\n```\nThat is all.",
        "```json\n{\"name\": \"delete\", \"arguments\": {}}\n```",
        "{\"name\": \"weather\", \"description\": \"A tool\", \"parameters\": {\"type\": \"object\"}}",
        "{\"name\": \"weather\"",
        "The tag <tool_call> begins a call.",
        "```python\nprint('<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>')\n```",
        "[link](x)\n[\n",
        "[weather](x)",
        "[weather(url)] is how it is called",
        "[delete(url=\"/a\")]",
        "The tag `<tool_call>` begins a call, and `</tool_call>` ends it.",
    ] {
        assert_eq!(read(&[text], offered()), (text.to_owned(), Vec::new()), "{text}");
    }
}

#[test]
fn mark_up_of_no_offered_function_is_neither_called_nor_shown() {
    let unknown = CALL.replace("weather", "delete");
    for text in [format!("<tool_call>{unknown}</tool_call>"), "<tool_call>\n{\"name\": \"weat".to_owned()] {
        assert_eq!(read(&[&text], offered()), (String::new(), Vec::new()), "{text}");
    }
    let none = KnownFunctions::default;
    let marked = format!("<tool_call>{CALL}</tool_call>\nFour.");
    assert_eq!(read(&[&marked], none()), ("Four.".to_owned(), Vec::new()));
    for about in [format!("Like so: <tool_call>{CALL}</tool_call>"), CALL.to_owned(), format!("```json\n{CALL}\n```")] {
        assert_eq!(read(&[&about], none()), (about.clone(), Vec::new()));
    }
}

#[test]
fn text_is_passed_on_as_soon_as_it_can_be_no_call() {
    let mut filter = TextCallFilter::new(offered());
    for (piece, shown) in [("Let ", "Let "), ("me <", "me "), ("b>", "<b>"), ("\n{", "\n"), ("\"city\"", "{\"city\"")] {
        assert_eq!(filter.push(piece.to_owned()), shown, "{piece}");
    }
}

#[test]
fn an_answer_about_marks_does_not_wait_for_its_end() {
    let mut filter = TextCallFilter::new(offered());
    let about = "The tag <tool_call> begins a call: ".to_owned() + &"it is told apart from words. ".repeat(8);
    assert_eq!(filter.push(about.clone()), about);
    assert_eq!(filter.push("In code it is `<tool_call>`, ".to_owned()), "In code it is `<tool_call>`, ");
    assert_eq!(filter.push(format!("so:\n<tool_call>{CALL}</tool_call>")), "so:\n");
    assert_eq!(filter.take_calls().len(), 1);
}

proptest! {
    #[test]
    fn where_a_text_is_cut_makes_no_difference(form in 0_usize..25, lead in "(Hm\\. |a\n|)", cuts in proptest::collection::vec(0_usize..200, 0..6)) {
        let text = format!("{lead}{}", texts()[form]);
        let mut places: Vec<_> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut.min(text.len()))).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<_> = places.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        prop_assert_eq!(read(&pieces, offered()), read(&[&text], offered()), "{:?}", pieces);
    }
}
