//! The probe on a terminal, and in Markdown.

use std::fmt::Write;

use super::Storm;
use super::table::{aligned, cell_text, piped};
use crate::report::plain;
use crate::report::verdict::{millis, percent};
use crate::storm::probe::{Cell, Map, PATIENCE, Row};
use crate::storm::protection::Trial;
use crate::storm::recovery::Fate;

// Writing to a string cannot fail, so the results of `write!` are let go below.

/// The probe as text, in bold where asked.
pub fn console(x: &Storm, color: bool) -> String {
    let bold = |text: &str| if color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() };
    let mut out = String::new();
    let _ = writeln!(out, "{}\n", bold(&plain(&sentence(x))));
    let (head, rows) = map_table(x);
    aligned(&mut out, &head, &rows);
    for line in remarks(x) {
        let _ = writeln!(out, "\n{line}");
    }
    if !x.trials.is_empty() {
        let _ = writeln!(out, "\n{}\n", bold(&trials_title(x)));
        let (head, rows) = trial_table(x);
        aligned(&mut out, &head, &rows);
        let _ = writeln!(out, "\n{}", bold(&plain(&verdict(x))));
    }
    if let Some((before, after)) = &x.example {
        let _ = writeln!(out, "\n{}\n", example_title(x, before));
        let (head, rows) = example_table(before, after.as_ref());
        aligned(&mut out, &head, &rows);
    }
    out
}

/// The same as a page in Markdown.
pub fn markdown(x: &Storm) -> String {
    let mut out = format!("# {}\n\n{}\n\n", cell_text(&x.name), cell_text(&sentence(x)));
    let (head, rows) = map_table(x);
    piped(&mut out, &head, &rows);
    for line in remarks(x) {
        let _ = writeln!(out, "\n{line}");
    }
    if !x.trials.is_empty() {
        let _ = writeln!(out, "\n{}\n", trials_title(x));
        let (head, rows) = trial_table(x);
        piped(&mut out, &head, &rows);
        let _ = writeln!(out, "\n**{}**", cell_text(&verdict(x)));
    }
    if let Some((before, after)) = &x.example {
        let _ = writeln!(out, "\n{}\n", example_title(x, before));
        let (head, rows) = example_table(before, after.as_ref());
        piped(&mut out, &head, &rows);
    }
    let _ = writeln!(out, "\n    {}", cell_text(&x.command));
    out
}

/// What the map shows, in a sentence.
fn sentence(x: &Storm) -> String {
    let kick = match x.settings.lengths.as_slice() {
        [one] => format!("a kick of {one}"),
        _ => "kicks".to_string(),
    };
    let cut = if x.interrupted { " (stopped before its end)" } else { "" };
    let stuck = x.map.stuck().len();
    if stuck == 0 {
        let calm = x.map.rows.iter().filter(|row| row.is_calm()).count();
        let most = x.settings.trigger.words(x.settings.most);
        return match calm {
            0 => format!(
                "{}: it is not calm at any load that was looked at, so there is nothing to return to{cut}",
                x.name
            ),
            _ => format!(
                "{}: it returns by itself from {kick} of up to {most}, wherever it was calm before{cut}",
                x.name
            ),
        };
    }
    match x.map.vulnerable {
        Some((_, sticks)) => format!(
            "{}: from {} on, {} of its capacity, it may not return by itself from {kick}{cut}",
            x.name,
            rate(sticks),
            percent0(sticks / x.capacity)
        ),
        None => format!("{}: it does not always return by itself from {kick}{cut}", x.name),
    }
}

fn rate(rps: f64) -> String {
    match rps {
        r if r < 10.0 => format!("{r:.2}/s"),
        r if r < 100.0 => format!("{r:.1}/s"),
        r => format!("{r:.0}/s"),
    }
}

fn percent0(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A row a load: where it begins to stick, and how long it takes to return from what it survives.
fn map_table(x: &Storm) -> (Vec<String>, Vec<Vec<String>>) {
    let several = x.settings.lengths.len() > 1;
    let mut head = vec!["load".to_string(), "of capacity".to_string()];
    if several {
        head.push("for".to_string());
    }
    head.push("sticks from".to_string());
    if x.protected.is_some() {
        head.push("protected".to_string());
    }
    head.extend(["returns from".to_string(), "within".to_string()]);
    let rows = x.map.rows.iter().map(|row| {
        let mut line = vec![rate(row.load), percent0(row.load / x.capacity)];
        if several {
            line.push(row.length.to_string());
        }
        line.push(sticks(x, row));
        if let Some(protected) = &x.protected {
            line.push(twin(protected, row).map_or("–".to_string(), |row| sticks(x, row)));
        }
        let survives = row.survives();
        line.push(survives.map_or("–".to_string(), |(size, _)| x.settings.trigger.words(size)));
        line.push(survives.map_or("–".to_string(), |(_, after)| after.to_string()));
        line
    });
    (head, rows.collect())
}

/// The row of another map with the same load and length.
fn twin<'a>(map: &'a Map, of: &Row) -> Option<&'a Row> {
    map.rows.iter().find(|row| row.load == of.load && row.length == of.length)
}

