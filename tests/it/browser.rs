//! The pages in a browser: they draw, zoom, sort and change their theme; they ask nobody for anything; and what is in the data
//! stays data.

pub mod chromium;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wavetank::compare::{self, Comparison, Contender};
use wavetank::report::{self, Experiment, Threshold};

use crate::cli::{folder, output, stderr};
use crate::determinism::experiment_of;
use crate::world::{plan, runs};
use chromium::Page;

/// A fleet that grows and shrinks, a fault, an alert, a breaker, and twenty endpoints, for `minutes`.
fn world(minutes: u32, rate: u32) -> String {
    let endpoints: String =
        (0..20).map(|i| format!("[[service.endpoint]]\npath = \"/api/{i}\"\nweight = {}\n", i + 1)).collect();
    format!(
        r#"
        [scenario]
        name = "stormy"
        duration = "{minutes}m"
        warmup = "1m"
        seed = 11
        [traffic]
        shape = [{{ kind = "constant", rate = {rate} }}]
        overlay = [{{ kind = "spike", at = "4m", magnitude = 3.0, rise = "10s", hold = "2m", fall = "30s" }}]
        [clients]
        timeout = "2s"
        retry = {{ max = 1 }}
        [service]
        workers = 4
        queue = 20
        time = {{ dist = "exponential", mean = "50ms" }}
        {endpoints}
        [fleet]
        initial = 2
        boot = "20s"
        price_per_hour = 0.1
        [autoscaler]
        min = 2
        max = 8
        interval = "5s"
        metrics = {{ window = "10s", delay = "5s" }}
        [[autoscaler.rule]]
        name = "up"
        metric = "cpu_utilization"
        operator = "gt"
        threshold = 70
        action = "scale_up"
        step = 2
        cooldown = "20s"
        [[autoscaler.rule]]
        name = "down"
        metric = "cpu_utilization"
        operator = "lt"
        threshold = 40
        action = "scale_down"
        cooldown = "30s"
        [[autoscaler.rule]]
        name = "hot"
        metric = "p99_response_time"
        operator = "gt"
        threshold = 400
        action = "alert"
        cooldown = "1m"
        [breaker]
        scope = "service"
        failure_rate = 0.5
        minimum_calls = 20
        window = "10s"
        open_for = "5s"
        [analyzer]
        baseline_window = "5m"
        prediction_window = "2m"
        [[fault]]
        kind = "crash"
        at = "8m"
        [slo]
        p99 = "500ms"
        availability = 0.99
        "#
    )
}

fn thresholds() -> Vec<Threshold> {
    let of = |rule: &str, sign: &str, value| Threshold {
        rule: rule.to_string(),
        metric: "cpu_utilization".to_string(),
        sign: sign.to_string(),
        value,
    };
    vec![of("up", ">", 70.0), of("down", "<", 40.0)]
}

fn written(folder: &Path, name: &str, page: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, page).expect("a page is written");
    path
}

/// The experiment of a world, handed to `look`.
fn with<T>(toml: &str, look: impl FnOnce(Experiment) -> T) -> T {
    let (plan, runs) = (plan(toml), runs(toml, 1));
    look(Experiment { thresholds: thresholds(), ..experiment_of(&plan, &runs, 1) })
}

/// The part of the run that each panel shows, as a share of it: all have the same.
fn views(page: &mut Page) -> Vec<[f64; 2]> {
    let views = page.value(
        "[...document.querySelectorAll('svg.plot')].map((plot) => { const [x, , w] = plot.getAttribute('viewBox').split(' ').map(Number); \
         const all = Number(plot.getAttribute('width')); return [x / all, w / all]; })",
    );
    serde_json::from_value(views).expect("numbers")
}

/// The middle of an element, or another share of it, in the window.
fn place(page: &mut Page, selector: &str, (across, down): (f64, f64)) -> (f64, f64) {
    let at = page.value(&format!(
        "(() => {{ const node = document.querySelector({selector:?}); node.scrollIntoView({{ block: 'center' }}); \
         const box = node.getBoundingClientRect(); return [box.left + {across} * box.width, box.top + {down} * box.height]; }})()"
    ));
    (at[0].as_f64().expect("a place"), at[1].as_f64().expect("a place"))
}

