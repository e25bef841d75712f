//! Worked examples, computed by another implementation.

use super::*;

const A: [f64; 8] = [182.1, 179.4, 185.2, 181.3, 190.6, 178.8, 183.5, 180.2];
const B: [f64; 8] = [189.1, 193.4, 187.7, 196.2, 191.5, 188.3, 194.8, 190.1];

fn close(a: f64, b: f64, digits: f64) {
    assert!((a - b).abs() <= digits, "{a} is not {b}");
}

#[test]
fn intervals_of_a_mean_plain_and_of_logs() {
    let plain = of_mean(&A).unwrap();
    close(plain.center, 182.6375, 1e-9);
    close(plain.interval(0.95).0, 179.416, 5e-4);
    close(plain.interval(0.95).1, 185.859, 5e-4);
    let of_logs = of_mean(&logs(&A).unwrap()).unwrap();
    close(of_logs.center.exp(), 182.6024, 5e-5);
    close(of_logs.interval(0.95).0.exp(), 179.4429, 5e-5);
    close(of_logs.interval(0.95).1.exp(), 185.8176, 5e-5);
    assert_eq!(of_mean(&[1.0]), None);
    assert_eq!(logs(&[1.0, 0.0]), None);
}

#[test]
fn quantiles_of_t() {
    for (freedom, t) in [(2.0, 4.3027), (4.0, 2.7764), (7.0, 2.3646), (9.0, 2.2622), (15.0, 2.1314), (31.0, 2.0395)] {
        close(t_quantile(0.975, freedom), t, 5e-5);
    }
    // A level of 1 − 0.05/4, two-sided, for looks after 5, 10, 20 and 40 runs.
    for (freedom, t) in [(4.0, 4.3147), (9.0, 3.1109), (19.0, 2.7586), (39.0, 2.6189)] {
        close(t_quantile(1.0 - 0.05 / 8.0, freedom), t, 5e-5);
    }
}

#[test]
fn runs_for_an_interval_of_a_wanted_width() {
    assert_eq!(runs_for(0.0989443, 1.05f64.ln(), 0.95), Some(19));
    assert_eq!(runs_for(0.0989443, 1.02f64.ln(), 0.95), Some(99));
    assert_eq!(runs_for(0.1, 0.0, 0.95), None);
}

#[test]
fn a_ratio_of_independent_runs_is_welchs() {
    let e = of_independent(&logs(&A).unwrap(), &logs(&B).unwrap()).unwrap();
    close(e.center.exp(), 1.04799, 5e-6);
    close(e.freedom, 13.240, 5e-4);
    close(e.interval(0.95).0.exp(), 1.02701, 5e-6);
    close(e.interval(0.95).1.exp(), 1.06939, 5e-6);
    close(e.p_value(0.0), 0.00023, 5e-6);
    let back = of_independent(&logs(&B).unwrap(), &logs(&A).unwrap()).unwrap();
    close(back.interval(0.95).0, -e.interval(0.95).1, 1e-12);
}

#[test]
fn pairs_are_worth_many_runs() {
    let old = logs(&[212.4, 240.1, 198.7, 265.3, 221.9, 230.8, 251.0, 207.5]).unwrap();
    let new = logs(&[205.9, 231.6, 194.2, 252.7, 215.3, 222.4, 241.9, 201.8]).unwrap();
    let e = of_paired(&old, &new).unwrap();
    close(e.center.exp(), 0.966724, 5e-7);
    close(e.interval(0.95).0.exp(), 0.960478, 5e-7);
    close(e.interval(0.95).1.exp(), 0.973009, 5e-7);
    close(e.center / e.error, -12.348, 5e-4);
    close(e.p_value(0.0), 5.2e-6, 5e-8);
    let e = of_independent(&old, &new).unwrap();
    close(e.interval(0.95).0.exp(), 0.872682, 5e-7);
    close(e.interval(0.95).1.exp(), 1.070899, 5e-7);
    close(e.p_value(0.0), 0.490, 5e-4);
}

