//! What the cell tells those who ask, and how they stop it.
//!
//! `POST /stop` needs no proof, only a certificate of the plant's own people and
//! machines: an outside processor may not stop its robots. It is a command to the
//! controller, not a safety function. `/live` and `/view` show the robot at work to
//! whom the policy in force allows `run.watch`. `/livez` and `/readyz` need no
//! certificate, and say no more than yes or no without one.

use crate::{
    cell::Cell,
    decide::{self, Judgement, Local},
    live::{self, word},
    picture, verdict,
    view::View,
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{get, post},
};
use base::{Id, Refusal, Rule};
use bytes::Bytes;
use node::now;
use plant::body::Outcome;
use policy::Role;
use robot::Link;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fmt::Write, sync::Arc};
use transport::{Peer, Problem};

/// The most bytes of a stop's body.
const MAX_STOP_BYTES: usize = 1024;

/// The cell's own HTTP API.
pub fn router(cell: Arc<Cell>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/status", get(async |_: Peer, State(cell): State<Arc<Cell>>| Json(status(&cell))))
        .route("/metrics", get(metrics))
        .route("/live", get(live::live))
        .route("/view", get(picture::view))
        .route("/stop", post(stop).layer(DefaultBodyLimit::max(MAX_STOP_BYTES)))
        .with_state(cell)
}

/// Whether a run could start; why not is for members only, since people's words are in
/// it.
async fn ready(peer: Option<Peer>, State(cell): State<Arc<Cell>>) -> Result<&'static str, Problem> {
    let ready = cell.look(|_, local| local.standing.ready());
    ready.map(|()| "ready\n").map_err(|why| {
        let shown = peer.map_or_else(|| "not ready".to_owned(), |_| why);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, shown)
    })
}

/// What may come with a stop: the person for whom the site asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnBehalf {
    r#for: Id,
}

