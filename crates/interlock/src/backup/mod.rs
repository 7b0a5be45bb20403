//! Backup and restore of a site's folder: ledger, vault and keys as of one moment,
//! taken while the site runs.
//!
//! The order of copying makes it consistent, and no pause is needed:
//!
//! 1. The newest witnessed checkpoint, and the tiles of that size. The log only
//!    grows, so they never change.
//! 2. Configuration, the site's own keys, small files.
//! 3. The records of recordings, then the packs with their blocks.
//! 4. The recordings' keys.
//!
//! What an entry refers to is durable before the entry is taken, so a part that is
//! copied later holds all that an earlier part names, and perhaps more: what more
//! there is belongs to entries that came after, and harms nobody. A key that was
//! destroyed meanwhile is not copied, which is right.
//!
//! A backup holds every secret of the site. It is sealed to a key that the site does
//! not have ([`mod@format`]).

pub mod format;
pub mod restore;
mod sound;
pub mod take;

use anyhow::Result;
use aws_lc_rs::digest::{Context, SHA256};
use base::Digest;
use std::io::{self, Read, Write};

/// How much is copied between two words about it.
const WORD: u64 = 256 << 20;

/// Says how far a long work has come.
pub struct Progress<'a> {
    say: &'a mut dyn FnMut(&str),
    what: &'static str,
    done: u64,
    said: u64,
}

impl<'a> Progress<'a> {
    pub fn new(what: &'static str, say: &'a mut dyn FnMut(&str)) -> Self {
        Self { say, what, done: 0, said: 0 }
    }

    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.done - self.said >= WORD {
            self.said = self.done;
            (self.say)(&format!("{} {} MiB", self.what, self.done >> 20));
        }
    }

    fn now(&mut self, words: &str) {
        (self.say)(words);
    }
}

/// Reads through, and keeps the digest and the count of what was read.
struct Hashing<R> {
    inner: R,
    context: Context,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    fn finish(self) -> Result<(u64, Digest)> {
        let digest = self.context.finish();
        Ok((self.bytes, Digest(digest.as_ref().try_into()?)))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.context.update(out.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Copies all of a reader, saying how far it has come.
fn pour(from: &mut impl Read, to: &mut impl Write, progress: &mut Progress<'_>) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut all = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(all);
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        all += count as u64;
        progress.add(count as u64);
    }
}
