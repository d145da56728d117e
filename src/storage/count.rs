/// How many of something a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCount {
    /// How many were found.
    pub count: usize,
    /// Whether there are no others: a search in Redis has limits.
    pub is_complete: bool,
}
