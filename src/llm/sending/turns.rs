use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use crate::kernel::Role;
use crate::llm::{ChatMessage, ToolCall};

/// Stands for what was said before, where a model speaks first.
const LEFT_OUT: &str = "(What was said before is left out.)";
/// Stands for an answer that is not there, between what a tool gave and what the user says next.
const NO_ANSWER: &str = "(no answer)";
/// Asks for more, where the model had the last word.
const GO_ON: &str = "(Please go on.)";
/// Stands for what a tool gave, where that is nothing.
const NOTHING: &str = "(nothing)";
/// Longest id of a call that all servers take.
const MAX_ID_CHARS: usize = 40;

/// A message as it is sent. Its text is borrowed unless it had to be joined with another's.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::llm) struct SentTurn<'a> {
    pub(in crate::llm) role: Role,
    pub(in crate::llm) content: Cow<'a, str>,
    /// What an assistant asks for; the results follow.
    pub(in crate::llm) calls: Vec<SentCall<'a>>,
    /// For the result of a tool: the call it answers.
    pub(in crate::llm) answers: Option<SentCall<'a>>,
}

/// A call as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::llm) struct SentCall<'a> {
    /// Unique in the conversation.
    pub(in crate::llm) id: Cow<'a, str>,
    pub(in crate::llm) name: &'a str,
    /// None if they were no JSON object: the model knows that from the result, and servers parse them.
    pub(in crate::llm) arguments: Option<&'a Value>,
}

/// The conversation in the order that the strictest server takes, without loss of text: one system message at the beginning, then
/// the user, and by turns; each call has its result right behind it, and each result its call; a user or a tool has the last word.
pub(in crate::llm) fn turns(messages: &[ChatMessage]) -> Vec<SentTurn<'_>> {
    let mut order = Order { turns: Vec::with_capacity(messages.len() + 1), ids: CallIds::default() };
    order.begin(messages.iter().filter(|message| message.role == Role::System));
    let mut others = messages.iter().filter(|message| message.role != Role::System).peekable();
    while let Some(message) = others.next() {
        match message.role {
            Role::Assistant if !message.tool_calls.is_empty() => {
                let mut results = Vec::new();
                while let Some(result) = others.next_if(|next| next.role == Role::Tool) {
                    results.push(result);
                }
                order.exchange(message, results);
            }
            Role::Tool => order.orphan(message),
            role => order.say(role, Cow::Borrowed(&message.content)),
        }
    }
    order.end()
}

struct Order<'a> {
    turns: Vec<SentTurn<'a>>,
    ids: CallIds,
}

impl<'a> Order<'a> {
    /// All instructions in one message.
    fn begin(&mut self, instructions: impl Iterator<Item = &'a ChatMessage>) {
        let mut all: Option<Cow<'a, str>> = None;
        for message in instructions.filter(|message| !is_blank(&message.content)) {
            match &mut all {
                Some(all) => join(all, &message.content),
                None => all = Some(Cow::Borrowed(&message.content)),
            }
        }
        self.turns.extend(all.map(|content| plain_turn(Role::System, content)));
    }

    /// Somebody speaks; who has spoken last goes on.
    fn say(&mut self, role: Role, content: Cow<'a, str>) {
        if is_blank(&content) {
            return;
        }
        match self.turns.last_mut() {
            Some(last) if last.role == role => join(&mut last.content, &content),
            _ => {
                self.make_way(role);
                self.turns.push(plain_turn(role, content));
            }
        }
    }

    /// Puts a turn in between where `role` can't speak next.
    fn make_way(&mut self, role: Role) {
        let last = self.turns.last().map(|turn| turn.role).filter(|role| *role != Role::System);
        let between = match (last, role) {
            (None, Role::Assistant) => plain_turn(Role::User, Cow::Borrowed(LEFT_OUT)),
            (Some(Role::Tool), Role::User) => plain_turn(Role::Assistant, Cow::Borrowed(NO_ANSWER)),
            _ => return,
        };
        self.turns.push(between);
    }

    /// An assistant calls, and gets results. Calls without a result are left out, results without a call become the user's words.
    fn exchange(&mut self, message: &'a ChatMessage, mut results: Vec<&'a ChatMessage>) {
        let mut answered = Vec::new();
        for call in &message.tool_calls {
            let is_its = |result: &&ChatMessage| result.answers.as_ref().is_some_and(|answers| answers.id == call.id);
            if let Some(at) = results.iter().position(is_its) {
                answered.push((call, results.remove(at)));
            }
        }
        self.say(Role::Assistant, Cow::Borrowed(&message.content));
        if !answered.is_empty() {
            self.calls(answered);
        }
        results.into_iter().for_each(|result| self.orphan(result));
    }

