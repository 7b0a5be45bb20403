//! Restoring a backup into an empty folder, and verifying one without.

use super::{
    Hashing, Progress,
    format::{self, FOLDER, FileSource, Files, LIST, MANIFEST, MAX_LIST, Manifest, Row},
    pour, sound,
};
use anyhow::{Context, Result, bail};
use base::MAX_CANONICAL_BYTES;
use node::Anchors;
use proof::recording::Signed;
use serde::Serialize;
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};
use vault::seal::OpeningReader;

/// What was restored or verified.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The site.
    pub site: String,
    /// Entries of the ledger.
    pub entries: u64,
    /// When the backup was taken.
    pub at: base::Millis,
    /// Files.
    pub files: u64,
    /// The plant's genesis entry.
    pub genesis: base::Digest,
    /// Recordings that are whole: their blocks, and the key that the ledger names. Only
    /// a restore looks.
    pub recordings: Option<usize>,
    /// Recordings that are not, and other damage.
    pub findings: Vec<String>,
}

/// Restores into a folder that is empty or not there. It gets its name only when
/// all of it is written and verified, against `anchors` when the caller has them.
pub fn restore(
    backup: &Path,
    secret: &[u8; 32],
    anchors: Option<Anchors>,
    folder: &Path,
    mut progress: Progress<'_>,
) -> Result<Restored> {
    if folder.exists() && fs::read_dir(folder)?.next().is_some() {
        bail!("`{}` is not empty: a restore writes over nothing", folder.display());
    }
    let name = folder.file_name().context("the folder needs a name")?.to_string_lossy();
    let partial = folder.with_file_name(format!(".{name}.restoring"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    make_dir(&partial)?;
    let signed = unpack(backup, secret, Some(&partial), &mut progress)?;
    progress.now("verifying what was written");
    let (recordings, findings) = sound::check(&partial, &signed, anchors)?;
    sync_folders(&partial)?;
    if folder.exists() {
        fs::remove_dir(folder)?;
    }
    fs::rename(&partial, folder)?;
    let above = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()?;
    Ok(restored(&signed.claim, Some(recordings), findings))
}

/// Reads all of a backup and holds it against its manifest, without writing anything.
/// Whose it is, only [`restore`] finds out.
pub fn verify(backup: &Path, secret: &[u8; 32], mut progress: Progress<'_>) -> Result<Restored> {
    let signed = unpack(backup, secret, None, &mut progress)?;
    Ok(restored(&signed.claim, None, Vec::new()))
}

fn restored(manifest: &Manifest, recordings: Option<usize>, findings: Vec<String>) -> Restored {
    Restored {
        site: manifest.site.to_string(),
        entries: manifest.entries,
        at: manifest.at,
        files: manifest.files.count,
        genesis: manifest.genesis,
        recordings,
        findings,
    }
}

/// Goes through the tar, writes its files when a folder is given, and holds them
/// against the manifest at its end.
fn unpack(
    backup: &Path,
    secret: &[u8; 32],
    into: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<Signed<Manifest>> {
    let sealed: OpeningReader<FileSource> = format::open(backup, secret)?;
    let mut tar = tar::Archive::new(sealed);
    let (mut rows, mut list) = (Vec::new(), None::<Vec<u8>>);
    for entry in tar.entries()? {
        let entry = entry.context("the backup does not open")?;
        let path = entry.path()?.into_owned();
        if path == Path::new(MANIFEST) {
            let bytes = bounded(entry, MAX_CANONICAL_BYTES as u64)?;
            let signed = Signed::<Manifest>::from_bytes(&bytes).context("the backup's manifest")?;
            let version = signed.claim.version;
            if version != Manifest::VERSION {
                bail!("a manifest of version {version}, this program reads {}", Manifest::VERSION);
            }
            listed(&signed.claim.files, &list.context("the backup has no list of files")?, &rows)?;
            return Ok(signed);
        }
        if list.is_some() {
            bail!("`{}` stands behind the backup's list of files", path.display());
        }
        if path == Path::new(LIST) {
            list = Some(bounded(entry, MAX_LIST)?);
            continue;
        }
        let path = inner(&path)?;
        let shown = path.to_str().context("a path that is not UTF-8")?.to_owned();
        let mut reader = Hashing::new(entry);
        match into {
            Some(folder) => write(&folder.join(&path), &mut reader, progress),
            None => pour(&mut reader, &mut io::sink(), progress).map(|_| ()),
        }
        .with_context(|| format!("`{shown}`"))?;
        let (bytes, sha256) = reader.finish()?;
        rows.push(Row { path: shown, bytes, sha256 });
    }
    bail!("the backup has no manifest at its end: it was not finished")
}

/// All of a file of the tar that has at most `most` bytes.
fn bounded(file: impl Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        bail!("the backup's manifest or list of files has more than {most} bytes");
    }
    Ok(bytes)
}

/// That a list is the one which the site signed, and names the files that were found.
fn listed(signed: &Files, list: &[u8], found: &[Row]) -> Result<()> {
    if base::sha256(list) != signed.sha256 {
        bail!("the backup's list of files is not the one that its manifest names");
    }
    let rows: Vec<Row> = serde_json::from_slice(list).context("the backup's list of files")?;
    if rows != found || rows.len() as u64 != signed.count {
        bail!("the backup holds other files than its list says");
    }
    Ok(())
}

/// A path below the site's folder; anything that could lead elsewhere is refused.
fn inner(path: &Path) -> Result<PathBuf> {
    let inner = path.strip_prefix(FOLDER).ok();
    let plain = |p: &&Path| p.components().all(|c| matches!(c, Component::Normal(_)));
    let inner = inner.filter(plain).filter(|p| p.components().next().is_some());
    inner.map(Path::to_owned).with_context(|| format!("`{}` leads elsewhere", path.display()))
}

fn write(path: &Path, from: &mut impl Read, progress: &mut Progress<'_>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_dir(folder)?;
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    pour(from, &mut file, progress)?;
    file.sync_all()
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn sync_folders(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_folder() {
        for bad in ["/etc/passwd", "site", "site/../x", "other/x", "site/a/../../x", ""] {
            assert!(inner(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(inner(Path::new("site/data/keys/master.key")).is_ok());
    }
}
