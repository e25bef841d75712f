//! What a forecast costs: a value taken in, a piece of a refit, a path laid out; and a step of what predictive policies look ahead with.
//!
//! ```text
//! cargo bench --bench forecast
//! ```
//!
//! Hourly values keep eight weeks, five-minute values four. Times are wall times of single calls; the longest may have been
//! interrupted, so the 99.9th percentile is shown beside it.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::time::Instant;

use wavetank::engine::forecast::foresight::Foresight;
use wavetank::engine::forecast::{Config, Forecaster};
use wavetank::rng::{Dice, Stream};
use wavetank::units::Span;

fn main() {
    let weeks = if std::env::args().any(|argument| argument == "--bench") { 12 } else { 2 };
    for (name, step, horizon) in
        [("hourly, 24 h ahead", 3600, 24), ("5 min, 4 h ahead", 300, 48), ("20 s, 10 min ahead", 20, 30)]
    {
        let mut forecaster = Forecaster::new(Config::new(Span::from_secs(step), horizon));
        let per_day = 86_400 / step;
        let noise = Dice::new(1, Stream::Noise);
        let (mut observe, mut piece, mut path, mut refits) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for t in 0..(weeks * 7 * per_day).min(40_000) {
            let day = (t as f64 / per_day as f64 * std::f64::consts::TAU).sin();
            let week = if t / per_day % 7 >= 5 { 0.6 } else { 1.0 };
            let value = week * (100.0 + 60.0 * day) + 20.0 * noise.unit(t);
            observe.push(timed(|| forecaster.observe(Some(value))));
            let mut pieces = 0;
            loop {
                let mut more = false;
                let time = timed(|| more = forecaster.work());
                if !more {
                    break;
                }
                pieces += 1;
                piece.push(time);
            }
            refits += u32::from(pieces > 0);
            path.push(timed(|| {
                std::hint::black_box(forecaster.forecast());
            }));
        }
        println!("{name}: {refits} refits of {} pieces", piece.len() / refits.max(1) as usize);
        for (what, times) in [("observe", observe), ("piece of a refit", piece), ("path", path)] {
            show(what, times);
        }
    }
    foresee(weeks);
}

/// A minute a step, three ahead, as policies do.
fn foresee(weeks: u64) {
    let mut foresight = Foresight::new(Span::from_secs(60), 3, 0.9, Span::from_mins(360));
    let noise = Dice::new(1, Stream::Noise);
    let (mut step, mut piece) = (Vec::new(), Vec::new());
    for t in 0..(weeks * 7 * 1440).min(40_000) {
        let day = (t as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let value = 100.0 + 60.0 * day + 20.0 * noise.unit(t);
        step.push(timed(|| foresight.observe(Some(value))));
        loop {
            let mut more = false;
            let time = timed(|| more = foresight.work());
            if !more {
                break;
            }
            piece.push(time);
        }
    }
    println!("foresight, 3 min ahead");
    show("step", step);
    show("piece of a refit", piece);
}

/// Microseconds.
fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}

fn show(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    println!(
        "  {what:18} mean {mean:8.1} µs   median {:8.1}   p99 {:8.1}   p99.9 {:8.1}   longest {:8.1}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
