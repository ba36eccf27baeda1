//! Between bytes and their text forms, for the functions that need it.

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
    out
}

/// The bytes of hexadecimal text; None when a character is no digit or one is left over.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            out.push(if i <= chunk.len() { ALPHABET[(bits >> (18 - 6 * i) & 63) as usize] as char } else { '=' });
        }
    }
    out
}

/// Both alphabets, with and without padding; white space is skipped.
pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut have) = (0u32, 0u32);
    for &c in text.iter().filter(|c| !c.is_ascii_whitespace() && **c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
            bits &= (1 << have) - 1;
        }
    }
    Some(out)
}

/// Text as little-endian UTF-16.
pub(super) fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The text of little-endian UTF-16; a byte too many is left out.
pub(super) fn from_utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|p| u16::from_le_bytes([p[0], p[1]])).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn there_and_back() {
        for (bytes, base64, digits) in [
            ("", "", ""),
            ("a", "YQ==", "61"),
            ("ab", "YWI=", "6162"),
            ("abc", "YWJj", "616263"),
            ("\u{ff}?>", "w78/Pg==", "c3bf3f3e"),
        ] {
            let bytes = bytes.as_bytes();
            assert_eq!((to_base64(bytes).as_str(), hex(bytes).as_str()), (base64, digits));
            assert_eq!(from_base64(base64.as_bytes()).unwrap(), bytes);
            assert_eq!(from_hex(digits).unwrap(), bytes);
        }
        assert_eq!((from_base64(b"a*b"), from_hex("abc"), from_hex("zz")), (None, None, None));
        assert_eq!(from_utf16(&to_utf16("a\u{1f600}b")), "a\u{1f600}b");
    }
}
