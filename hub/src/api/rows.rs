//! Rows on their way to people: pages for a view, whole result sets for a file.
//!
//! A download holds what was stored when it began, so that it ends also while rows come in. It is read a page at a
//! time: neither a large result set nor a slow browser fills the memory.
//!
//! JSONL is exact. CSV needs its columns first: one pass over the rows collects the keys in order of appearance, a
//! second writes. Values that are objects or lists become JSON text. Text that a spreadsheet would run as a formula
//! gets an apostrophe before it: rows come from endpoints, and whoever owns one must not own the analyst's machine.

use std::io;

use axum::{
    Json,
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use indexmap::IndexSet;
use protocol::{
    ClientId, FlowId, HuntId,
    api::{MAX_PAGE, RowPage, RowPageText},
    collection::StreamId,
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tokio_util::sync::CancellationToken;

use super::{App, clients::default_limit, error::Failure};
use crate::{Hub, HubError};

/// A page ends after the row that makes it this long, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// More columns than this are no table.
const MAX_COLUMNS: usize = 4096;

#[derive(Deserialize)]
pub(super) struct PageParams {
    /// The source's index or name; the first where it is missing.
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) from: u64,
    #[serde(default = "default_limit")]
    pub(super) limit: u32,
}

#[derive(Deserialize)]
pub(super) struct Download {
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) format: Format,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    #[default]
    Jsonl,
    Csv,
}

/// Whose rows.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Hunt(HuntId),
    Flow(ClientId, FlowId),
}

impl Of {
    /// The index that `source=` means.
    pub(super) async fn source(self, app: &App, text: &str) -> Result<u16, Failure> {
        if text.is_empty() {
            return Ok(0);
        }
        if let Ok(index) = text.parse() {
            return Ok(index);
        }
        let sources = app
            .hub(move |hub| match self {
                Self::Hunt(hunt) => hub.hunt(hunt).map(|hunt| hunt.sources),
                Self::Flow(client, flow) => hub.flow(client, flow).map(|flow| flow.sources),
            })
            .await?;
        let place = sources.iter().position(|source| source.name == text);
        place.and_then(|place| u16::try_from(place).ok()).ok_or_else(|| {
            Failure::not_found(format!("a source named {:?}", text.chars().take(80).collect::<String>()))
        })
    }
}

/// The rows of one source.
#[derive(Clone, Copy)]
pub(super) struct ResultSet {
    pub(super) of: Of,
    pub(super) source: u16,
}

impl ResultSet {
    /// Rows `from ..`, at most `limit` and about [`PAGE_BYTES`], but one where there is one. Blocks.
    pub(super) fn read(self, hub: &Hub, from: u64, limit: u32) -> Result<RowPageText, HubError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut page = match self.of {
            Of::Hunt(hunt) => hub.hunt_rows(hunt, self.source, from, limit),
            Of::Flow(client, flow) => hub.flow_rows(client, flow, StreamId(self.source), from, limit),
        }?;
        cut(&mut page.jsonl, PAGE_BYTES);
        Ok(page)
    }
}

/// Drops the rows after the one that reaches `bytes`.
fn cut(jsonl: &mut String, bytes: usize) {
    if jsonl.len() > bytes
        && let Some(end) = memchr::memchr(b'\n', &jsonl.as_bytes()[bytes - 1..])
    {
        jsonl.truncate(bytes + end);
    }
}

pub(super) fn count(page: &RowPageText) -> u64 {
    memchr::memchr_iter(b'\n', page.jsonl.as_bytes()).count() as u64
}

/// One page, as [`RowPage`].
pub(super) async fn page(app: &App, set: ResultSet, from: u64, limit: u32) -> Result<Response, Failure> {
    let page = app.hub(move |hub| set.read(hub, from, limit)).await?;
    let mut rows = Vec::new();
    for (place, line) in page.jsonl.lines().enumerate() {
        // Checked when it was stored, and looked at again: one damaged byte on disk would spoil the whole answer.
        let row: Box<RawValue> =
            serde_json::from_str(line).map_err(|error| damaged(page.from + place as u64, &error))?;
        rows.push(row);
    }
    Ok(Json(RowPage { source: page.source, from: page.from, total: page.total, rows }).into_response())
}

