//! The requests of an access log or a trace, one by one.
//!
//! Requests of one second form a group. Those whose stamps are whole seconds are spread over it at keyed uniform draws, sorted, so
//! that they keep the order of the log: what a Poisson process of that count looks like. Those with finer stamps keep them. A group is
//! played once no line can join it any more, so memory holds a reorder window of the log.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::order::{Order, Place};
use super::records::{Item, Records, Source};
use super::{Dataset, Error, MAX_ENDPOINTS, MAX_SETBACK, Options, Summary};
use crate::rng::{Dice, Stream, mix};
use crate::traffic::arrivals::{Arrival, Origin};
use crate::traffic::formats::{Record, Work};
use crate::traffic::method::Method;
use crate::traffic::shape::Rate;
use crate::units::{Span, Time};

/// Requests waiting for their group to be complete, at most: 31 MB. A log with more in one window has its oldest
/// second played early, and what follows of it moved to the next.
const MAX_WAITING: usize = 3 << 18;
/// First index of the clones of recorded requests, and distance between clones of one.
const CLONE_INDEX: u64 = 1 << 40;
/// Copies of one request at most.
const MAX_COPIES: f64 = 1e6;
/// Bytes by which addresses and paths are told apart.
const MAX_NAME: usize = 256;
const SECOND: i64 = 1_000_000_000;

