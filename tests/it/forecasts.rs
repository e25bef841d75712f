//! Forecasts of public series, against what was published about them.
//!
//! The quick tests hold the figures to their promises; the whole table is printed by
//!
//! ```text
//! cargo test --test it forecast_table -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;

use wavetank::engine::forecast::model::{Family, Fitted, Fitting, Model, Scale};
use wavetank::engine::forecast::score::{IntervalScore, Score, scale};
use wavetank::engine::forecast::season;
use wavetank::engine::forecast::selection::{Choice, Refit};
use wavetank::engine::forecast::{ALPHA, Config, Forecaster, Prediction};
use wavetank::units::Span;

use crate::public_series::{Regular, m4_hourly, stamped, sums, text};

const HOUR: Span = Span::from_mins(60);

/// What was forecast and what came, for one series.
#[derive(Clone, Default)]
struct Figures {
    own: Score,
    /// The same hour yesterday, and last week.
    daily: Score,
    weekly: Score,
    cover: IntervalScore,
    /// How often each model was in use.
    used: BTreeMap<&'static str, u32>,
}

/// The forecaster's choice for a series that is known as a whole.
fn choice(train: &[f64], horizon: usize) -> Choice {
    let periods = season::accepted(train, &season::natural_periods(HOUR));
    Refit::new(train.to_vec(), vec![true; train.len()], periods, horizon).finish()
}

/// One forecast of `test` from `train`.
fn once(train: &[f64], test: &[f64], figures: &mut Figures) {
    let choice = choice(train, test.len());
    let mut out = vec![0.0; test.len()];
    choice.forecast(&mut out);
    let n = train.len();
    for (h, actual) in test.iter().enumerate() {
        let half = choice.calibration.half_width(h, out[h], ALPHA);
        figures.own.add(*actual, out[h]);
        figures.daily.add(*actual, train[n - 24 + h % 24]);
        figures.weekly.add(*actual, train[n - 168 + h % 168]);
        figures.cover.add(ALPHA, (out[h] - half).max(0.0), out[h] + half, *actual);
    }
    *figures.used.entry(choice.model.name()).or_default() += 1;
}

/// A forecast of a day every day, value by value, once `warm` hours have been seen.
fn roll(values: &[f64], warm: usize) -> Figures {
    let mut forecaster = Forecaster::new(Config::new(HOUR, 24));
    let mut figures = Figures::default();
    let (mut path, mut at): (Vec<Prediction>, usize) = (Vec::new(), 0);
    let whole = warm + (values.len() - warm) / 24 * 24;
    for (t, value) in values[..whole].iter().enumerate() {
        if t >= warm && (t - warm).is_multiple_of(24) {
            while forecaster.work() {}
            (path, at) = (forecaster.lay_out(), t);
            *figures.used.entry(forecaster.model().map_or("none", Model::name)).or_default() += 1;
        }
        if t >= warm && value.is_finite() {
            let h = t - at;
            figures.own.add(*value, path[h].mean);
            figures.cover.add(ALPHA, path[h].low, path[h].high, *value);
            figures.daily.add(*value, values[t - 24]);
            figures.weekly.add(*value, values[t - 168]);
        }
        forecaster.observe(value.is_finite().then_some(*value));
        while t < warm && forecaster.work() {}
    }
    figures
}

/// The series whose naive figures are published with the data, by the hour.
fn published() -> Vec<Regular> {
    let mut all = Vec::new();
    all.extend(stamped("appserver-hourly/rate_per_hour.csv.gz", "appserver-hourly", 3600));
    all.extend(stamped("nasa-http-1995/rate_per_minute.csv.gz", "nasa-http-1995", 60).map(|s| sums(&s, 60, 0)));
    all.extend(stamped("worldcup98/rate_per_minute.csv.gz", "worldcup98", 60).map(|s| sums(&s, 60, 3)));
    all
}

/// Every model on its own, fitted to `train`.
fn every_model(train: &[f64]) -> Vec<Fitted> {
    let periods = season::accepted(train, &season::natural_periods(HOUR));
    let seasons: Vec<usize> = periods.iter().copied().filter(|p| train.len() >= 2 * p + 2).collect();
    let mut sorted = train.to_vec();
    sorted.sort_by(f64::total_cmp);
    let floor = (0.01 * sorted[train.len() / 2]).clamp(1e-9, 0.5);
    let mut families = vec![Family::Plain, Family::Smoothing];
    families.extend([Scale::Raw, Scale::Log(floor)].map(Family::Lags));
    if !seasons.is_empty() {
        families.extend([Scale::Raw, Scale::Log(floor)].map(Family::HoltWinters));
        families.extend([Scale::Raw, Scale::Log(floor)].map(Family::Decomposition));
        families.push(Family::Multiplicative(floor));
    }
    families
        .into_iter()
        .flat_map(|family| {
            let mut fitting = Fitting::new(family, train, &periods, &seasons);
            loop {
                if let Some(models) = fitting.advance(train) {
                    return models;
                }
            }
        })
        .collect()
}

