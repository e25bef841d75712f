//! Targets from OpenSLO v1 documents (<https://github.com/OpenSLO/OpenSLO>).
//!
//! Only what a run can be held to is taken: a ratio indicator's `target` is an availability, a threshold indicator's `op: lte`,
//! `value` and `target` are a quantile of latency. A run is no window of 28 days, so windows and budgeting methods are left out.
//! `value` has no unit in OpenSLO: it is that of the annotation `wavetank/unit` (`s` or `ms`), else the one that the metric's
//! name ends in (`_seconds`, `_milliseconds`, `_ms`), and it is an error if there is neither.

use yaml_rust2::{Yaml, YamlLoader};

use super::criterion::{Bound, Criterion, Quantity};

/// Every objective of every SLO in a text of one or more documents; errors name the document and the key.
pub fn criteria(text: &str, file: &str) -> Result<Vec<Criterion>, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("{file}: not YAML: {error}"))?;
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for (number, document) in documents.iter().enumerate().filter(|(_, document)| !document.is_null()) {
        let at = |key: &str| format!("{file}: document {}: {key}", number + 1);
        match (document["apiVersion"].as_str(), document["kind"].as_str()) {
            (Some("openslo/v1"), Some("SLO")) => match objectives(document, &documents) {
                Ok(criteria) => found.extend(criteria),
                Err(problem) => problems.push(at(&problem)),
            },
            // Services, indicators and policies beside the SLOs are not judged.
            (Some("openslo/v1"), Some(_)) => {}
            (version, kind) => problems.push(at(&format!(
                "apiVersion: found {} {}, expected openslo/v1 and a kind",
                version.unwrap_or("none"),
                kind.unwrap_or("")
            ))),
        }
    }
    if problems.is_empty() && found.is_empty() {
        problems.push(format!("{file}: found no document of kind SLO"));
    }
    if problems.is_empty() { Ok(found) } else { Err(problems.join("\n")) }
}

/// What an SLO is measured by: its own indicator, or the one among `documents` that it names.
fn indicator<'a>(spec: &'a Yaml, documents: &'a [Yaml]) -> Result<&'a Yaml, String> {
    let Some(name) = spec["indicatorRef"].as_str() else { return Ok(&spec["indicator"]["spec"]) };
    let named =
        |each: &&Yaml| each["kind"].as_str() == Some("SLI") && each["metadata"]["name"].as_str() == Some(name);
    let found = documents.iter().find(named);
    found
        .map(|each| &each["spec"])
        .ok_or_else(|| format!("spec.indicatorRef: found no SLI named {name} in this file"))
}

fn objectives(document: &Yaml, documents: &[Yaml]) -> Result<Vec<Criterion>, String> {
    let spec = &document["spec"];
    let indicator = indicator(spec, documents)?;
    let (ratio, threshold) = (&indicator["ratioMetric"], &indicator["thresholdMetric"]);
    if ratio.is_badvalue() && threshold.is_badvalue() {
        return Err("spec.indicator.spec: expected ratioMetric or thresholdMetric, or spec.indicatorRef".into());
    }
    let objectives = spec["objectives"].as_vec().ok_or("spec.objectives: expected a list")?;
    objectives
        .iter()
        .enumerate()
        .map(|(i, objective)| {
            let target = target(objective).map_err(|problem| format!("spec.objectives[{i}].{problem}"))?;
            if !ratio.is_badvalue() {
                let bound = Bound::AtLeast(target);
                return Ok(Criterion { quantity: Quantity::Availability, bound, place: None });
            }
            match objective["op"].as_str() {
                Some("lte" | "lt") => {}
                other => {
                    let found = other.unwrap_or("nothing");
                    return Err(format!("spec.objectives[{i}].op: found {found}, expected lte or lt"));
                }
            }
            let value = number(&objective["value"])
                .ok_or_else(|| format!("spec.objectives[{i}].value: expected a number"))?;
            let bound = Bound::AtMost(value * milliseconds(document, threshold)?);
            Ok(Criterion { quantity: Quantity::Latency { q: target }, bound, place: None })
        })
        .collect()
}

fn target(objective: &Yaml) -> Result<f64, String> {
    let plain = number(&objective["target"]);
    let percent = number(&objective["targetPercent"]).map(|percent| percent / 100.0);
    match plain.or(percent) {
        Some(target) if target > 0.0 && target < 1.0 => Ok(target),
        Some(other) => Err(format!("target: found {other}, expected a share above 0 and below 1")),
        None => Err("target: missing, expected a share such as 0.99, or targetPercent".to_string()),
    }
}