#[test]
fn ranks_agree_without_assuming_a_shape() {
    let r = rank::compare(&A, &B).unwrap();
    assert_eq!(r.u, 60.0);
    close(r.p, 0.0018648, 5e-8);
    close(r.superiority, 0.9375, 1e-12);
    close(r.shift, 8.9, 1e-9);
    close(r.interval.0, 5.6, 1e-9);
    close(r.interval.1, 12.7, 1e-9);
    // The smallest p that so few runs can show.
    for (n, p) in [(3, 0.1), (4, 0.0286), (5, 0.0079), (6, 0.0022), (8, 0.00016)] {
        let old: Vec<f64> = (0..n).map(f64::from).collect();
        let new: Vec<f64> = (0..n).map(|i| f64::from(i) + 100.0).collect();
        close(rank::compare(&old, &new).unwrap().p, p, 5e-5);
    }
    let tied = rank::compare(&[1.0, 2.0, 2.0, 3.0], &[2.0, 3.0, 4.0, 4.0]).unwrap();
    assert!(tied.p > 0.05 && tied.p < 0.5, "{tied:?}");
}

#[test]
fn shares_of_counts() {
    for ((k, n), low, high) in [
        ((19_986, 20_000), 0.998825, 0.999583),
        ((19_970, 20_000), 0.997859, 0.998949),
        ((500, 500), 0.992376, 1.0),
        ((5_000, 5_000), 0.999232, 1.0),
    ] {
        let (a, b) = proportion::wilson(k, n).unwrap();
        close(a, low, 5e-7);
        close(b, high, 5e-7);
    }
    let (low, high) = proportion::newcombe((52, 20_000), (30, 20_000)).unwrap();
    close(low, 0.000211, 5e-7);
    close(high, 0.002024, 5e-7);
    assert_eq!([0.99, 0.999, 0.9995, 0.9999].map(proportion::requests_to_show), [299, 2_995, 5_990, 29_956]);
}

#[test]
fn failures_in_clumps_are_less_certain_than_their_count_says() {
    let rates = [12.0, 35.0, 9.0, 41.0, 14.0, 28.0, 11.0, 30.0].map(|k| k / 20_000.0);
    let e = of_mean(&rates).unwrap();
    close(e.center, 0.001125, 1e-12);
    close(e.interval(0.95).0, 0.000605, 5e-7);
    close(e.interval(0.95).1, 0.001645, 5e-7);
    let (low, high) = proportion::wilson(180, 160_000).unwrap();
    close(low, 0.000972, 5e-7);
    close(high, 0.001302, 5e-7);
}

#[test]
fn p_values_are_adjusted_for_their_number() {
    let adjusted = holm(&[0.021, 0.003, 0.20, 0.012]);
    for (a, b) in adjusted.iter().zip([0.042, 0.012, 0.20, 0.036]) {
        close(*a, b, 1e-12);
    }
}

#[test]
fn a_change_of_level_is_found_where_it_is() {
    let series = [
        100.0, 101.0, 99.0, 100.0, 102.0, 98.0, 101.0, 100.0, 99.0, 100.0, 108.0, 109.0, 107.0, 108.0, 110.0, 107.0,
        109.0, 108.0, 108.0, 109.0,
    ];
    for (tau, q) in [(5, 19.664), (9, 56.470), (10, 70.889), (11, 57.325)] {
        close(change::energy(&series, tau), q, 5e-4);
    }
    let found = change::changes(&series, 0.02).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].at, 10);
    close(found[0].ratio(), 0.083, 1e-9);
    close(found[0].p, 8.96e-13, 5e-15);
    let quiet = [
        100.0, 103.0, 98.0, 101.0, 104.0, 97.0, 102.0, 99.0, 100.0, 101.0, 99.0, 103.0, 98.0, 100.0, 102.0, 101.0,
        97.0, 104.0, 100.0, 99.0,
    ];
    close(change::energy(&quiet, 19), 1.589, 5e-4);
    assert_eq!(change::changes(&quiet, 0.02), Some(vec![]));
    assert_eq!(change::changes(&quiet[..9], 0.02), None);
}

/// Five releases, each four per cent slower than the last, with noise of half a per cent and a few runs of each.
#[test]
fn five_drifts_that_a_gate_lets_pass_are_each_found_with_the_run_they_began_at() {
    let noise = [0.3, -0.5, 0.1, 0.6, -0.4, -0.2, 0.5, -0.1];
    let series: Vec<f64> = (0..48)
        .map(|i| 100.0 * 1.04f64.powi(i / 8) * (1.0 + noise[(i as usize * 5 + i as usize / 8) % 8] / 100.0))
        .collect();
    let found = change::changes(&series, 0.02).unwrap();
    assert_eq!(found.iter().map(|c| c.at).collect::<Vec<_>>(), [8, 16, 24, 32, 40]);
    assert!(found.iter().all(|c| (c.ratio() - 0.04).abs() < 0.01), "{found:?}");
}
