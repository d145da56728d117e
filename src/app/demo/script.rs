use std::time::Duration;

use serde_json::{Value, json};

use super::queries::{is_about_shop, query_for};

/// The demo model's name.
pub(super) const MODEL: &str = "demo-model";
/// Pause between two words of a streamed answer.
pub(super) const WORD_PAUSE: Duration = Duration::from_millis(15);
/// Stands between what the server found and the prompt.
const REQUEST: &str = "\n\nThe user's request:\n\n";
/// What the server has an answer begin with that lacks what it needs.
const NOTHING_FOUND: &str = "NOTHING_FOUND:";

/// What the demo model was asked, in the form that both wire formats share.
pub(super) struct DemoRequest {
    messages: Vec<(String, String)>,
    tools: Vec<String>,
}

/// What the demo model says.
#[derive(Debug, PartialEq)]
pub(super) struct DemoAnswer {
    /// The text; empty when a tool is asked for.
    pub(super) text: String,
    /// The tools to call, with their arguments.
    pub(super) tools: Vec<(String, Value)>,
    /// Tokens read, roughly.
    pub(super) prompt_tokens: usize,
}

impl DemoRequest {
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
    pub(super) fn answer(&self) -> DemoAnswer {
        let prompt_tokens = self.messages.iter().map(|(_, content)| content.len() / 4 + 1).sum();
        let tools = self.tool_calls();
        let text = if tools.is_empty() { self.text() } else { String::new() };
        DemoAnswer { text, tools, prompt_tokens }
    }

    fn last(&self) -> (&str, &str) {
        self.messages.last().map_or(("", ""), |(role, content)| (role, prompt_in(content)))
    }

    /// Calls of offered functions, if the prompt asks for what they do.
    fn tool_calls(&self) -> Vec<(String, Value)> {
        let (role, prompt) = self.last();
        if role != "user" {
            return Vec::new();
        }
        let offered = |kind: &str| self.tools.iter().find(|tool| tool.contains(kind));
        let call = |kind: &str, arguments: Value| offered(kind).map(|tool| (tool.clone(), arguments));
        let asks_for = |words: &[&str]| words.iter().any(|word| prompt.to_lowercase().contains(word));
        let mut calls = Vec::new();
        if asks_for(&["weather", "how warm", "degrees", "wetter"]) {
            let cities = cities_in(prompt);
            calls.extend(cities.iter().filter_map(|city| call("weather", json!({"url": format!("/weather/{city}")}))));
        }
        if asks_for(&["calculate", "compute"]) {
            calls.extend(call("code", json!({"language": "python", "code": format!("print({})", sum_in(prompt))})));
        }
        if asks_for(&["look up", "latest", "search"]) {
            calls.extend(call("search", json!({"query": prompt})));
        }
        // Where the plan has found something, it has found what it is about.
        if !self.results().is_empty() {
            return calls;
        }
        if is_about_shop(prompt) {
            calls.extend(call("query_shop", json!({"question": prompt})));
        }
        if asks_for(&["ticket"]) {
            calls.extend(call("query_support", json!({"question": prompt})));
        }
        if asks_for(&["retention agent", "advise", "advice"]) {
            calls.extend(call("ask_retention", json!({"prompt": prompt})));
        }
        calls
    }

    fn text(&self) -> String {
        let (role, prompt) = self.last();
        let lower = prompt.to_lowercase();
        let turn = self.messages.iter().filter(|(role, _)| role == "user").count();
        let asked_for = written_query(prompt).or_else(|| chosen_agent(prompt)).or_else(|| needed(prompt));
        let asked_for = asked_for.or_else(|| self.program());
        if let Some(text) = asked_for {
            return text;
        }
        if lower.starts_with("classify ") {
            return json!({"intent": "general_llm", "confidence": 0.6, "note": "scripted demo model"}).to_string();
        }
        let said = match role {
            "tool" if !self.results().is_empty() => format!("{}\n\n{}", self.report(), self.told()),
            "tool" => self.told(),
            _ if !self.results().is_empty() => self.report(),
            _ if lower.starts_with("summarize ") => format!("Summary: {}", excerpt(&self.summary_of(prompt), 600)),
            _ if lower.contains("my name") && lower.contains("what") => self.name(),
            _ if lower.contains("did i say") || lower.contains("remember") => self.recollection(),
            _ if ["hello", "hi", "hey"].contains(&lower.trim_end_matches(['!', '.', ','])) => {
                "Hello! Tell me your name, then ask me what it is.".to_owned()
            }
            _ => format!("You said: \"{}\". This was turn {turn} of our conversation.", excerpt(prompt, 200)),
        };
        match self.messages.iter().any(|(role, content)| role == "system" && content.contains(NOTHING_FOUND)) {
            true if is_german(prompt) => {
                format!(
                    "{NOTHING_FOUND} [Demo-Modell, mit Drehbuch] Was dafür nötig ist, war nicht zu bekommen.\n\n{said}"
                )
            }
            true => format!("{NOTHING_FOUND} [demo model, scripted] What this needs could not be obtained.\n\n{said}"),
            false => format!("[demo model, scripted] {said}"),
        }
    }

