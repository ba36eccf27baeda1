//! Paths as values: parts under a kind, which says how they are written, and what holds the file that they are in.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use crate::plugin::CallError;
use crate::value::{Dict, Object, Unpack, Value};

/// A file in a file in a file …: no deeper than this.
const MAX_NESTED: u32 = 16;

/// How a path is written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PathKind {
    /// Parts between slashes.
    Linux,
    /// Parts between backslashes, or slashes; in double quotes where a part has one of them in it. A device
    /// (`\\.\C:`) in front is one part.
    Windows,
    /// As Windows, but the drive is always a device.
    Ntfs,
    /// As Windows, but where there are backslashes a slash is a letter as any other.
    Registry,
    /// Members of an archive: parts between slashes.
    Zip,
    /// Of no accessor yet: the one that gets it reads it its own way.
    Pathspec,
    /// Not a path at all, but a name or content: nothing in it is special.
    Opaque,
}

impl PathKind {
    /// That of this system.
    pub const HOST: PathKind = if cfg!(windows) { PathKind::Windows } else { PathKind::Linux };

    const ALL: [PathKind; 7] = [
        PathKind::Linux,
        PathKind::Windows,
        PathKind::Ntfs,
        PathKind::Registry,
        PathKind::Zip,
        PathKind::Pathspec,
        PathKind::Opaque,
    ];

    /// The kind that `path_type` names, in any case.
    pub fn named(name: &str) -> Result<PathKind, CallError> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "linux" | "unix" | "darwin" => PathKind::Linux,
            "windows" => PathKind::Windows,
            "ntfs" => PathKind::Ntfs,
            "registry" => PathKind::Registry,
            "zip" => PathKind::Zip,
            "pathspec" | "generic" => PathKind::Pathspec,
            _ => {
                let known = ["linux", "windows", "ntfs", "registry", "zip", "pathspec"];
                let hint = crate::diagnostic::did_you_mean(name, known)
                    .unwrap_or_else(|| format!("there are {}", known.join(", ")));
                return Err(CallError::new(format!("there is no path_type `{name}`: {hint}")));
            }
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            PathKind::Linux => "linux",
            PathKind::Windows => "windows",
            PathKind::Ntfs => "ntfs",
            PathKind::Registry => "registry",
            PathKind::Zip => "zip",
            PathKind::Pathspec => "pathspec",
            PathKind::Opaque => "",
        }
    }

    fn slashes(self) -> bool {
        matches!(self, PathKind::Linux | PathKind::Zip | PathKind::Pathspec)
    }

    /// Text as its parts. Empty ones and `.` are left out.
    fn split(self, text: &[u8]) -> Vec<Cow<'_, [u8]>> {
        let real = |part: &&[u8]| !part.is_empty() && *part != b".";
        match self {
            PathKind::Opaque => vec![Cow::Borrowed(text)],
            _ if self.slashes() => text.split(|byte| *byte == b'/').filter(real).map(Cow::Borrowed).collect(),
            _ => {
                let (device, rest) = device(text);
                let mut parts = Vec::new();
                if let Some(device) = device {
                    parts.push(Cow::Borrowed(device));
                }
                quoted_parts(rest, self == PathKind::Registry, &mut parts);
                if self == PathKind::Ntfs
                    && let Some(first) = parts.first_mut()
                    && let [letter, b':'] = first[..]
                {
                    *first = Cow::Owned([b"\\\\.\\", &[letter, b':'][..]].concat());
                }
                parts
            }
        }
    }

    fn write(self, parts: &[Cow<'_, [u8]>]) -> Vec<u8> {
        if self == PathKind::Opaque {
            return parts.concat();
        }
        if self.slashes() {
            let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
            for part in parts {
                out.push(b'/');
                out.extend_from_slice(part);
            }
            if out.is_empty() {
                out.push(b'/');
            }
            return out;
        }
        let mut out = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                out.push(b'\\');
            }
            let plain = at == 0 && part.starts_with(b"\\\\") || !part.iter().any(|byte| b"/\\\"".contains(byte));
            if plain {
                out.extend_from_slice(part);
            } else {
                out.push(b'"');
                for byte in part.iter() {
                    out.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
                }
                out.push(b'"');
            }
        }
        out
    }
}

