//! Latency histograms: HDR with three significant digits from 1 µs to 1 h.
//!
//! One shape everywhere, so that everything merges. A quantile is the *highest* value equivalent to its slot (Gil
//! Tene's HdrHistogram); mean, minimum and maximum are exact. A latency beyond an hour counts in the last slot.
//!
//! [`StepHistogram`] is the same shape as a flat array of counts for the per-request path: an increment, no bounds
//! logic, and clearing costs only what was touched. Every step of the timeline it is poured into the
//! [`Latency`] of the run.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Longest latency with a slot of its own: one hour \[µs\].
const HIGHEST_US: u64 = 3_600_000_000;
/// Slots of three significant digits from 1 µs to 1 h.
const SLOTS: usize = 23_552;

/// A distribution of latencies.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Encoded", try_from = "Encoded")]
pub struct Latency {
    histogram: Histogram<u64>,
    sum_ns: u128,
    min: Span,
    max: Span,
}

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("constant bounds are valid");
        Latency { histogram, sum_ns: 0, min: Span::MAX, max: Span::ZERO }
    }
}

impl Latency {
    /// Records one latency.
    pub fn record(&mut self, latency: Span) {
        self.histogram.saturating_record(latency.as_micros());
        self.sum_ns += u128::from(latency.0);
        self.min = self.min.min(latency);
        self.max = self.max.max(latency);
    }

    /// Records `n` latencies that were measured to three digits elsewhere.
    pub fn record_n(&mut self, latency: Span, n: u64) {
        if n > 0 {
            self.histogram.saturating_record_n(latency.as_micros(), n);
            self.sum_ns += u128::from(latency.0) * u128::from(n);
            self.min = self.min.min(latency);
            self.max = self.max.max(latency);
        }
    }

    /// Records `n` latencies of zero.
    pub fn record_zeros(&mut self, n: u64) {
        if n > 0 {
            self.histogram.record_n(0, n).expect("zero is within the bounds");
            self.min = Span::ZERO;
        }
    }

    /// Adds every latency of `other`; lossless.
    pub fn merge(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("all histograms have one shape");
        self.sum_ns += other.sum_ns;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Number of latencies.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Exact mean; `None` if empty.
    pub fn mean(&self) -> Option<Span> {
        (self.count() > 0).then(|| Span((self.sum_ns / u128::from(self.count())) as u64))
    }

    /// Exact minimum; `None` if empty.
    pub fn min(&self) -> Option<Span> {
        (self.count() > 0).then_some(self.min)
    }

    /// Exact maximum; `None` if empty.
    pub fn max(&self) -> Option<Span> {
        (self.count() > 0).then_some(self.max)
    }

    /// The value at quantile `q` in 0..1, to three significant digits; `None` if empty.
    pub fn quantile(&self, q: f64) -> Option<Span> {
        (self.count() > 0).then(|| Span::from_micros(self.histogram.value_at_quantile(q)).min(self.max))
    }

    /// The histogram itself, in microseconds, for writers of HDR files.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// Everything in a form for files; [`Latency::from_encoded`] gives the same back.
    pub fn encoded(&self) -> Encoded {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("a histogram of this shape can be written to memory");
        Encoded { hdr: BASE64.encode(bytes), sum_ns: self.sum_ns, min: self.min, max: self.max }
    }

    /// What was encoded, or in words why it is not that.
    pub fn from_encoded(encoded: &Encoded) -> Result<Latency, String> {
        let mut latency = Latency::default();
        let histogram = decode(&encoded.hdr)?;
        latency.histogram.add(&histogram).map_err(|_| "values beyond an hour".to_string())?;
        if latency.count() > 0 {
            (latency.sum_ns, latency.min, latency.max) = (encoded.sum_ns, encoded.min, encoded.max);
        }
        let most = u128::from(latency.max.0).saturating_mul(u128::from(latency.count()));
        if latency.count() > 0 && (latency.min > latency.max || latency.sum_ns > most) {
            return Err("a minimum, a maximum and a sum that do not belong together".to_string());
        }
        Ok(latency)
    }
}

/// A distribution in a form for files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoded {
    /// The histogram, in µs: HdrHistogram V2, DEFLATE, base64.
    pub hdr: String,
    /// Exact sum \[ns\].
    pub sum_ns: u128,
    /// Exact minimum; [`Span::MAX`] if empty.
    pub min: Span,
    /// Exact maximum; zero if empty.
    pub max: Span,
}

