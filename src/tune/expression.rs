//! Arithmetic between settings: `scale_up.threshold - 20`, `autoscaler.min <= autoscaler.max / 2`.
//!
//! Numbers are plain or durations (`30s`, in seconds); names are paths of keys, or as much of a path's end as no other setting shares.
//! A minus behind a name needs a space before it: names may hold hyphens. `min(a, b)` and `max(a, b)` are there, nothing else is.

use std::fmt;

use crate::units::Span;

/// A formula.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number; durations in seconds.
    Number(f64),
    /// The value of a key.
    Name(String),
    /// Two formulas and what is between them.
    Binary(Operator, Box<Expression>, Box<Expression>),
}

/// What can be between two formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Sum.
    Add,
    /// Difference.
    Subtract,
    /// Product.
    Multiply,
    /// Quotient.
    Divide,
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// How two formulas have to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Smaller.
    Less,
    /// Smaller or equal.
    AtMost,
    /// Larger.
    More,
    /// Larger or equal.
    AtLeast,
}

/// A condition that candidates have to meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// As it was written.
    pub text: String,
    left: Expression,
    relation: Relation,
    right: Expression,
}

/// A text that is no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}, expected {expected}")]
pub struct Error {
    found: String,
    expected: &'static str,
}

/// A name that no key has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: no such key, or its value is no number")]
pub struct Unknown(pub String);

impl Expression {
    /// Reads a formula.
    pub fn parse(text: &str) -> Result<Expression, Error> {
        let mut reader = Reader { text, at: 0 };
        let expression = reader.sum()?;
        reader.end()?;
        Ok(expression)
    }

    /// The keys that it names, in their order.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Expression::Number(_) => Vec::new(),
            Expression::Name(name) => vec![name],
            Expression::Binary(_, a, b) => [a.names(), b.names()].concat(),
        }
    }

    /// Its value with the values of keys.
    pub fn value(&self, of: &dyn Fn(&str) -> Option<f64>) -> Result<f64, Unknown> {
        Ok(match self {
            Expression::Number(x) => *x,
            Expression::Name(name) => of(name).ok_or_else(|| Unknown(name.clone()))?,
            Expression::Binary(operator, a, b) => {
                let (a, b) = (a.value(of)?, b.value(of)?);
                match operator {
                    Operator::Add => a + b,
                    Operator::Subtract => a - b,
                    Operator::Multiply => a * b,
                    Operator::Divide => a / b,
                    Operator::Min => a.min(b),
                    Operator::Max => a.max(b),
                }
            }
        })
    }
}

impl Constraint {
    /// Reads a condition: two formulas with `<`, `<=`, `>` or `>=` between them.
    pub fn parse(text: &str) -> Result<Constraint, Error> {
        let bad =
            || Error { found: text.to_string(), expected: "a condition such as 'down.threshold < up.threshold - 5'" };
        let at = text.find(['<', '>', '≤', '≥']).ok_or_else(bad)?;
        let rest = &text[at..];
        let (relation, length) = match () {
            () if rest.starts_with("<=") => (Relation::AtMost, 2),
            () if rest.starts_with(">=") => (Relation::AtLeast, 2),
            () if rest.starts_with('≤') => (Relation::AtMost, '≤'.len_utf8()),
            () if rest.starts_with('≥') => (Relation::AtLeast, '≥'.len_utf8()),
            () if rest.starts_with('<') => (Relation::Less, 1),
            () => (Relation::More, 1),
        };
        let (left, right) = (Expression::parse(&text[..at])?, Expression::parse(&rest[length..])?);
        Ok(Constraint { text: text.trim().to_string(), left, relation, right })
    }

    /// Both sides.
    pub fn sides(&self) -> [&Expression; 2] {
        [&self.left, &self.right]
    }

    /// Whether it holds with the values of keys.
    pub fn holds(&self, of: &dyn Fn(&str) -> Option<f64>) -> Result<bool, Unknown> {
        let (a, b) = (self.left.value(of)?, self.right.value(of)?);
        Ok(match self.relation {
            Relation::Less => a < b,
            Relation::AtMost => a <= b,
            Relation::More => a > b,
            Relation::AtLeast => a >= b,
        })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A value of a scenario as a formula reads it: a number, or a duration in seconds.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim().trim_matches('"');
    text.parse().ok().or_else(|| text.parse::<Span>().ok().map(Span::as_secs_f64))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&mut self) -> &str {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        &self.text[self.at..]
    }