async fn stop(
    peer: Peer,
    State(cell): State<Arc<Cell>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let outsider = {
        let view = cell.view();
        view.plant.as_ref().is_some_and(|p| p.has_role(&peer.member, Role::Processor))
    };
    if outsider {
        return Err(Problem::from(Refusal {
            who: peer.member.to_string(),
            what: "to stop the robot".into(),
            rule: Rule::Policy,
            reason: format!("`{}` is an outside processor", peer.member),
            accepted: "a stop by a member of the plant".into(),
        }));
    }
    // A robot is stopped whatever is wrong with the words around it.
    let person = body.ok().and_then(|body| serde_json::from_slice::<OnBehalf>(&body).ok());
    let person = person.map(|named| named.r#for);
    let reason = match &person {
        Some(person) => format!("`{}` stopped it for `{person}`", peer.member),
        None => format!("`{}` stopped it", peer.member),
    };
    match cell.stop(Outcome::Stopped, &reason).await {
        Ok(()) => Ok(Json(json!({ "stopped": true, "by": peer.member, "for": person }))),
        Err(error) => Err(Problem::new(StatusCode::BAD_GATEWAY, format!("{error:#}"))),
    }
}

/// Everything that a person beside the robot wants to know.
pub fn status(cell: &Cell) -> Value {
    let now = now();
    let mut status = cell.look(|view, local| {
        let orders: Vec<_> = decide::open(view, local)
            .into_iter()
            .map(|id| {
                let order = view.plant.as_ref().and_then(|p| p.orders.get(&id)).map(|o| &o.order);
                let held = match decide::judge(view, local, id, now) {
                    Judgement::Go(_) => None,
                    Judgement::Wait(refusal) | Judgement::Never(refusal) => Some(refusal),
                };
                json!({
                    "order": id,
                    "held_back_by": held,
                    "part": order.map(|o| &o.part),
                    "program": order.map(|o| &o.program.id),
                    "checks": decide::explain(view, local, id, now),
                })
            })
            .collect();
        let (newest, state) = (view.newest.as_ref(), local.standing.ready());
        json!({
            "ready": state.is_ok(),
            "waiting_for": state.err(),
            "verdict": verdict::verdict(view, local, now),
            "reasons": verdict::reasons(view, local, now),
            "programs": programs(view, local),
            "last_run": last_run(view, local),
            "run": local.standing.run,
            "orders": orders,
            "ledger": {
                "size": newest.map(|c| c.size()),
                "root": newest.map(|c| c.root()),
                "witnessed_at": newest.map(|c| c.witnessed_at()),
                "age_ms": view.age(now),
                "distrust": local.distrust,
                "trouble": local.standing.trouble,
                "hold": view.hold(local.cell),
            },
        })
    });
    let (waiting, refused) = {
        let books = cell.books();
        let words: Vec<_> = books.outbox.items().map(|item| item.word()).collect();
        (words, books.outbox.refused())
    };
    let rest = json!({
        "cell": cell.id,
        "site": cell.node.anchors.site,
        "now": now,
        "software": env!("CARGO_PKG_VERSION"),
        "certificate_not_after": cell.certificate_not_after,
        "robot": robot(cell),
        "outbox": { "length": waiting.len(), "waiting": waiting, "refused": refused },
    });
    if let (Value::Object(status), Value::Object(rest)) = (&mut status, rest) {
        status.extend(rest);
    }
    status
}

/// The programs that are approved for this cell.
fn programs(view: &View, local: &Local<'_>) -> Vec<Value> {
    let programs = view.plant.iter().flat_map(|plant| plant.programs.values());
    programs
        .filter(|program| program.cells.contains(local.cell))
        .map(|p| json!({ "id": p.id, "sha256": p.sha256, "title": p.title }))
        .collect()
}

/// The newest run that is over, by the cell's own journal; the part is the ledger's.
fn last_run(view: &View, local: &Local<'_>) -> Option<Value> {
    let last = local.known.last_run.as_ref()?;
    let order = view.plant.as_ref().and_then(|plant| plant.orders.get(&last.order));
    let stated = || order.and_then(|o| o.ended.as_ref()).map(|ended| ended.outcome);
    Some(json!({
        "order": last.order,
        "part": order.map(|o| &o.order.part),
        "outcome": last.outcome.or_else(stated),
        "ended_at": last.ended_at,
    }))
}

fn robot(cell: &Cell) -> Value {
    let health = cell.driver.health();
    let link = match &health.link {
        Link::Connecting => json!({ "state": "connecting" }),
        Link::Lost { why } => json!({ "state": "lost", "why": why }),
        Link::Connected(c) => json!({
            "state": "connected",
            "series": format!("{:?}", c.series),
            "version": c.version,
            "frequency_hz": c.frequency_hz,
        }),
    };
    let sample = health.sample.as_deref();
    json!({
        "name": cell.config.robot.name,
        "link": link,
        "run_active": health.run_active,
        "mode": sample.map(|s| word(&s.robot_mode)),
        "safety": sample.map(|s| word(&s.safety)),
        "runtime": sample.map(|s| word(&s.runtime)),
        "joints": sample.map(|s| s.q),
        "tcp_pose": sample.map(|s| s.tcp_pose),
        "tcp_force": sample.map(|s| s.tcp_force),
    })
}

async fn metrics(_: Peer, State(cell): State<Arc<Cell>>) -> impl IntoResponse {
    let now = now();
    let (ready, open, size, age, distrust) = cell.look(|view, local| {
        let size = view.newest.as_ref().map_or(0, |c| c.size());
        let open = decide::open(view, local).len() as u64;
        (local.standing.ready().is_ok(), open, size, view.age(now), local.distrust.is_some())
    });
    let (waiting, refused) = {
        let books = cell.books();
        (books.outbox.len() as u64, books.outbox.refused() as u64)
    };
    let connected = matches!(cell.driver.health().link, Link::Connected(_));
    let gauges = [
        ("ready", "Whether a run could start.", u64::from(ready)),
        ("robot_connected", "Whether the robot sends its state.", u64::from(connected)),
        ("run_active", "Whether a run is in progress.", u64::from(cell.running().is_some())),
        ("orders_open", "Orders that wait for this cell.", open),
        ("ledger_size", "Entries in the newest checkpoint.", size),
        ("ledger_age_milliseconds", "Age of the newest checkpoint.", age.unwrap_or(u64::MAX)),
        ("ledger_distrusted", "Whether the ledger is distrusted.", u64::from(distrust)),
        ("outbox_length", "Items that wait for the site.", waiting),
        ("outbox_refused", "Items that the site refused.", refused),
    ];
    let mut text = String::new();
    for (name, help, value) in gauges {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP interlock_cell_{name} {help}\n# TYPE interlock_cell_{name} gauge\n\
             interlock_cell_{name} {value}"
        );
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
