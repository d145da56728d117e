//! Tables for people, JSON for programs.

use std::path::Path;

use serde_json::Value;

/// Columns, each with its width, and the first one to the left.
pub struct Table(Vec<usize>);

impl Table {
    /// Prints the heads.
    pub fn new(columns: &[(&str, usize)]) -> Self {
        let table = Self(columns.iter().map(|(_, width)| *width).collect());
        table.row(&columns.iter().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>());
        table
    }

    pub fn row(&self, cells: &[String]) {
        let cells = cells.iter().zip(&self.0).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        println!("{}", cells.collect::<String>());
    }
}

/// Writes what was found to `target/NAME.json`, and says where that is.
pub fn write_json(name: &str, found: &Value) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let file = target.join(format!("{name}.json"));
    std::fs::write(&file, format!("{found:#}\n")).unwrap();
    println!("\n{}", file.display());
}
