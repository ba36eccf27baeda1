//! Rows as a table that fits a terminal, or one below the other.
//!
//! What a cell holds may come from an attacker's file name: no control character reaches the terminal as it is.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use vql::{Row, Value};

/// Between two columns.
const GAP: usize = 2;

/// A column that would be narrower says nothing: the row is then better shown one value below the other.
const NARROW: usize = 8;

/// Of a value that stands on lines of its own, no more lines than this are shown.
const MOST_LINES: usize = 100;

/// Where a table is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// In character cells; None where lines may be of any length, as in a file.
    pub(crate) width: Option<usize>,
    pub(crate) color: bool,
}

/// One value as it is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cell {
    text: String,
    width: usize,
    number: bool,
    null: bool,
}

impl Cell {
    pub(crate) fn new(value: &Value, screen: Screen) -> Self {
        let number = matches!(value, Value::Int(_) | Value::Float(_));
        Self { number, null: value.is_null(), ..Self::of_text(&value.to_text(), screen) }
    }

    pub(crate) fn of_text(text: &str, screen: Screen) -> Self {
        // What does not fit is never seen: of a megabyte only the beginning is looked at.
        let limit = screen.width.unwrap_or(usize::MAX);
        let mut shown = String::new();
        let mut width = 0;
        for c in text.chars() {
            push_shown(&mut shown, c);
            width += c.width().unwrap_or(1);
            if width > limit {
                break;
            }
        }
        Self { width: shown.width(), text: shown, number: false, null: false }
    }
}

/// The text with control characters, and those that change the order of what is read, as escapes.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_shown(&mut out, c));
    out
}

/// As [`shown`], for JSON: only where it is text, such characters stand in it, and there the escapes are JSON's own.
pub(crate) fn shown_json(json: &[u8]) -> String {
    let mut out = String::with_capacity(json.len());
    for c in String::from_utf8_lossy(json).chars() {
        if is_hostile(c) && c != '\n' { out.push_str(&format!("\\u{:04x}", c as u32)) } else { out.push(c) }
    }
    out
}

fn push_shown(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if !is_hostile(c) => out.push(c),
        c if (c as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", c as u32)),
        c => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
    }
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// How wide each column is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Layout {
    widths: Vec<usize>,
    numbers: Vec<bool>,
    /// Columns at the right for which no room is left.
    hidden: usize,
}

impl Layout {
    /// From the heading and the first rows.
    pub(crate) fn measure(heading: &[String], rows: &[Vec<Cell>], screen: Screen) -> Self {
        let column = |index: usize| rows.iter().filter_map(move |row| row.get(index));
        let mut widths: Vec<usize> = heading
            .iter()
            .enumerate()
            .map(|(index, name)| column(index).map(|cell| cell.width).max().unwrap_or(0).max(shown(name).width()))
            .collect();
        let numbers = (0..heading.len()).map(|index| {
            let mut some = false;
            column(index).all(|cell| {
                some |= cell.number;
                cell.number || cell.null
            }) && some
        });
        let numbers = numbers.collect();
        let mut hidden = 0;
        if let Some(width) = screen.width {
            // A column of one character and its gap is the least that can be shown.
            let most = (width / (1 + GAP)).max(1);
            hidden = widths.len().saturating_sub(most);
            widths.truncate(most);
            let gaps = widths.len().saturating_sub(1) * GAP;
            fit(&mut widths, width.saturating_sub(gaps).max(1));
        }
        Self { widths, numbers, hidden }
    }

    /// Whether no column had to become so narrow that it says nothing.
    pub(crate) fn is_readable(&self, heading: &[String], rows: &[Vec<Cell>], screen: Screen) -> bool {
        let wide = Self::measure(heading, rows, Screen { width: None, ..screen });
        self.hidden == 0 && self.widths.iter().zip(&wide.widths).all(|(got, wanted)| got >= wanted || *got >= NARROW)
    }

    pub(crate) fn heading(&self, heading: &[String], screen: Screen) -> String {
        let cells: Vec<Cell> = heading.iter().map(|name| Cell::of_text(name, screen)).collect();
        let mut out = self.line(&cells, screen, true);
        if screen.width.is_some() {
            let rules: Vec<String> = self.widths.iter().map(|width| "─".repeat(*width)).collect();
            out.push_str(&dim(&rules.join(&" ".repeat(GAP)), screen));
            out.push('\n');
        }
        out
    }

    /// A row; a column grows for it where there is room, and a number that would be cut takes room from the widest text.
    pub(crate) fn row(&mut self, cells: &[Cell], screen: Screen) -> String {
        if let Some(width) = screen.width {
            for (index, cell) in cells.iter().enumerate().take(self.widths.len()) {
                if cell.width > self.widths[index] {
                    self.grow(index, cell, width);
                }
            }
        }
        self.line(cells, screen, false)
    }