/// The device in front of a path (`\\.\C:`, `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1`), and what follows.
fn device(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    const SNAPSHOT: &[u8] = b"GLOBALROOT\\Device\\";
    let end_of_part = |from: usize| {
        text[from..].iter().position(|byte| matches!(byte, b'/' | b'\\')).map_or(text.len(), |at| from + at)
    };
    if !(text.starts_with(b"\\\\.\\") || text.starts_with(b"\\\\?\\")) {
        return (None, text);
    }
    let long = text.get(4..4 + SNAPSHOT.len()).is_some_and(|start| start.eq_ignore_ascii_case(SNAPSHOT));
    let end = end_of_part(if long { 4 + SNAPSHOT.len() } else { 4 });
    (Some(&text[..end]), &text[end..])
}

/// The parts between separators, with double quotes around one that has separators in it and doubled quotes in those.
fn quoted_parts<'t>(text: &'t [u8], backslashes_first: bool, parts: &mut Vec<Cow<'t, [u8]>>) {
    let only_backslashes = backslashes_first && text.contains(&b'\\');
    let separates = |byte: u8| byte == b'\\' || byte == b'/' && !only_backslashes;
    let mut at = 0;
    while at < text.len() {
        if separates(text[at]) {
            at += 1;
        } else if text[at] == b'"' {
            let mut part = Vec::new();
            at += 1;
            while at < text.len() {
                if text[at] == b'"' {
                    if text.get(at + 1) != Some(&b'"') {
                        break;
                    }
                    at += 1;
                }
                part.push(text[at]);
                at += 1;
            }
            at += 1;
            parts.push(Cow::Owned(part));
        } else {
            let end = text[at..].iter().position(|byte| separates(*byte)).map_or(text.len(), |end| at + end);
            if text[at..end] != *b"." {
                parts.push(Cow::Borrowed(&text[at..end]));
            }
            at = end;
        }
    }
}

/// A path of some kind, perhaps within another file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OsPath {
    kind: PathKind,
    /// Within the file that holds it, if there is one.
    content: Content,
    /// The file that holds it, and the whole as JSON.
    within: Option<Arc<Within>>,
}

#[derive(Debug)]
struct Within {
    delegate: Delegate,
    text: Arc<str>,
}

/// The file in which a path is to be looked up: an archive, an image, a hive.
#[derive(Clone, Debug, Default)]
pub struct Delegate {
    /// Empty for the default one.
    pub accessor: Arc<str>,
    pub path: DelegatePath,
}

#[derive(Clone, Debug)]
pub enum DelegatePath {
    /// As its accessor will read it.
    Text(Value),
    /// Itself within another file.
    Nested(Arc<OsPath>),
}

impl Default for DelegatePath {
    fn default() -> DelegatePath {
        DelegatePath::Text(Value::Null)
    }
}

/// Bytes as the system has them, text where they are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

