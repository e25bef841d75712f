//! Every worked example of the specification of autoscaling is a test, or is listed with the reason why it cannot be one.

use std::collections::BTreeSet;
use std::path::Path;

use crate::world::shared;

/// Examples that no test can have, and why.
const NOT_APPLICABLE: [(&str, &str); 3] = [
    ("E-07", "how many jobs start for a queue: a job ends by itself, so it is no size of a fleet that would follow"),
    ("K-19", "how many pods are asked for their metrics: the engine sees every instance"),
    (
        "V-09",
        "an error rate that counts local refusals: ours counts what reached an instance, so there is none to find",
    ),
];

/// Sections whose examples are looked for: policies from rules to Azure, composition, judgement, checks.
const LETTERS: &str = "RHKEWGZXMCOV";

/// The names in a text such as "R-01", "H-30a".
fn names(text: &str, letters: &str) -> BTreeSet<String> {
    let bytes = text.as_bytes();
    let is_name = |i: usize| {
        letters.contains(char::from(bytes[i]))
            && (i == 0 || !bytes[i - 1].is_ascii_alphanumeric())
            && bytes.get(i + 1) == Some(&b'-')
            && bytes.get(i + 2..i + 4).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
    };
    let end = |i: usize| if bytes.get(i + 4).is_some_and(|b| b"abc".contains(b)) { i + 5 } else { i + 4 };
    (0..bytes.len()).filter(|&i| is_name(i)).map(|i| text[i..end(i)].to_string()).collect()
}

/// All the Rust below a folder.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("worked_examples.rs")
        {
            all.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
    all
}

#[test]
fn every_example_is_a_test_or_has_a_reason() {
    let Some(specification) = shared("specs/autoscaling.md") else { return };
    let text = std::fs::read_to_string(specification).expect("the specification");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") || line.starts_with("O-")).collect();
    let first = |row: &&str| row.trim_start_matches("| ").chars().take(5).collect::<String>();
    let examples: BTreeSet<String> = rows.iter().flat_map(|row| names(&first(row), LETTERS)).collect();
    assert!(examples.len() > 120, "only {} examples", examples.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tested = names(&(sources(&root.join("src")) + &sources(&root.join("tests"))), LETTERS);
    // "H-30" stands for "H-30a" to "H-30c".
    let is_tested =
        |name: &String| tested.contains(name) || tested.iter().any(|each| each.starts_with(name.as_str()));
    for (name, reason) in NOT_APPLICABLE {
        println!("{name}: does not apply ({reason})");
        assert!(examples.contains(name), "{name} is no example");
    }
    let listed = |name: &String| NOT_APPLICABLE.iter().any(|(each, _)| each == name);
    let missing: Vec<&String> = examples.iter().filter(|name| !is_tested(name) && !listed(name)).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}
