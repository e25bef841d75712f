//! The anomaly detector in the Numenta Anomaly Benchmark, by its public procedure.
//!
//! Labelled series, values one by one, a score in 0..1 for each; one threshold for the whole corpus; a window counts its
//! earliest detection, and every detection outside costs. The table is printed by
//!
//! ```text
//! cargo test --test it nab_table -- --ignored --nocapture
//! ```
//!
//! How much of the figure is fitted: no constant belongs to a file or a category, but which statistics set records was chosen among some
//! eighty variants on this very corpus, so the best score is flattering. The last column of the table holds out thresholds, not that
//! choice. Variants chosen on one half of the categories alone scored 62 to 64 on the other half, at a threshold of the first.

use std::collections::BTreeMap;

use wavetank::engine::analyzer::anomaly::Anomalies;

use crate::public_series::{seconds, text};

/// What a hit, a false alarm and a miss weigh.
#[derive(Clone, Copy)]
struct Profile {
    name: &'static str,
    hit: f64,
    alarm: f64,
    miss: f64,
}

const PROFILES: [Profile; 3] = [
    Profile { name: "standard", hit: 1.0, alarm: 0.11, miss: 1.0 },
    Profile { name: "reward_low_FP_rate", hit: 1.0, alarm: 0.22, miss: 1.0 },
    Profile { name: "reward_low_FN_rate", hit: 1.0, alarm: 0.11, miss: 2.0 },
];

/// A labelled series.
struct Labelled {
    /// `realTweets/Twitter_volume_AAPL`.
    name: String,
    times: Vec<i64>,
    values: Vec<f64>,
    /// First and last row of each window.
    windows: Vec<(usize, usize)>,
}

/// The benchmark's sigmoid: 1 far to the left, −1 far to the right.
fn sigmoid(y: f64) -> f64 {
    if y > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * y).exp()) - 1.0 }
}

/// Rows at the beginning that are not scored.
fn probation(rows: usize) -> usize {
    ((0.15 * rows as f64).floor() as usize).min(750)
}

/// What a detection in row `i` is worth: in which window it is, and the weight, or `None` and the weight of a false alarm.
fn worth(windows: &[(usize, usize)], i: usize, profile: &Profile) -> (Option<usize>, f64) {
    if let Some(k) = windows.iter().position(|&(left, right)| (left..=right).contains(&i)) {
        let (left, right) = windows[k];
        let y = -((right - i + 1) as f64) / (right - left + 1) as f64;
        return (Some(k), profile.hit * sigmoid(y) / sigmoid(-1.0));
    }
    let before = windows.iter().rev().find(|window| window.1 < i);
    let y = before.map_or(f64::INFINITY, |&(left, right)| (i - right) as f64 / (right - left) as f64);
    (None, profile.alarm * sigmoid(y))
}

/// Sum over a file of detections in these rows.
fn raw(windows: &[(usize, usize)], detections: &[usize], profile: &Profile) -> f64 {
    let mut best = vec![None; windows.len()];
    let mut sum = 0.0;
    for &i in detections {
        match worth(windows, i, profile) {
            (Some(k), value) => best[k] = Some(f64::max(best[k].unwrap_or(f64::NEG_INFINITY), value)),
            (None, value) => sum += value,
        }
    }
    sum + best.iter().map(|found: &Option<f64>| found.unwrap_or(-profile.miss)).sum::<f64>()
}

/// From nobody who finds nothing (0) to one who finds every window at its first row (100).
fn normalized(raw: f64, windows: usize, profile: &Profile) -> f64 {
    let null = -profile.miss * windows as f64;
    100.0 * (raw - null) / (profile.hit * windows as f64 - null)
}

/// The labelled series that are there.
fn corpus() -> Option<Vec<Labelled>> {
    let windows: BTreeMap<String, Vec<[String; 2]>> =
        serde_json::from_str(&text("nab/labels/combined_windows.json")?).expect("windows");
    let mut all = Vec::new();
    for (file, windows) in windows {
        let Some(text) = text(&format!("nab/data/{file}")) else { continue };
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for line in text.lines().skip(1) {
            let Some((stamp, value)) = line.split_once(',') else { continue };
            times.push(seconds(stamp));
            values.push(value.parse().expect("a number"));
        }
        let row = |stamp: &String| {
            let t = seconds(stamp);
            times.iter().position(|time| *time == t).unwrap_or_else(|| panic!("{file}: no row at {stamp}"))
        };
        let windows = windows.iter().map(|[first, last]| (row(first), row(last))).collect();
        all.push(Labelled { name: file.trim_end_matches(".csv").to_string(), times, values, windows });
    }
    Some(all)
}