#[test]
fn a_report_draws_zooms_sorts_and_changes_its_theme() {
    let folder = folder(&[]);
    let html = with(&world(12, 60), |x| report::html(&x));
    let path = written(folder.path(), "report.html", &html);
    let Some(mut page) = Page::open(&path) else { return };

    // Every chart has lines, inside of it.
    let panels = page.value(
        "[...document.querySelectorAll('figure > svg')].map((svg) => { const box = svg.getBoundingClientRect(); \
         return [svg.querySelector('title').textContent, [...svg.querySelectorAll('path[class^=c]')].filter((p) => p.getTotalLength() > 50).length, box.width, box.height]; })",
    );
    let panels = panels.as_array().expect("a list").clone();
    assert!(panels.len() >= 8, "{panels:?}");
    for panel in &panels {
        assert!(panel[1].as_u64() > Some(0) && panel[2].as_f64() > Some(300.0), "{panel}");
        assert!(panel[0].as_str().is_some_and(|title| title.contains(": ")), "{panel}: a title says what was found");
    }

    // The cursor is one, and says what was when.
    let (x, y) = place(&mut page, "#storm figure > svg", (0.5, 0.5));
    page.mouse("mouseMoved", (x, y), 0);
    let cursors = page.value("[...document.querySelectorAll('.cursor')].map((c) => c.getAttribute('display'))");
    assert!(cursors.as_array().expect("a list").iter().all(|shown| shown == "inline"), "{cursors}");
    let told = page.value("[...document.querySelectorAll('#storm .key output')].map((o) => o.textContent)");
    assert!(told.as_array().expect("a list").iter().all(|value| value != ""), "{told}");

    // Dragging zooms every panel, and a double click is the way back.
    page.mouse("mousePressed", (x, y), 1);
    page.mouse("mouseMoved", (x + 100.0, y), 0);
    page.mouse("mouseReleased", (x + 100.0, y), 1);
    let zoomed = views(&mut page);
    assert!(zoomed.iter().all(|view| *view == zoomed[0]) && zoomed[0][1] < 0.2 && zoomed[0][0] > 0.3, "{zoomed:?}");
    page.mouse("mousePressed", (x, y), 2);
    page.mouse("mouseReleased", (x, y), 2);
    assert_eq!(views(&mut page)[0], [0.0, 1.0]);

    // The same by keyboard; decisions are told to whoever cannot point.
    page.value("document.querySelector('#storm figure > svg').focus()");
    page.press("n");
    let first =
        page.value("[document.getElementById('tip').hidden, document.querySelector('[role=status]').textContent]");
    assert_eq!(first[0], false);
    assert!(first[1].as_str().is_some_and(|text| text.contains("→") && text.contains("cpu_utilization")), "{first}");
    page.press("+");
    page.press("ArrowRight");
    let spoken = page.value("document.querySelector('[role=status]').textContent");
    assert!(spoken.as_str().is_some_and(|text| text.contains("offered")), "{spoken}");
    assert!((views(&mut page)[0][1] - 0.5).abs() < 1e-3);
    page.press("0");
    assert_eq!(views(&mut page)[0], [0.0, 1.0]);
    page.value("document.querySelector('.tools button[value=in]').click()");
    assert!((views(&mut page)[0][1] - 0.5).abs() < 1e-3);

    // Endpoints sort by number, both ways, and say so.
    let column = "[...document.querySelectorAll('#endpoints tbody tr')].map((row) => Number(row.cells[1].querySelector('data').value))";
    for sorted in ["ascending", "descending"] {
        page.value("document.querySelectorAll('#endpoints th button')[1].click()");
        let mut values: Vec<f64> = serde_json::from_value(page.value(column)).expect("numbers");
        if sorted == "descending" {
            values.reverse();
        }
        assert!(values.len() == 20 && values.is_sorted(), "{values:?}");
        assert_eq!(page.value("document.querySelectorAll('#endpoints th')[1].getAttribute('aria-sort')"), sorted);
    }

    // Light, dark by the system's wish, and by the reader's, which is remembered.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let (light, dark) = (json!("rgb(255, 255, 255)"), json!("rgb(13, 17, 23)"));
    let prefer = |page: &mut Page, media: &str, scheme: &str| {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        page.ask("Emulation.setEmulatedMedia", json!({ "media": media, "features": features }));
    };
    prefer(&mut page, "screen", "light");
    assert_eq!(page.value(ground), light);
    prefer(&mut page, "screen", "dark");
    assert_eq!(page.value(ground), dark);
    page.value("document.getElementById('theme').click()");
    assert_eq!(page.value(ground), light);
    page.go(&path);
    assert_eq!(
        (page.value(ground), page.value("document.getElementById('theme').textContent")),
        (light.clone(), json!("Dark theme"))
    );
    page.value("document.getElementById('theme').click()");
    assert_eq!(page.value(ground), dark);
    // Paper is white whatever anybody likes.
    prefer(&mut page, "print", "dark");
    assert_eq!(page.value(ground), light);
    prefer(&mut page, "screen", "light");

    // A narrow screen: nothing sticks out, what is wide scrolls by itself.
    page.ask(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 320, "height": 700, "deviceScaleFactor": 1, "mobile": true }),
    );
    assert_eq!(page.value("document.documentElement.scrollWidth"), 320);

    assert_eq!(page.complaints(&[&path]), Vec::<String>::new());
}

