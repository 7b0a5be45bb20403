//! A node's folder.
//!
//! ```text
//! interlock.toml   configuration
//! anchors.json     what the node trusts: site, genesis, log and witness keys
//! sign.key         Ed25519 seed, hexadecimal, mode 0600
//! sign.next.key, sign.old.key   while a key is replaced, see [`crate::rotation`]
//! seal.key         X25519 secret of those who receive sealed keys, mode 0600
//! tls/             ca.pem (the roots: see `Node::take_authorities`), node.pem, node.key
//! ```

use crate::rotation::SigningKey;
use base::{Digest, Id, Millis, to_canonical};
use plant::Body;
use proof::{
    entry::{Entry, Statement, VERSION},
    keys::{PublicKey, SecretKey},
    log::LogPolicy,
};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};
use transport::{Identity, Trust, read_secret};
use zeroize::Zeroizing;

/// What a node takes as given; everything else it verifies from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchors {
    /// The genesis entry.
    pub genesis: Digest,
    /// The log, its witnesses and their quorum.
    pub log: LogPolicy,
    /// The site.
    pub site: Id,
}

/// `interlock.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Format of this file; 1. Another number is refused.
    pub version: u32,
    /// Who this node is.
    pub member: Id,
    /// The site's address, `https://host:port`.
    pub site: String,
    /// The site's member name, which its certificate must carry.
    pub site_member: Id,
    /// Where the node itself listens. Absent: it does not listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Settings of the site's server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerConfig>,
    /// Settings of a cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<CellConfig>,
    /// The web console of the site's server. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<ConsoleConfig>,
}

/// Settings of the site's server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The witnesses that are asked to cosign.
    pub witnesses: Vec<WitnessAddress>,
    /// How often an idle log is cosigned anew, in milliseconds. It must be well
    /// below the plant's freshness bound, or the cells stop; default 2000.
    #[serde(default = "default_refresh")]
    pub refresh_ms: u64,
    /// How many entries one member may submit in a minute, and how many reads of one
    /// member are logged, so that a million tiny ones do not cost what is meant to be
    /// kept for ever; default 6000.
    #[serde(default = "default_entries")]
    pub entries_a_minute: u64,
    /// The cells that the console shows and stops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellAddress>,
}

fn default_refresh() -> u64 {
    2000
}

pub(crate) fn default_entries() -> u64 {
    6000
}

/// Where a cell listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellAddress {
    /// Its member name, which its certificate must carry.
    pub member: Id,
    /// `https://host:port`.
    pub url: String,
}

/// Settings of the web console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleConfig {
    /// Where the console listens.
    pub listen: SocketAddr,
    /// What people type, and what passkeys are bound to: `https://host[:port]`, or
    /// `http://localhost[:port]` on the machine itself.
    pub origin: String,
    /// Whether passports and the keys that verify them are served to anybody.
    #[serde(default)]
    pub public_passports: bool,
    /// A session without a request ends after so many minutes; default 15.
    #[serde(default = "default_idle")]
    pub idle_minutes: u32,
    /// Every session ends after so many hours; default 8.
    #[serde(default = "default_session")]
    pub session_hours: u32,
}

fn default_idle() -> u32 {
    15
}

fn default_session() -> u32 {
    8
}

/// Where a witness listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessAddress {
    /// Its member name, which its certificate must carry.
    pub member: Id,
    /// `https://host:port`.
    pub url: String,
}

/// Settings of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellConfig {
    /// The robot controller.
    pub robot: RobotConfig,
    /// The camera.
    pub camera: CameraConfig,
}

/// A Universal Robots controller.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotConfig {
    /// What it is called in recordings.
    pub name: Id,
    /// The controller's address.
    pub host: String,
    /// The cell's own address towards the controller, which is the only one that
    /// the controller should admit. Absent: the system chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// Dashboard port; default 29999.
    #[serde(default = "default_dashboard")]
    pub dashboard: u16,
    /// RTDE port; default 30004.
    #[serde(default = "default_rtde")]
    pub rtde: u16,
}

fn default_dashboard() -> u16 {
    29_999
}

fn default_rtde() -> u16 {
    30_004
}

