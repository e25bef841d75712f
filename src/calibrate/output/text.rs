//! The calibration on a terminal.

use std::fmt::Write;

use super::words;
use crate::calibrate::{Calibration, Concurrency, Interval};
use crate::report::plain;
use crate::report::verdict::{millis, percent, thousands};

/// The calibration as text, in color if asked.
pub fn console(x: &Calibration, color: bool) -> String {
    let dim = |text: &str| if color { format!("\x1b[2m{text}\x1b[0m") } else { text.to_string() };
    let bold = |text: &str| if color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() };
    let mut out = format!("{}\n", bold("Fitted, with 95 % intervals"));
    let between = |x: &Interval, show: &dyn Fn(f64) -> String| match x.high.is_finite() {
        true => format!("{} … {}", show(x.low), show(x.high)),
        false => "one value: no interval".to_string(),
    };
    let ms = |seconds: f64| millis(seconds * 1e3);
    let mut row = |name: &str, value: &str, interval: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {:<28} {value:<40} {}", plain(name), dim(interval));
    };
    for demand in &x.demands {
        let fit = &demand.fit;
        let shape = fit.shape.as_ref().map_or(String::new(), |shape| {
            format!("; {} {}", shape_name(fit.family.name()), between(shape, &|x| format!("{x:.3}")))
        });
        let value =
            if demand.measured.is_empty() { words(&fit.family) } else { "as measured: no family fits".to_string() };
        row(&format!("demand of {}", demand.path), &value, &(between(&fit.mean, &ms) + &shape));
        let next = fit
            .next
            .as_ref()
            .map_or(String::new(), |(family, worse)| format!("; {} is worse by {worse:.0} of BIC", family.name()));
        let detail =
            format!("{} requests with room, KS {:.3}{next}", thousands(demand.requests as u64), fit.distance);
        row("", &detail, "");
        if demand.error_rate > 0.0 {
            row("", &format!("{} of all were answered badly", percent(demand.error_rate)), "");
        }
    }
    match x.concurrency {
        Concurrency::Workers { best, low, high } => {
            row("served at once", &best.to_string(), &format!("{low} … {high}"))
        }
        Concurrency::AtLeast { seen } => {
            row("served at once", &format!("at least {seen}"), "the queue was never seen")
        }
        Concurrency::Unclear => row("served at once", "cannot be told", "1 is a guess"),
    }
    match &x.overhead {
        Some(overhead) => row("on the way", &ms(overhead.value), &between(overhead, &ms)),
        None => row("on the way", "cannot be told from service", ""),
    }
    match &x.boot {
        Some(boot) => {
            row("boot", &words(&boot.family), &format!("{}; {} launches", between(&boot.mean, &ms), boot.launches))
        }
        None => row("boot", "nobody was launched", ""),
    }
    match &x.warmup {
        Some(warmup) => row(
            "warm-up",
            &format!("{:.1} times slower at first, for {} s", warmup.slowdown.value, warmup.seconds),
            &between(&warmup.slowdown, &|x| format!("{x:.2}")),
        ),
        None => row("warm-up", "not seen", ""),
    }
    for note in &x.notes {
        let _ = writeln!(out, "  {}", dim(&format!("note: {}", plain(note))));
    }
    out
}

/// What the second parameter of a family is called.
pub(super) fn shape_name(family: &str) -> &'static str {
    match family {
        "lognormal" => "sigma",
        "pareto" => "alpha",
        _ => "shape",
    }
}
