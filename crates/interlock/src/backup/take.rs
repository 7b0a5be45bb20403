//! Taking a backup of a site's folder, also while the site runs.

use super::{
    Hashing, Progress,
    format::{self, FOLDER, FileSink, Files, LIST, MANIFEST, MAX_LIST, Manifest, Row},
};
use anyhow::{Context, Result, bail};
use base::{Digest, sha256};
use ledger::{Fs, Reader, RealFs, copy};
use node::{Node, keys::FromStart, now};
use proof::recording::Signed;
use serde::Serialize;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};
use vault::{
    seal::SealingWriter,
    store::{PackCheck, check_pack},
};

/// What was backed up.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// Entries of the ledger.
    pub entries: u64,
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What is damaged in the site's folder, and so in the backup.
    pub findings: Vec<String>,
}

/// Writes a backup of the site in `dir` to `out`, sealed to `recipient`. The file
/// gets its name only when it is whole.
pub fn take(dir: &Path, out: &Path, recipient: &[u8; 32], progress: Progress<'_>) -> Result<Taken> {
    let node = Node::load(dir)?;
    if out.exists() {
        bail!("`{}` exists: a backup never replaces another", out.display());
    }
    let name = out.file_name().context("the backup needs a file's name")?.to_string_lossy();
    let partial = out.with_file_name(format!("{name}.partial"));
    let sealed = format::create(&partial, recipient)?;
    let copied = Archive::new(dir, sealed, progress).all(&node);
    let taken = match copied {
        Ok(taken) => taken,
        Err(error) => {
            // What failed is of no use to anybody.
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
    };
    std::fs::rename(&partial, out)?;
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(taken)
}

struct Archive<'d, 'a> {
    dir: &'d Path,
    tar: tar::Builder<SealingWriter<FileSink>>,
    rows: Vec<Row>,
    findings: Vec<String>,
    progress: Progress<'a>,
}

impl<'d, 'a> Archive<'d, 'a> {
    fn new(dir: &'d Path, sealed: SealingWriter<FileSink>, progress: Progress<'a>) -> Self {
        let tar = tar::Builder::new(sealed);
        Self { dir, tar, rows: Vec::new(), findings: Vec::new(), progress }
    }

    /// Copies in the order that makes the copy consistent; see the module's parent.
    fn all(mut self, node: &Node) -> Result<Taken> {
        let (entries, root) = self.ledger(node)?;
        let apart = ["data/ledger", "data/vault", "data/keys"];
        for path in files(self.dir, Path::new(""), &apart)? {
            self.file(&path)?;
        }
        for path in files(self.dir, Path::new("data/vault/roots"), &[])? {
            self.file(&path)?;
        }
        self.packs()?;
        for path in files(self.dir, Path::new("data/keys"), &[])? {
            self.file(&path)?;
        }
        let list = serde_json::to_vec(&self.rows)?;
        if list.len() as u64 > MAX_LIST {
            bail!("{} files: the list of them would pass {MAX_LIST} bytes", self.rows.len());
        }
        self.tar.append_data(&mut header(list.len() as u64), LIST, list.as_slice())?;
        let manifest = Manifest {
            version: Manifest::VERSION,
            site: node.anchors.site.clone(),
            genesis: node.anchors.genesis,
            at: now(),
            entries,
            root,
            files: Files::of(&self.rows, &list),
        };
        let bytes = Signed::new(manifest, &*node.signer)?.to_bytes()?;
        self.tar.append_data(&mut header(bytes.len() as u64), MANIFEST, bytes.as_slice())?;
        self.tar.into_inner()?.finish()?.finish()?;
        Ok(Taken {
            entries,
            files: self.rows.len(),
            bytes: self.rows.iter().map(|row| row.bytes).sum(),
            findings: self.findings,
        })
    }

    /// The log up to the newest witnessed checkpoint.
    fn ledger(&mut self, node: &Node) -> Result<(u64, Digest)> {
        let folder = self.dir.join("data/ledger");
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let keys = FromStart(node.anchors.clone());
        let (policy, at) = copy::published(fs.clone(), &folder, &keys)?
            .context("no checkpoint of this ledger is witnessed yet: there is nothing to keep")?;
        let reader = Reader::new(fs, &folder);
        if copy::root_of_entries(&reader, at.size())? != at.root() {
            bail!("the ledger's entries do not have the root that was cosigned: `ledger check`");
        }
        self.progress.now(&format!("the ledger: {} entries", at.size()));
        for tile in copy::tiles(at.size()) {
            self.bytes(&format!("data/ledger/{tile}"), &reader.tile(tile)?)?;
        }
        for (name, note) in copy::checkpoints(&policy, &at)? {
            self.bytes(&format!("data/ledger/{name}"), &note)?;
        }
        Ok((at.size(), at.root()))
    }

    /// The packs, each up to its last whole block: the newest one grows while it is
    /// read. An index follows its pack; one that does not fit is made anew.
    fn packs(&mut self) -> Result<()> {
        let (indexes, packs): (Vec<PathBuf>, Vec<PathBuf>) =
            files(self.dir, Path::new("data/vault"), &["data/vault/roots"])?
                .into_iter()
                .partition(|path| path.extension().is_some_and(|e| e == "idx"));
        for path in packs {
            if path.extension().is_none_or(|e| e != "pack") {
                self.file(&path)?;
                continue;
            }
            let file = File::open(self.dir.join(&path))?;
            let PackCheck { end, damaged, .. } = check_pack(&file)?;
            if damaged > 0 {
                let text = format!("`{}`: {damaged} bytes belong to no block", path.display());
                self.findings.push(text);
            }
            self.stream(&path, end, file)?;
        }
        for path in indexes {
            self.file(&path)?;
        }
        Ok(())
    }

    /// One file, whole. One that is gone meanwhile is left out.
    fn file(&mut self, path: &Path) -> Result<()> {
        let file = match File::open(self.dir.join(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("`{}`", path.display())),
        };
        let len = file.metadata()?.len();
        self.stream(path, len, file)?;
        let Some(row) = self.rows.last() else { return Ok(()) };
        let named = path.strip_prefix("data/blobs").ok().and_then(Path::to_str);
        if named.is_some_and(|name| name != row.sha256.to_string()) {
            self.findings.push(format!("`{}` has other bytes than its name says", row.path));
        }
        Ok(())
    }

    fn stream(&mut self, path: &Path, len: u64, file: File) -> Result<()> {
        let shown = path.to_str().with_context(|| format!("`{}`: not UTF-8", path.display()))?;
        let mut reader =
            Hashing::new(Counted { inner: file.take(len), progress: &mut self.progress });
        let name = format!("{FOLDER}/{shown}");
        self.tar.append_data(&mut header(len), &name, &mut reader)?;
        let (bytes, sha256) = reader.finish()?;
        if bytes != len {
            bail!("`{shown}` became shorter while it was read: try again");
        }
        self.rows.push(Row { path: shown.to_owned(), bytes, sha256 });
        Ok(())
    }

    fn bytes(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let name = format!("{FOLDER}/{path}");
        let len = bytes.len() as u64;
        self.tar.append_data(&mut header(len), &name, bytes)?;
        self.progress.add(len);
        self.rows.push(Row { path: path.to_owned(), bytes: len, sha256: sha256(bytes) });
        Ok(())
    }
}

struct Counted<'p, 'a, R> {
    inner: R,
    progress: &'p mut Progress<'a>,
}

impl<R: Read> Read for Counted<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

fn header(len: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(len);
    header.set_mode(0o600);
    header.set_mtime(0);
    header
}

/// The files below a folder, in order, without those under `apart`, locks and what
/// is being written.
fn files(dir: &Path, below: &Path, apart: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut names = match std::fs::read_dir(dir.join(below)) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error).with_context(|| format!("`{}`", below.display())),
    };
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = below.join(&name);
        let passing = name == "lock"
            || name.starts_with('.')
            || [".tmp", ".new", ".partial"].iter().any(|end| name.ends_with(end));
        if passing || apart.iter().any(|apart| path == Path::new(apart)) {
            continue;
        }
        match std::fs::metadata(entry.path()) {
            Ok(kind) if kind.is_dir() && entry.file_type()?.is_symlink() => {
                bail!("`{}` is a link to a folder, which no backup follows", path.display());
            }
            Ok(kind) if kind.is_dir() => found.extend(files(dir, &path, apart)?),
            Ok(kind) if kind.is_file() => found.push(path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("`{}`", path.display())),
        }
    }
    Ok(found)
}