    fn calls(&mut self, answered: Vec<(&'a ToolCall, &'a ChatMessage)>) {
        if self.turns.last().is_none_or(|last| last.role != Role::Assistant) {
            self.make_way(Role::Assistant);
            self.turns.push(plain_turn(Role::Assistant, Cow::Borrowed("")));
        }
        let answered: Vec<_> = answered.into_iter().map(|(call, result)| (self.ids.sent(call), result)).collect();
        if let Some(asked) = self.turns.last_mut() {
            asked.calls = answered.iter().map(|(call, _)| call.clone()).collect();
        }
        for (call, result) in answered {
            let content = if is_blank(&result.content) { NOTHING } else { &result.content };
            self.turns.push(SentTurn { answers: Some(call), ..plain_turn(Role::Tool, Cow::Borrowed(content)) });
        }
    }

    /// A result of no call that is known.
    fn orphan(&mut self, result: &'a ChatMessage) {
        match &result.answers {
            _ if is_blank(&result.content) => {}
            Some(call) => self.say(Role::User, Cow::Owned(format!("Result of '{}':\n{}", call.name, result.content))),
            None => self.say(Role::User, Cow::Borrowed(&result.content)),
        }
    }

    fn end(mut self) -> Vec<SentTurn<'a>> {
        if self.turns.last().is_none_or(|last| matches!(last.role, Role::Assistant | Role::System)) {
            self.say(Role::User, Cow::Borrowed(GO_ON));
        }
        self.turns
    }
}

/// Gives calls ids that are unique in a conversation: servers number them anew in each reply, and some are longer than others
/// take.
#[derive(Default)]
struct CallIds {
    taken: HashSet<String>,
    made: usize,
}