impl From<Latency> for Encoded {
    fn from(latency: Latency) -> Encoded {
        latency.encoded()
    }
}

impl TryFrom<Encoded> for Latency {
    type Error = String;

    fn try_from(encoded: Encoded) -> Result<Latency, String> {
        Latency::from_encoded(&encoded)
    }
}

/// A histogram from base64 of its serialized form (V2, plain or compressed), or in words why it is none.
pub fn decode(base64: &str) -> Result<Histogram<u64>, String> {
    let bytes = BASE64.decode(base64.trim()).map_err(|error| format!("not base64: {error}"))?;
    deserialize(&bytes).map_err(|error| format!("no HdrHistogram V2: {error}"))
}

/// First bytes of a serialized histogram, V2, plain and compressed.
const PLAIN: &[u8] = &[0x1c, 0x84, 0x93, 0x13];
const COMPRESSED: &[u8] = &[0x1c, 0x84, 0x93, 0x14];
/// The most that a compressed histogram is unpacked to \[bytes\]: nine for each slot of the finest with five digits.
const LARGEST: u64 = 64 << 20;
/// The number −2⁶³: so many slots without a count. No histogram has them, and their number cannot be negated.
const NO_RUN: [u8; 9] = [0xff; 9];

/// A histogram from its serialized form (V2, plain or compressed), or in words why it is none. A header may promise any length; no memory is
/// set aside for what is not there.
pub fn deserialize(bytes: &[u8]) -> Result<Histogram<u64>, String> {
    let mut unpacked = Vec::new();
    let mut plain = bytes;
    if bytes.starts_with(COMPRESSED) {
        let packed = ZlibDecoder::new(bytes.get(8..).unwrap_or_default());
        packed.take(LARGEST).read_to_end(&mut unpacked).map_err(|error| error.to_string())?;
        plain = &unpacked;
    }
    let length = plain.get(4..8).and_then(|length| Some(u32::from_be_bytes(length.try_into().ok()?) as usize));
    if !plain.starts_with(PLAIN) {
        return Err("it does not begin as one".to_string());
    }
    if length.is_none_or(|length| length > plain.len()) || memchr::memmem::find(plain, &NO_RUN).is_some() {
        return Err("it is cut off or damaged".to_string());
    }
    Deserializer::new().deserialize(&mut &plain[..]).map_err(|error| error.to_string())
}

/// Latencies of one step of a timeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepHistogram {
    counts: Vec<u32>,
    /// A bit for each slot that holds something: a step of few latencies is read without looking at every slot between them.
    filled: Vec<u64>,
    count: u64,
    sum_ns: u128,
    min: Span,
    max: Span,
}

impl Default for StepHistogram {
    fn default() -> StepHistogram {
        StepHistogram {
            counts: vec![0; SLOTS],
            filled: vec![0; SLOTS / 64],
            count: 0,
            sum_ns: 0,
            min: Span::MAX,
            max: Span::ZERO,
        }
    }
}

/// The slot of a latency in µs: its 11 leading bits, and how far they are shifted.
#[inline]
fn slot(us: u64) -> usize {
    let us = us.min(HIGHEST_US);
    let shift = (us | 2047).ilog2() - 10;
    (shift as usize) * 1024 + (us >> shift) as usize
}

/// Lowest and highest µs of a slot.
fn bounds(slot: usize) -> (u64, u64) {
    let shift = (slot / 1024).saturating_sub(1);
    let low = ((slot - shift * 1024) as u64) << shift;
    (low, low + (1 << shift) - 1)
}

impl From<&Latency> for StepHistogram {
    /// The same counts; a count beyond 32 bits stays at their most.
    fn from(latency: &Latency) -> StepHistogram {
        let mut step = StepHistogram::default();
        if latency.count() == 0 {
            return step;
        }
        for each in latency.histogram.iter_recorded() {
            let n = u32::try_from(each.count_at_value()).unwrap_or(u32::MAX);
            step.add(slot(each.value_iterated_to()), n);
            step.count += u64::from(n);
        }
        (step.sum_ns, step.min, step.max) = (latency.sum_ns, latency.min, latency.max);
        step
    }
}

