//! Worked examples, to six places.

use super::autoregression::{YuleWalker, autocovariances};
use super::combination::weights;
use super::decomposition::decompose;
use super::history::{History, Holiday};
use super::holt_winters::{Additive, Multiplicative, Season};
use super::interval::{Adaptation, half_width};
use super::naive::{Drift, SeasonalNaive};
use super::score::{IntervalScore, Score, interval_score, pinball, scale};
use super::season::{accepted, amplitudes, autocorrelations, found, natural_periods};
use super::smoothing::Smoothing;
use super::theta::Theta;
use super::*;

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-6, "{found:?} is not {expected:?}");
    }
}

fn ahead<const N: usize>(forecast: impl Fn(&mut [f64])) -> [f64; N] {
    let mut out = [0.0; N];
    forecast(&mut out);
    out
}

const WAVE: [f64; 8] = [1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0];
const TWO_CYCLES: [f64; 8] = [10.0, 20.0, 30.0, 40.0, 12.0, 22.0, 32.0, 42.0];

#[test]
fn seasonal_naive_repeats_the_last_cycle_and_drift_goes_on_straight() {
    let naive = SeasonalNaive::fit(&TWO_CYCLES, 4);
    close(&ahead::<5>(|out| naive.forecast(out)), &[12.0, 22.0, 32.0, 42.0, 12.0]);
    let drift = Drift::fit(&[10.0, 12.0, 15.0, 19.0]);
    close(&ahead::<2>(|out| drift.forecast(out)), &[22.0, 25.0]);
}

#[test]
fn smoothing_follows_level_and_trend() {
    let mut simple = Smoothing { alpha: 0.5, beta: 0.0, phi: 1.0, level: 10.0, trend: 0.0 };
    [10.0, 12.0, 14.0].into_iter().for_each(|value| simple.update(value));
    close(&[simple.next()], &[12.5]);
    let mut holt = Smoothing { alpha: 0.5, beta: 0.5, phi: 1.0, level: 10.0, trend: 2.0 };
    [12.0, 15.0].into_iter().for_each(|value| holt.update(value));
    close(&[holt.level, holt.trend], &[14.5, 2.25]);
    close(&ahead::<3>(|out| holt.forecast(out)), &[16.75, 19.0, 21.25]);
    let damped = Smoothing { alpha: 0.5, beta: 0.5, phi: 0.9, level: 15.0, trend: 2.0 };
    let path = ahead::<400>(|out| damped.forecast(out));
    close(&[path[0], path[1], path[2], path[399]], &[16.8, 18.42, 19.878, 33.0]);
}

#[test]
fn holt_winters_learns_level_trend_and_season() {
    let season = Season { gamma: 0.5, index: vec![8.0, -8.0], at: 0 };
    let mut additive = Additive {
        alpha: 0.5,
        beta: 0.5,
        phi: 1.0,
        rho: 0.0,
        level: 20.0,
        trend: 1.0,
        seasons: vec![season],
        error: 0.0,
    };
    let data = [30.0, 14.0, 34.0, 18.0];
    let fitted = data.map(|value| {
        let fitted = additive.next();
        additive.update(value);
        fitted
    });
    close(&fitted, &[29.0, 14.75, 31.9375, 17.671875]);
    close(&[additive.level, additive.trend], &[26.2109375, 1.66015625]);
    close(&additive.seasons[0].index, &[9.53125, -8.2109375]);
    close(&ahead::<3>(|out| additive.forecast(out)), &[37.40234375, 21.3203125, 40.72265625]);

    let season = Season { gamma: 0.5, index: vec![1.4, 0.6], at: 0 };
    let mut times = Multiplicative { alpha: 0.5, beta: 0.5, level: 20.0, trend: 1.0, season, floor: 0.5 };
    let fitted = data.map(|value| {
        let fitted = times.next();
        times.update(value);
        fitted
    });
    close(&fitted, &[29.4, 13.392857, 34.208036, 15.608325]);
    close(&ahead::<3>(|out| times.forecast(out)), &[41.853964, 21.127509, 48.333660]);
}

#[test]
fn theta_is_smoothing_with_half_the_slope() {
    let theta = Theta::over(&[10.0, 12.0, 14.0, 16.0, 18.0], 0.5);
    close(&[theta.slope(), theta.level], &[2.0, 16.125]);
    close(&ahead::<3>(|out| theta.forecast(out)), &[18.0625, 19.0625, 20.0625]);
    let theta = Theta::over(&[10.0, 14.0, 11.0, 16.0, 15.0], 0.5);
    close(&[theta.slope(), theta.level], &[1.2, 14.375]);
    close(&ahead::<2>(|out| theta.forecast(out)), &[15.5375, 16.1375]);
}

