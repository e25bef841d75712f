//! What is written is what the other systems take: by schemas of their APIs and resources in `schemas/`.
//!
//! A HorizontalPodAutoscaler is checked against the types of Kubernetes instead.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

use super::super::{Form, tree};
use super::properties::as_json;

/// The schemas, each made ready once.
struct Schemas {
    keda: Validator,
    knative: Validator,
    aws: Validator,
    cloudformation: Vec<(String, Validator)>,
    nomad: Validator,
    gcp: Validator,
    azure: Validator,
}

fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let compiled = |text: &str| jsonschema::validator_for(&parsed(text)).expect("a JSON Schema");
        let resources = parsed(include_str!("schemas/cloudformation.json"));
        let resources = resources.as_object().expect("an object").iter().filter(|(kind, _)| kind.contains("::"));
        Schemas {
            keda: compiled(include_str!("schemas/keda-scaledobject.json")),
            knative: compiled(include_str!("schemas/knative-service.json")),
            aws: compiled(include_str!("schemas/aws-commands.json")),
            cloudformation: resources
                .map(|(kind, schema)| (kind.clone(), jsonschema::validator_for(schema).expect("a JSON Schema")))
                .collect(),
            nomad: compiled(include_str!("schemas/nomad-policy.json")),
            gcp: compiled(include_str!("schemas/gcp-autoscaler.json")),
            azure: compiled(include_str!("schemas/azure-autoscale-setting.json")),
        }
    })
}

/// What is wrong with a text as a manifest of such a form.
pub(super) fn wrong(form: Form, text: &str) -> Option<String> {
    let documents: Vec<Value> = tree::parse(text).expect("YAML or JSON").iter().map(as_json).collect();
    let check = |validator: &Validator, value: &Value| {
        let errors: Vec<String> =
            validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        (!errors.is_empty()).then(|| errors.join("\n"))
    };
    let all = schemas();
    let first = &documents[0];
    match form {
        Form::Hpa | Form::Rules => None,
        Form::Keda => check(&all.keda, first),
        Form::Knative => check(&all.knative, first),
        Form::Nomad => check(&all.nomad, first),
        Form::Gcp => check(&all.gcp, first),
        Form::Azure => check(&all.azure, first),
        Form::Aws => first.as_array().expect("a list").iter().find_map(|each| check(&all.aws, each)),
        Form::CloudFormation => {
            first["Resources"].as_object().expect("resources").iter().find_map(|(name, resource)| {
                let kind = resource["Type"].as_str().expect("a type");
                // A group needs a network and a template to launch from, of which a policy knows nothing.
                if kind == "AWS::AutoScaling::AutoScalingGroup" {
                    return None;
                }
                let Some((_, validator)) = all.cloudformation.iter().find(|(each, _)| each == kind) else {
                    return Some(format!("{name}: no schema of {kind}"));
                };
                check(validator, &resolved(&resource["Properties"])).map(|errors| format!("{name}: {errors}"))
            })
        }
    }
}

/// A value with what `Ref` stands for: some text.
fn resolved(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("Ref") => map["Ref"].clone(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), resolved(value))).collect(),
        Value::Array(items) => items.iter().map(resolved).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_schema_refuses_what_its_system_would() {
    let keda = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: { name: a }\nspec:\n  scaleTargetRef: { name: a }\n";
    let trigger = "  triggers: [{ type: cpu, metadata: { value: \"60\" } }]\n";
    assert_eq!(wrong(Form::Keda, &format!("{keda}{trigger}")), None);
    assert!(wrong(Form::Keda, keda).is_some_and(|text| text.contains("triggers")));
    let number = trigger.replace("\"60\"", "60");
    assert!(wrong(Form::Keda, &format!("{keda}{number}")).is_some_and(|text| text.contains("60 is not of type")));
    let alarm = r#"[{ "AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThan" }]"#;
    assert!(wrong(Form::Aws, alarm).is_some(), "no such operator");
    let policy = "Resources:\n  P:\n    Type: AWS::AutoScaling::ScalingPolicy\n    Properties: { AutoScalingGroupName: g, Colour: red }\n";
    assert!(wrong(Form::CloudFormation, policy).is_some_and(|text| text.contains("Colour")));
}
