//! Bytes of a file, unpacked, and cut into lines.
//!
//! Gzip is known by its first two bytes (RFC 1952), zstd by its first four (RFC 8878). Lines are found by `memchr` in a block that is reused, so
//! that memory is one block, or one line if that is longer, whatever the file's size.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use memchr::memchr;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::traffic::replay::Error;

/// The longest line that is read \[bytes\]; HTTP servers refuse requests of a hundredth of it.
pub const MAX_LINE: usize = 1 << 20;
/// A block \[bytes\]. 256 KiB keep system calls rare and stay in the second-level cache.
const BLOCK: usize = 256 * 1024;
/// The byte order mark that some programs put before UTF-8.
pub(crate) const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A file, unpacked if it was packed.
pub enum Input {
    /// As it is.
    Plain(File),
    /// Through gzip.
    Gzip(Box<MultiGzDecoder<io::BufReader<File>>>),
    /// Through zstd.
    Zstd(Box<Frames>),
    /// From memory.
    Memory(io::Cursor<Vec<u8>>),
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Plain(file) => file.read(out),
            Input::Gzip(decoder) => decoder.read(out),
            Input::Zstd(frames) => frames.read(out),
            Input::Memory(bytes) => bytes.read(out),
        }
    }
}

/// First bytes of packings that are not read, and what to do about them.
const PACKED: [(&[u8], &str); 3] = [(b"BZh", "bzip2"), (b"\xFD7zXZ\x00", "xz"), (b"PK\x03\x04", "zip")];
/// First bytes of a file in Apache Parquet.
pub(crate) const PARQUET: &[u8] = b"PAR1";
/// The most memory that the window of a zstd stream may take \[bytes\], as the zstd program has it by default.
const MAX_WINDOW: u64 = 128 << 20;

/// The frames of a zstd file, one after the other.
pub struct Frames {
    source: io::BufReader<File>,
    decoder: FrameDecoder,
    /// Whether a frame has begun.
    begun: bool,
}

impl Read for Frames {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let damaged = |error: FrameDecoderError| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        loop {
            if !self.begun {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                match self.decoder.reset(&mut self.source) {
                    Ok(()) => self.begun = true,
                    Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                        length, ..
                    })) => {
                        io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                        continue;
                    }
                    Err(error) => return Err(damaged(error)),
                }
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let some = BlockDecodingStrategy::UptoBytes(out.len().max(1));
                self.decoder.decode_blocks(&mut self.source, some).map_err(damaged)?;
            }
            let read = self.decoder.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            self.begun = !self.decoder.is_finished();
        }
    }
}

/// The bytes that a file begins with, at most eight.
pub(crate) fn magic(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Unreadable { path: path.to_path_buf(), source };
    let mut magic = Vec::new();
    open_file(path)?.take(8).read_to_end(&mut magic).map_err(failed)?;
    Ok(magic)
}

/// Opens the file at `path`.
pub(crate) fn open(path: &Path) -> Result<Input, Error> {
    let magic = magic(path)?;
    if magic.is_empty() {
        return Err(Error::Empty { path: path.to_path_buf() });
    }
    if let Some((_, name)) = PACKED.iter().find(|(mark, _)| magic.starts_with(mark)) {
        return Err(Error::Packed { path: path.to_path_buf(), packing: name });
    }
    let file = open_file(path)?;
    let buffered = |file| io::BufReader::with_capacity(64 * 1024, file);
    if magic.starts_with(b"\x1F\x8B") {
        return Ok(Input::Gzip(Box::new(MultiGzDecoder::new(buffered(file)))));
    }
    if magic.starts_with(b"\x28\xB5\x2F\xFD") {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        return Ok(Input::Zstd(Box::new(Frames { source: buffered(file), decoder, begun: false })));
    }
    Ok(Input::Plain(file))
}

/// A file of plain text.
pub enum Plain<'a> {
    /// It was.
    Same(&'a Path),
    /// What it was unpacked to, for as long as it is read.
    Copy(tempfile::NamedTempFile),
}

impl Plain<'_> {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Plain::Same(path) => path,
            Plain::Copy(file) => file.path(),
        }
    }
}

/// The file at `path`, unpacked aside if it is packed: for readers that know no packing.
pub fn unpacked(path: &Path) -> Result<Plain<'_>, Error> {
    let failed = |source| Error::Unreadable { path: path.to_path_buf(), source };
    let mut input = open(path)?;
    if matches!(input, Input::Plain(_)) {
        return Ok(Plain::Same(path));
    }
    let mut copy = tempfile::NamedTempFile::with_prefix("wavetank-").map_err(failed)?;
    io::copy(&mut input, &mut copy).map_err(|error| crate::traffic::replay::failed(path, 0, error))?;
    Ok(Plain::Copy(copy))
}

