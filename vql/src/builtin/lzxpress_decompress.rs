//! `lzxpress_decompress()`: the Xpress compression of Windows ([MS-XCA]).

use super::prelude::*;

static LZXPRESS_DECOMPRESS: Signature = Signature::new(
    "lzxpress_decompress",
    "The bytes that Xpress data holds: LZ77 with Huffman codes, as in prefetch files (the header `MAM` with the size may \
     stand in front), or plain LZ77, which is told by the data. Of damaged data, what could be read.",
    &[req("data", Text, "The data")],
)
.group(Group::Encoding)
.examples(&["SELECT lzxpress_decompress(data=unhex(string='ffffff1f61626317000fff2601')) =~ '^(abc)+$' AS Repeats FROM scope()"]);

/// More is not given: a few bytes can ask for any amount.
const MAX_BYTES: usize = 100 << 20;

/// What one Huffman block decodes to, but for the last.
const BLOCK: usize = 64 << 10;

fn lzxpress_decompress(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let data = args.bytes("data")?;
    let (body, size) = match &data[..] {
        [b'M', b'A', b'M', kind, a, b, c, d, rest @ ..] => {
            let size = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            // The upper bit says that a checksum follows.
            let body = if kind & 0x80 != 0 { rest.get(4..).unwrap_or(&[]) } else { rest };
            (body, Some(size.min(MAX_BYTES)))
        }
        rest => (rest, None),
    };
    let mut out = Vec::new();
    let whole = match Codes::of(body).is_some() {
        true => huffman(cx, body, size, &mut out),
        false => plain(cx, body, size, &mut out),
    };
    if cx.cancelled() {
        return Ok(Value::Null);
    }
    if let Err(why) = whole {
        if out.is_empty() {
            return Err(CallError::new(format!("the data is not Xpress: {why}")));
        }
        cx.error(format!("lzxpress_decompress: after {} bytes: {why}", out.len()));
    }
    Ok(Value::from_bytes(out))
}

/// A prefix code of up to 15 bits for 512 symbols: for each 15 bits the symbol and its length.
struct Codes(Vec<(u16, u8)>);

impl Codes {
    /// The code that the 256 bytes describe, 4 bits of length for each symbol; None when it is no complete code.
    fn of(data: &[u8]) -> Option<Codes> {
        let lengths = data.get(..256)?;
        let length = |symbol: usize| lengths[symbol / 2] >> (symbol % 2 * 4) & 15;
        let mut table = Vec::with_capacity(1 << 15);
        for bits in 1..=15_u8 {
            for symbol in (0..512).filter(|symbol| length(*symbol) == bits) {
                if table.len() + (1 << (15 - bits)) > 1 << 15 {
                    return None;
                }
                table.resize(table.len() + (1 << (15 - bits)), (symbol as u16, bits));
            }
        }
        (table.len() == 1 << 15).then_some(Codes(table))
    }
}

/// Reads words of 16 bits from the front, and single bytes between them.
struct Bits<'d> {
    data: &'d [u8],
    at: usize,
    next: u32,
    extra: i32,
}

impl Bits<'_> {
    fn word(&mut self) -> u32 {
        let byte = |i: usize| self.data.get(i).copied().map_or(0, u32::from);
        let word = byte(self.at) | byte(self.at + 1) << 8;
        self.at += 2;
        word
    }

    fn start(&mut self) {
        self.next = self.word() << 16;
        self.next |= self.word();
        self.extra = 16;
    }

    fn drop_bits(&mut self, count: u32) {
        self.next = self.next.checked_shl(count).unwrap_or(0);
        self.extra -= count as i32;
        if self.extra < 0 {
            self.next |= self.word() << -self.extra;
            self.extra += 16;
        }
    }

    fn byte(&mut self) -> usize {
        let byte = self.data.get(self.at).copied().map_or(0, usize::from);
        self.at += 1;
        byte
    }
}

