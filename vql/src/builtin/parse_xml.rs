//! `parse_xml()`.

use roxmltree::{Document, Node, ParsingOptions};

use super::files::{self, ACCESSOR};
use super::prelude::*;

static PARSE_XML: Signature = Signature::new(
    "parse_xml",
    "An XML document as a dict. An element of text alone is that text; another one a dict of its attributes (`Attr` \
     before their names), its elements by name (an array where there are several of one name), and its text as \
     `#text`.",
    &[req("file", PathArg, "The file"), ACCESSOR],
)
.group(Group::Parsing)
.examples(&["SELECT parse_xml(accessor='data', file='<a x=\"1\"><b>2</b><b>3</b></a>') AS Xml FROM scope()"]);

/// Elements and attributes of a document.
const MAX_NODES: u32 = 5_000_000;

fn parse_xml(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let content = files::whole(cx, args, "file")?;
    let text = files::text(&content);
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start(), options)
        .map_err(|error| CallError::new(format!("no XML: {error}")))?;
    let root = document.root_element();
    Ok(Dict::of([(root.tag_name().name(), element(cx, root, 0))]).into())
}

fn element(cx: &Context<'_>, node: Node<'_, '_>, depth: u32) -> Value {
    if depth > crate::value::MAX_NESTING || cx.cancelled() {
        return Value::Null;
    }
    let mut dict = Dict::new();
    for (name, value) in attributes(node) {
        dict.set(format!("Attr{name}"), value);
    }
    let mut text = String::new();
    // Several of one name, in the place of the first.
    let mut repeated: indexmap::IndexMap<&str, Vec<Value>> = indexmap::IndexMap::new();
    for child in node.children() {
        if child.is_text() {
            text.push_str(child.text().unwrap_or_default());
        } else if child.is_element() {
            repeated.entry(child.tag_name().name()).or_default().push(element(cx, child, depth + 1));
        }
    }
    let text = text.trim();
    if dict.is_empty() && repeated.is_empty() {
        return text.into();
    }
    for (name, mut values) in repeated {
        let value = if values.len() == 1 { values.swap_remove(0) } else { Value::from(values) };
        dict.set(name, value);
    }
    if !text.is_empty() {
        dict.set("#text", text);
    }
    dict.into()
}

/// The attributes in the order of the document. Declarations of name spaces are attributes as any other.
fn attributes<'n>(node: Node<'n, '_>) -> Vec<(&'n str, &'n str)> {
    let order = names_in_tag(&node.document().input_text()[node.range()]);
    let mut found: Vec<(&str, &str)> = Vec::with_capacity(order.len());
    if order.iter().any(|name| *name == "xmlns" || name.starts_with("xmlns:")) {
        for name in &order {
            match name.strip_prefix("xmlns:") {
                Some(prefix) => found.extend(node.lookup_namespace_uri(Some(prefix)).map(|uri| (prefix, uri))),
                None if *name == "xmlns" => found.extend(node.lookup_namespace_uri(None).map(|uri| ("xmlns", uri))),
                None => {}
            }
        }
    }
    found.extend(node.attributes().map(|attribute| (attribute.name(), attribute.value())));
    if found.len() > 1 && order.len() <= 64 {
        let local = |name: &&str| name.rsplit(':').next().unwrap_or_default().to_owned();
        let order: Vec<String> = order.iter().map(local).collect();
        found.sort_by_key(|(name, _)| order.iter().position(|known| known == name));
    }
    found
}

/// The names of the attributes in the start tag that the text begins with.
fn names_in_tag(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['=', '>']).filter(|at| rest.as_bytes()[*at] == b'=') {
        let (before, after) = (rest[..at].trim_end(), rest[at + 1..].trim_start());
        names.push(before.rsplit(char::is_whitespace).next().unwrap_or(before));
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
        let Some((_, after)) = after[1..].split_once(quote) else { break };
        rest = after;
    }
    names
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_XML, parse_xml));
}
