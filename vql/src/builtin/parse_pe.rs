//! `parse_pe()`: the headers of a Windows program, its imports, exports, resources and version.

use std::io;

use md5::{Digest, Md5};

use super::bytes::hex;
use super::files::ACCESSOR;
use super::parse_binary::Reader;
use super::prelude::*;

static PARSE_PE: Signature = Signature::new(
    "parse_pe",
    "What the headers of a Windows program (PE) say: a dict with `FileHeader`, `GUIDAge` and `PDB` (by which its debug \
     symbols are found), `Directories`, `Sections`, `Resources`, `VersionInformation`, `Imports` (`library!function`), \
     `Exports` (`library:function`), `Forwards` and `ImpHash`. NULL for other files.",
    &[
        req("file", ArgKind::Path, "The file"),
        ACCESSOR,
        opt("base_offset", Int, "Where in the file the program begins; 0 without"),
    ],
)
.group(Group::Parsing)
.examples(&["SELECT parse_pe(file='no program', accessor='data') AS None FROM scope()"]);

const MAX_SECTIONS: u16 = 96;
const MAX_LIBRARIES: u64 = 1000;
const MAX_FUNCTIONS: usize = 20_000;
const MAX_EXPORTS: u32 = 65_536;
const MAX_RESOURCES: usize = 10_000;
const MAX_NAME: usize = 512;
/// What a version resource may take.
const MAX_VERSION: usize = 64 << 10;
/// How deep the blocks of a version may nest.
const MAX_BLOCKS: u32 = 8;

const DIRECTORIES: [&str; 15] = [
    "Export_Directory",
    "Import_Directory",
    "Resource_Directory",
    "Exception_Directory",
    "Security_Directory",
    "Base_Relocation_Directory",
    "Debug_Directory",
    "Architecture_Directory",
    "Global_Ptr_Directory",
    "TLS_Directory",
    "Load_Config_Directory",
    "Bound_Import_Directory",
    "IAT_Directory",
    "Delay_Import_Directory",
    "DotNet_Header",
];

fn parse_pe(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path("file", &*accessor);
    let base = args.int("base_offset")?;
    let base =
        u64::try_from(base).map_err(|_| CallError::new(format!("`base_offset` must not be negative, not {base}")))?;
    let trouble = |error: io::Error| crate::accessor::trouble(&path, &error);
    let reader = Reader::open(cx, accessor.clone(), path.clone()).map_err(trouble)?;
    Ok(Program::open(cx, &reader, base).map_or(Value::Null, |program| Value::dict(program.dict())))
}

struct Program<'a> {
    cx: &'a Context<'a>,
    reader: &'a Arc<Reader>,
    base: u64,
    /// Where the file header is.
    header: u64,
    /// PE32+: addresses have 64 bits.
    wide: bool,
    sections: Vec<Section>,
    /// Address and size.
    directories: Vec<(u32, u32)>,
}

struct Section {
    name: String,
    address: u32,
    virtual_size: u32,
    offset: u32,
    size: u32,
    flags: u32,
}

