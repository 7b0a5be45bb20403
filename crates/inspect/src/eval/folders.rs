//! Labelled folders of photographs, read one by one.

use crate::{ImageError, Photograph};
use std::path::{Path, PathBuf};

/// Why a folder can't be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder or a file in it can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is no usable photograph.
    #[error("{path}: {source}")]
    Photograph {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
    /// The folder isn't laid out as expected.
    #[error("{path} {found}; expected is {expected}")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// The entries of a folder, sorted by name, without hidden ones.
///
/// # Errors
/// When the folder can't be read.
pub fn entries(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let read = |source| FolderError::Read { path: path.to_owned(), source };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            all.push(entry.path());
        }
    }
    all.sort();
    Ok(all)
}

/// The PNG and JPEG files of a folder, by their names' endings, sorted by name.
///
/// # Errors
/// When the folder can't be read.
pub fn photographs(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let wanted = |p: &PathBuf| {
        let ending = p.extension().and_then(|e| e.to_str()).unwrap_or_default();
        ["jpg", "jpeg", "png"].contains(&ending.to_ascii_lowercase().as_str()) && p.is_file()
    };
    Ok(entries(path)?.into_iter().filter(wanted).collect())
}

/// Reads one photograph.
///
/// # Errors
/// When the file can't be read or is no usable photograph.
pub fn load(path: &Path) -> Result<Photograph, FolderError> {
    let bytes = std::fs::read(path)
        .map_err(|source| FolderError::Read { path: path.to_owned(), source })?;
    Photograph::decode(name(path), &bytes)
        .map_err(|source| FolderError::Photograph { path: path.to_owned(), source })
}

/// A path's last part as text.
pub fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
