//! How many requests are served at once: where response times begin to grow with the number of others inside.
//!
//! A request that finds n others is served at once while n < c; else it waits for n − c + 1 ends, of which c workers give c in a mean
//! demand, and the first is as far off as what is left of a service that is under way: (1 + cv²) / 2 of one (the inspection paradox). So
//! the mean response time is m for n < c and m (1 + (n − c + (1 + cv²) / 2) / c) from there on, and the c is taken that comes nearest by
//! least squares, weighted by how well each mean is known.

use super::Observations;

/// Requests that a group has at least.
const FEWEST: f64 = 8.0;
/// By how much of χ² a fit with a knee has to be better than one without, in units of its own misfit: requests of one busy time are
/// alike, and there are fewer of these than of requests.
const TELLS: f64 = 20.0;
/// The same for what is as good as the best: the bounds of the interval.
const AS_GOOD: f64 = 8.0;

/// Requests served at once, by an instance or, where instances are not told apart, by all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// The knee was seen.
    Workers {
        /// The best number.
        best: u32,
        /// The least that fits as well.
        low: u32,
        /// The most that does.
        high: u32,
    },
    /// It never was: nobody seems to have waited.
    AtLeast {
        /// So many were inside at once, and served.
        seen: u32,
    },
    /// Response times grow with the number inside, but not from any number on: nobody was alone often enough, or something else slows them
    /// down. One worker is the least, and is what is written.
    Unclear,
}

impl Concurrency {
    /// Others that a request may find without having to wait; `None`: any number of them.
    pub fn room(&self) -> Option<u32> {
        match self {
            Concurrency::Workers { low, .. } => Some(*low),
            Concurrency::AtLeast { .. } => None,
            Concurrency::Unclear => Some(1),
        }
    }

    /// The number to write into a scenario.
    pub fn workers(&self) -> u32 {
        match self {
            Concurrency::Workers { best, .. } => *best,
            Concurrency::AtLeast { seen } => *seen,
            Concurrency::Unclear => 1,
        }
    }

    /// What the data cannot tell.
    pub(super) fn note(&self) -> Option<String> {
        match self {
            Concurrency::AtLeast { seen } => Some(format!(
                "never loaded enough to see the queue: response times do not grow with the number inside, so concurrency is at least {seen}"
            )),
            Concurrency::Workers { low, high, .. } if low != high => {
                Some(format!("the knee is seen, and may be anywhere from {low} to {high}"))
            }
            Concurrency::Workers { .. } => None,
            Concurrency::Unclear => Some(
                "response times grow with the number inside, and no number of workers explains how: too few requests were alone, or they \
                 slow one another down; 1 is a guess"
                    .to_string(),
            ),
        }
    }
}

/// Requests that found the same number of others.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Group {
    fn mean(&self) -> f64 {
        self.sum / self.n
    }

    fn variance(&self) -> f64 {
        (self.squares / self.n - self.mean().powi(2)).max(0.0)
    }
}

/// Finds the knee.
pub fn fit(observations: &Observations) -> Concurrency {
    let mut groups: Vec<Group> = Vec::new();
    for sample in observations.samples.iter().filter(|sample| sample.good) {
        let Some(found) = sample.found else { continue };
        let place = found as usize;
        if place >= groups.len() {
            groups.resize(place + 1, Group::default());
        }
        let group = &mut groups[place];
        (group.n, group.sum) = (group.n + 1.0, group.sum + sample.took);
        group.squares += sample.took * sample.took;
    }
    let known: Vec<(usize, Group)> = groups.into_iter().enumerate().filter(|(_, group)| group.n >= FEWEST).collect();
    let Some(&(most, _)) = known.last() else {
        // Nobody knows who was there with whom: as many as were inside at once, if they were served.
        let busiest = observations.busiest.unwrap_or(1.0);
        return Concurrency::AtLeast { seen: (busiest.ceil() as u32).max(1) };
    };
    let misfit = |c: usize| misfit(&known, c);
    let without = misfit(most + 1);
    let all: Vec<(usize, f64)> = (1..=most).map(|c| (c, misfit(c))).filter(|(_, x)| x.is_finite()).collect();
    let best = all.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    let Some((best, least)) = best else {
        return if grows(&known) { Concurrency::Unclear } else { Concurrency::AtLeast { seen: most as u32 + 1 } };
    };
    // A model that does not fit is not to be believed to the last digit of χ².
    let unit = (least / known.len() as f64).max(1.0);
    if without - least < TELLS * unit {
        return if grows(&known) { Concurrency::Unclear } else { Concurrency::AtLeast { seen: most as u32 + 1 } };
    }
    let fits = || all.iter().filter(|(_, x)| x - least <= AS_GOOD * unit).map(|(c, _)| *c as u32);
    let (low, high) = (fits().min().unwrap_or(best as u32), fits().max().unwrap_or(best as u32));
    Concurrency::Workers { best: best as u32, low, high }
}

/// Whether requests that found many others took much longer than those that found few: by half at least, and by three standard errors.
fn grows(groups: &[(usize, Group)]) -> bool {
    let all: f64 = groups.iter().map(|(_, group)| group.n).sum();
    let (mut few, mut many) = (Group::default(), Group::default());
    for (_, group) in groups {
        let half = if few.n < all / 2.0 { &mut few } else { &mut many };
        half.n += group.n;
        half.sum += group.sum;
        half.squares += group.squares;
    }
    if many.n < FEWEST {
        return false;
    }
    let error = (few.variance() / few.n + many.variance() / many.n).sqrt();
    many.mean() > 1.5 * few.mean() && many.mean() - few.mean() > 3.0 * error
}

/// χ² of the means against the model with `c` workers.
fn misfit(groups: &[(usize, Group)], c: usize) -> f64 {
    let mut quiet = Group::default();
    for (_, group) in groups.iter().filter(|(found, _)| *found < c) {
        quiet.n += group.n;
        quiet.sum += group.sum;
        quiet.squares += group.squares;
    }
    if quiet.n < FEWEST {
        return f64::INFINITY;
    }
    let (mean, variance) = (quiet.mean(), quiet.variance());
    let left = f64::midpoint(1.0, variance / (mean * mean));
    groups
        .iter()
        .map(|&(found, group)| {
            let waits = if found < c { 0.0 } else { ((found - c) as f64 + left) / c as f64 };
            let expected = mean * (1.0 + waits);
            // Of few requests their own variance says little: no less than that of all that did not wait.
            let variance = group.variance().max(variance).max(1e-18);
            group.n * (group.mean() - expected).powi(2) / variance
        })
        .sum()
}