    /// What earlier steps found, as the server tells it right before the prompt.
    fn results(&self) -> Vec<&str> {
        let asked = self.messages.iter().rfind(|(role, _)| role == "user");
        let before = asked.and_then(|(_, content)| content.rsplit_once(REQUEST));
        let parts = before.map(|(data, _)| data.split("Result of an earlier step").skip(1).collect());
        parts.unwrap_or_default()
    }

    /// What tools gave in answer to the last calls.
    fn told(&self) -> String {
        let results: Vec<_> = self.messages.iter().rev().take_while(|(role, _)| role == "tool").collect();
        let text = |(_, content): &&(String, String)| fenced(content).into_iter().next().unwrap_or_default();
        let told: Vec<_> = results.iter().rev().map(text).map(|text| excerpt(&text, 600)).collect();
        format!("The tools answered: {}", told.join("; "))
    }

    /// A program, if one is asked for. One that is asked to have a mistake has one until it has failed.
    fn program(&self) -> Option<String> {
        let (_, prompt) = self.last();
        let lower = prompt.to_lowercase();
        let is_repair = prompt.starts_with("Your program was run and failed");
        let is_asked_for =
            ["program", "script", "code"].iter().any(|word| lower.contains(word)) && lower.starts_with("write ");
        if !is_repair && !is_asked_for {
            return None;
        }
        let mut asked = self.messages.iter().rev().filter(|(role, _)| role == "user").map(|(_, text)| prompt_in(text));
        let wanted = asked.find(|text| text.to_lowercase().starts_with("write "));
        let sum = sum_in(wanted.unwrap_or_default());
        let has_mistake = lower.contains("mistake") && !is_repair;
        let name = if has_mistake { "totl" } else { "total" };
        let lead = if is_repair { "I misspelt a name. Mended" } else { "A program that adds it up" };
        Some(format!("[demo model, scripted] {lead}:\n\n```python\ntotal = {sum}\nprint({name})\n```"))
    }