#[test]
fn autoregression_takes_its_weights_from_the_autocorrelations() {
    let two = YuleWalker::fit(&WAVE, 2);
    close(&two.phi, &[0.0, -0.75]);
    close(&ahead::<1>(|out| two.forecast(out)), &[1.25]);
    let one = YuleWalker::fit(&[2.0, 4.0, 6.0, 8.0, 10.0, 8.0, 6.0, 4.0, 2.0, 4.0], 1);
    close(&[one.mean, one.phi[0]], &[5.4, 0.615528]);
    close(&ahead::<1>(|out| one.forecast(out)), &[4.538261]);
}

#[test]
fn a_combination_weighs_by_inverse_squared_error() {
    let w = weights(&[4.0, 1.0]);
    close(&w, &[0.2, 0.8]);
    close(&[w[0] * 100.0 + w[1] * 120.0], &[116.0]);
    assert!(weights(&[1e9, 1.0])[0] > 0.04, "none falls to nothing");
}

#[test]
fn conformal_half_widths_are_order_statistics() {
    let errors = |n: u32| (1..=n).map(f64::from).collect::<Vec<_>>();
    assert_eq!(half_width(&errors(19), 0.1), 18.0);
    assert_eq!(half_width(&errors(9), 0.05), f64::INFINITY);
    assert_eq!(half_width(&errors(10), 0.1), 10.0);
}

#[test]
fn scores_are_the_textbooks() {
    close(&[pinball(0.9, 100.0, 90.0), pinball(0.9, 100.0, 110.0), pinball(0.5, 100.0, 90.0)], &[9.0, 1.0, 5.0]);
    let mut score = Score::default();
    let (actual, forecast) = ([14.0, 24.0, 33.0, 45.0], [12.0, 22.0, 32.0, 42.0]);
    actual.iter().zip(forecast).for_each(|(a, f)| score.add(*a, f));
    let scale = scale(&TWO_CYCLES, 4);
    close(&[score.mae(), scale, score.mase(scale)], &[2.0, 2.0, 1.0]);
    close(&[score.wape(), score.smape(), score.bias()], &[0.068966, 8.513436, -2.0]);
    let of = |y| interval_score(0.1, 90.0, 110.0, y);
    close(&[of(120.0), of(100.0), of(85.0)], &[220.0, 20.0, 120.0]);
    let mut held = IntervalScore::default();
    [120.0, 100.0, 95.0, f64::NAN].into_iter().for_each(|y| held.add(0.1, 90.0, 110.0, y));
    close(&[held.coverage(), held.width()], &[2.0 / 3.0, 20.0]);
}

#[test]
fn a_period_shows_in_autocorrelation_and_periodogram() {
    let c = autocovariances(&WAVE, 4);
    let r = autocorrelations(&WAVE, 4);
    close(&[c[0], r[1], r[2], r[4]], &[0.5, 0.0, -0.75, 0.5]);
    close(&amplitudes(&WAVE), &[0.0, 1.0, 0.0, 0.0]);
    let minute = natural_periods(Span::from_mins(1));
    assert_eq!(minute, [60, 1440, 10_080]);
    let saw: Vec<f64> = (0..300).map(|t| f64::from(t % 37)).collect();
    assert_eq!(found(&saw, 100), Some(37));
    assert_eq!(accepted(&saw, &[24, 37]), [37]);
}

/// A line, a wave and a spike come apart again, and the spike stays out of the wave.
#[test]
fn decomposition_finds_what_was_put_together() {
    let wave = |t: usize, m: usize| (t as f64 / m as f64 * std::f64::consts::TAU).sin();
    let mut series: Vec<f64> =
        (0..24 * 7 * 6).map(|t| 100.0 + 0.05 * t as f64 + 30.0 * wave(t, 24) + 10.0 * wave(t, 168)).collect();
    series[500] += 400.0;
    let parts = decompose(&series, &[24, 168]);
    for (t, observed) in series.iter().enumerate().take(800).skip(200) {
        let (trend, day, week) = (100.0 + 0.05 * t as f64, 30.0 * wave(t, 24), 10.0 * wave(t, 168));
        let sum = parts.trend[t] + parts.seasonal[0][t] + parts.seasonal[1][t] + parts.remainder[t];
        assert!((sum - observed).abs() < 1e-9);
        assert!((parts.seasonal[0][t] - day).abs() < 3.0, "{t}: {} {day}", parts.seasonal[0][t]);
        let slow = parts.trend[t] + parts.seasonal[1][t];
        assert!((slow - trend - week).abs() < 4.0, "{t}: {slow} {trend} {week}");
    }
    assert!(parts.remainder[500] > 380.0, "{}", parts.remainder[500]);
    assert!(parts.strength(0) > 0.7);
}

