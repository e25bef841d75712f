//! `/api/scaling/rules`: the autoscaler's rules, and changes to them.
//!
//! A rule has the keys of `[[autoscaler.rule]]` in a scenario file, and is read by the same code: what would be a mistake there is one
//! here, in the same words.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Problem;
use crate::engine::autoscaler::rules::{Action, Config, Operator};
use crate::engine::console::RuleError;
use crate::engine::input::Input;
use crate::engine::metrics::Aggregate;
use crate::live::driver::Driver;
use crate::scenario;

/// Longest text of a duration that callers may send, as the OpenAPI document says.
const LONGEST_DURATION: usize = 12;
/// Longest name that callers may give, as the OpenAPI document says.
const LONGEST_NAME: usize = 61;
/// Most rules that callers may bring about: each is looked at with every scrape, and kept by whoever records.
const MOST_RULES: usize = 1000;

/// Every rule.
pub fn list(driver: &Driver) -> Value {
    driver.with(|_, core| json!({ "rules": core.engine.rules().iter().map(shown).collect::<Vec<_>>() }))
}

/// Adds a rule; how it reads.
pub fn add(driver: &Driver, body: &Value) -> Result<Value, Problem> {
    for key in ["duration", "cooldown"] {
        if body[key].as_str().is_some_and(|text| text.len() > LONGEST_DURATION) {
            return Err(Problem::bad(format!("{key}: expected at most {LONGEST_DURATION} characters")));
        }
    }
    let rule = parse(body)?;
    if !is_plain(&rule.name) {
        let expected = format!(
            "at most {LONGEST_NAME} letters, digits, \"_\", \"-\" and blanks, the first no blank and no \"-\""
        );
        return Err(Problem::bad(format!("name: found {:?}, expected {expected}", rule.name)));
    }
    let told = shown(&rule);
    driver.with(|now, core| {
        if core.engine.rules().len() >= MOST_RULES {
            return Err(Problem::new(StatusCode::CONFLICT, format!("there are {MOST_RULES} rules already")));
        }
        if rule.action == Action::CircuitBreak && !core.engine.has_breaker() {
            return Err(Problem::bad("action: there is no breaker to open: add a [breaker] section"));
        }
        let rules = core.engine.rules_with(rule)?;
        core.feed(now, Input::Rules(rules));
        Ok(())
    })?;
    Ok(told)
}

/// Whether a name can stand in a path and in a log as it is.
fn is_plain(name: &str) -> bool {
    let of_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.len() <= LONGEST_NAME
        && name.bytes().next().is_some_and(of_word)
        && name.bytes().all(|b| of_word(b) || matches!(b, b' ' | b'-'))
}

/// Switches a rule on or off; `rest` is `/NAME/enable` or `/NAME/disable`.
pub fn switch(driver: &Driver, rest: &str) -> Result<Value, Problem> {
    let (name, verb) = rest.trim_start_matches('/').rsplit_once('/').unwrap_or_default();
    let name = decoded(name).ok_or_else(|| Problem::bad("the rule's name is not UTF-8"))?;
    driver.with(|now, core| {
        let rules = core.engine.rules_switched(&name, verb == "enable")?;
        core.feed(now, Input::Rules(rules));
        Ok(core.engine.rules().iter().find(|rule| rule.name == name).map_or(Value::Null, shown))
    })
}

impl From<RuleError> for Problem {
    fn from(error: RuleError) -> Problem {
        let status = match error {
            RuleError::NoAutoscaler | RuleError::Taken(_) => StatusCode::CONFLICT,
            RuleError::Unknown(_) => StatusCode::NOT_FOUND,
        };
        Problem::new(status, error.to_string())
    }
}

/// How a rule reads, such that it can be read again.
pub fn shown(rule: &Config) -> Value {
    let mut shown = json!({
        "name": rule.name,
        "metric": rule.metric.name(),
        "operator": name_of(&Operator::ALL, rule.operator),
        "threshold": rule.threshold,
        "duration": rule.duration.to_string(),
        "action": name_of(&Action::ALL, rule.action),
        "priority": rule.priority,
        "cooldown": rule.cooldown.to_string(),
        "enabled": rule.enabled,
    });
    if rule.metric.is_per_instance() {
        shown["aggregate"] = json!(name_of(&Aggregate::ALL, rule.aggregate));
    }
    if matches!(rule.action, Action::ScaleUp | Action::ScaleDown) {
        shown["step"] = json!(rule.step.to_string());
    }
    shown
}

