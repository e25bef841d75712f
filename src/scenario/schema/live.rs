//! `[live]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::scenario::live::{Limits, Live, Provider, QuotaStore, Timeouts, Tls};
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

/// `[live]`.
pub(crate) fn live(field: &Field) -> Option<Live> {
    field.section(|s| {
        let default = Live::default();
        let live = Live {
            listen: s.or("listen", default.listen, address),
            control: s.or("control", default.control, address),
            token: s.optional("token", token),
            control_hosts: s.or("control_hosts", Vec::new(), |f| f.list(|each| each.text())),
            provider: provider(s)?,
            health_path: s.or("health_path", default.health_path, |f| match f.text()? {
                path if path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()) => Some(path),
                _ => f.unfit("a path such as \"/health\""),
            }),
            launch_timeout: s.or("launch_timeout", default.launch_timeout, Field::positive_span),
            stop_timeout: s.or("stop_timeout", default.stop_timeout, Field::positive_span),
            retries: s.or("retries", default.retries, |f| f.count(0)),
            retry_budget: s.or("retry_budget", default.retry_budget, Field::ratio),
            trusted: s.or("trusted", Vec::new(), |f| {
                f.list(|each| each.text()?.parse().ok().or_else(|| each.unfit("a network such as \"10.0.0.0/8\"")))
            }),
            trusted_hops: s.or("trusted_hops", 0, |f| f.count(0)),
            http2: s.or("http2", default.http2, Field::boolean),
            websocket: s.or("websocket", default.websocket, Field::boolean),
            tls: s.optional("tls", tls),
            quota_store: s.optional("quota_store", quota_store),
            timeouts: s.or("timeouts", default.timeouts, timeouts),
            limits: s.or("limits", default.limits, limits),
        };
        if s.is_sound()
            && !live.control.ip().is_loopback()
            && live.token.is_none()
            && let Some(control) = s.field("control")
        {
            return control.contradiction("others can reach it there: set live.token too");
        }
        if let (true, Some(hops)) = (s.is_sound() && !live.trusted.is_empty(), s.field("trusted_hops")) {
            return hops.contradiction("live.trusted already says whom to believe: remove one of the two");
        }
        Some(live)
    })
}

fn provider(s: &Section) -> Option<Provider> {
    let (command, upstreams) = (s.field("command"), s.field("upstreams"));
    let kind = s.optional("provider", |f| {
        f.choice(&[("process", Kind::Process), ("command", Kind::Command), ("static", Kind::Static)])
    });
    let given = if upstreams.is_some() { Kind::Static } else { Kind::Process };
    match kind.unwrap_or(given) {
        Kind::Process | Kind::Command if upstreams.is_some() => upstreams?
            .contradiction("instances at given addresses are started by nobody: remove live.provider, or this"),
        Kind::Process => Some(Provider::Process { command: command.and_then(|f| f.text()) }),
        Kind::Command => {
            let program = s.required("command", "command = \"./fleet.sh\"", Field::text)?;
            Some(Provider::Command { program: PathBuf::from(program) })
        }
        Kind::Static => {
            if let Some(command) = command {
                return command.contradiction("live.upstreams are started by nobody: remove one of the two");
            }
            let upstreams =
                s.required("upstreams", "upstreams = [\"127.0.0.1:3000\"]", |f| f.list(|each| address(&each)));
            let upstreams = upstreams?;
            if upstreams.is_empty() {
                return s.field("upstreams")?.unfit("at least one address");
            }
            Some(Provider::Static { upstreams })
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Process,
    Command,
    Static,
}

fn address(field: &Field) -> Option<SocketAddr> {
    let text = field.text()?;
    text.parse().ok().or_else(|| field.unfit("an address with its port, such as \"127.0.0.1:8080\""))
}

fn token(field: &Field) -> Option<String> {
    let token = field.text()?;
    let plain = token.len() >= 16 && token.bytes().all(|b| b.is_ascii_graphic());
    if plain { Some(token) } else { field.unfit_part("a token", "at least 16 visible ASCII characters") }
}

fn tls(field: &Field) -> Option<Tls> {
    field.section(|s| {
        let certificate = s.required("certificate", "certificate = \"gateway.pem\"", Field::file);
        let key = s.required("key", "key = \"gateway.key\"", Field::file);
        let handshake = s.or("handshake", Span::from_secs(10), Field::positive_span);
        Some(Tls { certificate: certificate?, key: key?, handshake })
    })
}

fn quota_store(field: &Field) -> Option<QuotaStore> {
    field.section(|s| {
        let url = s.required("url", "url = \"redis://127.0.0.1:6379/0\"", |f| match f.text()? {
            url if url.strip_prefix("redis://").is_some_and(|rest| !rest.is_empty()) => Some(url),
            url if url.starts_with("rediss://") => {
                f.contradiction("TLS is not spoken to a store: put it on a network that is yours, as \"redis://\"")
            }
            // What is there may be a password.
            _ => f.unfit_part("another address", "one such as \"redis://127.0.0.1:6379/0\""),
        });
        let prefix = s.or("prefix", "wavetank".to_string(), |f| match f.text()? {
            prefix if prefix.bytes().all(|b| b.is_ascii_graphic()) => Some(prefix),
            _ => f.unfit("visible ASCII characters without spaces"),
        });
        let in_flight = s.or("in_flight", 256, |f| match f.count(1)? {
            n if n <= 100_000 => Some(n),
            _ => f.unfit("1 to 100000 questions"),
        });
        Some(QuotaStore { url: url?, prefix, in_flight })
    })
}

fn timeouts(field: &Field) -> Option<Timeouts> {
    field.section(|s| {
        let default = Timeouts::default();
        Some(Timeouts {
            head: s.or("head", default.head, Field::positive_span),
            keep_alive: s.or("keep_alive", default.keep_alive, Field::positive_span),
            body_idle: s.or("body_idle", default.body_idle, Field::positive_span),
            request: s.or("request", default.request, Field::positive_span),
            connect: s.or("connect", default.connect, Field::positive_span),
            response: s.or("response", default.response, Field::positive_span),
            write_idle: s.or("write_idle", default.write_idle, Field::positive_span),
            upstream_idle: s.or("upstream_idle", default.upstream_idle, Field::positive_span),
        })
    })
}

fn limits(field: &Field) -> Option<Limits> {
    field.section(|s| {
        let default = Limits::default();
        Some(Limits {
            body: s.or("body", default.body, |f| f.size().map(|bytes| bytes as u64)),
            connections: s.or("connections", default.connections, |f| f.count(1)),
            connections_per_address: s.or("connections_per_address", default.connections_per_address, |f| f.count(1)),
            requests_per_connection: s.or("requests_per_connection", default.requests_per_connection, |f| f.count(1)),
        })
    })
}
