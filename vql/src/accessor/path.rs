//! Paths as values.

use std::{borrow::Cow, sync::Arc};

use crate::value::Value;

/// How a path is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathKind {
    Linux,
    Windows,
    /// Not a path at all, but a name or content: nothing in it is special.
    Opaque,
}

impl PathKind {
    /// That of this system.
    pub const HOST: PathKind = if cfg!(windows) { PathKind::Windows } else { PathKind::Linux };

    fn separator(self) -> u8 {
        match self {
            PathKind::Windows => b'\\',
            PathKind::Linux | PathKind::Opaque => b'/',
        }
    }
}

/// A path of some kind. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OsPath {
    kind: PathKind,
    content: Content,
}

/// Bytes as the system has them, text where they are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Content::Text(text) => text.as_bytes(),
            Content::Bytes(bytes) => bytes,
        }
    }
}

impl OsPath {
    /// `bytes` as they stand.
    pub fn new(kind: PathKind, bytes: impl AsRef<[u8]>) -> OsPath {
        let bytes = bytes.as_ref();
        let content = match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.into()),
            Err(_) => Content::Bytes(bytes.into()),
        };
        OsPath { kind, content }
    }

    /// An argument: text, data, a path, or a dict with a path in it. NULL is the empty path.
    pub fn of_value(kind: PathKind, value: &Value) -> OsPath {
        let content = match value {
            Value::Null => Content::Text(Arc::from("")),
            Value::Bytes(bytes) => Content::Bytes(bytes.clone()),
            Value::Dict(dict) => match dict.get("Path").or_else(|| dict.get("OSPath")).or_else(|| dict.get("FullPath"))
            {
                Some(inner) if !matches!(inner, Value::Dict(_)) => return OsPath::of_value(kind, inner),
                _ => Content::Text(value.to_text()),
            },
            other => Content::Text(other.to_text()),
        };
        OsPath { kind, content }
    }

    pub fn kind(&self) -> PathKind {
        self.kind
    }

    /// As the system has it.
    pub fn bytes(&self) -> &[u8] {
        self.content.as_ref()
    }

    pub(crate) fn content(&self) -> Content {
        self.content.clone()
    }

    /// U+FFFD stands for what is not text.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.content {
            Content::Text(text) => Cow::Borrowed(text),
            Content::Bytes(bytes) => String::from_utf8_lossy(bytes),
        }
    }

    /// For people: one line, and not a long one.
    pub fn show(&self) -> String {
        const LONGEST: usize = 200;
        let text = self.text();
        match text.char_indices().nth(LONGEST) {
            Some((at, _)) => format!("{} …", text[..at].escape_debug()),
            None => text.escape_debug().to_string(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// The last part.
    pub fn name(&self) -> &[u8] {
        let separator = self.kind.separator();
        self.bytes().rsplit(|byte| *byte == separator).next().unwrap_or(self.bytes())
    }

    /// This path with an entry's name after it.
    pub fn join(&self, name: &[u8]) -> OsPath {
        let (path, separator) = (self.bytes(), self.kind.separator());
        let between: &[u8] = if path.is_empty() || path.ends_with(&[separator]) { b"" } else { &[separator] };
        OsPath::new(self.kind, [path, between, name].concat())
    }
}

impl From<&OsPath> for Value {
    fn from(path: &OsPath) -> Value {
        match path.content() {
            Content::Text(text) => Value::Str(text),
            Content::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_and_found_again() {
        for (kind, path, name, joined) in [
            (PathKind::Linux, "/", "etc", "/etc"),
            (PathKind::Linux, "/etc", "passwd", "/etc/passwd"),
            (PathKind::Linux, "", "a", "a"),
            (PathKind::Windows, "C:", "Windows", "C:\\Windows"),
        ] {
            let path = OsPath::new(kind, path).join(name.as_bytes());
            assert_eq!((path.text().as_ref(), path.name()), (joined, name.as_bytes()));
        }
    }
}