fn number(yaml: &Yaml) -> Option<f64> {
    yaml.as_f64().or_else(|| yaml.as_i64().map(|n| n as f64)).or_else(|| yaml.as_str()?.parse().ok())
}

/// Milliseconds in the unit of a threshold.
fn milliseconds(document: &Yaml, threshold: &Yaml) -> Result<f64, String> {
    let stated = document["metadata"]["annotations"]["wavetank/unit"].as_str();
    match stated {
        Some("s") => return Ok(1000.0),
        Some("ms") => return Ok(1.0),
        Some(other) => {
            return Err(format!("metadata.annotations.wavetank/unit: found {other:?}, expected \"s\" or \"ms\""));
        }
        None => {}
    }
    let mut words = String::new();
    texts(threshold, &mut words);
    if words.contains("_milliseconds") || words.contains("_ms") {
        Ok(1.0)
    } else if words.contains("_seconds") {
        Ok(1000.0)
    } else {
        Err("spec.indicator: the unit of value is not known: set metadata.annotations.wavetank/unit to s or ms"
            .into())
    }
}

/// Every text in a tree.
fn texts(yaml: &Yaml, out: &mut String) {
    match yaml {
        Yaml::String(text) => {
            out.push_str(text);
            out.push(' ');
        }
        Yaml::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Yaml::Hash(map) => map.iter().for_each(|(_, value)| texts(value, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: &str = r#"
apiVersion: openslo/v1
kind: Service
metadata: { name: shop }
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: shop-availability
spec:
  service: shop
  indicator:
    metadata: { name: good }
    spec:
      ratioMetric:
        counter: true
        good: { metricSource: { type: Prometheus, spec: { query: "sum(ok)" } } }
        total: { metricSource: { type: Prometheus, spec: { query: "sum(all)" } } }
  timeWindow: [{ duration: 28d, isRolling: true }]
  budgetingMethod: Occurrences
  objectives: [{ displayName: Good, target: 0.999 }]
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: shop-latency
spec:
  indicator:
    spec:
      thresholdMetric:
        metricSource: { spec: { query: "http_request_duration_seconds" } }
  objectives:
    - { op: lte, value: 0.5, target: 0.99 }
    - { op: lte, value: 2, targetPercent: 99.9 }
"#;

    #[test]
    fn objectives_become_criteria() {
        let names: Vec<String> = criteria(DOCUMENTS, "slo.yaml").unwrap().iter().map(Criterion::name).collect();
        assert_eq!(names, ["availability >= 99.90 %", "p99 < 500 ms", "p99.9 < 2.00 s"]);
    }

    #[test]
    fn an_indicator_may_be_a_document_of_its_own() {
        let text = r#"
apiVersion: openslo/v1
kind: SLO
metadata: { name: shop-latency }
spec: { indicatorRef: slow, objectives: [{ op: lte, value: 0.5, target: 0.99 }] }
---
apiVersion: openslo/v1
kind: SLI
metadata: { name: slow }
spec: { thresholdMetric: { metricSource: { spec: { query: "http_request_duration_seconds" } } } }
"#;
        let names: Vec<String> = criteria(text, "slo.yaml").unwrap().iter().map(Criterion::name).collect();
        assert_eq!(names, ["p99 < 500 ms"]);
        let problem = criteria(&text.replace("name: slow", "name: fast"), "slo.yaml").unwrap_err();
        assert!(problem.contains("spec.indicatorRef: found no SLI named slow"), "{problem}");
    }

    #[test]
    fn what_cannot_be_taken_is_said_with_its_key() {
        for (from, to, told) in [
            ("http_request_duration_seconds", "latency", "wavetank/unit"),
            ("target: 0.999", "target: 99.9", "spec.objectives[0].target"),
            ("op: lte, value: 0.5", "op: gte, value: 0.5", "spec.objectives[0].op"),
            ("openslo/v1\nkind: Service", "v2\nkind: Service", "expected openslo/v1"),
        ] {
            let problem = criteria(&DOCUMENTS.replace(from, to), "slo.yaml").unwrap_err();
            assert!(problem.contains(told) && problem.starts_with("slo.yaml: document"), "{problem}");
        }
        assert!(criteria("a: [", "x").unwrap_err().contains("not YAML"));
        assert!(criteria("", "x").unwrap_err().contains("no document"));
    }
}
