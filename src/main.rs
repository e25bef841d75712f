fn main() {
    let path = std::env::args().nth(1).unwrap();
    let over: Vec<String> = std::env::args().skip(2).collect();
    let sc = match wavetank::scenario::load(path.as_ref(), &over) { Ok(s) => s, Err(e) => { eprintln!("{e}"); std::process::exit(2) } };
    let n = sc.replications;
    let plan = wavetank::sim::Plan::new(sc).unwrap();
    let t = std::time::Instant::now();
    let runs = wavetank::sim::replicate::replicate(&plan, n, &Default::default()).unwrap();
    let dt = t.elapsed().as_secs_f64();
    for r in &runs {
    println!("{} req {:.1} ns/req {:?} mean {:?} p99 {:?} fleet {:?}", r.simulated, dt*1e9/r.simulated as f64, r.counts, r.latency.mean(), r.latency.quantile(0.99), r.fleet);
        let c = r.timeline.column(wavetank::record::timeline::Column::ActiveConnections);
        println!("L {} rows {} step {} util {} served {}", c.iter().sum::<f64>()/c.len() as f64, c.len(), r.timeline.step_seconds, r.instances[0].utilization, r.service_time.mean().unwrap().as_secs_f64());
    }
}
