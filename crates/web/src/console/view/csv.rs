//! Tables as files for spreadsheets: RFC 4180, with what a spreadsheet would run as a formula made a
//! text.

use axum::response::Response;
use serde_json::Value;

use super::answer::download;
use crate::operate::Row;

/// A table that grows line by line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Csv(String);

impl Csv {
    /// With the names of the columns.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut csv = Self::default();
        csv.line(columns);
        csv
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, cells: &[&str]) {
        for (place, cell) in cells.iter().enumerate() {
            if place > 0 {
                self.0.push(',');
            }
            self.cell(cell);
        }
        self.0.push_str("\r\n");
    }

    /// A file of rows of a statement: the members of these names.
    pub(crate) fn of_rows(columns: &[&str], rows: &[Row], name: &str) -> Response {
        let mut csv = Self::new(columns);
        for row in rows {
            let cells = columns.iter().map(|it| match row.get(*it) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            });
            let cells: Vec<String> = cells.collect();
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            csv.line(&cells);
        }
        csv.file(name)
    }

    /// The file.
    pub(crate) fn file(self, name: &str) -> Response {
        download(name, "text/csv; charset=utf-8", self.0)
    }

    /// A cell that begins like a formula gets an apostrophe before it.
    fn cell(&mut self, cell: &str) {
        let is_formula = model::spreadsheet::runs(cell);
        if !is_formula && !cell.contains([',', '"', '\r', '\n']) {
            self.0.push_str(cell);
            return;
        }
        self.0.push('"');
        if is_formula {
            self.0.push('\'');
        }
        self.0.push_str(&cell.replace('"', "\"\""));
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::Csv;

    #[test]
    fn formulas_are_texts_and_quotes_hold() {
        let mut csv = Csv::new(&["a", "b"]);
        csv.line(&["=1+1", "x,\"y\"\nz"]);
        csv.line(&["@SUM(A1)", "-1"]);
        csv.line(&["\u{ff1d}1", "\n=1"]);
        let expect = "a,b\r\n\"'=1+1\",\"x,\"\"y\"\"\nz\"\r\n\"'@SUM(A1)\",\"'-1\"\r\n\
                      \"'\u{ff1d}1\",\"'\n=1\"\r\n";
        assert_eq!(csv.0, expect);
    }
}
