//! A witness's folder, as `interlock init` makes it.
//!
//! ```text
//! interlock.toml   member, site's member and listen address; the rest is for other nodes
//! anchors.json     the log and its witnesses, of which this is one
//! sign.key         Ed25519 seed, hexadecimal, mode 0600
//! sign.next.key    the key that is to take its place; both cosign meanwhile
//! own-keys.txt     public halves of keys that were made for this witness later
//! log-keys.txt     later keys of the log, each on a line, the newest last
//! tls/             ca.pem, node.pem, node.key
//! data/            what was cosigned last
//! ```
//!
//! A witness links neither policy nor plant: it reads only the fields it needs.

use anyhow::{Context, Result, bail};
use base::{Digest, Id};
use proof::keys::{SecretKey, Signer};
use proof::log::{KeyKind, LogPolicy, VKey, WitnessCore};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use transport::{Identity, Trust, files::read_text, read_secret, replace_public, write_secret};
use zeroize::Zeroizing;

const KEY: &str = "sign.key";
const NEXT: &str = "sign.next.key";
const OWN_KEYS: &str = "own-keys.txt";
const LOG_KEYS: &str = "log-keys.txt";

/// What a witness runs with.
pub struct Folder {
    /// Its member name.
    pub member: Id,
    /// The member that may ask it: the site.
    pub site: Id,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its key and the log it knows.
    pub core: WitnessCore,
    /// Where it keeps what it cosigned.
    pub data: PathBuf,
    /// The roots of the plant's certificates.
    pub trust: Trust,
    /// Its certificate.
    pub identity: Identity,
}

#[derive(Deserialize)]
struct Config {
    version: u32,
    member: Id,
    site_member: Id,
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
            site: config.site_member,
            listen,
            data: dir.join("data"),
            trust: Trust::load(&tls).context("the trust root in `tls/ca.pem`")?,
            identity: Identity::load(&tls, "node").context("the certificate in `tls/node.pem`")?,
        })
    }
}

/// The witness that `sign.key` is, as `anchors.json` or `own-keys.txt` names it.
fn core(dir: &Path) -> Result<WitnessCore> {
    let log = anchors(dir)?;
    let signer = Arc::new(key(&dir.join(KEY))?);
    let named = own(dir, &log)?.into_iter().find(|own| *own.public() == signer.public());
    let named = named.with_context(|| {
        format!(
            "`{KEY}` is none of the witnesses' keys in `{}`",
            dir.join("anchors.json").display()
        )
    })?;
    let origin = log.origin().to_owned();
    let keys = std::iter::once(log.log_key().clone()).chain(lines(&dir.join(LOG_KEYS))?);
    let core =
        WitnessCore::new(named.name(), signer, keys.map(|key| (origin.clone(), key)).collect())?;
    let next = dir.join(NEXT);
    Ok(if next.exists() { core.also(Arc::new(key(&next)?)) } else { core })
}

fn anchors(dir: &Path) -> Result<LogPolicy> {
    let path = dir.join("anchors.json");
    let Anchors { log } = serde_json::from_str(&read_text(&path)?)
        .with_context(|| format!("`{}` does not name a log and its witnesses", path.display()))?;
    Ok(log)
}

/// The keys that may be this witness's: those of the anchors, and those made later.
fn own(dir: &Path, log: &LogPolicy) -> Result<Vec<VKey>> {
    let made = lines(&dir.join(OWN_KEYS))?;
    Ok(log.witnesses().iter().cloned().chain(made).collect())
}

/// Verifier keys, each on a line; none when there is no such file.
fn lines(path: &Path) -> Result<Vec<VKey>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let key = |line: &str| line.parse().with_context(|| format!("`{}`", path.display()));
    read_text(path)?.lines().map(key).collect()
}

/// Adds a line durably.
fn append(path: &Path, key: &VKey) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    sync(path)
}

fn sync(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(parent)?.sync_all()?)
}

/// Takes a successor of the log's key; the earlier ones count until it has signed.
///
/// # Errors
/// It is no key of this witness's log, or is known.
pub fn trust(dir: &Path, key: &VKey) -> Result<()> {
    let log = anchors(dir)?;
    if key.kind() != KeyKind::Log || key.name() != log.origin() {
        bail!("`{key}` is no key of the log `{}`", log.origin());
    }
    if log.log_key() == key || lines(&dir.join(LOG_KEYS))?.contains(key) {
        bail!("`{key}` is trusted already");
    }
    append(&dir.join(LOG_KEYS), key)
}

/// Trusts the roots in these files, and no other, in the place of those before.
///
/// # Errors
/// One is no authority of the plant that the witness knows, or a file fails; the roots
/// before then stay.
pub fn trust_authorities(dir: &Path, files: &[PathBuf]) -> Result<()> {
    let tls = dir.join("tls");
    let known = Trust::load(&tls).context("the trust root in `tls/ca.pem`")?;
    let texts = files.iter().map(|file| read_text(file)).collect::<Result<Vec<_>, _>>()?;
    let next = Trust::from_pem(&texts.join("\n"))?;
    known.replace(&next)?;
    Ok(replace_public(&tls.join("ca.pem"), next.to_pem().as_bytes())?)
}

/// Makes the key that is to take the place of this witness's own; until
/// [`switch`] both cosign.
///
/// # Errors
/// There is one already, or a file cannot be written.
pub fn next(dir: &Path) -> Result<VKey> {
    let name = core(dir)?.vkey().name().to_owned();
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut seed[..])?;
    let public = SecretKey::from_seed(&seed)?.public();
    let vkey = VKey::new(&name, KeyKind::Witness, public)?;
    let text = Zeroizing::new(format!("{}\n", Digest(*seed)));
    write_secret(&dir.join(NEXT), text.as_bytes())?;
    append(&dir.join(OWN_KEYS), &vkey)?;
    Ok(vkey)
}

/// Puts the next key in the place of the first, which is gone then.
///
/// # Errors
/// There is no next key.
pub fn switch(dir: &Path) -> Result<()> {
    let (next, first) = (dir.join(NEXT), dir.join(KEY));
    std::fs::rename(&next, &first).with_context(|| format!("`{}`", next.display()))?;
    sync(&first)
}

fn key(path: &Path) -> Result<SecretKey> {
    let text = read_secret(path)?;
    let Digest(seed) = text.trim().parse().ok().with_context(|| {
        let expected = "64 lower-case hexadecimal digits are expected";
        format!("`{}` is not a key: {expected}", path.display())
    })?;
    Ok(SecretKey::from_seed(&seed)?)
}
