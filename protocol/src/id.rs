//! The ids that people see: client, hunt and flow. Each is a number with one way to write it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An endpoint as the hub knows it: the first 8 bytes of SHA-256 of its public key (the DER of its
/// SubjectPublicKeyInfo), written `C.` and 16 lower-case hex digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(pub u64);

impl ClientId {
    /// From the SHA-256 digest of the public key.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }
}

/// A collection offered to many clients, written `H.` and 13 digits of base 32.
///
/// The digits sort by creation time: 42 bits of Unix milliseconds, then 22 random bits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HuntId(pub u64);

impl HuntId {
    /// `random` gives the low 22 bits.
    pub fn new(unix_ms: u64, random: u64) -> Self {
        Self(stamp(unix_ms, random))
    }
}

/// One run of a collection on one client, written `F.` and 13 digits of base 32.
///
/// A hunt's flow bears the hunt's own digits and the suffix `.H`, so a client cannot take part twice.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlowId {
    number: u64,
    hunt: bool,
}

impl FlowId {
    /// A flow of its own; `random` gives the low 22 bits.
    pub fn new(unix_ms: u64, random: u64) -> Self {
        Self { number: stamp(unix_ms, random), hunt: false }
    }

    /// The flow by which any client takes part in `hunt`.
    pub fn of_hunt(hunt: HuntId) -> Self {
        Self { number: hunt.0, hunt: true }
    }

    /// The hunt that this flow belongs to, if it belongs to one.
    pub fn hunt(self) -> Option<HuntId> {
        self.hunt.then_some(HuntId(self.number))
    }
}

fn stamp(unix_ms: u64, random: u64) -> u64 {
    unix_ms << 22 | random & ((1 << 22) - 1)
}

/// A text that is no id of the expected kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is no {kind} id: expected {form}")]
pub struct ParseIdError {
    kind: &'static str,
    form: &'static str,
    text: String,
}

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

fn write_base32(f: &mut fmt::Formatter<'_>, number: u64) -> fmt::Result {
    for place in (0..13).rev() {
        let digit = (number >> (place * 5)) & 31;
        write!(f, "{}", DIGITS[digit as usize] as char)?;
    }
    Ok(())
}

fn read_base32(text: &str) -> Option<u64> {
    if text.len() != 13 {
        return None;
    }
    let mut number: u64 = 0;
    for (place, byte) in text.bytes().enumerate() {
        let digit = DIGITS.iter().position(|&d| d == byte)? as u64;
        // 13 digits hold 65 bits: the first digit may only be 0 to 15.
        if place == 0 && digit > 15 {
            return None;
        }
        number = number << 5 | digit;
    }
    Some(number)
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C.{:016x}", self.0)
    }
}

impl FromStr for ClientId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix("C.")
            .filter(|hex| hex.len() == 16 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .map(Self)
            .ok_or_else(|| ParseIdError { kind: "client", form: "C. and 16 lower-case hex digits", text: clip(text) })
    }
}

impl fmt::Display for HuntId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("H.")?;
        write_base32(f, self.0)
    }
}

impl FromStr for HuntId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix("H.").and_then(read_base32).map(Self).ok_or_else(|| ParseIdError {
            kind: "hunt",
            form: "H. and 13 digits 0-9 A-V",
            text: clip(text),
        })
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("F.")?;
        write_base32(f, self.number)?;
        if self.hunt { f.write_str(".H") } else { Ok(()) }
    }
}

impl FromStr for FlowId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix("F.")
            .and_then(|rest| match rest.strip_suffix(".H") {
                Some(digits) => Some(Self { number: read_base32(digits)?, hunt: true }),
                None => Some(Self { number: read_base32(rest)?, hunt: false }),
            })
            .ok_or_else(|| ParseIdError {
                kind: "flow",
                form: "F. and 13 digits 0-9 A-V, with .H at the end for a hunt's flow",
                text: clip(text),
            })
    }
}

/// Ids in messages may come from anywhere: an error quotes only their beginning.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

macro_rules! text_form {
    ($($id:ty),*) => {$(
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $id;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id as text")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$id, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    )*};
}

text_form!(ClientId, FlowId, HuntId);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_print_and_parse() {
        for number in [0, 1, 31, 32, u64::MAX, 0x039f_1849_4e6d_ae95] {
            let client = ClientId(number);
            assert_eq!(client.to_string().parse(), Ok(client));
            let hunt = HuntId(number);
            assert_eq!(hunt.to_string().parse(), Ok(hunt));
            let flow = FlowId::of_hunt(hunt);
            assert_eq!(flow.to_string().parse(), Ok(flow));
            assert_eq!(flow.hunt(), Some(hunt));
        }
        assert_eq!(ClientId(0x039f_1849_4e6d_ae95).to_string(), "C.039f18494e6dae95");
        let (early, late) = (FlowId::new(1_600_000_000_000, 9), FlowId::new(1_600_000_000_001, 1));
        assert!(early.to_string() < late.to_string(), "ids sort by time");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in ["", "C.", "C.039F18494E6DAE95", "C.039f18494e6dae9", "C.+39f18494e6dae95", "H.039f18494e6dae95"] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad}");
        }
        for bad in ["F.", "F.G000000000000", "F.0000000000000.X", "F.000000000000W", "F.0000000000000/"] {
            assert!(bad.parse::<FlowId>().is_err(), "{bad}");
        }
    }
}