    fn grow(&mut self, index: usize, cell: &Cell, screen: usize) {
        let used = self.widths.iter().sum::<usize>() + self.widths.len().saturating_sub(1) * GAP;
        let wanted = cell.width - self.widths[index];
        let free = screen.saturating_sub(used).min(wanted);
        self.widths[index] += free;
        if cell.number && free < wanted {
            let lacks = wanted - free;
            let texts = (0..self.widths.len()).filter(|i| *i != index && !self.numbers[*i]);
            if let Some(widest) = texts.max_by_key(|i| self.widths[*i])
                && self.widths[widest] >= NARROW + lacks
            {
                self.widths[widest] -= lacks;
                self.widths[index] += lacks;
            }
        }
    }

    fn line(&self, cells: &[Cell], screen: Screen, heading: bool) -> String {
        let mut out = String::new();
        let last = self.widths.len().saturating_sub(1);
        for (index, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            let limit = if screen.width.is_some() { *width } else { usize::MAX };
            let text = cut(&cell.text, limit);
            let space = " ".repeat(width.saturating_sub(text.width()));
            let right = self.numbers.get(index).copied().unwrap_or(false) && screen.width.is_some();
            let styled = match (heading, cell.null) {
                (true, _) => bold(&text, screen),
                (false, true) => dim(&text, screen),
                _ => text,
            };
            match (right, index == last) {
                (true, _) => out.extend([&*space, &*styled]),
                (false, true) => out.push_str(&styled),
                (false, false) => out.extend([&*styled, &*space]),
            }
            if index != last {
                out.push_str(&" ".repeat(GAP));
            }
        }
        let mut out = out.trim_end().to_owned();
        if self.hidden > 0 && heading {
            out.push_str(&dim(&format!(" +{}", self.hidden), screen));
        }
        out.push('\n');
        out
    }
}

/// Makes the widest columns narrower until all fit.
fn fit(widths: &mut [usize], room: usize) {
    let sum = |cap: usize, widths: &[usize]| widths.iter().map(|width| (*width).min(cap)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or(0);
    if sum(widest, widths) <= room {
        return;
    }
    // The greatest width that none may exceed.
    let (mut low, mut high) = (1, widest);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if sum(middle, widths) <= room { low = middle } else { high = middle - 1 }
    }
    let mut left = room.saturating_sub(sum(low, widths));
    for width in widths {
        if *width > low {
            // What the division leaves goes to the first ones.
            let more = usize::from(left > 0);
            left -= more;
            *width = low + more;
        }
    }
}

/// The beginning of the text that fits, with `…` where something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let mut end = 0;
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        end = at + c.len_utf8();
    }
    // A sequence may be wider than its characters.
    while text[..end].width() > room {
        end = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    }
    format!("{}…", &text[..end])
}

/// One row, a value below the other.
pub(crate) fn expanded(row: &Row, number: u64, screen: Screen) -> String {
    let width = screen.width.unwrap_or(80);
    let title = format!("── {number} ");
    let mut out = dim(&format!("{title}{}", "─".repeat(width.min(60).saturating_sub(title.width()))), screen);
    out.push('\n');
    let names: Vec<String> = row.columns().names().iter().map(|name| cut(&shown(name), width / 2)).collect();
    let widest = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let indent = widest + GAP;
    for (name, value) in names.iter().zip(row.values()) {
        out.push_str(&bold(name, screen));
        let text = long_text(value, width.saturating_sub(indent));
        let mut lines = text.lines();
        let mut space = indent - name.width();
        for line in lines.by_ref().take(MOST_LINES) {
            for piece in pieces(&shown(line), width.saturating_sub(indent).max(NARROW)) {
                out.push_str(&" ".repeat(space));
                out.push_str(&if value.is_null() { dim(piece, screen) } else { piece.to_owned() });
                out.push('\n');
                space = indent;
            }
        }
        let more = lines.count();
        if more > 0 {
            out.push_str(&format!("{}… {more} more lines\n", " ".repeat(indent)));
        } else if text.is_empty() {
            out.push('\n');
        }
    }
    out
}

/// The text in pieces that are no wider than `width`; an empty one is one piece.
fn pieces(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, c) in text.char_indices() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width && at > start {
            pieces.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    pieces.push(&text[start..]);
    pieces
}

/// Text on its own lines; an array or dict that is too long for one line laid out as JSON.
fn long_text(value: &Value, width: usize) -> String {
    const LONGEST: usize = 16 << 10;
    let mut text = value.to_text().to_string();
    if matches!(value, Value::Dict(_) | Value::Array(_))
        && text.width() > width
        && let Ok(json) = serde_json::from_str::<serde_json::Value>(&text)
        && let Ok(pretty) = serde_json::to_string_pretty(&json)
    {
        text = pretty;
    }
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let missing = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… {missing} more bytes"));
    }
    text
}

pub(crate) fn bold(text: &str, screen: Screen) -> String {
    style(text, "1", screen)
}

pub(crate) fn dim(text: &str, screen: Screen) -> String {
    style(text, "2", screen)
}

