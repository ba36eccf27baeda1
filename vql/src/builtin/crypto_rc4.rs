//! `crypto_rc4()`.

use super::prelude::*;

static CRYPTO_RC4: Signature = Signature::new(
    "crypto_rc4",
    "The bytes under the RC4 cipher; a second time with the same key gives the first ones back.",
    &[req("string", Text, "The bytes"), req("key", Text, "The key, 1 to 256 bytes")],
)
.group(Group::Encoding)
.examples(&["SELECT format(format='%x', args=crypto_rc4(string='Plaintext', key='Key')) AS Cipher FROM scope()"]);

fn crypto_rc4(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (bytes, key) = (args.bytes("string")?, args.bytes("key")?);
    if key.is_empty() || key.len() > 256 {
        return Err(CallError::new(format!("`key` must have 1 to 256 bytes, not {}", key.len())));
    }
    Ok(Value::from_bytes(rc4(&bytes, &key)))
}

fn rc4(bytes: &[u8], key: &[u8]) -> Vec<u8> {
    let mut state: Vec<u8> = (0..=255).collect();
    let mut j = 0_u8;
    for i in 0..256 {
        j = j.wrapping_add(state[i]).wrapping_add(key[i % key.len()]);
        state.swap(i, usize::from(j));
    }
    let (mut i, mut j) = (0_u8, 0_u8);
    let mut next = || {
        i = i.wrapping_add(1);
        j = j.wrapping_add(state[usize::from(i)]);
        state.swap(usize::from(i), usize::from(j));
        state[usize::from(state[usize::from(i)].wrapping_add(state[usize::from(j)]))]
    };
    bytes.iter().map(|byte| byte ^ next()).collect()
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&CRYPTO_RC4, crypto_rc4));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        for (key, text, cipher) in [
            ("Key", "Plaintext", "bbf316e8d940af0ad3"),
            ("Wiki", "pedia", "1021bf0420"),
            ("Secret", "Attack at dawn", "45a01f645fc35b383552544b9bf5"),
        ] {
            assert_eq!(crate::builtin::bytes::hex(&rc4(text.as_bytes(), key.as_bytes())), cipher);
        }
    }
}
