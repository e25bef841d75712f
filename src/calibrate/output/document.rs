//! The scenario that follows from a calibration: `[service]` and `[fleet]` of a given one, or a small one of its own.

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::{duration, figure, words};
use crate::calibrate::{Calibration, Concurrency, Demand, Family};

/// A file beside the scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The scenario.
    pub scenario: String,
    /// Files of measured times, by name.
    pub files: Vec<(String, String)>,
}

/// The scenario `given` with what was fitted in place of what it had; with none, a small one that can be run at once. `stem` begins the
/// names of files with measured times; `None`: there is no place for files, and the best family stands for what none fits.
pub fn document(
    x: &Calibration,
    given: Option<&str>,
    name: &str,
    stem: Option<&str>,
) -> Result<Written, toml_edit::TomlError> {
    let mut files = Vec::new();
    let mut document: DocumentMut = match given {
        Some(text) => text.parse()?,
        None => small(x, name),
    };
    service(section(&mut document, "service"), x, stem, &mut files);
    fleet(section(&mut document, "fleet"), x);
    Ok(Written { scenario: document.to_string(), files })
}

/// A scenario without service and fleet.
fn small(x: &Calibration, name: &str) -> DocumentMut {
    let mut document = DocumentMut::new();
    let mut scenario = Table::new();
    scenario.insert("name", value(name));
    scenario.insert("duration", value("60s"));
    scenario.decor_mut().set_prefix(
        "# Fitted by wavetank calibrate: [service] and [fleet]; the traffic is the mean rate of what was observed.\n",
    );
    document.insert("scenario", Item::Table(scenario));
    let mut constant = InlineTable::new();
    constant.insert("kind", "constant".into());
    constant.insert("rate", figure(x.rate_rps.max(0.1)).into());
    let mut traffic = Table::new();
    traffic.insert("shape", value(Array::from_iter([constant])));
    document.insert("traffic", Item::Table(traffic));
    document
}

/// A section of the document, which is made if it is not there; one that is written in other ways becomes one of its own.
fn section<'a>(document: &'a mut DocumentMut, name: &str) -> &'a mut Table {
    let item = document.entry(name).or_insert(Item::Table(Table::new()));
    if !item.is_table() {
        let table = std::mem::take(item).into_table().unwrap_or_default();
        *item = Item::Table(table);
    }
    let table = item.as_table_mut().expect("it was just made one");
    // Keys such as service.time = … at the top of a file make a table that is not shown.
    table.set_implicit(false);
    table.set_dotted(false);
    table
}

fn service(table: &mut Table, x: &Calibration, stem: Option<&str>, files: &mut Vec<(String, String)>) {
    let mut workers = value(i64::from(x.concurrency.workers()));
    let note = match x.concurrency {
        Concurrency::AtLeast { .. } => " # at least: the queue was never seen".to_string(),
        Concurrency::Workers { low, high, .. } if low != high => format!(" # {low} to {high}"),
        Concurrency::Workers { .. } => String::new(),
        Concurrency::Unclear => " # a guess: the data cannot tell".to_string(),
    };
    comment(&mut workers, &note);
    put(table, "workers", workers);
    match &x.overhead {
        Some(overhead) if overhead.value > 0.0 => put(table, "overhead", value(duration(overhead.value))),
        _ => {
            table.remove("overhead");
        }
    }
    let mut times: Vec<Value> = Vec::new();
    for (i, demand) in x.demands.iter().enumerate() {
        times.push(time(demand, i, stem, files));
    }
    // The commonest endpoint's demand is that of what has none of its own.
    let commonest = (0..times.len()).max_by(|&a, &b| x.demands[a].share.total_cmp(&x.demands[b].share)).unwrap_or(0);
    let mut main = Item::Value(times[commonest].clone());
    comment(&mut main, &format!(" # {}", told(&x.demands[commonest])));
    put(table, "time", main);
    let is_single = x.demands.len() == 1 && !table.contains_key("endpoint");
    if is_single {
        if x.demands[0].error_rate > 0.0 {
            put(table, "error_rate", value(figure(x.demands[0].error_rate)));
        }
        return;
    }
    let old = endpoints(table);
    let mut all = ArrayOfTables::new();
    for (demand, time) in x.demands.iter().zip(times) {
        let known = old.iter().find(|each| each.get("path").and_then(Item::as_str) == Some(&demand.path));
        let mut endpoint = known.cloned().unwrap_or_default();
        if known.is_none() {
            endpoint.insert("path", value(demand.path.as_str()));
        }
        put(&mut endpoint, "weight", value(figure(demand.share)));
        let mut time = Item::Value(time);
        comment(&mut time, &format!(" # {}", told(demand)));
        put(&mut endpoint, "time", time);
        if demand.error_rate > 0.0 {
            put(&mut endpoint, "error_rate", value(figure(demand.error_rate)));
        }
        all.push(endpoint);
    }
    // Whoever was not asked for keeps what it had, and is not asked for.
    for unseen in old {
        let path = unseen.get("path").and_then(Item::as_str);
        if !x.demands.iter().any(|demand| Some(demand.path.as_str()) == path) {
            let mut unseen = unseen;
            put(&mut unseen, "weight", value(0.0));
            all.push(unseen);
        }
    }
    table.insert("endpoint", Item::ArrayOfTables(all));
}

