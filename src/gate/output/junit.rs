//! JUnit XML, in what the common readers have in common: GitLab, Jenkins, Azure. One suite, a case for each criterion, numbers in
//! the message because GitLab shows nothing else.

use std::fmt::Write;

use super::{Severity, Told};
use crate::gate::decide::Finding;
use crate::report::verdict::Outcome;

/// A document: one suite and its cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite<'a> {
    /// What was judged.
    pub name: &'a str,
    /// When it began, RFC 3339.
    pub started: &'a str,
    /// How long it took \[s\].
    pub seconds: f64,
    /// What was asked.
    pub cases: Vec<Case>,
}

/// One thing that was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What.
    pub title: String,
    /// What came of it.
    pub end: End,
}

/// What came of a case; each with a message in a line, because GitLab shows nothing else, and all there is to say.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It holds.
    Passed,
    /// Nothing was asked of it; it is this.
    Measured(String),
    /// It does not, or nobody can tell: the kind is "fail" or "inconclusive".
    Failed {
        /// The kind.
        kind: &'static str,
        /// In a line.
        message: String,
        /// All of it.
        details: String,
    },
    /// Nobody can tell, which is fine.
    Skipped(String),
    /// What was to be judged failed itself.
    Broken {
        /// In a line.
        message: String,
        /// All of it.
        details: String,
    },
}

impl Suite<'_> {
    /// The document.
    pub fn document(&self) -> String {
        let count = |is: fn(&End) -> bool| self.cases.iter().filter(|case| is(&case.end)).count();
        let failures = count(|end| matches!(end, End::Failed { .. }));
        let skipped = count(|end| matches!(end, End::Skipped(_)));
        let errors = count(|end| matches!(end, End::Broken { .. }));
        let totals = format!(
            "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{:.3}\"",
            self.cases.len(),
            self.seconds
        );
        let name = escape(self.name);
        // The schema has no fractions and no zone.
        let stamp = self.started.get(..19).unwrap_or(self.started);
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"wavetank\" {totals}>\n  <testsuite name=\"{name}\" {totals} skipped=\"{skipped}\" timestamp=\"{}\">\n",
            escape(stamp)
        );
        for Case { title, end } in &self.cases {
            let open = format!(
                "    <testcase classname=\"wavetank.{name}\" name=\"{}\" time=\"{:.3}\"",
                escape(title),
                self.seconds
            );
            let element = |element: &str, kind: &str, message: &str, details: &str| {
                let (message, details) = (escape(message), escape(details));
                format!("      <{element} message=\"{message}\" type=\"{kind}\">{details}</{element}>\n")
            };
            let body = match end {
                End::Passed => None,
                End::Measured(value) => Some(format!("      <system-out>{}</system-out>\n", escape(value))),
                End::Failed { kind, message, details } => Some(element("failure", kind, message, details)),
                End::Skipped(message) => Some(format!("      <skipped message=\"{}\"/>\n", escape(message))),
                End::Broken { message, details } => Some(element("error", "run failed", message, details)),
            };
            // Writing to a string cannot fail.
            let _ = match body {
                None => writeln!(out, "{open}/>"),
                Some(body) => writeln!(out, "{open}>\n{body}    </testcase>"),
            };
        }
        out.push_str("  </testsuite>\n</testsuites>\n");
        out
    }
}

/// The verdict as a document.
pub fn junit(x: &Told) -> String {
    let findings = x.judgement.findings.iter().map(|f| Case { title: f.criterion.name(), end: end(x, f) });
    let mut cases: Vec<Case> = findings.collect();
    if let (Some(problem), true) = (x.failed_run, cases.is_empty()) {
        let end = End::Broken { message: problem.to_string(), details: problem.to_string() };
        cases.push(Case { title: "the run".to_string(), end });
    }
    Suite { name: x.name, started: x.started, seconds: x.seconds, cases }.document()
}

/// What came of a criterion.
pub fn end(x: &Told, f: &Finding) -> End {
    let details = format!("{}\n{}\n{}\nrepeat: {}", f.sentence(), f.arithmetic(), x.arithmetic(), x.command);
    if let Some(problem) = x.failed_run {
        return End::Broken { message: problem.to_string(), details };
    }
    match f.outcome {
        Outcome::Pass => End::Passed,
        Outcome::Fail => End::Failed { kind: "fail", message: f.sentence(), details },
        Outcome::Inconclusive => {
            let message = format!("inconclusive: {}; {}", f.sentence(), f.arithmetic());
            match x.severity {
                Severity::Pass => End::Skipped(message),
                Severity::Fail | Severity::Error => End::Failed { kind: "inconclusive", message, details },
            }
        }
    }
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
