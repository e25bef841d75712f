//! Who takes part: static fleets, the policies of other systems with their defaults, our own, and what the user brings.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::super::run::folder_name;
use super::course::{BOUNDS, Course, HISTORY, INSTANCE_RPS};

/// One who takes part.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name, unique in the field.
    pub name: String,
    /// What it is, in a line.
    pub about: String,
    /// Its `[autoscaler]` section; empty for a static fleet.
    pub autoscaler: String,
    /// Instances at the start; `None`: as many as the load of the beginning takes.
    pub instances: Option<u32>,
    /// The policy of which this is the same with a predictive floor under it.
    pub without_floor: Option<String>,
}

impl Contender {
    fn policy(name: &str, about: &str, top: &str, policies: &str) -> Contender {
        let (min, max) = BOUNDS;
        Contender {
            name: name.into(),
            about: about.into(),
            autoscaler: format!("[autoscaler]\nmin = {min}\nmax = {max}\n{top}\n{policies}\n"),
            instances: None,
            without_floor: None,
        }
    }

    fn fixed(name: &str, about: &str, instances: u32) -> Contender {
        Contender {
            name: name.into(),
            about: about.into(),
            autoscaler: String::new(),
            instances: Some(instances),
            without_floor: None,
        }
    }
}

/// Who a static fleet that holds is, in results.
pub const STATIC_PEAK: &str = "static-peak";
/// The static fleet before, in results.
pub const STATIC_USUAL: &str = "static-p95";
/// The default of Kubernetes.
pub const HPA_DEFAULT: &str = "hpa-80";

/// Metrics of a cluster: scraped every 15 s, seen 15 s later. Kubernetes and the clouds know no guards.
const CLUSTER: &str =
    "interval = \"15s\"\nmetrics = { window = \"30s\", delay = \"15s\" }\nscale_down_guards = false\n";
const CLOUDWATCH: &str =
    "interval = \"1m\"\nmetrics = { window = \"1m\", scrape = \"1m\", delay = \"1m\" }\nscale_down_guards = false\n";
/// Metrics of the gateway itself, as Knative's.
const GATEWAY: &str = "interval = \"5s\"\nmetrics = { window = \"15s\", scrape = \"5s\", delay = \"2s\" }\n";

/// Everybody, on a course.
pub fn contenders(course: &Course, own: &[Contender]) -> Vec<Contender> {
    let demands = course.demands();
    let mut field = vec![
        Contender::fixed(STATIC_USUAL, "a static fleet for the 95th percentile of the load", demands.static_usual),
        Contender::fixed(STATIC_PEAK, "a static fleet for the highest load, in hindsight", demands.static_peak),
    ];
    field.extend(reactive());
    field.extend(ahead());
    for each in own {
        let is_taken = |name: &str| field.iter().any(|other| folder_name(&other.name) == folder_name(name));
        let numbered = (2..).map(|n| format!("{}-{n}", each.name));
        let name = std::iter::once(each.name.clone()).chain(numbered).find(|name| !is_taken(name));
        field.push(Contender { name: name.unwrap_or_default(), ..each.clone() });
    }
    field
}

fn hpa(target: u32) -> String {
    format!(
        "[[autoscaler.policy]]\nkind = \"hpa\"\nmetrics = [{{ type = \"resource\", resource = \"cpu\", average_utilization = {target} }}]\n"
    )
}

/// HPA targets that are tried, the default first.
const HPA_TARGETS: [u32; 4] = [80, 70, 60, 50];

