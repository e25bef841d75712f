//! Shedding by priority (DAGOR: Zhou et al., SoCC 2018): under overload the least important requests are refused first, and the same
//! users everywhere.
//!
//! A request's level is its business priority (the criticality of its endpoint, 0 most important) and, within that, its user's
//! priority: a hash of the client over 128 levels that rotates every hour, so that nobody is always the last. Requests at or below the
//! admission level pass. A window lasts a second or 2,000 requests; at its end
//!
//! ```text
//! overloaded: lower the level one by one while admitted(level) > (1 − 0.05) · admitted before
//! otherwise:  raise the level one by one while admitted(level) < admitted before + 0.01 · offered
//! ```
//!
//! Overload is a mean queueing time above a threshold (20 ms). A gateway does not see queueing; it takes the mean latency of what ended
//! in the window, less the smallest mean of any window so far.

use crate::engine::balancer::hashing::splitmix;
use crate::engine::request::Outcome;
use crate::units::{Span, Time};

/// Settings; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Mean queueing time that is overload, > 0. Default 20 ms.
    pub queueing: Span,
    /// Length of a window, > 0. Default 1 s.
    pub window: Span,
    /// Requests that end a window before its time. Default 2,000.
    pub requests: u32,
    /// Share by which admission falls, α. Default 0.05.
    pub down: f64,
    /// Share of the offered by which it rises, β. Default 0.01.
    pub up: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { queueing: Span::from_millis(20), window: Span::from_secs(1), requests: 2000, down: 0.05, up: 0.01 }
    }
}

/// Business priorities that are told apart.
pub const BUSINESS_LEVELS: usize = 16;
const USER_LEVELS: usize = 128;
const LEVELS: usize = BUSINESS_LEVELS * USER_LEVELS;
const ROTATION: u64 = 3_600_000_000_000;

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Admission {
    config: Config,
    /// The highest level that passes.
    level: usize,
    /// Requests of this window by level.
    offered: Vec<u32>,
    total: u32,
    ends_at: Time,
    latency: u64,
    ended: u64,
    dropped: u32,
    /// Smallest mean latency of a window \[ns\].
    unloaded: f64,
}

impl Admission {
    /// Everybody is let in.
    pub fn new(config: Config) -> Admission {
        Admission {
            config,
            level: LEVELS - 1,
            offered: vec![0; LEVELS],
            total: 0,
            ends_at: Time::ZERO + config.window,
            latency: 0,
            ended: 0,
            dropped: 0,
            unloaded: f64::INFINITY,
        }
    }

    /// Whether a request passes.
    pub fn admits(&mut self, now: Time, business: u8, client: u32) -> bool {
        if now >= self.ends_at || self.total >= self.config.requests {
            self.close(now);
        }
        let user = splitmix(u64::from(client) ^ (now.0 / ROTATION) << 32) as usize % USER_LEVELS;
        let level = usize::from(business).min(BUSINESS_LEVELS - 1) * USER_LEVELS + user;
        self.offered[level] += 1;
        self.total += 1;
        level <= self.level
    }

    /// A request that passed ended.
    pub fn ended(&mut self, _now: Time, outcome: Outcome, latency: Span) {
        match outcome {
            Outcome::Success => {
                self.latency = self.latency.saturating_add(latency.0);
                self.ended += 1;
            }
            Outcome::Timeout | Outcome::QueueFull | Outcome::Shed => self.dropped += 1,
            Outcome::ServerError | Outcome::Connection | Outcome::Abandoned => {}
        }
    }

    /// The end of a window: the level moves.
    fn close(&mut self, now: Time) {
        let mean = if self.ended > 0 { self.latency as f64 / self.ended as f64 } else { self.unloaded };
        self.unloaded = self.unloaded.min(mean);
        let queueing = if self.ended > 0 { mean - self.unloaded } else { 0.0 };
        // Drops are the end of a long queue, and leave no latency.
        let drops = f64::from(self.dropped) > 0.05 * (self.ended as f64 + f64::from(self.dropped));
        let overloaded = queueing > self.config.queueing.0 as f64 || drops;
        self.level = next_level(&self.offered, self.level, overloaded, self.config.down, self.config.up);
        self.offered.fill(0);
        (self.total, self.latency, self.ended, self.dropped) = (0, 0, 0, 0);
        self.ends_at = now + self.config.window;
    }
}

/// The admission level after a window with so many requests `offered` by level.
fn next_level(offered: &[u32], level: usize, overloaded: bool, down: f64, up: f64) -> usize {
    let mut admitted: f64 = offered[..=level].iter().map(|&n| f64::from(n)).sum();
    let total: f64 = offered.iter().map(|&n| f64::from(n)).sum();
    let mut level = level;
    if overloaded {
        let target = (1.0 - down) * admitted;
        while level > 0 && admitted > target {
            admitted -= f64::from(offered[level]);
            level -= 1;
        }
    } else {
        let target = admitted + up * total;
        while level + 1 < offered.len() && admitted < target {
            level += 1;
            admitted += f64::from(offered[level]);
        }
        // Nobody was offered: nothing is known, so nobody is kept out.
        if total == 0.0 {
            level = offered.len() - 1;
        }
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_moves_by_a_share_of_what_is_admitted() {
        let ten = [100; 10];
        let admits = |level: usize| ten[..=level].iter().sum::<u32>();
        let lower = next_level(&ten, 9, true, 0.05, 0.01);
        assert_eq!((lower, admits(lower)), (8, 900), "CB-107");
        let higher = next_level(&ten, 4, false, 0.05, 0.01);
        assert_eq!((higher, admits(higher)), (5, 600), "CB-108");
        assert_eq!(next_level(&ten, 0, true, 0.05, 0.01), 0);
    }

    #[test]
    fn the_important_pass_and_the_same_users_are_refused_everywhere() {
        let play = || {
            let mut admission = Admission::new(Config::default());
            let mut refused = [0u32; 2];
            let mut who = Vec::new();
            for i in 0..60_000u32 {
                let now = Time(u64::from(i) * 1_000_000);
                let business = (i % 2) as u8;
                if admission.admits(now, business, i % 500) {
                    // Only half of it can be served in time.
                    let latency = if i < 2000 { 10 } else { 200 };
                    admission.ended(now, Outcome::Success, Span::from_millis(latency));
                } else {
                    refused[usize::from(business)] += 1;
                    who.push(i % 500);
                }
                if i == 20_000 {
                    assert!(admission.level < LEVELS - 1);
                }
            }
            (refused, who)
        };
        let (refused, who) = play();
        assert!(refused[1] > 10_000, "{refused:?}");
        // The important are touched only when the others are gone.
        assert!(refused[0] < refused[1], "{refused:?}");
        assert_eq!(who, play().1);
    }

    /// A task of ten calls needs all ten: half of the users get through if the same half is let in everywhere, where a coin for each call
    /// leaves one task in a thousand.
    #[test]
    fn a_user_is_let_in_by_all_services_or_by_none() {
        let mut services: Vec<Admission> = (0..10).map(|_| Admission::new(Config::default())).collect();
        services.iter_mut().for_each(|service| service.level = USER_LEVELS / 2 - 1);
        let mut whole = |user: u32| services.iter_mut().all(|s| s.admits(Time(1), 0, user));
        let tasks = (0..1000).filter(|&user| whole(user)).count();
        assert!((450..550).contains(&tasks), "CB-109: {tasks}");
        assert!((libm::pow(0.5, 10.0) - 0.000_977).abs() < 1e-6, "CB-109");
    }
}