/// Which requests of a recording are played, and at which second; the same in both passes.
#[derive(Debug)]
pub(super) struct Sieve {
    options: Options,
    /// What is played of the recording \[ns\], once its first request is known.
    cut: Option<(i64, i64)>,
    pub(super) order: Order,
    /// Requests that the filter left out, and that were before and after what is played.
    pub(super) filtered: u64,
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Sieve {
    /// A sieve that lets lines be late by `window`.
    pub(super) fn new(options: &Options, window: Span) -> Sieve {
        let seconds = |span: Span| (span.0 / SECOND as u64) as i64;
        let order = Order::new(seconds(window), seconds(MAX_SETBACK));
        Sieve { options: options.clone(), cut: None, order, filtered: 0, before: 0, after: 0 }
    }

    /// The start of what is played \[ns\], once the first request is known.
    pub(super) fn from(&self) -> Option<i64> {
        self.cut.map(|(from, _)| from).filter(|from| *from > i64::MIN)
    }

    /// Where a request is played; `None` if it is not.
    #[inline]
    pub(super) fn admit(&mut self, record: &Record<'_>) -> Option<Place> {
        let nanos = record.second.saturating_mul(SECOND).saturating_add(i64::from(record.subsecond.unwrap_or(0)));
        let (from, to) = match self.cut {
            Some(cut) => cut,
            None => {
                let Options { from, to, zone, .. } = &self.options;
                let from = from.map_or(i64::MIN, |from| from.nanos(nanos, zone));
                let cut = (from, to.map_or(i64::MAX, |to| to.nanos(nanos, zone)));
                *self.cut.insert(cut)
            }
        };
        if nanos < from || nanos >= to {
            self.before += u64::from(nanos < from);
            self.after += u64::from(nanos >= to);
            return None;
        }
        if !self.options.filter.is_empty() && !self.options.filter.passes(record) {
            self.filtered += 1;
            return None;
        }
        Some(self.order.place(record.second))
    }
}

/// Passes every request that is played to `take`, with its second.
pub(super) fn for_each<E: From<Error>>(
    source: &Source,
    summary: &Summary,
    options: &Options,
    take: &mut impl FnMut(i64, &Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut records = Records::open(source)?;
    let mut sieve = Sieve::new(options, summary.window);
    let mut left = summary.lines;
    while let Some(item) = records.next()? {
        let Item::Request(record) = item else { continue };
        if let Some(place) = sieve.admit(&record) {
            take(place.at, &record)?;
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Dense numbers for addresses and paths.
#[derive(Debug)]
pub(super) struct Names {
    clients: HashMap<Box<[u8]>, u32, FixedState>,
    max_clients: u32,
    endpoint_ids: HashMap<Box<[u8]>, u16, FixedState>,
    endpoints: Vec<String>,
    requests: Vec<u64>,
}

impl Names {
    pub(super) fn new(max_clients: u32) -> Names {
        Names {
            clients: HashMap::default(),
            max_clients: max_clients.max(1),
            endpoint_ids: HashMap::default(),
            endpoints: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// The number of an address; beyond the limit, that of another.
    pub(super) fn client(&mut self, address: &[u8]) -> u32 {
        let address = &address[..address.len().min(MAX_NAME)];
        if let Some(&id) = self.clients.get(address) {
            return id;
        }
        let id = self.clients.len() as u32;
        if id < self.max_clients {
            self.clients.insert(address.into(), id);
            return id;
        }
        let hash = address.iter().fold(0, |hash, &byte| mix(hash ^ u64::from(byte)));
        (hash % u64::from(self.max_clients)) as u32
    }

    /// The number of a path; beyond the limit, that of "other".
    pub(super) fn endpoint(&mut self, path: &[u8]) -> u16 {
        let path = &path[..path.len().min(MAX_NAME)];
        if let Some(&id) = self.endpoint_ids.get(path) {
            self.requests[usize::from(id)] += 1;
            return id;
        }
        let known = self.endpoints.len();
        if known < MAX_ENDPOINTS {
            self.endpoint_ids.insert(path.into(), known as u16);
            let name = if path.is_empty() { "(no path)".into() } else { String::from_utf8_lossy(path).into_owned() };
            self.endpoints.push(name);
            self.requests.push(1);
            return known as u16;
        }
        if known == MAX_ENDPOINTS {
            self.endpoints.push("other".to_string());
            self.requests.push(0);
        }
        self.requests[MAX_ENDPOINTS] += 1;
        MAX_ENDPOINTS as u16
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// The paths in order of appearance, and the requests to each.
    pub(super) fn into_endpoints(self) -> (Vec<String>, Vec<u64>) {
        (self.endpoints, self.requests)
    }
}

/// A recorded request that waits for its second.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Its place among the requests that are played, from 0; the index of its random numbers.
    record: u64,
    client: u32,
    endpoint: u16,
    method: Method,
    status: u16,
    /// Nanoseconds after the second; [`SPREAD`] if they are drawn.
    subsecond: u32,
    work: Work,
}

/// Not a part of a second.
const SPREAD: u32 = u32::MAX;

/// The requests of a log, at the times of the run.
#[derive(Debug)]
pub(crate) struct LogFeed {
    source: Source,
    options: Options,
    records: Records,
    sieve: Sieve,
    names: Names,
    /// Seconds before this one have been played.
    floor: i64,
    waiting: BTreeMap<i64, Vec<Waiting>>,
    waiting_requests: usize,
    spare: Vec<Vec<Waiting>>,
    ready: Vec<Arrival>,
    played: usize,
    offsets: Vec<f64>,
    count: u64,
    requests: u64,
    moved: u64,
    ended: bool,
    /// Times that the recording is still played, and what the ones before took \[s\].
    rounds: u32,
    elapsed: i64,
    recorded: i64,
    error: Option<Error>,
    factor: Rate,
    dice: Dice,
    origin: i64,
    mean_size: f64,
    window: Span,
    horizon: Time,
}

impl LogFeed {
    pub(super) fn new(
        source: &Source,
        dataset: &Dataset,
        factor: Rate,
        seed: u64,
        horizon: Time,
    ) -> Result<LogFeed, Error> {
        Ok(LogFeed {
            source: source.clone(),
            records: Records::open(source)?,
            sieve: Sieve::new(&dataset.options, dataset.summary.window),
            names: Names::new(dataset.options.max_clients),
            floor: i64::MIN,
            waiting: BTreeMap::new(),
            waiting_requests: 0,
            spare: Vec::new(),
            ready: Vec::new(),
            played: 0,
            offsets: Vec::new(),
            count: 0,
            requests: 0,
            moved: 0,
            ended: false,
            rounds: dataset.options.repeat.saturating_sub(1),
            elapsed: 0,
            recorded: (dataset.summary.recorded.0 / SECOND as u64) as i64,
            error: None,
            factor,
            dice: Dice::new(seed, Stream::Spread),
            origin: dataset.summary.origin,
            mean_size: dataset.summary.mean_size,
            window: dataset.summary.window,
            options: dataset.options.clone(),
            horizon,
        })
    }

    /// Requests given out so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests that came too late for their second, and were put into a later one.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// What ended the reading before the end of the recording.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<Arrival> {
        while self.played == self.ready.len() {
            if !self.prepare() {
                return None;
            }
        }
        let arrival = self.ready[self.played];
        if arrival.at >= self.horizon {
            return None;
        }
        self.played += 1;
        self.requests += 1;
        Some(arrival)
    }

    /// Reads on until a second is complete, and makes its requests ready; `false` at the end.
    fn prepare(&mut self) -> bool {
        loop {
            let oldest = self.waiting.first_key_value().map(|(second, _)| *second);
            match oldest {
                Some(second)
                    if self.ended || second < self.sieve.order.open() || self.waiting_requests >= MAX_WAITING =>
                {
                    self.play(second);
                    return true;
                }
                None if self.ended => {
                    if self.rounds == 0 || self.error.is_some() {
                        return false;
                    }
                    self.begin_again();
                }
                _ => self.read(),
            }
        }
    }

    fn begin_again(&mut self) {
        match Records::open(&self.source) {
            Ok(records) => self.records = records,
            Err(error) => {
                self.error = Some(error);
                return;
            }
        }
        self.rounds -= 1;
        self.elapsed += self.recorded;
        self.sieve = Sieve::new(&self.options, self.window);
        self.floor = i64::MIN;
        self.ended = false;
    }

    /// Reads a line.
    fn read(&mut self) {
        // The first pass has told of malformed lines.
        let record = match self.records.next() {
            Ok(Some(Item::Request(record))) => record,
            Ok(Some(_)) => return,
            Ok(None) => {
                self.ended = true;
                return;
            }
            Err(error) => {
                self.error = Some(error);
                self.ended = true;
                return;
            }
        };
        let Some(place) = self.sieve.admit(&record) else { return };
        let second = place.at.max(self.floor);
        self.moved += u64::from(place.late || second != place.at);
        let request = Waiting {
            record: self.count,
            client: self.names.client(record.client),
            endpoint: self.names.endpoint(record.path),
            method: Method::recorded(record.method),
            status: record.status,
            subsecond: record.subsecond.unwrap_or(SPREAD),
            work: match record.work {
                Work::Size(size) if self.mean_size > 0.0 => Work::Size(size / self.mean_size),
                Work::Size(_) => Work::Drawn,
                work => work,
            },
        };
        self.count += 1;
        self.waiting_requests += 1;
        let spare = &mut self.spare;
        self.waiting.entry(second).or_insert_with(|| spare.pop().unwrap_or_default()).push(request);
    }

    /// Spreads the requests of a second, leaves out or clones some, and sorts them.
    fn play(&mut self, second: i64) {
        let mut group = self.waiting.remove(&second).expect("invariant: the oldest second waits");
        self.waiting_requests -= group.len();
        self.floor = second + 1;
        self.played = 0;
        self.ready.clear();
        self.offsets.clear();

        let Options { speed, scale, .. } = self.options;
        let elapsed = second.saturating_sub(self.origin).saturating_add(self.elapsed).max(0) as u64;
        let start = elapsed.saturating_mul(SECOND as u64);
        let played = |nanos: u64| Time(if speed == 1.0 { nanos } else { (nanos as f64 / speed) as u64 });
        let copies = (scale * self.factor.factor(played(start))).clamp(0.0, MAX_COPIES);
        let (whole, part) = (copies.floor(), copies.fract());
        let at = |offset: f64| played(start.saturating_add((offset * SECOND as f64) as u64));

        let spread = group.iter().filter(|request| request.subsecond == SPREAD);
        self.offsets.extend(spread.map(|request| self.dice.unit(request.record)));
        self.offsets.sort_unstable_by(f64::total_cmp);
        let mut offsets = self.offsets.iter();
        for request in &group {
            let mut draws = self.dice.draws(request.record);
            draws.bits();
            let n = whole as u64 + u64::from(part > 0.0 && draws.unit() < part);
            let Waiting { client, endpoint, method, status, work, .. } = *request;
            let origin = Origin::Recorded { client, endpoint, method, status, work };
            let own = match request.subsecond {
                SPREAD => at(*offsets.next().expect("one for each")),
                nanos => played(start.saturating_add(u64::from(nanos))),
            };
            for k in 0..n {
                let at = if k == 0 { own } else { at(self.dice.sub(request.record, k).unit()) };
                self.ready.push(Arrival { at, index: request.record + k * CLONE_INDEX, origin });
            }
        }
        self.ready.sort_unstable_by_key(|arrival| (arrival.at, arrival.index));
        group.clear();
        self.spare.push(group);
    }
}