/// The best threshold for a corpus, and what it gives.
#[derive(Clone, Copy, Debug)]
struct Best {
    threshold: f64,
    score: f64,
}

/// Lowers the threshold row by row over the files that `counts` admits.
fn sweep(corpus: &[Labelled], scores: &[Vec<f64>], profile: &Profile, counts: impl Fn(&str) -> bool) -> Best {
    let mut rows: Vec<(f64, usize, usize)> = Vec::new();
    let mut windows = 0;
    let mut found: Vec<Vec<Option<f64>>> = Vec::new();
    for (f, file) in corpus.iter().enumerate() {
        found.push(vec![None; file.windows.len()]);
        if counts(&file.name) {
            windows += file.windows.len();
            rows.extend((probation(file.values.len())..file.values.len()).map(|i| (scores[f][i], f, i)));
        }
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut raw = -profile.miss * windows as f64;
    let mut best = Best { threshold: f64::INFINITY, score: 0.0 };
    for (at, &(score, f, i)) in rows.iter().enumerate() {
        match worth(&corpus[f].windows, i, profile) {
            (Some(k), value) => {
                let before = found[f][k].unwrap_or(-profile.miss);
                let now = found[f][k].map_or(value, |old| old.max(value));
                raw += now - before;
                found[f][k] = Some(now);
            }
            (None, value) => raw += value,
        }
        let last_of_equals = rows.get(at + 1).is_none_or(|next| next.0 < score);
        let score_now = normalized(raw, windows, profile);
        if last_of_equals && score_now > best.score && score > 0.0 {
            best = Best { threshold: score, score: score_now };
        }
    }
    best
}

/// The score at a threshold chosen elsewhere.
fn at(
    corpus: &[Labelled],
    scores: &[Vec<f64>],
    profile: &Profile,
    threshold: f64,
    counts: impl Fn(&str) -> bool,
) -> f64 {
    let (mut sum, mut windows) = (0.0, 0);
    for (file, scores) in corpus.iter().zip(scores).filter(|(file, _)| counts(&file.name)) {
        let rows: Vec<usize> =
            (probation(file.values.len())..file.values.len()).filter(|i| scores[*i] >= threshold).collect();
        sum += raw(&file.windows, &rows, profile);
        windows += file.windows.len();
    }
    normalized(sum, windows, profile)
}

fn category(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

#[test]
fn the_procedure_is_the_published_one() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    [(-1.0, 0.986614), (-0.5, 0.848284), (0.0, 0.0), (1.0, -0.986614)]
        .into_iter()
        .for_each(|(y, s)| near(sigmoid(y), s));
    let standard = &PROFILES[0];
    let window = [(40, 49)];
    [(40, 1.0), (45, 0.859793), (49, 0.248242)].into_iter().for_each(|(i, v)| near(worth(&window, i, standard).1, v));
    near(worth(&window, 60, standard).1, -0.109513);
    near(worth(&window, 10, standard).1, -0.11);
    let sum = raw(&[(40, 49), (100, 109)], &[40, 5], standard);
    near(sum, -0.11);
    near(normalized(sum, 2, standard), 47.25);
    near(normalized(57.660752, 116, standard), 74.853772);
    assert_eq!((probation(4032), probation(22_695)), (604, 750));
}

/// Rows published for one detector give the published sums.
#[test]
fn published_rows_give_the_published_scores() {
    let Some(corpus) = corpus() else { return };
    let Some(published) = text("nab/scoring/published_per_file.csv") else { return };
    let mut checked = 0;
    for file in &corpus {
        let short = file.name.rsplit('/').next().unwrap_or("");
        let path = format!("nab/scoring/rows/windowedGaussian_{short}.csv.gz");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/series/");
        if !std::path::Path::new(&format!("{folder}{path}")).exists() {
            continue;
        }
        let rows = text(&path).expect("it is there");
        let scores: Vec<f64> = rows
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(2).and_then(|c| c.parse().ok()).unwrap_or(0.0))
            .collect();
        for profile in &PROFILES {
            let key = format!("windowedGaussian,{},{},", profile.name, file.name);
            let line = published.lines().find(|line| line.starts_with(&key)).unwrap_or_else(|| panic!("no {key}"));
            let cells: Vec<f64> = line[key.len()..].split(',').map(|c| c.parse().expect("a number")).collect();
            let detections: Vec<usize> =
                (probation(scores.len())..scores.len()).filter(|i| scores[*i] >= cells[0]).collect();
            let sum = raw(&file.windows, &detections, profile);
            assert!((sum - cells[1]).abs() < 1e-4, "{key} {sum} is not {}", cells[1]);
            checked += 1;
        }
    }
    assert_eq!(checked, 9);
}

