//! What a query that succeeded has to show.

#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub result: ResultSet,
    /// What a query is billed for.
    pub scanned_bytes: u64,
}

/// A whole result, ready to be paged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// In the order of the query's select list.
    pub columns: Vec<ResultColumn>,
    /// One cell per column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    /// As the query names it.
    pub name: String,
    /// Such as `varchar`.
    pub athena_type: &'static str,
}
