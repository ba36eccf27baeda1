//! `semver()`.

use std::cmp::Ordering;

use super::prelude::*;

static SEMVER: Signature = Signature::new(
    "semver",
    "A version, as one with the members `Major`, `Minor`, `Patch`, `Prerelease` and `Version`. It compares with other \
     versions and with text by the rules of semantic versions: 1.9 is below 1.10, 1.0.0-rc1 below 1.0.0.",
    &[req("version", Text, "The text, such as `v1.2.5-dev`; what is missing of the three numbers is 0")],
)
.group(Group::Numbers)
.examples(&[
    "SELECT semver(version='v1.2.5-dev') AS Version FROM scope()",
    "SELECT semver(version='1.10') > semver(version='1.9.3') AS Newer FROM scope()",
]);

fn semver(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("version")?;
    match Version::parse(&text) {
        Some(version) => Ok(Value::Object(Arc::new(version))),
        None => Err(CallError::new(format!("`{text}` is no semantic version, such as 1.2.3 or v1.2.3-rc.1"))),
    }
}

#[derive(Debug)]
struct Version {
    numbers: [u64; 3],
    prerelease: String,
    build: String,
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (text, build) = text.split_once('+').unwrap_or((text, ""));
        let (core, prerelease) = text.split_once('-').unwrap_or((text, ""));
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !prerelease.chars().all(word) || !build.chars().all(word) {
            return None;
        }
        let mut numbers = [0; 3];
        for (at, part) in core.split('.').enumerate() {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            *numbers.get_mut(at)? = part.parse().ok().filter(|_| digits)?;
        }
        Some(Version { numbers, prerelease: prerelease.into(), build: build.into() })
    }

    fn order(&self, other: &Version) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let (mut a, mut b) = (self.prerelease.split('.'), other.prerelease.split('.'));
                loop {
                    let order = match (a.next(), b.next()) {
                        (None, None) => return Ordering::Equal,
                        (None, Some(_)) => Ordering::Less,
                        (Some(_), None) => Ordering::Greater,
                        (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                            (Ok(a), Ok(b)) => a.cmp(&b),
                            (Ok(_), Err(_)) => Ordering::Less,
                            (Err(_), Ok(_)) => Ordering::Greater,
                            (Err(_), Err(_)) => a.cmp(b),
                        },
                    };
                    if order.is_ne() {
                        return order;
                    }
                }
            }
        })
    }

    fn text(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let mut text = format!("{major}.{minor}.{patch}");
        if !self.prerelease.is_empty() {
            text = text + "-" + &self.prerelease;
        }
        if !self.build.is_empty() {
            text = text + "+" + &self.build;
        }
        text
    }
}

impl crate::value::Object for Version {
    fn type_name(&self) -> &'static str {
        "*semver.Version"
    }

    fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Major" => Value::from(self.numbers[0]),
            "Minor" => Value::from(self.numbers[1]),
            "Patch" => Value::from(self.numbers[2]),
            "Prerelease" => Value::from(&self.prerelease),
            "Metadata" => Value::from(&self.build),
            "Version" | "String" => Value::from(self.text()),
            _ => return None,
        })
    }

    fn members(&self) -> Vec<Arc<str>> {
        ["Major", "Minor", "Patch", "Prerelease", "Version"].into_iter().map(Arc::from).collect()
    }

    fn compare(&self, other: &Value) -> Option<Ordering> {
        match other {
            Value::Object(other) => Some(self.order(other.as_any().downcast_ref::<Version>()?)),
            Value::Str(text) => Some(self.order(&Version::parse(text)?)),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SEMVER, semver));
}
