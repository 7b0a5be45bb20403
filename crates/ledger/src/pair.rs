//! A small value that one fdatasync makes durable.
//!
//! Two files are written over in turn, each with a number and a checksum; the whole
//! one with the higher number counts. So a write that a power cut left half done
//! leaves the value before it, and no name changes: replacing a file costs two more
//! commits of the file system's own journal.
//!
//! ```text
//! number 8 | length 4 | SHA-256 over number and value 32 | value
//! ```

use base::sha256;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{At, FileError, Fs, sync_parent};

/// A value in two files.
pub struct Pair {
    fs: Arc<dyn Fs>,
    files: [PathBuf; 2],
    /// Whether both files are there.
    complete: bool,
    number: u64,
    value: Option<Vec<u8>>,
    failed: bool,
}

impl Pair {
    /// Opens the value at `path`: its files end in `.0` and `.1`. When there is none,
    /// a plain file at `path` itself is taken over. What is found is durable when this
    /// returns, whatever became of the write that left it.
    ///
    /// # Errors
    /// A file operation failed, or both files are there and none is whole.
    pub fn open(fs: Arc<dyn Fs>, path: &Path) -> Result<Self, FileError> {
        let files = Self::files(path);
        let [first, second] = files.each_ref().map(|file| read(fs.as_ref(), file));
        let (first, second) = (first?, second?);
        let complete = first.is_some() && second.is_some();
        let whole = [first, second].into_iter().flatten().filter_map(|bytes| decode(&bytes));
        let (number, value) = match whole.max_by_key(|(number, _)| *number) {
            Some((number, value)) => (number, Some(value)),
            None if complete => {
                let neither = io::Error::new(io::ErrorKind::InvalidData, "neither copy is whole");
                return Err(FileError::new("read the two copies of", path, neither));
            }
            None => (0, read(fs.as_ref(), path)?),
        };
        let mut pair = Self { fs, files, complete, number, value, failed: false };
        if let Some(value) = pair.value.clone() {
            pair.write(&value)?;
        }
        Ok(pair)
    }

    /// The names of the two files.
    pub fn files(path: &Path) -> [PathBuf; 2] {
        ["0", "1"].map(|end| path.with_extension(end))
    }

    /// The value; none before the first write.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// Changes the value; it is durable when this returns.
    ///
    /// # Errors
    /// The disk failed: which value it has shows after opening again, and until then
    /// every write fails.
    pub fn write(&mut self, value: &[u8]) -> Result<(), FileError> {
        let [even, odd] = &self.files;
        if self.failed {
            let error = io::Error::other("an earlier write failed; open it again");
            return Err(FileError::new("write", even, error));
        }
        self.failed = true;
        let number = self.number + 1;
        let bytes = encode(number, value);
        if self.complete {
            let file = if number.is_multiple_of(2) { even } else { odd };
            self.fs.overwrite(file, &bytes).at("write and sync", file)?;
        } else {
            self.create(&bytes)?;
        }
        (self.number, self.value) = (number, Some(value.to_vec()));
        (self.complete, self.failed) = (true, false);
        Ok(())
    }

    /// Makes both files, one whole before the other is touched.
    fn create(&self, bytes: &[u8]) -> Result<(), FileError> {
        let [even, odd] = &self.files;
        let first_is_there = read(self.fs.as_ref(), even)?.is_some();
        for file in if first_is_there { [odd, even] } else { [even, odd] } {
            self.fs.write(file, bytes).at("write", file)?;
            self.fs.sync(file).at("sync", file)?;
        }
        sync_parent(self.fs.as_ref(), even)
    }
}

fn read(fs: &dyn Fs, path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs.read(path).at("read", path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

fn encode(number: u64, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    [&number.to_be_bytes()[..], &length.to_be_bytes(), &sum(number, value), value].concat()
}

/// The number and value of a file; none when it was written in part.
fn decode(bytes: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (found, rest) = rest.split_first_chunk::<32>()?;
    let number = u64::from_be_bytes(*number);
    // An earlier, longer value leaves its end behind.
    let value = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    (sum(number, value) == *found).then(|| (number, value.to_vec()))
}

fn sum(number: u64, value: &[u8]) -> [u8; 32] {
    sha256(&[&number.to_be_bytes()[..], value].concat()).0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fs::RealFs;

    #[test]
    fn the_newest_whole_copy_counts_and_shorter_values_may_follow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let open = || Pair::open(Arc::new(RealFs), &path);
        assert_eq!(open().unwrap().value(), None);
        let mut pair = open().unwrap();
        for value in ["a long value", "b", "", "another long value"] {
            pair.write(value.as_bytes()).unwrap();
            pair = open().unwrap();
            assert_eq!(pair.value(), Some(value.as_bytes()));
        }
        pair.write(b"last").unwrap();
        // A write that was cut leaves the value before it.
        let newest = |file: &PathBuf| decode(&std::fs::read(file).unwrap()).unwrap().0;
        let [even, odd] = Pair::files(&path);
        let cut = if newest(&even) > newest(&odd) { &even } else { &odd };
        std::fs::write(cut, b"half of a hea").unwrap();
        assert_eq!(open().unwrap().value(), Some(&b"another long value"[..]));
        std::fs::write(&even, b"").unwrap();
        std::fs::write(&odd, b"").unwrap();
        assert!(open().is_err(), "nothing is not the same as no value");
    }

    #[test]
    fn a_plain_file_is_taken_over_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        std::fs::write(&path, b"old").unwrap();
        let mut pair = Pair::open(Arc::new(RealFs), &path).unwrap();
        assert_eq!(pair.value(), Some(&b"old"[..]));
        pair.write(b"new").unwrap();
        let pair = Pair::open(Arc::new(RealFs), &path).unwrap();
        assert_eq!(pair.value(), Some(&b"new"[..]));
    }
}
