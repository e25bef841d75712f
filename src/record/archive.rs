//! Finished runs in a file, whole: what shares of a simulation leave for each other, so that a report of all of them is, byte for byte, the
//! one that a single machine would have written.
//!
//! A file is gzip (RFC 1952, so that damage is noticed) of a line that says what it is and a [`postcard`] of the rest. Only the version
//! that wrote it reads it: shares of one simulation are played by one version.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::record::Run;
use crate::record::fidelity::Fidelity;

/// What a file begins with.
const MAGIC: &[u8] = concat!("wavetank runs ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();
const BEGINNING: &[u8] = b"wavetank runs ";
/// The most that a file is unpacked to \[bytes\]: hundreds of runs with the longest timeline.
const LARGEST: u64 = 4 << 30;

/// Some replications of a simulation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Archive {
    /// What the simulation was of.
    pub of: Simulation,
    /// The command that makes all of it on one machine.
    pub command: String,
    /// Replications with their numbers.
    pub runs: Vec<(u32, Run)>,
}

/// What decides what the replications of a simulation are, and how it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// Fingerprint of the scenario.
    pub digest: String,
    /// Its file, as it was named.
    pub scenario: String,
    /// Overrides of its keys.
    pub overrides: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// Replications in all.
    pub replications: u32,
    /// How much was simulated request by request.
    pub fidelity: Fidelity,
}

impl Archive {
    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let body = postcard::to_stdvec(self).expect("runs are plain values");
        let written = gzip.write_all(MAGIC).and_then(|()| gzip.write_all(&body)).and_then(|()| gzip.finish());
        written.expect("memory takes what is written")
    }

    /// What is in a file, or in words why it cannot be used.
    pub fn read(bytes: &[u8]) -> Result<Archive, String> {
        let mut plain = Vec::new();
        GzDecoder::new(bytes).take(LARGEST).read_to_end(&mut plain).map_err(|error| error.to_string())?;
        let Some(body) = plain.strip_prefix(MAGIC) else {
            let other = plain.strip_prefix(BEGINNING).and_then(|rest| rest.split(|byte| *byte == b'\n').next());
            return Err(match other {
                Some(version) => format!(
                    "runs of wavetank {}, and this is {}: shares of one simulation take one version",
                    String::from_utf8_lossy(version),
                    env!("CARGO_PKG_VERSION")
                ),
                None => "not a file of runs".to_string(),
            });
        };
        postcard::from_bytes(body).map_err(|error| format!("damaged: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Archive {
        let of = Simulation {
            digest: "d".into(),
            scenario: "s.toml".into(),
            overrides: vec!["a=1".into()],
            seed: 7,
            replications: 2,
            fidelity: Fidelity::Full,
        };
        Archive { of, command: String::new(), runs: Vec::new() }
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_told() {
        let bytes = empty().write();
        assert_eq!(Archive::read(&bytes).unwrap().of, empty().of);
        let mut damaged = bytes.clone();
        let at = damaged.len() - 6;
        damaged[at] ^= 1;
        assert!(Archive::read(&damaged).is_err());
        assert!(Archive::read(&bytes[..bytes.len() / 2]).is_err());
        let packed = |text: &[u8]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(text).unwrap();
            gzip.finish().unwrap()
        };
        let other = Archive::read(&packed(b"wavetank runs 0.0.1\nx")).unwrap_err();
        assert!(other.starts_with("runs of wavetank 0.0.1, and this is "), "{other}");
        assert_eq!(Archive::read(&packed(b"something")).unwrap_err(), "not a file of runs");
    }
}
