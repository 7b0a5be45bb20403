//! The file of a backup.
//!
//! ```text
//! interlock-backup/v2\n
//! {"ciphertext":"…","enc":"…"}\n      a fresh key, sealed by HPKE to the recipient
//! Tink streaming AEAD, AES256_GCM_HKDF, 1 MiB segments, under that key;
//!   the associated data is all that stands before
//! ```
//!
//! Inside is a tar: the site's folder under `site/`, `files.json` with the SHA-256 of
//! each file, and at the end `manifest.json`, signed with the site's own key: anybody
//! can seal to a public key, so opening shows for whom a backup is and not by whom. The
//! manifest names the list by its digest, for what is signed is small and a site has any
//! number of files. A backup can be opened with libraries that are not ours. Cut,
//! changed or reordered bytes do not open.

use anyhow::{Context as _, Result, bail};
use base::{Digest, Id, Millis};
use proof::recording::Claim;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};
use vault::{
    grant_key::{WrappedKey, unwrap, wrap_for},
    seal::{
        OpeningReader, SEGMENT, SealingWriter, SegmentSink, SegmentSource, StreamHeader, StreamKey,
    },
};

/// What every backup begins with, of whatever version.
const NAME: &[u8] = b"interlock-backup/";
const MAGIC: &[u8] = b"interlock-backup/v2\n";
const INFO: &[u8] = b"interlock/backup/v2";
/// The most bytes before the ciphertext.
const MAX_HEAD: usize = 1024;
/// The folder in the tar that holds the site's files.
pub const FOLDER: &str = "site";
/// The list of the files in the tar, behind the last of them: a JSON array of [`Row`].
pub const LIST: &str = "files.json";
/// The most bytes of the list: some six million files.
pub const MAX_LIST: u64 = 1 << 30;
/// The last file in the tar.
pub const MANIFEST: &str = "manifest.json";

/// What the site signs about a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this file; [`Manifest::VERSION`].
    pub version: u32,
    /// The site.
    pub site: Id,
    /// Its genesis entry.
    pub genesis: Digest,
    /// When the backup was taken.
    pub at: Millis,
    /// Entries of the ledger in it.
    pub entries: u64,
    /// The root of these entries, which witnesses have cosigned.
    pub root: Digest,
    /// Its files.
    pub files: Files,
}

impl Manifest {
    /// The version that this program writes, and the one that it reads.
    pub const VERSION: u32 = 2;
}

impl Claim for Manifest {
    const DOMAIN: &'static [u8] = b"interlock/backup-manifest/v2\0";
}

/// The list of a backup's files, by what tells it from any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// How many there are.
    pub count: u64,
    /// The SHA-256 of the list's bytes.
    pub sha256: Digest,
}

impl Files {
    /// What tells these bytes, a list of `rows`, from any other list.
    pub fn of(rows: &[Row], list: &[u8]) -> Self {
        Self { count: rows.len() as u64, sha256: base::sha256(list) }
    }
}

/// One file of a backup, in the order of copying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its path below the site's folder.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// Where the ciphertext goes.
pub struct FileSink(BufWriter<File>);

impl FileSink {
    /// Makes all that was written durable.
    pub fn finish(self) -> io::Result<()> {
        self.0.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl SegmentSink for FileSink {
    fn segment(&mut self, _: u32, _: bool, ciphertext: &[u8]) -> io::Result<()> {
        self.0.write_all(ciphertext)
    }
}

/// Begins a backup in a new file of mode 0600, sealed to an X25519 key.
pub fn create(path: &Path, recipient: &[u8; 32]) -> Result<SealingWriter<FileSink>> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.with_context(|| format!("`{}`", path.display()))?);
    let key = StreamKey::generate(aws_lc_rs::rand::fill)?;
    let wrapped = wrap_for(recipient, INFO, b"", &key, aws_lc_rs::rand::fill)?;
    let mut head = MAGIC.to_vec();
    serde_json::to_writer(&mut head, &wrapped)?;
    head.push(b'\n');
    file.write_all(&head)?;
    let header = StreamHeader::generate(aws_lc_rs::rand::fill)?;
    Ok(SealingWriter::new(&key, header, &head, FileSink(file))?)
}

/// The ciphertext of a backup, behind its head.
pub struct FileSource {
    file: File,
    start: u64,
    len: u64,
}

impl SegmentSource for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn segment(&mut self, index: u32) -> io::Result<Vec<u8>> {
        let at = u64::from(index) * SEGMENT as u64;
        let len = self.len.saturating_sub(at).min(SEGMENT as u64);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, self.start + at)?;
        Ok(bytes)
    }
}

/// Opens a backup with the recipient's secret key.
pub fn open(path: &Path, secret: &[u8; 32]) -> Result<OpeningReader<FileSource>> {
    let file = File::open(path).with_context(|| format!("`{}`", path.display()))?;
    let mut head = Vec::new();
    (&file).take(MAX_HEAD as u64).read_to_end(&mut head)?;
    let Some(rest) = head.strip_prefix(MAGIC) else {
        bail!("`{}` {}", path.display(), foreign(&head));
    };
    let line = rest.iter().position(|byte| *byte == b'\n').context("the backup's head is cut")?;
    let wrapped: WrappedKey = serde_json::from_slice(rest.get(..line).unwrap_or_default())
        .context("the backup's head does not hold a sealed key")?;
    let key = unwrap(secret, INFO, b"", &wrapped)
        .map_err(|_| anyhow::anyhow!("the backup is sealed to another key, or its head changed"))?;
    head.truncate(MAGIC.len() + line + 1);
    let start = head.len() as u64;
    let len = file.metadata()?.len().saturating_sub(start);
    Ok(OpeningReader::new(&key, &head, FileSource { file, start, len })?)
}

/// Why a file that does not begin as backups of now do cannot be read.
fn foreign(head: &[u8]) -> String {
    let version = head.strip_prefix(NAME).and_then(|rest| rest.split(|b| *b == b'\n').next());
    match version.and_then(|version| std::str::from_utf8(version).ok()) {
        Some(version) if version.len() <= 8 && version.chars().all(char::is_alphanumeric) => {
            format!(
                "is a backup of format {version}, this program reads v{}: it takes the release \
                 that wrote it",
                Manifest::VERSION
            )
        }
        _ => "is not a backup: it does not begin with its name".into(),
    }
}
