//! Forecasts of public series, against what was published about them.

use wavetank::engine::forecast::score::{IntervalScore, Score, scale};
use wavetank::engine::forecast::season;
use wavetank::engine::forecast::{Config, Forecaster, Prediction};
use wavetank::engine::forecast::selection::{Choice, Refit};
use wavetank::units::Span;

use crate::public_series::{m4_hourly, stamped, sums};

fn choice(train: &[f64], step: Span, horizon: usize) -> Choice {
    let periods = season::accepted(train, &season::natural_periods(step));
    Refit::new(train.to_vec(), vec![true; train.len()], periods, horizon).finish()
}

#[test]
#[ignore = "prints a table of figures"]
fn m4_table() {
    let Some(all) = m4_hourly() else { return };
    let mut names: std::collections::BTreeMap<&str, u32> = Default::default();
    let (mut smape, mut mase, mut better24, mut better168, mut naive_mase, mut gated) = (0.0, 0.0, 0, 0, 0.0, 0);
    let mut cover = IntervalScore::default();
    let mut worst: Vec<(f64, String)> = Vec::new();
    for series in &all {
        let choice = choice(&series.train, Span::from_mins(60), 48);
        let mut out = vec![0.0; 48];
        choice.forecast(&mut out);
        let n = series.train.len();
        let mut own = Score::default();
        let mut naive = Score::default();
        let mut weekly = Score::default();
        for h in 0..48 {
            own.add(series.test[h], out[h]);
            naive.add(series.test[h], series.train[n - 24 + h % 24]);
            weekly.add(series.test[h], series.train[n - 168 + h]);
            let half = choice.calibration.half_width(h, out[h], 0.1);
            cover.add(0.1, (out[h] - half).max(0.0), out[h] + half, series.test[h]);
        }
        let scale = scale(&series.train, 24);
        smape += own.smape();
        mase += own.mase(scale);
        naive_mase += naive.mase(scale);
        better24 += u32::from(own.mae() <= naive.mae());
        better168 += u32::from(own.mae() <= weekly.mae());
        gated += u32::from(choice.gated);
        *names.entry(choice.model.name()).or_default() += 1;
        worst.push((own.mase(scale) - naive.mase(scale), format!("{} {} {:?} mase {:.2} naive {:.2}", series.id, choice.model.name(), choice.periods, own.mase(scale), naive.mase(scale))));
    }
    let n = all.len() as f64;
    println!("M4 hourly: sMAPE {:.3} MASE {:.3} (naive {:.3}); better than sNaive24 on {better24}, 168 on {better168}, gated {gated} of {}; coverage {:.3}", smape / n, mase / n, naive_mase / n, all.len(), cover.coverage());
    println!("{names:?}");
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, line) in worst.iter().take(12) {
        println!("{line}");
    }
}

/// Figures of one series under one way to forecast.
#[derive(Clone, Default)]
struct Figures {
    own: Score,
    daily: Score,
    weekly: Score,
    cover: IntervalScore,
    models: std::collections::BTreeMap<&'static str, u32>,
    board: std::collections::BTreeMap<&'static str, (f64, u32)>,
}

/// A forecast `horizon` steps ahead every `horizon` steps, once `warm` steps have been seen.
fn roll(values: &[f64], step: Span, horizon: usize, warm: usize, day: usize) -> Figures {
    let mut forecaster = Forecaster::new(Config::new(step, horizon));
    let mut figures = Figures::default();
    let mut path: Vec<Prediction> = Vec::new();
    let mut at = 0;
    for (t, value) in values.iter().enumerate() {
        if t >= warm && (t - warm) % horizon == 0 {
            while forecaster.work() {}
            path = forecaster.lay_out();
            at = t;
            if let Some(choice) = forecaster.choice() {
                let naive = choice.board.iter().filter(|s| s.model.name() == "seasonal_naive").map(|s| s.score.mae()).fold(f64::INFINITY, f64::min);
                for s in &choice.board {
                    let e = figures.board.entry(s.model.name()).or_default();
                    e.0 += (s.score.mae() / naive).min(5.0);
                    e.1 += 1;
                }
            }
            *figures.models.entry(forecaster.model().map_or("none", |m| m.name())).or_default() += 1;
        }
        if t >= warm {
            let h = t - at;
            let before = |period: usize| values[at - period + h % period];
            if value.is_finite() {
                if before(day).is_finite() {
                    figures.daily.add(*value, before(day));
                }
                if at >= 7 * day && before(7 * day).is_finite() {
                    figures.weekly.add(*value, before(7 * day));
                }
                figures.own.add(*value, path[h].mean);
                figures.cover.add(0.1, path[h].low, path[h].high, *value);
            }
        }
        forecaster.observe(value.is_finite().then_some(*value));
        while t < warm && forecaster.work() {}
    }
    figures
}

