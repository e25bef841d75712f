//! Decomposition into trend, seasons and remainder: STL for one season, MSTL for several.
//!
//! STL (Cleveland, Cleveland, McRae, Terpenning 1990): smooth each slot of the period over the cycles, take what is slow out of
//! that, smooth what is left over time, and again; weights from the remainder keep spikes out. MSTL (Bandara, Hyndman,
//! Bergmeir 2021) does so for each period in turn, on the series without the other seasons.
//!
//! Slots are smoothed by local means (degree 0, which does not run away at the ends), trend and low-pass by local lines.
//! A pass over the series is one piece of work: [`Mstl::advance`] does one and returns.

/// A series taken apart: `trend + Σ seasonal + remainder`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decomposition {
    /// Periods, the shortest first.
    pub periods: Vec<usize>,
    /// A season for each period.
    pub seasonal: Vec<Vec<f64>>,
    /// What is slow.
    pub trend: Vec<f64>,
    /// The rest.
    pub remainder: Vec<f64>,
}

impl Decomposition {
    /// Strength of a season, `max(0, 1 − Var(remainder)/Var(seasonal + remainder))`, 0..1.
    pub fn strength(&self, season: usize) -> f64 {
        let both: Vec<f64> = self.seasonal[season].iter().zip(&self.remainder).map(|(s, r)| s + r).collect();
        let (rest, whole) = (variance(&self.remainder), variance(&both));
        if whole > 0.0 { (1.0 - rest / whole).max(0.0) } else { 0.0 }
    }
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n
}

/// Rounds over all periods.
const ROUNDS: u32 = 2;
/// Passes with the same weights, and times that weights are taken from the remainder.
const INNER: u32 = 2;
/// How often weights are renewed.
const OUTER: u32 = 1;

/// A decomposition in the making.
#[derive(Clone, Debug)]
pub struct Mstl {
    periods: Vec<usize>,
    /// Cycles over which a slot is smoothed, one a period.
    windows: Vec<usize>,
    seasonal: Vec<Vec<f64>>,
    trend: Vec<f64>,
    weights: Vec<f64>,
    /// Where it is: round, period, pass.
    round: u32,
    season: usize,
    pass: u32,
}

impl Mstl {
    /// Takes apart a series of `n` values with `periods`, the shortest first, each seen twice at least.
    pub fn new(n: usize, periods: &[usize]) -> Mstl {
        Mstl {
            periods: periods.to_vec(),
            windows: (0..periods.len()).map(|i| 11 + 4 * i).collect(),
            seasonal: vec![vec![0.0; n]; periods.len()],
            trend: vec![0.0; n],
            weights: vec![1.0; n],
            round: 0,
            season: 0,
            pass: 0,
        }
    }

    /// Makes one pass over `series`; the result, once there is nothing more to do.
    pub fn advance(&mut self, series: &[f64]) -> Option<Decomposition> {
        let i = self.season;
        let (period, window) = (self.periods[i], self.windows[i]);
        let others: Vec<f64> = (0..series.len())
            .map(|t| {
                let seasons: f64 = (0..self.periods.len()).filter(|j| *j != i).map(|j| self.seasonal[j][t]).sum();
                series[t] - seasons
            })
            .collect();
        if self.pass == 0 {
            self.trend.fill(0.0);
            self.weights.fill(1.0);
            if self.round == 0 {
                // A first trend, so that the first season is not asked to explain it.
                self.trend = moving_mean_of(&others, period);
            }
        }
        self.seasonal[i] = seasonal_pass(&others, &self.trend, &self.weights, period, window);
        let adjusted: Vec<f64> = others.iter().zip(&self.seasonal[i]).map(|(y, s)| y - s).collect();
        let span = (1.5 * period as f64 / (1.0 - 1.5 / window as f64)).ceil() as usize | 1;
        self.trend = loess(&adjusted, &self.weights, span);
        self.pass += 1;
        if self.pass.is_multiple_of(INNER) && self.pass < INNER * (OUTER + 1) {
            self.weights = bisquare(&adjusted, &self.trend);
        }
        if self.pass == INNER * (OUTER + 1) {
            self.pass = 0;
            self.season += 1;
            if self.season == self.periods.len() {
                self.season = 0;
                self.round += 1;
            }
        }
        let last_round = if self.periods.len() > 1 { ROUNDS } else { 1 };
        (self.round == last_round).then(|| self.result(series))
    }

    fn result(&mut self, series: &[f64]) -> Decomposition {
        let remainder = (0..series.len())
            .map(|t| series[t] - self.trend[t] - self.seasonal.iter().map(|season| season[t]).sum::<f64>())
            .collect();
        Decomposition {
            periods: self.periods.clone(),
            seasonal: std::mem::take(&mut self.seasonal),
            trend: std::mem::take(&mut self.trend),
            remainder,
        }
    }
}

/// Takes a series apart at once.
pub fn decompose(series: &[f64], periods: &[usize]) -> Decomposition {
    let mut mstl = Mstl::new(series.len(), periods);
    loop {
        if let Some(done) = mstl.advance(series) {
            return done;
        }
    }
}