#[test]
fn without_a_script_everything_is_there_to_read() {
    let folder = folder(&[]);
    let html = with(&world(12, 60), |x| report::html(&x));
    let path = written(folder.path(), "report.html", &html);
    let Some(mut page) = Page::open(&path) else { return };
    page.ask("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    page.go(&path);
    let seen = page.value(
        "[document.getElementById('theme').offsetParent, document.querySelector('.tools').offsetParent, document.querySelectorAll('th button').length, \
         [...document.querySelectorAll('figure > svg')].every((svg) => svg.getBoundingClientRect().height > 50), document.querySelectorAll('.mark title').length]",
    );
    assert!(seen[0].is_null() && seen[1].is_null() && seen[2] == 0 && seen[3] == true, "{seen}");
    assert!(seen[4].as_u64() > Some(0), "{seen}: marks explain themselves");
    page.ask("Emulation.setScriptExecutionDisabled", json!({ "value": false }));
    assert_eq!(page.complaints(&[&path]), Vec::<String>::new());
}

/// Texts that mean harm, wherever a text may come from.
const HARM: [&str; 8] = [
    "<script>alert(1)</script>",
    "</title></style></script><script>alert(2)</script>",
    "\"><img src=x onerror=alert(3)>",
    "' onmouseover='alert(4)",
    "javascript:alert(5)",
    "]]><svg onload=alert(6)>",
    "\u{202e}gnp.exe\u{2066}\u{200f}\u{0}\u{1b}[31m",
    "&lt;script&gt;alert(7)&lt;/script&gt; ${alert(8)} {{constructor.constructor('alert(9)')()}}",
];

/// What in the page is there because a text was taken for markup.
const TAKEN: &str = "[document.querySelectorAll('script').length - 1, document.querySelectorAll('style').length - 1, document.querySelectorAll('img,iframe,object,embed,base,form').length, \
    [...document.querySelectorAll('*')].filter((node) => [...node.attributes].some((a) => /^on/i.test(a.name) || a.name === 'style' && node.id !== 'tip' || /javascript:/i.test(a.value) && /href|src|action/.test(a.name))).length]";

fn is_inert(path: &Path) {
    let size = fs::metadata(path).expect("a page").len();
    assert!(size < 2_000_000, "{size} bytes");
    let text = fs::read_to_string(path).expect("a page");
    let odd =
        text.chars().find(|c| c.is_control() && !"\n\t".contains(*c) || "\u{202e}\u{2066}\u{200f}".contains(*c));
    assert_eq!(odd, None);
    let Some(mut page) = Page::open(path) else { return };
    assert_eq!(page.value(TAKEN), json!([0, 0, 0, 0]));
    // Whatever reacts to being pointed at, or to being focused, has had its chance.
    page.value("document.querySelectorAll('[data-t], th, summary, a').forEach((node) => node.dispatchEvent(new MouseEvent('mouseover', { bubbles: true })))");
    page.value("document.querySelectorAll('#storm svg').forEach((node) => { node.focus(); })");
    (0..4).for_each(|_| page.press("n"));
    assert_eq!(page.value(TAKEN), json!([0, 0, 0, 0]));
    assert_eq!(page.complaints(&[path]), Vec::<String>::new());
}

#[test]
fn what_is_in_the_data_stays_data() {
    let toml = world(12, 60);
    let (plan, mut runs) = (plan(&toml), runs(&toml, 1));
    let long = "Mozilla/5.0 <b>".repeat(70_000);
    let harm = |i: usize| HARM[i % HARM.len()].to_string();
    for (i, endpoint) in runs[0].endpoints.iter_mut().enumerate() {
        endpoint.path = harm(i);
    }
    runs[0].endpoints[0].path.clone_from(&long);
    for (i, event) in runs[0].events.iter_mut().enumerate() {
        event.cause = if i % 50 == 0 { long.clone() } else { harm(i) };
    }
    let everything = HARM.join(" ");
    let mut x = experiment_of(&plan, &runs, 1);
    (x.name, x.description, x.digest, x.command) = (&everything, &long, HARM[2], everything.clone());
    x.notes = HARM.iter().map(ToString::to_string).chain([long.clone()]).collect();
    x.thresholds = HARM
        .iter()
        .map(|text| Threshold {
            rule: text.to_string(),
            metric: "cpu_utilization".into(),
            sign: text.to_string(),
            value: 50.0,
        })
        .collect();
    (x.info.host, x.info.started) = (everything.clone(), long.clone());
    let folder = folder(&[]);
    is_inert(&written(folder.path(), "report.html", &report::html(&x)));

    let contenders =
        HARM.iter().take(3).map(|label| Contender { label: label.to_string(), experiment: x.clone() }).collect();
    let comparison = Comparison { title: everything.clone(), contenders, notes: x.notes.clone() };
    is_inert(&written(folder.path(), "compare.html", &compare::html(&comparison)));
    // A drawing on its own is XML, whatever is in it.
    let svg = report::svg(&x);
    roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}"));
    assert!(!svg.contains("<script") && svg.len() < 2_000_000, "{}", svg.len());
    // No cell of a table for spreadsheets begins a formula.
    let csv = report::timeline_csv(&x.first().timeline);
    let formula =
        |cell: &str| cell.starts_with(['=', '+', '@', '\t']) || cell.starts_with('-') && cell.parse::<f64>().is_err();
    assert!(!csv.lines().flat_map(|line| line.split(',')).any(formula));
}

