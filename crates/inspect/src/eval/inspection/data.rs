//! Reads a folder of boards: templates, photographs and labelled boxes.

use crate::Plane;
use crate::eval::folders::{FolderError, entries};
use crate::inspection::{Area, Kind};
use base::{Digest, sha256};
use std::path::Path;

/// The most defects one board may list.
const MAX_BOXES: usize = 10_000;
/// The most bytes of one file.
const MAX_BYTES: u64 = 256 << 20;

const LAYOUT: &str = "NAME_template.jpg, NAME_test.jpg and NAME.txt, with lines \
                      `x1 y1 x2 y2 type` of types 1 to 6";

/// A box that a person drew around a defect.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Where, in the photograph.
    pub place: Area,
    /// What the person called it.
    pub kind: Kind,
}

/// One photograph with its template and its labelled defects.
#[derive(Clone, Debug)]
pub struct Board {
    /// The name its files share.
    pub name: String,
    /// The first five characters of the name: photographs of one board design.
    pub design: String,
    /// SHA-256 of the photograph's bytes.
    pub digest: Digest,
    /// The good board.
    pub template: Plane,
    /// The board in question.
    pub photograph: Plane,
    /// Its defects.
    pub boxes: Vec<Labelled>,
}

impl Board {
    pub(super) fn without_pixels(&self) -> Self {
        Self {
            name: self.name.clone(),
            design: self.design.clone(),
            boxes: self.boxes.clone(),
            template: Plane::new(0, 0),
            photograph: Plane::new(0, 0),
            digest: self.digest,
        }
    }
}

/// Reads the boards of a folder, at most `limit`, in the order of their names.
///
/// # Errors
/// When the folder holds none, a file is missing or damaged, or a line is wrong.
pub fn read(dir: &Path, limit: Option<usize>) -> Result<Vec<Board>, FolderError> {
    let mut names = Vec::new();
    for path in entries(dir)? {
        let Some(file) = path.file_name().and_then(|f| f.to_str()) else {
            continue;
        };
        for extension in ["jpg", "jpeg", "png"] {
            if let Some(name) = file.strip_suffix(&format!("_template.{extension}")) {
                names.push((name.to_owned(), extension));
            }
        }
    }
    names.sort();
    names.truncate(limit.unwrap_or(usize::MAX));
    if names.is_empty() {
        return Err(layout(dir, "holds no board"));
    }
    names.into_iter().map(|(name, extension)| board(dir, name, extension)).collect()
}

fn layout(path: &Path, found: impl Into<String>) -> FolderError {
    FolderError::Layout { path: path.into(), found: found.into(), expected: LAYOUT }
}

fn board(dir: &Path, name: String, extension: &str) -> Result<Board, FolderError> {
    let (_, template) = image(&dir.join(format!("{name}_template.{extension}")))?;
    let (digest, photograph) = image(&dir.join(format!("{name}_test.{extension}")))?;
    let path = dir.join(format!("{name}.txt"));
    let bytes = bytes(&path)?;
    let mut boxes = Vec::new();
    for (i, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let text: String = line.chars().take(80).collect();
        let wrong = || layout(&path, format!("has `{text}` in line {}", i + 1));
        boxes.push(labelled(line).ok_or_else(wrong)?);
        if boxes.len() > MAX_BOXES {
            return Err(layout(&path, format!("lists more than {MAX_BOXES} defects")));
        }
    }
    let design = name.chars().take(5).collect();
    Ok(Board { name, design, digest, template, photograph, boxes })
}

fn labelled(line: &str) -> Option<Labelled> {
    let numbers: Vec<f64> = line
        .split([' ', ',', '\t'])
        .filter(|w| !w.is_empty())
        .map(|w| w.parse().ok().filter(|v: &f64| v.is_finite()))
        .collect::<Option<_>>()?;
    let &[x0, y0, x1, y1, kind] = numbers.as_slice() else {
        return None;
    };
    let kind = *Kind::BOARD.get((kind as usize).checked_sub(1)?)?;
    (x1 > x0 && y1 > y0).then(|| Labelled { place: Area::from_edges([x0, y0, x1, y1]), kind })
}

fn bytes(path: &Path) -> Result<Vec<u8>, FolderError> {
    let failed = |source| FolderError::Read { path: path.into(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(layout(path, format!("has {size} bytes, more than {MAX_BYTES}")));
    }
    std::fs::read(path).map_err(failed)
}

fn image(path: &Path) -> Result<(Digest, Plane), FolderError> {
    let bytes = bytes(path)?;
    let plane = Plane::decode(&bytes)
        .map_err(|source| FolderError::Photograph { path: path.into(), source })?;
    Ok((sha256(&bytes), plane))
}
