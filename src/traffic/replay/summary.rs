//! What a recording holds, found in one pass.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use hdrhistogram::Histogram;

use super::dispersion::{Burstiness, Dispersion};
use super::log::{Names, Sieve};
use super::order::Order;
use super::records::{Item, Records, Source};
use super::series::Rows;
use super::{Error, FEW_BAD_LINES, MAX_LATE, Options, REORDER_STEPS, REORDER_WINDOW, SORTABLE};
use crate::traffic::formats::{BadLine, Fault, SeriesFormat, Value, Work, excerpt};
use crate::traffic::method::Method;
use crate::units::{Grouped, Span};

const NANOS: i64 = 1_000_000_000;
/// Malformed lines that are shown.
const SHOWN: usize = 5;
/// Pauses that are shown, and the shortest that counts as one \[s\].
const GAPS: usize = 5;
const SHORTEST_GAP: i64 = 60;
/// The longest response time that is told apart \[µs\]: an hour.
const LONGEST: u64 = 3_600_000_000;
/// Bins of the histogram at most.
const MAX_BINS: usize = 10_000;
/// Widths of bins \[s\], each a multiple of the one before, so that a histogram can be made coarser in place.
const WIDTHS: [i64; 10] = [1, 10, 60, 600, 3600, 21_600, 86_400, 864_000, 8_640_000, 86_400_000];

/// What a recording holds, as recorded: neither speed nor scale is applied.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Whether it is a log or a trace, and not a series.
    pub is_log: bool,
    /// The formats and their columns in words, and how many files have them.
    pub description: String,
    /// Lines or rows that are played.
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
    /// Requests to each of `endpoints`.
    pub endpoint_requests: Vec<u64>,
    /// Requests of a log by class of status: none recorded, 1xx to 5xx, and whatever else.
    pub statuses: [u64; 7],
    /// Requests of a log by method, in the order of [`Method::ALL`].
    pub methods: [u64; Method::ALL.len()],
    /// What was recorded about answers.
    pub recorded_answers: Recorded,
    /// Requests that say how much work they are.
    pub works: u64,
    /// Requests whose stamps are whole seconds, and that are spread inside them.
    pub whole_seconds: u64,
    /// Burstiness over time scales, finest first.
    pub burstiness: Vec<Burstiness>,
    /// The longest pauses, longest first.
    pub pauses: Vec<Gap>,
    /// Lines that are comments, headings or messages.
    pub other_lines: u64,
    /// Requests that the filter left out.
    pub filtered: u64,
    /// Requests or rows before and after what is played.
    pub cut: u64,
    /// Requests of one client to one endpoint with the same answer as the line before, in the same second: retries, or lines twice.
    pub repeated: u64,
    /// Times that the clock of a log was set back.
    pub setbacks: u64,
    /// Times that a counter began again.
    pub resets: u64,
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
    /// How late a line of a log may be.
    pub(super) window: Span,
    /// Mean of the sizes of requests; 0 if there are none.
    pub(super) mean_size: f64,
}

/// What a log says about answers.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Response times \[µs\], up to an hour, to three digits; `None` if there are none.
    pub took: Option<Box<Histogram<u64>>>,
    /// Answers with a status, and those of them with one from 500 on.
    pub answered: u64,
    /// See `answered`.
    pub failed: u64,
}

