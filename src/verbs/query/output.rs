//! Rows as they come, in one of the formats.

use std::io::{self, Write};

use clap::ValueEnum;
use vql::Row;
use vql::syntax::ast::{Script, Statement};

use super::table::{self, Cell, Layout, Screen};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Jsonl,
    Csv,
    /// A table; on a terminal where its columns do not fit, each row one value below the other
    #[default]
    Text,
    /// A table in any case
    Table,
    /// Each row one value below the other
    Expanded,
}

/// Rows of a table that are measured before the first is shown; later ones keep these widths.
const MEASURED: usize = 50;

/// Writes the rows of a script's SELECTs.
pub(crate) struct Output<W> {
    format: Format,
    out: W,
    screen: Screen,
    /// For each statement whether it is a SELECT.
    selects: Vec<bool>,
    /// The statement whose rows are being written.
    current: Option<usize>,
    /// Of the current statement.
    rows: u64,
    /// Of those of a table, the ones that no longer wait.
    shown: u64,
    /// The columns of the heading.
    heading: Vec<String>,
    /// The rows that wait until there are enough to measure.
    waiting: Vec<Row>,
    /// Once the heading is written. None for rows that are shown one value below the other.
    layout: Option<Option<Layout>>,
    buffer: Vec<u8>,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(format: Format, script: &Script, screen: Screen, out: W) -> Self {
        Self {
            format,
            out,
            screen,
            selects: script.statements.iter().map(|s| matches!(s, Statement::Select(_))).collect(),
            current: None,
            rows: 0,
            shown: 0,
            heading: Vec::new(),
            waiting: Vec::new(),
            layout: None,
            buffer: Vec::new(),
        }
    }

    /// One more row of a statement. Rows of a table may wait for others; [`flush`](Self::flush) shows them.
    pub(crate) fn row(&mut self, statement: usize, row: Row) -> io::Result<()> {
        if self.current != Some(statement) {
            self.begin(statement)?;
        }
        match self.format {
            Format::Json | Format::Jsonl => self.json(&row)?,
            Format::Csv => self.csv(&row)?,
            Format::Expanded => {
                self.out.write_all(table::expanded(&row, self.rows + 1, self.screen).as_bytes())?;
            }
            Format::Text | Format::Table => {
                if !self.same_columns(&row) {
                    self.flush_table()?;
                    self.heading = row.columns().names().iter().map(|name| name.to_string()).collect();
                    if self.layout.take().is_some() {
                        writeln!(self.out)?;
                    }
                }
                self.waiting.push(row);
                if self.layout.is_some() || self.waiting.len() >= MEASURED {
                    self.flush_table()?;
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Shows all rows that came so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.flush_table()?;
        self.out.flush()
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.end_current()?;
        if self.format == Format::Json {
            let from = self.current.map_or(0, |current| current + 1);
            for _ in self.selects.iter().skip(from).filter(|is| **is) {
                writeln!(self.out, "[]")?;
            }
        }
        self.out.flush()
    }

    fn same_columns(&self, row: &Row) -> bool {
        let names = row.columns().names();
        self.heading.len() == names.len() && self.heading.iter().zip(names).all(|(a, b)| **a == **b)
    }

    fn json(&mut self, row: &Row) -> io::Result<()> {
        self.buffer.clear();
        row.write_json(&mut self.buffer);
        if self.format == Format::Json {
            self.out.write_all(if self.rows == 0 { b"\n " } else { b",\n " })?;
        }
        if self.screen.width.is_some() {
            self.out.write_all(table::shown_json(&self.buffer).as_bytes())?;
        } else {
            self.out.write_all(&self.buffer)?;
        }
        if self.format == Format::Jsonl { self.out.write_all(b"\n") } else { Ok(()) }
    }

    fn csv(&mut self, row: &Row) -> io::Result<()> {
        let shown = |text: &str| {
            // Line breaks belong to CSV; a terminal must not be told anything by them.
            if self.screen.width.is_some() { csv_field(&table::shown(text)) } else { csv_field(text) }
        };
        if !self.same_columns(row) {
            self.heading = row.columns().names().iter().map(|name| name.to_string()).collect();
            let line: Vec<String> = self.heading.iter().map(|name| shown(name)).collect();
            writeln!(self.out, "{}", line.join(","))?;
        }
        let line: Vec<String> = row.values().iter().map(|value| shown(&value.to_text())).collect();
        writeln!(self.out, "{}", line.join(","))
    }

    /// The rows of another SELECT begin; those between had none.
    fn begin(&mut self, statement: usize) -> io::Result<()> {
        self.end_current()?;
        if self.format == Format::Json {
            let from = self.current.map_or(0, |current| current + 1);
            for _ in self.selects.iter().take(statement).skip(from).filter(|is| **is) {
                writeln!(self.out, "[]")?;
            }
            write!(self.out, "[")?;
        }
        self.current = Some(statement);
        (self.rows, self.shown, self.heading, self.layout) = (0, 0, Vec::new(), None);
        Ok(())
    }

    fn end_current(&mut self) -> io::Result<()> {
        self.flush_table()?;
        match (self.current, self.format) {
            (Some(_), Format::Json) => writeln!(self.out, "\n]"),
            (Some(_), Format::Text | Format::Table | Format::Expanded) => writeln!(self.out),
            _ => Ok(()),
        }
    }

    fn flush_table(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() {
            return Ok(());
        }
        let cells: Vec<Vec<Cell>> =
            rows.iter().map(|row| row.values().iter().map(|value| Cell::new(value, self.screen)).collect()).collect();
        let mut layout = match self.layout.take() {
            Some(layout) => layout,
            None => {
                let layout = Layout::measure(&self.heading, &cells, self.screen);
                let readable = layout.is_readable(&self.heading, &cells, self.screen);
                if readable || self.format == Format::Table {
                    self.out.write_all(layout.heading(&self.heading, self.screen).as_bytes())?;
                    Some(layout)
                } else {
                    None
                }
            }
        };
        for (row, cells) in rows.iter().zip(&cells) {
            self.shown += 1;
            let text = match &mut layout {
                Some(layout) => layout.row(cells, self.screen),
                None => table::expanded(row, self.shown, self.screen),
            };
            self.out.write_all(text.as_bytes())?;
        }
        self.layout = Some(layout);
        Ok(())
    }
}

/// RFC 4180.
fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