fn damaged(row: u64, error: &serde_json::Error) -> Failure {
    tracing::error!(row, %error, "a stored row is damaged");
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "damaged_row",
        format!("Row {row} on the hub's disk is not JSON: {error}."),
        "Its file was changed or damaged. The JSONL download gives it as it is.",
    )
}

/// All rows that are stored now, as a file named `<name>-<source>.<format>`.
pub(super) async fn download(app: &App, set: ResultSet, format: Format, name: &str) -> Result<Response, Failure> {
    // Before the headers are out, so that what is wrong with the request gets its own status.
    let mut pages = Pages { app: app.clone(), set, next: 0, total: None, limit: 64 };
    let first = pages.next().await?;
    let source = first.as_ref().map(|page| page.source.clone());
    let source = match source {
        Some(source) => source,
        None => app.hub(move |hub| set.read(hub, 0, 1)).await?.source,
    };
    let (kind, extension) = match format {
        Format::Jsonl => ("application/x-ndjson; charset=utf-8", "jsonl"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
    };
    let body = match format {
        Format::Jsonl => {
            let rest = stream::try_unfold(pages, |mut pages| async move {
                Ok(pages.next().await.map_err(broken)?.map(|page| (Bytes::from(page.jsonl), pages)))
            });
            let first = first.map(|page| Ok(Bytes::from(page.jsonl)));
            Body::from_stream(until(app.shutdown.clone(), stream::iter(first).chain(rest)))
        }
        Format::Csv => {
            let columns = columns(first, &mut pages).await?;
            let head = csv_line(columns.iter().map(|column| guard(column))).map_err(failed_csv)?;
            let again = Pages { next: 0, ..pages };
            let rest = stream::try_unfold((again, columns), |(mut pages, columns)| async move {
                let Some(page) = pages.next().await.map_err(broken)? else { return Ok(None) };
                let (text, columns) = blocking(move || Ok((csv_page(&page, &columns)?, columns))).await?;
                Ok(Some((Bytes::from(text), (pages, columns))))
            });
            let head = stream::iter([Ok(Bytes::from(head))]);
            Body::from_stream(until(app.shutdown.clone(), head.chain(rest)))
        }
    };
    let file = format!("{}.{extension}", file_name(&format!("{name}-{source}")));
    let disposition = format!("attachment; filename=\"{file}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}

/// A name that is a file's on every system, of anything.
pub(super) fn file_name(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    text.chars().take(160).map(safe).collect()
}

/// Ends a body with an error when the hub shuts down, so that the browser does not take a part for the whole.
pub(super) fn until(
    shutdown: CancellationToken,
    body: impl Stream<Item = io::Result<Bytes>> + Send,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let end = async move {
        shutdown.cancelled().await;
        Err(io::Error::other("the hub is shutting down"))
    };
    // Whichever is first; after the error nobody polls again, and after the body's end the token does not matter.
    let body = body.map(Some).chain(stream::iter([None]));
    stream::select(body, stream::once(end).map(Some))
        .take_while(|item| std::future::ready(item.is_some()))
        .filter_map(std::future::ready)
}

/// Reads a result set from row `next` to what was its end at the first page.
struct Pages {
    app: App,
    set: ResultSet,
    next: u64,
    total: Option<u64>,
    /// Rows to ask for: as many as have filled a page so far.
    limit: u32,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<RowPageText>, Failure> {
        let left = self.total.map_or(u64::MAX, |total| total.saturating_sub(self.next));
        if left == 0 {
            return Ok(None);
        }
        let (set, from) = (self.set, self.next);
        let limit = u64::from(self.limit).min(left) as u32;
        let page = self.app.hub(move |hub| set.read(hub, from, limit)).await?;
        self.total.get_or_insert(page.total);
        let rows = count(&page);
        if rows == 0 {
            if self.total.is_some_and(|total| from < total) {
                return Err(HubError::Storage {
                    what: format!("read row {from} of {}", page.source),
                    source: io::Error::new(io::ErrorKind::UnexpectedEof, "the result set has become shorter"),
                }
                .into());
            }
            return Ok(None);
        }
        self.next = from + rows;
        let fitting = rows * PAGE_BYTES as u64 / (page.jsonl.len() as u64).max(1);
        self.limit = fitting.clamp(1, u64::from(MAX_PAGE)) as u32;
        Ok(Some(page))
    }
}

/// The union of the rows' keys, in order of appearance.
async fn columns(first: Option<RowPageText>, pages: &mut Pages) -> Result<IndexSet<String>, Failure> {
    let mut columns = IndexSet::new();
    let mut page = first;
    while let Some(current) = page {
        let collect = move || {
            for (place, line) in current.jsonl.lines().enumerate() {
                let row: Map<String, Value> = serde_json::from_str(line)
                    .map_err(|error| io::Error::other(format!("row {}: {error}", current.from + place as u64)))?;
                columns.extend(row.into_iter().map(|(key, _)| key));
            }
            Ok(columns)
        };
        columns = blocking(collect).await.map_err(failed_csv)?;
        if columns.len() > MAX_COLUMNS {
            return Err(Failure::bad_request(
                "too_many_columns",
                format!("The rows have more than {MAX_COLUMNS} different keys: they are no table."),
                "Download them as JSONL.",
            ));
        }
        page = pages.next().await?;
    }
    if let Of::Hunt(_) = pages.set.of {
        // They end the rows; where rows differ they would stand in the middle of the columns.
        for last in ["ClientId", "FlowId"] {
            if columns.shift_remove(last) {
                columns.insert(last.to_owned());
            }
        }
    }
    Ok(columns)
}

fn csv_page(page: &RowPageText, columns: &IndexSet<String>) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(page.jsonl.len());
    for (place, line) in page.jsonl.lines().enumerate() {
        let row: Map<String, Value> = serde_json::from_str(line)
            .map_err(|error| io::Error::other(format!("row {}: {error}", page.from + place as u64)))?;
        text.extend(csv_line(columns.iter().map(|column| row.get(column).map_or_else(String::new, cell)))?);
    }
    Ok(text)
}

fn csv_line(cells: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let cells: Vec<String> = cells.collect();
    if !cells.is_empty() {
        writer.write_record(&cells)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => guard(text),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Text that is shown and never run.
fn guard(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// In the middle of a body there is no status any more: the connection breaks off, and the browser says so.
fn broken(failure: Failure) -> io::Error {
    let error = failure.into_error();
    tracing::warn!(code = error.code, message = error.message, "a download broke off");
    io::Error::other(error.message)
}

fn failed_csv(error: io::Error) -> Failure {
    tracing::error!(%error, "rows cannot be written as CSV");
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "damaged_row",
        format!("The rows cannot be written as CSV: {error}."),
        "The JSONL download gives them as they are.",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pages_are_cut_after_whole_rows() {
        let rows = "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n";
        for (bytes, left) in [(1, 8), (8, 8), (9, 16), (16, 16), (17, 24), (24, 24), (100, 24)] {
            let mut text = rows.to_owned();
            cut(&mut text, bytes);
            assert_eq!(text.len(), left, "{bytes}");
        }
    }

    #[test]
    fn csv_holds_everything_and_runs_nothing() {
        let jsonl = r#"{"b":"=1+1","a":1,"c":null}
{"a":-2.5,"d":{"x":[1,"y"]},"b":"two\nlines, \"quoted\""}
"#;
        let page = RowPageText { source: "S".into(), from: 0, total: 2, jsonl: jsonl.into() };
        let columns = IndexSet::from_iter(["b", "a", "c", "d"].map(str::to_owned));
        let text = String::from_utf8(csv_page(&page, &columns).unwrap()).unwrap();
        assert_eq!(text, "'=1+1,1,,\r\n\"two\nlines, \"\"quoted\"\"\",-2.5,,\"{\"\"x\"\":[1,\"\"y\"\"]}\"\r\n");
        for harmless in ["", "a=1", "'x", " =1"] {
            assert_eq!(guard(harmless), harmless);
        }
        for (text, shown) in [("@SUM(A1)", "'@SUM(A1)"), ("-bash", "'-bash"), ("\t=1", "'\t=1")] {
            assert_eq!(guard(text), shown);
        }
    }

    #[test]
    fn file_names_are_tame() {
        assert_eq!(file_name("H.0-Generic.Client.VQL"), "H.0-Generic.Client.VQL");
        assert_eq!(file_name("../a b\"\r\nc/é"), "..-a-b---c--");
    }
}
