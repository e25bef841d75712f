use super::super::{Form, Import, export, import};
use super::{as_scenario, read};
use crate::engine::autoscaler::Policy;
use crate::engine::autoscaler::hpa::{MetricSpec, Resource, ResourceTarget};
use crate::scenario;
use crate::units::Span;

const HPA: &str = r#"
apiVersion: v1
kind: Service
metadata: { name: shop }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: shop
  labels: { team: web }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: shop }
  minReplicas: 2
  maxReplicas: 30
  metrics:
    - type: Resource
      resource: { name: cpu, target: { type: Utilization, averageUtilization: 60 } }
    - type: Resource
      resource: { name: memory, target: { type: AverageValue, averageValue: 500Mi } }
    - type: Pods
      pods:
        metric: { name: http_requests_per_second, selector: { matchLabels: { verb: GET } } }
        target: { type: AverageValue, averageValue: 1500m }
    - type: External
      external: { metric: { name: kafka_lag }, target: { type: Value, value: 1k } }
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 30
      policies: [{ type: Percent, value: 50, periodSeconds: 60 }]
    scaleDown:
      selectPolicy: Disabled
"#;

#[test]
fn an_hpa_becomes_a_section_that_says_what_stayed_behind() {
    let import = read(HPA);
    insta::assert_snapshot!(import.section(), @r#"
    # HorizontalPodAutoscaler shop of file
    # Not carried over, or not quite:
    #   line 22: spec.metrics[2].pods.metric.selector.matchLabels.verb: a metric of a scenario has no labels: all of it counts
    #   line 22: spec.metrics[2].pods: no instance has it for itself: the service's value over its instances counts
    #   line 24: spec.metrics[3]: no metric of a scenario is known as "kafka_lag"; there are requests_per_second, average_response_time, p50_response_time, p95_response_time, p99_response_time, error_rate, cpu_utilization, memory_utilization, active_connections, queue_length, event_loop_lag
    [autoscaler]
    min = 2
    max = 30
    scale_down_guards = false

    [[autoscaler.policy]]
    kind = "hpa"
    name = "shop"
    metrics = [
      { type = "resource", resource = "cpu", average_utilization = 60 },
      { type = "resource", resource = "memory", average_value = "500MiB" },
      { type = "external", metric = "requests_per_second", average_value = 1.5 },
    ]
    behavior = { scale_up = { stabilization_window = "30s", policies = [{ type = "percent", value = 50, period = "1m" }] }, scale_down = { select_policy = "disabled" } }
    "#);
    assert_eq!(as_scenario(&import.section()), import.config);
}

#[test]
fn what_is_wrong_with_an_hpa_is_said_with_file_line_and_key() {
    for (from, to, told) in [
        (
            "maxReplicas: 30",
            "maxReplicas: 1",
            "hpa.yaml:14: spec.maxReplicas: 1 is less than minReplicas, which is 2",
        ),
        (
            "averageUtilization: 60",
            "averageUtilization: 0",
            "hpa.yaml:17: spec.metrics[0].resource.target.averageUtilization: found 0, expected a whole number, 1 or more",
        ),
        (
            "selectPolicy: Disabled",
            "selectPolicy: None",
            "hpa.yaml:31: spec.behavior.scaleDown.selectPolicy: found \"None\", expected one of Max, Min, Disabled",
        ),
        (
            "periodSeconds: 60",
            "periodSeconds: 3600",
            "hpa.yaml:29: spec.behavior.scaleUp.policies[0].periodSeconds: found 3600, expected whole seconds from 1 to 1800",
        ),
        ("autoscaling/v2", "autoscaling/v3", "hpa.yaml:6: apiVersion: found \"autoscaling/v3\", expected one of"),
        ("  maxReplicas: 30\n", "", "hpa.yaml:12: spec.maxReplicas: missing, expected for example 10"),
        (
            "HorizontalPodAutoscaler",
            "Deployment",
            "hpa.yaml:2: kind: found Service, Deployment, expected a Horizontal",
        ),
        ("    scaleDown:\n", "    scaleDown: [\n", "not YAML or JSON"),
        ("minReplicas: 2", "minReplicas: 2\n  minReplicas: 3", "the key \"minReplicas\" is there twice"),
        ("minReplicas: 2", "minReplicas: &two 2\n  x: *two", "aliases"),
    ] {
        let problems = import(&HPA.replace(from, to), "hpa.yaml").expect_err(to).to_string();
        assert!(problems.contains(told), "{to}: {problems}");
    }
    assert!(import(&"[".repeat(100_000), "x").is_err());
    assert!(import("", "x").unwrap_err().to_string().contains("found nothing of the kind"));
}

#[test]
fn an_hpa_none_of_whose_metrics_is_known_is_no_policy() {
    let text = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  maxReplicas: 3\n  metrics:\n  - type: External\n    \
                external: { metric: { name: lag }, target: { type: Value, value: 1 } }\n";
    let told = import(text, "x").unwrap_err().to_string();
    assert_eq!(told, "x:6: spec.metrics: none of its metrics can be carried over");
}

const RULES: &str = r#"{
  "minInstances": 2,
  "maxInstances": 20,
  "scaleUpCooldown": 120000,
  "scaleDownCooldown": 600000,
  "vendor": "x",
  "rules": [
    { "name": "cpu_scale_up", "metric": "cpuUtilization", "operator": "gt", "threshold": 70, "duration": 120000,
      "action": "scale_up", "priority": 8, "cooldown": 180000, "enabled": true },
    { "id": "slow", "metric": "p95ResponseTime", "operator": ">", "threshold": 800, "action": "scaleUp", "step": "50%" },
    { "name": "none", "metric": "diskUsage", "operator": "gt", "threshold": 70, "action": "scale_up" },
    { "name": "errors", "metric": "errorRate", "operator": "gte", "threshold": 0.05, "action": "circuit_break" }
  ]
}"#;

