//! What charts of every medium share: down-sampling that keeps peaks, axes with round numbers, time in readable units.

use crate::record::timeline::{Column, Timeline};

/// Points a series is drawn with at most.
pub const POINTS: usize = 2000;

/// A series reduced to at most `points` values: the minimum and the maximum of each bin, in their order. A mean would erase
/// the spike that the chart is for. NaN stays where a bin has nothing else.
pub fn reduced(t: &[f64], values: &[f64], points: usize) -> Vec<(f64, f64)> {
    let n = values.len();
    if n <= points {
        return t.iter().copied().zip(values.iter().copied()).collect();
    }
    let bins = (points / 2).max(1);
    let mut out = Vec::with_capacity(points);
    for bin in 0..bins {
        let (from, to) = (bin * n / bins, (bin + 1) * n / bins);
        let finite = || (from..to).filter(|&i| values[i].is_finite());
        let low = finite().min_by(|&a, &b| values[a].total_cmp(&values[b]));
        let high = finite().max_by(|&a, &b| values[a].total_cmp(&values[b]));
        match (low, high) {
            (Some(low), Some(high)) => {
                out.push((t[low.min(high)], values[low.min(high)]));
                if low != high {
                    out.push((t[low.max(high)], values[low.max(high)]));
                }
            }
            _ => out.push((t[from], f64::NAN)),
        }
    }
    out
}

/// A column laid on `steps` steps of `step` \[s\]: those of a live run may end late, and two may be one.
pub fn aligned(timeline: &Timeline, column: Column, steps: usize, step: f64) -> Vec<f64> {
    let (t, values) = (&timeline.t, timeline.column(column));
    let at = |i: usize| {
        let place = t.partition_point(|from| *from <= (i as f64 + 0.5) * step);
        place.checked_sub(1).and_then(|place| values.get(place).copied()).unwrap_or(f64::NAN)
    };
    (0..steps).map(at).collect()
}

/// Values as blocks, `columns` wide; a column shows the largest of its values against `most`.
pub fn sparkline(values: &[f64], columns: usize, most: f64) -> String {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let n = values.len();
    let columns = columns.min(n.max(1));
    (0..columns)
        .map(|c| {
            let (from, to) = (c * n / columns, ((c + 1) * n / columns).max(c * n / columns + 1));
            let value = values[from..to.min(n)].iter().copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
            let share = if most > 0.0 { value / most } else { 0.0 };
            BLOCKS[if value > 0.0 { ((share * 8.0).ceil() as usize).clamp(1, 8) } else { 0 }]
        })
        .collect()
}

/// The unit that suits times up to `end` [s]: its name and its length \[s\].
pub fn time_unit(end: f64) -> (&'static str, f64) {
    match end {
        end if end <= 180.0 => ("s", 1.0),
        end if end <= 3.0 * 3600.0 => ("min", 60.0),
        end if end <= 3.0 * 86_400.0 => ("h", 3600.0),
        _ => ("d", 86_400.0),
    }
}

/// A moment on an axis up to `end` \[s\], with its unit.
pub fn clock(t: f64, end: f64) -> String {
    let (unit, length) = time_unit(end);
    let value = t / length;
    if value.fract().abs() < 1e-9 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// Round numbers from 0 to at least `most`, about `n` of them.
pub fn ticks(most: f64, n: usize) -> Vec<f64> {
    if most <= 0.0 || !most.is_finite() {
        return vec![0.0, 1.0];
    }
    let raw = most / n.max(1) as f64;
    let magnitude = libm::exp10(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * magnitude)
        .find(|step| *step >= raw)
        .unwrap_or(10.0 * magnitude);
    let count = (most / step).ceil() as usize;
    (0..=count.max(1)).map(|i| i as f64 * step).collect()
}

/// Round times from 0 to `end` \[s\], about `n` of them.
pub fn time_ticks(end: f64, n: usize) -> Vec<f64> {
    const STEPS: [f64; 20] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0,
        21_600.0, 43_200.0, 86_400.0, 172_800.0, 604_800.0,
    ];
    let raw = end / n.max(1) as f64;
    let step = STEPS.into_iter().find(|step| *step >= raw).unwrap_or_else(|| (raw / 604_800.0).ceil() * 604_800.0);
    (0..=(end / step) as usize).map(|i| i as f64 * step).collect()
}

/// A number on an axis: 1.5k, 20M.
pub fn short(x: f64) -> String {
    let (value, suffix) = match x.abs() {
        a if a >= 1e9 => (x / 1e9, "G"),
        a if a >= 1e6 => (x / 1e6, "M"),
        a if a >= 1e4 => (x / 1e3, "k"),
        a if a > 0.0 && a < 0.01 => return format!("{x}"),
        _ => (x, ""),
    };
    let text = format!("{value:.2}");
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Powers of ten, and their 2 and 5, that enclose `low`..`high`, both > 0.
pub fn log_bounds(low: f64, high: f64) -> (f64, f64) {
    (libm::exp10(low.log10().floor()), libm::exp10(high.max(low * 1.01).log10().ceil()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduction_keeps_the_spike() {
        let t: Vec<f64> = (0..10_000).map(f64::from).collect();
        let mut values = vec![1.0; 10_000];
        (values[4321], values[7777]) = (99.0, 0.0);
        let small = reduced(&t, &values, 500);
        assert!(small.len() <= 500);
        assert!(small.contains(&(4321.0, 99.0)) && small.contains(&(7777.0, 0.0)));
        assert!(small.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn ticks_are_round_and_cover_the_data() {
        assert_eq!(ticks(1234.0, 4), [0.0, 500.0, 1000.0, 1500.0]);
        assert_eq!(time_ticks(2400.0, 6), [0.0, 600.0, 1200.0, 1800.0, 2400.0]);
        assert_eq!([short(1500.0), short(25_000.0), short(0.5), short(0.001)], ["1500", "25k", "0.5", "0.001"]);
        assert_eq!([clock(90.0, 600.0), clock(0.0, 86_400.0)], ["1.5 min", "0 h"]);
    }

    #[test]
    fn a_sparkline_has_a_block_for_every_column() {
        assert_eq!(sparkline(&[0.0, 1.0, 4.0, 8.0, f64::NAN], 5, 8.0), " ▁▄█ ");
    }
}