/// A model's column in the table.
fn label(model: Model) -> String {
    match model {
        Model::SeasonalNaive(period) => format!("seasonal_naive_{period}"),
        other => other.name().to_string(),
    }
}

#[test]
fn the_m4_competition_is_forecast_as_its_best_entries_did() {
    let Some(all) = m4_hourly() else { return };
    let (mut smape, mut mase, mut better) = (0.0, 0.0, 0);
    let mut cover = IntervalScore::default();
    for series in &all {
        let mut f = Figures::default();
        once(&series.train, &series.test, &mut f);
        let scale = scale(&series.train, 24);
        smape += f.own.smape();
        mase += f.own.mase(scale);
        better += usize::from(f.own.mae() <= f.daily.mae());
        cover.merge(&f.cover);
    }
    let n = all.len() as f64;
    // Published on all 414: seasonal naive 13.9 and 1.19, the winner of the competition 9.3 and 0.89.
    assert!(smape / n < 9.6, "sMAPE {}", smape / n);
    assert!(mase / n < 0.85, "MASE {}", mase / n);
    assert!(better * 10 >= all.len() * 7, "better than the day before on {better} of {}", all.len());
    assert!((0.85..=0.95).contains(&cover.coverage()), "coverage {}", cover.coverage());
}

#[test]
fn the_days_of_three_servers_are_forecast_better_than_by_the_day_or_week_before() {
    for series in published() {
        let values = &series.values[..series.values.len().min(24 * 120)];
        let f = roll(values, 24 * 14);
        let naive = f.daily.wape().min(f.weekly.wape());
        assert!(f.own.wape() < naive, "{}: {} is no better than {naive}", series.name, f.own.wape());
        let held = f.cover.coverage();
        assert!((0.85..=0.95).contains(&held), "{}: 90 % intervals hold {held}", series.name);
    }
}

#[test]
#[ignore = "prints every figure; minutes in a debug build"]
fn forecast_table() {
    m4_table();
    rolling_table();
    day_by_day_table();
}

fn m4_table() {
    let Some(all) = m4_hourly() else { return };
    let mut sums: BTreeMap<String, (f64, f64, u32)> = BTreeMap::new();
    let mut add = |name: String, score: &Score, scale: f64| {
        let row = sums.entry(name).or_default();
        *row = (row.0 + score.smape(), row.1 + score.mase(scale), row.2 + 1);
    };
    let (mut cover, mut pinball, mut better) = (IntervalScore::default(), 0.0, [0, 0]);
    for series in &all {
        let scale = scale(&series.train, 24);
        let mut f = Figures::default();
        once(&series.train, &series.test, &mut f);
        add("* wavetank".to_string(), &f.own, scale);
        better[0] += usize::from(f.own.mae() <= f.daily.mae());
        better[1] += usize::from(f.own.mae() <= f.weekly.mae());
        cover.merge(&f.cover);
        pinball += f.cover.pinball() / scale;
        let highest = series.train.iter().copied().fold(0.0, f64::max);
        for model in every_model(&series.train) {
            let (mut out, mut score) = (vec![0.0; series.test.len()], Score::default());
            model.forecast(&mut out);
            out.iter().zip(&series.test).for_each(|(f, y)| score.add(*y, f.min(2.0 * highest)));
            add(label(model.model), &score, scale);
        }
    }
    for line in text("m4-hourly/published_all_414_hourly.csv").unwrap_or_default().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |i: usize| cells[i].parse::<f64>().unwrap_or(f64::NAN);
        if number(3) < 0.6 || cells[0].parse::<u32>().is_err() {
            sums.insert(format!("published {} (414 series)", cells[0]), (number(1), number(2), 1));
        }
    }
    println!("\n## M4 hourly, {} series, 48 hours ahead\n", all.len());
    println!("| model | series | sMAPE | MASE |\n|---|---|---|---|");
    let mut rows: Vec<_> =
        sums.into_iter().map(|(k, (a, b, n))| (a / f64::from(n), b / f64::from(n), n, k)).collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    for (smape, mase, n, name) in rows {
        println!("| {name} | {n} | {smape:.3} | {mase:.3} |");
    }
    println!(
        "\n90 % intervals hold {:.1} %, pinball loss over the MASE scale {:.3}; no worse than the day before on {} of {}, than the \
         week before on {}",
        100.0 * cover.coverage(),
        pinball / all.len() as f64,
        better[0],
        all.len(),
        better[1]
    );
}

