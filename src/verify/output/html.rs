//! `verify.html`: the table of errors, then every scenario with both worlds on one chart.

use super::{decision_rows, legend, misses, title};
use crate::report::html::tables::table;
use crate::report::html::{CLOSE_PAGE, contents, escape, open_page, section, twin};
use crate::verify::{Figure, Finding, Trial, Verdict, Verification};

/// The page.
pub fn html(x: &Verification) -> String {
    let head = match x.trials.as_slice() {
        [trial] => format!("{}: simulated against live", trial.name),
        trials => format!("{} scenarios, simulated against live", trials.len()),
    };
    let mut out = open_page(&head);
    let class = class_of(x.verdict());
    out.push_str(&format!(
        "<header>\n<p class=\"kicker\">wavetank · verify</p>\n<h1>{}</h1>\n<p class=\"verdict {class}\"><span><strong>{}</strong> {}</span></p>\n</header>\n",
        escape(&head),
        x.verdict().word(),
        escape(&legend(&x.trials))
    ));
    let ids: Vec<String> = (0..x.trials.len()).map(|i| format!("s{i}")).collect();
    let titles: Vec<String> = x.trials.iter().map(|trial| escape(&trial.name)).collect();
    let links = ids.iter().map(String::as_str).zip(titles.iter().map(String::as_str));
    out.push_str(&contents([("errors", "Errors")].into_iter().chain(links)));
    section(&mut out, "errors", "Errors", &errors(x));
    for (trial, (id, name)) in x.trials.iter().zip(ids.iter().zip(&titles)) {
        section(&mut out, id, name, &body(trial, id));
    }
    out.push_str(CLOSE_PAGE);
    out
}

fn class_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Within => "pass",
        Verdict::Beyond => "fail",
        Verdict::Machine => "unsure",
        Verdict::Nothing => "none",
    }
}

fn errors(x: &Verification) -> String {
    let mut head = vec!["Scenario".to_string()];
    head.extend(Figure::ALL.map(|figure| format!("#{}", figure.title())));
    head.push("Verdict".to_string());
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let cell = |finding: &Finding| {
        let error = finding.error.map_or("–".to_string(), |error| finding.figure.show_error(error));
        format!("<span class=\"{}\" title=\"{}\">{error}</span>", class_of(finding.verdict), finding.verdict.word())
    };
    let rows: Vec<Vec<String>> = x
        .trials
        .iter()
        .map(|trial| {
            let mut row = vec![escape(&trial.name)];
            row.extend(trial.findings().iter().map(cell));
            row.push(said(trial.verdict()));
            row
        })
        .collect();
    let notes: String = x.notes.iter().map(|note| format!("<p>{}</p>\n", escape(note))).collect();
    table("Errors of the simulator.", &head, &rows) + &notes
}

fn said(verdict: Verdict) -> String {
    format!("<span class=\"{}\"><strong>{}</strong></span>", class_of(verdict), verdict.word())
}

fn body(trial: &Trial, id: &str) -> String {
    let rows: Vec<Vec<String>> = trial
        .findings()
        .iter()
        .map(|finding| {
            let figure = finding.figure;
            let shown = |x: Option<f64>| x.map_or("–".to_string(), |x| figure.show(x));
            vec![
                format!("<span title=\"{}\">{}</span>", escape(figure.words()), figure.title()),
                shown(finding.simulated),
                shown(finding.live),
                finding.error.map_or("–".to_string(), |error| figure.show_error(error)),
                finding.noise.map_or("–".to_string(), |noise| figure.show_noise(noise)),
                figure.show_aim(),
                said(finding.verdict),
            ]
        })
        .collect();
    let head = ["Figure", "#Simulated", "#Live", "#Error", "#Live runs apart", "#Aim", "Verdict"];
    let caption = format!("{}; {} live runs.", escape(&title(trial)), trial.live.runs.len());
    let mut out = twin::twin(id, &trial.sim, &trial.live) + &table(&caption, &head, &rows);
    let told: Vec<String> = misses(trial).into_iter().chain(trial.notes.iter().cloned()).collect();
    out.extend(told.iter().map(|line| format!("<p>{}</p>\n", escape(line))));
    let decisions: Vec<Vec<String>> =
        decision_rows(trial).into_iter().map(|row| row.map(|cell| escape(&cell)).to_vec()).collect();
    if !decisions.is_empty() {
        let caption = "Decisions to scale: the simulated run beside the first live one.";
        out += &table(caption, &["#Simulated at", "#Live at", "#Apart", "Instances"], &decisions);
    }
    out
}