#[test]
fn rules_in_camel_case_become_a_section() {
    let import = read(RULES);
    insta::assert_snapshot!(import.section(), @r#"
    # the rules of file
    # Not carried over, or not quite:
    #   line 6: vendor: nothing in a scenario answers to it
    #   line 11: rules[2]: no metric of a scenario is known as "diskUsage"; there are requests_per_second, average_response_time, p50_response_time, p95_response_time, p99_response_time, error_rate, cpu_utilization, memory_utilization, active_connections, queue_length, event_loop_lag
    [autoscaler]
    min = 2
    max = 20
    scale_up_cooldown = "2m"
    scale_down_cooldown = "10m"

    [[autoscaler.rule]]
    name = "cpu_scale_up"
    metric = "cpu_utilization"
    operator = "gt"
    threshold = 70
    duration = "2m"
    action = "scale_up"
    priority = 8
    cooldown = "3m"

    [[autoscaler.rule]]
    name = "slow"
    metric = "p95_response_time"
    operator = "gt"
    threshold = 800
    action = "scale_up"
    step = "50%"

    [[autoscaler.rule]]
    name = "errors"
    metric = "error_rate"
    operator = "gte"
    threshold = 0.05
    action = "circuit_break"
    "#);
    assert_eq!(as_scenario(&import.section()), import.config);
}

#[test]
fn what_is_wrong_with_rules_is_said_with_file_line_and_key() {
    for (from, to, told) in [
        (
            "\"threshold\": 70, \"d",
            "\"threshold\": 170, \"d",
            "r.json:8: rules[0].threshold: found 170, expected a percentage",
        ),
        ("180000", "-5", "r.json:9: rules[0].cooldown: found -5, expected milliseconds"),
        ("\"scaleUp\"", "\"grow\"", "r.json:10: rules[1].action: found \"grow\", expected one of scale_up"),
        ("\"id\": \"slow\"", "\"id\": \"cpu_scale_up\"", "r.json:10: rules[1]: the name \"cpu_scale_up\" is taken"),
        ("\"maxInstances\": 20", "\"maxInstances\": 1", "r.json:3: maxInstances: 1 is less than minInstances"),
    ] {
        let problems = import(&RULES.replace(from, to), "r.json").expect_err(to).to_string();
        assert!(problems.contains(told), "{to}: {problems}");
    }
}

#[test]
fn what_a_form_cannot_hold_is_said() {
    let hpa = read(HPA).config;
    let told = export(&hpa, "shop", Form::Rules).unwrap_err().to_string();
    assert_eq!(told, "found no [[autoscaler.rule]], which is what the JSON of rules holds");
    let mut both = read(RULES).config;
    both.policies = hpa.policies;
    let notes = export(&both, "shop", Form::Hpa).unwrap().notes;
    let keys: Vec<&str> = notes.iter().map(|note| note.key.trim_start_matches("autoscaler.")).collect();
    assert_eq!(
        keys,
        [
            "scale_up_cooldown",
            "scale_down_cooldown",
            "scale_down_guards",
            "rule.cpu_scale_up",
            "rule.slow",
            "rule.errors"
        ]
    );
}

/// Whether a section has all of these.
fn holds(import: &Import, parts: &[&str]) {
    let section = import.section();
    for part in parts {
        assert!(section.contains(part), "{part:?} is not in\n{section}");
    }
}

/// What a policy that looks at memory needs.
const MEMORY: &str = "fleet.memory={ limit = \"1GB\" }";

/// A scenario beside a manifest, with these lines in its section.
fn beside(manifest: (&str, &str), section: &str, overrides: &[&str]) -> Result<scenario::Scenario, String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(manifest.0), manifest.1).expect("a file");
    let text = format!(
        "scenario.duration = \"1m\"\ntraffic.shape = [{{ kind = \"constant\", rate = 1 }}]\nservice.time = \"10ms\"\n\
         [breaker]\n[autoscaler]\n{section}"
    );
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    scenario::parse(&text, "s.toml", folder.path(), &overrides)
        .map_err(|problems| problems.to_string().replace(&*folder.path().to_string_lossy(), "."))
}

