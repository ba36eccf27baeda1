//! `parse_binary()`: structs laid over the bytes of a file, as a profile describes them.
//!
//! `text` reads the profile's text, `profile` checks it, `reader` reads the file in blocks, `object` is what comes back:
//! its fields are read when somebody looks at them.

mod object;
mod profile;
mod reader;
mod text;

use std::collections::HashMap;

use parking_lot::Mutex;

use self::profile::Profile;
pub(super) use self::reader::Reader;
use super::prelude::*;

static PARSE_BINARY: Signature = Signature::new(
    "parse_binary",
    "A struct read from a file as a profile describes it. The profile is text: a list of `[name, size, [fields]]`, each \
     field `[name, offset, type, options]`. Numbers and sizes may be lambdas that get the struct, `x=>x.Size`. Fields \
     are read when they are looked at; names that begin with `__` are for use within the profile and are not shown. \
     Besides its fields a struct has `StartOf`, `EndOf`, `SizeOf` and `ParentOf`, an array `Start`, `End`, `Size` and \
     `Contents`, and `` x.`@Field` `` tells the same of any field, and `RelEndOf`, its end seen from the struct's start.",
    &[
        req("filename", ArgKind::Path, "The file"),
        opt("accessor", Text, "How the file is opened; `data` takes the file name for the bytes"),
        opt("profile", Text, "The structs: JSON, with comments, trailing commas and hexadecimal numbers allowed"),
        req("struct", Text, "Which struct to read: one of the profile, or a type such as `uint32`"),
        opt("offset", Int, "Where it begins in the file; 0 without"),
        opt("env", DictArg, "Variables that the profile's lambdas see"),
    ],
)
.group(Group::Parsing)
.examples(&[
    "SELECT parse_binary(filename=unhex(string='0300616263'), accessor='data', struct='Name', profile='''[
       [\"Name\", \"x=>x.Len + 2\", [
          [\"Len\", 0, \"uint16\"],
          [\"Text\", 2, \"String\", {\"length\": \"x=>x.Len\"}]]]]''').Text AS Text FROM scope()",
]);

/// The most profiles that one place in a query keeps.
const MAX_PROFILES: usize = 64;

/// The profiles that a place in a query used, by text and struct: a query parses many files with the same.
type Profiles = Mutex<HashMap<(Arc<str>, Arc<str>), Arc<Profile>>>;

fn parse_binary(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path("filename", &*accessor);
    let source = args.str("profile")?;
    let start = args.str("struct")?;
    let offset = args.int("offset")?;
    let at =
        u64::try_from(offset).map_err(|_| CallError::new(format!("`offset` must not be negative, not {offset}")))?;

    let profile = profile_of(cx, args.place(), source, start)?;
    let mut vars: Vec<(Arc<str>, Value)> = Vec::new();
    for word in &profile.words {
        // A lazy variable is a LET of the script, which lambdas see anyway.
        if let Some(value) = cx.value_of(word) {
            vars.push((word.clone(), value));
        }
    }
    if let Some(env) = args.dict("env")? {
        vars.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    let trouble = |error| crate::accessor::trouble(&path, &error);
    let reader = Reader::open(cx, accessor.clone(), path.clone()).map_err(trouble)?;
    Ok(object::start(cx, profile, reader, vars, at))
}

fn profile_of(cx: &Context<'_>, place: usize, source: Arc<str>, start: Arc<str>) -> Result<Arc<Profile>, CallError> {
    let (known, _) = cx.state::<Profiles>(place, Profiles::default);
    let key = (source, start);
    if let Some(profile) = known.lock().get(&key) {
        return Ok(profile.clone());
    }
    let profile = Arc::new(profile::compile(cx, &key.0, &key.1)?);
    for problem in &profile.problems {
        cx.error(format!("parse_binary: {problem}"));
    }
    let mut known = known.lock();
    if known.len() >= MAX_PROFILES {
        known.clear();
    }
    known.insert(key, profile.clone());
    Ok(profile)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_BINARY, parse_binary));
}
