//! The console's listener: the page, its sessions and the same API that machines
//! use, asked by people.

use super::{
    Site,
    cells::Cells,
    entries,
    http::{self, Answer, fault},
};
use ::console::{Console, Directory, Origin, Person, Settings, headers, sessions::Terms};
use anyhow::{Context, Result, anyhow};
use api::{
    MAX_BLOB_BYTES, Submitted,
    console::{CellCard, PlantCard, Stopped},
};
use axum::{
    Json, Router,
    body::Bytes as Body,
    extract::{ConnectInfo, DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::Response,
};
use base::{Bytes, Digest, Id, Refusal, Rule};
use node::{config::ConsoleConfig, now};
use plant::Body as Stated;
use policy::{Action, Resource, Role};
use std::{net::SocketAddr, sync::Arc};
use transport::{ClientAuth, Identity, Limits, Peer, Problem, Server};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The most bytes that the console's own addresses take: an entry.
const MAX_OWN_BODY: usize = 64 * 1024;
/// Sessions of one member and of all.
const SESSIONS: (usize, usize) = (8, 1024);

/// What the console's own addresses need.
pub struct Desk {
    site: Arc<Site>,
    console: Arc<Console>,
    cells: Cells,
}

type DeskState = State<Arc<Desk>>;

impl Directory for Site {
    fn by_credential(&self, credential: &Bytes) -> Vec<Person> {
        Person::by_credential(&self.plant.read(), credential)
    }

    fn by_key(&self, member: &Id, key: &Digest) -> Option<Person> {
        Person::by_key(&self.plant.read(), member, key)
    }
}

impl Desk {
    /// The console of a site.
    pub fn open(site: &Arc<Site>, config: &ConsoleConfig) -> Result<Arc<Self>> {
        let origin = Origin::parse(&config.origin).map_err(|e| anyhow!("[console] {e}"))?;
        let terms = Terms {
            idle_ms: u64::from(config.idle_minutes) * 60_000,
            whole_ms: u64::from(config.session_hours) * 3_600_000,
            per_member: SESSIONS.0,
            total: SESSIONS.1,
        };
        let console = Console::new(Settings { origin, terms, clock: now }, site.clone());
        let server = site.node.config.server.as_ref();
        let cells = Cells::of(&site.node, server.map_or(&[], |s| &s.cells))?;
        Ok(Arc::new(Self { site: site.clone(), console, cells }))
    }

    /// The server of the console's listener.
    pub fn server(self: &Arc<Self>) -> Result<Server> {
        let node = &self.site.node;
        let secure = self.console.origin().is_secure();
        let server = match secure {
            true => {
                let tls = node.dir.join("tls");
                let own = tls.join("console.pem").exists();
                let own = own.then(|| Identity::load(&tls, "console")).transpose();
                let own = own.context("`tls/console.pem` and `tls/console.key`")?;
                let identity = own.as_ref().unwrap_or(&node.identity);
                Server::new(self.router(), &node.trust, identity, ClientAuth::Unasked)?
            }
            false => Server::plain(self.router()),
        };
        let limits = Limits { body: MAX_BLOB_BYTES, ..Limits::default() };
        Ok(server.limits(limits).on_answer(move |answer| headers::dress(answer, secure)))
    }

    /// Ends all open streams, so that the server can stop.
    pub fn close(&self) {
        self.console.close();
    }

    fn router(self: &Arc<Self>) -> Router {
        let (site, state) = (self.site.clone(), self.clone());
        let public = site.node.config.console.as_ref().is_some_and(|c| c.public_passports);
        let documents = http::documents(public).with_state(site.clone());
        let open = open().with_state(state.clone()).split_for_parts().0;
        let closed = closed().with_state(state).split_for_parts().0;
        // The server's own limit is that of a blob; what strangers may send is small.
        let own = |router: Router| {
            let bounded = router.layer(DefaultBodyLimit::max(MAX_OWN_BODY));
            Router::new().nest(api::console::PREFIX, bounded)
        };
        let (open, closed) = (own(open), own(closed).merge(http::api(site)));
        match public {
            true => ::console::router(&self.console, open.merge(documents), closed),
            false => ::console::router(&self.console, open, closed.merge(documents)),
        }
    }
}

/// The OpenAPI document of the console's own addresses.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut all = open().merge(closed()).into_openapi();
    all.merge(::console::sign_in::routes().into_openapi());
    all
}

fn open() -> OpenApiRouter<Arc<Desk>> {
    OpenApiRouter::new().routes(routes!(plant)).routes(routes!(enrol))
}

fn closed() -> OpenApiRouter<Arc<Desk>> {
    OpenApiRouter::new()
        .routes(routes!(cells))
        .routes(routes!(live))
        .routes(routes!(view))
        .routes(routes!(stop))
}

