//! The search for parameters: a pattern search in pieces.
//!
//! Coordinate by coordinate, a step up, else a step down, keep what is better; when no coordinate helps, halve the steps
//! (Hooke & Jeeves 1961). One trial is one piece of work, so a caller may stop after any of them and go on later: a refit
//! never holds up who is waiting. The number of trials is bounded.

/// A search in `N` dimensions.
#[derive(Clone, Debug)]
pub struct Search<const N: usize> {
    low: [f64; N],
    high: [f64; N],
    best: [f64; N],
    best_loss: f64,
    step: [f64; N],
    trial: [f64; N],
    coordinate: usize,
    downwards: bool,
    improved: bool,
    halvings: u32,
    trials: u32,
}

/// Halvings of the steps, after which the search ends: an eighth of the first step is fine enough for smoothing parameters.
const HALVINGS: u32 = 3;

impl<const N: usize> Search<N> {
    /// Starts at `start`, with steps of a quarter of each range; a coordinate whose `low` is its `high` is fixed.
    pub fn new(low: [f64; N], high: [f64; N], start: [f64; N]) -> Search<N> {
        let mut step = [0.0; N];
        for i in 0..N {
            step[i] = (high[i] - low[i]) / 4.0;
        }
        Search {
            low,
            high,
            best: start,
            best_loss: f64::INFINITY,
            step,
            trial: start,
            coordinate: 0,
            downwards: false,
            improved: false,
            halvings: 0,
            trials: 0,
        }
    }

    /// What to try next.
    pub fn trial(&self) -> [f64; N] {
        self.trial
    }

    /// The loss of the trial; `true` when there is nothing more to try.
    pub fn report(&mut self, loss: f64) -> bool {
        let first = self.trials == 0;
        self.trials += 1;
        if loss < self.best_loss {
            self.best_loss = loss;
            self.best = self.trial;
            self.improved = true;
            if !first {
                self.next_coordinate();
            }
        } else if !self.downwards {
            self.downwards = true;
        } else {
            self.next_coordinate();
        }
        while self.halvings <= HALVINGS && self.trials < 40 * N as u32 {
            let i = self.coordinate;
            let step = if self.downwards { -self.step[i] } else { self.step[i] };
            let to = (self.best[i] + step).clamp(self.low[i], self.high[i]);
            if to != self.best[i] {
                self.trial = self.best;
                self.trial[i] = to;
                return false;
            }
            if self.downwards { self.next_coordinate() } else { self.downwards = true }
        }
        true
    }

    fn next_coordinate(&mut self) {
        self.downwards = false;
        self.coordinate += 1;
        if self.coordinate == N {
            self.coordinate = 0;
            if !self.improved {
                self.halvings += 1;
                self.step.iter_mut().for_each(|step| *step /= 2.0);
            }
            self.improved = false;
        }
    }

    /// The best so far.
    pub fn best(&self) -> [f64; N] {
        self.best
    }
}