#[test]
#[ignore = "prints a table of figures"]
fn rolling_table() {
    let hour = Span::from_mins(60);
    let mut all = Vec::new();
    if let Some(series) = stamped("appserver-hourly/rate_per_hour.csv.gz", "appserver-hourly", 3600) {
        all.push(series);
    }
    if let Some(series) = stamped("nasa-http-1995/rate_per_minute.csv.gz", "nasa-http-1995", 60) {
        all.push(sums(&series, 60, 0));
    }
    if let Some(series) = stamped("worldcup98/rate_per_minute.csv.gz", "worldcup98", 60) {
        all.push(sums(&series, 60, 3));
    }
    for i in 0..8 {
        if let Some(series) = stamped(&format!("crane-metrics/input{i}.csv.gz"), &format!("crane{i}"), 60) {
            all.push(sums(&series, 60, 5));
        }
    }
    for series in &all {
        let short = std::env::var("SHORT").is_ok();
        let values = if short { &series.values[..series.values.len().min(6000)] } else { &series.values[..] };
        let days = series.values.len() / 24;
        let warm = if days < 18 { 24 * 7 } else { 24 * 14 };
        let f = roll(values, hour, 24, warm, 24);
        println!(
            "{:18} n {:6}/{:6} WAPE own {:.2} daily {:.2} weekly {:.2}  sMAPE {:.2} {:.2} {:.2} cover {:.3} pinball {:.3} {:?}",
            series.name, f.own.n, f.daily.n, 100.0 * f.own.wape(), 100.0 * f.daily.wape(), 100.0 * f.weekly.wape(),
            f.own.smape(), f.daily.smape(), f.weekly.smape(), f.cover.coverage(), f.cover.pinball(), f.models
        );
        if std::env::var("BOARD").is_ok() {
            let mut b: Vec<_> = f.board.iter().map(|(k, v)| (v.0 / v.1 as f64, k)).collect();
            b.sort_by(|a, b| a.0.total_cmp(&b.0));
            println!("WAPE  {}", b.iter().map(|(v, k)| format!("{k} {v:.2}")).collect::<Vec<_>>().join(", "));
        }
    }
}

#[test]
#[ignore = "prints a table of figures"]
fn m4rolling_table() {
    let Some(all) = m4_hourly() else { return };
    let (mut wins24, mut wins168, mut winsboth) = (0, 0, 0);
    let mut cover = IntervalScore::default();
    let mut lost = Vec::new();
    for series in &all {
        let whole: Vec<f64> = series.train.iter().chain(&series.test).copied().collect();
        let (mut own, mut naive, mut weekly) = (Score::default(), Score::default(), Score::default());
        for k in 0..7 {
            let n = whole.len() - 48 - 24 * k;
            let choice = choice(&whole[..n], Span::from_mins(60), 48);
            let mut out = vec![0.0; 48];
            choice.forecast(&mut out);
            for h in 0..48 {
                own.add(whole[n + h], out[h]);
                naive.add(whole[n + h], whole[n - 24 + h % 24]);
                weekly.add(whole[n + h], whole[n - 168 + h]);
                let half = choice.calibration.half_width(h, out[h], 0.1);
                cover.add(0.1, (out[h] - half).max(0.0), out[h] + half, whole[n + h]);
            }
        }
        wins24 += u32::from(own.mae() <= naive.mae());
        wins168 += u32::from(own.mae() <= weekly.mae());
        winsboth += u32::from(own.mae() <= naive.mae().min(weekly.mae()));
        if ["H265","H123","H229","H33"].contains(&series.id.as_str()) {
            let c = choice(&series.train, Span::from_mins(60), 48);
            println!("M4 {} {:?} own {:.1} naive {:.1} weekly {:.1}: {}", series.id, c.periods, own.mae(), naive.mae(), weekly.mae(), c.board.iter().map(|s| format!("{} {:.1}", s.model.name(), s.score.mae())).collect::<Vec<_>>().join(", "));
        }
        if own.mae() > naive.mae() { lost.push((own.mae() / naive.mae(), series.id.clone())); }
    }
    lost.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("M4 rolling: wins {wins24} daily, {wins168} weekly, {winsboth} both; coverage {:.3} lost {:?}", cover.coverage(), lost);
}
