//! `tune.html`: the advice, the front, how settings go together, what matters, before and after, and every day that was held out.

use std::fmt::Write;

use super::Told;
use super::words::{availability, changes, cost, cost_unit, headline, key, name, notes, p99, settings};
use crate::report::Experiment;
use crate::report::figure::short;
use crate::report::html::comparison::{Point, front, timelines};
use crate::report::html::tables::{sortable, table, value};
use crate::report::html::{CLOSE_PAGE, contents, escape, open_page, section};
use crate::report::verdict::{millis, percent};
use crate::tune::confirm::{Advice, Confirmed};
use crate::tune::expression::number;
use crate::tune::judge::{Safety, Sample, Score};
use crate::tune::search::EQUAL_RUNS;

/// The page.
pub fn html(x: &Told) -> String {
    let mut out = open_page(&format!("{} tuned", x.name));
    let class = match x.tuned.advice {
        Advice::NoneHolds(_) => "fail",
        Advice::Change(_) => "pass",
        Advice::Keep => "none",
    };
    let lines: String = notes(x).iter().map(|note| format!("<span>{}</span>", escape(note))).collect();
    let _ = write!(
        out,
        "<header>\n<p class=\"kicker\">wavetank · tune</p>\n<h1>{}</h1>\n<p class=\"verdict {class}\"><span><strong>{}</strong></span>{lines}</p>\n</header>\n",
        escape(x.name),
        escape(&headline(x))
    );
    let sections = [
        ("change", "What changes", change(x)),
        ("confirmed", "Search against confirmation", confirmed(x)),
        ("front", "Cost and p99", front_of(x)),
        ("together", "How settings go together", parallel(x)),
        ("matters", "What matters", matters(x)),
        ("days", "The days that were held out", days(x)),
        ("robust", "If the world is another", robust(x)),
        ("timelines", "Before and after", timelines_of(x)),
        ("identity", "This study", identity(x)),
    ];
    out.push_str(&contents(sections.iter().map(|(id, title, _)| (*id, *title))));
    for (id, title, body) in &sections {
        section(&mut out, id, title, body);
    }
    out.push_str(CLOSE_PAGE);
    out
}

fn change(x: &Told) -> String {
    let changes = changes(x);
    if changes.is_empty() {
        return "<p>Nothing.</p>".to_string();
    }
    let rows: Vec<Vec<String>> = changes
        .into_iter()
        .map(|(path, from, to)| vec![format!("<code>{}</code>", escape(&path)), escape(&from), escape(&to)])
        .collect();
    table("The recommended setting; everything else stays.", &["Key", "#Present", "#Recommended"], &rows)
}

fn word(safety: Safety) -> String {
    let class = match safety {
        Safety::Safe => "pass",
        Safety::Undecided => "unsure",
        Safety::Unsafe => "fail",
    };
    format!("<span class=\"{class}\"><strong>{}</strong></span>", safety.word())
}

fn confirmed(x: &Told) -> String {
    let mut head = vec!["Setting".to_string(), format!("#{}", cost_unit(x)), "#In search".into()];
    head.extend(["#Change of cost".to_string(), "#p99".into(), "#Availability".into()]);
    head.extend(x.question.rules.goals.iter().map(|goal| format!("#{} bound", goal.name())));
    head.push("Targets".into());
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let confirmation = &x.tuned.confirmation;
    let row = |(i, each): (usize, &Confirmed)| {
        let searched = x.tuned.found.score(each.candidate, &x.question.rules);
        let change = confirmation.change(0, i).filter(|_| i != 0).map_or("–".to_string(), |change| {
            let (low, high) = change.interval(0.95);
            let shown = super::words::percent_change;
            format!("{} ({} … {})", shown(change.center), shown(low), shown(high))
        });
        let mut row = vec![escape(&name(x, each.candidate))];
        row.push(value(cost(x, each.score.cost), each.score.cost));
        row.push(searched.map_or("–".to_string(), |score| value(cost(x, score.cost), score.cost)));
        row.push(change);
        row.push(p99(&each.samples).map_or("–".to_string(), |ms| value(millis(ms), ms)));
        row.push(availability(&each.samples).map_or("–".to_string(), |a| value(percent(a), a)));
        row.extend(bounds(x, &each.score));
        row.push(word(each.safety));
        row
    };
    let rows: Vec<Vec<String>> = confirmation.all.iter().enumerate().map(row).collect();
    let caption = format!(
        "Each on {} runs with fresh seeds{}; the search's own figure beside it is what the luck of the search made of it. Bounds hold with {:.2} % confidence each, changes with 95 %.",
        confirmation.all[0].samples.len(),
        if x.days.is_cut { ", on days that the search has not seen" } else { "" },
        confirmation.confidence * 100.0
    );
    let candidates: Vec<usize> = confirmation.all.iter().map(|each| each.candidate).collect();
    sortable(&caption, &head, &rows) + &values(x, "The values of their settings.", &candidates)
}

