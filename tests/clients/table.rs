//! What came of it, for people to read.

use crate::trial::Row;
use std::fmt::Write;

/// A line for each row, a column for each step, and every fault in words below.
pub fn render(rows: &[Row]) -> String {
    let columns: Vec<&str> =
        rows.first().map(|row| row.cells.iter().map(|(name, _)| *name).collect()).unwrap_or_default();
    let mut text = format!("{:18}{:23}", "client", "speaks");
    for column in &columns {
        let _ = write!(text, "{column}  ");
    }
    text.push('\n');
    for row in rows {
        let _ = write!(text, "{:18}{:23}", row.client, row.way);
        for (column, fault) in &row.cells {
            let mark = if fault.is_none() { "ok" } else { "FAILED" };
            let _ = write!(text, "{mark:width$}  ", width = column.len());
        }
        text.push('\n');
    }
    for row in rows {
        for fault in row.faults() {
            let _ = writeln!(text, "{}, {}: {fault}", row.client, row.way);
        }
    }
    text
}