#[test]
fn a_log_that_means_harm_makes_an_inert_page() {
    let mut log = String::new();
    for second in 0..600 {
        for i in 0..6 {
            let agent = match i {
                0 => format!("{}{}", HARM[second % HARM.len()].replace(['"', '\u{0}'], "'"), "bot"),
                1 if second == 300 => "<script>alert(1)</script>".repeat(40_000),
                _ => "Mozilla/5.0".to_string(),
            };
            let path = HARM[(second + i) % HARM.len()].replace([' ', '"', '\u{0}', '\u{1b}'], "%20");
            log.push_str(&format!(
                "192.0.2.{i} - - [04/Mar/2024:10:{:02}:{:02} +0000] \"GET /{path} HTTP/1.1\" 200 512 \"javascript:alert(1)\" \"{agent}\"\n",
                second / 60,
                second % 60
            ));
        }
    }
    let folder = folder(&[("access.log", log.as_bytes())]);
    let told = output(folder.path(), &["analyze", "access.log", "--out", "page", "--max-bad-lines", "50%"]);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    let page = fs::read_dir(folder.path().join("page")).expect("a folder");
    let page = page
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "html"));
    is_inert(&page.expect("a page"));
}

#[test]
fn a_comparison_has_its_differences_first_and_one_cursor() {
    let (a, b) = (world(12, 60), world(12, 70));
    let (pa, pb) = (plan(&a), plan(&b));
    let (ra, rb) = (runs(&a, 2), runs(&b, 2));
    let contenders = vec![
        Contender { label: "sixty".to_string(), experiment: experiment_of(&pa, &ra, 1) },
        Contender { label: "seventy".to_string(), experiment: experiment_of(&pb, &rb, 1) },
    ];
    let html = compare::html(&Comparison { title: "rates".to_string(), contenders, notes: vec![] });
    let folder = folder(&[]);
    let path = written(folder.path(), "compare.html", &html);
    let Some(mut page) = Page::open(&path) else { return };
    assert_eq!(page.value("document.querySelector('h2').textContent"), "Differences");
    page.value("document.querySelector('#timelines figure > svg').focus()");
    page.press("+");
    let views = views(&mut page);
    assert!(views.len() == 5 && views.iter().all(|view| (view[1] - 0.5).abs() < 1e-3), "{views:?}");
    assert_eq!(page.complaints(&[&path]), Vec::<String>::new());
}

