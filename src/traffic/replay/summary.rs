//! What a recording holds, found in one pass.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;

use jiff::Timestamp;

use super::log::Names;
use super::{Error, MAX_LATE, Options, Order, REORDER_STEPS, REORDER_WINDOW, failed};
use crate::traffic::formats::input::Lines;
use crate::traffic::formats::{BadLine, Fault, Format, LogFormat, SeriesFormat, SeriesRows, excerpt, is_blank};
use crate::units::Span;

const NANOS: i64 = 1_000_000_000;
/// Malformed lines that are shown.
const SHOWN: usize = 5;
/// Bins of the histogram at most.
const MAX_BINS: usize = 10_000;
/// Widths of bins \[s\], each a multiple of the one before, so that a histogram can be made coarser in place.
const WIDTHS: [i64; 10] = [1, 10, 60, 600, 3600, 21_600, 86_400, 864_000, 8_640_000, 86_400_000];

/// What a recording holds, as recorded: neither speed nor scale is applied.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its format, never [`Format::Auto`].
    pub format: Format,
    /// The format and its columns in words.
    pub description: String,
    /// Lines or rows that could be used.
    pub lines: u64,
    /// Requests: lines of a log, or the sum of a series.
    pub requests: f64,
    /// The first moment; `None` if the series has no dates.
    pub first: Option<Timestamp>,
    /// The last moment: the last line, or the start of the last step; `None` if the series has no dates.
    pub last: Option<Timestamp>,
    /// Time covered, the last second or step included.
    pub recorded: Span,
    /// Length of a step of a series; of a log, `None`.
    pub step: Option<Span>,
    /// The highest rate \[1/s\] over `peak_over`.
    pub peak_rps: f64,
    /// The stretch behind `peak_rps`: a step of a series, a bin of a log.
    pub peak_over: Span,
    /// When that stretch begins, from the start of the recording; the first of equals.
    pub peak_at: Span,
    /// Requests over time.
    pub bins: Bins,
    /// Distinct clients of a log, as far as they are told apart.
    pub clients: usize,
    /// Paths of a log in order of appearance, at most 256 and then "other".
    pub endpoints: Vec<String>,
    /// Requests of a log by class of status: none recorded, 1xx to 5xx, and whatever else.
    pub statuses: [u64; 7],
    /// Bytes answered.
    pub bytes: u64,
    /// Lines that could not be used.
    pub bad: BadLines,
    /// Lines that were moved because they came too late.
    pub late: u64,
    /// Lines that are earlier than their predecessor, the late ones included.
    pub out_of_order: u64,
    /// Rows for the same step as their predecessor; their counts are added up.
    pub duplicates: u64,
    /// Stretches without rows.
    pub gaps: u64,
    /// Steps without a row: their rate is zero.
    pub missing_steps: u64,
    /// Where time 0 of the run is: seconds (log) or nanoseconds (series) of the recording's clock.
    pub(crate) origin: i64,
}

/// Malformed lines by kind, and the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadLines {
    counts: [u64; Fault::ALL.len()],
    /// The first few, in the order of the file.
    pub examples: Vec<BadLine>,
}

impl BadLines {
    /// How many there are of a kind.
    pub fn of(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, fault: Fault, line: impl FnOnce() -> BadLine) {
        self.counts[fault as usize] += 1;
        if self.examples.len() < SHOWN {
            self.examples.push(line());
        }
    }
}

impl fmt::Display for BadLines {
    /// How many of each kind, and where the first few are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = Fault::ALL.iter().filter(|fault| self.of(**fault) > 0);
        let kinds: Vec<String> = kinds.map(|fault| format!("{} {fault}", Grouped(self.of(*fault)))).collect();
        write!(f, "{}", kinds.join(", "))?;
        for (i, example) in self.examples.iter().enumerate() {
            write!(f, "{} {example}", if i == 0 { "; at" } else { "," })?;
        }
        Ok(())
    }
}

/// Requests over time, in at most 10,000 bins of a whole number of seconds, whose edges are multiples of their
/// width in UTC.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bins {
    /// Start of the first bin [s since 1970, or since the series began].
    pub start: i64,
    counts: VecDeque<f64>,
    width: usize,
}

impl Bins {
    /// Bins of at least `width`.
    fn at_least(width: Span) -> Bins {
        let fits = |seconds: &i64| *seconds as u64 * NANOS as u64 >= width.0;
        Bins { width: WIDTHS.iter().position(fits).unwrap_or(WIDTHS.len() - 1), ..Bins::default() }
    }

    /// Width of a bin.
    pub fn width(&self) -> Span {
        Span::from_secs(self.seconds() as u64)
    }

