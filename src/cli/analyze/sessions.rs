//! Clients of a log and what they did since they were last silent: which of them are bots.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::engine::analyzer::bot::{Hit, SESSION_GAP, Session};
use crate::engine::analyzer::sketch::Distinct;
use crate::report::analysis::{Bot, Crowd};
use crate::traffic::formats::Record;
use crate::units::{Span, Time};

/// Sessions at a time; each takes some 4 KiB. Of further clients nothing is said.
const LIVE: usize = 4096;
/// Bots whose names are kept, and those that are listed.
const NAMED: usize = 4096;
const LISTED: usize = 10;
/// How often sessions that are over are looked for when there is no room.
const SWEEP: Span = Span::from_mins(1);
/// Longest text kept of a client or an agent.
const LONGEST: usize = 200;
/// Requests a minute told apart.
const COUNTS: usize = 4096;

/// A client at work.
struct Live {
    session: Session,
    last_at: Time,
    /// The minute under way, its requests, and the most of any.
    minute: (u64, u64, u64),
    client: String,
    agent: String,
}

/// Judges clients when their sessions end.
pub struct Sessions {
    live: BTreeMap<u64, Live>,
    swept_at: Time,
    bots: BTreeMap<u64, Bot>,
    all_clients: Distinct,
    bot_clients: Distinct,
    crowd: Crowd,
    /// Sessions of people by the requests of their busiest minute.
    people: Vec<u64>,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            live: BTreeMap::new(),
            swept_at: Time::ZERO,
            bots: BTreeMap::new(),
            all_clients: Distinct::default(),
            bot_clients: Distinct::default(),
            crowd: Crowd::default(),
            people: vec![0; COUNTS],
        }
    }
}

impl Sessions {
    /// Takes a request.
    pub fn hit(&mut self, at: Time, record: &Record<'_>) {
        let key = FixedState::default().hash_one((record.client, record.agent));
        if self.live.get(&key).is_some_and(|live| at.since(live.last_at) > SESSION_GAP)
            && let Some(live) = self.live.remove(&key)
        {
            self.settle(key, live);
        }
        if self.live.len() >= LIVE && !self.live.contains_key(&key) {
            self.sweep(at);
            if self.live.len() >= LIVE {
                return;
            }
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned();
        let live = self.live.entry(key).or_insert_with(|| Live {
            session: Session::default(),
            last_at: at,
            minute: (0, 0, 0),
            client: text(record.client),
            agent: text(record.agent.unwrap_or_default()),
        });
        live.session.hit(&Hit {
            at: at.max(live.last_at),
            agent: record.agent.map(|agent| std::str::from_utf8(agent).unwrap_or("?")),
            path: std::str::from_utf8(record.path).unwrap_or("?"),
            head: record.method == b"HEAD",
            referrer: record.referrer.map(|referrer| !matches!(referrer, b"" | b"-")),
            status: record.status,
        });
        live.last_at = at.max(live.last_at);
        let minute = live.last_at.0 / SWEEP.0;
        if minute != live.minute.0 {
            live.minute = (minute, 0, live.minute.2);
        }
        live.minute.1 += 1;
        live.minute.2 = live.minute.2.max(live.minute.1);
    }

    /// Settles what is over.
    fn sweep(&mut self, now: Time) {
        if now.since(self.swept_at) < SWEEP {
            return;
        }
        self.swept_at = now;
        let over = |live: &Live| now.since(live.last_at) > SESSION_GAP;
        let keys: Vec<u64> = self.live.iter().filter(|(_, live)| over(live)).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(live) = self.live.remove(&key) {
                self.settle(key, live);
            }
        }
    }

    fn settle(&mut self, key: u64, live: Live) {
        let requests = live.session.requests();
        self.crowd.judged += requests;
        self.all_clients.add(key);
        if !live.session.is_bot() {
            self.people[(live.minute.2 as usize).min(COUNTS - 1)] += 1;
            return;
        }
        self.bot_clients.add(key);
        self.crowd.bot_requests += requests;
        if live.session.is_declared() {
            self.crowd.declared_requests += requests;
        }
        if let Some(bot) = self.bots.get_mut(&key) {
            bot.requests += requests;
            bot.per_minute = bot.per_minute.max(live.minute.2);
            bot.points = bot.points.max(live.session.points());
        } else if self.bots.len() < NAMED {
            let bot = Bot {
                client: live.client,
                agent: live.agent,
                requests,
                per_minute: live.minute.2,
                points: live.session.points(),
                declared: live.session.is_declared(),
            };
            self.bots.insert(key, bot);
        }
    }

    /// What is known at the end.
    pub fn finish(mut self) -> Crowd {
        for (key, live) in std::mem::take(&mut self.live) {
            self.settle(key, live);
        }
        let all = self.all_clients.count().round() as u64;
        self.crowd.bot_clients = ((self.bot_clients.count().round() as u64).min(all), all);
        let mut bots: Vec<Bot> = self.bots.into_values().collect();
        bots.sort_by(|a, b| b.requests.cmp(&a.requests).then(a.client.cmp(&b.client)));
        bots.truncate(LISTED);
        self.crowd.bots = bots;
        let sessions: u64 = self.people.iter().sum();
        let mut below = 0;
        let p99 = self.people.iter().position(|n| {
            below += n;
            below as f64 >= 0.99 * sessions as f64
        });
        self.crowd.person_per_minute = p99.filter(|_| sessions > 0).map(|most| most as u64);
        self.crowd
    }
}
