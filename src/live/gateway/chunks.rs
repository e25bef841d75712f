//! Chunked bodies, byte by byte: nothing that two parsers could read differently passes.
//!
//! ```text
//! chunk   = 1*16HEXDIG [ ";" extension ] CRLF data CRLF          extensions at most 1 KiB in all, no CR or LF in them
//! last    = 1*"0" [ ";" extension ] CRLF
//! end     = *( name ":" value CRLF ) CRLF                        trailers at most 16 KiB, 32 fields
//! ```
//!
//! The bytes are watched and not changed. Pure; no IO.

use super::head::{Refusal, refuse};

/// Most bytes of extensions of a body.
const MAX_EXTENSIONS: usize = 1024;
/// Most bytes of trailers.
const MAX_TRAILERS: usize = 16 * 1024;
/// Most trailers.
const MAX_TRAILER_FIELDS: usize = 32;

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a size, of which so many digits were seen.
    Size(u8),
    Extension,
    /// The LF after a size.
    SizeLf,
    /// So many bytes of data are left.
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line behind the last chunk.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// The LF of the empty line.
    EndLf,
    Over,
}

/// A chunked body that is being read.
#[derive(Clone, Debug)]
pub struct Chunks {
    at: At,
    size: u64,
    total: u64,
    extensions: usize,
    trailers: usize,
    trailer_fields: usize,
    max_body: u64,
}

impl Chunks {
    /// Nothing of it was seen. `max_body` is how long it may be \[bytes\]; 0: as long as it likes.
    pub fn new(max_body: u64) -> Chunks {
        Chunks { at: At::Size(0), size: 0, total: 0, extensions: 0, trailers: 0, trailer_fields: 0, max_body }
    }