/// Seven origins a series: one 48-hour stretch says little about a model.
fn rolling_table() {
    let Some(all) = m4_hourly() else { return };
    let (mut better, mut cover, mut worst) = ([0, 0], IntervalScore::default(), (0.0, String::new()));
    for series in &all {
        let whole: Vec<f64> = series.train.iter().chain(&series.test).copied().collect();
        let mut f = Figures::default();
        for k in 0..7 {
            let n = whole.len() - 48 - 24 * k;
            once(&whole[..n], &whole[n..n + 48], &mut f);
        }
        better[0] += usize::from(f.own.mae() <= f.daily.mae());
        better[1] += usize::from(f.own.mae() <= f.weekly.mae());
        cover.merge(&f.cover);
        let ratio = f.own.mae() / f.daily.mae().min(f.weekly.mae());
        if ratio > worst.0 {
            worst = (ratio, series.id.clone());
        }
    }
    println!("\n## The same series, seven origins a day apart\n");
    println!(
        "No worse than the day before on {} of {}, than the week before on {}; 90 % intervals hold {:.1} %; \
         the worst is {} at {:.2} times the better of the two",
        better[0],
        all.len(),
        better[1],
        100.0 * cover.coverage(),
        worst.1,
        worst.0
    );
}

fn day_by_day_table() {
    let mut all = published();
    for i in 0..8 {
        let name = format!("crane-{i}");
        all.extend(stamped(&format!("crane-metrics/input{i}.csv.gz"), &name, 60).map(|s| sums(&s, 60, 5)));
    }
    println!("\n## A day ahead, every day, by the hour, after two weeks (one week where two are all there is)\n");
    println!(
        "| series | model | forecasts | WAPE % | sMAPE | MASE | pinball | coverage % |\n|---|---|---|---|---|---|---|---|"
    );
    for series in &all {
        let warm = if series.values.len() < 24 * 25 { 24 * 7 } else { 24 * 14 };
        let f = roll(&series.values, warm);
        let scale = scale(&series.values, 24);
        let row = |name: &str, s: &Score, rest: String| {
            println!(
                "| {} | {name} | {} | {:.2} | {:.2} | {:.3} | {rest} |",
                series.name,
                s.n,
                100.0 * s.wape(),
                s.smape(),
                s.mase(scale)
            );
        };
        row("* wavetank", &f.own, format!("{:.4} | {:.1}", f.cover.pinball(), 100.0 * f.cover.coverage()));
        row("seasonal_naive_24", &f.daily, " | ".to_string());
        row("seasonal_naive_168", &f.weekly, " | ".to_string());
        for (name, score) in by_model(&series.values, warm) {
            if !name.starts_with("seasonal_naive") {
                row(&name, &score, " | ".to_string());
            }
        }
    }
    println!("\nPublished with the data:\n\n{}", text("forecast_baselines.csv").unwrap_or_default());
}

/// Each model on its own, fitted once a week, fed every day.
fn by_model(values: &[f64], warm: usize) -> Vec<(String, Score)> {
    // Gaps are filled with the day before: single models do not know gaps.
    let mut filled = values.to_vec();
    for t in 0..filled.len() {
        if !filled[t].is_finite() {
            filled[t] = if t >= 24 { filled[t - 24] } else { 0.0 };
        }
    }
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut models = Vec::new();
    let days = (filled.len() - warm) / 24;
    for day in 0..days {
        let at = warm + 24 * day;
        if day % 7 == 0 {
            models = every_model(&filled[at.saturating_sub(1344)..at]);
        }
        let highest = filled[..at].iter().copied().fold(0.0, f64::max);
        for model in &mut models {
            let mut out = [0.0; 24];
            model.forecast(&mut out);
            let score = scores.entry(label(model.model)).or_default();
            for (h, forecast) in out.iter().enumerate() {
                score.add(values[at + h], forecast.min(2.0 * highest));
                model.update(filled[at + h]);
            }
        }
    }
    scores.into_iter().collect()
}