fn name_of<T: PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, each)| *each == value).map_or("", |(name, _)| name)
}

/// Reads a rule as a scenario file would have it.
pub fn parse(body: &Value) -> Result<Config, Problem> {
    let mut text = String::from("live = {}\nbreaker = {}\nfleet.memory.limit = \"1GB\"\n[[autoscaler.rule]]\n");
    let Value::Object(entries) = body else { return Err(Problem::bad("a rule is a JSON object")) };
    for (key, value) in entries {
        let key = toml_edit::Key::new(key.as_str()).display_repr().into_owned();
        let value = match value {
            Value::String(text) => toml_edit::Value::from(text.as_str()).to_string(),
            // 3.0 is 3 to JSON, and not to TOML.
            Value::Number(n) => match n.as_f64() {
                Some(x) if x.fract() == 0.0 && x.abs() < 1e15 => format!("{x:.0}"),
                _ => n.to_string(),
            },
            Value::Bool(b) => b.to_string(),
            _ => return Err(Problem::bad(format!("{key}: found {value}, expected text, a number, true or false"))),
        };
        text += &format!("{key} = {value}\n");
    }
    let parsed = scenario::parse(&text, "rule", "".as_ref(), &[]);
    let rule = parsed.map(|scenario| scenario.autoscaler.and_then(|autoscaler| autoscaler.rules.into_iter().next()));
    match rule {
        Ok(Some(rule)) => Ok(rule),
        Ok(None) => Err(Problem::bad("a rule has at least name, metric, operator, threshold and action")),
        // Where in the text that nobody has seen says nothing to the caller.
        Err(problems) => Err(Problem::bad(without_places(&problems.to_string()))),
    }
}

/// Problems without file, line and column, and with keys as the caller wrote them.
fn without_places(problems: &str) -> String {
    let lines = problems.lines().filter(|line| line.starts_with("rule:"));
    let said: Vec<String> = lines
        .map(|line| {
            let said = line.splitn(4, ':').nth(3).unwrap_or(line).trim();
            // "autoscaler.rule.NAME.key: …": the caller knows which rule it is.
            let key = said.split(": ").next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
            let words = said.split_once(": ").map_or(said, |(_, words)| words);
            format!("{key}: {words}")
        })
        .collect();
    if said.is_empty() { problems.to_string() } else { said.join("; ") }
}

/// A part of a path without its percent signs; `None` if that is no text.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        let coded = (*first == b'%').then(|| after.get(..2)).flatten();
        let coded = coded.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        rest = if coded.is_some() { &after[2..] } else { after };
        bytes.push(coded.unwrap_or(*first));
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_in_a_scenario_file() {
        let body = json!({ "name": "hot", "metric": "cpu_utilization", "operator": "gt", "threshold": 70, "duration": "2m",
                           "action": "scale_up", "step": 2 });
        let rule = parse(&body).unwrap();
        assert_eq!((rule.name.as_str(), rule.threshold, rule.duration.to_string().as_str()), ("hot", 70.0, "2m"));
        assert_eq!(shown(&rule)["step"], "+2");
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_scenario_files() {
        let problem = |body: Value| parse(&body).unwrap_err().message;
        let body = json!({ "name": "hot", "metric": "cpu", "operator": "gt", "threshold": 70, "action": "scale_up" });
        let said = problem(body);
        assert!(said.starts_with("metric: found \"cpu\", expected one of requests_per_second, "), "{said}");
        let said = problem(json!({ "name": "x\n[evil]\ny = 1", "\"]": 1 }));
        assert!(said.contains("metric") && !said.contains("evil: "), "what comes as text stays text: {said}");
    }

    #[test]
    fn a_name_that_a_caller_gives_is_short_and_plain() {
        assert!(["a", "0-1", "_x y"].into_iter().all(is_plain) && is_plain(&"n".repeat(61)));
        assert!(!["", " a", "-a", "a/b", "0*", "é", "a\n"].into_iter().any(is_plain) && !is_plain(&"n".repeat(62)));
    }

    #[test]
    fn names_come_in_paths() {
        assert_eq!(decoded("a%20b").as_deref(), Some("a b"));
        assert_eq!(decoded("100%").as_deref(), Some("100%"));
        assert_eq!(decoded("%ff"), None);
    }
}
