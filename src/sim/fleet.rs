//! The life of instances: launched, booting, warming, serving, draining, gone; or crashed, and noticed later.

use crate::engine::request::{InstanceId, Outcome};
use crate::engine::{Command, InstanceState};
use crate::record::outcome::Failure;
use crate::record::run::InstanceSummary;
use crate::scenario::service::Discipline;
use crate::sim::World;
use crate::sim::agenda::Entry;
use crate::sim::attempt::Stage;
use crate::sim::instance::{Instance, Life};
use crate::sim::sharing::Sharing;
use crate::units::Time;

impl World<'_> {
    /// Does what the engine asks.
    pub(super) fn carry_out(&mut self, command: Command) {
        match command {
            Command::Launch(id) => self.launch(id),
            Command::Drain(id) => self.drain(id),
            Command::Terminate(id) => self.terminate(id),
            Command::CheckHealth(id) => self.check_health(id),
        }
    }

    /// Makes room for an instance; ids come in the order of launch.
    pub(super) fn add_instance(&mut self, id: InstanceId) {
        debug_assert_eq!(id.0 as usize, self.instances.len(), "ids count launches");
        let service = &self.plan.scenario().service;
        let sharing = match service.discipline {
            Discipline::Fcfs => None,
            Discipline::ProcessorSharing => Some(Sharing::new(service.cores)),
        };
        self.instances.push(Instance::launched(self.now, sharing));
    }

    fn launch(&mut self, id: InstanceId) {
        self.add_instance(id);
        let boot = self.plan.boot().sample(&mut self.boot_dice.draws(u64::from(id.0)));
        let boot = boot.mul_f64(self.faults.boot_factor());
        self.agenda.push(self.now.saturating_add(boot), Entry::BootEnds(id));
    }

    /// An instance has booted: it serves, unless its zone is out or nobody wants it any more.
    pub(super) fn boot_ends(&mut self, id: InstanceId) {
        if self.instances[id.0 as usize].life != Life::Provisioning {
            return;
        }
        if self.faults.is_out(self.plan.zone(id)) {
            self.gone(id);
            self.engine.instance_changed(self.now, id, InstanceState::Gone);
            return;
        }
        self.begin_serving(id, true);
        let warming = self.instances[id.0 as usize].warm_at > self.now;
        let state = if warming { InstanceState::Warming } else { InstanceState::Ready };
        self.engine.instance_changed(self.now, id, state);
        self.count_ready();
    }

    /// An instance takes traffic from now on; `cold` if it has just started.
    pub(super) fn begin_serving(&mut self, id: InstanceId, cold: bool) {
        let (slowness, fault) = self.faults.on(id);
        let instance = &mut self.instances[id.0 as usize];
        instance.touch(self.now);
        instance.life = Life::Serving;
        instance.ready_at = Some(self.now);
        (instance.slowness, instance.fault) = (slowness, fault);
        if let (true, Some(warmup)) = (cold, self.plan.scenario().fleet.warmup) {
            instance.warm_at = self.now + warmup.over;
            self.agenda.push(instance.warm_at, Entry::WarmupEnds(id));
        }
    }

    pub(super) fn warmup_ends(&mut self, id: InstanceId) {
        if self.instances[id.0 as usize].life == Life::Serving {
            self.engine.instance_changed(self.now, id, InstanceState::Ready);
        }
    }

    fn drain(&mut self, id: InstanceId) {
        let instance = &mut self.instances[id.0 as usize];
        match instance.life {
            Life::Serving if instance.busy() > 0 || !self.plan.scenario().fleet.pre_stop_delay.is_zero() => {
                let stays_until = self.now + self.plan.scenario().fleet.pre_stop_delay;
                instance.stays_until = stays_until;
                if stays_until > self.now {
                    self.agenda.push(stays_until, Entry::PreStopEnds(id));
                }
                instance.life = Life::Draining;
                instance.left_at = Some(self.now);
                if let Some(limit) = self.plan.scenario().fleet.drain_timeout {
                    self.agenda.push(self.now + limit, Entry::DrainLimit(id));
                }
                self.count_ready();
            }
            Life::Gone => {}
            _ => {
                self.gone(id);
                self.engine.instance_changed(self.now, id, InstanceState::Gone);
                self.count_ready();
            }
        }
    }

    pub(super) fn drain_limit(&mut self, id: InstanceId) {
        if self.instances[id.0 as usize].life == Life::Draining {
            self.lose_requests(id);
            self.leaves(id.0 as usize);
        }
    }

    /// A draining instance need not wait for more requests.
    pub(super) fn pre_stop_ends(&mut self, id: InstanceId) {
        if self.instances[id.0 as usize].has_drained(self.now) {
            self.leaves(id.0 as usize);
        }
    }

    fn terminate(&mut self, id: InstanceId) {
        if self.instances[id.0 as usize].is_paid() {
            self.lose_requests(id);
            self.gone(id);
            self.engine.instance_changed(self.now, id, InstanceState::Gone);
            self.count_ready();
        }
    }

    /// A draining instance has nothing left to do.
    pub(super) fn leaves(&mut self, place: usize) {
        let id = InstanceId(place as u32);
        self.gone(id);
        self.engine.instance_changed(self.now, id, InstanceState::Gone);
    }

    fn gone(&mut self, id: InstanceId) {
        let instance = &mut self.instances[id.0 as usize];
        instance.touch(self.now);
        instance.life = Life::Gone;
        instance.left_at = instance.left_at.or(Some(self.now));
        instance.gone_at = Some(self.now);
    }

    /// An instance dies, and nobody is told.
    pub(super) fn crash(&mut self, id: InstanceId) {
        let instance = &mut self.instances[id.0 as usize];
        match instance.life {
            Life::Serving | Life::Draining => {
                let draining = instance.life == Life::Draining;
                self.lose_requests(id);
                let instance = &mut self.instances[id.0 as usize];
                instance.touch(self.now);
                instance.life = Life::Crashed;
                instance.left_at = instance.left_at.or(Some(self.now));
                if draining {
                    self.leaves(id.0 as usize);
                }
                self.count_ready();
            }
            // The platform that boots an instance sees that it does not come up.
            Life::Provisioning => {
                self.gone(id);
                self.engine.instance_changed(self.now, id, InstanceState::Gone);
            }
            Life::Crashed | Life::Gone => {}
        }
    }

    /// Everything that an instance holds fails as `connection`.
    fn lose_requests(&mut self, id: InstanceId) {
        let place = id.0 as usize;
        self.instances[place].touch(self.now);
        let held = self.slab.held_by(id);
        let queued = self.instances[place].clear_queue(&self.slab);
        if let Some(sharing) = &mut self.instances[place].sharing {
            sharing.due = Time::MAX;
        }
        let mut lost = Vec::new();
        for &slot in &held {
            let attempt = self.slab[slot];
            match attempt.stage {
                Stage::InService => self.stop_service(slot, place),
                Stage::Calling => self.cut_off(slot),
                _ => {}
            }
            if attempt.awaited {
                self.slab[slot].awaited = false;
                lost.push(attempt);
            }
        }
        for slot in queued {
            self.slab.remove(slot);
        }
        let instance = &mut self.instances[place];
        (instance.serving, instance.calling) = (0, 0);
        instance.failures += lost.len() as u64;
        for attempt in lost {
            self.report(&attempt, Outcome::Connection);
            self.attempt_failed(attempt, Failure::Connection);
        }
    }

    /// A health check is sent. It is answered at once by a live instance that is not overloaded, and fails at once where nobody
    /// listens; an instance whose queue is longer than the time-out lets it time out.
    fn check_health(&mut self, id: InstanceId) {
        let instance = &self.instances[id.0 as usize];
        let service = &self.plan.scenario().service;
        let timeout = self.engine.health_timeout();
        let backlog = self.expected_wait(id) + service.mean_demand() * instance.slowness;
        let slow = backlog > timeout.as_secs_f64();
        let errs = instance.fault.is_some_and(|fault| {
            fault.rate >= 1.0 || self.failure_dice.sub(u64::MAX - u64::from(id.0), self.now.0).unit() < fault.rate
        });
        let passed = instance.is_alive() && !slow && !errs;
        let delay = if instance.is_alive() && slow { timeout } else { crate::units::Span::ZERO };
        self.agenda.push(self.now + delay, Entry::HealthAnswer(id, passed));
    }

    /// How long the next request would wait in an instance, by its queue and its mean demand \[s\].
    pub(super) fn expected_wait(&self, id: InstanceId) -> f64 {
        let instance = &self.instances[id.0 as usize];
        let service = &self.plan.scenario().service;
        let per_worker = f64::from(instance.queued) / f64::from(service.servers());
        per_worker * service.mean_demand() * instance.slowness
    }

    /// Tells the recorder how many instances take traffic.
    pub(super) fn count_ready(&mut self) {
        let ready = self.instances.iter().filter(|instance| instance.life == Life::Serving).count();
        self.recorder.ready_changed(self.now, ready as u32);
    }

    /// What every instance did.
    pub(super) fn summaries(&mut self) -> Vec<InstanceSummary> {
        let (end, workers) = (self.end, f64::from(self.plan.scenario().service.servers()));
        let summary = |(id, instance): (usize, &Instance)| {
            let until = instance.gone_at.unwrap_or(end).min(end);
            let served = instance.ready_at.map_or(0, |from| until.since(from).0);
            let busy = (instance.areas.serving + instance.areas.calling) as f64;
            InstanceSummary {
                id: id as u32,
                launched_at: instance.launched_at,
                // Here an instance boots from the moment it is asked for.
                started_at: Some(instance.launched_at),
                ready_at: instance.ready_at.filter(|at| *at <= end),
                first_answer_at: Some(instance.first_answer_at).filter(|at| *at <= end),
                gone_at: instance.gone_at.filter(|at| *at <= end),
                attempts: instance.attempts,
                failures: instance.failures,
                utilization: if served > 0 { busy / (served as f64 * workers) } else { 0.0 },
            }
        };
        let existed = |instance: &&Instance| instance.launched_at <= end;
        self.instances.iter().filter(existed).enumerate().map(summary).collect()
    }
}
