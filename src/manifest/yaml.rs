//! YAML written from JSON values.

use serde_json::Value;
use yaml_rust2::YamlEmitter;
use yaml_rust2::yaml::{Hash, Yaml};

/// A document; keys in the order of the value.
pub(crate) fn document(value: &Value) -> String {
    let mut out = String::new();
    YamlEmitter::new(&mut out).dump(&yaml(value)).expect("a tree of texts and numbers can be written into a string");
    out.trim_start_matches("---\n").to_string() + "\n"
}

fn yaml(value: &Value) -> Yaml {
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Yaml::Integer(number),
            None => Yaml::Real(number.to_string()),
        },
        Value::String(text) => Yaml::String(text.clone()),
        Value::Array(items) => Yaml::Array(items.iter().map(yaml).collect()),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (Yaml::String(key.clone()), yaml(value)));
            Yaml::Hash(entries.collect::<Hash>())
        }
    }
}
