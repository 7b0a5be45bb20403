//! Secret keys of one use, side by side: `NAME.key`, and `NAME.<8 digits>.key` for each
//! that was made later to take its place.
//!
//! Which one counts is for the ledger to say. None is ever overwritten or renamed, so
//! no crash leaves a plant without the key that its ledger names; a retired one stays
//! for what was sealed to it.

use crate::{config::NodeError, config::read_key, sources::fresh_seed};
use base::Digest;
use std::path::{Path, PathBuf};
use transport::write_secret;
use zeroize::Zeroizing;

/// A key's file and its secret bytes.
pub type KeyFile = (PathBuf, Zeroizing<[u8; 32]>);

/// The keys `NAME` in a folder, each with its file, the first one first.
///
/// # Errors
/// The folder cannot be read, or a file is no key or readable by others.
pub fn keys(dir: &Path, name: &str) -> Result<Vec<KeyFile>, NodeError> {
    let first = dir.join(format!("{name}.key"));
    let later = |file: &str| {
        let digits = file.strip_prefix(name).and_then(|f| f.strip_prefix('.'));
        digits.and_then(|f| f.strip_suffix(".key")).is_some()
    };
    let entries = std::fs::read_dir(dir).map_err(|e| NodeError::file(dir, e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|file| later(file))
        .map(|file| dir.join(file))
        .collect();
    files.sort();
    if first.exists() {
        files.insert(0, first);
    }
    files.into_iter().map(|path| Ok((path.clone(), read_key(&path)?))).collect()
}

/// Makes one more key `NAME`, named after its public half; returns its file and it.
///
/// # Errors
/// It could not be made or written, or `public` refuses the seed.
pub fn add(
    dir: &Path,
    name: &str,
    public: impl Fn(&[u8; 32]) -> Result<[u8; 32], String>,
) -> Result<(PathBuf, [u8; 32]), NodeError> {
    let seed = fresh_seed().map_err(|e| NodeError::file(dir, e))?;
    let public = public(&seed).map_err(|e| NodeError::file(dir, e))?;
    let id: String = base::sha256(&public).to_string().chars().take(8).collect();
    let path = dir.join(format!("{name}.{id}.key"));
    let text = Zeroizing::new(format!("{}\n", Digest(*seed)));
    write_secret(&path, text.as_bytes()).map_err(|e| NodeError::file(&path, e))?;
    Ok((path, public))
}