#[test]
fn a_scenario_imports_in_place_and_what_it_says_itself_counts() {
    let own = "import = \"hpa.yaml\"\nmax = 12\n[[autoscaler.policy]]\nkind = \"target_tracking\"\nmetric = \"cpu_utilization\"\ntarget = 50\n";
    let scenario =
        beside(("hpa.yaml", HPA), own, &[MEMORY, "autoscaler.policy.shop.metrics.0.average_utilization=45"]).unwrap();
    let autoscaler = scenario.autoscaler.unwrap();
    assert_eq!((autoscaler.min, autoscaler.max), (2, 12));
    let names: Vec<&str> = autoscaler.policies.iter().map(Policy::name).collect();
    assert_eq!(names, ["shop", "target_tracking"]);
    let Policy::Hpa(hpa) = &autoscaler.policies[0] else { panic!("{autoscaler:?}") };
    assert_eq!(hpa.metrics[0], MetricSpec::resource(Resource::Cpu, ResourceTarget::Utilization(45)));
    assert_eq!(scenario.import_notes.len(), read(HPA).notes.len());
    // The digest is of the policy, not of the name of its file.
    let digest = |text: &str| beside(("hpa.yaml", text), "import = \"hpa.yaml\"\n", &[MEMORY]).unwrap().digest;
    assert_ne!(digest(HPA), digest(&HPA.replace("averageUtilization: 60", "averageUtilization: 61")));
}