/// The settings of candidates, a column each.
fn values(x: &Told, caption: &str, candidates: &[usize]) -> String {
    let space = &x.question.space;
    let paths: Vec<&str> = space.free.iter().chain(&space.tied).map(|d| d.path.as_str()).collect();
    let mut head = vec!["Setting".to_string()];
    head.extend(paths.iter().map(|path| format!("#{}", key(x, path))));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let of = |candidate: usize, path: &str| {
        let settings = &x.tuned.found.candidates[candidate].settings;
        let own = settings.iter().find(|(each, _)| each == path).map(|(_, value)| value.to_string());
        let present = || x.present.iter().find(|(each, _)| each == path).and_then(|(_, value)| value.clone());
        let shown = own.or_else(present).unwrap_or_else(|| "–".to_string());
        value(escape(shown.trim_matches('"')), number(&shown).unwrap_or(f64::NAN))
    };
    let row = |&candidate: &usize| {
        let mut row = vec![escape(&name(x, candidate))];
        row.extend(paths.iter().map(|path| of(candidate, path)));
        row
    };
    sortable(caption, &head, &candidates.iter().map(row).collect::<Vec<_>>())
}

/// The upper bound of each goal, the worst of its days.
fn bounds(x: &Told, score: &Score) -> Vec<String> {
    let confidence = x.tuned.confirmation.confidence;
    let of = |(number, goal): (usize, &crate::tune::judge::Goal)| {
        let worst = score
            .standings
            .iter()
            .filter(|s| s.goal == number)
            .map(|s| s.high(confidence))
            .fold(f64::NEG_INFINITY, f64::max);
        let shown = if worst.is_finite() { goal.show(goal.observed_at(worst)) } else { "–".to_string() };
        value(shown, worst)
    };
    x.question.rules.goals.iter().enumerate().map(of).collect()
}

fn target_ms(x: &Told) -> Option<f64> {
    x.question.rules.goals.iter().find(|goal| goal.name() == "p99").map(|goal| goal.bound())
}

/// The candidates on the plane of cost and p99: those on the front, the present setting, and the recommended one, by the figures of the
/// search. Only those that are told of have a name.
pub(crate) fn points(x: &Told) -> Vec<Point> {
    let tuned = x.tuned;
    let recommended = tuned.confirmed().candidate;
    let label = |candidate: usize, is_knee: bool| match candidate {
        0 => "present".to_string(),
        c if c == recommended => format!("{c}, recommended"),
        c if is_knee => format!("{c}, knee"),
        _ => String::new(),
    };
    let of_front = tuned.front.iter().enumerate().map(|(i, point)| Point {
        label: label(point.candidate, tuned.knee == Some(i)),
        cost: point.cost,
        p99_ms: point.p99_ms,
        on_front: true,
    });
    let mut others = vec![0, recommended];
    others.dedup();
    let other = |candidate: usize| {
        let samples = &tuned.found.samples[candidate];
        let samples = &samples[..samples.len().min(EQUAL_RUNS as usize)];
        let cost = Score::of_runs(samples, &x.question.rules).cost;
        Some(Point { label: label(candidate, false), cost, p99_ms: p99(samples)?, on_front: false })
    };
    let is_on_front = |candidate: &usize| tuned.front.iter().any(|point| point.candidate == *candidate);
    of_front.chain(others.into_iter().filter(|c| !is_on_front(c)).filter_map(other)).collect()
}

/// What the front shows, in a sentence.
pub(crate) fn front_finding(x: &Told) -> String {
    format!("{} of {} candidates are beaten by none", x.tuned.front.len(), x.tuned.found.candidates.len())
}

