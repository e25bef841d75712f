//! Whose quota it is, where callers choose their names: a bounded table from names to the dense keys of a [`super::Limiter`].
//!
//! A limiter keyed by something that an attacker chooses is a memory leak. So there are at most so many entries, and an exact rule for
//! forgetting: an entry whose quota is full again is *idle*, no different from one that never was, and gives its place to a new name
//! once there is no other. Then each insertion looks at two old entries, so that forgetting costs O(1).
//!
//! ```text
//! name ─▶ known?  ─▶ its key
//!         place left, or an idle one? ─▶ that key, from now on
//!         neither ─▶ hashed: one of as many keys again, shared by chance · shared: one key for all · reject · allow
//! ```
//!
//! Names are 128 bits: an address ([`of_address`]), or a hash with a secret of what else there is. Who chooses them must not choose with
//! whom they share: hashes are keyed by a secret that the driver draws.

use core::net::IpAddr;
use std::collections::HashMap;

use crate::rng::{mix, pick};

/// The name of a client that is known by its address. An IPv6 address counts by its first `prefix` bits (0..=128), for one host has a
/// whole /64 of them; an IPv4 address that is mapped into IPv6 is the IPv4 address.
pub fn of_address(address: IpAddr, prefix: u8) -> u128 {
    const MAPPED: u128 = 0xffff << 32;
    match address.to_canonical() {
        IpAddr::V4(v4) => MAPPED | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let hidden = 128 - u32::from(prefix.min(128));
            v6.to_bits().checked_shr(hidden).and_then(|kept| kept.checked_shl(hidden)).unwrap_or(0)
        }
    }
}

/// What becomes of a new name when the table is full and nobody in it is idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It shares one of as many quotas again, by a hash of its name: no one gets more than a quota, some get less.
    #[default]
    Hashed,
    /// All such share one quota.
    Shared,
    /// It is refused.
    Reject,
    /// It is let in.
    Allow,
}

/// Whose quota a request is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// That of this key.
    Key(u32),
    /// Nobody's: it is refused.
    Refused,
    /// Nobody's: it is let in.
    Free,
}

/// The names that are known.
#[derive(Clone, Debug)]
pub struct Keys {
    most: u32,
    overflow: Overflow,
    secret: u64,
    places: HashMap<u128, u32, foldhash::fast::FixedState>,
    names: Vec<u128>,
    /// The entry that is looked at next.
    hand: usize,
    overflowed: u64,
}

impl Keys {
    /// Nobody is known; there will be at most `most` entries (at least 1). `secret` keys the hashes.
    pub fn new(most: u32, overflow: Overflow, secret: u64) -> Keys {
        Keys {
            most: most.max(1),
            overflow,
            secret,
            places: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(secret)),
            names: Vec::new(),
            hand: 0,
            overflowed: 0,
        }
    }

    /// Whose quota a request under `name` is counted against; `is_idle` tells whether a key's is full.
    pub fn find(&mut self, name: u128, is_idle: impl FnMut(u32) -> bool) -> Found {
        if let Some(&key) = self.places.get(&name) {
            return Found::Key(key);
        }
        let next = self.names.len() as u32;
        if next < self.most {
            self.names.push(name);
            self.places.insert(name, next);
            return Found::Key(next);
        }
        if let Some(key) = self.idle(is_idle) {
            self.places.remove(&self.names[key as usize]);
            self.names[key as usize] = name;
            self.places.insert(name, key);
            return Found::Key(key);
        }
        self.overflowed += 1;
        match self.overflow {
            Overflow::Hashed => {
                let hash = mix(mix(name as u64 ^ self.secret) ^ (name >> 64) as u64);
                Found::Key(self.most.saturating_add(pick(hash, self.most as usize) as u32))
            }
            Overflow::Shared => Found::Key(self.most),
            Overflow::Reject => Found::Refused,
            Overflow::Allow => Found::Free,
        }
    }

    /// An entry that is idle, among the next two.
    fn idle(&mut self, mut is_idle: impl FnMut(u32) -> bool) -> Option<u32> {
        for _ in 0..self.names.len().min(2) {
            let key = self.hand as u32;
            self.hand = (self.hand + 1) % self.names.len();
            if is_idle(key) {
                return Some(key);
            }
        }
        None
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Requests whose name found no place.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Algorithm, Config, Key, Limiter};
    use super::*;
    use crate::units::{Span, Time};

    fn limiter() -> Limiter {
        let config = Config { burst: Some(1), ..Config::new(Algorithm::Gcra, Key::Client, 1, Span::from_secs(1)) };
        Limiter::new(&config, 0)
    }

    fn admit(keys: &mut Keys, limiter: &mut Limiter, now: Time, name: u128) -> bool {
        match keys.find(name, |key| limiter.is_idle(now, key)) {
            Found::Key(key) => limiter.admit(now, key).is_ok(),
            Found::Refused => false,
            Found::Free => true,
        }
    }

    #[test]
    fn a_flood_of_names_takes_no_more_than_the_table() {
        let (mut keys, mut limiter) = (Keys::new(1000, Overflow::Hashed, 7), limiter());
        for i in 0..10_000_000u64 {
            // 50,000 new names a second, each once.
            admit(&mut keys, &mut limiter, Time(i * 20_000), u128::from(i));
        }
        assert_eq!(keys.len(), 1000, "RL-40");
        assert!(keys.overflowed() > 9_000_000);
    }

    #[test]
    fn who_is_in_the_table_and_keeps_to_the_limit_is_never_refused() {
        let (mut keys, mut limiter) = (Keys::new(10, Overflow::Reject, 7), limiter());
        for second in 0..20 {
            let at = |ms: u64| Time::ZERO + Span::from_millis(second * 1000 + ms);
            for name in 0..10 {
                assert!(admit(&mut keys, &mut limiter, at(0), name), "RL-40: {name} in second {second}");
            }
            assert!(!admit(&mut keys, &mut limiter, at(1), 1_000_000), "nobody is idle");
        }
        assert!(admit(&mut keys, &mut limiter, Time::from_secs_f64(30.0), 1_000_000), "all are idle");
    }

    #[test]
    fn overflow_does_what_it_says() {
        for (overflow, expected) in
            [(Overflow::Shared, [true, false]), (Overflow::Reject, [false, false]), (Overflow::Allow, [true, true])]
        {
            let (mut keys, mut limiter) = (Keys::new(1, overflow, 7), limiter());
            assert!(admit(&mut keys, &mut limiter, Time::ZERO, 1));
            assert_eq!([2, 3].map(|name| admit(&mut keys, &mut limiter, Time::ZERO, name)), expected, "{overflow:?}");
        }
    }

    #[test]
    fn addresses_of_one_host_are_one_name() {
        let name = |text: &str| of_address(text.parse().unwrap(), 64);
        assert_eq!(name("::ffff:192.0.2.1"), name("192.0.2.1"), "RL-41");
        assert_eq!(name("2001:db8::1"), name("2001:db8::ffff"), "RL-42");
        assert_ne!(name("2001:db8::1"), name("2001:db8:0:1::1"));
        assert_ne!(name("192.0.2.1"), name("192.0.2.2"));
        assert_eq!(of_address("2001:db8::1".parse().unwrap(), 0), 0);
    }
}
