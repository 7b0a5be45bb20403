use super::*;
use crate::outbox::tests::entry;

fn order(n: u8) -> Digest {
    Digest([n; 32])
}

fn written(path: &Path) -> Vec<u8> {
    let mut journal = Journal::open(path).unwrap();
    let item = Item::Entry(Box::new(entry(1)));
    journal.write(Millis(1), Act::Consumed { order: order(1) }, vec![item]).unwrap();
    journal.write(Millis(2), Act::Queued, vec![]).unwrap();
    journal.write(Millis(3), Act::Ended { order: order(1) }, vec![]).unwrap();
    journal.write(Millis(4), Act::Refused { order: order(2) }, vec![]).unwrap();
    journal.write(Millis(5), Act::Consumed { order: order(3) }, vec![]).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn what_was_done_is_known_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    written(&path);
    let journal = Journal::open(&path).unwrap();
    let known = journal.known();
    assert_eq!(known.unfinished().collect::<Vec<_>>(), [&order(3)]);
    assert!(known.is_consumed(&order(1)) && known.refused.contains(&order(2)));
    let last = LastRun { order: order(1), outcome: None, ended_at: Millis(3) };
    assert_eq!(known.last_run, Some(last));
    assert!(known.unqueued.is_empty());
}

#[test]
fn a_cut_anywhere_forgets_only_the_line_it_cuts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let bytes = written(&path);
    for cut in 0..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
        let mut journal = Journal::open(&path).unwrap();
        let known = journal.known().clone();
        assert_eq!(known.is_consumed(&order(1)), whole >= 1, "cut at {cut}");
        assert_eq!(known.unqueued.is_empty(), whole != 1, "cut at {cut}");
        assert_eq!(known.consumed.get(&order(1)), (whole >= 1).then_some(&(whole >= 3)));
        journal.write(Millis(9), Act::Refused { order: order(9) }, vec![]).unwrap();
        let again = Journal::open(&path).unwrap();
        assert!(again.known().refused.contains(&order(9)), "cut at {cut}");
        assert_eq!(again.known().consumed, known.consumed);
    }
}

#[test]
fn a_changed_line_refuses_to_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let bytes = written(&path);
    for at in 0..bytes.len() - 1 {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let opened = Journal::open(&path);
        assert!(matches!(opened, Err(JournalError::Corrupt { .. })), "byte {at}");
    }
}

#[test]
fn what_was_not_queued_is_kept_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = Journal::open(&path).unwrap();
    for n in 1..3 {
        let item = Item::Entry(Box::new(entry(n)));
        journal.write(Millis(1), Act::Refused { order: order(n) }, vec![item]).unwrap();
    }
    drop(journal);
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.known().unqueued.len(), 2);
    journal.write(Millis(2), Act::Queued, vec![]).unwrap();
    assert!(Journal::open(&path).unwrap().known().unqueued.is_empty());
}
