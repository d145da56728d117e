use sqlx::{ColumnIndex, Decode, Row};

use super::schema::{ColumnSchema, TableCatalog, TableSchema};
use crate::kernel::JsonReader;

/// Memory that the tables of one source may take, in bytes, roughly.
const MAX_CATALOG_BYTES: usize = 20_000_000;
/// What a table or a column counts besides its texts.
const OVERHEAD: usize = 150;
/// Values of a type that are told.
const MAX_LABELS: usize = 100;

/// Collects the tables of a catalog, whole ones only, as long as there is room.
#[derive(Default)]
pub(super) struct TableCollector {
    tables: Vec<TableSchema>,
    bytes: usize,
    is_full: bool,
}

impl TableCollector {
    /// Adds a row of a catalog that lists columns, table by table; false once there is no room for another table. A row has schema,
    /// table, kind, comment and what it is part of of the table, then name (none for a table without columns), type, nullability,
    /// default, primary key, reference, comment and (as a list in JSON) labels of the column.
    pub(super) fn add_row<R: Row>(&mut self, row: &R) -> Result<bool, sqlx::Error>
    where
        usize: ColumnIndex<R>,
        for<'r> String: Decode<'r, R::Database>,
        for<'r> bool: Decode<'r, R::Database>,
    {
        let (schema, name): (Option<String>, String) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
        let is_same = self.tables.last().is_some_and(|last| last.schema == schema && last.name == name);
        if !is_same {
            let (kind, comment, part_of) = (row.try_get_unchecked(2)?, text(row, 3)?, text(row, 4)?);
            if !self.add(TableSchema { schema, name, kind, comment, part_of, columns: Vec::new() }) {
                return Ok(false);
            }
        }
        if let (Some(table), Some(column)) = (self.tables.last_mut(), column(row)?) {
            self.bytes += column_bytes(&column);
            table.columns.push(column);
        }
        Ok(true)
    }

    /// Adds a table; false if there is no room for it.
    pub(super) fn add(&mut self, table: TableSchema) -> bool {
        self.is_full |= self.bytes >= MAX_CATALOG_BYTES;
        if !self.is_full {
            let texts = [table.schema.as_ref(), Some(&table.name), table.comment.as_ref(), table.part_of.as_ref()];
            let columns = table.columns.iter().map(column_bytes).sum::<usize>();
            self.bytes += OVERHEAD + columns + texts.into_iter().flatten().map(String::len).sum::<usize>();
            self.tables.push(table);
        }
        !self.is_full
    }

    /// The tables; `total` is how many there are.
    pub(super) fn finish(self, total: usize) -> TableCatalog {
        let left_out = total.saturating_sub(self.tables.len()).max(1);
        let last = self.tables.last().map(|table| table.name.as_str()).unwrap_or_default();
        let warning = self.is_full.then(|| {
            format!("The catalog is too large to be told as a whole: {left_out} further tables are left out, all behind '{last}'")
        });
        TableCatalog { truncated: self.is_full, warnings: warning.into_iter().collect(), tables: self.tables }
    }
}

/// A text of a row; an empty one counts as none.
fn text<R: Row>(row: &R, at: usize) -> Result<Option<String>, sqlx::Error>
where
    usize: ColumnIndex<R>,
    for<'r> String: Decode<'r, R::Database>,
{
    let text: Option<String> = row.try_get_unchecked(at)?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn column<R: Row>(row: &R) -> Result<Option<ColumnSchema>, sqlx::Error>
where
    usize: ColumnIndex<R>,
    for<'r> String: Decode<'r, R::Database>,
    for<'r> bool: Decode<'r, R::Database>,
{
    let Some(name) = row.try_get_unchecked(5)? else { return Ok(None) };
    Ok(Some(ColumnSchema {
        name,
        kind: row.try_get_unchecked(6)?,
        nullable: row.try_get_unchecked(7)?,
        default: row.try_get_unchecked(8)?,
        primary_key: row.try_get_unchecked(9)?,
        references: text(row, 10)?,
        comment: text(row, 11)?,
        values: labels(text(row, 12)?),
    }))
}

/// The labels of a type, of which only the first are told.
fn labels(json: Option<String>) -> Vec<String> {
    let read = |json: String| JsonReader::embedded().read::<Vec<String>>(json.as_bytes()).ok();
    let mut labels = json.and_then(read).unwrap_or_default();
    labels.truncate(MAX_LABELS);
    labels
}

/// The labels of a type that is written as MySQL does: `enum('draft','it''s paid')`.
pub(super) fn labels_in(kind: &str) -> Vec<String> {
    let list = ["enum(", "set("].into_iter().find_map(|start| kind.strip_prefix(start)?.strip_suffix(')'));
    let (mut labels, mut rest) = (Vec::new(), list.unwrap_or_default());
    while let Some(quoted) = rest.trim_start_matches(',').strip_prefix('\'').filter(|_| labels.len() < MAX_LABELS) {
        let (label, behind) = first_label(quoted);
        labels.push(label);
        rest = behind;
    }
    labels
}

/// A label up to its quote, of which two stand for one, and what stands behind.
fn first_label(text: &str) -> (String, &str) {
    let (mut label, mut rest) = (String::new(), text);
    while let Some((piece, behind)) = rest.split_once('\'') {
        label.push_str(piece);
        let Some(more) = behind.strip_prefix('\'') else { return (label, behind) };
        label.push('\'');
        rest = more;
    }
    (label, "")
}

fn column_bytes(column: &ColumnSchema) -> usize {
    let texts = [&column.default, &column.references, &column.comment].into_iter().flatten();
    let texts = texts.chain([&column.name, &column.kind]).map(String::len).sum::<usize>();
    texts + column.values.iter().map(|value| value.len() + OVERHEAD / 4).sum::<usize>() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_may_hold_what_separates_them() {
        for (kind, expected) in [
            ("enum('draft','it''s paid')", vec!["draft", "it's paid"]),
            ("enum('a'',''b','c')", vec!["a','b", "c"]),
            ("set('x')", vec!["x"]),
            ("enum('','''')", vec!["", "'"]),
            ("enum(", vec![]),
            ("varchar(20)", vec![]),
        ] {
            assert_eq!(labels_in(kind), expected, "{kind}");
        }
        let many: Vec<_> = (0..500).map(|nth| format!("'{nth}'")).collect();
        assert_eq!(labels_in(&format!("enum({})", many.join(","))).len(), MAX_LABELS);
    }

    #[test]
    fn tables_are_whole_and_what_is_left_out_is_counted() {
        let table = |name: String| TableSchema {
            schema: None,
            name,
            kind: "table".to_owned(),
            comment: Some("x".repeat(1_000_000)),
            part_of: None,
            columns: Vec::new(),
        };
        let mut collector = TableCollector::default();
        let kept = (0..50).take_while(|nth| collector.add(table(format!("t{nth}")))).count();
        let catalog = collector.finish(50);
        assert_eq!((kept, catalog.tables.len(), catalog.truncated), (20, 20, true));
        assert!(catalog.warnings[0].contains("30 further tables") && catalog.warnings[0].contains("'t19'"));
        let mut collector = TableCollector::default();
        assert!(collector.add(table("a".to_owned())));
        assert_eq!((collector.finish(1).truncated, TableCollector::default().finish(0).warnings.len()), (false, 0));
    }
}
