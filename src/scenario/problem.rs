//! What is wrong with a scenario file, in words that say where, which key, what was found and what would do.
//!
//! Reading never stops at the first mistake: [`Problems`] holds all of them, in the order of the file, so that one run
//! shows everything there is to mend.

use std::fmt;

/// One mistake in a scenario file or in an override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// Dotted path of the key, with the names or numbers (from 0) of array elements; empty if the text is not TOML.
    pub key: String,
    /// What is wrong.
    pub mistake: Mistake,
}

/// Where a mistake stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the scenario file.
    File {
        /// Its name, as the user gave it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In an override; the part before the equals sign.
    Override(String),
}

/// What is wrong with a key or its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The value will not do.
    Unfit {
        /// The value, as TOML would write it.
        found: String,
        /// What would do.
        expected: String,
    },
    /// No such key.
    UnknownKey {
        /// What the keys belong to when that is not plain from the path (`kind = "crash"`).
        of: Option<String>,
        /// The known key that looks most like it, if one does.
        nearest: Option<&'static str>,
        /// Every key that is known there.
        known: Vec<&'static str>,
    },
    /// No such section.
    UnknownSection {
        /// The known section that looks most like it, if one does.
        nearest: Option<&'static str>,
        /// Every section there can be.
        known: Vec<&'static str>,
    },
    /// The key has to be there and is not.
    Missing {
        /// What it could look like, as a line of TOML.
        example: String,
    },
    /// The value contradicts another, or is not possible here; a sentence that names both.
    Contradiction(String),
    /// The text is not TOML, or the override is not `path=value`.
    Syntax(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.mistake)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Place::Override(path) => write!(f, "--set {path}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::Unfit { found, expected } => write!(f, "found {found}, expected {expected}"),
            Mistake::UnknownKey { of, nearest, known } => {
                f.write_str("unknown key")?;
                if let Some(of) = of {
                    write!(f, " for {of}")?;
                }
                likely(f, *nearest, known)
            }
            Mistake::UnknownSection { nearest, known } => {
                f.write_str("unknown section")?;
                likely(f, *nearest, known)
            }
            Mistake::Missing { example } => write!(f, "missing, expected for example {example}"),
            Mistake::Contradiction(sentence) | Mistake::Syntax(sentence) => f.write_str(sentence),
        }
    }
}

/// What was probably meant, or everything it could have been.
fn likely(f: &mut fmt::Formatter<'_>, nearest: Option<&str>, known: &[&str]) -> fmt::Result {
    match nearest {
        Some(nearest) => write!(f, ", did you mean {nearest:?}?"),
        None => write!(f, ", expected {}", one_of(known.iter().copied())),
    }
}

/// Every mistake of a scenario, in the order of the file, those of overrides last; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// "a", "one of a, b", for messages.
pub(crate) fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [only] => (*only).to_string(),
        names => format!("one of {}", names.join(", ")),
    }
}

/// The candidate that `word` is most likely a slip of: the one at the smallest edit distance, if that is at most a third of
/// the word's length (and at most one for short words); else the only one that begins with the same word (`cpu_usage` for
/// `cpu_utilization`).
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    // Longer words than any key need no table of distances.
    if length > 40 {
        return None;
    }
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let slip = candidates
        .iter()
        .map(|candidate| (edits(word, candidate), *candidate))
        .filter(|&(edits, _)| edits <= (length / 3).max(1))
        .min_by_key(|&(edits, _)| edits);
    let first = |name: &str| name.split('_').next().filter(|first| first.len() >= 3).map(str::to_string);
    let mut akin = candidates.iter().filter(|candidate| first(word).is_some() && first(candidate) == first(word));
    match (slip, akin.next(), akin.next()) {
        (Some((_, candidate)), ..) | (None, Some(&candidate), None) => Some(candidate),
        _ => None,
    }
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbors; case and `-` for `_`
/// are free.
fn edits(a: &str, b: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let keys = ["scale_up_cooldown", "scale_down_cooldown", "interval", "min", "max"];
        for (word, expected) in [
            ("scale_up_cooldwon", Some("scale_up_cooldown")),
            ("scale-down-cooldown", Some("scale_down_cooldown")),
            ("Interval", Some("interval")),
            ("mix", Some("min")),
            ("interval_seconds", Some("interval")),
            ("scale", None),
            ("maximum", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }
}