/// A stretch of a log without a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last request before it \[s of the recording's clock\].
    pub after: i64,
    /// Its length.
    pub length: Span,
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

    /// Whether another example is shown.
    fn has_room(&self) -> bool {
        self.examples.len() < SHOWN
    }

    fn add(&mut self, fault: Fault, line: impl FnOnce() -> BadLine) {
        self.counts[fault as usize] += 1;
        if self.has_room() {
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

/// Sums up a log or a trace.
pub(super) fn of_requests(path: &Path, source: &Source, options: &Options) -> Result<Summary, Error> {
    match in_window(path, source, options, REORDER_WINDOW) {
        // Small enough to be put in order in memory.
        Err(Error::Unordered { lines, .. }) if lines <= SORTABLE => in_window(path, source, options, Span::MAX),
        done => done,
    }
}

/// Sums up a log or a trace whose lines may be late by `window`.
fn in_window(path: &Path, source: &Source, options: &Options, window: Span) -> Result<Summary, Error> {
    let mut summary = Summary::empty(true, source.describe(), Bins::default());
    let mut records = Records::open(source)?;
    let mut names = Names::new(options.max_clients);
    let mut sieve = Sieve::new(options, window);
    summary.window = window;
    let mut dispersion = Dispersion::from(Span::from_secs(1));
    let mut pauses = Pauses::default();
    let mut took: Option<Box<Histogram<u64>>> = None;
    let (mut first_late, mut previous, mut sizes) = (0, i64::MIN, (0u64, 0.0));
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    let mut requests = 0;
    let mut last_hash = 0;
    while let Some(item) = records.next()? {
        let record = match item {
            Item::Request(record) => record,
            Item::Other => {
                summary.other_lines += 1;
                continue;
            }
            Item::Bad(fault, text) => {
                let text = summary.bad.has_room().then(|| excerpt(text));
                let (_, line) = records.position();
                let text = text.unwrap_or_default();
                summary.bad.add(fault, || BadLine { line, column: None, fault, text });
                continue;
            }
        };
        requests += 1;
        let Some(place) = sieve.admit(&record) else { continue };
        let second = place.at;
        let client = names.client(record.client);
        let endpoint = names.endpoint(record.path);
        if record.second == previous {
            let what = (u64::from(client) << 32)
                ^ (u64::from(endpoint) << 16)
                ^ u64::from(record.status)
                ^ record.bytes << 7;
            summary.repeated += u64::from(what == last_hash);
            last_hash = what;
        } else {
            last_hash = 0;
        }
        summary.out_of_order += u64::from(record.second < previous);
        previous = record.second;
        if first < i64::MAX {
            pauses.see(last, second);
        }
        (first, last) = (first.min(second), last.max(second));
        summary.lines += 1;
        summary.bins.add(second, 1.0);
        dispersion.add(second, 1.0);
        summary.statuses[usize::from(record.status / 100).min(6)] += 1;
        summary.methods[Method::recorded(record.method) as usize] += 1;
        summary.bytes = summary.bytes.saturating_add(record.bytes);
        summary.whole_seconds += u64::from(record.subsecond.is_none());
        let answers = &mut summary.recorded_answers;
        answers.answered += u64::from(record.status > 0);
        answers.failed += u64::from(record.status >= 500);
        if let Some(nanos) = record.took {
            let histogram = took.get_or_insert_with(|| {
                Box::new(Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are valid"))
            });
            histogram.saturating_record((nanos / 1000).max(1));
        }
        summary.works += u64::from(record.work != Work::Drawn);
        if let Work::Size(size) = record.work {
            sizes = (sizes.0 + 1, sizes.1 + size);
        }
        summary.late = (summary.late + u64::from(place.late)).saturating_sub(place.forgiven);
        if place.late && summary.late == 1 {
            first_late = records.position().1;
        }
    }
    (summary.filtered, summary.cut) = (sieve.filtered, sieve.before + sieve.after);
    summary.setbacks = sieve.order.setbacks;
    summary.check(path, options, requests, first_late, window)?;
    summary.requests = summary.lines as f64;
    // A cut begins where it was asked for, not at the first request after it.
    let start = sieve.from().filter(|_| sieve.before > 0).map_or(first, |from| from.div_euclid(NANOS));
    summary.origin = start.min(first);
    if source.dated() {
        summary.first = Timestamp::from_second(first).ok();
        summary.last = Timestamp::from_second(last).ok();
    }
    summary.recorded = Span::from_secs_f64((last - summary.origin + 1) as f64);
    let (peak_rps, peak_at) = summary.bins.peak();
    summary.peak_rps = peak_rps;
    summary.peak_at = Span::from_secs_f64((peak_at - summary.origin).max(0) as f64);
    summary.peak_over = summary.bins.width();
    summary.burstiness = dispersion.burstiness();
    summary.pauses = pauses.longest;
    summary.mean_size = if sizes.0 > 0 { sizes.1 / sizes.0 as f64 } else { 0.0 };
    summary.recorded_answers.took = took;
    summary.clients = names.clients();
    (summary.endpoints, summary.endpoint_requests) = names.into_endpoints();
    Ok(summary)
}

/// The longest pauses of a log.
#[derive(Debug, Default)]
struct Pauses {
    longest: Vec<Gap>,
}

impl Pauses {
    #[inline]
    fn see(&mut self, last: i64, second: i64) {
        let length = second.saturating_sub(last);
        if length >= SHORTEST_GAP {
            let gap = Gap { after: last, length: Span::from_secs(length as u64) };
            let at = self.longest.partition_point(|known| known.length >= gap.length);
            self.longest.insert(at, gap);
            self.longest.truncate(GAPS);
        }
    }
}

/// Sums up series that are parts of one.
pub(super) fn of_series(files: &[(PathBuf, SeriesFormat)], options: &Options) -> Result<Summary, Error> {
    let (path, series) = &files[0];
    if !options.filter.is_empty() {
        return Err(Error::Option {
            key: "filter",
            found: options.filter.to_string(),
            expected: "a log: the steps of a rate series have no status, path or client",
        });
    }
    let step = options.step.or(series.step()).ok_or_else(|| Error::NoStep { path: path.to_path_buf() })?;
    let mut words = series.describe();
    if files.len() > 1 {
        words.push_str(&format!(", {} files", files.len()));
    }
    let mut summary = Summary::empty(false, words, Bins::at_least(step));
    let mut rows = Rows::open(files, options)?;
    let per_row = if series.value() == Value::Rate { step.as_secs_f64() } else { 1.0 };
    let window = step.0.saturating_mul(REORDER_STEPS).min(i64::MAX as u64);
    let mut order = Order::new(window as i64, 0);
    let mut dispersion = Dispersion::from(step);
    let (mut first_late, mut previous) = (0, None::<i64>);
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    let (mut peak, mut peak_at) = (0.0, i64::MIN);
    loop {
        let row = match rows.next()? {
            Some(Ok(row)) => row,
            Some(Err(bad)) => {
                summary.bad.add(bad.fault, || bad);
                continue;
            }
            None => break,
        };
        let place = order.place(row.at);
        let at = place.at;
        if place.late {
            summary.late += 1;
            first_late = if summary.late == 1 { rows.position().1 } else { first_late };
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
        dispersion.add(at.div_euclid(NANOS), row.count * per_row);
    }
    summary.cut = rows.before + rows.after;
    summary.resets = rows.resets();
    summary.check(path, options, summary.lines + summary.cut, first_late, Span(window))?;
    summary.origin = rows.from().filter(|_| rows.before > 0).map_or(first, |from| from.min(first));
    if series.dated() {
        summary.first = Timestamp::from_nanosecond(i128::from(first)).ok();
        summary.last = Timestamp::from_nanosecond(i128::from(last)).ok();
    }
    summary.recorded = Span(last.abs_diff(summary.origin).saturating_add(step.0));
    summary.step = Some(step);
    summary.peak_rps = peak / step.as_secs_f64();
    summary.peak_over = step;
    summary.peak_at = Span(peak_at.max(summary.origin).abs_diff(summary.origin));
    summary.burstiness = dispersion.burstiness();
    Ok(summary)
}

impl Summary {
    fn empty(is_log: bool, description: String, bins: Bins) -> Summary {
        Summary {
            is_log,
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
            endpoint_requests: Vec::new(),
            statuses: [0; 7],
            methods: [0; Method::ALL.len()],
            recorded_answers: Recorded { took: None, answered: 0, failed: 0 },
            works: 0,
            whole_seconds: 0,
            burstiness: Vec::new(),
            pauses: Vec::new(),
            other_lines: 0,
            filtered: 0,
            cut: 0,
            repeated: 0,
            setbacks: 0,
            resets: 0,
            bytes: 0,
            bad: BadLines::default(),
            late: 0,
            out_of_order: 0,
            duplicates: 0,
            gaps: 0,
            missing_steps: 0,
            origin: 0,
            window: REORDER_WINDOW,
            mean_size: 0.0,
        }
    }

    /// Whether the recording can be relied on; `read` requests or rows were, whether they are played or not.
    fn check(&self, path: &Path, options: &Options, read: u64, first_late: u64, window: Span) -> Result<(), Error> {
        let path = path.to_path_buf();
        let (bad, lines) = (self.bad.total(), read + self.bad.total());
        let few = bad <= FEW_BAD_LINES && bad <= read;
        if bad > 0 && !few && bad as f64 > options.max_bad_lines * lines as f64 || bad > 0 && read == 0 {
            let allowed = options.max_bad_lines * 100.0;
            return Err(Error::TooManyBadLines { path, bad: Box::new(self.bad.clone()), lines, allowed });
        }
        if read == 0 {
            return Err(Error::Empty { path });
        }
        if self.lines == 0 {
            let cut = (self.cut > 0).then_some("from and to");
            let filter = (self.filtered > 0).then(|| format!("the filter {}", options.filter));
            let what = [cut.map(str::to_string), filter].into_iter().flatten().collect::<Vec<_>>().join(" and ");
            return Err(Error::NothingLeft { path, lines: read, what });
        }
        if self.late as f64 > MAX_LATE * lines as f64 {
            return Err(Error::Unordered { path, late: self.late, first_late, lines, window });
        }
        Ok(())
    }

    /// Mean rate \[1/s\].
    pub fn mean_rps(&self) -> f64 {
        self.requests / self.recorded.as_secs_f64()
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
            write!(f, ", {} requests", Grouped(self.lines))?;
        }
        match (self.first, self.last) {
            (Some(first), Some(last)) => write!(f, ", {first} .. {last}")?,
            _ => write!(f, ", {}", self.recorded)?,
        }
        write!(f, ", peak {:.1} rps over {}", self.peak_rps, self.peak_over)?;
        if self.whole_seconds > 0 {
            write!(f, "; stamps of whole seconds are spread inside the second")?;
        }
        let notes = [
            (self.cut, "before or after what is played"),
            (self.filtered, "left out by the filter"),
            (self.other_lines, "other lines passed over"),
            (self.late, "late lines moved"),
            (self.out_of_order, "out of order"),
            (self.repeated, "like the request before in the same second"),
            (self.setbacks, "times the clock was set back"),
            (self.resets, "times the counter began again"),
            (self.duplicates, "duplicate steps added up"),
            (self.missing_steps, "missing steps taken as zero"),
        ];
        for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {} {what}", Grouped(count))?;
        }
        if let Some(longest) = self.pauses.first() {
            write!(f, "; longest pause {}", longest.length)?;
        }
        if self.bad.total() > 0 {
            write!(f, "; {} malformed lines ({})", Grouped(self.bad.total()), self.bad)?;
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
}