    fn take(&mut self, symbol: char) -> bool {
        let taken = self.rest().starts_with(symbol);
        self.at += if taken { symbol.len_utf8() } else { 0 };
        taken
    }

    fn error<T>(&mut self, expected: &'static str) -> Result<T, Error> {
        let found = self.rest().to_string();
        Err(Error { found, expected })
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.rest().is_empty() { Ok(()) } else { self.error("+, -, *, / or the end of the formula") }
    }

    fn sum(&mut self) -> Result<Expression, Error> {
        let mut left = self.product()?;
        loop {
            let operator = match () {
                () if self.take('+') => Operator::Add,
                () if self.take('-') => Operator::Subtract,
                () => return Ok(left),
            };
            left = Expression::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expression, Error> {
        let mut left = self.factor()?;
        loop {
            let operator = match () {
                () if self.take('*') => Operator::Multiply,
                () if self.take('/') => Operator::Divide,
                () => return Ok(left),
            };
            left = Expression::Binary(operator, Box::new(left), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Expression, Error> {
        if self.take('-') {
            let zero = Box::new(Expression::Number(0.0));
            return Ok(Expression::Binary(Operator::Subtract, zero, Box::new(self.factor()?)));
        }
        if self.take('(') {
            let inside = self.sum()?;
            return if self.take(')') { Ok(inside) } else { self.error("a closing parenthesis") };
        }
        let rest = self.rest();
        let word: String = {
            let mut before = ' ';
            rest.chars()
                .take_while(|&c| {
                    let inside =
                        c.is_alphanumeric() || "_.[]\"".contains(c) || (c == '-' && before.is_alphanumeric());
                    before = c;
                    inside
                })
                .collect()
        };
        if word.is_empty() {
            return self.error("a number, a duration such as 30s, or the name of a key");
        }
        self.at += word.len();
        if let Some(x) = number(&word).filter(|_| word.starts_with(|c: char| c.is_ascii_digit() || c == '.')) {
            return Ok(Expression::Number(x));
        }
        let function = match word.as_str() {
            "min" => Some(Operator::Min),
            "max" => Some(Operator::Max),
            _ => None,
        };
        if let Some(operator) = function.filter(|_| self.take('(')) {
            let first = self.sum()?;
            if !self.take(',') {
                return self.error("a comma and a second formula");
            }
            let second = self.sum()?;
            if !self.take(')') {
                return self.error("a closing parenthesis");
            }
            return Ok(Expression::Binary(operator, Box::new(first), Box::new(second)));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            self.at -= word.len();
            return self.error("a number, a duration such as 30s, or the name of a key");
        }
        Ok(Expression::Name(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &str) -> Option<f64> {
        match name {
            "up.threshold" => Some(70.0),
            "cpu-up.cooldown" => Some(180.0),
            _ => None,
        }
    }

    fn value(text: &str) -> Result<f64, String> {
        Expression::parse(text).map_err(|e| e.to_string())?.value(&keys).map_err(|e| e.to_string())
    }

    #[test]
    fn formulas_follow_the_rules_of_arithmetic() {
        let cases = [
            ("up.threshold - 20", 50.0),
            ("2 + 3 * 4 - -1", 15.0),
            ("(2 + 3) * 4 / 8", 2.5),
            ("cpu-up.cooldown * 2 - 30s", 330.0),
            ("min(up.threshold, 1m) + max(1, 2)", 62.0),
            ("10 - 4 - 3", 3.0),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_formula_is_told() {
        let cases = [
            ("up.threshold -", r#"found "", expected a number, a duration such as 30s, or the name of a key"#),
            ("(1 + 2", r#"found "", expected a closing parenthesis"#),
            ("3 4", r#"found "4", expected +, -, *, / or the end of the formula"#),
            ("3x", r#"found "3x", expected a number, a duration such as 30s, or the name of a key"#),
            ("down.threshold", "down.threshold: no such key, or its value is no number"),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), Err(expected.to_string()), "{text}");
        }
    }

    #[test]
    fn conditions_compare_two_formulas() {
        let holds = |text: &str| Constraint::parse(text).unwrap().holds(&keys).unwrap();
        assert!(holds("65 < up.threshold") && holds("up.threshold <= 70") && holds("up.threshold ≥ 70"));
        assert!(!holds("up.threshold > 70") && !holds("up.threshold + 5 <= 70"));
        assert!(Constraint::parse("up.threshold = 70").is_err());
    }
}