/// The detector's score of every row.
fn scores(corpus: &[Labelled]) -> Vec<Vec<f64>> {
    let hour = |t: i64| (t.rem_euclid(86_400) / 3600) as usize;
    let of = |file: &Labelled| {
        let mut detector = Anomalies::new();
        file.times.iter().zip(&file.values).map(|(t, value)| detector.observe(hour(*t), *value)).collect()
    };
    corpus.iter().map(of).collect()
}

/// Categories with windows, and how many.
fn categories(corpus: &[Labelled]) -> Vec<(&str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for file in corpus {
        *counts.entry(category(&file.name)).or_default() += file.windows.len();
    }
    counts.into_iter().filter(|(_, windows)| *windows > 0).collect()
}

/// The score if each category is judged at the threshold that is best for all the others.
fn held_out(corpus: &[Labelled], scores: &[Vec<f64>], profile: &Profile) -> f64 {
    let (mut sum, mut windows) = (0.0, 0);
    for (held, n) in categories(corpus) {
        let threshold = sweep(corpus, scores, profile, |name| category(name) != held).threshold;
        sum += n as f64 * at(corpus, scores, profile, threshold, |name| category(name) == held);
        windows += n;
    }
    sum / windows as f64
}

#[test]
fn the_detector_scores_above_seventy_on_the_standard_profile() {
    let Some(corpus) = corpus() else { return };
    let scores = scores(&corpus);
    let best = sweep(&corpus, &scores, &PROFILES[0], |_| true);
    assert!(best.score >= 70.0, "{best:?}");
    // Without any tuning of the threshold, at the sensitivity that is the default.
    let plain = at(&corpus, &scores, &PROFILES[0], Anomalies::threshold(0.5), |_| true);
    assert!(plain >= 65.0, "{plain}");
}

#[test]
#[ignore = "prints a table of figures"]
fn nab_table() {
    let Some(corpus) = corpus() else { return };
    let scores = scores(&corpus);
    println!("\n{} files, {} windows\n", corpus.len(), corpus.iter().map(|f| f.windows.len()).sum::<usize>());
    println!(
        "| profile | best threshold | score | at 0.5 | each category at the others' threshold |\n|---|---|---|---|---|"
    );
    for profile in &PROFILES {
        let best = sweep(&corpus, &scores, profile, |_| true);
        println!(
            "| {} | {:.4} | {:.2} | {:.2} | {:.2} |",
            profile.name,
            best.threshold,
            best.score,
            at(&corpus, &scores, profile, 0.5, |_| true),
            held_out(&corpus, &scores, profile)
        );
    }
    println!("\n| category | windows | standard | low FP | low FN |\n|---|---|---|---|---|");
    let thresholds = PROFILES.map(|profile| sweep(&corpus, &scores, &profile, |_| true).threshold);
    for (name, windows) in categories(&corpus) {
        let cells: Vec<String> = PROFILES
            .iter()
            .zip(thresholds)
            .map(|(p, threshold)| format!("{:.1}", at(&corpus, &scores, p, threshold, |n| category(n) == name)))
            .collect();
        println!("| {name} | {windows} | {} |", cells.join(" | "));
    }
    println!("\nPublished for these files:\n");
    for line in text("nab/scoring/published_on_these_files.csv").unwrap_or_default().lines() {
        let cells: Vec<&str> = line.split(',').collect();
        println!("{:20} {:20} {}", cells[0], cells[1], cells[6]);
    }
}
