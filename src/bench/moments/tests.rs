use super::*;
use crate::engine::events::Timing;
use crate::record::Recorder;
use crate::record::recorder::FleetSample;
use crate::scenario;

fn s(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

fn scaling(instances: &[u32], since: Option<f64>) -> Scaling {
    let timing =
        since.map(|at| Timing { sampled_at: s(at), since: s(at), held_at: s(at), ripe_at: s(at), fired_at: s(at) });
    Scaling {
        rule: "busy".to_string(),
        from: 2,
        to: 2 + instances.len() as u32,
        instances: instances.iter().map(|id| InstanceId(*id)).collect(),
        stages: Vec::new(),
        timing,
        observed: None,
        wishes: Vec::new(),
    }
}

fn event(at: f64, kind: EventKind) -> Event {
    Event { at: s(at), kind, cause: String::new() }
}

fn instance(id: u32, moments: [f64; 3], gone: Option<f64>) -> InstanceSummary {
    let at = |seconds: f64| seconds.is_finite().then(|| s(seconds));
    InstanceSummary {
        id,
        started_at: at(moments[0]),
        ready_at: at(moments[1]),
        first_answer_at: at(moments[2]),
        gone_at: gone.map(s),
        ..InstanceSummary::default()
    }
}

/// A run of 20 seconds of 100 requests a second, each of them with the latency of its second \[ms\].
fn run_of(latencies: [u64; 20], events: Vec<Event>, instances: Vec<InstanceSummary>) -> Run {
    let text =
        "scenario.duration = \"20s\"\ntraffic.shape = [{ kind = \"constant\", rate = 100 }]\nservice.time = \"1ms\"";
    let scenario = scenario::parse(text, "t.toml", "".as_ref(), &[]).unwrap();
    let mut recorder = Recorder::new(scenario.recording(Span::from_secs(20), &scenario.service.endpoints));
    for (second, latency) in latencies.into_iter().enumerate() {
        let ended = s(second as f64 + 0.99);
        for _ in 0..100 {
            let due = ended.saturating_sub(Span::from_millis(latency));
            recorder.offered(due, 0);
            recorder.succeeded(ended, due, Span::ZERO, Span::ZERO, 0);
        }
        recorder.step_ended(s(second as f64 + 1.0), &FleetSample { ready: 2.0, ..FleetSample::default() });
    }
    recorder.finish(1, Ended::Completed, s(20.0), events, instances)
}

fn part() -> Part {
    Part { rate: 100.0, overrides: Vec::new(), changes_at: s(5.0), end: s(20.0) }
}

const TARGET: Span = Span::from_millis(100);
const NONE: f64 = f64::NAN;

fn latencies(slow: &[usize]) -> [u64; 20] {
    std::array::from_fn(|i| if slow.contains(&i) { 500 } else { 10 })
}

#[test]
fn a_scale_up_is_split_into_its_moments_since_load_rose() {
    let events = vec![
        event(3.0, EventKind::ScaledUp(scaling(&[9], None))),
        event(8.0, EventKind::ScaledUp(scaling(&[2, 3], Some(6.5)))),
        event(11.0, EventKind::ScaledUp(scaling(&[4], None))),
    ];
    let instances = vec![
        instance(2, [8.2, 10.0, 10.5], None),
        instance(3, [8.1, 10.25, 10.3], None),
        instance(4, [11.5, NONE, NONE], None),
    ];
    let run = run_of(latencies(&[6, 7, 8, 9]), events, instances);
    let readings = readings(Kind::ScaleUp, &run, &part(), TARGET);
    let of = |figure| readings.iter().find(|(each, _)| *each == figure).unwrap().1;
    let seconds = |x: f64| Reading::Value(x * 1e3);
    assert_eq!(of(Figure::Detect), seconds(1.5));
    assert_eq!(of(Figure::Decide), seconds(3.0));
    assert_eq!(of(Figure::Start), seconds(3.1));
    assert_eq!(of(Figure::Ready), seconds(5.0));
    assert_eq!(of(Figure::FirstByte), seconds(5.3));
    assert_eq!(of(Figure::Complete), seconds(5.25));
    assert_eq!(of(Figure::Steady), seconds(5.0));
    assert_eq!(of(Figure::Lost), Reading::Value(0.0));
    let ups = scale_ups(&run, s(5.0));
    assert_eq!((ups.len(), ups[1].detect, ups[1].complete), (2, Span::from_secs(6), None));
}

#[test]
fn what_did_not_happen_says_how_long_it_was_waited_for() {
    let run = run_of(latencies(&[15, 16, 17, 18]), Vec::new(), Vec::new());
    for (figure, reading) in readings(Kind::ScaleUp, &run, &part(), TARGET) {
        match figure {
            Figure::Lost | Figure::WorstP99 => assert!(reading.value().is_some()),
            _ => assert_eq!(reading, Reading::Never(15_000.0), "{figure:?}"),
        }
    }
}

#[test]
fn one_bad_second_is_an_accident_and_two_within_five_are_not() {
    let steady = |slow: &[usize]| steady(&run_of(latencies(slow), Vec::new(), Vec::new()), s(5.0), s(20.0), TARGET);
    assert_eq!(steady(&[]), Reading::Value(0.0));
    assert_eq!(steady(&[6, 7, 12]), Reading::Value(3_000.0), "the twelfth is alone");
    assert_eq!(steady(&[6, 10]), Reading::Value(6_000.0));
    assert_eq!(steady(&[6, 11]), Reading::Value(0.0), "five good ones are between them");
    assert_eq!(steady(&[16, 17]), Reading::Never(15_000.0), "too few good ones follow");
    assert_eq!(steady(&[1, 2, 3]), Reading::Value(0.0), "what was before the rise is nobody's affair");
}

#[test]
fn failures_are_no_fast_answers() {
    let text =
        "scenario.duration = \"10s\"\ntraffic.shape = [{ kind = \"constant\", rate = 100 }]\nservice.time = \"1ms\"";
    let scenario = scenario::parse(text, "t.toml", "".as_ref(), &[]).unwrap();
    let mut recorder = Recorder::new(scenario.recording(Span::from_secs(10), &scenario.service.endpoints));
    for second in 0..10u32 {
        let now = s(f64::from(second) + 0.5);
        for i in 0..100 {
            recorder.offered(now, 0);
            match second < 4 && i < 5 {
                true => recorder.failed(now, now, crate::record::outcome::Failure::Connection, 0),
                false => recorder.succeeded(now, now, Span::ZERO, Span::ZERO, 0),
            }
        }
        recorder.step_ended(s(f64::from(second) + 1.0), &FleetSample::default());
    }
    let run = recorder.finish(1, Ended::Completed, s(10.0), Vec::new(), Vec::new());
    assert_eq!(steady(&run, Time::ZERO, s(10.0), TARGET), Reading::Value(4_000.0));
    assert_eq!(lost(&run, s(1.0), s(10.0)), 15.0);
}

#[test]
fn a_scale_down_is_over_when_the_last_that_drained_is_gone() {
    let draining = |at: f64, id: u32| event(at, EventKind::InstanceDraining { instance: InstanceId(id) });
    let events = vec![
        event(7.0, EventKind::ScaledDown(scaling(&[4, 5], None))),
        draining(7.0, 4),
        draining(7.0, 5),
        event(12.0, EventKind::ScaledDown(scaling(&[3], None))),
        draining(12.0, 3),
    ];
    let there = [0.0; 3];
    let gone = [instance(3, there, Some(14.0)), instance(4, there, Some(7.5)), instance(5, there, Some(8.5))];
    let of = |instances: Vec<InstanceSummary>, figure: Figure| {
        let run = run_of(latencies(&[]), events.clone(), instances);
        let all = readings(Kind::ScaleDown, &run, &part(), TARGET);
        all.into_iter().find(|(each, _)| *each == figure).unwrap().1
    };
    let all = gone.to_vec();
    assert_eq!(of(all.clone(), Figure::Decide), Reading::Value(2_000.0));
    assert_eq!(of(all.clone(), Figure::Drained), Reading::Value(3_500.0));
    assert_eq!(of(all.clone(), Figure::DrainTime), Reading::Value(2_000.0));
    assert_eq!(of(all.clone(), Figure::Settled), Reading::Value(9_000.0));
    let mut stays = all;
    stays[0].gone_at = None;
    assert_eq!(of(stays.clone(), Figure::Drained), Reading::Value(3_500.0));
    assert_eq!(of(stays, Figure::Settled), Reading::Never(15_000.0));
}
