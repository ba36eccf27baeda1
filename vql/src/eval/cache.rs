//! Compiled patterns and parsed lambdas, kept for the rows that use them again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use regex::bytes::{Regex, RegexBuilder};

use crate::eval::Lambda;
use crate::scope::Context;

/// Lambdas and patterns made from the data itself must not fill the memory: past this many the cache starts anew.
const MAX_LAMBDAS: usize = 1024;

/// A pattern over Unicode classes takes megabytes when it is compiled.
const MAX_PATTERNS: usize = 64;

/// How large a compiled pattern may get.
const MAX_PROGRAM: usize = 10 << 20;

/// What matching keeps at hand for one pattern.
const MAX_STATES: usize = 2 << 20;

/// What text was made into, or why it could not be.
type Cache<T> = RwLock<HashMap<Arc<str>, Result<Arc<T>, String>>>;

#[derive(Default)]
pub(crate) struct RegexCache(Cache<Regex>);

impl RegexCache {
    /// The pattern as `=~` has it: case-insensitive, linear in the text.
    pub(crate) fn get(&self, pattern: &str) -> Result<Arc<Regex>, String> {
        if let Some(found) = self.0.read().get(pattern) {
            return found.clone();
        }
        let compiled = compile_regex(pattern);
        let mut cache = self.0.write();
        if cache.len() >= MAX_PATTERNS {
            cache.clear();
        }
        cache.insert(Arc::from(pattern), compiled.clone());
        compiled
    }
}

pub(crate) fn compile_regex(pattern: &str) -> Result<Arc<Regex>, String> {
    let build = |unicode| {
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .unicode(unicode)
            .size_limit(MAX_PROGRAM)
            .dfa_size_limit(MAX_STATES)
            .build()
    };
    // A pattern about raw bytes (`\xff`) is no Unicode pattern.
    build(true).or_else(|error| build(false).map_err(|_| error)).map(Arc::new).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or("bad pattern").trim_start_matches("error: ").to_owned();
        format!("the pattern `{pattern}` cannot be used: {reason}")
    })
}

impl fmt::Debug for RegexCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegexCache({})", self.0.read().len())
    }
}

#[derive(Default)]
pub(crate) struct LambdaCache(Cache<Lambda>);

impl LambdaCache {
    pub(crate) fn get(&self, cx: &Context<'_>, text: &str) -> Result<Arc<Lambda>, String> {
        if let Some(found) = self.0.read().get(text) {
            return found.clone();
        }
        let parsed = Lambda::parse(cx.registry(), text).map(Arc::new);
        let mut cache = self.0.write();
        if cache.len() >= MAX_LAMBDAS {
            cache.clear();
        }
        cache.insert(Arc::from(text), parsed.clone());
        parsed
    }
}
