//! Recordings are read back as they were written, and hostile ones are refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base::{Id, Millis, sha256};
use capture::{
    About, Encoding, Image, ImageMessage, ImageRecorder, Images, Journal, ReadError, RecordError,
    StateRecorder, StateSample, States, read_checkpoints, read_images,
};
use proof::{
    keys::{SecretKey, Signer},
    recording::{Checkpoints, verify_chain},
};
use proptest::prelude::*;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn about() -> About {
    About {
        recording: id("rec-1"),
        run: id("run-1"),
        order: sha256(b"order"),
        cell: id("cell-1"),
        robot: id("ur3e"),
    }
}

fn sample(n: u64) -> StateSample {
    let at = |k: u64| (n * 64 + k) as f64 * 1e-3;
    let six = |k: u64| std::array::from_fn(|i| at(k + i as u64));
    StateSample {
        host_ns: 1_795_219_200_000_000_000 + n * 2_000_000,
        controller_ns: 7_000_000_000 + n * 2_000_000,
        session: 1,
        q: six(0),
        qd: six(6),
        current: six(12),
        tcp_pose: six(18),
        tcp_force: six(24),
        robot_mode: 7,
        safety: 1,
        runtime: 2,
        robot_bits: 3,
        safety_bits: 1,
        digital_in: n,
        digital_out: u64::MAX - n,
        speed_scaling: 1.0,
        viewpoint: (n / 100) as i32,
        token: -5,
        outcome: 0,
        extra: (0..23).map(at).collect(),
    }
}

fn picture(n: u64) -> ImageMessage {
    ImageMessage {
        camera: id(if n.is_multiple_of(2) { "wrist" } else { "table" }),
        part: id("part-1"),
        viewpoint: n as u32,
        pose: [0.1, 0.2, 0.3, 1.0, 2.0, n as f64],
        seq: 3,
        controller_ns: 5 + n,
        image: Image {
            bytes: (0..200_000).map(|i| (i * (n + 1)) as u8).collect(),
            encoding: Encoding::Png,
            width: 640,
            height: 480,
            host_ns: 1_795_219_200_000_000_000 + n,
        },
    }
}

fn states(count: u64) -> Vec<u8> {
    let mut recorder = StateRecorder::start(Vec::new(), &about()).unwrap();
    for n in 0..count {
        recorder.write(&sample(n)).unwrap();
    }
    recorder.finish().unwrap()
}

fn pictures(count: u64) -> Vec<u8> {
    let mut recorder = ImageRecorder::start(Vec::new(), &about()).unwrap();
    for n in 0..count {
        recorder.write(&picture(n)).unwrap();
    }
    recorder.finish().unwrap()
}

#[test]
fn no_sample_of_a_minute_at_500_hz_is_lost() {
    let mut recorder = StateRecorder::start(Vec::new(), &about()).unwrap();
    for n in 0..30_000 {
        recorder.write(&sample(n)).unwrap();
    }
    assert_eq!(recorder.samples(), 30_000);
    let bytes = recorder.finish().unwrap();
    let mut count = 0;
    for (n, read) in (0..).zip(States::new(bytes.as_slice())) {
        assert_eq!(read.unwrap(), sample(n));
        count += 1;
    }
    assert_eq!(count, 30_000);
}

#[test]
fn numbers_that_are_no_numbers_survive() {
    let odd = [f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE, f64::MAX, f64::NAN];
    let mut recorder = StateRecorder::start(Vec::new(), &about()).unwrap();
    recorder.write(&StateSample { q: odd, ..sample(0) }).unwrap();
    let bytes = recorder.finish().unwrap();
    let read = States::new(bytes.as_slice()).next().unwrap().unwrap();
    assert_eq!(read.q.map(f64::to_bits), odd.map(f64::to_bits));
}

#[test]
fn pictures_come_back_and_are_bounded() {
    let bytes = pictures(7);
    let read = read_images(bytes.as_slice(), 7, 7 * 200_000).unwrap();
    assert_eq!(read, (0..7).map(picture).collect::<Vec<_>>());
    for (count, size) in [(6, usize::MAX), (7, 7 * 200_000 - 1)] {
        let refused = read_images(bytes.as_slice(), count, size);
        assert!(matches!(refused, Err(ReadError::Limit { .. })), "{refused:?}");
    }
}

#[test]
fn what_is_too_large_is_not_recorded() {
    let mut recorder = StateRecorder::start(Vec::new(), &about()).unwrap();
    let wide = StateSample { extra: vec![0.0; 65], ..sample(0) };
    assert!(matches!(recorder.write(&wide), Err(RecordError::Refused(_))));
    assert_eq!(recorder.samples(), 0);
    let mut recorder = ImageRecorder::start(Vec::new(), &about()).unwrap();
    let mut large = picture(0);
    large.image.bytes = vec![0; (32 << 20) + 1];
    assert!(matches!(recorder.write(&large), Err(RecordError::Refused(_))));
    assert_eq!(recorder.samples(), 0);
}

