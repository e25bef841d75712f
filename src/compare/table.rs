//! The comparison on a terminal: differences first, then what each contender did.

use std::fmt::Write;

use super::{Comparison, Difference, Pairing, Trend};
use crate::report::plain;

/// The comparison as text, in color if asked.
pub fn console(x: &Comparison, color: bool) -> String {
    let paint = |code: &str, text: &str| match color {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_string(),
    };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}\n", paint("1", &plain(&x.title)));
    let measures = x.headline();
    let base = plain(&x.contenders[0].label);
    for (rows, each) in x.differences(&measures).iter().zip(&x.contenders[1..]) {
        let how = match rows[0].pairing {
            Pairing::Paired { pairs } => format!("{pairs} pairs on common random numbers"),
            Pairing::Independent => "independent runs".to_string(),
        };
        let head = format!("{} against {base}", plain(&each.label));
        let _ = writeln!(out, "  {}  {}", paint("1", &head), paint("2", &format!("{how}, 95 % intervals")));
        for d in rows {
            let code = match d.trend() {
                Trend::Better => "32",
                Trend::Worse => "31",
                _ => "2",
            };
            let (change, interval) = words(d);
            let word = paint(code, &format!("{:<9}", d.trend().word()));
            let _ = writeln!(out, "    {:<24} {word} {change:>12}  {interval}", d.measure.title());
        }
        let _ = writeln!(out);
    }
    let widest = x.contenders.iter().map(|each| plain(&each.label).chars().count()).max().unwrap_or(0).max(9);
    let mut head = format!("  {:<widest$}", "contender");
    for m in measures {
        let _ = write!(head, "  {:>14}", m.title().replace(" [instance-hours]", " [h]"));
    }
    let _ = writeln!(out, "{}", paint("2", &format!("{head}  {:>12}  verdict", "× cheapest")));
    for (each, on_front) in x.contenders.iter().zip(x.front()) {
        let label = plain(&each.label);
        let mut row = format!("  {label:<widest$}");
        for m in measures {
            let shown = m.mean(&each.experiment).map_or("–".to_string(), |mean| m.show(mean));
            let _ = write!(row, "  {shown:>14}");
        }
        let ratio = super::Measure::RegretRatio.mean(&each.experiment);
        let ratio = ratio.map_or("–".to_string(), |ratio| format!("{ratio:.2}"));
        let verdict = each.experiment.overall().map_or("no targets", |outcome| outcome.word());
        let front = if on_front { "  on the front" } else { "" };
        let _ = writeln!(out, "{row}  {ratio:>12}  {verdict}{}", paint("2", front));
    }
    for note in &x.notes {
        let _ = writeln!(out, "\n  {}", paint("2", &plain(note)));
    }
    out
}

/// A difference and its interval in words.
pub(super) fn words(d: &Difference) -> (String, String) {
    let change = d.change.map_or("–".to_string(), |change| d.show(change));
    let interval = match d.interval {
        Some((low, high)) => {
            let p = d.p_adjusted.map_or(String::new(), |p| match p {
                p if p < 0.0001 => ", p < 0.0001".to_string(),
                p => format!(", p {p:.4}"),
            });
            format!("{} … {}{p}", d.show(low), d.show(high))
        }
        None => "one run: no interval".to_string(),
    };
    (change, interval)
}
