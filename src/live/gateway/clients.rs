//! Clients by number: the engine counts quotas by dense numbers, the network knows addresses.
//!
//! The first so many addresses get a number each. Beyond that, so that memory stays bounded whoever comes, addresses share the numbers
//! that there are.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// Addresses with a number of their own.
pub const MOST: usize = 1 << 16;

/// Numbers of addresses.
#[derive(Debug, Default)]
pub struct Clients {
    numbers: HashMap<IpAddr, u32>,
    /// Keyed at random, so that nobody can choose an address that shares a number with somebody else's.
    hasher: RandomState,
}

impl Clients {
    /// The number of an address. An IPv6 client counts by its network of 64 bits, for it has all addresses in that.
    pub fn number(&mut self, address: IpAddr) -> u32 {
        let address = match address {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            v4 => v4,
        };
        if let Some(&number) = self.numbers.get(&address) {
            return number;
        }
        let next = self.numbers.len();
        if next < MOST {
            self.numbers.insert(address, next as u32);
            return next as u32;
        }
        (self.hasher.hash_one(address) % MOST as u64) as u32
    }
}
