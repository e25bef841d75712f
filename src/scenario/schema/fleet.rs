//! `[fleet]`.

use super::distribution::distribution;
use crate::distribution::Distribution;
use crate::record::cost::Billing;
use crate::scenario::fleet::{Fleet, Memory};
use crate::scenario::reader::Field;
use crate::scenario::service::Warmup;
use crate::units::Span;

/// The fleet of a scenario that has no `[fleet]`.
pub(crate) fn default_fleet(initial: u32) -> Fleet {
    Fleet {
        initial,
        boot: Distribution::Constant(Span::ZERO),
        warmup: None,
        memory: None,
        billing: Billing::default(),
        zones: 1,
        drain_timeout: None,
        pre_stop_delay: Span::ZERO,
    }
}

/// `[fleet]`; `initial` is the default of the key of that name.
pub(crate) fn fleet(field: &Field, initial: u32) -> Option<Fleet> {
    field.section(|s| {
        let default = default_fleet(initial);
        let mut fleet = Fleet {
            // Where the autoscaler may go to zero, a run may begin there.
            initial: s.or("initial", initial, |f| f.count(initial.min(1))),
            boot: s.or("boot", default.boot, distribution),
            warmup: s.optional("warmup", warmup),
            memory: s.optional("memory", memory),
            billing: Billing { price_per_hour: s.or("price_per_hour", 0.0, price), ..default.billing },
            zones: s.or("zones", 1, |f| f.count(1)),
            drain_timeout: s.optional("drain_timeout", Field::span),
            pre_stop_delay: s.or("pre_stop_delay", Span::ZERO, Field::span),
        };
        if let Some(billing) = s.optional("billing", billing) {
            fleet.billing = Billing { price_per_hour: fleet.billing.price_per_hour, ..billing };
        }
        Some(fleet)
    })
}

fn price(field: &Field) -> Option<f64> {
    field.number("a price, 0 or more", |x| x >= 0.0)
}

fn billing(field: &Field) -> Option<Billing> {
    field.section(|s| {
        Some(Billing {
            granularity: s.or("granularity", Span::ZERO, Field::span),
            minimum: s.or("minimum", Span::ZERO, Field::span),
            ..Billing::default()
        })
    })
}

fn warmup(field: &Field) -> Option<Warmup> {
    field.section(|s| {
        let over = s.required("for", "for = \"30s\"", Field::positive_span);
        let slowdown = s.required("slowdown", "slowdown = 2.0", |f| {
            f.number("a factor of 1 or more", |x| (1.0..=1e6).contains(&x))
        });
        Some(Warmup { over: over?, slowdown: slowdown? })
    })
}

fn memory(field: &Field) -> Option<Memory> {
    field.section(|s| {
        let base = s.or("base", 0.0, Field::size);
        let per_request = s.or("per_request", 0.0, Field::size);
        let limit = s.required("limit", "limit = \"1GB\"", |f| {
            f.size().and_then(|size| if size > 0.0 { Some(size) } else { f.unfit("a size above 0") })
        })?;
        if s.is_sound() && base >= limit {
            return s
                .field("base")
                .and_then(|f| f.contradiction("an idle instance would already be at its memory limit"));
        }
        Some(Memory { base, per_request, limit })
    })
}