#[test]
fn what_is_wrong_with_an_import_is_said_with_both_files() {
    for (text, section, told) in [
        (
            HPA.replace("maxReplicas: 30", "maxReplicas: 1"),
            "import = \"hpa.yaml\"\n",
            "s.toml:6:10: autoscaler.import: ./hpa.yaml:14: spec.maxReplicas: 1 is less than minReplicas, which is 2",
        ),
        (
            HPA.to_string(),
            "import = \"kpa.yaml\"\n",
            "s.toml:6:10: autoscaler.import: found \"kpa.yaml\", expected a file",
        ),
        (HPA.to_string(), "import = 3\n", "s.toml:6:10: autoscaler.import: found 3, expected a string"),
        // What is imported is checked as if it stood there.
        (
            HPA.replace(
                "memory, target: { type: AverageValue, averageValue: 500Mi",
                "memory, target: { type: Utilization, averageUtilization: 70",
            ),
            "import = \"hpa.yaml\"\n",
            "no instance has a memory_utilization without fleet.memory",
        ),
    ] {
        let problems = beside(("hpa.yaml", &text), section, &[]).unwrap_err();
        assert!(problems.contains(told), "{problems}");
    }
}

#[test]
fn a_scaled_object_becomes_a_section_that_says_what_stayed_behind() {
    let text = r#"
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: worker }
spec:
  scaleTargetRef: { name: worker }
  cooldownPeriod: 120
  triggers:
    - type: rabbitmq
      metadata: { queueName: jobs, mode: QueueLength, value: "20", activationValue: "5" }
      authenticationRef: { name: secret }
    - type: cpu
      metricType: Utilization
      metadata: { value: "60" }
    - type: prometheus
      metadata: { serverAddress: "http://p:9090", query: "sum(rate(http_requests_total[2m]))", threshold: "100" }
    - type: cron
      metadata: { timezone: UTC, start: "0 8 * * *", end: "0 20 * * *", desiredReplicas: "10" }
"#;
    let import = read(text);
    holds(
        &import,
        &[
            "min = 0\nmax = 100\n",
            "name = \"worker\"\ncooldown_period = \"2m\"\n",
            "{ metric = \"queue_length\", threshold = 20, activation_threshold = 5 }",
            "{ metric = \"cpu_utilization\", threshold = 60 }",
            "line 10: spec.triggers[0].metadata.queueName: it says where the trigger asks",
            "line 15: spec.triggers[2]: no metric of a scenario is known as \"sum(rate(",
            "kind = \"schedule\"\nname = \"schedule\"\nentries = [{ start = \"0 8 * * *\", end = \"0 20 * * *\", instances = 10 }]",
        ],
    );
    assert_eq!(as_scenario(&import.section()), import.config);
}

#[test]
fn annotations_of_knative_and_the_map_of_the_cluster_become_one_policy() {
    let text = r#"
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: hello }
spec:
  template:
    metadata:
      annotations:
        autoscaling.knative.dev/metric: rps
        autoscaling.knative.dev/target-utilization-percentage: "80"
        autoscaling.knative.dev/max-scale: "0"
        autoscaling.knative.dev/initial-scale: "3"
        autoscaling.knative.dev/window: "1m30s"
    spec: { containers: [{ image: hello }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: config-autoscaler, namespace: knative-serving }
data:
  requests-per-second-target-default: "150"
  stable-window: "120s"
  max-scale-up-rate: "10"
"#;
    let import = read(text);
    holds(
        &import,
        &[
            "min = 0\nmax = 1000\n",
            "name = \"hello\"\nmetric = \"rps\"\ntarget = 150\ntarget_utilization = 0.8\n",
            "stable_window = \"90s\"\nmax_scale_up_rate = 10\n",
            "max-scale: no limit",
            "initial-scale: how many there are at first is fleet.initial",
        ],
    );
    assert_eq!(as_scenario(&import.section()), import.config);
}

