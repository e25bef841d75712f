//! The requests of an access log, one by one.
//!
//! Stamps are whole seconds. The lines of one second form a group; its requests are spread over the second at
//! keyed uniform draws, sorted, so that they keep the order of the log: what a Poisson process of that count
//! looks like. A group is played once no line can join it any more, so memory holds a reorder window of the log.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::{Dataset, Error, MAX_ENDPOINTS, Order, REORDER_WINDOW, failed};
use crate::rng::{Dice, Stream, mix};
use crate::traffic::arrivals::{Arrival, Origin};
use crate::traffic::formats::input::Lines;
use crate::traffic::formats::{LogFormat, is_blank};
use crate::traffic::shape::Rate;
use crate::units::Time;

/// Requests waiting for their group to be complete, at most: 24 MB. A log with more in one window has its oldest
/// second played early, and what follows of it moved to the next.
const MAX_WAITING: usize = 1 << 20;
/// First index of the clones of recorded requests, and distance between clones of one.
const CLONE_INDEX: u64 = 1 << 40;
/// Copies of one request at most.
const MAX_COPIES: f64 = 1e6;
/// Bytes by which addresses and paths are told apart.
const MAX_NAME: usize = 256;

/// Dense numbers for addresses and paths.
#[derive(Debug)]
pub(super) struct Names {
    clients: HashMap<Box<[u8]>, u32>,
    max_clients: u32,
    endpoint_ids: HashMap<Box<[u8]>, u16>,
    endpoints: Vec<String>,
}

impl Names {
    pub(super) fn new(max_clients: u32) -> Names {
        Names {
            clients: HashMap::new(),
            max_clients: max_clients.max(1),
            endpoint_ids: HashMap::new(),
            endpoints: Vec::new(),
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
            return id;
        }
        let known = self.endpoints.len();
        if known < MAX_ENDPOINTS {
            self.endpoint_ids.insert(path.into(), known as u16);
            let name = if path.is_empty() { "(no path)".into() } else { String::from_utf8_lossy(path).into_owned() };
            self.endpoints.push(name);
            return known as u16;
        }
        if known == MAX_ENDPOINTS {
            self.endpoints.push("other".to_string());
        }
        MAX_ENDPOINTS as u16
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn into_endpoints(self) -> Vec<String> {
        self.endpoints
    }
}

/// A recorded request that waits for its second.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Its place among the good lines of the file, from 0; the index of its random numbers.
    record: u64,
    client: u32,
    endpoint: u16,
    status: u16,
}

/// The requests of a log, at the times of the run.
#[derive(Debug)]
pub(crate) struct LogFeed {
    path: PathBuf,
    lines: Lines,
    format: LogFormat,
    names: Names,
    order: Order,
    /// Seconds before this one have been played.
    floor: i64,
    waiting: BTreeMap<i64, Vec<Waiting>>,
    waiting_requests: usize,
    spare: Vec<Vec<Waiting>>,
    ready: Vec<Arrival>,
    played: usize,
    offsets: Vec<f64>,
    records: u64,
    requests: u64,
    moved: u64,
    ended: bool,
    error: Option<Error>,
    factor: Rate,
    dice: Dice,
    origin: i64,
    speed: f64,
    scale: f64,
    horizon: Time,
}

impl LogFeed {
    pub(super) fn new(
        lines: Lines,
        format: LogFormat,
        dataset: &Dataset,
        factor: Rate,
        seed: u64,
        horizon: Time,
    ) -> LogFeed {
        LogFeed {
            path: dataset.path.clone(),
            lines,
            format,
            names: Names::new(dataset.options.max_clients),
            order: Order::new((REORDER_WINDOW.0 / 1_000_000_000) as i64),
            floor: i64::MIN,
            waiting: BTreeMap::new(),
            waiting_requests: 0,
            spare: Vec::new(),
            ready: Vec::new(),
            played: 0,
            offsets: Vec::new(),
            records: 0,
            requests: 0,
            moved: 0,
            ended: false,
            error: None,
            factor,
            dice: Dice::new(seed, Stream::Spread),
            origin: dataset.summary.origin,
            speed: dataset.options.speed,
            scale: dataset.options.scale,
            horizon,
        }
    }

    /// Requests given out so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests that came too late for their second, and were put into a later one.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// What ended the reading before the end of the file.
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
                Some(second) if self.ended || second < self.order.open() || self.waiting_requests >= MAX_WAITING => {
                    self.play(second);
                    return true;
                }
                None if self.ended => return false,
                _ => self.read(),
            }
        }
    }

    /// Reads a line.
    fn read(&mut self) {
        let line = match self.lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => {
                self.ended = true;
                return;
            }
            Err(source) => {
                self.error = Some(failed(&self.path, self.lines.number(), source));
                self.ended = true;
                return;
            }
        };
        // The first pass has told of malformed lines.
        let record = match self.format.record(line.text) {
            Ok(record) if !line.too_long && !is_blank(line.text) => record,
            _ => return,
        };
        let second = self.order.place(record.second).max(self.floor);
        self.moved += u64::from(second != record.second);
        let request = Waiting {
            record: self.records,
            client: self.names.client(record.client),
            endpoint: self.names.endpoint(record.path),
            status: record.status,
        };
        self.records += 1;
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

        let elapsed = second.saturating_sub(self.origin).max(0) as f64;
        let start = Time::from_secs_f64(elapsed / self.speed);
        let copies = (self.scale * self.factor.factor(start)).clamp(0.0, MAX_COPIES);
        let (whole, part) = (copies.floor(), copies.fract());
        let at = |offset: f64| Time::from_secs_f64((elapsed + offset) / self.speed);

        self.offsets.extend(group.iter().map(|request| self.dice.unit(request.record)));
        self.offsets.sort_unstable_by(f64::total_cmp);
        for (request, &offset) in group.iter().zip(&self.offsets) {
            let mut draws = self.dice.draws(request.record);
            draws.bits();
            let n = whole as u64 + u64::from(part > 0.0 && draws.unit() < part);
            let origin =
                Origin::Recorded { client: request.client, endpoint: request.endpoint, status: request.status };
            for k in 0..n {
                let offset = if k == 0 { offset } else { self.dice.sub(request.record, k).unit() };
                self.ready.push(Arrival { at: at(offset), index: request.record + k * CLONE_INDEX, origin });
            }
        }
        self.ready.sort_unstable_by_key(|arrival| (arrival.at, arrival.index));
        group.clear();
        self.spare.push(group);
    }
}
