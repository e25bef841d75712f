//! JUnit XML, in what the common readers have in common: GitLab, Jenkins, Azure. One suite, a case for each criterion, numbers in
//! the message because GitLab shows nothing else.

use std::fmt::Write;

use super::{Severity, Told};
use crate::report::verdict::Outcome;

/// The verdict as a document.
pub fn junit(x: &Told) -> String {
    let findings = &x.judgement.findings;
    let unsure_fails = x.severity != Severity::Pass;
    let count = |is: &dyn Fn(Outcome) -> bool| findings.iter().filter(|f| is(f.outcome)).count();
    let (failures, skipped) = match x.failed_run {
        Some(_) => (0, 0),
        None => (
            count(&|o| o == Outcome::Fail || (o == Outcome::Inconclusive && unsure_fails)),
            count(&|o| o == Outcome::Inconclusive && !unsure_fails),
        ),
    };
    let errors = if x.failed_run.is_some() { findings.len().max(1) } else { 0 };
    let tests = findings.len().max(errors);
    let totals = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{:.3}\"", x.seconds);
    let name = escape(x.name);
    // The schema has no fractions and no zone.
    let stamp = x.started.get(..19).unwrap_or(x.started);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"wavetank\" {totals}>\n  <testsuite name=\"{name}\" {totals} skipped=\"{skipped}\" timestamp=\"{}\">\n",
        escape(stamp)
    );
    // Writing to a string cannot fail.
    let mut case = |title: &str, body: Option<String>| {
        let open = format!(
            "    <testcase classname=\"wavetank.{name}\" name=\"{}\" time=\"{:.3}\"",
            escape(title),
            x.seconds
        );
        let _ = match body {
            None => writeln!(out, "{open}/>"),
            Some(body) => writeln!(out, "{open}>\n{body}    </testcase>"),
        };
    };
    for f in findings {
        let details =
            escape(&format!("{}\n{}\n{}\nrepeat: {}", f.sentence(), f.arithmetic(), x.arithmetic(), x.command));
        let message = escape(&f.sentence());
        let element = |name: &str, attributes: String| format!("      <{name} {attributes}>{details}</{name}>\n");
        let body = match (x.failed_run, f.outcome) {
            (Some(problem), _) => {
                Some(element("error", format!("message=\"{}\" type=\"run failed\"", escape(problem))))
            }
            (None, Outcome::Pass) => None,
            (None, Outcome::Fail) => Some(element("failure", format!("message=\"{message}\" type=\"fail\""))),
            (None, Outcome::Inconclusive) => {
                let message = escape(&format!("inconclusive: {}; {}", f.sentence(), f.arithmetic()));
                Some(match unsure_fails {
                    true => element("failure", format!("message=\"{message}\" type=\"inconclusive\"")),
                    false => format!("      <skipped message=\"{message}\"/>\n"),
                })
            }
        };
        case(&f.criterion.name(), body);
    }
    if let (Some(problem), true) = (x.failed_run, findings.is_empty()) {
        let message = escape(problem);
        case("the run", Some(format!("      <error message=\"{message}\" type=\"run failed\">{message}</error>\n")));
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Text that XML 1.0 allows anywhere: markup escaped, characters that it forbids left out.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push(' '),
            c if c < ' ' || matches!(c, '\u{7f}' | '\u{FFFE}' | '\u{FFFF}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_is_safe_in_an_attribute() {
        assert_eq!(escape("p99 < 500ms & \"x\""), "p99 &lt; 500ms &amp; &quot;x&quot;");
        assert_eq!(escape("a\u{1b}[31m\u{0}b"), "a[31mb");
    }
}