#[test]
fn a_cut_recording_ends_in_an_error() {
    for (bytes, images) in [(states(1000), false), (pictures(3), true)] {
        for cut in [bytes.len() - 1, bytes.len() / 2, 100, 1, 0] {
            let kept = &bytes[..cut];
            let broken = if images {
                Images::new(kept).any(|m| m.is_err())
            } else {
                States::new(kept).any(|m| m.is_err())
            };
            assert!(broken, "cut at {cut}");
        }
    }
}

#[test]
fn the_readers_take_their_own_channels_only() {
    assert_eq!(States::new(pictures(2).as_slice()).count(), 0);
    assert_eq!(Images::new(states(2).as_slice()).count(), 0);
    let mut writer = mcap::Writer::new(io::Cursor::new(Vec::new())).unwrap();
    let channel = writer.add_channel(0, "/robot/state", "json", &Default::default()).unwrap();
    let header = mcap::records::MessageHeader {
        channel_id: channel,
        sequence: 0,
        log_time: 0,
        publish_time: 0,
    };
    writer.write_to_known_channel(&header, b"{}").unwrap();
    writer.finish().unwrap();
    let bytes = writer.into_inner().into_inner();
    let mut reader = States::new(bytes.as_slice());
    let refused = reader.next().unwrap().unwrap_err().to_string();
    assert!(refused.contains("does not declare interlock.RobotState"), "{refused}");
    assert!(reader.next().is_none(), "nothing is read after an error");
}

fn drain(bytes: &[u8]) {
    let _ = States::new(bytes).filter(|s| s.is_ok()).count();
    let _ = read_images(bytes, 100, 1 << 24);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drain(&bytes);
        drain(&[b"\x89MCAP0\r\n", bytes.as_slice()].concat());
    }

    #[test]
    fn a_changed_recording_never_panics(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        image in any::<bool>(),
    ) {
        let mut bytes = if image { pictures(2) } else { states(20) };
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        drain(&bytes);
    }

    #[test]
    fn a_changed_sample_is_never_taken_for_another(at: prop::sample::Index, bit in 0..8u8) {
        let good = states(20);
        let mut bytes = good.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // Within chunks a checksum covers each byte of a sample; a change elsewhere
        // may be harmless.
        for (n, read) in (0..).zip(States::new(bytes.as_slice())) {
            if let Ok(read) = read {
                prop_assert_eq!(read, sample(n));
            }
        }
    }
}

/// A sink that fails after so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_and_stays_one() {
    let mut recorder = StateRecorder::start(Full(100_000), &about()).unwrap();
    let failed = (0..2000).find(|n| recorder.write(&sample(*n)).is_err()).unwrap();
    assert!(recorder.write(&sample(failed)).is_err());
    assert!(recorder.finish().is_err());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recording_with_its_journal_verifies() {
    let key = Arc::new(SecretKey::from_seed(&[3; 32]).unwrap());
    let start = Millis(1_795_219_200_000);
    let log = Log::default();
    let state = Checkpoints::new(id("rec-1"), sha256(b"order"), start);
    let mut journal = Journal::new(state, key.clone(), log.clone());
    let mut recorder = StateRecorder::start(Vec::new(), &about()).unwrap();
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    // As a vault does, each full 64 KiB that left the recorder is a leaf.
    let feed = |journal: &mut Journal<Log>, leaves: &mut Vec<Vec<u8>>, out: &[u8], all: bool| {
        for block in out.chunks(65_536).skip(leaves.len()) {
            if all || block.len() == 65_536 {
                leaves.push(sha256(block).0.to_vec());
                journal.leaf(leaves.last().unwrap(), block.len() as u64);
            }
        }
    };
    for n in 0..2000 {
        recorder.write(&sample(n)).unwrap();
        let now = start.plus(n * 2);
        journal.sample(now);
        recorder.with_sink(|out| feed(&mut journal, &mut leaves, out, false));
        journal.tick(now).unwrap();
    }
    let out = recorder.finish().unwrap();
    feed(&mut journal, &mut leaves, &out, true);
    let last = journal.finish().unwrap();
    let written = log.0.lock().unwrap().clone();
    let chain = read_checkpoints(written.as_slice()).unwrap();
    let verified = verify_chain(&chain, &key.public(), &leaves).unwrap();
    assert_eq!(verified.last(), &last.claim);
    assert_eq!(verified.last().samples, 2000);
    assert_eq!(verified.last().leaves, out.len().div_ceil(65_536) as u64);
    assert_eq!(verified.checkpoints(), 4, "one each second of four, the last one final");

    let refused = read_checkpoints(&written[..written.len() - 1]).unwrap_err().to_string();
    assert!(refused.contains("line 4"), "{refused}");
    let spaced = [b" ", written.as_slice()].concat();
    assert!(read_checkpoints(spaced.as_slice()).unwrap_err().to_string().contains("line 1"));
    let long = vec![b'x'; 70_000];
    assert!(read_checkpoints(long.as_slice()).unwrap_err().to_string().contains("too long"));
}
