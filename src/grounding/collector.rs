//! Asks the modules for what cannot be read from the settings: tables of data sources, functions of MCP servers.
//!
//! To add a sort of resource that has to be asked: a variant of [`AskedResource`], listed in `all`, and its branch in `collect`. What its
//! entry in the settings says alone goes to `described`, and its kind to [`ResourceKind`].

use std::collections::HashMap;
use std::time::Duration;

use super::described;
use super::vocabulary::{Detail, Item, ItemKind, ResourceKind, Vocabulary};
use crate::datasources::{ColumnSchema, DataSourceService, Source, TableSchema};
use crate::kernel::Deadline;
use crate::settings::Settings;
use crate::tools::{Tool, ToolService};

/// Time that a resource has to say what it offers. A source's own limit counts if it is shorter.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(60);

/// A kind and a name.
pub(super) type ResourceKey = (ResourceKind, String);

/// A resource that has to be asked.
#[derive(Clone, Debug)]
pub(super) enum AskedResource {
    Source(Source),
    McpServer(Tool),
}

impl AskedResource {
    /// Those that these settings enable.
    pub(super) fn all(settings: &Settings) -> Vec<Self> {
        let sources = settings.datasources.enabled().filter(|_| settings.orchestration.grounding_enabled);
        let sources = sources.filter(|source| source.effective.protocol().is_some());
        let servers = settings.tools.enabled().filter(|tool| tool.effective.is_mcp());
        sources.cloned().map(Self::Source).chain(servers.cloned().map(Self::McpServer)).collect()
    }

    pub(super) fn key(&self) -> ResourceKey {
        match self {
            Self::Source(source) => (ResourceKind::DataSource, source.name.to_string()),
            Self::McpServer(tool) => (ResourceKind::Tool, tool.name.to_string()),
        }
    }

    pub(super) fn version(&self) -> &str {
        match self {
            Self::Source(source) => &source.version,
            Self::McpServer(tool) => &tool.version,
        }
    }
}

/// What was collected of a resource.
pub(super) struct Collection {
    pub(super) vocabulary: Vocabulary,
    /// Whether some was left out, since it was too much.
    pub(super) is_cut: bool,
    /// Whether the values of columns were read, too.
    pub(super) has_values: bool,
}

impl Collection {
    /// Of which some may have been left out before.
    fn cut(self, is_cut: bool) -> Self {
        Self { is_cut: self.is_cut || is_cut, ..self }
    }
}

/// Asks data sources and MCP servers what they offer. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    pub(super) datasources: DataSourceService,
    pub(super) tools: ToolService,
}

impl Collector {
    /// What a resource offers; the error is a full sentence. Values of columns are taken over from `previous`, unless there is none or the
    /// tables are not what they were.
    pub(super) async fn collect(
        &self,
        resource: &AskedResource,
        settings: &Settings,
        previous: Option<&Vocabulary>,
    ) -> Result<Collection, String> {
        let deadline = Deadline::after(COLLECT_TIMEOUT);
        match resource {
            AskedResource::Source(source) => self.source(source, previous, deadline).await,
            AskedResource::McpServer(tool) => {
                let functions = self.tools.functions_of(tool, settings, deadline).await?;
                let items = functions.iter().map(described::function_item).collect();
                Ok(finish(described::of_tool(tool), items, true))
            }
        }
    }

    async fn source(
        &self,
        source: &Source,
        previous: Option<&Vocabulary>,
        deadline: Deadline,
    ) -> Result<Collection, String> {
        let catalog = self.datasources.outline(source, deadline).await.map_err(|error| error.to_string())?;
        if let Err(error) = self.datasources.check_verified(source, &catalog).await {
            tracing::warn!(source = %source.name, %error, "its verified questions could not be looked at");
        }
        let (tables, is_cut) = (catalog.tables, catalog.truncated);
        let items = table_items(&tables);
        if let Some(known) = previous.and_then(|previous| with_values_of(&items, previous)) {
            return Ok(finish(described::of_source(source), known, false).cut(is_cut));
        }
        // What can't be read of the values is no reason to do without the tables.
        let items = match self.datasources.read_values(source, tables, deadline).await {
            Ok(tables) => table_items(&tables),
            Err(_) => items,
        };
        Ok(finish(described::of_source(source), items, true).cut(is_cut))
    }
}

fn finish(mut vocabulary: Vocabulary, items: Vec<Item>, has_values: bool) -> Collection {
    vocabulary.items.extend(items);
    let (vocabulary, is_cut) = Vocabulary { is_complete: true, ..vocabulary }.bounded();
    Collection { vocabulary, is_cut, has_values }
}

/// The items of tables, but for partitions, which are known by the words of their table. Where there are several schemas, names begin
/// with theirs.
fn table_items(tables: &[TableSchema]) -> Vec<Item> {
    let tables: Vec<_> = tables.iter().filter(|table| !table.is_partition()).collect();
    let has_many = tables.windows(2).any(|pair| matches!(pair, [one, other] if one.schema != other.schema));
    let item = |table: &&TableSchema| Item {
        kind: ItemKind::Table,
        name: match &table.schema {
            Some(schema) if has_many => format!("{schema}.{}", table.name),
            _ => table.name.clone(),
        },
        about: table.comment.clone(),
        details: table.columns.iter().map(|column| detail(table, column)).collect(),
    };
    tables.iter().map(item).collect()
}

/// A column; members of a cube without its name, which stands before them.
fn detail(table: &TableSchema, column: &ColumnSchema) -> Detail {
    let own = column.name.strip_prefix(table.name.as_str()).and_then(|rest| rest.strip_prefix('.'));
    Detail {
        name: own.unwrap_or(&column.name).to_owned(),
        about: column.comment.clone(),
        values: column.values.clone(),
    }
}

/// The items with the values that were known before; none if a table or column is new.
fn with_values_of(items: &[Item], previous: &Vocabulary) -> Option<Vec<Item>> {
    let known: HashMap<&str, &Item> = previous.items.iter().map(|item| (item.name.as_str(), item)).collect();
    let take_over = |item: &Item| {
        let before = known.get(item.name.as_str()).filter(|before| before.details.len() == item.details.len())?;
        let pairs = item.details.iter().zip(&before.details);
        let take = |(now, before): (&Detail, &Detail)| {
            let values = if now.values.is_empty() { &before.values } else { &now.values };
            (now.name == before.name).then(|| Detail { values: values.clone(), ..now.clone() })
        };
        Some(Item { details: pairs.map(take).collect::<Option<_>>()?, ..item.clone() })
    };
    items.iter().map(take_over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(columns: &[(&str, &[&str])]) -> Item {
        let detail = |(name, values): &(&str, &[&str])| Detail {
            name: (*name).to_owned(),
            about: None,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let details = columns.iter().map(detail).collect();
        Item { kind: ItemKind::Table, name: "orders".to_owned(), about: None, details }
    }

    #[test]
    fn known_values_are_taken_over_while_the_columns_are_the_same() {
        let previous = Vocabulary {
            kind: ResourceKind::DataSource,
            name: "erp".to_owned(),
            version: "1".to_owned(),
            description: None,
            items: vec![item(&[("status", &["paid"]), ("kind", &["a"])])],
            is_complete: true,
        };
        let now = [item(&[("status", &[]), ("kind", &["b"])])];
        assert_eq!(with_values_of(&now, &previous).unwrap(), [item(&[("status", &["paid"]), ("kind", &["b"])])]);
        assert_eq!(with_values_of(&[item(&[("status", &[])])], &previous), None);
        assert_eq!(with_values_of(&[item(&[("status", &[]), ("color", &[])])], &previous), None);
    }
}
