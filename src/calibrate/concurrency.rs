//! How many requests are served at once: where response times begin to grow with the number of others inside.
//!
//! A request that finds n others is served at once while n < c; else it waits for n − c + 1 ends, of which c workers give c in a mean
//! demand, and the first is as far off as what is left of a service that is under way: (1 + cv²) / 2 of one (the inspection paradox). So
//! the mean response time is m for n < c and m (1 + (n − c + (1 + cv²) / 2) / c) from there on, and the c is taken that comes nearest by
//! least squares, weighted by how well each mean is known.
//!
//! Of those that wait together that is less than their number says: whoever comes behind k others shares all but one of the k services that it
//! waits for with whoever came just before, and a long queue is one event, however many stand in it. So a group that found n counts for a
//! (1 + n − c)-th of its requests.

use super::Observations;

/// Requests that a group has at least.
const FEWEST: f64 = 8.0;
/// By how much of χ² a fit with a knee has to be better than one without, in units of its own misfit: requests of one busy time are
/// alike, and there are fewer of these than of requests.
const TELLS: f64 = 12.0;
/// The same for what is as good as the best: the bounds of the interval.
const AS_GOOD: f64 = 6.0;
/// How far the slope may be from a c-th of the quiet mean, as a share of it: other things grow with load, too.
const RATIO: f64 = 0.1;

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
    // Who waited is known once the knee is: it is found twice, at first as if everybody had.
    let fits = |from: usize| -> Vec<(usize, f64)> {
        (1..=most).map(|c| (c, misfit(&known, c, from))).filter(|(_, x)| x.is_finite()).collect()
    };
    let best_of = |all: &[(usize, f64)]| all.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    let from = best_of(&fits(0)).map_or(0, |(c, _)| c);
    let all = fits(from);
    let without = misfit(&known, most + 1, from);
    let best = best_of(&all);
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

/// χ² of the means against the model with `c` workers, where those are taken for waiting together that found `from` others or more.
///
/// The slope is fitted by itself, so that a quiet mean of few requests does not decide by what it makes of long queues; that it is a c-th of
/// the quiet mean counts as one more observation.
fn misfit(groups: &[(usize, Group)], c: usize, from: usize) -> f64 {
    let mut quiet = Group::default();
    for (_, group) in groups.iter().filter(|(found, _)| *found < c) {
        quiet.n += group.n;
        quiet.sum += group.sum;
        quiet.squares += group.squares;
    }
    if quiet.n < FEWEST {
        return f64::INFINITY;
    }
    let (mean, scv) = (quiet.mean(), quiet.variance() / quiet.mean().powi(2));
    // Of few requests their own variance says little: no less than that of those that found fewest. The same for every c, or a c that took
    // everybody for quiet would make its own misfit small.
    let least = groups.first().map_or(0.0, |(_, group)| group.variance()).max(1e-18);
    let ahead = |found: usize| (found - c) as f64 + f64::midpoint(1.0, scv);
    let weight = |found: usize, group: &Group| {
        let alike = 1.0 + found.saturating_sub(from) as f64;
        group.n / alike / group.variance().max(least)
    };
    let waiting = || groups.iter().filter(|(found, _)| *found >= c);
    let (product, square) = waiting().fold((0.0, 0.0), |(product, square), (found, group)| {
        let (w, x) = (weight(*found, group), ahead(*found));
        (product + w * (group.mean() - mean) * x, square + w * x * x)
    });
    let slope = if square > 0.0 { (product / square).max(0.0) } else { 0.0 };
    let of_groups: f64 = groups
        .iter()
        .map(|(found, group)| {
            let waits = if *found < c { 0.0 } else { slope * ahead(*found) };
            weight(*found, group) * (group.mean() - mean - waits).powi(2)
        })
        .sum();
    if square == 0.0 {
        return of_groups;
    }
    let off = mean / (slope.max(mean * 1e-6) * c as f64) - 1.0;
    of_groups + off * off / (RATIO * RATIO + scv / quiet.n)
}
