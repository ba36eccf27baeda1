//! Bytes ↔ messages. A frame is its length (4 bytes, big endian, of what follows) and a message in MessagePack with
//! field names, so that a field can be added without a new protocol version. Frames follow each other without
//! padding, on a stream, in a WebSocket message, and in the body of a poll alike.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

/// The longest message, without its length. A peer that announces more is cut off.
pub const MAX_MESSAGE: usize = 6 << 20;

/// Bytes of the length before each message.
pub const HEADER: usize = 4;

/// Why bytes are no message. The connection they came on is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {len} bytes, the limit is {limit}")]
    TooLong { len: usize, limit: usize },
    #[error("a message could not be decoded: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("a message could not be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// One frame, ready to send; clones share the bytes, so a hunt is encoded once for all its clients.
pub fn encode(message: &impl Serialize) -> Result<Bytes, FrameError> {
    let mut buffer = vec![0; HEADER];
    message.serialize(&mut rmp_serde::Serializer::new(&mut buffer).with_struct_map())?;
    let len = buffer.len() - HEADER;
    if len > MAX_MESSAGE {
        return Err(FrameError::TooLong { len, limit: MAX_MESSAGE });
    }
    buffer[..HEADER].copy_from_slice(&(len as u32).to_be_bytes());
    Ok(buffer.into())
}

/// Takes bytes in as they come and gives messages out. Holds at most one message and what came with it.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    longest: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limit(MAX_MESSAGE)
    }
}

impl Decoder {
    /// Takes no message that is longer than this, such as from a peer that has not said who it is.
    pub fn with_limit(longest: usize) -> Self {
        Self { buffer: BytesMut::new(), longest: longest.min(MAX_MESSAGE) }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The space to read into directly: reserve, fill, and it is as if pushed.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole message; None until more bytes come.
    #[expect(clippy::should_implement_trait, reason = "generic in the message, which Iterator cannot be")]
    pub fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let len = u32::from_be_bytes(*header) as usize;
        if len > self.longest {
            return Err(FrameError::TooLong { len, limit: self.longest });
        }
        if self.buffer.len() < HEADER + len {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let message = self.buffer.split_to(len);
        Ok(Some(rmp_serde::from_slice(&message)?))
    }

    /// Bytes of a message that is not yet whole are waiting.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::{
        FlowId, HuntId,
        collection::StreamId,
        message::{Encoding, RowBatch, ToAgent, ToHub},
    };

    fn batch(data: &[u8]) -> ToHub {
        ToHub::Rows(RowBatch {
            flow_id: FlowId::of_hunt(HuntId(7)),
            stream: StreamId(0),
            first_row: 3,
            rows: 1,
            encoding: Encoding::Plain,
            data: Bytes::copy_from_slice(data),
        })
    }

    /// The bytes on the wire are a promise to agents in the field: a change here needs a new protocol version.
    #[test]
    fn pinned_bytes() {
        let frame = encode(&ToAgent::Ping { nonce: 5 }).unwrap();
        let expected = [&[0, 0, 0, 14][..], b"\x81\xa4ping\x81\xa5nonce\x05"].concat();
        assert_eq!(frame, expected);

        let frame = encode(&batch(b"{}\n")).unwrap();
        let expected = [
            &[0, 0, 0, 83][..],
            b"\x81\xa4rows\x86",
            b"\xa7flow_id\xb1F.0000000000007.H",
            b"\xa6stream\x00",
            b"\xa9first_row\x03",
            b"\xa4rows\x01",
            b"\xa8encoding\xa5plain",
            b"\xa4data\xc4\x03{}\n",
        ]
        .concat();
        assert_eq!(frame, expected, "{}", String::from_utf8_lossy(&frame));
    }

    #[test]
    fn a_long_length_is_refused_at_once() {
        let mut decoder = Decoder::default();
        decoder.push(&(MAX_MESSAGE as u32 + 1).to_be_bytes());
        assert!(matches!(decoder.next::<ToHub>(), Err(FrameError::TooLong { .. })));
        let mut decoder = Decoder::with_limit(1000);
        decoder.push(&1001u32.to_be_bytes());
        assert!(matches!(decoder.next::<ToHub>(), Err(FrameError::TooLong { limit: 1000, .. })));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(rows in proptest::collection::vec(any::<Vec<u8>>(), 1..5), cut in 1usize..40) {
            let sent: Vec<ToHub> = rows.iter().map(|row| batch(row)).collect();
            let bytes: Vec<u8> = sent.iter().flat_map(|m| encode(m).unwrap()).collect();
            let (mut decoder, mut got) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(message) = decoder.next::<ToHub>().unwrap() {
                    got.push(message);
                }
            }
            prop_assert_eq!(got, sent);
            prop_assert!(!decoder.is_partial());
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            let mut decoder = Decoder::default();
            decoder.push(&(bytes.len() as u32).to_be_bytes());
            decoder.push(&bytes);
            let _ = decoder.next::<ToHub>();
        }
    }
}
