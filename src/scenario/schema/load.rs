//! `[load]`.

use crate::scenario::load::{Http, Load, MOST_WORKERS, Pace};
use crate::scenario::reader::Field;

/// `[load]`.
pub(crate) fn load(field: &Field) -> Option<Load> {
    field.section(|s| {
        let default = Load::default();
        let few = |f: &Field| match f.count(1)? {
            n if n <= MOST_WORKERS => Some(n),
            _ => f.unfit(format!("at most {MOST_WORKERS}")),
        };
        let load = Load {
            pool: s.or("pool", default.pool, few),
            http: s.or("http", default.http, |f| f.choice(&Http::ALL)),
            keep_alive: s.or("keep_alive", default.keep_alive, Field::boolean),
            connections: s.optional("connections", |f| match f.count(0)? {
                n if n <= MOST_WORKERS => Some(n),
                _ => f.unfit(format!("at most {MOST_WORKERS}")),
            }),
            pace: s.or("pace", default.pace, |f| f.choice(&Pace::ALL)),
        };
        if !load.keep_alive && s.is_sound() {
            if let (Http::Two, Some(field)) = (load.http, s.field("keep_alive")) {
                return field
                    .contradiction("HTTP/2 is many requests on one connection: remove this, or http = \"2\"");
            }
            if let (Some(1..), Some(field)) = (load.connections, s.field("connections")) {
                return field
                    .contradiction("keep_alive = false keeps none for the first request: remove one of the two");
            }
        }
        Some(load)
    })
}
