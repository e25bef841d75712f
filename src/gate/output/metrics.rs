//! The verdict as OpenMetrics text: GitLab's metrics reports compare it between branches.

use std::fmt::Write;

use super::Told;
use crate::report::verdict::Outcome;

/// A gauge for each figure, and one for the verdict.
pub fn metrics(x: &Told) -> String {
    let mut out = String::new();
    let name = x.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# TYPE wavetank_gate gauge");
    for f in &x.judgement.findings {
        let key = f.criterion.quantity.key();
        if let Some(observed) = f.observed {
            let against =
                if matches!(f.criterion.bound, crate::gate::Bound::Regression(_)) { "baseline" } else { "target" };
            let _ = writeln!(
                out,
                "wavetank_gate{{scenario=\"{name}\",figure=\"{key}\",against=\"{against}\"}} {observed}"
            );
        }
    }
    let _ = writeln!(out, "# TYPE wavetank_verdict gauge");
    let verdict = match (x.failed_run, x.judgement.outcome()) {
        (None, Outcome::Pass) => 1,
        _ => 0,
    };
    let _ = writeln!(out, "wavetank_verdict{{scenario=\"{name}\"}} {verdict}\n# EOF");
    out
}