fn huffman(cx: &Context<'_>, data: &[u8], size: Option<usize>, out: &mut Vec<u8>) -> Result<(), String> {
    let most = size.unwrap_or(MAX_BYTES);
    let mut bits = Bits { data, at: 0, next: 0, extra: 0 };
    while out.len() < most {
        if cx.cancelled() {
            return Ok(());
        }
        let Some(codes) = data.get(bits.at..).and_then(Codes::of) else {
            // Without a size, what is too short for a block is the end.
            if size.is_none() && data.len().saturating_sub(bits.at) < 256 {
                return Ok(());
            }
            return Err(format!("at {} there is no table of code lengths", bits.at));
        };
        bits.at += 256;
        bits.start();
        let end = out.len() + BLOCK;
        while out.len() < end.min(most) {
            let (symbol, length) = codes.0[(bits.next >> 17) as usize];
            bits.drop_bits(u32::from(length));
            // The reader is two words ahead.
            if bits.at > data.len() + 4 {
                return Err("the data ends too early".into());
            }
            if symbol < 256 {
                out.push(symbol as u8);
                continue;
            }
            if symbol == 256 && bits.at >= data.len() && size.is_none_or(|size| out.len() >= size) {
                return Ok(());
            }
            let (mut length, offset_bits) = (usize::from(symbol & 15), u32::from(symbol - 256) >> 4);
            if length == 15 {
                length = bits.byte();
                if length == 255 {
                    length = bits.word() as usize;
                    if length == 0 {
                        length = bits.word() as usize;
                        length |= (bits.word() as usize) << 16;
                    }
                    length = length.checked_sub(15).ok_or("a match is shorter than its code allows")?;
                }
                length += 15;
            }
            let high = if offset_bits == 0 { 0 } else { bits.next >> (32 - offset_bits) };
            let offset = (high + (1 << offset_bits)) as usize;
            bits.drop_bits(offset_bits);
            copy(out, offset, length + 3, most)?;
        }
    }
    Ok(())
}

fn plain(cx: &Context<'_>, data: &[u8], size: Option<usize>, out: &mut Vec<u8>) -> Result<(), String> {
    let most = size.unwrap_or(MAX_BYTES);
    let mut at = 0;
    let take = |at: &mut usize, count: usize| -> Option<usize> {
        let bytes = data.get(*at..*at + count)?;
        *at += count;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let short = || "the data ends too early".to_owned();
    // Where the byte is whose upper half is the next match's length.
    let mut half: Option<usize> = None;
    while out.len() < most && at < data.len() {
        if cx.cancelled() {
            return Ok(());
        }
        let flags = take(&mut at, 4).ok_or_else(short)?;
        for bit in (0..32).rev() {
            if at >= data.len() || out.len() >= most {
                return Ok(());
            }
            if flags >> bit & 1 == 0 {
                out.push(take(&mut at, 1).ok_or_else(short)? as u8);
                continue;
            }
            let pair = take(&mut at, 2).ok_or_else(short)?;
            let (offset, mut length) = (pair / 8 + 1, pair % 8);
            if length == 7 {
                length = match half.take() {
                    None => {
                        half = Some(at);
                        take(&mut at, 1).ok_or_else(short)? & 15
                    }
                    Some(at) => usize::from(data[at] >> 4),
                };
                if length == 15 {
                    length = take(&mut at, 1).ok_or_else(short)?;
                    if length == 255 {
                        length = take(&mut at, 2).ok_or_else(short)?;
                        if length == 0 {
                            length = take(&mut at, 4).ok_or_else(short)?;
                        }
                        length = length.checked_sub(22).ok_or("a match is shorter than its code allows")?;
                    }
                    length += 15;
                }
                length += 7;
            }
            copy(out, offset, length + 3, most)?;
        }
    }
    Ok(())
}

/// Appends `length` bytes that begin `offset` before the end; they may run into themselves.
fn copy(out: &mut Vec<u8>, offset: usize, length: usize, most: usize) -> Result<(), String> {
    let Some(mut from) = out.len().checked_sub(offset) else {
        return Err(format!("a match reaches {offset} bytes back, and there are {}", out.len()));
    };
    for _ in 0..length.min(most.saturating_sub(out.len())) {
        out.push(out[from]);
        from += 1;
    }
    Ok(())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LZXPRESS_DECOMPRESS, lzxpress_decompress));
}
