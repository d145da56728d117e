use serde::{Deserialize, Serialize};

use crate::kernel::{one_line, truncate_chars};

/// A kind of resource that can serve a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// A data source.
    DataSource,
    /// An external agent.
    Agent,
    /// A tool, or an MCP server with its tools.
    Tool,
}

impl ResourceKind {
    /// Its name in figures and replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DataSource => "datasource",
            Self::Agent => "agent",
            Self::Tool => "tool",
        }
    }
}

/// The words that one resource is known by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name in the catalog.
    pub name: String,
    /// The version of its entry that this was collected of.
    pub version: String,
    /// Its description, if it has one.
    pub description: Option<String>,
    /// Tables, functions, skills and verified questions.
    pub items: Vec<Item>,
    /// Whether its items could be had: without, only name and description are known.
    pub is_complete: bool,
}

/// Items that are kept of a resource.
const MAX_ITEMS: usize = 10_000;
/// Parts that are kept of an item.
const MAX_DETAILS: usize = 200;
/// Values that are kept of a part.
const MAX_VALUES: usize = 50;
/// Characters that are kept of a text.
const MAX_TEXT_CHARS: usize = 200;
/// Bytes that are kept of a resource, roughly.
const MAX_BYTES: usize = 4_000_000;

impl Vocabulary {
    /// Without what is more than an index needs; whether anything was left out. First to go are values, then parts, then items.
    pub(super) fn bounded(mut self) -> (Self, bool) {
        let mut is_cut = self.items.len() > MAX_ITEMS;
        self.description = self.description.map(shortened).filter(|text| !text.is_empty());
        self.items.truncate(MAX_ITEMS);
        for item in &mut self.items {
            is_cut |= item.details.len() > MAX_DETAILS;
            item.details.truncate(MAX_DETAILS);
            item.shorten();
        }
        let steps: [fn(&mut Item); 3] = [
            |item| item.details.iter_mut().for_each(|detail| detail.values.clear()),
            |item| item.details.iter_mut().for_each(|detail| detail.about = None),
            |item| item.details.clear(),
        ];
        for step in steps {
            if self.bytes() <= MAX_BYTES {
                break;
            }
            is_cut = true;
            self.items.iter_mut().for_each(step);
        }
        (self, is_cut)
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        let of_text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of_detail = |detail: &Detail| {
            let values: usize = detail.values.iter().map(|value| value.len() + OVERHEAD).sum();
            detail.name.len() + of_text(&detail.about) + values + OVERHEAD
        };
        let of_item = |item: &Item| {
            let details: usize = item.details.iter().map(of_detail).sum();
            item.name.len() + of_text(&item.about) + details + OVERHEAD
        };
        self.items.iter().map(of_item).sum::<usize>() + of_text(&self.description) + OVERHEAD
    }
}

/// What something counts besides its texts.
const OVERHEAD: usize = 50;

fn shortened(text: String) -> String {
    truncate_chars(&one_line(&text), MAX_TEXT_CHARS)
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    /// A table, view or cube; its details are columns, measures and dimensions.
    Table,
    /// A function of a tool; its details are parameters.
    Function,
    /// A skill of an agent.
    Skill,
    /// A verified question; its name is the id.
    Question,
}

/// One thing that a resource offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Its name.
    pub name: String,
    /// Comment, title or description; of a verified question, the question.
    pub about: Option<String>,
    /// Its parts.
    pub details: Vec<Detail>,
}

impl Item {
    fn shorten(&mut self) {
        self.name = truncate_chars(&self.name, MAX_TEXT_CHARS);
        self.about = self.about.take().map(shortened).filter(|text| !text.is_empty());
        for detail in &mut self.details {
            detail.name = truncate_chars(&detail.name, MAX_TEXT_CHARS);
            detail.about = detail.about.take().map(shortened).filter(|text| !text.is_empty());
            detail.values.truncate(MAX_VALUES);
            detail.values.iter_mut().for_each(|value| *value = shortened(std::mem::take(value)));
        }
    }
}

/// A part of an item: a column, measure, dimension or parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Its name.
    pub name: String,
    /// Comment, title or description.
    pub about: Option<String>,
    /// Enum labels, or values of a column that has few; of a parameter of a verified question, its default.
    pub values: Vec<String>,
}