impl CallIds {
    fn sent<'a>(&mut self, call: &'a ToolCall) -> SentCall<'a> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let is_usable = (1..=MAX_ID_CHARS).contains(&call.id.len()) && call.id.chars().all(is_plain);
        let id = match is_usable && self.taken.insert(call.id.clone()) {
            true => Cow::Borrowed(call.id.as_str()),
            false => Cow::Owned(self.make()),
        };
        SentCall { id, name: &call.name, arguments: Some(&call.arguments).filter(|arguments| arguments.is_object()) }
    }

    fn make(&mut self) -> String {
        loop {
            self.made += 1;
            let id = short_id(self.made);
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}

/// The id of a call by its number, in the nine letters and digits that Mistral wants.
pub(in crate::llm) fn short_id(number: usize) -> String {
    format!("call{number:05}")
}

fn plain_turn(role: Role, content: Cow<'_, str>) -> SentTurn<'_> {
    SentTurn { role, content, calls: Vec::new(), answers: None }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn join(text: &mut Cow<'_, str>, more: &str) {
    let text = text.to_mut();
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn call(id: &str, arguments: Value) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments }
    }

    fn asks(text: &str, calls: &[ToolCall]) -> ChatMessage {
        ChatMessage { tool_calls: calls.to_vec(), ..ChatMessage::new(Role::Assistant, text) }
    }

    fn gives(text: &str, call: &ToolCall) -> ChatMessage {
        ChatMessage { answers: Some(call.clone()), ..ChatMessage::new(Role::Tool, text) }
    }

    fn said<'a>(turns: &'a [SentTurn<'_>]) -> Vec<(Role, &'a str)> {
        turns.iter().map(|turn| (turn.role, turn.content.as_ref())).collect()
    }

    #[test]
    fn a_conversation_in_order_is_sent_as_it_is_and_nothing_is_copied() {
        let one = call("c1", json!({"a": 1}));
        let messages = [
            ChatMessage::new(Role::System, "Be brief."),
            ChatMessage::new(Role::User, "Hi"),
            ChatMessage::new(Role::Assistant, "Hello."),
            ChatMessage::new(Role::User, "Weather?"),
            asks("", std::slice::from_ref(&one)),
            gives("Rain", &one),
        ];
        let sent = turns(&messages);
        let expected: Vec<_> = messages.iter().map(|message| (message.role, message.content.as_str())).collect();
        assert_eq!(said(&sent), expected);
        assert!(sent.iter().all(|turn| matches!(turn.content, Cow::Borrowed(_))));
        assert_eq!((&*sent[4].calls[0].id, sent[4].calls[0].arguments), ("c1", Some(&json!({"a": 1}))));
        assert_eq!(sent[5].answers.as_ref(), sent[4].calls.first());
    }

    #[test]
    fn instructions_go_first_and_neighbours_are_joined() {
        use Role::{Assistant, System, User};
        let talk = [
            (Assistant, "Welcome."),
            (User, "One"),
            (User, "Two"),
            (System, "Rule"),
            (Assistant, " "),
            (User, "Three"),
            (System, "Later rule"),
            (Assistant, "Four"),
            (Assistant, "Five"),
        ];
        let messages = talk.map(|(role, text)| ChatMessage::new(role, text));
        let expected = [
            (System, "Rule\n\nLater rule"),
            (User, LEFT_OUT),
            (Assistant, "Welcome."),
            (User, "One\n\nTwo\n\nThree"),
            (Assistant, "Four\n\nFive"),
            (User, GO_ON),
        ];
        assert_eq!(said(&turns(&messages)), expected);
        assert_eq!(said(&turns(&[])), [(User, GO_ON)]);
    }

    #[test]
    fn calls_and_results_belong_together_and_their_ids_are_unique() {
        use Role::{Assistant, Tool, User};
        let (first, lost) = (call("call_0", json!({})), call("lost", json!({})));
        let (again, broken) = (call("call_0", json!({})), call(&"x".repeat(41), json!("{\"url\": ")));
        let messages = [
            ChatMessage::new(User, "Go"),
            asks("Let me see.", &[first.clone(), lost.clone()]),
            gives("one", &first),
            gives("nobody asked", &call("other", json!({}))),
            asks("", &[again.clone(), broken.clone()]),
            gives("", &broken),
            gives("two", &again),
            ChatMessage::new(User, "And now?"),
        ];
        let sent = turns(&messages);
        let expected = [
            (User, "Go"),
            (Assistant, "Let me see."),
            (Tool, "one"),
            (Assistant, NO_ANSWER),
            (User, "Result of 'f':\nnobody asked"),
            (Assistant, ""),
            (Tool, "two"),
            (Tool, NOTHING),
            (Assistant, NO_ANSWER),
            (User, "And now?"),
        ];
        assert_eq!(said(&sent), expected);
        let ids: Vec<_> = sent.iter().flat_map(|turn| &turn.calls).map(|call| call.id.as_ref()).collect();
        assert_eq!(ids, ["call_0", "call00001", "call00002"]);
        assert_eq!(sent[5].calls[1].arguments, None, "what is no object is not echoed");
    }

    fn any_message() -> impl Strategy<Value = ChatMessage> {
        let call = (0..4_usize, prop_oneof![Just(json!({"a": 1})), Just(json!("{broken")), Just(json!([1]))])
            .prop_map(|(id, arguments)| call(["", "a", "b", "é"][id], arguments));
        let text = prop_oneof![Just(String::new()), Just(" \n".to_owned()), "[a-z]{1,6}"];
        let role = prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant), Just(Role::Tool)];
        let calls = proptest::collection::vec(call.clone(), 0..3);
        (role, text, calls, proptest::option::of(call)).prop_map(|(role, content, calls, answers)| ChatMessage {
            role,
            content,
            tool_calls: if role == Role::Assistant { calls } else { Vec::new() },
            answers: answers.filter(|_| role == Role::Tool),
        })
    }

    /// What the strictest server would object to.
    fn objection(sent: &[SentTurn<'_>]) -> Option<String> {
        let after_system = sent.iter().skip_while(|turn| turn.role == Role::System).collect::<Vec<_>>();
        if sent.len() - after_system.len() > 1 || after_system.iter().any(|turn| turn.role == Role::System) {
            return Some("there is one system message, and it is the first".to_owned());
        }
        let (mut before, mut open, mut ids) = (None, Vec::new(), HashSet::new());
        for turn in after_system {
            let may = match before {
                None | Some(Role::Assistant) if open.is_empty() => turn.role == Role::User,
                Some(Role::User) => turn.role == Role::Assistant,
                _ if open.is_empty() => turn.role == Role::Assistant,
                _ => turn.role == Role::Tool,
            };
            if !may || turn.role != Role::Assistant && is_blank(&turn.content) {
                return Some(format!("{turn:?} after {before:?}"));
            }
            if turn.role == Role::Assistant && is_blank(&turn.content) && turn.calls.is_empty() {
                return Some("an answer without text".to_owned());
            }
            for call in &turn.calls {
                open.push(call.id.clone());
                if !ids.insert(call.id.clone()) {
                    return Some(format!("{} is used twice", call.id));
                }
            }
            if let Some(call) = &turn.answers {
                let at = open.iter().position(|id| *id == call.id);
                open.remove(at.expect("a result has its call"));
            }
            before = Some(turn.role);
        }
        (!open.is_empty() || !matches!(before, Some(Role::User | Role::Tool))).then(|| format!("{open:?} {before:?}"))
    }

    proptest! {
        #[test]
        fn any_list_of_messages_becomes_one_that_the_strictest_server_takes(
            messages in proptest::collection::vec(any_message(), 0..12)
        ) {
            let sent = turns(&messages);
            prop_assert_eq!(objection(&sent), None);
            let all: Vec<_> = sent.iter().map(|turn| turn.content.as_ref()).collect();
            let all = all.join("\n");
            for message in messages.iter().filter(|message| !is_blank(&message.content)) {
                prop_assert!(all.contains(&message.content), "{} is lost", message.content);
            }
        }
    }
}