fn open_file(path: &Path) -> Result<File, Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing { path: path.to_path_buf() },
        _ => Error::Unreadable { path: path.to_path_buf(), source },
    };
    // A pipe could be read once only, and opening one may wait for ever.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::Directory { path: path.to_path_buf() });
    }
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_path_buf() });
    }
    File::open(path).map_err(failed)
}

/// A line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Its bytes; the first [`MAX_LINE`] of them at most.
    pub text: &'a [u8],
    /// Whether there were more.
    pub too_long: bool,
}

/// The lines of an input, ended by LF or CR LF.
pub struct Lines {
    input: Input,
    block: Vec<u8>,
    /// What of the block is not read yet.
    start: usize,
    filled: usize,
    number: u64,
    ended: bool,
    /// Where the last line is in the block, and whether it was too long.
    last: (usize, usize, bool),
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Lines {
    /// The lines of `input`.
    pub fn new(input: Input) -> Lines {
        Lines { input, block: vec![0; BLOCK], start: 0, filled: 0, number: 0, ended: false, last: (0, 0, false) }
    }

    /// Lines read so far.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line; `None` at the end.
    #[inline]
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.block[self.start + searched..self.filled]) {
                let (from, end) = (self.start, self.start + searched + at);
                self.start = end + 1;
                return Ok(Some(self.line(from, end, false)));
            }
            searched = self.filled - self.start;
            if self.ended {
                if searched == 0 {
                    return Ok(None);
                }
                let from = std::mem::replace(&mut self.start, self.filled);
                return Ok(Some(self.line(from, self.filled, false)));
            }
            if searched >= MAX_LINE {
                return self.skip_line().map(Some);
            }
            self.fill()?;
        }
    }

    fn line(&mut self, from: usize, end: usize, too_long: bool) -> Line<'_> {
        self.number += 1;
        self.last = (from, end, too_long);
        self.last()
    }

    /// The last line again.
    #[inline]
    pub fn last(&self) -> Line<'_> {
        let (from, end, too_long) = self.last;
        let mut text = &self.block[from..end];
        if self.number == 1 {
            text = text.strip_prefix(UTF8_MARK).unwrap_or(text);
        }
        Line { number: self.number, text: text.strip_suffix(b"\r").unwrap_or(text), too_long }
    }

    /// Reads more behind what is left, which moves to the front.
    fn fill(&mut self) -> io::Result<()> {
        self.block.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        if self.filled == self.block.len() {
            self.block.resize(self.block.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.block[self.filled..]) {
                Ok(n) => {
                    self.filled += n;
                    self.ended = n == 0;
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Passes over the rest of a line that is too long, keeping its beginning.
    fn skip_line(&mut self) -> io::Result<Line<'_>> {
        self.block.copy_within(self.start..self.start + MAX_LINE, 0);
        (self.start, self.filled) = (MAX_LINE, MAX_LINE);
        loop {
            // The kept beginning stays in front; only what is behind it is filled again and again.
            self.filled = MAX_LINE;
            if self.block.len() < MAX_LINE + BLOCK {
                self.block.resize(MAX_LINE + BLOCK, 0);
            }
            match self.input.read(&mut self.block[MAX_LINE..]) {
                Ok(0) => {
                    self.ended = true;
                    self.start = self.filled;
                    break;
                }
                Ok(n) => {
                    self.filled = MAX_LINE + n;
                    if let Some(at) = memchr(b'\n', &self.block[MAX_LINE..self.filled]) {
                        self.start = MAX_LINE + at + 1;
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.line(0, MAX_LINE, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(u64, usize, bool)> {
        let mut lines = Lines::new(Input::Memory(io::Cursor::new(bytes.to_vec())));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push((line.number, line.text.len(), line.too_long));
        }
        all
    }

    #[test]
    fn lines_end_at_lf_crlf_or_the_end() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), [(1, 0, false)]);
        assert_eq!(lines(b"\xEF\xBB\xBFab\r\nc\n\nd"), [(1, 2, false), (2, 1, false), (3, 0, false), (4, 1, false)]);
    }

    #[test]
    fn a_line_longer_than_any_block_is_whole_up_to_the_limit_and_skipped_beyond() {
        let mut bytes = vec![b'x'; BLOCK * 2 + 7];
        bytes.extend(b"\nab\n");
        bytes.extend(vec![b'y'; MAX_LINE * 3]);
        bytes.extend(b"\ncde\n");
        bytes.extend(vec![b'z'; MAX_LINE * 2]);
        let expected =
            [(1, BLOCK * 2 + 7, false), (2, 2, false), (3, MAX_LINE, true), (4, 3, false), (5, MAX_LINE, true)];
        assert_eq!(lines(&bytes), expected);
    }
}
