//! Histograms in the encodings V0 (2012) and V1 (2015), which old logs have: a head, then each count as a word of fixed width, in
//! slot order, without zeros at the end. Compressed ones are wrapped in zlib. All numbers are big-endian.

use std::io::Read;

use hdrhistogram::Histogram;

/// Most slots that a histogram may have: 5 digits over 64 bits have fewer.
const MOST: usize = 1 << 24;

/// A version, plain or compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V0,
    V0Compressed,
    V1,
    V1Compressed,
}

/// The version of an encoded histogram; `None` if it is newer, or none at all.
pub(super) fn version(bytes: &[u8]) -> Option<Version> {
    let cookie = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    // The second digit from the right is the width of a word.
    match cookie & !0xf0 {
        0x1c84_9308 => Some(Version::V0),
        0x1c84_9309 => Some(Version::V0Compressed),
        0x1c84_9301 => Some(Version::V1),
        0x1c84_9302 => Some(Version::V1Compressed),
        _ => None,
    }
}

/// The histogram.
pub(super) fn decode(bytes: &[u8]) -> Result<Histogram<u64>, String> {
    match version(bytes) {
        Some(Version::V0) => plain(bytes, false),
        Some(Version::V1) => plain(bytes, true),
        Some(Version::V0Compressed | Version::V1Compressed) => {
            let mut inner = Vec::new();
            let limit = (MOST * 8) as u64;
            flate2::read::ZlibDecoder::new(bytes.get(8..).unwrap_or_default())
                .take(limit)
                .read_to_end(&mut inner)
                .map_err(|error| format!("the histogram cannot be decompressed: {error}"))?;
            match version(&inner) {
                Some(Version::V0) => plain(&inner, false),
                Some(Version::V1) => plain(&inner, true),
                other => Err(format!("found {other:?} inside a compressed histogram")),
            }
        }
        None => Err("no HdrHistogram V0 or V1".to_string()),
    }
}

fn plain(bytes: &[u8], is_v1: bool) -> Result<Histogram<u64>, String> {
    let short = || "the histogram ends too soon".to_string();
    let word = |at: usize| -> Result<u32, String> {
        let four = bytes.get(at..at + 4).ok_or_else(short)?;
        Ok(u32::from_be_bytes(four.try_into().expect("four bytes")))
    };
    let long = |at: usize| Ok::<u64, String>(u64::from(word(at)?) << 32 | u64::from(word(at + 4)?));
    let width = (word(0)? >> 4 & 0xf) as usize;
    if ![1, 2, 4, 8].contains(&width) {
        return Err(format!("found words of {width} bytes, expected 1, 2, 4 or 8"));
    }
    // V0: cookie, digits, lowest, highest, total. V1: cookie, length, offset, digits, lowest, highest, ratio.
    let (digits, lowest, highest, counts) = match is_v1 {
        false => (word(4)?, long(8)?, long(16)?, bytes.get(32..)),
        true => {
            let length = word(4)? as usize;
            (word(12)?, long(16)?, long(24)?, bytes.get(40..40usize.saturating_add(length).min(bytes.len())))
        }
    };
    let digits = u8::try_from(digits).ok().filter(|digits| *digits <= 5).ok_or("more than five digits")?;
    let mut histogram = Histogram::<u64>::new_with_bounds(lowest.max(1), highest, digits)
        .map_err(|error| format!("the histogram's bounds: {error}"))?;
    let unit = lowest.max(1).ilog2();
    let half_magnitude = (2 * 10u64.pow(u32::from(digits))).next_power_of_two().ilog2().max(1) - 1;
    for (slot, count) in counts.ok_or_else(short)?.chunks_exact(width).enumerate() {
        let count = count.iter().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
        if count > 0 {
            let value = value_of(slot, half_magnitude, unit).ok_or("a count beyond every value")?;
            histogram.record_n(value, count).map_err(|_| format!("a count at {value}, beyond the highest value"))?;
        }
    }
    Ok(histogram)
}

/// The lowest value of a slot.
fn value_of(slot: usize, half_magnitude: u32, unit: u32) -> Option<u64> {
    let half = 1usize << half_magnitude;
    let (bucket, sub) = match slot >> half_magnitude {
        0 => (0, slot),
        n => (n - 1, (slot & (half - 1)) + half),
    };
    let shift = u32::try_from(bucket).ok()?.checked_add(unit)?;
    (sub as u64).checked_mul(1u64.checked_shl(shift)?)
}