    /// A report on the results: the first row of each table, and what others said.
    fn report(&self) -> String {
        let asked = self.messages.iter().rfind(|(role, _)| role == "user");
        let prompt = asked.map_or("", |(_, content)| prompt_in(content));
        let (lead, begins) = match is_german(prompt) {
            true => ("Hier ist mein Bericht.", "Die Daten beginnen mit"),
            false => ("Here is my report.", "The data begins with"),
        };
        let about = |result: &&str| match first_row(result) {
            Some(row) => format!("{begins} {row}."),
            None if result.contains("Results of a web search") => first_page(result),
            None => excerpt(&fenced(result).into_iter().next().unwrap_or_default(), 600),
        };
        let told: Vec<_> = self.results().iter().map(about).collect();
        format!("{lead} {}", told.join("\n\n"))
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

fn is_german(prompt: &str) -> bool {
    let lower = prompt.to_lowercase();
    ["wie ", "welche", "wer ", "zeig", "wetter"]
        .iter()
        .any(|word| lower.starts_with(word) || lower.contains(&format!(" {word}")))
}

/// The prompt in a message, without what the server found.
fn prompt_in(content: &str) -> &str {
    content.rsplit_once(REQUEST).map_or(content, |(_, prompt)| prompt)
}

fn written_query(prompt: &str) -> Option<String> {
    if !prompt.starts_with("Write one ") {
        return None;
    }
    // The schema stands before the question.
    let question = fenced(prompt).into_iter().nth(1)?;
    Some(format!("```sql\n{}\n```", query_for(&question)))
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

/// What a request needs, if that is to be chosen from a list.
fn needed(prompt: &str) -> Option<String> {
    let list = prompt.strip_prefix("Which of these are needed")?;
    let wish = fenced(list).pop()?.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| wish.contains(word));
    let choices = [
        ("datasource:shop", is_about_shop(&wish)),
        ("datasource:support", has(&["ticket"])),
        ("agent:retention", has(&["retention agent", "advise", "advice"])),
        ("tool:weather", has(&["weather", "wetter", "degrees"])),
    ];
    let needed: Vec<_> =
        choices.iter().filter(|(name, is)| *is && list.contains(name)).map(|(name, _)| *name).collect();
    Some(json!({"use": needed}).to_string())
}

/// The first row of a Markdown table: `plan: basic, churn_percent: 31.5`.
fn first_row(text: &str) -> Option<String> {
    let cells = |line: &str| line.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let mut lines = text.lines().filter(|line| line.starts_with('|'));
    let (head, _rule, row) = (lines.next()?, lines.next()?, lines.next()?);
    let named = cells(head).into_iter().zip(cells(row)).map(|(name, value)| format!("{name}: {value}"));
    Some(named.collect::<Vec<_>>().join(", "))
}

/// What the first page that a search found says: `snippet [1]`.
fn first_page(result: &str) -> String {
    let block = fenced(result).into_iter().next().unwrap_or_default();
    let snippet = block.lines().skip_while(|line| !line.starts_with("[1] ")).nth(2).unwrap_or_default();
    format!("The web says: {snippet} [1]")
}

/// Cities of the sample weather service that a prompt names; Lisbon if none.
fn cities_in(prompt: &str) -> Vec<&'static str> {
    let lower = prompt.to_lowercase();
    let named: Vec<_> = super::web::cities().filter(|city| lower.contains(&city.to_lowercase())).collect();
    if named.is_empty() { vec!["Lisbon"] } else { named }
}

/// The calculation in a prompt, such as `19 + 23`.
fn sum_in(prompt: &str) -> String {
    let part = |c: char| c.is_ascii_digit() || " +-*/.".contains(c);
    let runs = prompt.split(|c: char| !part(c)).map(|run| run.trim_matches([' ', '.']));
    let sums = runs.filter(|run| run.starts_with(|c: char| c.is_ascii_digit()) && run.contains(['+', '-', '*', '/']));
    let sums = sums.filter(|run| run.ends_with(|c: char| c.is_ascii_digit()));
    sums.max_by_key(|run| run.len()).unwrap_or("6 * 7").to_owned()
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

    fn answer(messages: Value, tools: Value) -> DemoAnswer {
        DemoRequest::read(&json!({"messages": messages, "tools": tools})).answer()
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
            "Result of an earlier step. ...\n---\n2 rows\n| month | revenue |\n| --- | --- |\n| 2024-01 | 5 |\n---";
        let talk = json!([{"role": "user", "content": format!("{note}{REQUEST}Revenue by month?")}]);
        let report = "[demo model, scripted] Here is my report. The data begins with month: 2024-01, revenue: 5.";
        assert_eq!(answer(talk, json!([])).text, report);
    }

    #[test]
    fn it_asks_for_tools_that_it_is_offered_and_knows() {
        let ask = |prompt: &str, tools: &[&str]| {
            let offered: Value =
                tools.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
            answer(json!([{"role": "user", "content": prompt}]), offered).tools
        };
        let search = ask("Search for rust news", &["web_search"]);
        assert_eq!(search, [("web_search".to_owned(), json!({"query": "Search for rust news"}))]);
        let weather = ask("How warm is it in Rome and in Oslo?", &["weather", "search"]);
        let call = |city: &str| ("weather".to_owned(), json!({"url": format!("/weather/{city}")}));
        assert_eq!(weather, [call("Oslo"), call("Rome")]);
        let code = ask("Calculate (19 + 23) * 2.", &["code"]);
        assert_eq!(code[0].1["code"], "print(19 + 23)");
        assert_eq!(ask("Search for rust news", &[]), []);
        assert_eq!(ask("Hello", &["weather", "search", "code"]), []);
    }

    #[test]
    fn it_writes_a_program_and_mends_it() {
        let wish = json!({"role": "user", "content": "Write a program that adds 19 + 23, with a mistake"});
        let written = answer(json!([wish]), json!([])).text;
        assert!(written.ends_with("```python\ntotal = 19 + 23\nprint(totl)\n```"), "{written}");
        let failed = json!({"role": "user", "content": "Your program was run and failed. ..."});
        let wish = json!({"role": "user", "content": format!("data{REQUEST}{}", wish["content"].as_str().unwrap())});
        let mended = answer(json!([wish, failed]), json!([])).text;
        assert!(mended.ends_with("```python\ntotal = 19 + 23\nprint(total)\n```"), "{mended}");
    }
}
