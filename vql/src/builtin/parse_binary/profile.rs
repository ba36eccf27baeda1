//! A profile, checked: structs, their fields and how each is read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::text::{self, Node};
use crate::diagnostic::did_you_mean;
use crate::eval::Lambda;
use crate::scope::Context;
use crate::value::{Dict, Value};

/// The most text that a profile may have.
const MAX_TEXT: usize = 4 << 20;

/// How deep types may lie in each other's options.
const MAX_DEPTH: u32 = 20;

pub(super) struct Profile {
    pub structs: Vec<Struct>,
    /// The type that the caller asked for.
    pub start: Type,
    /// Names that the lambdas may look up in the caller's scope.
    pub words: BTreeSet<Arc<str>>,
    /// What is wrong with single fields; they are NULL.
    pub problems: Vec<String>,
}

pub(super) struct Struct {
    pub name: Arc<str>,
    pub size: Number,
    pub fields: Vec<Field>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Struct {
    pub(super) fn field(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

pub(super) struct Field {
    pub name: Arc<str>,
    pub offset: Number,
    /// None when the profile does not say it rightly.
    pub kind: Option<Type>,
}

impl Field {
    /// Fields for use within the profile alone are not shown.
    pub(super) fn is_hidden(&self) -> bool {
        self.name.starts_with("__")
    }
}

/// A number of the profile, or how it is computed from the struct.
pub(super) enum Number {
    Fixed(i64),
    Lambda(Arc<Lambda>),
}

/// A value of the profile, or how it is computed.
pub(super) enum Given {
    Fixed(Value),
    Lambda(Arc<Lambda>),
}

/// How a field is read.
pub(super) enum Type {
    Int {
        size: u8,
        signed: bool,
        big: bool,
    },
    Float {
        size: u8,
        big: bool,
    },
    Struct(usize),
    Array {
        item: Box<Type>,
        count: Option<Number>,
        max: Option<Number>,
        sentinel: Option<Given>,
    },
    Text(Text),
    Value(Given),
    Enumeration {
        base: Box<Type>,
        names: Vec<(Value, Arc<str>)>,
    },
    Flags {
        base: Box<Type>,
        bits: Vec<(u32, Arc<str>)>,
    },
    Bits {
        base: Box<Type>,
        start: u32,
        end: u32,
    },
    Union {
        selector: Arc<Lambda>,
        choices: Vec<(Arc<str>, Type)>,
    },
    Pointer {
        target: Box<Type>,
        size: u8,
    },
    Profile {
        target: Box<Type>,
        offset: Number,
    },
    Leb {
        signed: bool,
    },
    Guid,
    WinFileTime {
        base: Box<Type>,
        factor: i64,
    },
    Timestamp {
        base: Box<Type>,
        factor: i64,
    },
    /// A date and a time of 16 bits each.
    FatTime {
        time_first: bool,
    },
}

pub(super) struct Text {
    pub wide: bool,
    pub length: Option<Number>,
    pub max: Option<Number>,
    pub end: End,
    /// Gives data, whatever the bytes are.
    pub bytes: bool,
}

/// Where a text ends.
pub(super) enum End {
    /// Nowhere but at its length.
    Open,
    At(Vec<u8>),
    Lambda(Arc<Lambda>),
}

/// Types that need no options, with all their names.
const PLAIN: &[(&[&str], u8, bool)] = &[
    (&["uint8", "byte", "unsigned char"], 1, false),
    (&["uint16", "unsigned short", "unsigned short int"], 2, false),
    (&["uint32", "unsigned int", "unsigned long", "unsigned long int"], 4, false),
    (&["uint64", "unsigned long long"], 8, false),
    (&["int8", "char", "signed char"], 1, true),
    (&["int16", "short int", "short"], 2, true),
    (&["int32", "int", "long", "long int"], 4, true),
    (&["int64", "long long"], 8, true),
];

const OTHERS: &[&str] = &[
    "float",
    "float32",
    "float64",
    "double",
    "Array",
    "String",
    "Value",
    "Enumeration",
    "Flags",
    "BitField",
    "Union",
    "Pointer",
    "Pointer16",
    "Pointer32",
    "Pointer64",
    "Profile",
    "leb128",
    "sleb128",
    "uleb128",
    "varint",
    "VarInt",
    "GUID",
    "WinFileTime",
    "Timestamp",
    "UnixTime",
    "EpochTime",
    "FatTimestamp",
    "DosTimestamp",
];

fn number_type(name: &str) -> Option<Type> {
    let (little, big) = match name.strip_suffix("be").or_else(|| name.strip_suffix('b')) {
        Some(base) if base.ends_with(|c: char| c.is_ascii_digit()) || matches!(base, "float" | "double") => {
            (base, true)
        }
        _ => (name, false),
    };
    match little {
        "float" | "float32" => return Some(Type::Float { size: 4, big }),
        "double" | "float64" => return Some(Type::Float { size: 8, big }),
        _ => {}
    }
    let (_, size, signed) = PLAIN.iter().find(|(names, ..)| names.contains(&little))?;
    Some(Type::Int { size: *size, signed: *signed, big })
}

/// Whether the text is a lambda: a name and `=>`.
fn is_lambda(text: &str) -> bool {
    let text = text.trim_start();
    let end = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    end > 0 && text[end..].trim_start().starts_with("=>")
}

/// Reads and checks a profile. What makes no sense of it as a whole is an error; what spoils one field is noted in
/// [`Profile::problems`].
pub(super) fn compile(cx: &Context<'_>, source: &str, start: &str) -> Result<Profile, String> {
    if source.len() > MAX_TEXT {
        return Err(format!("the profile is longer than {} MiB", MAX_TEXT >> 20));
    }
    let definitions = match source.trim() {
        "" => Vec::new(),
        source => match text::parse(source)? {
            Node::List(items) => items,
            other => {
                return Err(format!(
                    "the profile must be a list of structs, [name, size, [fields]], not {}",
                    other.kind()
                ));
            }
        },
    };
    let mut compiler = Compiler {
        cx,
        names: HashMap::new(),
        order: Vec::new(),
        words: BTreeSet::new(),
        problems: Vec::new(),
        place: String::new(),
    };
    let mut heads = Vec::new();
    for (i, node) in definitions.iter().enumerate() {
        let head = Head::of(node).map_err(|why| format!("the profile's struct {}: {why}", i + 1))?;
        compiler.names.insert(head.name.to_owned(), i);
        compiler.order.push(head.name.to_owned());
        heads.push(head);
    }
    let mut structs = Vec::new();
    for head in &heads {
        structs.push(compiler.structure(head)?);
    }
    compiler.place = "the argument `struct`".into();
    let Some(kind) = compiler.find(start, &Options::none(), 0)? else {
        let why = compiler.problems.pop().unwrap_or_default();
        return Err(why);
    };
    Ok(Profile { structs, start: kind, words: compiler.words, problems: compiler.problems })
}

/// The three parts of a struct's definition.
struct Head<'n> {
    name: &'n str,
    size: &'n Node,
    fields: &'n [Node],
}

impl<'n> Head<'n> {
    fn of(node: &'n Node) -> Result<Head<'n>, String> {
        let Node::List(parts) = node else {
            return Err(format!("it must be a list [name, size, [fields]], not {}", node.kind()));
        };
        match &parts[..] {
            [Node::Text(name), size, Node::List(fields), ..] => Ok(Head { name, size, fields }),
            [Node::Text(name), _, other, ..] => {
                Err(format!("`{name}` must have a list of fields in third place, not {}", other.kind()))
            }
            [Node::Text(name)] | [Node::Text(name), _] => {
                Err(format!("`{name}` lacks a size or a list of fields: [name, size, [fields]]"))
            }
            [other, ..] => Err(format!("its name must be text, not {}", other.kind())),
            [] => Err("it is empty".into()),
        }
    }
}

struct Compiler<'a> {
    cx: &'a Context<'a>,
    names: HashMap<String, usize>,
    order: Vec<String>,
    words: BTreeSet<Arc<str>>,
    problems: Vec<String>,
    /// `Struct.Field`, for messages.
    place: String,
}

/// The options of a field.
struct Options<'n>(&'n [(String, Node)]);

impl<'n> Options<'n> {
    fn none() -> Options<'static> {
        Options(&[])
    }

