//! The whole scenario: its sections, and what has to fit together between them.

use crate::scenario::reader::{Field, Section};
use crate::scenario::{Scenario, Traffic, schema};
use crate::units::Span;

/// Every section, in the order of documentation.
pub(crate) const SECTIONS: [&str; 16] = [
    "scenario",
    "traffic",
    "clients",
    "service",
    "fleet",
    "autoscaler",
    "balancer",
    "breaker",
    "overload",
    "limiter",
    "analyzer",
    "fault",
    "dependency",
    "slo",
    "live",
    "load",
];

/// `[scenario]`.
struct Run {
    name: String,
    description: String,
    duration: Option<Span>,
    warmup: Span,
    seed: u64,
    replications: u32,
}

/// Reads the root of a file; `stem` is the default name.
pub(crate) fn scenario(s: &Section, stem: &str, digest: String) -> Option<Scenario> {
    for section in SECTIONS {
        let _ = s.field(section);
    }
    let live = s.optional("live", schema::live::live);
    let is_live = s.field("live").is_some();
    let service = match s.field("service") {
        Some(field) => schema::service::service(&field),
        // A gateway in front of a service that exists need not know how it would be simulated.
        None if is_live => Some(schema::service::unknown()),
        None => {
            s.missing("service", "[service] time = { dist = \"exponential\", mean = \"40ms\" }");
            None
        }
    };
    let endpoints = service.as_ref().map_or(&[][..], |service| &service.endpoints);
    let traffic = match s.field("traffic") {
        Some(field) => schema::traffic::traffic(&field, endpoints),
        None if is_live => Some(Traffic::Open(Default::default())),
        None => {
            s.missing("traffic", "[traffic] shape = [{ kind = \"constant\", rate = 100 }]");
            None
        }
    };
    let is_replay = s.field("traffic").is_some_and(|field| field.member("replay").is_some());
    let run = run(s, stem, is_replay || is_live);
    let clients = s.or("clients", Default::default(), schema::clients::clients);
    let autoscaler = s.optional("autoscaler", schema::autoscaler::autoscaler);
    let initial = autoscaler.as_ref().map_or(1, |autoscaler| autoscaler.min);
    let fleet = match s.field("fleet") {
        Some(field) => schema::fleet::fleet(&field, initial),
        None => Some(schema::fleet::default_fleet(initial)),
    };
    let zones = fleet.as_ref().map_or(u32::MAX, |fleet| fleet.zones);
    let balancer = s.or("balancer", Default::default(), |f| schema::balancer::balancer(f, zones));
    let breaker = s.optional("breaker", |f| schema::breaker::breaker(f, clients.timeout));
    let criticality = endpoints.iter().map(|endpoint| endpoint.criticality).collect();
    let overload = s.or("overload", Default::default(), |f| {
        schema::overload::overload(f, clients.timeout, clients.retry.is_some(), criticality)
    });
    let limiter = s.optional("limiter", schema::limiter::limiter);
    let (limiter, mut limiter_extras) =
        limiter.map_or((None, Default::default()), |(first, extras)| (Some(first), extras));
    limiter_extras.costs = endpoints.iter().map(|endpoint| endpoint.cost).collect();
    if let Some(store) = s.field("live").and_then(|live| live.member("quota_store")) {
        schema::limiter::check_stored(&store, s.field("limiter").as_ref(), limiter.as_ref(), &limiter_extras);
    }
    let (analyzer, prediction_window) = s.optional("analyzer", schema::analyzer::analyzer).unzip();
    let dependencies = s.or("dependency", Vec::new(), schema::service::dependencies);
    let faults = s.or("fault", Vec::new(), |f| schema::faults::faults(f, zones, &dependencies));
    let slo = s.or("slo", Vec::new(), schema::slo::targets);
    if let (Some(field), Some(fleet)) = (s.field("slo"), &fleet) {
        schema::slo::check_price(&field, fleet.billing.price_per_hour);
        schema::slo::check_autoscaler(&field, s.field("autoscaler").is_some());
    }
    if let (Some(field), Some(config), Some(fleet)) = (s.field("autoscaler"), &autoscaler, &fleet) {
        let has_breaker = s.field("breaker").is_some();
        schema::autoscaler::check_needs(&field, config, fleet.memory.is_some(), has_breaker);
    }
    let load = s.or("load", Default::default(), schema::load::load);
    let (run, traffic, service, fleet) = (run?, traffic?, service?, fleet?);
    let mut autoscaler = autoscaler;
    if let Some(config) = &mut autoscaler {
        schema::policy::acquaint(config, &service, &fleet);
    }
    Some(Scenario {
        name: run.name,
        description: run.description,
        digest,
        duration: run.duration,
        warmup: run.warmup,
        seed: run.seed,
        replications: run.replications,
        traffic,
        clients,
        service,
        fleet,
        autoscaler,
        balancer,
        overload,
        breaker,
        limiter,
        limiter_extras,
        analyzer,
        prediction_window: prediction_window.flatten(),
        faults,
        dependencies,
        slo,
        live,
        load,
        import_notes: Vec::new(),
    })
}

/// `[scenario]`; where traffic is recorded or comes from outside, it lasts as long as that does.
fn run(root: &Section, stem: &str, is_open: bool) -> Option<Run> {
    const DURATION: &str = "duration = \"40m\"";
    let Some(field) = root.field("scenario") else {
        if is_open {
            let (name, description) = (stem.to_string(), String::new());
            return Some(Run { name, description, duration: None, warmup: Span::ZERO, seed: 42, replications: 1 });
        }
        root.missing("scenario.duration", DURATION);
        return None;
    };
    field.section(|s| {
        let run = Run {
            name: s.optional("name", name).unwrap_or_else(|| stem.to_string()),
            description: s.or("description", String::new(), Field::any_text),
            duration: if is_open {
                s.optional("duration", Field::positive_span)
            } else {
                s.required("duration", DURATION, Field::positive_span)
            },
            warmup: s.or("warmup", Span::ZERO, Field::span),
            seed: s.or("seed", 42, Field::whole),
            replications: s.or("replications", 1, |f| f.count(1)),
        };
        if let (true, Some(duration)) = (s.is_sound(), run.duration)
            && run.warmup >= duration
            && let Some(warmup) = s.field("warmup")
        {
            return warmup.unfit(format!("a duration less than that of the run, scenario.duration = \"{duration}\""));
        }
        Some(run)
    })
}

/// A name that can be that of a folder.
fn name(field: &Field) -> Option<String> {
    let name = field.text()?;
    let is_plain = |c: char| !c.is_control() && !r#"/\:*?"<>|"#.contains(c);
    if name.chars().all(is_plain) && !name.starts_with('.') && name.trim() == name {
        return Some(name);
    }
    field.unfit("a name that a folder can have: no slashes, colons or quotes, no dot in front")
}