impl Content {
    fn of(bytes: &[u8]) -> Content {
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.into()),
            Err(_) => Content::Bytes(bytes.into()),
        }
    }

    fn to_text(&self) -> Arc<str> {
        match self {
            Content::Text(text) => text.clone(),
            Content::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Content::Text(text) => Value::Str(text.clone()),
            Content::Bytes(bytes) => Value::Bytes(bytes.clone()),
        }
    }
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
    /// `bytes` as they stand, relative or not.
    pub fn new(kind: PathKind, bytes: impl AsRef<[u8]>) -> OsPath {
        OsPath { kind, content: Content::of(bytes.as_ref()), within: None }
    }

    /// The path of these parts.
    pub fn of_parts<P: AsRef<[u8]>>(kind: PathKind, parts: &[P]) -> OsPath {
        let parts: Vec<Cow<'_, [u8]>> = parts.iter().map(|part| Cow::Borrowed(part.as_ref())).collect();
        OsPath::new(kind, kind.write(&parts))
    }

    /// An argument: text, data, a path, an array of parts, or a dict with a path in it. Text that is the JSON form of a
    /// path within a file is read as that. NULL is the empty path.
    pub fn of_value(kind: PathKind, value: &Value) -> OsPath {
        if let Some(path) = OsPath::from_object(value) {
            return path.clone().read_as(kind);
        }
        let content = match value {
            Value::Null => Content::Text(Arc::from("")),
            Value::Str(text) => {
                if kind != PathKind::Opaque
                    && text.starts_with('{')
                    && let Ok(Value::Dict(dict)) = crate::json::parse(text.as_bytes())
                    && ["DelegateAccessor", "DelegatePath", "Delegate", "Path"].iter().any(|key| dict.contains(key))
                {
                    return OsPath::of_dict(kind, &dict, 0);
                }
                Content::Text(text.clone())
            }
            Value::Bytes(bytes) => Content::Bytes(bytes.clone()),
            Value::Array(items) if kind != PathKind::Opaque => match &items[..] {
                // A query that gave one row.
                [one @ Value::Dict(_)] => return OsPath::of_value(kind, one),
                items => {
                    let parts: Vec<Vec<u8>> = items.iter().map(text_of).collect();
                    return OsPath::of_parts(kind, &parts);
                }
            },
            Value::Dict(dict) => return OsPath::of_dict(kind, dict, 0),
            other => Content::Text(other.to_text()),
        };
        OsPath { kind, content, within: None }
    }

    fn of_dict(kind: PathKind, dict: &Dict, depth: u32) -> OsPath {
        let inner = dict.get("Path").or_else(|| dict.get("OSPath")).or_else(|| dict.get("FullPath"));
        let accessor = dict.get("DelegateAccessor").filter(|value| !value.is_null());
        let path = match dict.get("Delegate") {
            Some(Value::Dict(outer)) if depth < MAX_NESTED => {
                Some(DelegatePath::Nested(Arc::new(OsPath::of_dict(PathKind::Pathspec, outer, depth + 1))))
            }
            _ => dict.get("DelegatePath").filter(|value| !value.is_null()).cloned().map(DelegatePath::Text),
        };
        let base = match inner {
            Some(Value::Dict(_)) | None if accessor.is_none() && path.is_none() && dict.len() == 1 => {
                // A row of one column.
                let only = dict.values().next().filter(|value| !matches!(value, Value::Dict(_)));
                only.map_or_else(|| OsPath::new(kind, dict_text(dict)), |value| OsPath::of_value(kind, value))
            }
            None if accessor.is_none() && path.is_none() => OsPath::new(kind, dict_text(dict)),
            Some(value @ Value::Dict(_)) => OsPath::new(kind, value.to_text().as_bytes()),
            Some(value) => OsPath::of_spec(kind, value),
            None => OsPath::new(kind, ""),
        };
        match accessor.is_none() && path.is_none() {
            true => base,
            false => base.within(Delegate {
                accessor: accessor.map(Value::to_text).unwrap_or_default(),
                path: path.unwrap_or_default(),
            }),
        }
    }

    /// The `Path` of a pathspec: text, a path, or a list (of parts, or of ranges, which stay as JSON).
    pub(crate) fn of_spec(kind: PathKind, value: &Value) -> OsPath {
        match value {
            Value::Array(items) if !items.iter().any(|item| matches!(item, Value::Dict(_) | Value::Array(_))) => {
                let parts: Vec<Vec<u8>> = items.iter().map(text_of).collect();
                OsPath::of_parts(kind, &parts)
            }
            Value::Array(_) | Value::Dict(_) => OsPath::new(kind, value.to_json()),
            _ => match OsPath::from_object(value) {
                Some(path) => OsPath { within: None, ..path.clone().read_as(kind) },
                None => OsPath::new(kind, text_of(value)),
            },
        }
    }

    /// The path that a value is, if it is one.
    pub fn from_object(value: &Value) -> Option<&OsPath> {
        match value {
            Value::Object(object) => object.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// This path as an accessor of another kind takes it: one that has a kind keeps it.
    fn read_as(mut self, kind: PathKind) -> OsPath {
        if kind == PathKind::Opaque || self.kind == PathKind::Pathspec || self.kind == PathKind::Opaque {
            self.kind = kind;
        }
        self
    }

    /// This path, in that file.
    pub fn within(&self, delegate: Delegate) -> OsPath {
        let mut spec = Dict::new();
        if !delegate.accessor.is_empty() {
            spec.set("DelegateAccessor", delegate.accessor.clone());
        }
        match &delegate.path {
            DelegatePath::Nested(outer) => match crate::json::parse(outer.text().as_bytes()) {
                Ok(outer @ Value::Dict(_)) => spec.set("Delegate", outer),
                _ => spec.set("DelegatePath", outer.text().as_ref()),
            },
            DelegatePath::Text(text) if !text.is_null() => spec.set("DelegatePath", text.to_text()),
            DelegatePath::Text(_) => {}
        }
        if !self.content.as_ref().is_empty() {
            spec.set("Path", self.content.to_text());
        }
        let text = Value::dict(spec).to_json().into();
        OsPath { within: Some(Arc::new(Within { delegate, text })), ..self.clone() }
    }

    pub fn kind(&self) -> PathKind {
        self.kind
    }

    /// As the system has it, without the file that holds it.
    pub fn bytes(&self) -> &[u8] {
        self.content.as_ref()
    }

    pub(crate) fn content(&self) -> Content {
        self.content.clone()
    }

    pub fn delegate(&self) -> Option<&Delegate> {
        self.within.as_ref().map(|within| &within.delegate)
    }

    /// How deep files lie in files here.
    pub(crate) fn nesting(&self) -> u32 {
        let mut depth = 0;
        let mut at = self.delegate();
        while let Some(delegate) = at {
            depth += 1;
            at = match &delegate.path {
                DelegatePath::Nested(outer) => outer.delegate(),
                DelegatePath::Text(_) => None,
            };
        }
        depth
    }

    /// Whether this lies deeper in files than any may.
    pub(crate) fn is_too_deep(&self) -> bool {
        self.nesting() > MAX_NESTED
    }

    /// The whole: the path, or JSON where another file holds it. U+FFFD stands for what is not text.
    pub fn text(&self) -> Cow<'_, str> {
        match (&self.within, &self.content) {
            (Some(within), _) => Cow::Borrowed(&within.text),
            (None, Content::Text(text)) => Cow::Borrowed(text),
            (None, Content::Bytes(bytes)) => String::from_utf8_lossy(bytes),
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

    pub fn parts(&self) -> Vec<Cow<'_, [u8]>> {
        self.kind.split(self.bytes())
    }

    /// The last part.
    pub fn name(&self) -> Cow<'_, [u8]> {
        self.parts().pop().unwrap_or_default()
    }

    /// This path without its last part.
    pub fn parent(&self) -> OsPath {
        let mut parts = self.parts();
        parts.pop();
        self.with_parts(&parts)
    }

    /// This path with an entry's name after it.
    pub fn join(&self, name: &[u8]) -> OsPath {
        let path = self.bytes();
        if !self.kind.slashes() {
            let mut parts = self.parts();
            parts.push(Cow::Borrowed(name));
            return self.with_parts(&parts);
        }
        // The way of a walk through a million files.
        let between: &[u8] = if path.is_empty() || path.ends_with(b"/") { b"" } else { b"/" };
        self.with_bytes([path, between, name].concat())
    }

    fn with_parts(&self, parts: &[Cow<'_, [u8]>]) -> OsPath {
        self.with_bytes(self.kind.write(parts))
    }

    fn with_bytes(&self, bytes: Vec<u8>) -> OsPath {
        let path = OsPath::new(self.kind, bytes);
        match self.delegate() {
            Some(delegate) => path.within(delegate.clone()),
            None => path,
        }
    }

    fn spec(&self) -> Value {
        let mut spec = match &self.within {
            Some(within) => match crate::json::parse(within.text.as_bytes()) {
                Ok(Value::Dict(dict)) => Dict::clone(&dict),
                _ => Dict::new(),
            },
            None => Dict::new(),
        };
        spec.set("Path", self.content.to_value());
        spec.into()
    }
}

fn text_of(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        other => other.as_bytes().map_or_else(|| other.to_text().as_bytes().to_vec(), <[u8]>::to_vec),
    }
}

