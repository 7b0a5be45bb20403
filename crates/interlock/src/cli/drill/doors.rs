//! Every port: without a certificate, with another authority's, with too much and
//! with nonsense; and the robot's own ports, past the cell.

use super::{Attempt, Drill};
use crate::cli::context::Failure;
use base::Id;
use node::{Node, now};
use plant::body::Body;
use reqwest::{Client, Method};
use std::time::Duration;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use transport::{
    Authority, Identity, Validity,
    client::{AnswerError, connect, read},
};

/// How long a controller may take to say that it listens to everybody.
const GREETING: Duration = Duration::from_secs(2);

impl Drill {
    pub(super) async fn doors(&mut self) -> Result<(), Failure> {
        self.certificates().await?;
        let site = Node::load(&self.site)?;
        let cell = self.order.cell.clone();
        let mut doors = vec![(
            "site",
            self.operator.to_member(&site.config.member)?,
            format!("{}{}/entries", self.operator.node.config.site, api::PREFIX),
        )];
        let witness = site.config.server.as_ref().and_then(|server| server.witnesses.first());
        if let Some(witness) = witness {
            let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
            // It answers the site alone, so this is sent as a stolen site would.
            let http = connect(&site.trust, Some(&site.identity), Some(&witness.member))
                .map_err(|e| Failure::Failed(e.to_string()))?;
            doors.push(("witness", http, url));
        }
        if let Some(address) = self.cells.iter().find(|c| c.member == cell) {
            let url = format!("{}/status", address.url.trim_end_matches('/'));
            doors.push(("cell", self.operator.to_member(&cell)?, url));
            self.unlogged(&cell, &address.url.clone()).await?;
        }
        if let Some(console) = &site.config.console {
            let local =
                || Client::builder().no_proxy().resolve("localhost", console.listen).build();
            let http = match console.origin.starts_with("http://") {
                true => local().map_err(AnswerError::from)?,
                false => {
                    connect(&site.trust, None, None).map_err(|e| Failure::Failed(e.to_string()))?
                }
            };
            doors.push(("console", http, format!("{}/console/v1/sessions", console.origin)));
        }
        for (door, http, url) in doors {
            let nonsense = [b"{\"v\":".as_slice(), &[0xff; 64]].concat();
            for (what, body) in [("2 MiB", vec![b'x'; 2 << 20]), ("nonsense", nonsense)] {
                let answer = http.request(Method::POST, &url).body(body).send().await;
                let answer = match answer {
                    Ok(answer) => read(answer, 4096).await,
                    Err(error) => Err(error.into()),
                };
                self.report.note(&format!("{what} sent to the {door}"), answer);
            }
        }
        self.robot(&cell).await
    }

    async fn certificates(&mut self) -> Result<(), Failure> {
        let tls = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
        let (trust, config) = (&self.operator.node.trust, &self.operator.node.config);
        let url = format!("{}{}/overview", config.site, api::PREFIX);
        let nobody = connect(trust, None, Some(&config.site_member)).map_err(|e| tls(&e))?;
        let answer = nobody.get(&url).send().await.map_err(AnswerError::from);
        self.report.note("connection without a certificate", answer);

        let own = Authority::new(&self.operator.node.anchors.site, Validity::days(now(), 1))
            .map_err(|e| tls(&e))?;
        let issued = own
            .issue(self.operator.node.member(), &[], Validity::days(now(), 1))
            .map_err(|e| tls(&e))?;
        let identity =
            Identity::from_pem(&issued.cert_pem, &issued.key_pem).map_err(|e| tls(&e))?;
        let forged =
            connect(trust, Some(&identity), Some(&config.site_member)).map_err(|e| tls(&e))?;
        let answer = forged.get(&url).send().await.map_err(AnswerError::from);
        self.report.note("connection with a certificate of another authority", answer);
        Ok(())
    }

    /// A signed order that never was on the ledger, handed to the cell itself.
    async fn unlogged(&mut self, cell: &Id, url: &str) -> Result<(), Failure> {
        let order = self.operator.sign(&Body::Order(self.again()))?;
        let bytes = order.bytes()?;
        let http = self.operator.to_member(cell)?;
        let url = format!("{}/orders", url.trim_end_matches('/'));
        let answer = http.post(url).body(bytes).send().await.map_err(AnswerError::from)?;
        let answer = read(answer, 4096).await;
        self.report.note("signed order that is not logged, handed to the cell", answer);
        Ok(())
    }

    /// The controller's own ports, from where the drill runs. It only listens: what
    /// greets a stranger would obey one too, and a drill must not move a robot.
    async fn robot(&mut self, cell: &Id) -> Result<(), Failure> {
        let Some(robot) = self.cell.node.config.cell.as_ref().map(|c| c.robot.clone()) else {
            return Ok(());
        };
        for (name, port, speaks_first) in
            [("Dashboard", robot.dashboard, true), ("RTDE", robot.rtde, false)]
        {
            let (refused, detail) = match greeted(&robot.host, port, speaks_first).await {
                Some(said) => (
                    false,
                    format!(
                        "the controller answers `{said}` to anybody: restrict its inbound \
                             access to the gateway of `{cell}`"
                    ),
                ),
                None => (true, "the controller does not listen to this address".into()),
            };
            let name = format!("{name} command to the controller, past its cell");
            self.report.attempts.push(Attempt { name, refused, rule: "network".into(), detail });
        }
        Ok(())
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