const TEMPLATE: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Servers:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties: { MinSize: "2", MaxSize: "12", LaunchTemplate: { LaunchTemplateId: !Ref Template } }
  Out:
    Type: AWS::AutoScaling::ScalingPolicy
    Properties:
      AutoScalingGroupName: !Ref Servers
      PolicyType: StepScaling
      AdjustmentType: PercentChangeInCapacity
      MinAdjustmentMagnitude: 2
      EstimatedInstanceWarmup: 120
      StepAdjustments:
        - { MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 20, ScalingAdjustment: 10 }
        - { MetricIntervalLowerBound: 20, ScalingAdjustment: 30 }
  High:
    Type: AWS::CloudWatch::Alarm
    Properties:
      MetricName: CPUUtilization
      Namespace: AWS/EC2
      Statistic: Average
      Period: 60
      EvaluationPeriods: 2
      Threshold: 60
      ComparisonOperator: GreaterThanOrEqualToThreshold
      Dimensions: [{ Name: AutoScalingGroupName, Value: !Ref Servers }]
      AlarmActions: [!Ref Out]
  Slow:
    Type: AWS::AutoScaling::ScalingPolicy
    Properties: { AutoScalingGroupName: !Ref Servers, AdjustmentType: ChangeInCapacity, ScalingAdjustment: -1, Cooldown: "300" }
  Requests:
    Type: AWS::AutoScaling::ScalingPolicy
    Properties:
      AutoScalingGroupName: !Ref Servers
      PolicyType: TargetTrackingScaling
      TargetTrackingConfiguration:
        PredefinedMetricSpecification: { PredefinedMetricType: ALBRequestCountPerTarget, ResourceLabel: app/x }
        TargetValue: 3000
"#;

#[test]
fn a_template_of_cloudformation_becomes_policies_with_their_alarms() {
    let import = read(TEMPLATE);
    holds(
        &import,
        &[
            "min = 2\nmax = 12\n",
            "alarm = { metric = \"cpu_utilization\", operator = \"gte\", threshold = 60, evaluation_periods = 2 }",
            "adjustment_type = \"percent_change_in_capacity\"\nmin_adjustment_magnitude = 2\n",
            "{ lower = 0, upper = 20, adjustment = 10 },\n  { lower = 20, adjustment = 30 },",
            "estimated_instance_warmup = \"2m\"",
            "metric = \"requests_per_second\"\ntarget = 50\n",
            "Resources.Slow.Properties: no alarm with this policy in its AlarmActions is in the file",
            "Resources.High.Properties.Dimensions: a metric of a scenario has none",
        ],
    );
    assert_eq!(as_scenario(&import.section()), import.config);
}

#[test]
fn the_input_of_application_auto_scaling_is_read_alone() {
    let text = r#"{ "PolicyName": "cpu", "ServiceNamespace": "ecs", "ResourceId": "service/default/web",
      "ScalableDimension": "ecs:service:DesiredCount", "PolicyType": "TargetTrackingScaling",
      "TargetTrackingScalingPolicyConfiguration": { "TargetValue": 55.5, "ScaleInCooldown": 60,
        "PredefinedMetricSpecification": { "PredefinedMetricType": "ECSServiceAverageCPUUtilization" } } }"#;
    let import = read(text);
    let [Policy::AwsTargetTracking(policy)] = import.config.policies.as_slice() else { panic!("{import:?}") };
    assert_eq!((policy.target, policy.scale_in_cooldown), (55.5, Span::from_secs(60)));
    assert_eq!(policy.scale_out_cooldown, Span::from_secs(300));
    assert!(import.notes[0].reason.contains("they are 1 and 10 until set"), "{:?}", import.notes);
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_line_and_key() {
    for (from, to, told) in [
        (
            "MaxSize: \"12\"",
            "MaxSize: \"1\"",
            "t.yaml:6: Resources.Servers.Properties.MaxSize: 1 is less than the minimum",
        ),
        (
            "MetricIntervalLowerBound: 20",
            "MetricIntervalLowerBound: 30",
            "t.yaml:16: Resources.Out.Properties.StepAdjustments: its steps",
        ),
        (
            "Threshold: 60",
            "Threshold: 160",
            "t.yaml:26: Resources.High.Properties.Threshold: found 160, expected a percentage",
        ),
        ("PolicyType: StepScaling", "PolicyType: Steps", "expected one of SimpleScaling, StepScaling, "),
        ("TargetValue: 3000", "TargetValue: !Ref Target", "found !Ref \"Target\", expected a number above 0"),
    ] {
        let problems = import(&TEMPLATE.replace(from, to), "t.yaml").expect_err(to).to_string();
        assert!(problems.contains(told), "{to}: {problems}");
    }
}