/// Which plant this is, and its trust anchors.
#[utoipa::path(get, path = "/plant", tag = "console", responses((status = 200, body = PlantCard)))]
async fn plant(State(desk): DeskState) -> Answer<Json<PlantCard>> {
    let anchors = serde_json::to_value(&desk.site.node.anchors).map_err(fault)?;
    let config = desk.site.node.config.console.as_ref();
    let plant = desk.site.plant.read();
    Ok(Json(PlantCard {
        site: plant.site.clone(),
        name: plant.anchors.name.clone(),
        issuer: plant.anchors.issuer.clone(),
        anchors,
        public_passports: config.is_some_and(|c| c.public_passports),
    }))
}

/// Enrol a passkey: an entry `accept`, signed by an invitation.
#[utoipa::path(
    post, path = "/enrolments", tag = "console",
    request_body(content = Object, description = "An entry `accept`"),
    responses(
        (status = 200, body = Submitted), (status = 403, description = "Refused, with the rule"),
        (status = 429, description = "Too many attempts")
    )
)]
async fn enrol(
    State(desk): DeskState,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Body,
) -> Answer<Json<Submitted>> {
    desk.console.attempt(&from)?;
    let entry = entries::parse(&body)?;
    let home = desk.console.origin();
    match serde_json::from_value(entry.statement.body.clone()) {
        Ok(Stated::Accept(accept)) if accept.passkey.origin == home.as_str() => {}
        Ok(Stated::Accept(accept)) => {
            let bound: String = accept.passkey.origin.chars().take(100).collect();
            let detail = format!("the passkey is bound to `{bound}`, this console is at {home}");
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        _ => {
            let detail = "only an entry `accept` is taken here, signed by an invitation";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
    }
    // Nobody is signed in, so a refusal is told and not put on the ledger: strangers
    // write nothing there.
    let (id, appended) = desk.site.take(&entry).await.inspect_err(|problem| {
        tracing::warn!(%from, %problem, "an enrolment was refused");
    })?;
    Ok(Json(Submitted { id, index: appended.index, known: appended.known }))
}

/// How each cell is.
#[utoipa::path(get, path = "/cells", tag = "console", responses((status = 200, body = Vec<CellCard>)))]
async fn cells(State(desk): DeskState, peer: Peer) -> Answer<Json<Vec<CellCard>>> {
    desk.site.readable(&peer)?;
    Ok(Json(desk.cells.cards().await))
}

/// What the robot does right now: events `frame`, at most 20 a second. The stream
/// ends with the session.
#[utoipa::path(get, path = "/cells/{cell}/live", tag = "console", responses(
    (status = 200, content_type = "text/event-stream", body = String),
    (status = 429, description = "Too many streams are open")
))]
async fn live(State(desk): DeskState, peer: Peer, Path(cell): Path<String>) -> Answer<Response> {
    let cell = desk.watchable(&peer, &cell)?;
    desk.cells.live(&cell, &peer.member).await
}

/// The newest picture of the run in progress, or of the last one. Its headers
/// `interlock-order` and `interlock-viewpoint` say which.
#[utoipa::path(get, path = "/cells/{cell}/view", tag = "console", responses(
    (status = 200, content_type = "image/png", body = Vec<u8>),
    (status = 404, description = "There is none")
))]
async fn view(State(desk): DeskState, peer: Peer, Path(cell): Path<String>) -> Answer<Response> {
    let cell = desk.watchable(&peer, &cell)?;
    desk.cells.view(&cell).await
}

/// Stop the robot. No signature is needed; it is a command to the controller, not a
/// safety function.
#[utoipa::path(post, path = "/cells/{cell}/stop", tag = "console", responses((status = 200, body = Stopped)))]
async fn stop(
    State(desk): DeskState,
    peer: Peer,
    Path(cell): Path<String>,
) -> Answer<Json<Stopped>> {
    let cell = parse(&cell)?;
    desk.site.enrolled(&peer, "to stop a robot")?;
    if desk.site.plant.read().has_role(&peer.member, Role::Processor) {
        return Err(Problem::from(Refusal {
            who: peer.member.to_string(),
            what: format!("to stop the robot of cell `{cell}`"),
            rule: Rule::Policy,
            reason: format!("`{}` is an outside processor", peer.member),
            accepted: "a stop by a member of the plant".into(),
        }));
    }
    tracing::warn!(member = %peer.member, %cell, "a stop");
    desk.cells.stop(&cell, &peer.member).await.map(Json)
}

impl Desk {
    /// The cell, when the peer may watch its runs.
    fn watchable(&self, peer: &Peer, cell: &str) -> Answer<Id> {
        let cell = parse(cell)?;
        let plant = self.site.plant.read();
        let decision = plant.may(&peer.member, Action::WatchRun, Resource::Cell(&cell), false, "");
        if decision.allowed {
            return Ok(cell);
        }
        Err(Problem::from(Refusal {
            who: peer.member.to_string(),
            what: format!("to watch cell `{cell}`"),
            rule: Rule::Policy,
            reason: decision.because.join("; "),
            accepted: "a member whom the policy allows to `run.watch`".into(),
        }))
    }
}

fn parse(cell: &str) -> Answer<Id> {
    cell.parse().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("{e}")))
}