/// Feeds values, with all the work done at once.
fn feed(forecaster: &mut Forecaster, values: impl IntoIterator<Item = Option<f64>>) {
    for value in values {
        forecaster.observe(value);
        while forecaster.work() {}
    }
}

fn day(t: usize) -> f64 {
    100.0 + 60.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin()
}

#[test]
fn a_gap_keeps_the_hours_in_step() {
    let mut forecaster = Forecaster::new(Config::new(Span::from_mins(60), 24));
    feed(&mut forecaster, (0..24 * 14).map(|t| (!(100..117).contains(&t)).then(|| day(t))));
    for (h, prediction) in forecaster.forecast().iter().enumerate() {
        assert!((prediction.mean - day(24 * 14 + h)).abs() < 3.0, "{h}: {prediction:?}");
        assert!(prediction.low <= prediction.mean && prediction.mean <= prediction.high);
    }
    assert!(forecaster.confidence() > 0.95);
}

#[test]
fn a_holiday_is_no_ordinary_day_and_the_next_one_is_like_it() {
    let holiday = |day: u64| Holiday { from: day * 24, until: (day + 1) * 24, factor: None };
    let mut config = Config::new(Span::from_mins(60), 24);
    config.holidays = vec![holiday(10), holiday(20)];
    let mut forecaster = Forecaster::new(config);
    let quiet = |t: usize| if t / 24 == 10 { 0.4 } else { 1.0 };
    feed(&mut forecaster, (0..24 * 11).map(|t| Some(day(t) * quiet(t))));
    let after = forecaster.forecast();
    assert!((after[6].mean - day(6)).abs() < 5.0, "the day after is ordinary: {:?}", after[6]);
    feed(&mut forecaster, (24 * 11..24 * 20).map(|t| Some(day(t))));
    let on = forecaster.forecast();
    assert!((on[6].mean - 0.4 * day(6)).abs() < 5.0, "{:?}", on[6]);
    let told = History::new(8, vec![Holiday { from: 0, until: 5, factor: Some(0.0) }]);
    assert_eq!((told.factor(4), told.factor(5)), (0.0, 1.0));
}

#[test]
fn growth_is_told_per_cycle() {
    let mut forecaster = Forecaster::new(Config::new(Span::from_mins(60), 24));
    feed(&mut forecaster, (0..24 * 13).map(|t| Some(day(t) * 1.02f64.powi((t / 24) as i32))));
    assert!((forecaster.growth().unwrap() - 0.02).abs() < 1e-3);
}

#[test]
fn intervals_widen_while_they_miss() {
    let mut adaptation = Adaptation::new(0.1);
    (0..50).for_each(|_| adaptation.learn(false));
    assert!(adaptation.factor() > 3.0);
    (0..2000).for_each(|i| adaptation.learn(i % 10 != 0));
    let settled = adaptation.factor();
    (0..1000).for_each(|i| adaptation.learn(i % 10 != 0));
    assert!((adaptation.factor() / settled - 1.0).abs() < 0.01, "one miss in ten is as promised");
}

#[test]
fn forecasts_scale_with_the_series_and_repeat_to_the_bit() {
    let run = |scale: f64| {
        let mut forecaster = Forecaster::new(Config::new(Span::from_mins(60), 12));
        let noise = crate::rng::Dice::new(3, crate::rng::Stream::Noise);
        feed(&mut forecaster, (0..300).map(|t| Some(scale * (day(t) + 20.0 * noise.unit(t as u64)))));
        forecaster.forecast()
    };
    assert_eq!(run(1.0), run(1.0));
    for (one, thousand) in run(1.0).iter().zip(run(1024.0)) {
        assert!((one.mean * 1024.0 / thousand.mean - 1.0).abs() < 1e-6, "{one:?} {thousand:?}");
        assert!(one.low >= 0.0 && one.low <= one.mean && one.mean <= one.high);
    }
}

/// The first forecasts come from little, and make no promise.
#[test]
fn little_is_known_at_first_and_nothing_at_all_before() {
    let mut forecaster = Forecaster::new(Config::new(Span::from_secs(10), 6));
    assert!(forecaster.forecast().is_empty() && forecaster.confidence() == 0.0 && !forecaster.work());
    feed(&mut forecaster, [Some(5.0); 12]);
    let first = forecaster.forecast();
    assert_eq!((first[0].mean, first[0].high), (5.0, f64::INFINITY));
    feed(&mut forecaster, [Some(5.0); 100]);
    let later = forecaster.forecast();
    assert!(later[5].high < 5.1 && later[5].mean == 5.0, "{later:?}");
}