impl StepHistogram {
    /// Records one latency.
    #[inline]
    pub fn record(&mut self, latency: Span) {
        self.add(slot(latency.as_micros()), 1);
        self.count += 1;
        self.sum_ns += u128::from(latency.0);
        self.min = self.min.min(latency);
        self.max = self.max.max(latency);
    }

    /// Records `n` latencies that are the same.
    pub fn record_n(&mut self, latency: Span, n: u64) {
        if n > 0 {
            self.add(slot(latency.as_micros()), u32::try_from(n).unwrap_or(u32::MAX));
            self.count += n;
            self.sum_ns += u128::from(latency.0) * u128::from(n);
            self.min = self.min.min(latency);
            self.max = self.max.max(latency);
        }
    }

    #[inline]
    fn add(&mut self, slot: usize, n: u32) {
        self.counts[slot] = self.counts[slot].saturating_add(n);
        self.filled[slot / 64] |= u64::from(n > 0) << (slot % 64);
    }

    /// Words of `filled` that may have bits, if anything was recorded.
    fn touched(&self) -> std::ops::RangeInclusive<usize> {
        slot(self.min.as_micros()) / 64..=slot(self.max.as_micros()) / 64
    }

    /// Slots that hold something, ascending.
    fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        let touched = if self.count == 0 { 0..0 } else { *self.touched().start()..*self.touched().end() + 1 };
        touched.flat_map(|word| {
            let mut bits = self.filled[word];
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                (bits != 0).then(|| {
                    bits &= bits - 1;
                    word * 64 + bit
                })
            })
        })
    }

    /// Calls `each` with the lowest latency of every slot that holds something \[µs\], ascending, and its count.
    pub fn for_each(&self, mut each: impl FnMut(u64, u32)) {
        self.slots().for_each(|slot| each(bounds(slot).0, self.counts[slot]));
    }

    /// Number of latencies.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all latencies.
    pub fn sum(&self) -> Span {
        Span(u64::try_from(self.sum_ns).unwrap_or(u64::MAX))
    }

    /// Adds what `other` holds.
    pub fn absorb(&mut self, other: &StepHistogram) {
        if other.count == 0 {
            return;
        }
        other.slots().for_each(|slot| self.add(slot, other.counts[slot]));
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The values at ascending quantiles `qs`, each in 0..1; `None` if empty.
    pub fn quantiles<const N: usize>(&self, qs: [f64; N]) -> Option<[Span; N]> {
        if self.count == 0 {
            return None;
        }
        let mut values = [self.max; N];
        // How many latencies are at or below each.
        let ranks = qs.map(|q| ((q * self.count as f64).ceil() as u64).max(1));
        let (mut seen, mut next) = (0u64, 0);
        for slot in self.slots() {
            seen += u64::from(self.counts[slot]);
            while next < N && seen >= ranks[next] {
                values[next] = Span::from_micros(bounds(slot).1).min(self.max);
                next += 1;
            }
        }
        Some(values)
    }

    /// Pours everything into `total` and is empty afterwards.
    pub fn pour_into(&mut self, total: &mut Latency) {
        self.add_to(total);
        self.clear();
    }

    /// Adds everything to `total`.
    pub fn add_to(&self, total: &mut Latency) {
        if self.count == 0 {
            return;
        }
        self.for_each(|us, n| total.histogram.record_n(us, u64::from(n)).expect("both have one shape"));
        total.sum_ns += self.sum_ns;
        total.min = total.min.min(self.min);
        total.max = total.max.max(self.max);
    }

    /// Forgets everything; costs as much as was touched.
    pub fn clear(&mut self) {
        if self.count > 0 {
            for word in self.touched() {
                if self.filled[word] != 0 {
                    self.counts[word * 64..(word + 1) * 64].fill(0);
                    self.filled[word] = 0;
                }
            }
        }
        (self.count, self.sum_ns) = (0, 0);
        (self.min, self.max) = (Span::MAX, Span::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_promises_too_much_is_an_error_and_costs_nothing() {
        let head = |length: u32| {
            let mut bytes = PLAIN.to_vec();
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, 0, 0, 0, 0, 0, 0, 3]);
            bytes.extend(1u64.to_be_bytes());
            bytes.extend(3_600_000_000u64.to_be_bytes());
            bytes.extend(1f64.to_be_bytes());
            bytes
        };
        assert_eq!(deserialize(&head(0)).map(|histogram| histogram.len()), Ok(0));
        assert_eq!(deserialize(&head(u32::MAX)).unwrap_err(), "it is cut off or damaged");
        // So many slots to skip that their number has no negative.
        assert_eq!(deserialize(&[&head(9)[..], &NO_RUN].concat()).unwrap_err(), "it is cut off or damaged");
        assert_eq!(deserialize(b"").unwrap_err(), "it does not begin as one");
    }

    #[test]
    fn a_step_poured_into_a_run_equals_recording_directly() {
        let mut direct = Latency::default();
        let mut poured = Latency::default();
        let mut step = StepHistogram::default();
        let mut us = 1u64;
        while us < 2 * HIGHEST_US {
            for near in [us - 1, us, us + 1] {
                direct.record(Span::from_micros(near));
                step.record(Span::from_micros(near));
            }
            us = us * 5 / 4 + 1;
        }
        let quantiles = step.quantiles([0.5, 0.9, 0.99]).unwrap();
        step.pour_into(&mut poured);
        assert_eq!(step.count(), 0);
        assert_eq!(poured.histogram, direct.histogram);
        assert_eq!((poured.mean(), poured.min(), poured.max()), (direct.mean(), direct.min(), direct.max()));
        assert_eq!(quantiles, [0.5, 0.9, 0.99].map(|q| direct.quantile(q).unwrap()));
    }

    #[test]
    fn what_is_encoded_is_read_back_equal_and_merges_without_loss() {
        let mut latency = Latency::default();
        (0..5_000u64).for_each(|i| latency.record(Span(i * i * 977 + 3)));
        let read = Latency::from_encoded(&latency.encoded()).unwrap();
        assert_eq!((read.encoded(), &read.histogram), (latency.encoded(), &latency.histogram));
        let mut twice = read.clone();
        twice.merge(&latency);
        assert_eq!(
            (twice.count(), twice.mean(), twice.quantile(0.99)),
            (10_000, latency.mean(), read.quantile(0.99))
        );
        let mut back = Latency::default();
        StepHistogram::from(&latency).pour_into(&mut back);
        assert_eq!(back.encoded(), latency.encoded());
        let empty = Latency::default();
        assert_eq!(Latency::from_encoded(&empty.encoded()).unwrap().quantile(0.5), None);
    }

    /// A histogram that another implementation wrote.
    #[test]
    fn a_histogram_of_another_program_is_read() {
        let histogram = decode("HISTFAAAAC54nJNpmSzMwMDAzwABzFCaEcyZ3M5g/wEisJqJqVOU5bUp218TjuMmXACkIQhb").unwrap();
        assert_eq!((histogram.len(), histogram.value_at_quantile(0.5), histogram.max()), (15, 150_015, 1_500_159));
        assert!(decode("HISTiQAAAG542pNpmdzBwMDAxAAGfgoMDMxuBjsWQLgMTI+gDFYozQmlOaA0M5Rm").is_err());
        assert!(decode("no").is_err());
    }

    /// The quantile convention of HdrHistogram: values 1, 2, …, 10,000 µs.
    #[test]
    fn a_quantile_is_the_highest_value_of_its_slot() {
        let mut latency = Latency::default();
        (1..=10_000).for_each(|us| latency.record(Span::from_micros(us)));
        let us = |q| latency.quantile(q).unwrap().as_micros();
        assert_eq!([us(0.5), us(0.9), us(0.99), us(0.999)], [5003, 9007, 9903, 9991]);
        assert_eq!(latency.max(), Some(Span::from_millis(10)));
        assert_eq!(latency.mean(), Some(Span(5_000_500)));
    }

    #[test]
    fn an_empty_histogram_has_no_quantiles_rather_than_zeros() {
        assert_eq!(Latency::default().quantile(0.99), None);
        assert_eq!(Latency::default().mean(), None);
        assert_eq!(StepHistogram::default().quantiles([0.5]), None);
    }
}
