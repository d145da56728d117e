use serde_json::{Value, json};

use super::queries::query_for;

/// What the demo model was asked, in the form that both wire formats share.
pub(super) struct Asked {
    messages: Vec<(String, String)>,
    tools: Vec<String>,
}

/// What the demo model says.
#[derive(Debug, PartialEq)]
pub(super) struct Scripted {
    /// The text; empty when a tool is asked for.
    pub(super) text: String,
    /// A tool to call, with its arguments.
    pub(super) tool: Option<(String, Value)>,
    /// Tokens read, roughly.
    pub(super) prompt_tokens: usize,
}

impl Asked {
    /// Reads `messages` and `tools` of a request; both formats name them alike.
    pub(super) fn read(body: &Value) -> Self {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |key: &str| body.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let messages =
            list("messages").iter().map(|message| (text(message, "role"), text(message, "content"))).collect();
        let tools = list("tools").iter().filter_map(|tool| Some(text(tool.get("function")?, "name"))).collect();
        Self { messages, tools }
    }

    /// The scripted answer.
    pub(super) fn answer(&self) -> Scripted {
        let prompt_tokens = self.messages.iter().map(|(_, content)| content.len() / 4 + 1).sum();
        let tool = self.tool_call();
        let text = if tool.is_some() { String::new() } else { self.text() };
        Scripted { text, tool, prompt_tokens }
    }

    fn last(&self) -> (&str, &str) {
        self.messages.last().map_or(("", ""), |(role, content)| (role, content))
    }

    /// A call to an offered tool, if the prompt asks for what the tool does.
    fn tool_call(&self) -> Option<(String, Value)> {
        let (role, prompt) = self.last();
        if role != "user" {
            return None;
        }
        let wish = prompt.to_lowercase();
        let covered: [(&str, &[&str], Value); 3] = [
            ("search", &["search", "look up", "latest"], json!({"query": prompt})),
            ("code", &["run", "execute", "calculate"], json!({"language": "python", "code": "print(6 * 7)"})),
            ("http", &["http", "api", "fetch"], json!({"url": "/"})),
        ];
        covered.into_iter().find_map(|(kind, words, arguments)| {
            let tool = self.tools.iter().find(|tool| tool.contains(kind))?;
            words.iter().any(|word| wish.contains(word)).then(|| (tool.clone(), arguments))
        })
    }

    fn text(&self) -> String {
        let (role, prompt) = self.last();
        let lower = prompt.to_lowercase();
        if let Some(query) = written_query(prompt) {
            return format!("```sql\n{query}\n```");
        }
        if let Some(choice) = chosen_agent(prompt) {
            return choice;
        }
        if lower.starts_with("classify ") {
            return json!({"intent": "general_llm", "confidence": 0.6, "note": "scripted demo model"}).to_string();
        }
        let said = match role {
            "tool" => format!("The tool answered: {prompt}"),
            _ if !self.results().is_empty() => self.report(),
            _ if lower.starts_with("summarize ") => format!("Summary: {}", excerpt(&self.summary_of(prompt), 600)),
            _ if lower.contains("my name") && lower.contains("what") => self.name(),
            _ if lower.contains("did i say") || lower.contains("remember") => self.recollection(),
            _ if ["hello", "hi", "hey"].contains(&lower.trim_end_matches(['!', '.', ','])) => {
                "Hello! Tell me your name, then ask me what it is.".to_owned()
            }
            _ => format!("You said: \"{}\". This was turn {} of our conversation.", excerpt(prompt, 200), self.turns()),
        };
        format!("[demo model, scripted] {said}")
    }

    /// What earlier steps found, as the server tells it right before the prompt.
    fn results(&self) -> Vec<&str> {
        let before = self.messages.iter().rev().nth(1).filter(|(role, _)| role == "system");
        let parts = before.map(|(_, notes)| notes.split("Result of an earlier step").skip(1).collect());
        parts.unwrap_or_default()
    }

    /// A report on the results: the first row of each table, and what others said.
    fn report(&self) -> String {
        let about = |result: &&str| match first_row(result) {
            Some(row) => format!("The data begins with {row}."),
            None => excerpt(&fenced(result).into_iter().next().unwrap_or_default(), 600),
        };
        let told: Vec<_> = self.results().iter().map(about).collect();
        format!("Here is my report. {}", told.join("\n\n"))
    }

    fn turns(&self) -> usize {
        self.messages.iter().filter(|(role, _)| role == "user").count()
    }

