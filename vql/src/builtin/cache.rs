//! `cache()`.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::moment::{Moment, seconds};
use super::prelude::*;
use super::recent::Recent;
use crate::eval::Lambda as Callable;

static CACHE: Signature = Signature::new(
    "cache",
    "Computes a value for each key once: `LET _ <= cache(lambda='x => …')`, then `cache(key=…)`. Or, in one call, \
     `cache(func=…, key=…)`.",
    &[
        opt("func", Lazy, "What to compute when the key is new"),
        opt("lambda", Lambda, "A lambda that gets the key and gives the value; it stays for later calls"),
        opt("name", Text, "The name of the cache, when there are several"),
        opt("key", Any, "The key; the answer is its value"),
        opt("period", Int, "Seconds after which a value is computed anew; never without"),
        opt("filename", Text, "Accepted for existing queries; the values are kept in memory"),
        opt("max_size", Int, "How many values to keep, 10000 without"),
    ],
)
.group(Group::Control)
.examples(&[
    "LET _ <= cache(lambda='x => x * x') SELECT cache(key=_value) AS Square FROM range(end=3)",
    "SELECT cache(func=_value * 2, key=_value, name='doubles') AS Double FROM range(end=3)",
]);

/// The caches of an execution by name.
#[derive(Default)]
struct Caches(Mutex<HashMap<Arc<str>, Arc<Cache>>>);

#[derive(Debug)]
struct Cache {
    lambda: Option<Arc<Callable>>,
    period: Option<Duration>,
    values: Mutex<Recent<Moment>>,
}

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let name = args.str("name")?;
    let (caches, _) = cx.state(0, Caches::default);
    let lambda = args.lambda("lambda")?;
    let func = args.lazy("func");
    let known = caches.0.lock().get(&name).cloned();
    let cache = match known {
        Some(cache) if lambda.is_none() || args.has("key") => cache,
        None if lambda.is_none() && func.is_none() => {
            let which = if name.is_empty() { String::new() } else { format!(" named `{name}`") };
            return Err(CallError::new(format!("there is no cache{which} yet: make it with cache(lambda='x => …')")));
        }
        _ => {
            let size = args.opt_int("max_size")?.filter(|n| *n > 0).unwrap_or(10_000).min(1_000_000) as usize;
            let cache = Arc::new(Cache {
                lambda,
                period: args.opt_int("period")?.filter(|n| *n > 0).map(seconds),
                values: Mutex::new(Recent::new(size)),
            });
            caches.0.lock().insert(name, cache.clone());
            cache
        }
    };
    if !args.has("key") {
        return Ok(Value::Object(cache));
    }
    let key = args.value("key");
    let text = key.to_text();
    if let Some((value, at)) = cache.values.lock().get(&text)
        && cache.period.is_none_or(|period| at.age(cx) < period)
    {
        return Ok(value);
    }
    let value = match (func, &cache.lambda) {
        (Some(func), _) => func.eval(cx),
        (None, Some(lambda)) => cx.call(lambda, &[key]),
        (None, None) => return Err(CallError::new("the cache has no lambda: give `func` with each call")),
    };
    let value = cx.materialize(value);
    // An object could come to hold the cache itself.
    if !matches!(value, Value::Object(_)) && !cx.cancelled() {
        cache.values.lock().insert(text, value.clone(), Moment::now(cx));
    }
    Ok(value)
}

impl crate::value::Object for Cache {
    fn type_name(&self) -> &'static str {
        "cache"
    }

    /// What was computed already.
    fn get(&self, name: &str) -> Option<Value> {
        self.values.lock().get(name).map(|(value, _)| value)
    }

    fn members(&self) -> Vec<Arc<str>> {
        self.values.lock().keys()
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(Arc::from(format!("cache of {} values", self.values.lock().len())))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&CACHE, call));
}