fn reactive() -> Vec<Contender> {
    let mut field = Vec::new();
    for target in HPA_TARGETS {
        let (name, about) =
            (format!("hpa-{target}"), format!("HorizontalPodAutoscaler of Kubernetes, CPU at {target} %"));
        field.push(Contender::policy(&name, &about, CLUSTER, &hpa(target)));
    }
    let per_instance = 0.7 * INSTANCE_RPS;
    field.extend([
        Contender::policy(
            "knative",
            "Knative's autoscaler as it comes, for two requests at once",
            "metrics = { window = \"6s\", scrape = \"2s\" }\nscale_down_guards = false\n",
            "[[autoscaler.policy]]\nkind = \"kpa\"\ncontainer_concurrency = 2\n",
        ),
        Contender::policy(
            "keda-rps",
            "KEDA on requests per second, 70 % of what an instance serves",
            CLUSTER,
            &format!(
                "[[autoscaler.policy]]\nkind = \"keda\"\ntriggers = [{{ metric = \"requests_per_second\", threshold = {per_instance} }}]\n"
            ),
        ),
        Contender::policy(
            "aws-tt-60",
            "target tracking of AWS, CPU at 60 %",
            CLOUDWATCH,
            "[[autoscaler.policy]]\nkind = \"aws_target_tracking\"\nmetric = \"cpu_utilization\"\ntarget = 60\n",
        ),
        Contender::policy(
            "aws-step",
            "step scaling of AWS: a fifth more above 60 %, half more above 75 %, one fewer below 35 %",
            CLOUDWATCH,
            "[[autoscaler.policy]]\nkind = \"step\"\nname = \"out\"\n\
             alarm = { metric = \"cpu_utilization\", operator = \"gte\", threshold = 60, evaluation_periods = 2 }\n\
             adjustment_type = \"percent_change_in_capacity\"\nmin_adjustment_magnitude = 1\n\
             steps = [{ lower = 0, upper = 15, adjustment = 20 }, { lower = 15, adjustment = 50 }]\n\
             estimated_instance_warmup = \"2m\"\n\n\
             [[autoscaler.policy]]\nkind = \"step\"\nname = \"in\"\n\
             alarm = { metric = \"cpu_utilization\", operator = \"lte\", threshold = 35, evaluation_periods = 15 }\n\
             adjustment_type = \"change_in_capacity\"\nsteps = [{ upper = 0, adjustment = -1 }]\n",
        ),
        Contender::policy(
            "gcp-60",
            "managed instance group of Google Cloud, CPU at 60 %, its default",
            "interval = \"15s\"\nmetrics = { window = \"1m\", delay = \"15s\" }\nscale_down_guards = false\n",
            "[[autoscaler.policy]]\nkind = \"gcp\"\nsignals = [{ metric = \"cpu_utilization\", target = 60 }]\n",
        ),
        Contender::policy(
            "rules",
            "threshold rules: one more above 70 % for 2 min, one fewer below 20 % for 10 min",
            "interval = \"15s\"\nscale_up_cooldown = \"2m\"\nscale_down_cooldown = \"10m\"\nmetrics = { window = \"1m\", delay = \"15s\" }\n",
            "[[autoscaler.rule]]\nname = \"cpu_up\"\nmetric = \"cpu_utilization\"\noperator = \"gt\"\nthreshold = 70\n\
             duration = \"2m\"\naction = \"scale_up\"\npriority = 8\ncooldown = \"3m\"\n\n\
             [[autoscaler.rule]]\nname = \"cpu_down\"\nmetric = \"cpu_utilization\"\noperator = \"lt\"\nthreshold = 20\n\
             duration = \"10m\"\naction = \"scale_down\"\npriority = 3\ncooldown = \"10m\"\n",
        ),
    ]);
    field
}

/// A predictive floor: an instance too few costs 99 times as much as one too many.
fn floor() -> String {
    format!(
        "\n[[autoscaler.policy]]\nkind = \"predictive\"\nresponse_time = \"500ms\"\nunder_cost = 99\nhistory = \"{HISTORY}\"\n"
    )
}

fn ahead() -> Vec<Contender> {
    let mut field = vec![Contender::policy(
        "queueing",
        "as many as queueing theory says for p99 500 ms, and a tenth more",
        GATEWAY,
        "[[autoscaler.policy]]\nkind = \"queueing\"\nresponse_time = \"500ms\"\n",
    )];
    for target in HPA_TARGETS {
        let about = format!("the HPA at {target} % with a predictive floor under it");
        let policies = hpa(target) + &floor();
        let mut contender = Contender::policy(&format!("hpa-{target}+predictive"), &about, CLUSTER, &policies);
        contender.without_floor = Some(format!("hpa-{target}"));
        field.push(contender);
    }
    let slo = format!("[[autoscaler.policy]]\nkind = \"slo\"\nresponse_time = \"500ms\"\nhistory = \"{HISTORY}\"\n");
    field.push(Contender::policy("slo", "queueing, trend, forecast and backlog for p99 500 ms", GATEWAY, &slo));
    field.push(Contender::policy(
        "slo-roomy",
        "the same, planned to be 80 % busy at most, and too few cost 99 times as much as too many",
        GATEWAY,
        &(slo + "max_utilization = 0.8\nunder_cost = 99\n"),
    ));
    field
}

/// The `[autoscaler]` section of a user's file, under the name of the file.
pub fn from_file(path: &Path) -> anyhow::Result<Contender> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let document: toml_edit::DocumentMut = text.parse().with_context(|| path.display().to_string())?;
    let section = document.get("autoscaler").ok_or_else(|| anyhow!("{}: no [autoscaler] section", path.display()))?;
    let mut alone = toml_edit::DocumentMut::new();
    alone.insert("autoscaler", section.clone());
    Ok(Contender {
        name: path.file_stem().map_or("own".into(), |stem| stem.to_string_lossy().into_owned()),
        about: format!("the policy of {}", path.display()),
        autoscaler: alone.to_string(),
        instances: None,
        without_floor: None,
    })
}
