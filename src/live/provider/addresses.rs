//! Instances that others start: a list of addresses, each in use or not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Doing, Error, Provider, Usage};
use crate::engine::request::InstanceId;

/// Hands out addresses.
#[derive(Debug)]
pub struct Addresses {
    all: Vec<SocketAddr>,
    used: Mutex<BTreeMap<InstanceId, SocketAddr>>,
}

impl Addresses {
    /// None is in use.
    pub fn new(all: Vec<SocketAddr>) -> Addresses {
        Addresses { all, used: Mutex::default() }
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<InstanceId, SocketAddr>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Addresses {
    fn launch(&self, id: InstanceId) -> Doing<'_, Result<SocketAddr, Error>> {
        let mut used = self.used();
        let taken: Vec<SocketAddr> = used.values().copied().collect();
        let free = self.all.iter().find(|address| !taken.contains(address)).copied();
        let found = used.get(&id).copied().or(free);
        if let Some(address) = found {
            used.insert(id, address);
        }
        Box::pin(std::future::ready(found.ok_or(Error::NoAddress(self.all.len()))))
    }

    fn ended(&self, _: InstanceId) -> Doing<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn drain(&self, _: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn terminate(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        self.used().remove(&id);
        Box::pin(std::future::ready(Ok(())))
    }

    fn observe(&self, _: InstanceId) -> Doing<'_, Result<Usage, Error>> {
        Box::pin(std::future::ready(Ok(Usage::default())))
    }
}
