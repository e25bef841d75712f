//! Counting without remembering everybody: memory that does not grow with clients.
//!
//! [`Distinct`] counts different keys (HyperLogLog, Flajolet et al. 2007; 4 KiB, standard error 1.6 %), [`Seen`] remembers whether a
//! key was there before (a Bloom filter whose bits of a key share a cache line, Putze et al. 2007), [`Heavy`] keeps the
//! clients that send most (SpaceSaving, Metwally et al. 2005, in sets of eight: a newcomer replaces the lightest of its set and
//! inherits its count as possible error). Keys are hashed by the finalizer of SplitMix64: no random state.

use crate::rng::mix;
use crate::units::Time;

/// Bits that choose a register.
const P: u32 = 12;

/// How many different keys there were.
#[derive(Clone, Debug)]
pub struct Distinct {
    registers: Vec<u8>,
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct { registers: vec![0; 1 << P] }
    }
}

impl Distinct {
    /// Counts a key; one that was counted before changes nothing.
    #[inline]
    pub fn add(&mut self, key: u64) {
        let hash = mix(key ^ 0xD15C_0047);
        let register = &mut self.registers[(hash >> (64 - P)) as usize];
        let rank = ((hash << P) | (1 << (P - 1))).leading_zeros() as u8 + 1;
        *register = (*register).max(rank);
    }

    /// The estimate, linear counting while it is small.
    pub fn count(&self) -> f64 {
        let m = self.registers.len() as f64;
        let zeros = self.registers.iter().filter(|r| **r == 0).count() as f64;
        let sum: f64 = self.registers.iter().map(|r| 1.0 / (1u64 << r) as f64).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        if raw <= 2.5 * m && zeros > 0.0 { m * libm::log(m / zeros) } else { raw }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.registers.fill(0);
    }
}

/// Words of a filter: 256 KiB, which remember 200,000 keys with one mistake in a hundred.
const WORDS: usize = 1 << 15;
/// Words of a cache line.
const LINE: usize = 8;

/// Which keys were there. May say yes to a stranger; never no to one who was there.
#[derive(Clone, Debug)]
pub struct Seen {
    words: Vec<u64>,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { words: vec![0; WORDS] }
    }
}

impl Seen {
    /// The line of a key and its five bits there.
    fn place(key: u64) -> (usize, [(usize, u64); 5]) {
        let hash = mix(key ^ 0x5EE1);
        let line = (hash >> 40) as usize % (WORDS / LINE) * LINE;
        let bit = |k: u32| {
            let bit = (hash >> (9 * k - 9)) & 511;
            ((bit / 64) as usize, 1u64 << (bit % 64))
        };
        (line, [bit(1), bit(2), bit(3), bit(4), bit(5)])
    }

    /// Remembers a key.
    #[inline]
    pub fn add(&mut self, key: u64) {
        let (line, bits) = Seen::place(key);
        bits.iter().for_each(|(word, bit)| self.words[line + word] |= bit);
    }

    /// Whether it was there.
    #[inline]
    pub fn has(&self, key: u64) -> bool {
        let (line, bits) = Seen::place(key);
        bits.iter().all(|(word, bit)| self.words[line + word] & bit != 0)
    }

    /// Takes over what `other` remembers, which forgets it.
    pub fn absorb(&mut self, other: &mut Seen) {
        for (own, theirs) in self.words.iter_mut().zip(&mut other.words) {
            *own |= std::mem::take(theirs);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }
}

/// Sets, and clients in each.
const SETS: usize = 128;
const WAYS: usize = 8;

/// What is known of a heavy client.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Client {
    /// Its key.
    pub key: u64,
    /// Requests, at most.
    pub count: u64,
    /// Of these, how many may have been others'.
    pub error: u64,
    last_at: Time,
    gaps: u64,
    mean: f64,
    m2: f64,
}

impl Client {
    /// Requests that were surely its own.
    pub fn surely(&self) -> u64 {
        self.count - self.error
    }

    /// Coefficient of variation of the times between its requests (population standard deviation over mean); `None` below nine gaps.
    pub fn variation(&self) -> Option<f64> {
        (self.gaps >= 9 && self.mean > 0.0).then(|| (self.m2 / self.gaps as f64).sqrt() / self.mean)
    }

    fn gap(&mut self, seconds: f64) {
        self.gaps += 1;
        let delta = seconds - self.mean;
        self.mean += delta / self.gaps as f64;
        self.m2 += delta * (seconds - self.mean);
    }
}