    /// Requests in each bin.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.counts.iter().copied()
    }

    fn seconds(&self) -> i64 {
        WIDTHS[self.width]
    }

    fn add(&mut self, second: i64, requests: f64) {
        loop {
            let bin = second.div_euclid(self.seconds());
            if self.counts.is_empty() {
                self.start = bin * self.seconds();
            }
            let first = self.start / self.seconds();
            let (low, high) = (first.min(bin), (first + self.counts.len() as i64 - 1).max(bin));
            // The widest bins hold any time that a format can express.
            if high - low < MAX_BINS as i64 || self.width + 1 == WIDTHS.len() {
                (low..first).for_each(|_| self.counts.push_front(0.0));
                self.start = low * self.seconds();
                self.counts.resize((high - low + 1) as usize, 0.0);
                self.counts[(bin - low) as usize] += requests;
                return;
            }
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        let (old, fine) = (std::mem::take(&mut self.counts), self.seconds());
        self.width += 1;
        let wide = self.seconds();
        let coarse = |second: i64| second.div_euclid(wide);
        let first = coarse(self.start);
        for (i, count) in old.into_iter().enumerate() {
            let bin = (coarse(self.start + i as i64 * fine) - first) as usize;
            self.counts.resize(bin + 1, 0.0);
            self.counts[bin] += count;
        }
        self.start = first * wide;
    }

    /// The highest rate \[1/s\], and the start of its bin \[s\]; the first of equals.
    fn peak(&self) -> (f64, i64) {
        let highest = |best: (f64, usize), (i, count)| if count > best.0 { (count, i) } else { best };
        let (count, i) = self.counts().enumerate().fold((0.0, 0), highest);
        (count / self.seconds() as f64, self.start + i as i64 * self.seconds())
    }
}

/// Sums up a log.
pub(super) fn of_log(
    path: &Path,
    mut lines: Lines,
    format: Format,
    log_format: LogFormat,
    options: &Options,
) -> Result<Summary, Error> {
    let mut summary = Summary::empty(format, format!("{format} access log"), Bins::default());
    let mut names = Names::new(options.max_clients);
    let mut order = Order::new((REORDER_WINDOW.0 / NANOS as u64) as i64);
    let (mut first_late, mut previous) = (0, i64::MIN);
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    loop {
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(source) => return Err(failed(path, lines.number(), source)),
        };
        if is_blank(line.text) {
            continue;
        }
        let parsed = if line.too_long { Err(Fault::TooLong) } else { log_format.record(line.text) };
        let record = match parsed {
            Ok(record) => record,
            Err(fault) => {
                let (line, text) = (line.number, line.text);
                summary.bad.add(fault, || BadLine { line, column: None, fault, text: excerpt(text) });
                continue;
            }
        };
        let second = order.place(record.second);
        if second != record.second {
            summary.late += 1;
            first_late = if summary.late == 1 { line.number } else { first_late };
        }
        summary.out_of_order += u64::from(record.second < previous);
        previous = record.second;
        (first, last) = (first.min(second), last.max(second));
        summary.lines += 1;
        summary.bins.add(second, 1.0);
        summary.statuses[usize::from(record.status / 100).min(6)] += 1;
        summary.bytes = summary.bytes.saturating_add(record.bytes);
        names.client(record.client);
        names.endpoint(record.path);
    }
    summary.check(path, options, first_late, REORDER_WINDOW)?;
    summary.requests = summary.lines as f64;
    summary.origin = first;
    summary.first = Timestamp::from_second(first).ok();
    summary.last = Timestamp::from_second(last).ok();
    summary.recorded = Span::from_secs_f64((last - first + 1) as f64);
    let (peak_rps, peak_at) = summary.bins.peak();
    summary.peak_rps = peak_rps;
    summary.peak_at = Span::from_secs_f64((peak_at - first) as f64);
    summary.peak_over = summary.bins.width();
    summary.clients = names.clients();
    summary.endpoints = names.into_endpoints();
    Ok(summary)
}

/// Sums up a series.
pub(super) fn of_series(
    path: &Path,
    mut rows: SeriesRows,
    series: &SeriesFormat,
    options: &Options,
) -> Result<Summary, Error> {
    let step = options.step.or(series.step()).ok_or_else(|| Error::NoStep { path: path.to_path_buf() })?;
    let format = match series {
        SeriesFormat::Csv(_) => Format::Csv,
        SeriesFormat::Numbers(_) => Format::Numbers,
    };
    let mut summary = Summary::empty(format, series.describe(), Bins::at_least(step));
    let per_row = if series.per_second() { step.as_secs_f64() } else { 1.0 };
    let window = step.0.saturating_mul(REORDER_STEPS).min(i64::MAX as u64);
    let mut order = Order::new(window as i64);
    let (mut first_late, mut previous) = (0, None::<i64>);
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    let (mut peak, mut peak_at) = (0.0, i64::MIN);
    loop {
        let row = match rows.next_row() {
            Ok(Some(Ok(row))) => row,
            Ok(Some(Err(bad))) => {
                summary.bad.add(bad.fault, || bad);
                continue;
            }
            Ok(None) => break,
            Err(source) => return Err(failed(path, rows.line_number(), source)),
        };
        let at = order.place(row.at);
        if at != row.at {
            summary.late += 1;
            first_late = if summary.late == 1 { rows.line_number() } else { first_late };
        }
        if let Some(previous) = previous {
            let distance = row.at.abs_diff(previous);
            let steps = distance.saturating_add(step.0 / 2) / step.0;
            match () {
                () if steps == 0 => summary.duplicates += 1,
                () if row.at < previous => summary.out_of_order += 1,
                () if steps > 1 => {
                    summary.gaps += 1;
                    summary.missing_steps += steps - 1;
                }
                () => {}
            }
        }
        previous = Some(row.at);
        (first, last) = (first.min(at), last.max(at));
        summary.lines += 1;
        summary.requests += row.count * per_row;
        if row.count * per_row > peak {
            (peak, peak_at) = (row.count * per_row, at);
        }
        summary.bins.add(at.div_euclid(NANOS), row.count * per_row);
    }
    summary.check(path, options, first_late, Span(window))?;
    summary.origin = first;
    if series.dated() {
        summary.first = Timestamp::from_nanosecond(i128::from(first)).ok();
        summary.last = Timestamp::from_nanosecond(i128::from(last)).ok();
    }
    summary.recorded = Span(last.abs_diff(first).saturating_add(step.0));
    summary.step = Some(step);
    summary.peak_rps = peak / step.as_secs_f64();
    summary.peak_over = step;
    summary.peak_at = Span(peak_at.max(first).abs_diff(first));
    Ok(summary)
}

