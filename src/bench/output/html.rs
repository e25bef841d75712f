//! `bench.html`: the finding, the table, the picture, and the timelines above one another.

use super::{ORDER, cell, finding, order, orders, rate, sentence};
use crate::bench::figure::{Figure, Kind};
use crate::bench::result::{Bench, World};
use crate::gate::Judgement;
use crate::report::Experiment;
use crate::report::html::comparison::timelines;
use crate::report::html::tables::table;
use crate::report::html::{CLOSE_PAGE, contents, escape, open_page, section};
use crate::report::verdict::Outcome;

/// The page. `picture`: the chart as a data URI, if there is one; `rows`: a run of each world, by its name.
pub fn html(
    x: &Bench,
    judgement: Option<&Judgement>,
    picture: Option<&str>,
    rows: &[(String, &Experiment)],
) -> String {
    let title = format!("{} of {}", x.definition.kind.name(), x.name);
    let mut out = open_page(&title);
    let lines: String = x
        .worlds
        .iter()
        .map(|world| format!("<span>{}: {}</span>", escape(&world.name), escape(&finding(x, world))))
        .collect();
    let class = match judgement.map(Judgement::outcome) {
        Some(Outcome::Pass) => "pass",
        Some(Outcome::Fail) => "fail",
        Some(Outcome::Inconclusive) => "unsure",
        None => "none",
    };
    out.push_str(&format!(
        "<header>\n<p class=\"kicker\">wavetank · bench</p>\n<h1>{}</h1>\n<p class=\"verdict {class}\"><span><strong>{}</strong></span>{lines}</p>\n</header>\n",
        escape(&title),
        escape(&sentence(x)),
    ));
    let mut sections = vec![("figures", "Figures", figures(x))];
    if let Some(judgement) = judgement {
        sections.push(("targets", "Targets", targets(judgement)));
    }
    if let Some(picture) = picture {
        let found: Vec<String> =
            x.worlds.iter().map(|world| format!("{}: {}", world.name, finding(x, world))).collect();
        let alt = escape(&found.join("; "));
        sections.push(("picture", "Picture", format!("<figure><img src=\"{picture}\" alt=\"{alt}\"></figure>\n")));
    }
    if x.definition.kind != Kind::Baseline && !rows.is_empty() {
        let note = "<p>A repetition of each. ▲ and ▼ mark decisions to scale.</p>";
        sections.push(("timelines", "Over time", timelines(rows) + note));
    }
    sections.push(("identity", "This benchmark", identity(x)));
    out.push_str(&contents(sections.iter().map(|(id, title, _)| (*id, *title))));
    for (id, title, body) in &sections {
        section(&mut out, id, title, body);
    }
    out.push_str(CLOSE_PAGE);
    out
}

fn figures(x: &Bench) -> String {
    let figures = x.definition.kind.figures();
    if x.definition.kind == Kind::Baseline {
        return x.worlds.iter().map(|world| levels(world, figures)).collect();
    }
    let mut head = vec!["Since load changed".to_string()];
    head.extend(x.worlds.iter().map(|world| format!("#{}", escape(&world.name))));
    head.push("What it is".to_string());
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let row = |figure: &Figure| {
        let mut row = vec![figure.to_string()];
        row.extend(x.worlds.iter().map(|world| escape(&cell(*figure, &world.groups[0].spread(*figure)))));
        row.push(escape(figure.means()));
        row
    };
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    let mut out = table("Medians over the repetitions, with the least and the most in brackets.", &head, &rows);
    for world in &x.worlds {
        let ups = world.groups.first().map_or(&[][..], orders);
        if !ups.is_empty() {
            let rows: Vec<Vec<String>> = ups.iter().map(|up| order(up).map(|cell| escape(&cell)).to_vec()).collect();
            let caption = format!("{}: every order of a repetition, since load rose.", escape(&world.name));
            out.push_str(&table(&caption, &ORDER, &rows));
        }
    }
    out
}

fn levels(world: &World, figures: &[Figure]) -> String {
    let mut head = vec!["#Load".to_string()];
    head.extend(figures.iter().map(|figure| format!("#{figure}")));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = world
        .groups
        .iter()
        .map(|group| {
            let mut row = vec![format!("{}/s", rate(group.rate))];
            row.extend(figures.iter().map(|figure| escape(&cell(*figure, &group.spread(*figure)))));
            row
        })
        .collect();
    table(&format!("{}: levels up to the knee.", escape(&world.name)), &head, &rows)
}

fn targets(judgement: &Judgement) -> String {
    let rows = judgement.findings.iter().map(|f| {
        let class = match f.outcome {
            Outcome::Pass => "pass",
            Outcome::Inconclusive => "unsure",
            Outcome::Fail => "fail",
        };
        vec![
            escape(&f.criterion.name()),
            format!("<span class=\"{class}\"><strong>{}</strong></span>", f.outcome.word()),
            escape(&f.sentence()),
            escape(&f.arithmetic()),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table("What was asked.", &["Target", "Verdict", "What was measured", "How it was decided"], &rows)
}

fn identity(x: &Bench) -> String {
    let rows = [
        ("Scenario", format!("{} <code>{}</code>", escape(&x.name), escape(&x.digest))),
        ("Seed", x.seed.to_string()),
        ("Machine", escape(&x.host)),
        ("Began", escape(&x.started)),
        ("To run it again", format!("<code>{}</code>", escape(&x.command))),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, text)| vec![name.to_string(), text]).collect();
    let mut out = table("What was measured.", &["", ""], &rows);
    out.extend(x.notes.iter().map(|note| format!("<p>{}</p>\n", escape(note))));
    out
}