fn front_of(x: &Told) -> String {
    let rows: Vec<Vec<String>> = x
        .tuned
        .front
        .iter()
        .enumerate()
        .map(|(i, point)| {
            let knee = if x.tuned.knee == Some(i) { ", knee" } else { "" };
            vec![
                escape(&format!("{}{knee}", name(x, point.candidate))),
                value(cost(x, point.cost), point.cost),
                value(millis(point.p99_ms), point.p99_ms),
                value(percent(point.availability), point.availability),
            ]
        })
        .collect();
    let caption = "Candidates that none beats in cost, p99 and availability at once, by the figures of the search, on the runs that all of them have.";
    let unit = format!("#{}", cost_unit(x));
    let candidates: Vec<usize> = x.tuned.front.iter().map(|point| point.candidate).collect();
    front(&points(x), cost_unit(x), target_ms(x), &front_finding(x))
        + &sortable(caption, &["Candidate", &unit, "#p99", "#Availability"], &rows)
        + &values(x, "The values of their settings.", &candidates)
}

/// Parallel coordinates: a line for each candidate with enough runs, from axis to axis.
fn parallel(x: &Told) -> String {
    const WIDTH: f64 = 960.0;
    const HEIGHT: f64 = 300.0;
    const TOP: f64 = 46.0;
    let tuned = x.tuned;
    let shown: Vec<(usize, &Vec<f64>, Score)> = (0..tuned.found.candidates.len())
        .filter(|&c| tuned.found.samples[c].len() >= EQUAL_RUNS as usize)
        .filter_map(|c| {
            Some((c, tuned.found.candidates[c].point.as_ref()?, tuned.found.score(c, &x.question.rules)?))
        })
        .collect();
    if shown.len() < 2 {
        return "<p>Too few candidates were looked at closely.</p>".to_string();
    }
    let (low, high) = shown.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (.., score)| {
        (low.min(score.cost), high.max(score.cost))
    });
    let space = &x.question.space;
    let axes = space.free.len() + 1;
    let at = |k: usize| 110.0 + (WIDTH - 190.0) * k as f64 / (axes - 1).max(1) as f64;
    let y = |u: f64| TOP + (HEIGHT - TOP - 34.0) * (1.0 - u);
    let mut out = format!(
        "<svg class=\"parallel\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Settings and cost of the candidates that were looked at closely\">"
    );
    for (k, dimension) in space.free.iter().enumerate() {
        let end = |u: f64| dimension.range.value(u).map_or(String::new(), |value| value.to_string().replace('"', ""));
        axis(
            &mut out,
            at(k),
            (y(0.0), y(1.0)),
            key(x, &dimension.path),
            (&end(0.0), &end(crate::tune::space::BELOW_ONE)),
            k % 2 == 1,
        );
    }
    axis(&mut out, at(axes - 1), (y(0.0), y(1.0)), cost_unit(x), (&short(low), &short(high)), axes.is_multiple_of(2));
    let winner = tuned.confirmed().candidate;
    // The recommended one is drawn last, on top.
    let mut order: Vec<&(usize, &Vec<f64>, Score)> = shown.iter().collect();
    order.sort_by_key(|(c, ..)| *c == winner);
    for (candidate, point, score) in order {
        let class = match () {
            () if *candidate == winner => "c6",
            () if score.worst(0.0) > 0.0 => "c1 dash",
            () => "c1",
        };
        let of_cost = if high > low { (score.cost - low) / (high - low) } else { 0.5 };
        let path: Vec<String> = point
            .iter()
            .copied()
            .chain([of_cost])
            .enumerate()
            .map(|(k, u)| format!("{:.1},{:.1}", at(k), y(u)))
            .collect();
        let _ = write!(
            out,
            "<polyline class=\"{class}\" points=\"{}\"><title>{}: {}</title></polyline>",
            path.join(" "),
            escape(&name(x, *candidate)),
            escape(&settings(x, &tuned.found.candidates[*candidate]))
        );
    }
    out.push_str("</svg><p>A line for each candidate with enough runs: dashed ones miss a target in the search, the strong one is recommended.</p>");
    out
}

fn axis(out: &mut String, x: f64, (bottom, top): (f64, f64), name: &str, (low, high): (&str, &str), is_lower: bool) {
    let name_y = if is_lower { top - 30.0 } else { top - 16.0 };
    let _ = write!(
        out,
        "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\
         <text x=\"{x:.1}\" y=\"{name_y:.1}\" text-anchor=\"middle\">{}</text>\
         <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        escape(name),
        top - 3.0,
        escape(high),
        bottom + 14.0,
        escape(low)
    );
}

