//! Names and contents of the files of a log (C2SP tlog-tiles).
//!
//! A tile holds 256 hashes of one level, a bundle 256 entries. The rightmost ones
//! are partial; their names end in `.p/WIDTH`. Any static web server can serve
//! the folder.

use std::fmt;

/// Hashes in a full tile, entries in a full bundle.
pub const FULL: u64 = 256;

/// The most bytes a leaf may have: its length takes two bytes in a bundle.
pub const MAX_LEAF_BYTES: usize = 65_535;

/// A tile of hashes or a bundle of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// The level of a tile of hashes; none for a bundle of entries.
    pub level: Option<u8>,
    /// The index within the level.
    pub index: u64,
    /// How many hashes or entries it holds: 1 to 256.
    pub width: u64,
}

impl Tile {
    /// The tile at `index` of a level in a log of `size` entries; none when the log
    /// does not reach it.
    pub fn of(level: Option<u8>, index: u64, size: u64) -> Option<Self> {
        let shift = 8 * u32::from(level.unwrap_or(0));
        let hashes = size.checked_shr(shift).unwrap_or(0);
        let width = hashes.saturating_sub(index.checked_mul(FULL)?).min(FULL);
        (width > 0).then_some(Self { level, index, width })
    }

    /// All rightmost tiles and the rightmost bundle of a log of `size` entries that
    /// are partial.
    pub fn partial(size: u64) -> Vec<Self> {
        let levels = (0..8).map(Some).chain([None]);
        levels
            .filter_map(|level| {
                let hashes = size >> (8 * u32::from(level.unwrap_or(0)));
                Self::of(level, hashes / FULL, size)
            })
            .collect()
    }

    /// The same tile when it is full.
    pub fn full(self) -> Self {
        Self { width: FULL, ..self }
    }

    /// Whether no more can be added.
    pub fn is_full(&self) -> bool {
        self.width == FULL
    }

    /// The folder of the partial versions of this tile.
    pub fn partial_dir(&self) -> String {
        format!("{}.p", self.full())
    }

    /// Reads a path such as `tile/0/x001/234.p/17`; one spelling only.
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > 80 {
            return None;
        }
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = match level {
            "entries" => None,
            _ => Some(level.parse().ok().filter(|level| *level < 8)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok().filter(|w| (1..FULL).contains(w))?),
            None => (rest, FULL),
        };
        let index = index.split('/').try_fold(0u64, |sum, part| {
            let digits: u64 = part.trim_start_matches('x').parse().ok().filter(|n| *n < 1000)?;
            sum.checked_mul(1000)?.checked_add(digits)
        })?;
        let tile = Self { level, index, width };
        (tile.to_string() == path).then_some(tile)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/entries/")?,
        }
        let mut scale = 1;
        while self.index / scale >= 1000 {
            scale *= 1000;
        }
        while scale > 1 {
            write!(f, "x{:03}/", self.index / scale % 1000)?;
            scale /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// A leaf too long for a bundle.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a leaf of {0} bytes: at most {MAX_LEAF_BYTES} are allowed")]
pub struct LeafTooLong(pub usize);

/// Appends a leaf to a bundle's bytes.
pub fn push_entry(bundle: &mut Vec<u8>, leaf: &[u8]) -> Result<(), LeafTooLong> {
    let length = u16::try_from(leaf.len()).map_err(|_| LeafTooLong(leaf.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(leaf);
    Ok(())
}

/// Bytes that are not a bundle of the expected width.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a bundle with {found} whole entries and {left} bytes left over: {expected} are expected")]
pub struct BadBundle {
    /// Whole entries found.
    pub found: u64,
    /// Bytes after them.
    pub left: usize,
    /// Entries that were expected.
    pub expected: u64,
}

/// The leaves of a bundle that must hold exactly `width` of them.
pub fn split_bundle(bundle: &[u8], width: u64) -> Result<Vec<&[u8]>, BadBundle> {
    let (mut leaves, mut rest) = (Vec::new(), bundle);
    while let Some((leaf, after)) = split_entry(rest) {
        leaves.push(leaf);
        rest = after;
    }
    let found = leaves.len() as u64;
    if found != width || !rest.is_empty() {
        return Err(BadBundle { found, left: rest.len(), expected: width });
    }
    Ok(leaves)
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The start of a bundle's bytes that holds its first `width` entries.
pub fn bundle_prefix(bundle: &[u8], width: u64) -> Option<&[u8]> {
    let mut rest = bundle;
    for _ in 0..width {
        rest = split_entry(rest)?.1;
    }
    bundle.get(..bundle.len() - rest.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for (tile, path) in [
            (Tile { level: Some(0), index: 0, width: 256 }, "tile/0/000"),
            (Tile { level: Some(1), index: 1_234_067, width: 17 }, "tile/1/x001/x234/067.p/17"),
            (Tile { level: None, index: 1000, width: 256 }, "tile/entries/x001/000"),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(Tile::parse(path), Some(tile));
        }
        for bad in [
            "",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/8/000",
            "tile/0/x000/001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/../000",
            "tile/data/000",
            "tile/0/xx01/000",
            "tile/0/001/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Tile::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        let partial: Vec<String> = Tile::partial(70_000).iter().map(Tile::to_string).collect();
        let expected =
            ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"];
        assert_eq!(partial, expected);
        assert_eq!(Tile::partial(256).len(), 1);
        assert_eq!(
            Tile::of(Some(0), 272, 70_000),
            Some(Tile { level: Some(0), index: 272, width: 256 })
        );
        assert_eq!(Tile::of(Some(0), 274, 70_000), None);
    }

    #[test]
    fn bundles() {
        let mut bundle = Vec::new();
        for leaf in [b"one".as_slice(), b"", b"three"] {
            push_entry(&mut bundle, leaf).unwrap();
        }
        assert_eq!(split_bundle(&bundle, 3).unwrap(), [b"one".as_slice(), b"", b"three"]);
        assert_eq!(split_bundle(bundle_prefix(&bundle, 2).unwrap(), 2).unwrap().len(), 2);
        assert!(split_bundle(&bundle, 2).is_err());
        assert!(split_bundle(bundle.get(..bundle.len() - 1).unwrap(), 3).is_err());
        assert!(bundle_prefix(&bundle, 4).is_none());
        assert!(push_entry(&mut bundle, &vec![0; 65_536]).is_err());
    }
}