    /// The name that was told somewhere in the conversation or its summary.
    fn name(&self) -> String {
        let told = self.messages.iter().rev().find_map(|(_, content)| {
            let at = content.to_lowercase().find("my name is ")?;
            let rest = content.get(at + "my name is ".len()..)?;
            let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            (!name.is_empty()).then(|| name.to_owned())
        });
        told.map_or("You have not told me your name yet.".to_owned(), |name| format!("Your name is {name}."))
    }

    fn recollection(&self) -> String {
        let earlier = self.messages.iter().rev().skip(1).filter(|(role, _)| role == "user");
        let quotes: Vec<_> = earlier.take(5).map(|(_, content)| format!("\"{}\"", excerpt(content, 80))).collect();
        if quotes.is_empty() {
            "This is the first thing you say to me.".to_owned()
        } else {
            format!("Before this you said {}.", quotes.join(", then earlier "))
        }
    }

    /// What the user said in a conversation that is to be summarized.
    fn summary_of(&self, prompt: &str) -> String {
        let kept =
            prompt.lines().filter_map(|line| line.strip_prefix("User: ").or(line.strip_prefix("Summary so far:")));
        kept.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
    }
}

/// The query, if one is asked for.
fn written_query(prompt: &str) -> Option<&'static str> {
    if !prompt.starts_with("Write one ") {
        return None;
    }
    // The schema stands before the question.
    let question = fenced(prompt).into_iter().nth(1)?;
    Some(query_for(&question))
}

/// What the server put between lines of dashes.
fn fenced(text: &str) -> Vec<String> {
    let is_fence = |line: &&str| line.len() >= 3 && line.chars().all(|c| c == '-');
    let (mut blocks, mut lines) = (Vec::new(), text.lines());
    while let Some(fence) = lines.find(is_fence) {
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != fence).collect();
        blocks.push(block.join("\n"));
    }
    blocks
}

/// The first agent of a list, if one is to be chosen.
fn chosen_agent(prompt: &str) -> Option<String> {
    let list = prompt.strip_prefix("Which of these agents")?;
    let name = list.lines().find_map(|line| line.strip_prefix("- ")?.split_once(": "))?.0;
    Some(json!({"agent": name}).to_string())
}

/// The first row of a Markdown table: `plan: basic, churn_percent: 31.5`.
fn first_row(text: &str) -> Option<String> {
    let cells = |line: &str| line.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let mut lines = text.lines().filter(|line| line.starts_with('|'));
    let (head, _rule, row) = (lines.next()?, lines.next()?, lines.next()?);
    let named = cells(head).into_iter().zip(cells(row)).map(|(name, value)| format!("{name}: {value}"));
    Some(named.collect::<Vec<_>>().join(", "))
}

fn excerpt(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// The text cut into pieces as a model streams them: words with the blank before them.
pub(super) fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(messages: Value, tools: Value) -> Scripted {
        Asked::read(&json!({"messages": messages, "tools": tools})).answer()
    }

    #[test]
    fn it_remembers_a_name_and_says_that_it_is_a_demo() {
        let talk = json!([{"role": "user", "content": "Hi, my name is Ada!"}, {"role": "user", "content": "What is my name?"}]);
        assert_eq!(answer(talk, json!([])).text, "[demo model, scripted] Your name is Ada.");
    }

    #[test]
    fn it_writes_a_query_and_reports_on_its_rows() {
        let ask = "Write one SQLite query ...\n---\nsales by product\n---\n----\nRevenue by month?\n---\n----";
        let written = answer(json!([{"role": "user", "content": ask}]), json!([])).text;
        assert!(written.starts_with("```sql\nSELECT strftime"), "{written}");
        let note =
            "Result of an earlier step, for ...\n---\n2 rows\n| month | revenue |\n| --- | --- |\n| 2024-01 | 5 |\n---";
        let talk = json!([{"role": "system", "content": note}, {"role": "user", "content": "Revenue by month?"}]);
        let report = "[demo model, scripted] Here is my report. The data begins with month: 2024-01, revenue: 5.";
        assert_eq!(answer(talk, json!([])).text, report);
    }

    #[test]
    fn it_asks_for_a_tool_that_it_is_offered_and_knows() {
        let talk = json!([{"role": "user", "content": "Search for rust news"}]);
        let offered = json!([{"type": "function", "function": {"name": "web_search"}}]);
        let asked = answer(talk.clone(), offered);
        assert_eq!(asked.tool, Some(("web_search".to_owned(), json!({"query": "Search for rust news"}))));
        assert_eq!(answer(talk, json!([])).tool, None);
    }
}
