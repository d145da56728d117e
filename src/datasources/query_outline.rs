use std::collections::BTreeSet;

/// What a query reads and takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QueryOutline {
    /// The names of its `:name` parameters.
    pub(super) parameters: BTreeSet<String>,
    /// Tables and cubes, as the query spells them.
    pub(super) tables: BTreeSet<String>,
    /// Words that may name columns, in lower case.
    pub(super) columns: BTreeSet<String>,
    /// Whether it reads all columns there are, as `*` does.
    pub(super) reads_all: bool,
}
