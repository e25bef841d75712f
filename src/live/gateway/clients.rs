//! Numbers of addresses: the engine counts quotas by dense numbers, the network knows addresses.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::engine::limiter::keys::{self, Found, Keys, Overflow};
use crate::live::driver::Driver;

/// Addresses with a number of their own.
const MOST: u32 = 1 << 16;
/// Bits of an IPv6 address that count: a client has all addresses of its network.
const PREFIX: u8 = 64;

/// The name of a client at this address.
pub fn name(address: IpAddr) -> u128 {
    keys::of_address(address, PREFIX)
}

/// Who has which number.
#[derive(Debug)]
pub struct Clients(Mutex<Keys>);

impl Default for Clients {
    fn default() -> Clients {
        Clients(Mutex::new(Keys::new(MOST, Overflow::Hashed, RandomState::new().hash_one(0))))
    }
}

impl Clients {
    /// The number of a client's address, which may have been another's whose quota is full again.
    pub fn number(&self, driver: &Driver, address: IpAddr) -> u32 {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = |key| driver.with(|now, core| core.engine.is_idle(now, key));
        match clients.find(name(address), is_idle) {
            Found::Key(number) => number,
            // Overflow has a number here.
            Found::Refused | Found::Free => MOST,
        }
    }
}
