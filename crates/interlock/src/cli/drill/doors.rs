//! Every port: with a wrong certificate, with too much and with nonsense; and the
//! robot's own ports, past the cell.
//!
//! What is too much or makes no sense is sent to an address that reads it, by who may
//! ask there. After each of it the port must answer an honest question: a server that
//! fell over has refused nothing.

use super::{ALERT, By, Drill, SILENCE};
use crate::cli::context::Failure;
use base::Id;
use node::{Node, config::ConsoleConfig, now};
use plant::body::Body;
use reqwest::{Client, RequestBuilder, header::ORIGIN};
use serde_json::Value;
use std::time::Duration;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use transport::{
    Authority, Identity, Trust, Validity,
    client::{AnswerError, connect, read},
    tls::client_config,
};

/// How long a controller may take to say that it listens to everybody.
const GREETING: Duration = Duration::from_secs(2);
/// How often something is tried whose answer did not arrive: who closes a connection on
/// words that it has not read cuts its own off.
const TRIES: u32 = 10;
/// The most bytes of an answer to what should be refused.
const MOST: usize = 4096;
/// What a port says to a body beyond its bound.
const TOO_LARGE: &str = "larger than this address takes";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Site,
    Witness,
    Cell,
    Console,
}

/// An address that reads what is sent to it.
struct Place {
    port: Port,
    name: &'static str,
    path: &'static str,
    /// More KiB than it takes.
    too_much: usize,
    /// What its parser says to nonsense; none has the cell's stop, which stops.
    parser: Option<&'static str>,
}

const PLACES: [Place; 5] = [
    Place {
        port: Port::Site,
        name: "the site",
        path: "/api/v1/entries",
        too_much: 2048,
        parser: Some("not an entry"),
    },
    Place {
        port: Port::Witness,
        name: "the witness",
        path: "/add-checkpoint",
        too_much: 2048,
        parser: Some("is expected"),
    },
    Place {
        port: Port::Cell,
        name: "the cell's stop",
        path: "/stop",
        too_much: 2048,
        parser: None,
    },
    Place {
        port: Port::Console,
        name: "the console's sign-in",
        path: "/console/v1/sessions",
        too_much: 128,
        parser: Some("not a sign-in"),
    },
    Place {
        port: Port::Console,
        name: "the console's enrolment",
        path: "/console/v1/enrolments",
        too_much: 128,
        parser: Some("not an entry"),
    },
];

/// One of the plant's ports, and who asks there.
struct Door {
    port: Port,
    /// The machine behind it, where certificates say who asks.
    member: Option<Id>,
    http: Client,
    url: String,
}

impl Door {
    fn post(&self, path: &str) -> RequestBuilder {
        post(&self.http, &self.url, path)
    }
}

fn post(http: &Client, url: &str, path: &str) -> RequestBuilder {
    let request = http.post(format!("{}{path}", url.trim_end_matches('/')));
    // Only the console asks whose page it was; its own, this says.
    request.header(ORIGIN, url)
}

/// A client whose handshake a port must refuse. It speaks HTTP/1.1, which tells the alert
/// that ended its connection.
fn stranger(trust: &Trust, identity: Option<&Identity>, to: &Id) -> Result<Client, Failure> {
    let mut config =
        client_config(trust, identity, Some(to)).map_err(|e| Failure::Failed(e.to_string()))?;
    config.alpn_protocols.clear();
    let builder = Client::builder().tls_backend_preconfigured(config).http1_only().no_proxy();
    Ok(builder.build().map_err(AnswerError::from)?)
}

async fn answer(request: RequestBuilder) -> Result<Vec<u8>, AnswerError> {
    read(request.send().await?, MOST).await
}

fn nonsense() -> Vec<u8> {
    [b"{\"v\":".as_slice(), &[0xff; 64]].concat()
}

/// What a port says, be it by an alert. Who refuses before it has read all answers and
/// closes, and its words are lost when the rest meets a closed connection: so it is sent
/// again.
async fn heard(
    send: impl AsyncFn() -> Result<Vec<u8>, AnswerError>,
) -> Result<Vec<u8>, AnswerError> {
    let mut said = send().await;
    for _ in 1..TRIES {
        match &said {
            Err(e @ AnswerError::Transport(_)) if !e.to_string().contains(ALERT) => {}
            _ => break,
        }
        said = send().await;
    }
    said
}

impl Drill {
    pub(super) async fn doors(&mut self) -> Result<(), Failure> {
        let site = Node::load(&self.site)?;
        let doors = self.ports(&site)?;
        for door in &doors {
            if let Some(member) = &door.member {
                self.certificates(door, member).await?;
            }
        }
        for (door, place) in doors.iter().flat_map(|d| PLACES.iter().map(move |p| (d, p))) {
            if door.port == place.port {
                self.bodies(door, place).await?;
            }
        }
        for door in doors.iter().filter(|door| door.port == Port::Console) {
            self.no_session(door).await?;
        }
        for door in doors.iter().filter(|door| door.port == Port::Cell) {
            self.unlogged(door).await?;
        }
        self.robot().await
    }

