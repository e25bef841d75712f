//! Everything that an engine is ever told, as one closed type: what a live run can write down and play back.
//!
//! An engine is a function of its configuration and of these, in their order. Whoever keeps them can ask later why it decided as it did,
//! and a decision that surprised somebody in production becomes a test.

use crate::engine::autoscaler::Manual;
use crate::engine::autoscaler::rules;
use crate::engine::balancer::prequal;
use crate::engine::limiter::outside;
use crate::engine::observation::FleetObservation;
use crate::engine::request::{Admission, Completion, InstanceId, Request};
use crate::engine::{Command, Engine, InstanceState};
use crate::units::{Span, Time};

/// Something that an engine is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// [`Engine::adopt`].
    Adopt,
    /// [`Engine::admit`].
    Admit(Request),
    /// [`Engine::admit_told`].
    AdmitTold(Request, outside::Answer),
    /// [`Engine::admit_held`].
    AdmitHeld(Request),
    /// [`Engine::admit_delayed`].
    AdmitDelayed(Request),
    /// [`Engine::abandon_held`].
    AbandonHeld,
    /// [`Engine::completed`].
    Completed(Completion),
    /// [`Engine::hinted`].
    Hinted(InstanceId, Span),
    /// [`Engine::instance_changed`].
    InstanceChanged(InstanceId, InstanceState),
    /// [`Engine::health_checked`].
    HealthChecked(InstanceId, bool),
    /// The balancer's question that is asked next ([`Engine::next_probe`]), and its answer ([`Engine::probed`]).
    Probed(InstanceId, prequal::Answer),
    /// [`Engine::scale`].
    Scale(Manual),
    /// [`Engine::set_rules`].
    Rules(Vec<rules::Config>),
    /// [`Engine::tick`].
    Tick(Option<FleetObservation>),
}

/// What an engine answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// What becomes of the attempt that was asked about.
    pub admission: Option<Admission>,
    /// The instance that was taken over.
    pub adopted: Option<InstanceId>,
    /// What is to be done.
    pub commands: Vec<Command>,
}

impl Input {
    /// Tells it to an engine.
    #[inline]
    pub fn apply(&self, now: Time, engine: &mut Engine) -> Output {
        let mut output = Output::default();
        match self {
            Input::Adopt => output.adopted = Some(engine.adopt(now)),
            Input::Admit(request) => output.admission = Some(engine.admit(now, request)),
            Input::AdmitTold(request, answer) => output.admission = Some(engine.admit_told(now, request, answer)),
            Input::AdmitHeld(request) => output.admission = Some(engine.admit_held(now, request)),
            Input::AdmitDelayed(request) => output.admission = Some(engine.admit_delayed(now, request)),
            Input::AbandonHeld => engine.abandon_held(now),
            Input::Completed(completion) => engine.completed(now, completion),
            Input::Hinted(id, retry_after) => engine.hinted(now, *id, *retry_after),
            Input::InstanceChanged(id, state) => engine.instance_changed(now, *id, *state),
            Input::HealthChecked(id, passed) => engine.health_checked(now, *id, *passed),
            Input::Probed(id, answer) => {
                engine.probed(now, *id, *answer);
            }
            Input::Scale(manual) => engine.scale(now, *manual, &mut output.commands),
            Input::Rules(rules) => {
                // Where there is no autoscaler, whoever has rules was told so before.
                let _ = engine.set_rules(rules.clone());
            }
            Input::Tick(fleet) => engine.tick(now, fleet.as_ref(), &mut output.commands),
        }
        output
    }
}
