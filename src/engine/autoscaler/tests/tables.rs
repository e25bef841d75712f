//! Test tables of the original systems, where they are there.

use crate::units::Span;

/// A row of a table, by column.
pub(in crate::engine::autoscaler) struct Row(Vec<(String, String)>);

impl Row {
    /// The cell of a column, empty if it is.
    pub(in crate::engine::autoscaler) fn cell(&self, column: &str) -> &str {
        let (_, cell) =
            self.0.iter().find(|(name, _)| name == column).unwrap_or_else(|| panic!("no column {column}"));
        cell
    }

    pub(in crate::engine::autoscaler) fn number<T: std::str::FromStr>(&self, column: &str) -> Option<T> {
        let cell = self.cell(column);
        (!cell.is_empty())
            .then(|| cell.parse().unwrap_or_else(|_| panic!("{column}: {cell} is no number in {:?}", self.0)))
    }

    pub(in crate::engine::autoscaler) fn list<'a>(&'a self, column: &str) -> Vec<&'a str> {
        let cell = self.cell(column);
        if cell.is_empty() { Vec::new() } else { cell.split(';').collect() }
    }

    pub(in crate::engine::autoscaler) fn numbers<T: std::str::FromStr>(&self, column: &str) -> Vec<T> {
        let number = |text: &str| text.trim().parse().unwrap_or_else(|_| panic!("{column}: {text}"));
        self.list(column).into_iter().map(number).collect()
    }

    pub(in crate::engine::autoscaler) fn seconds(&self, column: &str) -> Option<Span> {
        self.number(column).map(Span::from_secs)
    }
}

/// The rows of a table; `None`, and a line that says so, where it is not there.
pub(in crate::engine::autoscaler) fn table(name: &str) -> Option<Vec<Row>> {
    let path = format!("{}/../shared/data/conformance/{name}", env!("CARGO_MANIFEST_DIR"));
    if !std::path::Path::new(&path).exists() {
        println!("skipped: ../shared is not there");
        return None;
    }
    let mut reader = csv::Reader::from_path(&path).expect("a table");
    let header = reader.headers().expect("a header").clone();
    let row = |record: csv::StringRecord| {
        Row(header.iter().zip(&record).map(|(name, cell)| (name.to_string(), cell.to_string())).collect())
    };
    Some(reader.records().map(|record| row(record.expect("a row"))).collect())
}