    fn ports(&self, site: &Node) -> Result<Vec<Door>, Failure> {
        let hand = &self.operator;
        let door = |port, member: &Id, url: &str| -> Result<Door, Failure> {
            let (http, url) = (hand.to_member(member)?, url.trim_end_matches('/').into());
            Ok(Door { port, member: Some(member.clone()), http, url })
        };
        let mut doors = vec![door(Port::Site, &site.config.member, &hand.node.config.site)?];
        if let Some(witness) =
            site.config.server.as_ref().and_then(|server| server.witnesses.first())
        {
            // It answers the site alone, so it is asked as by a stolen one.
            let http = connect(&site.trust, Some(&site.identity), Some(&witness.member))
                .map_err(|e| Failure::Failed(e.to_string()))?;
            doors.push(Door { http, ..door(Port::Witness, &witness.member, &witness.url)? });
        }
        if let Some(cell) = self.cells.iter().find(|c| c.member == self.order.cell) {
            doors.push(door(Port::Cell, &cell.member, &cell.url)?);
        }
        if let Some(console) = &site.config.console {
            let (http, url) = (self.browser(console)?, console.origin.clone());
            doors.push(Door { port: Port::Console, member: None, http, url });
        }
        Ok(doors)
    }

    /// What the console is asked with: no certificate.
    fn browser(&self, console: &ConsoleConfig) -> Result<Client, Failure> {
        match console.origin.starts_with("http://") {
            true => Ok(Client::builder()
                .no_proxy()
                .resolve("localhost", console.listen)
                .build()
                .map_err(AnswerError::from)?),
            false => connect(&self.operator.node.trust, None, None)
                .map_err(|e| Failure::Failed(e.to_string())),
        }
    }

    async fn certificates(&mut self, door: &Door, member: &Id) -> Result<(), Failure> {
        let tls = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
        let Some(place) = PLACES.iter().find(|place| place.port == door.port) else {
            return Ok(());
        };
        let node = &self.operator.node;
        let nobody = stranger(&node.trust, None, member)?;
        let own =
            Authority::new(&node.anchors.site, Validity::days(now(), 1)).map_err(|e| tls(&e))?;
        let issued =
            own.issue(node.member(), &[], Validity::days(now(), 1)).map_err(|e| tls(&e))?;
        let identity =
            Identity::from_pem(&issued.cert_pem, &issued.key_pem).map_err(|e| tls(&e))?;
        let forged = stranger(&node.trust, Some(&identity), member)?;
        // A cell's own health is for everybody to ask, so its door knows strangers.
        let unasked = match door.port {
            Port::Cell => By::http(401, "wants to know who asks"),
            _ => By::alert("CertificateRequired"),
        };
        // Its name is the plant's authority's, its signature is not.
        let forgery = By::alert("DecryptError");
        for (what, by, http) in [
            ("without a certificate", unasked, nobody),
            ("with a certificate of another authority", forgery, forged),
        ] {
            let said = heard(async || answer(post(&http, &door.url, place.path)).await).await;
            self.report.note(&format!("{}, {what}", place.name), by, said);
        }
        Ok(())
    }

    /// What an address must not take, and then a question that it must answer.
    async fn bodies(&mut self, door: &Door, place: &Place) -> Result<(), Failure> {
        let (kib, name) = (place.too_much, place.name);
        let too_much = || door.post(place.path).body(vec![b'x'; kib << 10]);
        let said = heard(async || answer(too_much()).await).await;
        let sent = format!("{kib} KiB sent to {name}");
        self.answered(door, &sent, By::http(413, TOO_LARGE), said).await;

        let said = heard(async || answer(door.post(place.path).body(nonsense())).await).await;
        let sent = format!("nonsense sent to {name}");
        match place.parser {
            Some(words) => self.answered(door, &sent, By::http(400, words), said).await,
            None => {
                // A robot is stopped whatever is wrong with the words around it; what must
                // not be is that they are taken for somebody's.
                let said: Value = serde_json::from_slice(&said?)?;
                let unnamed = said["stopped"] == true && said["for"].is_null();
                let rule = if unnamed { IGNORED } else { "" };
                self.report.held(&sent, By::ignored(), rule.into(), &said.to_string());
                self.honest(door).await?;
            }
        }
        Ok(())
    }

    async fn answered(
        &mut self,
        door: &Door,
        name: &str,
        by: By,
        said: Result<Vec<u8>, AnswerError>,
    ) {
        match self.honest(door).await {
            Ok(()) => self.report.note(name, by, said),
            Err(_) => {
                let why = "it answers no honest question afterwards";
                self.report.held(name, by, SILENCE.into(), why);
            }
        }
    }