/// The clients that send most.
#[derive(Clone, Debug)]
pub struct Heavy {
    /// Keys and counts of a set lie together, apart from the rest: a request touches two or three cache lines.
    keys: Vec<[u64; WAYS]>,
    counts: Vec<[u32; WAYS]>,
    clients: Vec<Client>,
    total: u64,
}

impl Default for Heavy {
    fn default() -> Heavy {
        Heavy {
            keys: vec![[0; WAYS]; SETS],
            counts: vec![[0; WAYS]; SETS],
            clients: vec![Client::default(); SETS * WAYS],
            total: 0,
        }
    }
}

impl Heavy {
    /// A request of a client.
    #[inline]
    pub fn add(&mut self, key: u64) {
        self.count(key);
    }

    /// A request of a client at a moment: its intervals are measured, too.
    #[inline]
    pub fn add_at(&mut self, at: Time, key: u64) {
        let place = self.count(key);
        let client = &mut self.clients[place];
        if client.count > client.error + 1 {
            client.gap(at.since(client.last_at).as_secs_f64());
        }
        client.last_at = at;
    }

    /// Counts, and says where the client is kept.
    #[inline]
    fn count(&mut self, key: u64) -> usize {
        self.total += 1;
        let set = (mix(key ^ 0x4EA7) >> 57) as usize;
        let (keys, counts) = (&mut self.keys[set], &mut self.counts[set]);
        if let Some(way) = (0..WAYS).find(|&way| keys[way] == key && counts[way] > 0) {
            counts[way] = counts[way].saturating_add(1);
            self.clients[set * WAYS + way].count += 1;
            return set * WAYS + way;
        }
        let lightest = (0..WAYS).min_by_key(|&way| counts[way]).unwrap_or(0);
        let error = u64::from(counts[lightest]);
        keys[lightest] = key;
        counts[lightest] = counts[lightest].saturating_add(1);
        self.clients[set * WAYS + lightest] = Client { key, count: error + 1, error, ..Client::default() };
        set * WAYS + lightest
    }

    /// Requests counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Everybody known, in no order that matters.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| client.count > 0)
    }

    /// The count of the client that one in a thousand of `distinct` clients exceeds.
    pub fn p999(&self, distinct: f64) -> u64 {
        let mut counts: Vec<u64> = self.clients().map(Client::surely).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let rank = (distinct / 1000.0) as usize;
        counts.get(rank.min(counts.len().saturating_sub(1))).copied().unwrap_or(0)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.counts.fill([0; WAYS]);
        self.clients.fill(Client::default());
        self.total = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_keys_are_counted_within_a_few_percent() {
        for n in [10u64, 1000, 50_000, 1_000_000] {
            let mut distinct = Distinct::default();
            (0..n).chain(0..n / 2).for_each(|key| distinct.add(key));
            let error = (distinct.count() / n as f64 - 1.0).abs();
            assert!(error < 0.05, "{n}: {}", distinct.count());
        }
    }

    #[test]
    fn a_key_that_was_there_is_known_and_strangers_seldom_are() {
        let (mut seen, mut pending) = (Seen::default(), Seen::default());
        (0..100_000).for_each(|key| pending.add(key));
        assert!(!seen.has(5));
        seen.absorb(&mut pending);
        assert!((0..100_000).all(|key| seen.has(key)) && !pending.has(5));
        let mistakes = (1_000_000..1_100_000).filter(|key| seen.has(*key)).count();
        assert!(mistakes < 1000, "{mistakes}");
    }

    #[test]
    fn the_heaviest_clients_are_kept_with_their_counts() {
        let mut heavy = Heavy::default();
        for i in 0..200_000u64 {
            let key = if i % 10 == 0 { i % 50 } else { 1000 + mix(i) % 100_000 };
            heavy.add_at(Time(i * 1_000_000), key);
        }
        let mut top: Vec<&Client> = heavy.clients().collect();
        top.sort_by_key(|client| std::cmp::Reverse(client.surely()));
        assert!(top[..5].iter().all(|client| client.key < 50 && client.surely() > 3500), "{:?}", &top[..6]);
        assert!(top[5].surely() < 400);
        assert!(top[0].variation().unwrap() < 0.01, "every fiftieth millisecond");
        assert_eq!(heavy.total(), 200_000);
    }
}