impl<'a> Program<'a> {
    /// None when the file is no program.
    fn open(cx: &'a Context<'a>, reader: &'a Arc<Reader>, base: u64) -> Option<Program<'a>> {
        let (sections, directories) = (Vec::new(), Vec::new());
        let mut program = Program { cx, reader, base, header: 0, wide: false, sections, directories };
        if program.bytes(0, 2) != b"MZ" {
            return None;
        }
        let start = u64::from(program.u32(60)?);
        if program.bytes(start, 4) != b"PE\0\0" {
            return None;
        }
        program.header = start + 4;
        let optional = program.header + 20;
        program.wide = match program.u16(optional)? {
            0x10b => false,
            0x20b => true,
            _ => return None,
        };
        let table = optional + if program.wide { 112 } else { 96 };
        let count = program.u32(table - 4)?.min(DIRECTORIES.len() as u32);
        for i in 0..u64::from(count) {
            let at = table + i * 8;
            program.directories.push((program.u32(at).unwrap_or(0), program.u32(at + 4).unwrap_or(0)));
        }
        let first = optional + u64::from(program.u16(program.header + 16)?);
        for i in 0..u64::from(program.u16(program.header + 2)?.min(MAX_SECTIONS)) {
            let at = first + i * 40;
            let name = program.bytes(at, 8);
            let word = |offset: u64| program.u32(at + offset);
            let (Some(virtual_size), Some(address), Some(size), Some(offset), Some(flags)) =
                (word(8), word(12), word(16), word(20), word(36))
            else {
                break;
            };
            let name = text(&name);
            program.sections.push(Section { name, address, virtual_size, offset, size, flags });
        }
        Some(program)
    }

    fn dict(&self) -> Dict {
        let (guid, pdb) = self.debug().unwrap_or_default();
        let (resources, version) = self.resources();
        let (imports, hash) = self.imports();
        let (exports, forwards) = self.exports();
        Dict::of([
            ("FileHeader", self.file_header().into()),
            ("GUIDAge", guid.into()),
            ("PDB", pdb.into()),
            ("Directories", self.directories().into()),
            ("Sections", self.sections.iter().map(|s| Value::dict(self.section(s))).collect::<Vec<_>>().into()),
            ("Resources", resources.into()),
            ("VersionInformation", version.into()),
            ("Imports", imports.into()),
            ("Exports", exports.into()),
            ("Forwards", forwards.into()),
            ("ImpHash", hash.into()),
        ])
    }

    fn file_header(&self) -> Dict {
        let machine = match self.u16(self.header).unwrap_or(0) {
            0 => "IMAGE_FILE_MACHINE_UNKNOWN".to_owned(),
            0x14c => "IMAGE_FILE_MACHINE_I386".to_owned(),
            0x1c0 => "IMAGE_FILE_MACHINE_ARM".to_owned(),
            0x1c4 => "IMAGE_FILE_MACHINE_ARMNT".to_owned(),
            0x200 => "IMAGE_FILE_MACHINE_IA64".to_owned(),
            0x8664 => "IMAGE_FILE_MACHINE_AMD64".to_owned(),
            0xaa64 => "IMAGE_FILE_MACHINE_ARM64".to_owned(),
            other => format!("{other:#x}"),
        };
        let stamp = self.u32(self.header + 4).unwrap_or(0);
        let optional = self.header + 20;
        let image = match self.wide {
            true => self.u64(optional + 24),
            false => self.u32(optional + 28).map(u64::from),
        };
        Dict::of([
            ("Machine", Value::from(machine)),
            ("TimeDateStamp", Value::time(i64::from(stamp), 0)),
            ("TimeDateStampRaw", stamp.into()),
            ("Characteristics", self.u16(self.header + 18).into()),
            ("ImageBase", image.into()),
        ])
    }

    fn directories(&self) -> Dict {
        let mut dict = Dict::new();
        for (name, (address, size)) in DIRECTORIES.iter().zip(&self.directories) {
            if *address == 0 || *size == 0 {
                continue;
            }
            // Signatures lie behind the program and have a place in the file.
            let at = if *name == "Security_Directory" { Some(u64::from(*address)) } else { self.place(*address) };
            let section = self.sections.iter().find(|s| s.holds(*address)).map(|s| s.name.as_str());
            dict.set(
                *name,
                Dict::of([
                    ("Size", (*size).into()),
                    ("VirtualAddress", (*address).into()),
                    ("FileAddress", at.into()),
                    ("SectionName", section.into()),
                ]),
            );
        }
        dict
    }

    fn section(&self, section: &Section) -> Dict {
        let flag = |bit: u32, letter: &'static str| if section.flags & bit != 0 { letter } else { "-" };
        let permissions = [flag(0x2000_0000, "x"), flag(0x4000_0000, "r"), flag(0x8000_0000, "w")].concat();
        let image = match self.wide {
            true => self.u64(self.header + 44),
            false => self.u32(self.header + 48).map(u64::from),
        };
        Dict::of([
            ("Perm", Value::from(permissions)),
            ("Name", section.name.as_str().into()),
            ("FileOffset", section.offset.into()),
            ("VMA", image.map(|image| image.wrapping_add(u64::from(section.address))).into()),
            ("RVA", section.address.into()),
            ("Size", section.size.into()),
            ("VirtualSize", section.virtual_size.into()),
        ])
    }

    /// What the debugger finds the symbols by: an identifier with its age, and a path.
    fn debug(&self) -> Option<(String, String)> {
        let (at, size) = self.directory(6)?;
        for entry in 0..u64::from(size / 28).min(32) {
            let at = at + entry * 28;
            if self.u32(at + 12)? != 2 {
                continue;
            }
            let (size, place) = (self.u32(at + 16)?, u64::from(self.u32(at + 24)?));
            let data = self.bytes(place, (size as usize).min(24 + MAX_NAME));
            let Some(rest) = data.strip_prefix(b"RSDS").filter(|rest| rest.len() >= 20) else { continue };
            let number =
                |at: usize, len: usize| rest[at..at + len].iter().rev().fold(0_u32, |n, b| n << 8 | u32::from(*b));
            let tail = hex(&rest[8..16]).to_uppercase();
            let (a, b, c, age) = (number(0, 4), number(4, 2), number(6, 2), number(16, 4));
            return Some((format!("{a:08X}{b:04X}{c:04X}{tail}{age:X}"), text(&rest[20..])));
        }
        None
    }

    fn imports(&self) -> (Vec<Value>, Option<String>) {
        let mut found = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let Some((table, _)) = self.directory(1) else { return (found, None) };
        let (size, ordinal) = if self.wide { (8, 1 << 63) } else { (4, 1 << 31) };
        'libraries: for i in 0..MAX_LIBRARIES {
            let at = table + i * 20;
            let (Some(lookup), Some(name), Some(thunks)) = (self.u32(at), self.u32(at + 12), self.u32(at + 16)) else {
                break;
            };
            if name == 0 || self.cx.cancelled() {
                break;
            }
            let library = self.text_at(name);
            let Some(mut thunk) = self.place(if lookup != 0 { lookup } else { thunks }) else { continue };
            let lower = library.to_lowercase();
            let stem = [".dll", ".ocx", ".sys"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
            loop {
                let value = if self.wide { self.u64(thunk) } else { self.u32(thunk).map(u64::from) };
                let Some(value) = value.filter(|value| *value != 0) else { break };
                if found.len() >= MAX_FUNCTIONS {
                    break 'libraries;
                }
                let function = match value & ordinal {
                    0 => self.text_at((value as u32).wrapping_add(2)),
                    _ => format!("ord{}", value & 0xffff),
                };
                names.push(format!("{stem}.{}", function.to_lowercase()));
                found.push(Value::from(format!("{library}!{function}")));
                thunk += size;
            }
        }
        let hash = (!names.is_empty()).then(|| hex(&Md5::digest(names.join(","))));
        (found, hash)
    }

    fn exports(&self) -> (Vec<Value>, Vec<Value>) {
        let (mut exports, mut forwards) = (Vec::new(), Vec::new());
        let Some((table, size)) = self.directory(0) else { return (exports, forwards) };
        let (start, _) = self.directories[0];
        let word = |offset: u64| self.u32(table + offset).unwrap_or(0);
        let module = self.text_at(word(12));
        let (first, functions, named) = (word(16), word(20).min(MAX_EXPORTS), word(24).min(MAX_EXPORTS));
        let (Some(addresses), names, ordinals) = (self.place(word(28)), self.place(word(32)), self.place(word(36)))
        else {
            return (exports, forwards);
        };
        let mut by_ordinal: std::collections::HashMap<u32, String> = std::collections::HashMap::new();
        if let (Some(names), Some(ordinals)) = (names, ordinals) {
            for i in 0..u64::from(named) {
                let (Some(name), Some(ordinal)) = (self.u32(names + i * 4), self.u16(ordinals + i * 2)) else { break };
                if i % 256 == 0 && self.cx.cancelled() {
                    break;
                }
                by_ordinal.insert(u32::from(ordinal), self.text_at(name));
            }
        }
        for i in 0..functions {
            let Some(address) = self.u32(addresses + u64::from(i) * 4) else { break };
            if address == 0 {
                continue;
            }
            let name = by_ordinal.remove(&i).unwrap_or_else(|| format!("#{}", first.wrapping_add(i)));
            exports.push(Value::from(format!("{module}:{name}")));
            // An address within the directory itself is the name of what stands for it.
            if (start..start.saturating_add(size)).contains(&address) {
                forwards.push(Value::from(self.text_at(address)));
            }
        }
        (exports, forwards)
    }

    fn resources(&self) -> (Vec<Value>, Dict) {
        let (mut found, mut version) = (Vec::new(), Dict::new());
        let Some((root, _)) = self.directory(2) else { return (found, version) };
        for (kind, types) in self.resource_entries(root, root) {
            let Some(types) = types.directory() else { continue };
            for (_, names) in self.resource_entries(root, types) {
                let Some(names) = names.directory() else { continue };
                for (_, entry) in self.resource_entries(root, names) {
                    let Entry::Data(at) = entry else { continue };
                    if found.len() >= MAX_RESOURCES || self.cx.cancelled() {
                        return (found, version);
                    }
                    let (Some(address), Some(size), Some(page)) = (self.u32(at), self.u32(at + 4), self.u32(at + 8))
                    else {
                        continue;
                    };
                    let place = self.place(address);
                    if kind == 16
                        && version.is_empty()
                        && let Some(place) = place
                    {
                        let data = self.bytes(place, (size as usize).min(MAX_VERSION));
                        version_strings(&data, 0, &mut version);
                    }
                    found.push(Value::dict(Dict::of([
                        ("Type", resource_type(kind).into()),
                        ("TypeId", kind.into()),
                        ("FileOffset", place.into()),
                        ("DataSize", size.into()),
                        ("CodePage", page.into()),
                    ])));
                }
            }
        }
        (found, version)
    }

    /// The entries of a level of the resource tree, with their numbers (0 for named ones).
    fn resource_entries(&self, root: u64, at: u64) -> Vec<(u32, Entry)> {
        let count = self.u16(at + 12).unwrap_or(0).saturating_add(self.u16(at + 14).unwrap_or(0)).min(4096);
        let mut entries = Vec::new();
        for i in 0..u64::from(count) {
            let (Some(name), Some(to)) = (self.u32(at + 16 + i * 8), self.u32(at + 20 + i * 8)) else { break };
            let place = root + u64::from(to & 0x7fff_ffff);
            let entry = if to & 0x8000_0000 != 0 { Entry::Directory(place) } else { Entry::Data(place) };
            entries.push((if name & 0x8000_0000 != 0 { 0 } else { name }, entry));
        }
        entries
    }

    /// Where in the file a directory is, and its size.
    fn directory(&self, index: usize) -> Option<(u64, u32)> {
        let (address, size) = *self.directories.get(index)?;
        (address != 0 && size != 0).then_some(())?;
        Some((self.place(address)?, size))
    }

    /// The place in the file of what is loaded at an address.
    fn place(&self, address: u32) -> Option<u64> {
        match self.sections.iter().find(|section| section.holds(address)) {
            Some(section) => Some(u64::from(section.offset) + u64::from(address - section.address)),
            // The headers are loaded as they are.
            None if self.sections.first().is_none_or(|first| address < first.address) => Some(u64::from(address)),
            None => None,
        }
    }

    fn text_at(&self, address: u32) -> String {
        self.place(address).map_or_else(String::new, |at| text(&self.bytes(at, MAX_NAME)))
    }

    /// Up to `len` bytes; fewer at the end of the file.
    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let found = self.base.checked_add(at).map_or(Ok(0), |at| self.reader.read(self.cx, at, &mut bytes));
        bytes.truncate(found.unwrap_or(0));
        bytes
    }