    /// Whether its end was seen.
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Reads on; how many of the bytes belong to this body. Fewer than all: it is over.
    pub fn read(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut place = 0;
        while place < bytes.len() && self.at != At::Over {
            if self.at == At::Data {
                let take = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - place);
                self.size -= take as u64;
                place += take;
                if self.size == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            self.step(bytes[place])?;
            place += 1;
        }
        Ok(place)
    }

    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        const SIZE: Refusal = refuse(400, "a chunk's size is not one");
        self.at = match (self.at, byte) {
            (At::Size(n), _) if byte.is_ascii_hexdigit() => {
                if n == 16 {
                    return Err(SIZE);
                }
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                self.size = self.size << 4 | digit;
                At::Size(n + 1)
            }
            (At::Size(0), _) => return Err(SIZE),
            (At::Size(_), b'\r') => self.sized()?,
            (At::Size(_), b';') => At::Extension,
            (At::Size(_), _) => return Err(SIZE),
            (At::Extension, b'\r') => self.sized()?,
            (At::Extension, b'\n' | 0..=8 | 0x0B..=0x1F | 0x7F) => {
                return Err(refuse(400, "a chunk's extension has a control character"));
            }
            (At::Extension, _) => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(refuse(400, "the chunks' extensions are too long"));
                }
                At::Extension
            }
            (At::SizeLf, b'\n') if self.size == 0 => At::TrailerStart,
            (At::SizeLf, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0),
            (At::SizeLf | At::DataCr | At::DataLf, _) => return Err(refuse(400, "a chunk does not end in CR LF")),
            (At::EndLf, b'\n') => At::Over,
            (At::TrailerStart | At::TrailerName | At::TrailerValue | At::TrailerLf | At::EndLf, _) => {
                self.trailer(byte)?
            }
            (At::Data | At::Over, _) => self.at,
        };
        if self.at == At::Size(0) {
            self.size = 0;
        }
        Ok(())
    }

    /// A size was read.
    fn sized(&mut self) -> Result<At, Refusal> {
        self.total = self.total.checked_add(self.size).ok_or(refuse(400, "a chunk's size is not one"))?;
        if self.max_body > 0 && self.total > self.max_body {
            return Err(refuse(413, "the body is too long"));
        }
        Ok(At::SizeLf)
    }

    fn trailer(&mut self, byte: u8) -> Result<At, Refusal> {
        const TRAILER: Refusal = refuse(400, "a trailer is not a field");
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS || self.trailer_fields > MAX_TRAILER_FIELDS {
            return Err(refuse(400, "the trailers are too long"));
        }
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&b);
        match (self.at, byte) {
            (At::TrailerStart, b'\r') => Ok(At::EndLf),
            (At::TrailerStart | At::TrailerName, _) if is_name(byte) => Ok(At::TrailerName),
            (At::TrailerName, b':') => {
                self.trailer_fields += 1;
                Ok(At::TrailerValue)
            }
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerValue, b'\t' | 0x20..=0x7E | 0x80..) => Ok(At::TrailerValue),
            (At::TrailerLf, b'\n') => Ok(At::TrailerStart),
            _ => Err(TRAILER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body with what follows it, whole and byte by byte: how many bytes belong to the body, or the status.
    fn read(bytes: &[u8]) -> Result<usize, u16> {
        let mut whole = Chunks::new(0);
        let at_once = whole.read(bytes).map_err(|refusal| refusal.status);
        let mut chunks = Chunks::new(0);
        let mut taken = 0;
        let mut in_bytes = Ok(());
        for byte in bytes {
            match chunks.read(&[*byte]) {
                Ok(n) => taken += n,
                Err(refusal) => {
                    in_bytes = Err(refusal.status);
                    break;
                }
            }
        }
        assert_eq!(at_once, in_bytes.map(|()| taken), "{}", String::from_utf8_lossy(bytes));
        assert_eq!(at_once.is_ok() && whole.is_over(), at_once.is_ok() && chunks.is_over());
        at_once
    }

    #[test]
    fn a_body_ends_where_its_last_chunk_does() {
        assert_eq!(read(b"5\r\nhello\r\n0\r\n\r\nGET /"), Ok(15));
        assert_eq!(read(b"00000\r\n\r\n"), Ok(9), "GW-74");
        assert_eq!(read(b"5;a=\"b\"\r\nhello\r\n0\r\nX-A: 1\r\n\r\nG"), Ok(29), "GW-75");
        assert_eq!(read(b"A\r\n0123456789\r\n0\r\n\r\n"), Ok(20));
    }

    #[test]
    fn a_size_that_two_parsers_may_read_differently_is_none() {
        for size in ["0x5", "+5", "-1", " 5", "5 ", "", "00000000000000005", "g", "5\t"] {
            assert_eq!(read(format!("{size}\r\nhello\r\n").as_bytes()), Err(400), "GW-72 {size:?}");
        }
        assert_eq!(read(b"ffffffffffffffff\r\n"), Ok(18), "as long as nothing more comes");
        assert_eq!(read(b"ffffffffffffffff\r\nx"), Ok(19));
        let twice = [b"1\r\nx\r\nffffffffffffffff\r\n".as_slice()].concat();
        assert_eq!(read(&twice), Err(400), "the sum does not fit");
    }

    #[test]
    fn a_line_ends_in_cr_lf_and_in_nothing_else() {
        for body in ["5\nhello\r\n", "5\r\nhello\n0\r\n", "5\r\nhelloX", "5;a\nb\r\n", "5;a\rb\r\n", "5;\nxx\r\n"] {
            assert_eq!(read(body.as_bytes()), Err(400), "GW-73 {body:?}");
        }
        for body in ["0\r\n\n", "0\n\r\n", "0\r\nX\r\n", "0\r\n\rX", "0\r\n X: 1\r\n\r\n", "0\r\nA: \x01\r\n\r\n"] {
            assert_eq!(read(body.as_bytes()), Err(400), "GW-76 {body:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let mut body = String::new();
        for _ in 0..20 {
            body += &format!("1;{}\r\nx\r\n", "e".repeat(100));
        }
        assert_eq!(read(body.as_bytes()), Err(400), "GW-32");
        let trailers = format!("0\r\n{}\r\n", "A: 1\r\n".repeat(40));
        assert_eq!(read(trailers.as_bytes()), Err(400));
        let mut chunks = Chunks::new(4);
        assert_eq!(chunks.read(b"5\r\n").map_err(|refusal| refusal.status), Err(413));
    }
}
