//! The life of one instance: started, serving, draining, gone; whatever comes first of orders, time-outs and its own end.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Fleet, Order, SHORT_LIFE, bring_up};
use crate::engine::InstanceState;
use crate::engine::request::InstanceId;
use crate::live::backend::Illness;
use crate::live::clock::duration;
use crate::live::driver::Core;
use crate::live::gateway::upstream::Upstream;
use crate::units::Time;

/// The life of one instance.
pub struct Life {
    /// Whose it is.
    pub fleet: Arc<Fleet>,
    /// Which.
    pub id: InstanceId,
    /// What it is told.
    pub orders: mpsc::UnboundedReceiver<Order>,
}

impl Life {
    /// From the order to launch it.
    pub async fn launch(mut self) {
        tokio::select! {
            () = tokio::time::sleep(self.fleet.back_off()) => {}
            _ = self.orders.recv() => return self.end(None),
        }
        let fleet = Arc::clone(&self.fleet);
        let began = fleet.driver.clock().now();
        let started = || fleet.driver.with(|now, core| core.roster.started(now, self.id));
        let brought = tokio::select! {
            brought = bring_up(&*fleet.provider, &fleet.terms, self.id, started) => brought,
            _ = self.orders.recv() => {
                let _ = fleet.provider.terminate(self.id).await;
                return self.end(None);
            }
        };
        match brought {
            Ok(upstream) => {
                let warming = !fleet.terms.warmup.is_zero();
                let state = if warming { InstanceState::Warming } else { InstanceState::Ready };
                fleet.driver.instance_changed(self.id, state, Some(Arc::clone(&upstream)));
                fleet.driver.hurry();
                let illness = fleet.faults.illness(self.id);
                if illness != Illness::NONE {
                    fleet.falls_ill(self.id, illness).await;
                }
                self.serve(upstream).await;
            }
            Err(error) => {
                fleet.driver.with(|now, core| core.log.remark(now, self.id, &error));
                self.end(Some(began));
            }
        }
    }

    /// From its first traffic.
    pub async fn serve(mut self, upstream: Arc<Upstream>) {
        let fleet = Arc::clone(&self.fleet);
        let clock = *fleet.driver.clock();
        let began = clock.now();
        let warm = tokio::time::sleep_until(clock.instant(began + fleet.terms.warmup));
        tokio::pin!(warm);
        let mut is_warm = began == Time::ZERO || fleet.terms.warmup.is_zero();
        let mut is_dead = false;
        let order = loop {
            tokio::select! {
                // Orders first: that of a crash comes before the end that it brings.
                biased;
                order = self.orders.recv() => match order.unwrap_or(Order::Terminate) {
                    Order::Crash => is_dead = true,
                    order => break order,
                },
                () = &mut warm, if !is_warm => {
                    is_warm = true;
                    // A dead instance warms up no more.
                    if !is_dead {
                        fleet.driver.instance_changed(self.id, InstanceState::Ready, None);
                    }
                }
                () = fleet.provider.ended(self.id), if !is_dead => {
                    // Its group may have outlived it.
                    let _ = fleet.provider.terminate(self.id).await;
                    return self.end(Some(began));
                }
            }
        };
        if order == Order::Drain {
            self.drain(&upstream).await;
        }
        upstream.close();
        if let Err(error) = fleet.provider.terminate(self.id).await {
            fleet.driver.with(|now, core| core.log.remark(now, self.id, &error));
        }
        self.end(None);
    }

    /// Waits until it has answered what it has, it ends, time is up, or it is to go at once.
    async fn drain(&mut self, upstream: &Upstream) {
        let fleet = Arc::clone(&self.fleet);
        let idle = async {
            tokio::time::sleep(duration(fleet.terms.pre_stop_delay)).await;
            loop {
                let Some(idle) = fleet.driver.with(|_, core| {
                    core.roster.get(self.id).filter(|member| member.active > 0).map(|member| Arc::clone(&member.idle))
                }) else {
                    return;
                };
                let told = idle.notified();
                tokio::pin!(told);
                told.as_mut().enable();
                let active = |core: &mut Core| core.roster.get(self.id).map_or(0, |m| m.active);
                if fleet.driver.with(|_, core| active(core)) == 0 {
                    return;
                }
                told.await;
            }
        };
        let orders = &mut self.orders;
        tokio::select! {
            () = idle => {}
            () = tokio::time::sleep(duration(fleet.terms.drain_timeout)) => {}
            () = fleet.provider.ended(self.id) => {}
            () = async { while orders.recv().await.is_some_and(|order| order != Order::Terminate) {} } => {}
        }
        upstream.close();
    }

    /// It does not exist any more. With `began` it went by itself.
    fn end(self, began: Option<Time>) {
        let fleet = &self.fleet;
        let now = fleet.driver.clock().now();
        if let Some(began) = began {
            fleet.lived(now.since(began) < SHORT_LIFE);
        }
        fleet.driver.instance_changed(self.id, InstanceState::Gone, None);
        fleet.orders().remove(&self.id);
        fleet.population.send_modify(|n| *n -= 1);
        fleet.driver.hurry();
    }
}
