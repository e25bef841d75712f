//! Forecasts of public series, against what was published about them.

use wavetank::engine::forecast::score::{IntervalScore, Score, scale};
use wavetank::engine::forecast::season;
use wavetank::engine::forecast::selection::{Choice, Refit};
use wavetank::units::Span;

use crate::public_series::m4_hourly;

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
