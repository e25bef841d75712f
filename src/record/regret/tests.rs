//! The optimum against worked examples, against its closed form, and against every fleet there is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn s(n: u64) -> Span {
    Span::from_secs(n)
}

fn terms(boot: u64, initial: u32, steps: usize, step: u64) -> Terms {
    Terms {
        billing: Billing { price_per_hour: 3600.0, ..Billing::default() },
        boot: s(boot),
        initial,
        warmup: Span::ZERO,
        measured: s(step * steps as u64),
        step: s(step),
    }
}

/// The least bill \[ns\] for a demand that is left, over every fleet: whatever instance covers the first step that lacks one is tried.
fn cheapest(left: &[u32], initial: u32, terms: &Terms, known: &mut BTreeMap<(Vec<u32>, u32), u64>) -> u64 {
    let Some(t) = left.iter().position(|&d| d > 0) else { return 0 };
    let key = (left.to_vec(), initial);
    if let Some(&best) = known.get(&key) {
        return best;
    }
    let mut best = u64::MAX;
    for a in 0..=t {
        let there = terms.can_be_ready(a);
        if !there && (a > 0 || initial == 0) {
            continue;
        }
        for b in t + 1..=left.len() {
            let mut after = left.to_vec();
            after[a..b].iter_mut().for_each(|d| *d = d.saturating_sub(1));
            let rest = cheapest(&after, initial - u32::from(!there), terms, known);
            best = best.min(rest.saturating_add(terms.billed(a, b)));
        }
    }
    known.insert(key, best);
    best
}

/// The bill of a fleet given by its size in each step, if the oldest or the youngest go first, whichever is cheaper.
fn at_most(ready: &[u32], terms: &Terms) -> u64 {
    let bill = |oldest_first: bool| {
        let (mut since, mut total): (VecDeque<usize>, u64) = (VecDeque::new(), 0);
        for t in 0..=ready.len() {
            let wanted = ready.get(t).copied().unwrap_or(0) as usize;
            while since.len() > wanted {
                let a = if oldest_first { since.pop_front() } else { since.pop_back() };
                total += terms.billed(a.expect("more than are wanted"), t);
            }
            since.extend(std::iter::repeat_n(t, wanted - since.len()));
        }
        total
    };
    bill(true).min(bill(false))
}

#[test]
fn a_lull_is_bridged_if_it_is_shorter_than_a_boot() {
    // Demand 1 1 3 3 1 1, boot of a step, one instance at first: alive 1 3 3 3 1 1.
    let demand = [1, 1, 3, 3, 1, 1];
    let terms = terms(1, 1, 6, 1);
    let (best, regret) = regret(&demand, &[1.0; 6], Cost { instance_hours: 6.0 / 3600.0, cost: 6.0 }, &terms);
    assert_eq!(best.ready, demand, "O-01");
    assert!((regret.optimal.cost - 12.0).abs() < 1e-9, "O-01, the oracle");
    assert_eq!(regret.static_instances, 3);
    assert!((regret.best_static.cost - 18.0).abs() < 1e-9, "O-01, three all the time");
    assert!((regret.cost + 6.0).abs() < 1e-9, "too few instances are cheaper than the optimum");
    assert!((regret.missing_hours - 4.0 / 3600.0).abs() < 1e-12);
    // O-01 of a fleet that orders when it sees three: ten alive, and two missing for one step at 5 each.
    let (_, reactive) = super::regret(
        &demand,
        &[1.0, 1.0, 1.0, 3.0, 1.0, 1.0],
        Cost { instance_hours: 10.0 / 3600.0, cost: 10.0 },
        &terms,
    );
    let penalty = reactive.missing_hours * 3600.0 * 5.0;
    assert!((reactive.optimal.cost + reactive.cost + penalty - 20.0).abs() < 1e-9, "O-01, reactive: {reactive:?}");

    let bridged = optimum(&[2, 0, 0, 2], &super::tests::terms(2, 2, 4, 1));
    assert_eq!(bridged.ready, [2, 2, 2, 2], "keeping two for two steps costs no more than booting them again");
    let left = optimum(&[2, 0, 0, 0, 2, 0], &super::tests::terms(2, 2, 6, 1));
    assert_eq!(left.ready, [2, 0, 0, 0, 2, 0]);
    assert_eq!(left.billed, (2 + 2 + 2 * 2) * 1_000_000_000);
}

