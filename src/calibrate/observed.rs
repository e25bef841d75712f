//! What was observed: requests with their response times, and whom each of them found there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A request that a server answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it reached the server \[s\].
    pub at: f64,
    /// How long until it was answered \[s\], > 0.
    pub took: f64,
    /// What was asked for: its place in [`Observations::endpoints`].
    pub endpoint: usize,
    /// The instance that answered; `None` if that was not recorded.
    pub instance: Option<u32>,
    /// Whether it was answered well.
    pub good: bool,
    /// Requests that it stands for.
    pub weight: f64,
    /// Others inside the server when it came; `None` if that cannot be told.
    pub found: Option<u32>,
}

/// The launch of an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Launch {
    /// Which.
    pub instance: u32,
    /// When it was asked for \[s\]; 0 for those that were there when the run began.
    pub launched: f64,
    /// When it took traffic first \[s\].
    pub ready: f64,
}

/// Everything that was observed.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// Paths.
    pub endpoints: Vec<String>,
    /// Requests.
    pub samples: Vec<Sample>,
    /// Launches that came to their end, those before the beginning included.
    pub launches: Vec<Launch>,
    /// Instances at the beginning; `None` if that was not recorded.
    pub instances: Option<u32>,
    /// Time on the way to and from where response times were measured, on average \[s\]: between clients and a gateway, say.
    pub way_before: f64,
    /// The part of the measured response times that is neither waiting nor service, on average \[s\]; `None` if it is not known, and has to
    /// be fitted.
    pub way_inside: Option<f64>,
    /// The most that were inside at once, on average over a second or more, where single requests cannot be laid beside one another.
    pub busiest: Option<f64>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Length of the recording \[s\].
    pub seconds: f64,
}

impl Observations {
    /// Finds out for every request how many others were inside when it came: in its own instance where that is known, else anywhere.
    pub fn look_around(&mut self) {
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        order.sort_by(|&a, &b| self.samples[a].at.total_cmp(&self.samples[b].at));
        // Ends of those inside, by instance; times are positive, so that their bits are in their order.
        let mut inside: BTreeMap<Option<u32>, BinaryHeap<Reverse<u64>>> = BTreeMap::new();
        for i in order {
            let sample = &mut self.samples[i];
            let ends = inside.entry(sample.instance).or_default();
            while ends.peek().is_some_and(|Reverse(end)| f64::from_bits(*end) <= sample.at) {
                ends.pop();
            }
            sample.found = Some(ends.len() as u32);
            ends.push(Reverse((sample.at + sample.took).max(0.0).to_bits()));
        }
    }

    /// Requests per second, good or bad \[1/s\].
    pub fn rate_rps(&self) -> f64 {
        let all: f64 = self.samples.iter().map(|sample| sample.weight).sum();
        if self.seconds > 0.0 { all / self.seconds } else { 0.0 }
    }

    /// Requests that were answered well, and found fewer than `room` others; of those whose company is not known, all.
    pub fn with_room(&self, room: Option<u32>) -> impl Iterator<Item = &Sample> {
        let fits = move |found: Option<u32>| match (found, room) {
            (Some(found), Some(room)) => found < room,
            _ => true,
        };
        self.samples.iter().filter(move |sample| sample.good && fits(sample.found))
    }
}
