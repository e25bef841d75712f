//! The last N calls as a ring of bits.

use super::{Tally, Window};

/// Outcomes of the last N calls, two bits each, and their totals.
///
/// Up to 128 calls live in the struct itself as two shift registers (four machine words for a window of 100); longer
/// windows are a ring on the heap.
#[derive(Clone, Debug)]
pub struct CallRing {
    bits: Bits,
    total: Tally,
    size: u32,
    seen: u64,
}

#[derive(Clone, Debug)]
enum Bits {
    /// Bit 0 is the newest call, bit `size − 1` the one that falls out next. Bits above are leftovers.
    Short { failed: [u64; 2], slow: [u64; 2] },
    /// Call `i` is bit `i % 64` of word `i / 64`; the words of failed and of slow calls alternate in cache.
    Long { words: Box<[[u64; 2]]>, head: u32 },
}

impl CallRing {
    /// An empty ring for `size` calls, cut to 1..=[`Window::MAX_CALLS`].
    pub fn new(size: u32) -> CallRing {
        let size = size.clamp(1, Window::MAX_CALLS);
        let bits = if size <= 128 {
            Bits::Short { failed: [0; 2], slow: [0; 2] }
        } else {
            Bits::Long { words: vec![[0; 2]; size.div_ceil(64) as usize].into(), head: 0 }
        };
        CallRing { bits, total: Tally::default(), size, seen: 0 }
    }

    /// Counts a call, and forgets the one that came N calls before it.
    #[inline]
    pub fn record(&mut self, failed: bool, slow: bool) {
        let last = self.size - 1;
        // Before the ring is full, the bits that fall out are zeros, so there is nothing to tell apart.
        let (old_failed, old_slow) = match &mut self.bits {
            Bits::Short { failed: f, slow: s } => (shift_in(f, failed, last), shift_in(s, slow, last)),
            Bits::Long { words, head } => {
                let [f, s] = &mut words[(*head / 64) as usize];
                let at = *head % 64;
                *head = if *head == last { 0 } else { *head + 1 };
                (exchange(f, failed, at), exchange(s, slow, at))
            }
        };
        self.seen += 1;
        self.total = Tally {
            calls: (self.total.calls + 1).min(self.size),
            failures: self.total.failures + u32::from(failed) - old_failed,
            slow: self.total.slow + u32::from(slow) - old_slow,
        };
        debug_assert_eq!((self.total.failures, self.total.slow), self.recount(), "totals are those of the bits");
    }

    /// Counts a good call, unless the ring holds one that was not: then what falls out counts, and [`CallRing::record`] is to be
    /// asked. Among zeros, it does not matter where the next one goes. Whether it was counted.
    #[inline(always)]
    pub fn record_among_good(&mut self) -> bool {
        let is_clean = self.total.failures | self.total.slow == 0;
        if is_clean {
            self.seen += 1;
            self.total.calls = (self.total.calls + 1).min(self.size);
        }
        is_clean
    }

    /// What the ring holds.
    #[inline]
    pub fn total(&self) -> Tally {
        self.total
    }

    /// Calls recorded since the last clear, including those that fell out.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Forgets every call.
    pub fn clear(&mut self) {
        match &mut self.bits {
            Bits::Short { failed, slow } => (*failed, *slow) = ([0; 2], [0; 2]),
            Bits::Long { words, head } => {
                words.fill([0; 2]);
                *head = 0;
            }
        }
        (self.total, self.seen) = (Tally::default(), 0);
    }

    fn recount(&self) -> (u32, u32) {
        match &self.bits {
            Bits::Short { failed, slow } => {
                let ones = |bits: &[u64; 2]| (wide(bits) << (128 - self.size)).count_ones();
                (ones(failed), ones(slow))
            }
            Bits::Long { words, .. } => {
                words.iter().fold((0, 0), |(f, s), w| (f + w[0].count_ones(), s + w[1].count_ones()))
            }
        }
    }
}

#[inline]
fn wide(bits: &[u64; 2]) -> u128 {
    u128::from(bits[0]) | u128::from(bits[1]) << 64
}

/// Shifts `bit` in at the bottom, and returns what was at position `last`.
#[inline]
fn shift_in(bits: &mut [u64; 2], bit: bool, last: u32) -> u32 {
    let old = (bits[(last / 64) as usize] >> (last % 64)) & 1;
    *bits = [bits[0] << 1 | u64::from(bit), bits[1] << 1 | bits[0] >> 63];
    old as u32
}

/// Puts `bit` at position `at`, and returns what was there.
#[inline]
fn exchange(word: &mut u64, bit: bool, at: u32) -> u32 {
    let old = (*word >> at) & 1;
    *word = *word & !(1 << at) | u64::from(bit) << at;
    old as u32
}