#[test]
fn hours_that_are_paid_are_used() {
    // Billed by the hour: an instance that is needed for a minute, twice within the hour, is paid once.
    let hourly = Billing { price_per_hour: 1.0, granularity: s(3600), minimum: Span::ZERO };
    let terms = Terms { billing: hourly, ..terms(60, 1, 120, 60) };
    let mut demand = vec![1; 120];
    (demand[10], demand[50], demand[110]) = (2, 2, 2);
    let best = optimum(&demand, &terms);
    // One for two hours; the second boots for a minute and is there for 59.
    assert_eq!(best.billed, 4 * 3_600_000_000_000);
    assert_eq!(best.ready[50], 2);
}

#[test]
fn what_nobody_could_have_met_is_left_out() {
    let terms = terms(120, 1, 5, 60);
    assert_eq!(terms.attainable(&[4, 4, 4, 4, 0]), [1, 1, 4, 4, 0]);
    let warm = Terms { warmup: s(120), ..terms };
    assert_eq!(warm.attainable(&[4, 4, 4, 4, 0]), [4, 4, 4, 4, 0]);
    // What booted in the warm-up is paid for from its end.
    assert_eq!(optimum(&[4, 0, 0, 0, 0], &warm).billed, 4 * 60_000_000_000);
}

fn worlds(longest: usize, most: u32) -> impl Strategy<Value = (Vec<u32>, Terms)> {
    let billing = (prop::sample::select(vec![0u64, 1, 2, 3, 5, 7]), 0u64..9);
    let time = (0u64..8, 0u64..5, 1u64..4, 0u64..2);
    (prop::collection::vec(0..=most, 1..=longest), billing, time, 0..=most).prop_map(
        |(demand, (granularity, minimum), (boot, warmup, step, short), initial)| {
            let billing = Billing { price_per_hour: 1.0, granularity: s(granularity), minimum: s(minimum) };
            let measured = Span(s(step).0 * demand.len() as u64 - short * 500_000_000);
            let terms = Terms { billing, boot: s(boot), initial, warmup: s(warmup), measured, step: s(step) };
            (demand, terms)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_fleet_is_cheaper((demand, terms) in worlds(6, 3)) {
        let attainable = terms.attainable(&demand);
        let brute = cheapest(&attainable, terms.initial, &terms, &mut BTreeMap::new());
        let best = optimum(&demand, &terms);
        prop_assert_eq!(best.billed, u128::from(brute));
        prop_assert!(best.ready.iter().zip(&attainable).all(|(r, d)| r >= d), "{:?} for {attainable:?}", best.ready);
    }

    #[test]
    fn the_closed_form_is_the_flow((demand, terms) in worlds(60, 12)) {
        let linear = Terms { billing: Billing { granularity: Span::ZERO, minimum: Span::ZERO, ..terms.billing }, ..terms };
        let attainable = linear.attainable(&demand);
        prop_assert_eq!(closing(&attainable, &linear).billed, flow::optimum(&attainable, &linear).billed);
        // Pairing does not matter where every second costs the same: the sizes alone say what it costs.
        let ready = closing(&attainable, &linear).ready;
        prop_assert_eq!(u128::from(at_most(&ready, &linear)), closing(&attainable, &linear).billed);
    }

    #[test]
    fn any_fleet_that_meets_the_demand_pays_at_least_as_much(
        ((demand, terms), extra) in worlds(40, 9).prop_flat_map(|w| {
            let n = w.0.len();
            (Just(w), prop::collection::vec(0u32..3, n))
        })
    ) {
        let attainable = terms.attainable(&demand);
        let fleet: Vec<u32> = attainable.iter().zip(&extra).map(|(d, e)| d + e).collect();
        // A fleet that begins with more than there was is not one that could have been.
        prop_assume!(fleet.iter().enumerate().all(|(t, &n)| terms.can_be_ready(t) || n <= terms.initial));
        prop_assert!(optimum(&demand, &terms).billed <= u128::from(at_most(&fleet, &terms)));
    }
}
