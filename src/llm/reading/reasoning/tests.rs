use proptest::prelude::*;

use super::*;

/// Answer and reasoning of a text that comes in these pieces, and whether any answer was taken back.
fn read(pieces: &[&str], expects_unopened: bool) -> (String, Option<String>, bool) {
    let (mut filter, mut reasoning) =
        (ReasoningFilter::new(expects_unopened, &["<tool_call>"]), ReasoningText::default());
    let (mut answer, mut restarted) = (String::new(), false);
    let mut add = |more: AnswerText| {
        if more.restarts {
            answer.clear();
            restarted = true;
        }
        answer.push_str(&more.text);
    };
    for piece in pieces {
        let more = filter.push(piece, &mut reasoning);
        add(more);
    }
    let more = filter.finish(&mut reasoning);
    add(more);
    (answer, reasoning.into_text(), restarted)
}

#[test]
fn reasoning_is_told_from_the_answer() {
    for (text, answer, reasoning) in [
        ("<think>\nHm.\n</think>\n\nHere.", "Here.", Some("Hm.")),
        ("\n<Thinking>Hm.</THINKING>Here.", "Here.", Some("Hm.")),
        ("<think></think>\n\nHere.", "Here.", None),
        ("[THINK]Hm.[/THINK]Here.", "Here.", Some("Hm.")),
        ("◁think▷Hm.◁/think▷Here.", "Here.", Some("Hm.")),
        ("<think>a</think>\n<reasoning>b</reasoning>Here.", "Here.", Some("ab")),
        ("<think>a<think>b</think>c</think>Here.", "Here.", Some("abc")),
        ("<think>the tag <think> is it</think>\nHere.", "Here.", Some("the tag  is it")),
        ("<think>never closed", "", Some("never closed")),
        ("Hm.\n</think>\n\nHere.", "Here.", Some("Hm.")),
        ("Hm.</think>Here.", "Here.", Some("Hm.")),
        ("</think>\nHere.", "Here.", None),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Here.<|return|>",
            "Here.",
            Some("Hm."),
        ),
        ("<|channel|>final<|message|>Here.<|end|>", "Here.", None),
        (
            "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>commentary<|message|>Let me look.<|end|>\
             <|start|>assistant<|channel|>analysis<|message|>B<|end|><|start|>assistant<|channel|>final<|message|>Here.",
            "Let me look.\n\nHere.",
            Some("AB"),
        ),
        ("Okay.\n<think>\nHm.\n</think>\n\nHere.", "Okay.\nHere.", Some("Hm.")),
        ("Okay.\n  [THINK]Hm.[/THINK]\nHere.", "Okay.\n  Here.", Some("Hm.")),
        ("Okay.\n<think>Hm.\n</think>Here.", "Okay.\nHere.", Some("Hm.")),
        ("<think>a</think>Okay.\n<think>\nb\n</think>\nHere.", "Okay.\nHere.", Some("a\nb")),
        ("<think>Hm.</thinking>Here.", "Here.", Some("Hm.")),
        ("<think>a<reflection>b</reflection>c</think>Here.", "Here.", Some("abc")),
    ] {
        let (got, thought, _) = read(&[text], false);
        assert_eq!((got.as_str(), thought.as_deref()), (answer, reasoning), "{text}");
    }
}

#[test]
fn an_answer_about_the_tag_is_not_eaten() {
    for text in [
        "Models write <think> and </think> around it.",
        "Here:\n```\n<think>Hm.</think>\n```\nThat is all.",
        "```\nHm.\n</think>\n```\n",
        "The tag `</think>` ends it.",
        "It ends with \"</think>\" there.",
        "It ends with </think>.",
        "A message ends with <|end|> there.",
        "So:\n<think> and </think> stand around it.",
        "So:\n<think> is never closed.",
        "```\nOkay.\n<think>\nHm.\n</think>\n```",
        "  a < b <thin",
        " spaced ",
    ] {
        let (answer, reasoning, _) = read(&[text], false);
        assert_eq!((answer.as_str(), reasoning), (text, None));
        assert_eq!(read(&[text], true).0, text);
    }
}

