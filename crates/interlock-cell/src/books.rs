//! Journal and outbox together: an act is written down first, then what it
//! causes is queued, and a crash in between is made good at the next start.

use crate::{
    journal::{Act, Journal, JournalError, Known},
    outbox::{Item, Outbox},
};
use base::Millis;
use std::{io, path::Path};

/// Why an act was not written down, or what it causes not queued.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The outbox.
    #[error("outbox: {0}")]
    Outbox(#[from] io::Error),
}

/// The cell's journal and outbox.
pub struct Books {
    journal: Journal,
    /// What waits for the site.
    pub outbox: Outbox,
}

impl Books {
    /// Opens both below a folder and queues what a crash kept from being queued.
    ///
    /// # Errors
    /// The disk fails, or a file is not what was written.
    pub fn open(dir: &Path, now: Millis) -> Result<Self, BooksError> {
        std::fs::create_dir_all(dir)?;
        let journal = Journal::open(&dir.join("journal"))?;
        let outbox = Outbox::open(&dir.join("outbox"))?;
        let mut books = Self { journal, outbox };
        books.queue(now)?;
        Ok(books)
    }

    /// What the journal says.
    pub fn known(&self) -> &Known {
        self.journal.known()
    }

    /// What the site does not have yet: queued, or written down and not queued for want
    /// of room. An item may come twice.
    pub fn waiting(&self) -> impl Iterator<Item = &Item> {
        self.outbox.items().chain(&self.known().unqueued)
    }

    /// Whether no act can be written down any more until they are opened again.
    pub fn is_broken(&self) -> bool {
        self.journal.is_broken()
    }

    /// Writes an act down, durably, and queues what it causes, now or, when the disk
    /// has no room for that, by a later [`Books::queue`].
    ///
    /// # Errors
    /// The disk failed: the act must not take effect.
    pub fn record(&mut self, now: Millis, act: Act, items: Vec<Item>) -> Result<(), BooksError> {
        self.journal.write(now, act, items)?;
        if let Err(error) = self.queue(now) {
            tracing::warn!(%error, "what is to be delivered waits in the journal");
        }
        Ok(())
    }

    /// Queues what could not be queued before.
    ///
    /// # Errors
    /// The disk failed.
    pub fn queue(&mut self, now: Millis) -> Result<(), BooksError> {
        let items = self.known().unqueued.clone();
        if items.is_empty() {
            return Ok(());
        }
        for item in items {
            self.outbox.push(item)?;
        }
        Ok(self.journal.write(now, Act::Queued, vec![])?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::outbox::tests::entry;
    use base::Digest;

    #[test]
    fn a_crash_between_journal_and_outbox_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let item = Item::Entry(Box::new(entry(1)));
        let mut journal = Journal::open(&dir.path().join("journal")).unwrap();
        let order = Digest([1; 32]);
        journal.write(Millis(1), Act::Consumed { order }, vec![item.clone()]).unwrap();
        drop(journal);
        for _ in 0..2 {
            let books = Books::open(dir.path(), Millis(2)).unwrap();
            assert_eq!(books.outbox.items().collect::<Vec<_>>(), [&item]);
            assert!(books.known().is_consumed(&order));
        }
    }
}
