//! Providers: who starts instances and stops them.
//!
//! A provider is asked for four things, each of which may be asked again without harm: *launch* an instance and say where it is, *drain*
//! it, *terminate* it, and *observe* what it uses; those that can also *crash* one where a scenario wants a fault. It decides nothing:
//! when, how many and which is the engine's business, whether an instance is well is asked of the instance itself.
//!
//! Where instances outlive a gateway that is killed, the next one asks for the *orphans* before it launches anything, and has the provider
//! *adopt* or *dismiss* each.
//!
//! Containers and clouds would be further implementations of [`Provider`].

pub mod addresses;
pub mod command;
pub mod process;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use crate::engine::request::InstanceId;

/// Something a provider does, in its own time.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an instance uses, as far as the provider sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time since it began \[s\].
    pub cpu_seconds: Option<f64>,
    /// Memory \[bytes\].
    pub memory_bytes: Option<f64>,
}

/// An instance that an earlier gateway has left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// What that gateway called it.
    pub number: u32,
    /// Where it answers.
    pub address: SocketAddr,
}

/// Starts and stops instances.
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Starts an instance, and says where it will answer. It need not answer yet.
    fn launch(&self, id: InstanceId) -> Doing<'_, Result<SocketAddr, Error>>;

    /// Ends when the instance has ended by itself; never, if that cannot be seen.
    fn ended(&self, id: InstanceId) -> Doing<'_, ()>;

    /// Tells an instance that it will get nothing new and is to end when it has answered what it has.
    fn drain(&self, id: InstanceId) -> Doing<'_, Result<(), Error>>;

    /// Stops an instance, by force if it takes too long. Fine for one that is gone.
    fn terminate(&self, id: InstanceId) -> Doing<'_, Result<(), Error>>;

    /// Kills an instance as a crash would: at once, with all that it has in hand. Only for faults that a scenario asks for.
    fn crash(&self, id: InstanceId) -> Doing<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Err(Error::NoCrash(id))))
    }

    /// What an instance uses.
    fn observe(&self, id: InstanceId) -> Doing<'_, Result<Usage, Error>>;

    /// Instances of an earlier gateway that are still there. None, where they end with it.
    fn orphans(&self) -> Doing<'_, Result<Vec<Orphan>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// An orphan is `id` from here on; ids come one after the other from 0, before any launch.
    fn adopt(&self, _: InstanceId, _: Orphan) {}

    /// Stops an orphan that nobody adopts.
    fn dismiss(&self, _: Orphan) -> Doing<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Why a provider could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to start.
    #[error("the command is empty")]
    NoCommand,
    /// Its quotes do not pair.
    #[error("the command {0:?} has a quote that does not end")]
    Quotes(String),
    /// The program could not be started.
    #[error("cannot start {program:?}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// No port could be had.
    #[error("cannot get a free port: {0}")]
    Port(io::Error),
    /// A signal could not be sent.
    #[error("cannot signal instance {}: {source}", id.0)]
    Signal {
        /// The instance.
        id: InstanceId,
        /// What the system says.
        source: io::Error,
    },
    /// It is not known here.
    #[error("instance {} is not known", .0.0)]
    Unknown(InstanceId),
    /// It is not of a kind that can be made to crash.
    #[error("instance {} cannot be made to crash: only live.provider = \"process\" starts those that can", .0.0)]
    NoCrash(InstanceId),
    /// All addresses are in use.
    #[error("all {0} upstreams are in use")]
    NoAddress(usize),
    /// The user's program failed.
    #[error("{call} failed: {problem}")]
    Call {
        /// What was called.
        call: String,
        /// How it ended, and what it said.
        problem: String,
    },
}