#[test]
fn a_model_that_is_known_for_it_says_nothing_before_its_answer() {
    let (answer, reasoning, restarted) = read(&["The user ", "asks.\n</thi", "nk>\n", "Here."], true);
    assert_eq!((answer.as_str(), reasoning.as_deref(), restarted), ("Here.", Some("The user asks."), false));
    assert!(read(&["The user asks.", "</think>Here."], false).2, "else what was shown is taken back");
}

#[test]
fn a_mark_behind_the_whole_answer_leaves_the_answer() {
    for mark in ["<|end|>", "</think>", "</thinking>\n\n", "[/THINK]", "<|end|>\n"] {
        for pieces in [vec!["Paris.", mark], vec![&*format!("Paris.{mark}")]] {
            assert_eq!(read(&pieces, false), ("Paris.".to_owned(), None, false), "{mark}");
        }
        let (mut filter, mut reasoning) = (ReasoningFilter::new(false, &[]), ReasoningText::default());
        filter.push(&format!("Paris.{mark}"), &mut reasoning);
        filter.finish(&mut reasoning);
        assert_eq!(filter.unopened(), None, "no habit of the model's");
    }
    assert_eq!(read(&["<think>Hm.</think>Paris.<|end|>"], false).0, "Paris.");
    assert_eq!(read(&["Hm.</think>"], true), (String::new(), Some("Hm.".to_owned()), false), "it is known for it");
}

#[test]
fn a_call_ends_reasoning_that_is_not_closed() {
    let call = "<tool_call>{\"name\": \"f\"}</tool_call>";
    for (text, answer, reasoning) in [
        (format!("<think>Hm.\n{call}"), call.to_owned(), "Hm."),
        (format!("<think>Hm.\n{call}</think>"), call.to_owned(), "Hm."),
        (format!("<think>Hm.\n{call}\n</think>\nHere."), "Here.".to_owned(), &*format!("Hm.\n{call}")),
        (format!("<think>It is {call}</think>Here."), "Here.".to_owned(), &*format!("It is {call}")),
        (
            format!("<think>So:\n```\n{call}\n```\n</think>Here."),
            "Here.".to_owned(),
            &*format!("So:\n```\n{call}\n```"),
        ),
    ] {
        let (got, thought, _) = read(&[&text], false);
        assert_eq!((got, thought.as_deref()), (answer, Some(reasoning)), "{text}");
    }
}

#[test]
fn an_answer_behind_nested_tags_does_not_wait_for_its_end() {
    let (mut filter, mut reasoning) = (ReasoningFilter::new(false, &[]), ReasoningText::default());
    let answer = "Here. ".repeat(200);
    filter.push("<think>the tag <think> is it</think>\n", &mut reasoning);
    assert_eq!(filter.push(&answer, &mut reasoning).text, answer);
    assert_eq!(filter.push("More.", &mut reasoning).text, "More.");
}

proptest! {
    #[test]
    fn where_a_text_is_cut_makes_no_difference(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("<think>"), Just("</think>"), Just("`"), Just("\n"), Just(" "), Just("a<b"), Just("é."),
                Just("[THINK]"), Just("[/THINK]"), Just("<|channel|>final<|message|>"), Just("<|end|>"),
                Just("<tool_call>"), Just("</thinking>"), Just("\n<think>\n"),
            ],
            0..12,
        ),
        cuts in proptest::collection::vec(0_usize..90, 0..5),
        expects in any::<bool>(),
    ) {
        let text = parts.concat();
        let mut places: Vec<_> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut.min(text.len()))).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<_> = places.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        let (answer, reasoning, _) = read(&pieces, expects);
        let (whole, all, _) = read(&[&text], expects);
        prop_assert_eq!(answer, whole, "{:?}", pieces);
        prop_assert_eq!(reasoning, all, "{:?}", pieces);
    }
}
