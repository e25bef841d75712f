//! The inspector: the judging part of the guard. Bytes in, bytes that may be seen out, and what was found. Pure; no IO.

use super::chunks::Chunks;
use super::head::{self, Framing, Head, Refusal};

/// Empty lines that are skipped before a request.
const EMPTY_LINES: usize = 2;
/// What the parser reads instead of a head that is refused.
const STAND_IN: &[u8] = b"GET /refused HTTP/1.1\r\nhost: refused\r\n\r\n";

/// What becomes of a connection after a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its bytes are nobody's business.
    Tunnel,
    /// It goes on with requests.
    Requests,
}

/// What is being read.
#[derive(Debug)]
pub enum Phase {
    /// The head of a request.
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// The chunks of a body.
    Chunks(Chunks),
    /// A handshake was read; nothing more is until it is decided upon.
    Handshake,
    /// Bytes that are nobody's business.
    Tunnel,
    /// The last request was read: what follows is thrown away, and only the end of the connection matters.
    Last,
    /// Nothing more is read: what was refused is being answered.
    Closed,
    /// Nothing more is read, and nothing is answered: nobody asked for anything.
    Ended,
}

/// Reads what a client sends.
#[derive(Debug)]
pub struct Inspector {
    pub(super) phase: Phase,
    /// Bytes that came and were not judged.
    pending: Vec<u8>,
    /// How many of them have been searched for the end of the head.
    searched: usize,
    empty_lines: usize,
    max_body: u64,
    /// Whether the request under way is the last.
    closes: bool,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A head, with its verdict.
    Head(Result<Head, Refusal>),
    /// The body cannot be read on.
    Broken(Refusal),
}

impl Inspector {
    /// Nothing was read. `max_body` is the longest body \[bytes\]; 0: any.
    pub fn new(max_body: u64) -> Inspector {
        Inspector { phase: Phase::Head, pending: Vec::new(), searched: 0, empty_lines: 0, max_body, closes: false }
    }

    /// Reads `input`; what may be seen goes to `out`, what was found to `found`.
    pub fn read(&mut self, input: &[u8], out: &mut Vec<u8>, found: &mut Vec<Found>) {
        match self.phase {
            Phase::Last | Phase::Closed | Phase::Ended => {}
            Phase::Tunnel => out.extend_from_slice(input),
            _ if self.pending.is_empty() => {
                // Nothing waits: what can be passed on is never copied into the buffer.
                let taken = self.pass(input, out, found);
                self.pending.extend_from_slice(&input[taken..]);
            }
            _ => {
                self.pending.extend_from_slice(input);
                let pending = std::mem::take(&mut self.pending);
                let taken = self.pass(&pending, out, found);
                self.pending = pending;
                self.pending.drain(..taken);
            }
        }
    }

    /// Reads from the beginning of `bytes`; how many are done with.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>, found: &mut Vec<Found>) -> usize {
        let mut place = 0;
        while place < bytes.len() {
            let rest = &bytes[place..];
            let taken = match &mut self.phase {
                Phase::Head => match self.head(rest, out, found) {
                    0 => return place,
                    taken => taken,
                },
                Phase::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    out.extend_from_slice(&rest[..taken]);
                    *left -= taken as u64;
                    if *left == 0 {
                        self.phase = self.next();
                    }
                    taken
                }
                Phase::Chunks(chunks) => match chunks.read(rest) {
                    Ok(taken) => {
                        out.extend_from_slice(&rest[..taken]);
                        if chunks.is_over() {
                            self.phase = self.next();
                        }
                        taken
                    }
                    Err(refusal) => {
                        found.push(Found::Broken(refusal));
                        self.phase = Phase::Closed;
                        rest.len()
                    }
                },
                Phase::Handshake => return place,
                Phase::Tunnel => {
                    out.extend_from_slice(rest);
                    rest.len()
                }
                Phase::Last | Phase::Closed | Phase::Ended => rest.len(),
            };
            place += taken;
        }
        place
    }

    /// What is read when a request is over.
    fn next(&self) -> Phase {
        if self.closes { Phase::Last } else { Phase::Head }
    }

    /// Reads a head from the beginning of `bytes`; how many of them it was, or 0 if it is not complete.
    fn head(&mut self, bytes: &[u8], out: &mut Vec<u8>, found: &mut Vec<Found>) -> usize {
        if self.searched == 0 && self.empty_lines < EMPTY_LINES && bytes.starts_with(b"\r\n") {
            self.empty_lines += 1;
            return 2;
        }
        if self.empty_lines < EMPTY_LINES && bytes == b"\r" {
            return 0;
        }
        let verdict = match head::end(bytes, self.searched) {
            Some(end) => head::judge(&bytes[..end], self.max_body).map(|head| (end, head)),
            None => match head::prospect(bytes) {
                Ok(()) => {
                    self.searched = bytes.len();
                    return 0;
                }
                Err(refusal) => Err(refusal),
            },
        };
        (self.searched, self.empty_lines) = (0, 0);
        match verdict {
            Ok((end, head)) => {
                out.extend_from_slice(&bytes[..end]);
                found.push(Found::Head(Ok(head)));
                self.closes = head.closes;
                self.phase = match head.framing {
                    _ if head.websocket => Phase::Handshake,
                    Framing::None | Framing::Length(0) => self.next(),
                    Framing::Length(length) => Phase::Body(length),
                    Framing::Chunked => Phase::Chunks(Chunks::new(self.max_body)),
                };
                end
            }
            Err(refusal) => {
                self.refuse(refusal, out, found);
                bytes.len()
            }
        }
    }

    /// Has `refusal` answered in its turn, and reads nothing more.
    pub(super) fn refuse(&mut self, refusal: Refusal, out: &mut Vec<u8>, found: &mut Vec<Found>) {
        out.extend_from_slice(STAND_IN);
        found.push(Found::Head(Err(refusal)));
        self.phase = Phase::Closed;
    }

    /// Goes on after a handshake.
    pub(super) fn decided(&mut self, decision: Decision, out: &mut Vec<u8>, found: &mut Vec<Found>) {
        self.phase = match decision {
            Decision::Tunnel => Phase::Tunnel,
            Decision::Requests => self.next(),
        };
        let pending = std::mem::take(&mut self.pending);
        self.read(&pending, out, found);
    }

    /// Whether a part of a head is there.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Head) && !self.pending.is_empty()
    }

    /// Whether a body is being read.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self.phase, Phase::Body(_) | Phase::Chunks(_))
    }
}

#[cfg(test)]
#[path = "inspector/tests.rs"]
mod tests;