/// Smooths each slot over the cycles, extended by a cycle at both ends, and takes out what is slow.
fn seasonal_pass(series: &[f64], trend: &[f64], weights: &[f64], period: usize, window: usize) -> Vec<f64> {
    let n = series.len();
    let mut cycle = vec![0.0; n + 2 * period];
    for slot in 0..period.min(n) {
        let places: Vec<usize> = (slot..n).step_by(period).collect();
        let values: Vec<f64> = places.iter().map(|&t| series[t] - trend[t]).collect();
        let trust: Vec<f64> = places.iter().map(|&t| weights[t]).collect();
        for k in 0..values.len() + 2 {
            cycle[slot + k * period] = local_mean(&values, &trust, k as f64 - 1.0, window);
        }
        // The slots of an incomplete last cycle end one cycle sooner.
        let filled = slot + (values.len() + 2) * period;
        if filled < cycle.len() {
            cycle[filled] = cycle[filled - period];
        }
    }
    let slow = moving_mean(&moving_mean(&moving_mean(&cycle, period), period), 3);
    let slow = loess(&slow[..n.min(slow.len())], &vec![1.0; n], period | 1);
    (0..n).map(|t| cycle[t + period] - slow[t]).collect()
}

/// Means of `width` neighbours; shorter than the series by `width − 1`.
fn moving_mean(series: &[f64], width: usize) -> Vec<f64> {
    let mut sum: f64 = series.iter().take(width).sum();
    let mut means = Vec::with_capacity(series.len());
    means.push(sum / width as f64);
    for t in width..series.len() {
        sum += series[t] - series[t - width];
        means.push(sum / width as f64);
    }
    means
}

/// Centered means over `width`, as long as the series; the ends keep the nearest one.
fn moving_mean_of(series: &[f64], width: usize) -> Vec<f64> {
    let means = moving_mean(series, width.min(series.len()));
    (0..series.len()).map(|t| means[t.saturating_sub(width / 2).min(means.len() - 1)]).collect()
}

/// Tricube-weighted mean of the `window` values nearest to place `x`, which may lie a step outside.
fn local_mean(values: &[f64], trust: &[f64], x: f64, window: usize) -> f64 {
    let n = values.len();
    let width = window.min(n);
    let low = ((x - (width / 2) as f64).max(0.0) as usize).min(n - width);
    let high = low + width - 1;
    // A window wider than the series looks at all of it, and flatter.
    let wider = ((window - width) / 2) as f64;
    let reach = ((x - low as f64).abs().max((high as f64 - x).abs()) + wider).max(1.0) * 1.001;
    let (mut sum, mut total) = (0.0, 0.0);
    for k in low..=high {
        let weight = trust[k] * tricube((k as f64 - x).abs() / reach);
        sum += weight * values[k];
        total += weight;
    }
    if total > 1e-9 {
        return sum / total;
    }
    // Nothing here is trusted: the middle one is least likely to be the culprit.
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[n / 2]
}

fn tricube(u: f64) -> f64 {
    let v = 1.0 - u * u * u;
    v * v * v
}

/// Local lines over the nearest `span` values, worked out at every tenth of the span and joined by straight lines.
fn loess(series: &[f64], weights: &[f64], span: usize) -> Vec<f64> {
    let n = series.len();
    if n < 2 {
        return series.to_vec();
    }
    let jump = (span / 10).max(1);
    let mut smooth = vec![0.0; n];
    let mut before: Option<usize> = None;
    let mut t = 0;
    loop {
        smooth[t] = local_line(series, weights, t, span);
        if let Some(from) = before {
            let (a, b) = (smooth[from], smooth[t]);
            for (k, between) in smooth[from + 1..t].iter_mut().enumerate() {
                *between = a + (b - a) * (k + 1) as f64 / (t - from) as f64;
            }
        }
        if t == n - 1 {
            return smooth;
        }
        before = Some(t);
        t = (t + jump).min(n - 1);
    }
}

fn local_line(series: &[f64], weights: &[f64], at: usize, span: usize) -> f64 {
    let n = series.len();
    let width = span.min(n);
    let low = at.saturating_sub(width / 2).min(n - width);
    let high = low + width - 1;
    let mut reach = (at - low).max(high - at) as f64;
    if span > n {
        reach += ((span - n) / 2) as f64;
    }
    let reach = reach.max(1.0) * 1.001;
    let (mut w, mut wx, mut wy, mut wxx, mut wxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for k in low..=high {
        let x = k as f64 - at as f64;
        let weight = weights[k] * tricube(x.abs() / reach);
        w += weight;
        wx += weight * x;
        wy += weight * series[k];
        wxx += weight * x * x;
        wxy += weight * x * series[k];
    }
    if w < 1e-9 {
        return series[at];
    }
    let (mean_x, mean_y) = (wx / w, wy / w);
    let spread = wxx / w - mean_x * mean_x;
    if spread < 1e-6 * reach * reach {
        return mean_y;
    }
    let slope = (wxy / w - mean_x * mean_y) / spread;
    mean_y - slope * mean_x
}

/// Weights from the remainder: 1 for a small one, 0 beyond six median deviations.
fn bisquare(adjusted: &[f64], trend: &[f64]) -> Vec<f64> {
    let rest: Vec<f64> = adjusted.iter().zip(trend).map(|(y, t)| (y - t).abs()).collect();
    let mut sorted = rest.clone();
    let middle = sorted.len() / 2;
    let (_, median, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
    let limit = (6.0 * *median).max(1e-12);
    rest.iter()
        .map(|r| {
            let u = r / limit;
            if u < 1.0 { (1.0 - u * u) * (1.0 - u * u) } else { 0.0 }
        })
        .collect()
}