/// The size that an hour with twenty endpoints may have, and how long the browser takes for it.
#[test]
fn an_hour_with_twenty_endpoints_is_a_small_page() {
    let html = with(&world(60, 40), |x| report::html(&x));
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    let folder = folder(&[]);
    let Some(mut page) = Page::open(&written(folder.path(), "report.html", &html)) else { return };
    let took = page.value("(() => { const t = performance.getEntriesByType('navigation')[0]; return [t.domInteractive, t.loadEventEnd]; })()");
    println!("{} bytes; readable after {} ms, loaded after {} ms", html.len(), took[0], took[1]);
}

/// Elements below a drawing, alike ones together.
fn outline(node: roxmltree::Node, depth: usize, out: &mut String) {
    let named = |node: &roxmltree::Node| {
        let class = node.attribute("class").map_or(String::new(), |class| format!(".{}", class.replace(' ', ".")));
        let role = node.attribute("role").map_or(String::new(), |role| format!("[role={role}]"));
        format!("{}{class}{role}", node.tag_name().name())
    };
    let children: Vec<_> = node.children().filter(roxmltree::Node::is_element).collect();
    for alike in children.chunk_by(|a, b| named(a) == named(b)) {
        let first = alike[0];
        let many = if alike.len() > 1 { " …" } else { "" };
        let text = match first.tag_name().name() {
            "title" if depth == 0 => format!(": {}", first.text().unwrap_or_default()),
            _ => String::new(),
        };
        out.push_str(&format!("{}{}{many}{text}\n", "  ".repeat(depth), named(&first)));
        if !matches!(first.tag_name().name(), "title" | "desc") {
            outline(first, depth + 1, out);
        }
    }
}

#[test]
fn drawings_keep_their_structure() {
    let html = with(&world(12, 60), |x| report::html(&x));
    let figures: Vec<&str> =
        html.split("</figcaption>").skip(1).filter_map(|rest| rest.split("</figure>").next()).collect();
    let drawing = |id: &str| {
        let svg = figures.iter().find(|svg| svg.contains(&format!("\"{id}-t\""))).expect("a drawing");
        let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
        let mut out = String::new();
        outline(document.root_element(), 0, &mut out);
        out
    };
    insta::assert_snapshot!(drawing("load"), @r"
    title: Load: peak 214/s at 6.0 min, beyond capacity 3.61 % of the time
    desc
    g.y
      path.grid
      text
      path.grid
      text
      path.grid
      text
      path.grid
      text
    g.x
      text …
    svg.plot
      rect.shade.breaker
        title
      rect.shade.fault
        title
      rect.shade.spike
        title
      rect.shade.warmup
        title
      path.c1
      path.c2
      path.c3.area
      path.c3.dot
      path.c1.dot
      path.c5.dash
      path.c4.dash
    g …
      text.label
    ");
    insta::assert_snapshot!(drawing("fleet"), @r"
    title: Instances: 1 to 6 took traffic; too few 3.33 % of the time; paid 1.78 times what the cheapest fleet would have cost
    desc
    g.y
      path.grid
      text
      path.grid
      text
      path.grid
      text
      path.grid
      text
    g.x
      text …
    svg.plot
      rect.shade.breaker
        title
      rect.shade.fault
        title
      rect.shade.spike
        title
      rect.shade.warmup
        title
      path.c4.area
      path.c2
      path.c5.long
      path.c1.dash
      path.c3.dot
    g.marks
      g.mark.alert
        title
        path
      g.mark.up …
        title
        path
      g.mark.down …
        title
        path
    ");
    insta::assert_snapshot!(drawing("latency-heat"), @r"
    title: Every latency: nine of ten requests took 2.37 ms to 316 ms; the slowest, over 750 ms, first at 4.5 min
    desc
    g.y
      path.grid
      text
      path.grid
      text
      path.grid
      text
      path.grid
      text
      path.grid
      text
    g.x
      text …
    svg.plot
      path.h0
      path.h1
      path.h2
      path.h3
      path.h4
      path.h5
      path.h6
      path.h7
      path.c6
      path.c6.dot
    ");
    let ids: Vec<Value> = figures
        .iter()
        .map(|svg| json!(svg.split("id=\"").nth(1).and_then(|rest| rest.split("-t\"").next())))
        .collect();
    insta::assert_snapshot!(json!(ids).to_string(), @r#"["load","fleet","latency-over-time","utilization","queue","breakers","percentiles","latency-heat","failed-share"]"#);
}