fn dict_text(dict: &Dict) -> String {
    Value::dict(dict.clone()).to_json()
}

impl Object for OsPath {
    fn type_name(&self) -> &'static str {
        "*accessors.OSPath"
    }

    fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Path" => self.content.to_value(),
            "String" => self.text().into(),
            "Components" => Value::array(self.parts().iter().map(Value::from_bytes)),
            "Basename" => Value::from_bytes(self.name()),
            "Dirname" => self.parent().into(),
            "Type" | "PathType" => self.kind.name().into(),
            "PathSpec" => self.spec(),
            "DelegateAccessor" => self.delegate().map(|delegate| delegate.accessor.clone()).unwrap_or_default().into(),
            "DelegatePath" => match self.delegate().map(|delegate| &delegate.path) {
                Some(DelegatePath::Text(Value::Null)) | None => "".into(),
                Some(DelegatePath::Text(text)) => Value::Str(text.to_text()),
                Some(DelegatePath::Nested(outer)) => outer.text().into(),
            },
            "Delegate" => match self.delegate().map(|delegate| &delegate.path) {
                Some(DelegatePath::Nested(outer)) => Value::Object(outer.clone()),
                _ => Value::Null,
            },
            "HumanString" => self.human().into(),
            _ => return None,
        })
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(match &self.within {
            Some(within) => within.text.clone(),
            None => self.content.to_text(),
        })
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        Some(match &self.within {
            Some(within) => within.text.as_bytes(),
            None => self.content.as_ref(),
        })
    }

    fn elements(&self) -> Option<Vec<Value>> {
        Some(self.parts().iter().map(Value::from_bytes).collect())
    }

    /// A text's parts, the elements of an array, the parts of another path are put behind.
    fn add(&self, other: &Value) -> Option<Value> {
        let mut parts = self.parts();
        let more: Vec<Vec<u8>> = match other {
            Value::Array(items) => items.iter().map(text_of).collect(),
            other => match OsPath::from_object(other) {
                Some(path) => path.parts().into_iter().map(Cow::into_owned).collect(),
                None => {
                    let text = other.as_bytes()?;
                    self.kind.split(text).into_iter().map(Cow::into_owned).collect()
                }
            },
        };
        parts.extend(more.into_iter().map(Cow::Owned));
        Some(self.with_parts(&parts).into())
    }

    fn packed(&self) -> Option<(Value, Unpack)> {
        // One within another file shares that with all its neighbours.
        self.within.is_none().then(|| {
            let kind = PathKind::ALL.iter().position(|kind| *kind == self.kind);
            (Value::array([Value::from(kind), self.content.to_value()]), OsPath::unpack as Unpack)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl OsPath {
    fn unpack(packed: &Value) -> Option<Value> {
        let [kind, content] = packed.as_array()? else { return None };
        let kind = PathKind::ALL.get(usize::try_from(kind.as_int()?).ok()?)?;
        Some(OsPath::new(*kind, content.as_bytes()?).into())
    }

    /// The whole as one would say it: the file that holds it, then the path.
    fn human(&self) -> String {
        let own = self.content.to_text();
        match self.delegate().map(|delegate| &delegate.path) {
            None => own.to_string(),
            Some(DelegatePath::Text(outer)) => format!("{} -> {own}", outer.to_text()),
            Some(DelegatePath::Nested(outer)) => format!("{} -> {own}", outer.human()),
        }
    }
}

impl From<OsPath> for Value {
    fn from(path: OsPath) -> Value {
        Value::Object(Arc::new(path))
    }
}

impl From<&OsPath> for Value {
    fn from(path: &OsPath) -> Value {
        path.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_as_they_are_read() {
        use PathKind::{Linux, Ntfs, Registry, Windows, Zip};
        for (kind, text, parts, written) in [
            (Linux, "/etc//ssh/./sshd", &["etc", "ssh", "sshd"][..], "/etc/ssh/sshd"),
            (Linux, "/C:\\Windows/x", &["C:\\Windows", "x"], "/C:\\Windows/x"),
            (Linux, "", &[], "/"),
            (Windows, "C:\\Windows/System32\\", &["C:", "Windows", "System32"], "C:\\Windows\\System32"),
            (Windows, "\\\\.\\C:\\Windows", &["\\\\.\\C:", "Windows"], "\\\\.\\C:\\Windows"),
            (
                Windows,
                "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1\\a",
                &["\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1", "a"],
                "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1\\a",
            ),
            (Ntfs, "C:\\Windows", &["\\\\.\\C:", "Windows"], "\\\\.\\C:\\Windows"),
            (Registry, "HKLM\\A\\http://b/c", &["HKLM", "A", "http://b/c"], "HKLM\\A\\\"http://b/c\""),
            (Registry, "HKLM/A/B", &["HKLM", "A", "B"], "HKLM\\A\\B"),
            (Registry, "HKLM\\\"a\\b \"\"c\"\"\"\\d", &["HKLM", "a\\b \"c\"", "d"], "HKLM\\\"a\\b \"\"c\"\"\"\\d"),
            (Windows, "\"", &[""], ""),
            (Zip, "a/b.txt", &["a", "b.txt"], "/a/b.txt"),
        ] {
            let found = kind.split(text.as_bytes());
            let shown: Vec<_> = found.iter().map(|part| String::from_utf8_lossy(part)).collect();
            assert_eq!(shown, parts, "{text}");
            assert_eq!(String::from_utf8_lossy(&kind.write(&found)), written, "{text}");
        }
    }

    #[test]
    fn names_are_joined_and_found_again() {
        for (kind, path, name, joined) in [
            (PathKind::Linux, "/", "etc", "/etc"),
            (PathKind::Linux, "/etc", "passwd", "/etc/passwd"),
            (PathKind::Linux, "", "a", "a"),
            (PathKind::Windows, "C:", "Windows", "C:\\Windows"),
        ] {
            let path = OsPath::new(kind, path).join(name.as_bytes());
            assert_eq!((path.text().as_ref(), &path.name()[..]), (joined, name.as_bytes()));
        }
    }

    #[test]
    fn names_that_are_no_text_survive() {
        let path = OsPath::new(PathKind::Linux, "/a").join(b"\xff");
        let value = Value::from(&path);
        assert_eq!(OsPath::of_value(PathKind::Linux, &value).bytes(), b"/a/\xff");
        assert_eq!(value.to_json(), "\"/a/\u{fffd}\"");
        assert_eq!(path.parent().bytes(), b"/a");
    }
}
