//! The benchmark as JUnit XML: a case for each figure. One with a target is judged as the gate judges, any other is there for its value.

use super::cell;
use crate::bench::figure::Kind;
use crate::bench::result::{Bench, World};
use crate::gate::output::{Case, End, Severity, Suite, Told, end};
use crate::gate::{Judgement, Quantity};

/// The benchmark as a document. `severity` says what "inconclusive" is to the build.
pub fn junit(x: &Bench, judgement: Option<&Judgement>, severity: Severity) -> String {
    let name = format!("{} {}", x.definition.kind.name(), x.name);
    let judged: Vec<Case> = judgement.map_or_else(Vec::new, |judgement| {
        let told = Told {
            name: &name,
            baseline: None,
            judgement,
            severity,
            notes: &x.notes,
            trend: None,
            started: &x.started,
            seconds: x.seconds,
            command: &x.command,
            failed_run: None,
        };
        judgement.findings.iter().map(|f| Case { title: f.criterion.name(), end: end(&told, f) }).collect()
    });
    let has_target = |name: &str| {
        judgement.is_some_and(|judgement| {
            judgement
                .findings
                .iter()
                .any(|f| matches!(f.criterion.quantity, Quantity::Measured(measure) if measure.name == name))
        })
    };
    let mut cases = judged;
    // What is judged is judged of the first world; the others are beside it to compare.
    if let Some(world) = x.worlds.first() {
        cases.extend(measured(x, world).into_iter().filter(|(name, _)| !has_target(name)).map(|(_, case)| case));
    }
    Suite { name: &name, started: &x.started, seconds: x.seconds, cases }.document()
}

/// A case for each figure of a world, under the name of the figure. What never happened is skipped, with how long it was waited for.
fn measured(x: &Bench, world: &World) -> Vec<(&'static str, Case)> {
    let levels = x.definition.kind == Kind::Baseline;
    let of = |group: &crate::bench::result::Group| {
        let level = if levels { format!(" at {}/s", super::rate(group.rate)) } else { String::new() };
        let case = |figure: &crate::bench::figure::Figure| {
            let spread = group.spread(*figure);
            let shown = cell(*figure, &spread);
            let title = format!("{figure}{level}");
            let end = if spread.median.is_some() { End::Measured(shown) } else { End::Skipped(shown) };
            (figure.measure().name, Case { title, end })
        };
        x.definition.kind.figures().iter().map(case).collect::<Vec<_>>()
    };
    world.groups.iter().flat_map(of).collect()
}
