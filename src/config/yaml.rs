//! YAML as a tree that knows its places, and sections read from it that collect every mistake instead of the first.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mistake {
    pub(super) place: Option<Place>,
    /// `Client.server_urls`, or nothing if it is about no key.
    pub(super) key: String,
    pub(super) what: String,
}

/// The tree of a YAML text, or why it is none.
pub(super) fn parse(text: &str) -> Result<Node, Mistake> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let place = error.location().map(Place::from);
        let rendered = error.to_string();
        // The place is said in front of every mistake: once is enough.
        let what = rendered.lines().next().unwrap_or_default();
        let what = what.split(" at line ").next().unwrap_or(what);
        Mistake { place, key: String::new(), what: format!("the file is no valid YAML: {what}") }
    })
}

/// A section of the file while it is read: what is asked of it, and in the end what nobody asked for.
pub(super) struct Section<'a> {
    name: &'static str,
    place: Option<Place>,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Section<'a> {
    /// The file itself, whose keys are the names of the sections.
    pub(super) fn root(node: &'a Node, mistakes: &'a mut Vec<Mistake>) -> Self {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                mistakes.push(Mistake {
                    place: Some(node.place),
                    key: String::new(),
                    what: format!("expected sections such as `Client:`, found {}", describe(other)),
                });
                &[]
            }
        };
        Self { name: "", place: None, entries, asked: Vec::new(), mistakes }
    }

    /// A section in this one, if it is there.
    pub(super) fn section(&mut self, name: &'static str) -> Option<Section<'_>> {
        self.asked.push(name);
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        let entries: &[Entry] = match &entry.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                let what = format!("expected keys, indented below `{name}:`, found {}", describe(other));
                self.mistakes.push(Mistake { place: Some(entry.node.place), key: name.into(), what });
                return None;
            }
        };
        Some(Section { name, place: Some(entry.place), entries, asked: Vec::new(), mistakes: self.mistakes })
    }

    /// The value of `key`, read by `read`; a missing one is a mistake, for which `read` is asked what was expected.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.is_missing(key) {
            return self.optional(key, read);
        }
        self.asked.push(key);
        let place = self.entry(key).map(|entry| entry.place).or(self.place);
        self.mistake_at(place, key, format!("missing: expected {expected}"));
        None
    }

    /// The value of `key`, read by `read`, if there is one.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.asked.push(key);
        let entry = self.entry(key).filter(|entry| !matches!(entry.node.value, Value::Null))?;
        match read(&entry.node.value) {
            Ok(value) => Some(value),
            Err(what) => {
                // A block begins on the line below its key, where nothing is wrong yet.
                let near = entry.node.place.line == entry.place.line;
                let place = if near { entry.node.place } else { entry.place };
                self.mistake_at(Some(place), key, what);
                None
            }
        }
    }

    /// The values in the list `key`, each read by `read`; `None` without such a list.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.asked.push(key);
        let entry = self.entry(key).filter(|entry| !matches!(entry.node.value, Value::Null))?;
        let Value::List(items) = &entry.node.value else {
            let what = format!(
                "expected a list of {expected}, each on its line after `- `, found {}",
                describe(&entry.node.value)
            );
            self.mistake_at(Some(entry.node.place), key, what);
            return None;
        };
        let mut values = Vec::new();
        for item in items {
            match read(&item.value) {
                Ok(value) => values.push(value),
                Err(what) => self.mistake_at(Some(item.place), key, what),
            }
        }
        Some(values)
    }

    /// Notes that something about the value of `key` is wrong.
    pub(super) fn wrong(&mut self, key: &str, what: String) {
        let place = self.entry(key).map(|entry| entry.place).or(self.place);
        self.mistake_at(place, key, what);
    }

    /// Ends the reading: keys that nobody asked for are mistakes. `elsewhere` says of a key where it belongs.
    pub(super) fn finish(self, elsewhere: impl Fn(&str) -> Option<String>) {
        let entries: &[Entry] = self.entries;
        for entry in entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
            let kind = if self.name.is_empty() { "section" } else { "key" };
            let hint = if let Some(near) = nearest(&entry.key, &self.asked) {
                format!("did you mean `{near}`?")
            } else if let Some(hint) = elsewhere(&entry.key) {
                hint
            } else {
                format!("expected one of {}", self.asked.join(", "))
            };
            let what = format!("unknown {kind}: {hint}");
            let key = dotted(self.name, &entry.key);
            self.mistakes.push(Mistake { place: Some(entry.place), key, what });
        }
    }

    /// Whether `key` has no value.
    pub(super) fn is_missing(&self, key: &str) -> bool {
        self.entry(key).is_none_or(|entry| matches!(entry.node.value, Value::Null))
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn mistake_at(&mut self, place: Option<Place>, key: &str, what: String) {
        self.mistakes.push(Mistake { place, key: dotted(self.name, key), what });
    }
}

/// A value as a mistake quotes it: its kind, and the beginning of its text.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("the truth value {value}"),
        Value::Integer(value) => format!("the number {value}"),
        Value::Float(value) => format!("the number {value}"),
        Value::Text(text) if text.lines().count() > 1 => "a text of several lines".into(),
        Value::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "keys with values".into(),
    }
}

fn dotted(section: &str, key: &str) -> String {
    let key: String = key.chars().filter(|c| !c.is_control()).take(60).collect();
    if section.is_empty() { key } else { format!("{section}.{key}") }
}

/// The known name that is a slip away from `word`, if any.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let slips = (word.chars().count() / 3).clamp(1, 3);
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    known
        .iter()
        .map(|&name| (distance(&word, &name.to_lowercase().chars().collect::<Vec<_>>()), name))
        .filter(|&(distance, _)| distance <= slips)
        .min()
        .map(|(_, name)| name)
}

/// How many letters to insert, delete, change or swap with the next.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: spanned.referenced.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Integer(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Integer(value.into()))
            }

            fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
                Ok(Value::Integer(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
                let mut map = Vec::new();
                while let Some((key, node)) = pairs.next_entry::<Spanned<String>, Node>()? {
                    map.push(Entry { key: key.value, place: key.referenced.into(), node });
                }
                Ok(Value::Map(map))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tree_knows_its_places() {
        let tree = parse("# head\nA:\n  b: 1\n  'c': |\n    x\n    y\n  d: [true, ~, 1.5]\n").unwrap();
        let Value::Map(root) = tree.value else { panic!() };
        assert_eq!((root[0].key.as_str(), root[0].place), ("A", Place { line: 2, column: 1 }));
        let Value::Map(a) = &root[0].node.value else { panic!() };
        let places: Vec<_> = a.iter().map(|e| (e.key.as_str(), e.place.line, e.place.column)).collect();
        assert_eq!(places, [("b", 3, 3), ("c", 4, 3), ("d", 7, 3)]);
        assert_eq!(a[0].node.place, Place { line: 3, column: 6 });
        assert!(matches!(&a[0].node.value, Value::Integer(1)));
        assert!(matches!(&a[1].node.value, Value::Text(text) if text == "x\ny\n"));
        assert!(matches!(&a[2].node.value, Value::List(items) if items.len() == 3));
    }

    #[test]
    fn names_a_slip_away_are_found() {
        let known = ["server_urls", "nonce", "bind_port"];
        for (word, expected) in [
            ("server_url", Some("server_urls")),
            ("server_ulrs", Some("server_urls")),
            ("Nonce", Some("nonce")),
            ("noonce", Some("nonce")),
            ("bindport", Some("bind_port")),
            ("location", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