impl Summary {
    fn empty(format: Format, description: String, bins: Bins) -> Summary {
        Summary {
            format,
            description,
            lines: 0,
            requests: 0.0,
            first: None,
            last: None,
            recorded: Span::ZERO,
            step: None,
            peak_rps: 0.0,
            peak_over: Span::ZERO,
            peak_at: Span::ZERO,
            bins,
            clients: 0,
            endpoints: Vec::new(),
            statuses: [0; 7],
            bytes: 0,
            bad: BadLines::default(),
            late: 0,
            out_of_order: 0,
            duplicates: 0,
            gaps: 0,
            missing_steps: 0,
            origin: 0,
        }
    }

    /// Whether the recording can be relied on.
    fn check(&self, path: &Path, options: &Options, first_late: u64, window: Span) -> Result<(), Error> {
        let path = path.to_path_buf();
        let (bad, lines) = (self.bad.total(), self.lines + self.bad.total());
        if bad > 0 && (self.lines == 0 || bad as f64 > options.max_bad_lines * lines as f64) {
            let allowed = options.max_bad_lines * 100.0;
            return Err(Error::TooManyBadLines { path, bad: Box::new(self.bad.clone()), lines, allowed });
        }
        if self.lines == 0 {
            return Err(Error::Empty { path });
        }
        if self.late as f64 > MAX_LATE * lines as f64 {
            return Err(Error::Unordered { path, late: self.late, first_late, lines, window });
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    /// One line: what was recognized, how much, when, the peak, and what was not in order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.description)?;
        if let Some(step) = self.step {
            write!(f, ", step {step}, {} rows", Grouped(self.lines))?;
            write!(f, ", {} requests", Grouped(self.requests as u64))?;
        } else {
            write!(f, ", {} lines", Grouped(self.lines))?;
        }
        match (self.first, self.last) {
            (Some(first), Some(last)) => write!(f, ", {first} .. {last}")?,
            _ => write!(f, ", {}", self.recorded)?,
        }
        write!(f, ", peak {:.1} rps over {}", self.peak_rps, self.peak_over)?;
        let notes = [
            (self.late, "late lines moved"),
            (self.out_of_order, "out of order"),
            (self.duplicates, "duplicate steps added up"),
            (self.missing_steps, "missing steps taken as zero"),
        ];
        for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {} {what}", Grouped(count))?;
        }
        if self.bad.total() > 0 {
            write!(f, "; {} malformed lines ({})", Grouped(self.bad.total()), self.bad)?;
        }
        Ok(())
    }
}

/// A number with commas between thousands.
pub(super) struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                write!(f, ",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_get_coarser_and_lose_nothing() {
        let mut bins = Bins::default();
        for second in [1_000_005, 1_000_000, 1_009_999, 1_010_003, 999_990] {
            bins.add(second, 1.0);
        }
        assert_eq!((bins.width(), bins.start), (Span::from_secs(10), 999_990));
        assert_eq!(bins.counts().sum::<f64>(), 5.0);
        assert_eq!(bins.counts().take(2).collect::<Vec<_>>(), [1.0, 2.0]);
        bins.add(-4_000_000_000, 1.0);
        assert_eq!(bins.width(), Span::from_secs(864_000));
        assert_eq!((bins.counts().sum::<f64>(), bins.counts().next()), (6.0, Some(1.0)));
        assert_eq!(Bins::at_least(Span::from_secs(61)).width(), Span::from_secs(600));
        bins.add(i64::MAX / NANOS, 1.0);
        bins.add(i64::MIN / NANOS, 1.0);
        assert!(bins.counts().len() <= MAX_BINS);
    }

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 999, 1000, 1_234_567].map(|n| Grouped(n).to_string());
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