pub(crate) fn style(text: &str, code: &str, screen: Screen) -> String {
    if screen.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FILE: Screen = Screen { width: None, color: false };

    fn screen(width: usize) -> Screen {
        Screen { width: Some(width), color: false }
    }

    fn table(names: &[&str], rows: &[&[Value]], screen: Screen) -> String {
        let heading: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let rows: Vec<Vec<Cell>> =
            rows.iter().map(|row| row.iter().map(|value| Cell::new(value, screen)).collect()).collect();
        let mut layout = Layout::measure(&heading, &rows, screen);
        let mut out = layout.heading(&heading, screen);
        rows.iter().for_each(|row| out.push_str(&layout.row(row, screen)));
        out
    }

    #[test]
    fn a_table_fits_the_screen() {
        let rows: &[&[Value]] = &[
            &[1i64.into(), "short".into(), "a text that is far too long for what is left".into()],
            &[12345i64.into(), "日本語のとても長い名前".into(), Value::Null],
        ];
        assert_eq!(
            table(&["Pid", "Name", "Text"], rows, screen(40)),
            "  Pid  Name              Text\n\
             ─────  ────────────────  ───────────────\n\
             \u{20}   1  short             a text that is…\n\
             12345  日本語のとても…   NULL\n"
        );
        for width in 1..100 {
            for line in table(&["Pid", "Name", "Text"], rows, screen(width)).lines() {
                let hidden = line.rfind(" +").map_or(line, |at| &line[..at]);
                assert!(hidden.width() <= width, "{width}: {line}");
            }
        }
        assert_eq!(
            table(&["Pid", "Name"], &[&[1i64.into(), "x".into()], &[22i64.into(), "y".into()]], FILE),
            "Pid  Name\n1    x\n22   y\n"
        );
    }

    #[test]
    fn later_rows_take_the_room_that_is_left() {
        let heading = ["N".to_owned(), "Text".to_owned()];
        let row = |n: i64, text: &str| vec![Cell::new(&n.into(), screen(20)), Cell::new(&text.into(), screen(20))];
        let mut layout = Layout::measure(&heading, &[row(1, "twelve chars")], screen(20));
        assert_eq!(layout.row(&row(12345, "x"), screen(20)), "12345  x\n");
        assert_eq!(layout.row(&row(1, "longer than there is room"), screen(20)), "    1  longer than …\n");
        assert_eq!(layout.row(&row(1234567, "longer than there is room"), screen(20)), "1234567  longer tha…\n");
    }

    #[test]
    fn no_control_character_passes() {
        let evil = "a\x1b]0;title\x07b\u{9b}31m\u{202e}gpj.exe\r\n\tc\u{7f}\0";
        for text in [
            table(&["N\x1bame"], &[&[evil.into()]], screen(200)),
            table(&["Name"], &[&[evil.into()]], FILE),
            expanded(&Row::of([("N\x1b", evil.into()), ("m", Value::array([evil.into()]))]), 1, screen(80)),
            shown_json(Value::from(evil).to_json().as_bytes()),
        ] {
            let hostile = |c: char| c != '\n' && is_hostile(c);
            assert!(!text.contains(hostile), "{text:?}");
            assert!(text.contains("31m") && text.contains("gpj.exe"), "{text}");
        }
        let json = shown_json(Value::from(evil).to_json().as_bytes());
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), evil);
    }

    #[test]
    fn what_is_cut_says_so() {
        for (text, width, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("abc", 1, "…"),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, width), expected, "{text} {width}");
        }
    }

    #[test]
    fn a_wide_row_is_shown_a_value_below_the_other() {
        let wide: Vec<Value> = (0..20).map(|i| format!("value number {i}").into()).collect();
        let names: Vec<String> = (0..20).map(|i| format!("Column{i}")).collect();
        let cells = |screen| vec![wide.iter().map(|value| Cell::new(value, screen)).collect::<Vec<_>>()];
        for (width, readable) in [(400, true), (200, true), (80, false)] {
            let rows = cells(screen(width));
            let layout = Layout::measure(&names, &rows, screen(width));
            assert_eq!(layout.is_readable(&names, &rows, screen(width)), readable, "{width}");
        }
        let dict =
            Value::dict([("first".into(), "x".repeat(20).into()), ("b".into(), 2i64.into())].into_iter().collect());
        let row = Row::of([
            ("Pid", 1i64.into()),
            ("Lines", "one\ntwo three four five six seven".into()),
            ("Dict", dict),
            ("No", Value::Null),
        ]);
        assert_eq!(
            expanded(&row, 7, screen(30)),
            "── 7 ─────────────────────────\n\
             Pid    1\n\
             Lines  one\n\
             \u{20}      two three four five six\n\
             \u{20}       seven\n\
             Dict   {\n\
             \u{20}        \"first\": \"xxxxxxxxxxx\n\
             \u{20}      xxxxxxxxx\",\n\
             \u{20}        \"b\": 2\n\
             \u{20}      }\n\
             No     NULL\n"
        );
    }
}