    fn number<const N: usize>(&self, at: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        let found = self.reader.read(self.cx, self.base.checked_add(at)?, &mut bytes[..N]);
        (found.ok()? == N).then(|| u64::from_le_bytes(bytes))
    }

    fn u16(&self, at: u64) -> Option<u16> {
        self.number::<2>(at).map(|n| n as u16)
    }

    fn u32(&self, at: u64) -> Option<u32> {
        self.number::<4>(at).map(|n| n as u32)
    }

    fn u64(&self, at: u64) -> Option<u64> {
        self.number::<8>(at)
    }
}

impl Section {
    fn holds(&self, address: u32) -> bool {
        (self.address..self.address.saturating_add(self.virtual_size.max(self.size))).contains(&address)
    }
}

#[derive(Clone, Copy)]
enum Entry {
    Directory(u64),
    Data(u64),
}

impl Entry {
    fn directory(self) -> Option<u64> {
        match self {
            Entry::Directory(at) => Some(at),
            Entry::Data(_) => None,
        }
    }
}

fn resource_type(kind: u32) -> String {
    match kind {
        1 => "RT_CURSOR",
        2 => "RT_BITMAP",
        3 => "RT_ICON",
        4 => "RT_MENU",
        5 => "RT_DIALOG",
        6 => "RT_STRING",
        7 => "RT_FONTDIR",
        8 => "RT_FONT",
        9 => "RT_ACCELERATOR",
        10 => "RT_RCDATA",
        11 => "RT_MESSAGETABLE",
        12 => "RT_GROUP_CURSOR",
        14 => "RT_GROUP_ICON",
        16 => "RT_VERSION",
        17 => "RT_DLGINCLUDE",
        19 => "RT_PLUGPLAY",
        20 => "RT_VXD",
        21 => "RT_ANICURSOR",
        22 => "RT_ANIICON",
        23 => "RT_HTML",
        24 => "RT_MANIFEST",
        0 => "named",
        other => return other.to_string(),
    }
    .to_owned()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The names and texts that a version resource holds: blocks in blocks, each with its length, the length of its value, a
/// name and the value.
fn version_strings(block: &[u8], depth: u32, into: &mut Dict) {
    let number = |at: usize| block.get(at..at + 2).map(|p| usize::from(u16::from_le_bytes([p[0], p[1]])));
    let (Some(value_length), Some(is_text)) = (number(2), number(4)) else { return };
    let units = |bytes: &[u8]| -> Vec<u16> {
        bytes.chunks_exact(2).map(|p| u16::from_le_bytes([p[0], p[1]])).take_while(|unit| *unit != 0).collect()
    };
    let name = units(&block[6..]);
    let align = |at: usize| at.div_ceil(4) * 4;
    let mut at = align(6 + name.len() * 2 + 2);
    let name = String::from_utf16_lossy(&name);
    let value_bytes = if is_text == 1 { value_length * 2 } else { value_length };
    let value = block.get(at..).unwrap_or(&[]);
    // Depth 3 are the texts: version, StringFileInfo, the table of a language, text.
    if depth == 3 {
        if !name.is_empty() && into.len() < 100 {
            into.set(name, String::from_utf16_lossy(&units(&value[..value.len().min(value_bytes.max(2))])));
        }
        return;
    }
    if depth >= MAX_BLOCKS || name == "VarFileInfo" {
        return;
    }
    at = align(at + value_bytes);
    while let Some(rest) = block.get(at..).filter(|rest| rest.len() >= 6) {
        let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        if length < 6 || length > rest.len() {
            break;
        }
        version_strings(&rest[..length], depth + 1, into);
        at += align(length);
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_PE, parse_pe));
}
