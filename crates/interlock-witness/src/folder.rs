//! A witness's folder, as `interlock init` makes it.
//!
//! ```text
//! interlock.toml   member and listen address; the rest is for other nodes
//! anchors.json     the log and its witnesses, of which this is one
//! sign.key         Ed25519 seed, hexadecimal, mode 0600
//! tls/             ca.pem, node.pem, node.key
//! data/            what was cosigned last
//! ```
//!
//! A witness links neither policy nor plant: it reads only the fields it needs.

use anyhow::{Context, Result, bail};
use base::{Digest, Id};
use proof::keys::{SecretKey, Signer};
use proof::log::{LogPolicy, WitnessCore};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use transport::{Identity, Trust, files::read_text, read_secret};

/// What a witness runs with.
pub struct Folder {
    /// Its member name.
    pub member: Id,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its key and the log it knows.
    pub core: WitnessCore,
    /// Where it keeps what it cosigned.
    pub data: PathBuf,
    /// The plant's certificate authority.
    pub trust: Trust,
    /// Its certificate.
    pub identity: Identity,
}

#[derive(Deserialize)]
struct Config {
    version: u32,
    member: Id,
    listen: Option<SocketAddr>,
}

#[derive(Deserialize)]
struct Anchors {
    log: LogPolicy,
}

impl Folder {
    /// Loads a folder and checks that its files fit together.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("interlock.toml");
        let config: Config = toml::from_str(&read_text(&path)?)
            .with_context(|| format!("`{}` is not a node's configuration", path.display()))?;
        if config.version != 1 {
            bail!("`{}`: version {}, 1 is expected", path.display(), config.version);
        }
        let listen = config
            .listen
            .with_context(|| format!("`{}` has no `listen` address", path.display()))?;
        let tls = dir.join("tls");
        Ok(Self {
            core: core(dir)?,
            member: config.member,
            listen,
            data: dir.join("data"),
            trust: Trust::load(&tls).context("the trust root in `tls/ca.pem`")?,
            identity: Identity::load(&tls, "node").context("the certificate in `tls/node.pem`")?,
        })
    }
}

/// The witness that `sign.key` is, as `anchors.json` names it.
fn core(dir: &Path) -> Result<WitnessCore> {
    let path = dir.join("anchors.json");
    let Anchors { log } = serde_json::from_str(&read_text(&path)?)
        .with_context(|| format!("`{}` does not name a log and its witnesses", path.display()))?;
    let signer = Arc::new(key(&dir.join("sign.key"))?);
    let own = log.witnesses().iter().find(|witness| *witness.public() == signer.public());
    let own = own.with_context(|| {
        format!("`sign.key` is none of the witnesses' keys in `{}`", path.display())
    })?;
    let logs = vec![(log.origin().to_owned(), log.log_key().clone())];
    Ok(WitnessCore::new(own.name(), signer, logs)?)
}

fn key(path: &Path) -> Result<SecretKey> {
    let text = read_secret(path)?;
    let Digest(seed) = text.trim().parse().ok().with_context(|| {
        let expected = "64 lower-case hexadecimal digits are expected";
        format!("`{}` is not a key: {expected}", path.display())
    })?;
    Ok(SecretKey::from_seed(&seed)?)
}
