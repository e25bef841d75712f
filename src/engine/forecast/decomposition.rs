//! Decomposition into trend, seasons and remainder: STL for one season, MSTL for several.
//!
//! STL (Cleveland, Cleveland, McRae, Terpenning 1990): smooth each slot of the period over the cycles, take what is slow out of
//! that, smooth what is left over time, and again; weights from the remainder keep spikes out. MSTL (Bandara, Hyndman,
//! Bergmeir 2021) does so for each period in turn, on the series without the other seasons.
//!
//! Slots are smoothed by local means (degree 0, which does not run away at the ends), trend and low-pass by local lines.
//! A pass over the series is cut into pieces of some tens of microseconds: [`Mstl::advance`] does one and returns.

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

/// Values looked at in one piece of work, about.
const PIECE: usize = 6000;

/// A decomposition in the making.
#[derive(Clone, Debug)]
pub struct Mstl {
    periods: Vec<usize>,
    /// Cycles over which a slot is smoothed, one a period.
    windows: Vec<usize>,
    seasonal: Vec<Vec<f64>>,
    trend: Vec<f64>,
    weights: Vec<f64>,
    /// The series without the other seasons.
    others: Vec<f64>,
    /// Where it is: round, period, pass, and within the pass.
    round: u32,
    season: usize,
    pass: u32,
    part: Part,
}

/// A part of a pass.
#[derive(Clone, Debug)]
enum Part {
    /// Takes the other seasons away.
    Begin,
    /// Smooths the slots of the period, the next one is `slot`.
    Slots { cycle: Vec<f64>, slot: usize },
    /// Takes out of the smoothed slots what is slow.
    Slow { cycle: Vec<f64>, line: Line },
    /// Smooths what is left over time.
    Trend { adjusted: Vec<f64>, line: Line },
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
            others: Vec::new(),
            round: 0,
            season: 0,
            pass: 0,
            part: Part::Begin,
        }
    }

    /// Does a piece of a pass over `series`; the result, once there is nothing more to do.
    pub fn advance(&mut self, series: &[f64]) -> Option<Decomposition> {
        let (period, window) = (self.periods[self.season], self.windows[self.season]);
        self.part = match std::mem::replace(&mut self.part, Part::Begin) {
            Part::Begin => {
                self.begin(series, period);
                Part::Slots { cycle: vec![0.0; series.len() + 2 * period], slot: 0 }
            }
            Part::Slots { mut cycle, slot } => {
                let cost = window * (series.len() / period).max(1);
                let until = (slot + (PIECE / cost).max(1)).min(period.min(series.len()));
                for slot in slot..until {
                    smooth_slot(&mut cycle, slot, &self.others, &self.trend, &self.weights, period, window);
                }
                if until < period.min(series.len()) {
                    Part::Slots { cycle, slot: until }
                } else {
                    let slow = moving_mean(&moving_mean(&moving_mean(&cycle, period), period), 3);
                    Part::Slow { cycle, line: Line::new(slow[..series.len()].to_vec(), period | 1) }
                }
            }
            Part::Slow { cycle, mut line } => match line.advance(None) {
                None => Part::Slow { cycle, line },
                Some(slow) => {
                    let season = &mut self.seasonal[self.season];
                    (0..series.len()).for_each(|t| season[t] = cycle[t + period] - slow[t]);
                    let adjusted: Vec<f64> = self.others.iter().zip(season).map(|(y, s)| y - *s).collect();
                    let span = (1.5 * period as f64 / (1.0 - 1.5 / window as f64)).ceil() as usize | 1;
                    Part::Trend { line: Line::new(adjusted.clone(), span), adjusted }
                }
            },
            Part::Trend { adjusted, mut line } => match line.advance(Some(&self.weights)) {
                None => Part::Trend { adjusted, line },
                Some(trend) => {
                    self.trend = trend;
                    self.end_pass(&adjusted);
                    Part::Begin
                }
            },
        };
        let last_round = if self.periods.len() > 1 { ROUNDS } else { 1 };
        (self.round == last_round).then(|| self.result(series))
    }

    fn begin(&mut self, series: &[f64], period: usize) {
        self.others.clear();
        self.others.extend_from_slice(series);
        for (_, season) in self.seasonal.iter().enumerate().filter(|(i, _)| *i != self.season) {
            self.others.iter_mut().zip(season).for_each(|(y, s)| *y -= s);
        }
        if self.pass == 0 {
            self.trend.fill(0.0);
            self.weights.fill(1.0);
            if self.round == 0 {
                // A first trend, so that the first season is not asked to explain it.
                self.trend = moving_mean_of(&self.others, period);
            }
        }
    }

    fn end_pass(&mut self, adjusted: &[f64]) {
        self.pass += 1;
        if self.pass.is_multiple_of(INNER) && self.pass < INNER * (OUTER + 1) {
            self.weights = bisquare(adjusted, &self.trend);
        }
        if self.pass == INNER * (OUTER + 1) {
            self.pass = 0;
            self.season += 1;
            if self.season == self.periods.len() {
                self.season = 0;
                self.round += 1;
            }
        }
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

/// Smooths a slot over the cycles, extended by a cycle at both ends.
fn smooth_slot(
    cycle: &mut [f64],
    slot: usize,
    series: &[f64],
    trend: &[f64],
    weights: &[f64],
    period: usize,
    window: usize,
) {
    let places = || (slot..series.len()).step_by(period);
    let values: Vec<f64> = places().map(|t| series[t] - trend[t]).collect();
    let trust: Vec<f64> = places().map(|t| weights[t]).collect();
    for k in 0..values.len() + 2 {
        cycle[slot + k * period] = local_mean(&values, &trust, k as f64 - 1.0, window);
    }
    // The slots of an incomplete last cycle end one cycle sooner.
    let filled = slot + (values.len() + 2) * period;
    if filled < cycle.len() {
        cycle[filled] = cycle[filled - period];
    }
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
#[derive(Clone, Debug)]
struct Line {
    series: Vec<f64>,
    span: usize,
    smooth: Vec<f64>,
    before: Option<usize>,
    next: usize,
}

impl Line {
    fn new(series: Vec<f64>, span: usize) -> Line {
        let smooth = vec![0.0; series.len()];
        Line { series, span, smooth, before: None, next: 0 }
    }

    /// Works out some places; the line, once it has reached the end. Without weights, all values count alike.
    fn advance(&mut self, weights: Option<&[f64]>) -> Option<Vec<f64>> {
        let n = self.series.len();
        if n < 2 {
            return Some(self.series.clone());
        }
        for _ in 0..(PIECE / self.span.min(n)).max(1) {
            let t = self.next;
            self.smooth[t] = local_line(&self.series, weights, t, self.span);
            if let Some(from) = self.before {
                let (a, b) = (self.smooth[from], self.smooth[t]);
                for (k, between) in self.smooth[from + 1..t].iter_mut().enumerate() {
                    *between = a + (b - a) * (k + 1) as f64 / (t - from) as f64;
                }
            }
            if t == n - 1 {
                return Some(std::mem::take(&mut self.smooth));
            }
            self.before = Some(t);
            self.next = (t + (self.span / 10).max(1)).min(n - 1);
        }
        None
    }
}

fn local_line(series: &[f64], weights: Option<&[f64]>, at: usize, span: usize) -> f64 {
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
        let weight = weights.map_or(1.0, |weights| weights[k]) * tricube(x.abs() / reach);
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