/// The endpoints that a section has, however they are written.
fn endpoints(table: &Table) -> Vec<Table> {
    match table.get("endpoint") {
        Some(Item::ArrayOfTables(all)) => all.iter().cloned().collect(),
        Some(Item::Value(Value::Array(all))) => {
            all.iter().filter_map(|each| each.as_inline_table().cloned().map(InlineTable::into_table)).collect()
        }
        _ => Vec::new(),
    }
}

fn fleet(table: &mut Table, x: &Calibration) {
    if let Some(instances) = x.instances {
        put(table, "initial", value(i64::from(instances.max(1))));
    } else if !table.contains_key("initial") {
        put(table, "initial", value(1));
    }
    if let Some(boot) = &x.boot {
        let mut time = Item::Value(distribution(&boot.family));
        comment(&mut time, &format!(" # of {} launches", boot.launches));
        put(table, "boot", time);
    }
    if let Some(warmup) = &x.warmup {
        let mut inline = InlineTable::new();
        inline.insert("for", duration(warmup.seconds).into());
        inline.insert("slowdown", figure(warmup.slowdown.value).into());
        put(table, "warmup", value(inline));
    }
}

/// Puts a value in the place of the one that is there, and keeps the place.
fn put(table: &mut Table, key: &str, item: Item) {
    match table.get_mut(key) {
        Some(old) => *old = item,
        None => {
            table.insert(key, item);
        }
    }
}

fn comment(item: &mut Item, text: &str) {
    if let Some(value) = item.as_value_mut() {
        value.decor_mut().set_suffix(text);
    }
}

/// What a reader of the file should know of a demand.
fn told(demand: &Demand) -> String {
    let fit = &demand.fit;
    let mean = format!("mean {} to {}", duration(fit.mean.low), duration(fit.mean.high));
    let what = if demand.measured.is_empty() && !fit.is_far {
        String::new()
    } else {
        format!("no family fits ({}); ", words(&fit.family))
    };
    format!("{what}{mean}, of {:.0} requests, KS {:.3}", demand.requests, fit.distance)
}

/// The demand of an endpoint as a value; what no family fits is in a file of its own, if there is a place for it.
fn time(demand: &Demand, i: usize, stem: Option<&str>, files: &mut Vec<(String, String)>) -> Value {
    let Some(stem) = stem.filter(|_| !demand.measured.is_empty()) else { return distribution(&demand.fit.family) };
    let name = format!("{stem}-times-{i}.csv");
    let mut text = format!(
        "# Time in service of {}, as measured: equally likely values.\n",
        demand.path.replace(['\n', '\r'], " ")
    );
    for seconds in &demand.measured {
        text += &duration(*seconds);
        text.push('\n');
    }
    files.push((name.clone(), text));
    let mut inline = InlineTable::new();
    inline.insert("dist", "empirical".into());
    inline.insert("path", name.into());
    Value::InlineTable(inline)
}

/// A family as scenarios write it.
fn distribution(family: &Family) -> Value {
    let mut inline = InlineTable::new();
    inline.insert("dist", family.name().into());
    let mean = |inline: &mut InlineTable, seconds: f64| {
        inline.insert("mean", duration(seconds).into());
    };
    match *family {
        Family::Constant { value } => {
            inline.insert("value", duration(value).into());
        }
        Family::Exponential { mean: of } => mean(&mut inline, of),
        Family::LogNormal { mean: of, sigma } => {
            mean(&mut inline, of);
            inline.insert("sigma", figure(sigma).into());
        }
        Family::Gamma { mean: of, shape } | Family::Weibull { mean: of, shape } => {
            mean(&mut inline, of);
            inline.insert("shape", figure(shape).into());
        }
        Family::Pareto { mean: of, alpha } => {
            mean(&mut inline, of);
            inline.insert("alpha", figure(alpha).into());
        }
        Family::Uniform { low, high } => {
            inline.insert("low", duration(low).into());
            inline.insert("high", duration(high).into());
        }
    }
    Value::InlineTable(inline)
}