/// The camera of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CameraConfig {
    /// Rendered machined parts, for trying out.
    Rendered {
        /// Parts that are rendered with a defect.
        #[serde(default)]
        defective: Vec<Id>,
    },
    /// A folder of photographs.
    Folder {
        /// The folder.
        path: PathBuf,
    },
}

/// Why a node's folder is of no use.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file is missing, unreadable or not what it must be.
    #[error("`{path}`: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate or trust root cannot be used.
    #[error("certificate: {0}")]
    Tls(#[from] transport::tls::TlsError),
}

impl NodeError {
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }
}

/// A loaded folder.
pub struct Node {
    /// The folder.
    pub dir: PathBuf,
    /// The configuration.
    pub config: Config,
    /// The trust anchors.
    pub anchors: Anchors,
    /// The signing key.
    pub signer: Arc<SigningKey>,
    /// The roots of the plant's certificates.
    pub trust: Trust,
    /// The node's certificate.
    pub identity: Identity,
}

impl Node {
    /// Loads a folder and checks that its files fit together.
    pub fn load(dir: &Path) -> Result<Self, NodeError> {
        transport::install_crypto_provider();
        let config = read_config(&dir.join("interlock.toml"))?;
        let anchors = read_anchors(&dir.join("anchors.json"))?;
        let path = dir.join("sign.key");
        let seed = read_key(&path)?;
        let signer = SecretKey::from_seed(&seed).map_err(|e| NodeError::file(&path, e))?;
        let tls = dir.join("tls");
        Ok(Self {
            dir: dir.into(),
            config,
            anchors,
            signer: Arc::new(SigningKey::new(signer)),
            trust: Trust::load(&tls)?,
            identity: Identity::load(&tls, "node")?,
        })
    }

    /// Who this node is.
    pub fn member(&self) -> &Id {
        &self.config.member
    }

    /// The X25519 secret that keys are sealed to.
    pub fn seal_key(&self) -> Result<Zeroizing<[u8; 32]>, NodeError> {
        read_key(&self.dir.join("seal.key"))
    }

    /// Signs a statement with the node's key.
    ///
    /// # Errors
    /// The body is longer than an entry may be.
    pub fn sign(
        &self,
        body: &Body,
        at: Millis,
        nonce: base::Bytes,
    ) -> Result<Entry, base::CanonicalError> {
        self.sign_with(&self.signer.current(), body, at, nonce)
    }

    pub(crate) fn sign_with(
        &self,
        signer: &SecretKey,
        body: &Body,
        at: Millis,
        nonce: base::Bytes,
    ) -> Result<Entry, base::CanonicalError> {
        let body = serde_json::from_slice(&to_canonical(body)?)
            .map_err(|e| base::CanonicalError::Parse(e.to_string()))?;
        let statement = Statement {
            at,
            body,
            issuer: self.member().clone(),
            key: PublicKey::of(signer).fingerprint(),
            nonce,
            site: self.anchors.site.clone(),
            v: VERSION.into(),
        };
        Entry::sign(statement, signer)
    }
}

/// Reads `interlock.toml`.
pub fn read_config(path: &Path) -> Result<Config, NodeError> {
    let text = std::fs::read_to_string(path).map_err(|e| NodeError::file(path, e))?;
    let config: Config = toml::from_str(&text).map_err(|e| NodeError::file(path, e.message()))?;
    if config.version != 1 {
        let reason = format!("version {}, this program reads version 1", config.version);
        return Err(NodeError::file(path, reason));
    }
    Ok(config)
}

/// Reads `anchors.json`.
pub fn read_anchors(path: &Path) -> Result<Anchors, NodeError> {
    let text = std::fs::read_to_string(path).map_err(|e| NodeError::file(path, e))?;
    serde_json::from_str(&text).map_err(|e| NodeError::file(path, e))
}

/// Reads 32 secret bytes, written as hexadecimal digits.
pub fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, NodeError> {
    let text = read_secret(path).map_err(|e| NodeError::file(path, e))?;
    // A secret has the shape of a digest in text.
    let Digest(bytes) = text.trim().parse().map_err(|_| {
        NodeError::file(path, "not a key: 64 lower-case hexadecimal digits are expected")
    })?;
    Ok(Zeroizing::new(bytes))
}