    /// A question that a port answers while it works. It may have ended the connection
    /// that a bad body came by, and a question that is on its way on that one is lost.
    async fn honest(&self, door: &Door) -> Result<(), Failure> {
        let mut said = self.asked(door).await;
        for _ in 1..TRIES {
            if said.is_ok() {
                break;
            }
            said = self.asked(door).await;
        }
        said
    }

    async fn asked(&self, door: &Door) -> Result<(), Failure> {
        match door.port {
            Port::Site => drop(self.auditor.client.get::<Value>("/overview").await?),
            Port::Witness => drop(self.cosigned().await?),
            Port::Cell => drop(self.auditor.cell(&self.cells, &self.order.cell, "/status").await?),
            Port::Console => {
                let asked = door.http.get(format!("{}/console/v1/plant", door.url));
                let card = asked.send().await.map_err(AnswerError::from)?;
                drop(transport::client::json::<Value>(card, 1 << 20).await?);
            }
        }
        Ok(())
    }

    /// What the console must not do for who is not signed in, or was led there.
    async fn no_session(&mut self, door: &Door) -> Result<(), Failure> {
        let entry = self.operator.sign(&Body::Order(self.again()))?.bytes()?;
        let said = answer(door.post("/api/v1/entries").body(entry)).await;
        let by = By::http(401, "nobody is signed in");
        self.report.note("signed order sent to the console without a session", by, said);
        let elsewhere = door.http.post(format!("{}/console/v1/sessions", door.url));
        let said = answer(elsewhere.header(ORIGIN, "https://elsewhere.example")).await;
        let by = By::http(403, "own page");
        self.report.note("sign-in sent to the console by another site's page", by, said);
        Ok(())
    }

    /// A signed order that never was on the ledger, handed to the cell itself, which has
    /// no address for orders.
    async fn unlogged(&mut self, door: &Door) -> Result<(), Failure> {
        let order = self.operator.sign(&Body::Order(self.again()))?.bytes()?;
        let said = answer(door.post("/orders").body(order)).await;
        let name = "signed order that is not logged, handed to the cell";
        self.report.note(name, By::http(404, "/orders"), said);
        Ok(())
    }

    /// The controller's own ports, from where the drill runs. It only listens: what
    /// greets a stranger would obey one too, and a drill must not move a robot.
    async fn robot(&mut self) -> Result<(), Failure> {
        let Some(robot) = self.cell.node.config.cell.as_ref().map(|c| c.robot.clone()) else {
            return Ok(());
        };
        let cell = self.order.cell.clone();
        for (name, port, speaks_first) in
            [("Dashboard", robot.dashboard, true), ("RTDE", robot.rtde, false)]
        {
            let said = greeted(&robot.host, port, speaks_first).await;
            // A controller that is off listens to nobody.
            let status = self.auditor.cell(&self.cells, &cell, "/status").await?;
            let works = status["robot"]["link"]["state"] == "connected";
            let (rule, detail) = match said {
                Some(said) => (
                    "",
                    format!(
                        "the controller answers `{said}` to anybody: restrict its inbound \
                         access to the gateway of `{cell}`"
                    ),
                ),
                None if works => {
                    (NETWORK, "the controller listens to its cell, not to this address".into())
                }
                None => (SILENCE, "the controller does not listen to its cell either".into()),
            };
            let name = format!("{name} command to the controller, past its cell");
            self.report.held(&name, By::network(), rule.into(), &detail);
        }
        Ok(())
    }
}

/// What a cell does with the words around a stop that make no sense.
const IGNORED: &str = "ignored";
/// What keeps strangers from a controller: who may reach it.
const NETWORK: &str = "network";

impl By {
    fn ignored() -> Self {
        Self { rule: IGNORED.into(), words: String::new() }
    }

    fn network() -> Self {
        Self { rule: NETWORK.into(), words: String::new() }
    }
}

/// What a controller's port says to this machine; nothing when it does not serve it.
async fn greeted(host: &str, port: u16, speaks_first: bool) -> Option<String> {
    let mut stream = timeout(GREETING, TcpStream::connect((host, port))).await.ok()?.ok()?;
    if !speaks_first {
        // "Request protocol version 2": four bytes of length and kind, two of version.
        use tokio::io::AsyncWriteExt;
        stream.write_all(&[0, 5, b'V', 0, 2]).await.ok()?;
    }
    let mut bytes = [0; 128];
    let count = timeout(GREETING, stream.read(&mut bytes)).await.ok()?.ok()?;
    let said = bytes.get(..count).filter(|said| !said.is_empty())?;
    Some(String::from_utf8_lossy(said).trim().escape_debug().to_string())
}