    fn get(&self, name: &str) -> Option<&'n Node> {
        let found = self.0.iter().find(|(key, _)| key == name).map(|(_, node)| node);
        found.filter(|node| **node != Node::Null)
    }

    fn text(&self, name: &str) -> Option<&'n str> {
        match self.get(name) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl Compiler<'_> {
    fn structure(&mut self, head: &Head<'_>) -> Result<Struct, String> {
        self.place = head.name.to_owned();
        let size = self.number(head.size, "size")?.unwrap_or(Number::Fixed(0));
        let mut fields: Vec<Field> = Vec::new();
        let mut by_name = HashMap::new();
        for (i, node) in head.fields.iter().enumerate() {
            self.place = format!("{}, field {}", head.name, i + 1);
            let field = self.field(head.name, node)?;
            match by_name.get(&field.name) {
                // The later definition counts, in the place of the first.
                Some(&at) => {
                    let slot: &mut Field = &mut fields[at];
                    *slot = field;
                }
                None => {
                    by_name.insert(field.name.clone(), fields.len());
                    fields.push(field);
                }
            }
        }
        Ok(Struct { name: Arc::from(head.name), size, fields, by_name })
    }

    fn field(&mut self, owner: &str, node: &Node) -> Result<Field, String> {
        let Node::List(parts) = node else {
            return Err(format!(
                "{}: it must be a list [name, offset, type, options], not {}",
                self.place,
                node.kind()
            ));
        };
        let name = match parts.first() {
            Some(Node::Text(name)) => name.clone(),
            Some(Node::Int(i)) => i.to_string(),
            Some(other) => return Err(format!("{}: its name must be text, not {}", self.place, other.kind())),
            None => return Err(format!("{}: it is empty", self.place)),
        };
        self.place = format!("{owner}.{name}");
        let Some(offset) = parts.get(1) else {
            return Err(format!("{}: an offset and a type should follow the name: [name, offset, type]", self.place));
        };
        let offset = self.number(offset, "offset")?.unwrap_or(Number::Fixed(0));
        let options = match parts.get(3) {
            None | Some(Node::Null) => Options::none(),
            Some(Node::Map(entries)) => Options(entries),
            Some(other) => return Err(format!("{}: its options must be a dict, not {}", self.place, other.kind())),
        };
        let kind = match parts.get(2) {
            Some(Node::Text(kind)) => self.find(kind, &options, 0)?,
            Some(other) => return Err(format!("{}: its type must be a name, not {}", self.place, other.kind())),
            None => return Err(format!("{}: a type should follow the offset: [name, offset, type]", self.place)),
        };
        Ok(Field { name: Arc::from(name), offset, kind })
    }

    /// The type of that name; None, and a problem noted, when there is none.
    fn find(&mut self, name: &str, options: &Options<'_>, depth: u32) -> Result<Option<Type>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("{}: its types nest deeper than {MAX_DEPTH} levels", self.place));
        }
        if let Some(&index) = self.names.get(name) {
            return Ok(Some(Type::Struct(index)));
        }
        if let Some(number) = number_type(name) {
            return Ok(Some(number));
        }
        let depth = depth + 1;
        Ok(Some(match name {
            "Array" => {
                self.known(options, &["type", "type_options", "count", "max_count", "sentinel"]);
                let Some(item) = self.inner("type", options, depth, None)? else { return Ok(None) };
                Type::Array {
                    item: Box::new(item),
                    count: self.option(options, "count")?,
                    max: self.option(options, "max_count")?,
                    sentinel: options.get("sentinel").map(|node| self.given(node)).transpose()?,
                }
            }
            "String" => Type::Text(self.text(options)?),
            "Value" => {
                self.known(options, &["value"]);
                let Some(node) = options.get("value") else {
                    return self.problem("a Value needs the option `value`, a lambda such as \"x=>x.Size\"");
                };
                Type::Value(self.given(node)?)
            }
            "Enumeration" => {
                self.known(options, &["type", "type_options", "choices", "map"]);
                let Some(base) = self.inner("type", options, depth, Some("uint8"))? else { return Ok(None) };
                let mut names = Vec::new();
                for (key, node) in self.map(options, "choices")? {
                    let Some(text) = plain_text(node) else {
                        return self
                            .problem(&format!("`choices`: the name for `{key}` must be text, not {}", node.kind()));
                    };
                    names.push((number_or_text(key), Arc::from(text)));
                }
                for (key, node) in self.map(options, "map")? {
                    let value = match node {
                        Node::Int(i) => Value::Int(*i),
                        Node::Text(text) => number_or_text(text),
                        other => {
                            return self.problem(&format!("`map`: `{key}` must be a number, not {}", other.kind()));
                        }
                    };
                    names.push((value, Arc::from(key.as_str())));
                }
                if names.is_empty() {
                    return self.problem("an Enumeration needs `choices` {\"1\": name} or `map` {name: 1}");
                }
                Type::Enumeration { base: Box::new(base), names }
            }
            "Flags" => {
                self.known(options, &["type", "type_options", "bitmap"]);
                let Some(base) = self.inner("type", options, depth, Some("uint8"))? else { return Ok(None) };
                let mut bits = Vec::new();
                for (key, node) in self.map(options, "bitmap")? {
                    // Written both ways round: {name: bit} and {"bit": name}.
                    let pair = match (node, key.trim().parse::<u32>()) {
                        (Node::Int(bit), _) => u32::try_from(*bit).ok().map(|bit| (bit, key.as_str())),
                        (Node::Text(name), Ok(bit)) => Some((bit, name.as_str())),
                        (Node::Text(text), Err(_)) => text.trim().parse().ok().map(|bit| (bit, key.as_str())),
                        _ => None,
                    };
                    match pair {
                        Some((bit, name)) if bit < 64 => bits.push((bit, Arc::from(name))),
                        _ => return self.problem(&format!("`bitmap`: `{key}` needs the number of a bit, 0 to 63")),
                    }
                }
                if bits.is_empty() {
                    return self.problem("Flags need `bitmap`, {name: bit}");
                }
                bits.sort_by(|(_, a): &(u32, Arc<str>), (_, b)| a.cmp(b));
                Type::Flags { base: Box::new(base), bits }
            }
            "BitField" => {
                self.known(options, &["type", "type_options", "start_bit", "end_bit"]);
                let Some(base) = self.inner("type", options, depth, Some("uint8"))? else { return Ok(None) };
                let bit = |name, default| match options.get(name) {
                    None => Some(default),
                    Some(Node::Int(bit)) => u32::try_from(*bit).ok().filter(|bit| *bit <= 64),
                    Some(_) => None,
                };
                match (bit("start_bit", 0), bit("end_bit", 64)) {
                    (Some(start), Some(end)) if start < end => Type::Bits { base: Box::new(base), start, end },
                    _ => return self.problem("`start_bit` must be below `end_bit`, and both 0 to 64"),
                }
            }
            "Union" => {
                self.known(options, &["selector", "choices"]);
                let Some(selector) = options.text("selector").filter(|text| is_lambda(text)) else {
                    return self.problem("a Union needs `selector`, a lambda such as \"x=>x.Type\"");
                };
                let selector = self.lambda(selector)?;
                let mut choices = Vec::new();
                for (key, node) in self.map(options, "choices")? {
                    let found = match node {
                        Node::Text(kind) => self.find(kind, &Options::none(), depth)?,
                        other => {
                            return self.problem(&format!("`choices`: `{key}` must name a type, not {}", other.kind()));
                        }
                    };
                    if let Some(kind) = found {
                        choices.push((Arc::from(key.as_str()), kind));
                    }
                }
                Type::Union { selector, choices }
            }
            "Pointer" | "Pointer64" | "Pointer32" | "Pointer16" => {
                self.known(options, &["type", "type_options"]);
                let Some(target) = self.inner("type", options, depth, None)? else { return Ok(None) };
                let size = match name {
                    "Pointer16" => 2,
                    "Pointer32" => 4,
                    _ => 8,
                };
                Type::Pointer { target: Box::new(target), size }
            }
            "Profile" => {
                self.known(options, &["type", "type_options", "offset"]);
                let Some(target) = self.inner("type", options, depth, None)? else { return Ok(None) };
                let Some(offset) = self.option(options, "offset")? else {
                    return self.problem("a Profile needs `offset`, a place in the file, such as \"x=>x.Offset\"");
                };
                Type::Profile { target: Box::new(target), offset }
            }
            "leb128" | "uleb128" | "varint" | "VarInt" => Type::Leb { signed: false },
            "sleb128" => Type::Leb { signed: true },
            "GUID" => Type::Guid,
            "WinFileTime" | "Timestamp" | "UnixTime" | "EpochTime" => {
                self.known(options, &["type", "type_options", "factor"]);
                let windows = name == "WinFileTime";
                let usual = if windows { "uint64" } else { "uint32" };
                let Some(base) = self.inner("type", options, depth, Some(usual))? else { return Ok(None) };
                let factor = match options.get("factor") {
                    None => 1,
                    Some(Node::Int(factor)) if *factor > 0 => *factor,
                    Some(Node::Float(factor)) if *factor >= 1.0 => *factor as i64,
                    Some(_) => return self.problem("`factor` must be a whole number above 0"),
                };
                let base = Box::new(base);
                if windows { Type::WinFileTime { base, factor } } else { Type::Timestamp { base, factor } }
            }
            "FatTimestamp" => Type::FatTime { time_first: false },
            "DosTimestamp" => Type::FatTime { time_first: true },
            _ => {
                let plain = PLAIN.iter().flat_map(|(names, ..)| names.iter().copied());
                let known = self.order.iter().map(String::as_str).chain(plain).chain(OTHERS.iter().copied());
                let hint = did_you_mean(name, known)
                    .unwrap_or_else(|| "it is no struct of the profile and no type that is built in".into());
                return self.problem(&format!("unknown type `{name}`: {hint}"));
            }
        }))
    }

    fn text(&mut self, options: &Options<'_>) -> Result<Text, String> {
        self.known(
            options,
            &["encoding", "length", "max_length", "term", "term_hex", "term_exp", "byte_string", "bytes"],
        );
        let wide = match options.text("encoding").map(str::to_ascii_lowercase).as_deref() {
            Some("utf16" | "utf-16" | "utf16le" | "utf-16le") => true,
            None | Some("" | "utf8" | "utf-8" | "ascii") => false,
            Some(other) => {
                self.problems.push(format!("{}: `encoding` is utf8 or utf16, not `{other}`", self.place));
                false
            }
        };
        let encoded = |text: &str| match wide {
            true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            false => text.as_bytes().to_vec(),
        };
        let end = match (options.text("term_exp"), options.text("term_hex"), options.text("term")) {
            (Some(lambda), ..) => End::Lambda(self.lambda(lambda)?),
            (_, Some(digits), _) => match crate::builtin::bytes::from_hex(digits) {
                Some(bytes) if bytes.is_empty() => End::Open,
                Some(bytes) => End::At(bytes),
                None => return Err(format!("{}: `term_hex` must be hexadecimal, not `{digits}`", self.place)),
            },
            (.., Some(lambda)) if is_lambda(lambda) => End::Lambda(self.lambda(lambda)?),
            (.., Some("")) => End::Open,
            (.., Some(text)) => End::At(encoded(text)),
            (None, None, None) => End::At(encoded("\0")),
        };
        let is_true = |name| matches!(options.get(name), Some(Node::Bool(true) | Node::Int(1)));
        Ok(Text {
            wide,
            length: self.option(options, "length")?,
            max: self.option(options, "max_length")?,
            end,
            bytes: is_true("byte_string") || is_true("bytes"),
        })
    }

    /// The type that the option `name` names, with its own options in `type_options`.
    fn inner(
        &mut self,
        name: &str,
        options: &Options<'_>,
        depth: u32,
        usual: Option<&str>,
    ) -> Result<Option<Type>, String> {
        let kind = match (options.get(name), usual) {
            (Some(Node::Text(kind)), _) => kind.as_str(),
            (None, Some(usual)) => usual,
            (None, None) => return self.problem(&format!("the option `{name}` is missing: it names a type")),
            (Some(other), _) => return self.problem(&format!("`{name}` must name a type, not {}", other.kind())),
        };
        let inner = match options.get("type_options") {
            Some(Node::Map(entries)) => Options(entries),
            None => Options::none(),
            Some(other) => return self.problem(&format!("`type_options` must be a dict, not {}", other.kind())),
        };
        self.find(kind, &inner, depth)
    }

    fn option(&mut self, options: &Options<'_>, name: &str) -> Result<Option<Number>, String> {
        options.get(name).map_or(Ok(None), |node| self.number(node, name))
    }

    fn number(&mut self, node: &Node, what: &str) -> Result<Option<Number>, String> {
        Ok(Some(Number::Fixed(match node {
            Node::Null => return Ok(None),
            Node::Int(i) => *i,
            Node::Float(f) => *f as i64,
            Node::Text(text) if is_lambda(text) => return self.lambda(text).map(|l| Some(Number::Lambda(l))),
            Node::Text(text) if crate::value::parse_int(text).is_some() => crate::value::parse_int(text).unwrap_or(0),
            Node::Text(text) => {
                return Err(format!(
                    "{}: `{what}` must be a number or a lambda such as \"x=>x.Size\", not `{text}`",
                    self.place
                ));
            }
            other => {
                return Err(format!("{}: `{what}` must be a number or a lambda, not {}", self.place, other.kind()));
            }
        })))
    }

    fn given(&mut self, node: &Node) -> Result<Given, String> {
        match node {
            Node::Text(text) if is_lambda(text) => Ok(Given::Lambda(self.lambda(text)?)),
            other => Ok(Given::Fixed(value(other))),
        }
    }

    fn lambda(&mut self, text: &str) -> Result<Arc<Lambda>, String> {
        words(text, &mut self.words);
        self.cx.lambda(text.trim()).map_err(|why| format!("{}: {why}", self.place))
    }

    fn map<'n>(&mut self, options: &Options<'n>, name: &str) -> Result<&'n [(String, Node)], String> {
        match options.get(name) {
            None => Ok(&[]),
            Some(Node::Map(entries)) => Ok(entries),
            Some(other) => Err(format!("{}: `{name}` must be a dict, not {}", self.place, other.kind())),
        }
    }

    /// Notes options that a type does not have.
    fn known(&mut self, options: &Options<'_>, known: &[&str]) {
        for (key, _) in options.0 {
            if !known.contains(&key.as_str()) {
                let hint = did_you_mean(key, known.iter().copied())
                    .unwrap_or_else(|| format!("there are {}", known.join(", ")));
                self.problems.push(format!("{}: unknown option `{key}`: {hint}", self.place));
            }
        }
    }

    fn problem(&mut self, why: &str) -> Result<Option<Type>, String> {
        self.problems.push(format!("{}: {why}", self.place));
        Ok(None)
    }
}

fn plain_text(node: &Node) -> Option<String> {
    match node {
        Node::Text(text) => Some(text.clone()),
        Node::Int(i) => Some(i.to_string()),
        Node::Float(f) => Some(f.to_string()),
        Node::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn number_or_text(text: &str) -> Value {
    crate::value::parse_int(text).map_or_else(|| Value::from(text), Value::Int)
}

/// A value that stands in the profile as it is.
fn value(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(b) => Value::Bool(*b),
        Node::Int(i) => Value::Int(*i),
        Node::Float(f) => Value::Float(*f),
        Node::Text(text) => Value::from(text),
        Node::List(items) => Value::array(items.iter().map(value)),
        Node::Map(entries) => {
            Value::dict(entries.iter().map(|(k, v)| (Arc::from(k.as_str()), value(v))).collect::<Dict>())
        }
    }
}

/// The words of a lambda that may be variables of the scope: all but members.
fn words(text: &str, into: &mut BTreeSet<Arc<str>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        if !is_word(&bytes[at]) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|b| is_word(b)).count();
        let member = text[..at].trim_end().ends_with(['.', '`']);
        if !member && !bytes[at].is_ascii_digit() {
            into.insert(Arc::from(&text[at..end]));
        }
        at = end;
    }
}