fn matters(x: &Told) -> String {
    let rows: Vec<Vec<String>> = x
        .tuned
        .importance
        .iter()
        .map(|each| {
            let share = |share: f64| value(format!("{:.0} %", share * 100.0), share);
            vec![format!("<code>{}</code>", escape(&each.path)), share(each.of_cost), share(each.of_targets)]
        })
        .collect();
    let caption = "Share of the variance that a setting explains by itself, over the first, even spread of candidates. Below 1 % in both: leave it.";
    let mut out = sortable(caption, &["Key", "#Of cost", "#Of the worst target"], &rows);
    if !x.tuned.neighbors.is_empty() {
        let rows: Vec<Vec<String>> = x
            .tuned
            .neighbors
            .iter()
            .map(|neighbor| {
                let holds = if neighbor.score.worst(0.0) <= 0.0 { "holds" } else { "misses" };
                vec![
                    format!("<code>{} = {}</code>", escape(&neighbor.path), escape(&neighbor.value.to_string())),
                    value(cost(x, neighbor.score.cost), neighbor.score.cost),
                    escape(&super::words::missed(x, &neighbor.score)),
                    holds.to_string(),
                ]
            })
            .collect();
        let caption = "One step beside the recommended setting, on few runs: no step should fall off a cliff.";
        out.push_str(&table(caption, &["Step", "#Cost", "Worst target", "Targets"], &rows));
    }
    out
}

fn days(x: &Told) -> String {
    let first = if x.days.is_cut { x.days.searched.len() } else { 0 };
    let of_day = |samples: &[Sample], day: usize| -> Vec<Sample> {
        samples.iter().filter(|sample| sample.day == day).cloned().collect()
    };
    let rows: Vec<Vec<String>> = x
        .days
        .held_out
        .iter()
        .enumerate()
        .flat_map(|(i, day)| {
            let which = [&x.tuned.confirmation.all[0], x.tuned.confirmed()];
            let which = if x.tuned.recommended() == 0 { which[..1].to_vec() } else { which.to_vec() };
            which.into_iter().map(move |each| {
                let samples = of_day(&each.samples, first + i);
                let score = Score::of_runs(&samples, &x.question.rules);
                let holds = if score.worst(0.0) <= 0.0 { "pass" } else { "fail" };
                let word = if holds == "pass" { "holds" } else { "misses" };
                vec![
                    escape(&day.name),
                    escape(&name(x, each.candidate)),
                    value(cost(x, score.cost), score.cost),
                    p99(&samples).map_or("–".to_string(), |ms| value(millis(ms), ms)),
                    availability(&samples).map_or("–".to_string(), |a| value(percent(a), a)),
                    format!("<span class=\"{holds}\"><strong>{word}</strong></span>"),
                ]
            })
        })
        .collect();
    let caption = "Means over the fresh seeds of each day.";
    sortable(caption, &["Day", "Setting", "#Cost", "#p99", "#Availability", "Targets"], &rows)
}

fn robust(x: &Told) -> String {
    let rows: Vec<Vec<String>> = x
        .tuned
        .stressed
        .iter()
        .map(|(stress, score)| {
            let (class, word) = if score.worst(0.0) <= 0.0 { ("pass", "holds") } else { ("fail", "misses") };
            vec![
                stress.name(),
                value(cost(x, score.cost), score.cost),
                escape(&super::words::missed(x, score)),
                format!("<span class=\"{class}\"><strong>{word}</strong></span>"),
            ]
        })
        .collect();
    let caption =
        "The recommended setting on held-out days with two fresh seeds, where the scenario is wrong by a fifth.";
    table(caption, &["What differs", "#Cost", "Worst target", "Targets"], &rows)
}

fn timelines_of(x: &Told) -> String {
    let rows: Vec<(String, &Experiment)> = x.timelines.iter().map(|(label, x)| (label.clone(), x)).collect();
    if rows.is_empty() { "<p>Nothing was played again.</p>".to_string() } else { timelines(&rows) }
}

fn identity(x: &Told) -> String {
    let row = |what: &str, is: String| vec![what.to_string(), is];
    let rows = vec![
        row("Scenario", format!("{} <code>{}</code>", escape(x.name), escape(x.digest))),
        row("Days", escape(&x.days.note)),
        row("Method", x.question.method.name().to_string()),
        row("Runs", format!("{} to search, {} to confirm", x.tuned.runs.0, x.tuned.runs.1)),
        row("Seed", x.question.seed.to_string()),
        row("To make it again", format!("<code>{}</code>", escape(x.command))),
    ];
    table("What was searched.", &["What", "Is"], &rows)
}
