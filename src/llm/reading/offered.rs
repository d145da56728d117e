use serde_json::Value;

use crate::llm::ToolSpec;

/// The functions that a request offers, as far as a reply is read by them.
#[derive(Clone, Debug, Default)]
pub(in crate::llm) struct KnownFunctions(Vec<OfferedFunction>);

#[derive(Clone, Debug)]
struct OfferedFunction {
    name: String,
    /// Arguments that are texts by the schema.
    texts: Vec<String>,
}

impl KnownFunctions {
    /// Those of a request.
    pub(in crate::llm) fn of(tools: &[ToolSpec]) -> Self {
        let offered = |tool: &ToolSpec| OfferedFunction { name: tool.name.clone(), texts: texts(&tool.parameters) };
        Self(tools.iter().map(offered).collect())
    }

    /// All but those with these names, which the server was not told of.
    pub(in crate::llm) fn without(mut self, names: &[String]) -> Self {
        self.0.retain(|function| !names.contains(&function.name));
        self
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a function has exactly this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|function| function.name == name)
    }

    /// The function that a name means: models put the namespace before it that their template has, a number after it, or marks.
    pub(super) fn find(&self, written: &str) -> Option<&str> {
        let written = written.split("<|").next().unwrap_or(written).trim().trim_matches(['"', '\'', '`']);
        let bare = ["functions.", "function.", "default_api.", "tools.", "tool."]
            .iter()
            .find_map(|space| written.strip_prefix(space))
            .unwrap_or(written);
        let unnumbered = bare.rsplit_once(':').filter(|(_, number)| number.bytes().all(|b| b.is_ascii_digit()));
        let candidates = [Some(written), Some(bare), unnumbered.map(|(name, _)| name)];
        let known = |name: &str| self.0.iter().find(|function| function.name == name);
        candidates.into_iter().flatten().find_map(known).map(|function| function.name.as_str())
    }

    /// Whether the name of a function begins so.
    pub(super) fn has_name_from(&self, beginning: &str) -> bool {
        self.0.iter().any(|function| function.name.starts_with(beginning))
    }

    /// Whether an argument of a function is a text by its schema.
    pub(super) fn is_text(&self, function: &str, argument: &str) -> bool {
        let function = self.0.iter().find(|known| known.name == function);
        function.is_some_and(|function| function.texts.iter().any(|text| text == argument))
    }
}

/// The properties of a schema that are texts.
fn texts(schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let is_text = |schema: &Value| schema.get("type").and_then(Value::as_str) == Some("string");
    properties.into_iter().flatten().filter(|(_, schema)| is_text(schema)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_not_found_by_its_name() {
        let tool = |name: &str| ToolSpec { name: name.to_owned(), description: String::new(), parameters: Value::Null };
        let offered = KnownFunctions::of(&[tool("a"), tool("b")]).without(&["a".to_owned()]);
        assert_eq!((offered.find("a"), offered.find("functions.b")), (None, Some("b")));
    }
}