fn sticks(x: &Storm, row: &Row) -> String {
    match row.sticks_from() {
        _ if !row.is_calm() => "not calm".to_string(),
        Some(size) => x.settings.trigger.words(size),
        None => "never".to_string(),
    }
}

fn remarks(x: &Storm) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(bound) = x.fluid_bound() {
        remarks.push(format!(
            "Clients try up to {} times: the fluid model calls it vulnerable above {}, capacity over attempts.",
            x.attempts,
            rate(bound)
        ));
    }
    let (watch, hold) = (x.settings.watch, x.settings.hold);
    remarks.push(format!(
        "Returned: goodput within {}, p90 and waiting within twice the calm's, for {hold}; looked for over {watch} after the release, and over {} before it is said to stick.",
        percent0(x.settings.tolerance),
        watch * PATIENCE
    ));
    remarks
}

fn trials_title(x: &Storm) -> String {
    let most = x.settings.trigger.words(x.settings.most);
    format!("What would help, at {most} and every load where it stuck; cost and p99 in the calm at {}:", rate(x.load))
}

fn trial_table(x: &Storm) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["protection", "removes", "cost", "p99", "returns within", "--set"].map(str::to_string);
    let rows = x.trials.iter().map(|trial| {
        vec![
            trial.protection.name.clone(),
            format!("{} of {}", trial.cleared, trial.of),
            cost(trial),
            if trial.p99_ms.is_finite() { millis(trial.p99_ms) } else { "–".to_string() },
            seconds(trial.returns_after),
            trial.protection.settings.join(" "),
        ]
    });
    (head.to_vec(), rows.collect())
}

fn seconds(seconds: f64) -> String {
    if seconds.is_finite() { format!("{seconds:.0} s") } else { "–".to_string() }
}

fn cost(trial: &Trial) -> String {
    let shown = |share: f64, what: &str| (share >= 0.0005).then(|| format!("{:.1} % {what}", share * 100.0));
    let parts: Vec<String> =
        [shown(trial.more_instances, "instances"), shown(trial.lost, "requests")].into_iter().flatten().collect();
    if parts.is_empty() { "nothing".to_string() } else { parts.join(", ") }
}

fn verdict(x: &Storm) -> String {
    match (x.cheapest(), x.trials.first()) {
        (Some(best), _) => {
            format!("Cheapest: {} ({}), at the cost of {}", best.protection.name, settings(best), cost(best))
        }
        (None, Some(best)) if best.cleared > 0 => format!(
            "None of them removes all of it; {} ({}) removes most, {} of {}",
            best.protection.name,
            settings(best),
            best.cleared,
            best.of
        ),
        _ => "None of them helps".to_string(),
    }
}

fn settings(trial: &Trial) -> String {
    trial.protection.settings.iter().map(|each| format!("--set '{each}'")).collect::<Vec<_>>().join(" ")
}

fn example_title(x: &Storm, before: &Cell) -> String {
    format!("At {}, {} for {}:", rate(before.load), x.settings.trigger.words(before.kick.size), before.kick.length)
}

fn example_table(before: &Cell, after: Option<&Cell>) -> (Vec<String>, Vec<Vec<String>>) {
    let ms = |ms: f64| if ms.is_finite() { millis(ms) } else { "nobody".to_string() };
    let fate = |cell: &Cell| match cell.fate {
        Fate::Returns { after } => format!("{after}"),
        Fate::Sticks => "never".to_string(),
        Fate::NeverCalm => "not calm".to_string(),
    };
    type Of<'a> = &'a dyn Fn(&Cell) -> String;
    let rows: [(&str, Of); 6] = [
        ("returns after", &fate),
        ("goodput in the end", &|cell| percent(cell.after.goodput)),
        ("p90 in the end", &|cell| ms(cell.after.p90_ms)),
        ("waiting in the end", &|cell| format!("{:.1}", cell.after.waiting)),
        ("retries per request", &|cell| format!("{:.2}", cell.retries)),
        ("wasted work", &|cell| percent(cell.wasted_work)),
    ];
    let mut head = vec![String::new(), "as it is".to_string()];
    head.extend(after.map(|_| "protected".to_string()));
    let rows = rows.map(|(name, of)| {
        let mut row = vec![name.to_string(), of(before)];
        row.extend(after.map(of));
        row
    });
    (head, rows.to_vec())
}
