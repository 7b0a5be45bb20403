//! Records what a full cell makes, in real time: 500 samples a second of 64
//! channels, and four cameras of 12 MB/s each, sealed and stored on disk.
//!
//! `cargo run --release -p capture --example record_rate -- [SECONDS] [FOLDER]`
//! prints one line of JSON. The sources never wait: what finds its queue full is
//! lost, and counted. CPU time is the whole process's, sources included.
#![allow(clippy::print_stdout)]

use base::{Id, sha256};
use capture::{About, Encoding, Image, ImageMessage, ImageRecorder, StateRecorder, StateSample};
use std::{
    error::Error,
    fs,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use vault::{
    record::Recorder,
    seal::{StreamHeader, StreamKey},
    store::Store,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Samples a second.
const RATE: u64 = 500;
/// Beside the sample's 30 channels of joints, pose and force: 64 in all.
const EXTRA: usize = 34;
const CAMERAS: u64 = 4;
/// Pictures a second and camera, 1 MB each.
const PICTURES: u64 = 12;
const PICTURE_BYTES: usize = 1_000_000;

/// CPU seconds of this process, user and system (Linux counts in hundredths).
fn cpu() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || ticks.next().ok_or("short /proc/self/stat");
    Ok((next()?? + next()??) / 100.0)
}

fn nanoseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn seal(store: &Arc<Store>, name: &[u8]) -> Result<Recorder, Failure> {
    let key = StreamKey::generate(aws_lc_rs::rand::fill)?;
    let header = StreamHeader::generate(aws_lc_rs::rand::fill)?;
    Ok(Recorder::start(store.clone(), &key, header, name)?)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::Builder::new().prefix("record-rate").tempdir_in(parent)?;
    let store = Arc::new(Store::open(dir.path())?);
    let about = About {
        recording: "bench".parse()?,
        run: "bench".parse()?,
        order: sha256(b"bench"),
        cell: "cell-1".parse()?,
        robot: "robot-1".parse()?,
    };
    let mut states = StateRecorder::start(seal(&store, b"state")?, &about)?;
    let mut images = ImageRecorder::start(seal(&store, b"camera")?, &about)?;
    // Half a second of samples, a third of a second of pictures.
    let (sample_to, samples) = mpsc::sync_channel::<StateSample>(250);
    let (image_to, pictures) = mpsc::sync_channel::<ImageMessage>(16);
    let state_thread = thread::spawn(move || -> Result<u64, Failure> {
        for sample in samples {
            states.write(&sample)?;
        }
        let count = states.samples();
        states.finish()?.finish(|_| Vec::new())?;
        Ok(count)
    });
    let image_thread = thread::spawn(move || -> Result<u64, Failure> {
        for picture in pictures {
            images.write(&picture)?;
        }
        let count = images.samples();
        images.finish()?.finish(|_| Vec::new())?;
        Ok(count)
    });

    let mut picture = vec![0; PICTURE_BYTES];
    aws_lc_rs::rand::fill(&mut picture)?;
    let cameras: Vec<Id> =
        (1..=CAMERAS).map(|n| format!("camera-{n}").parse()).collect::<Result<_, _>>()?;
    let (before, began) = (cpu()?, Instant::now());
    let (mut lost_samples, mut lost_pictures, mut shot) = (0_u64, 0_u64, 0_u64);
    for tick in 0..seconds * RATE {
        let due = Duration::from_micros(tick * 1_000_000 / RATE);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let controller_ns = tick * 1_000_000_000 / RATE;
        let sample = StateSample {
            host_ns: nanoseconds(),
            controller_ns,
            q: [tick as f64; 6],
            extra: vec![tick as f64; EXTRA],
            ..StateSample::default()
        };
        lost_samples += u64::from(sample_to.try_send(sample).is_err());
        // The cameras take turns, evenly.
        while shot * RATE < tick * CAMERAS * PICTURES {
            let turn = usize::try_from(shot % CAMERAS).unwrap_or_default();
            let camera = cameras.get(turn).cloned().ok_or("no camera")?;
            let image = Image {
                bytes: picture.clone(),
                encoding: Encoding::Jpeg,
                width: 2048,
                height: 1536,
                host_ns: nanoseconds(),
            };
            let message = ImageMessage {
                camera,
                part: about.run.clone(),
                viewpoint: 1,
                pose: [0.0; 6],
                seq: shot,
                controller_ns,
                image,
            };
            lost_pictures += u64::from(image_to.try_send(message).is_err());
            shot += 1;
        }
    }
    drop((sample_to, image_to));
    let samples = state_thread.join().map_err(|_| "the state recorder panicked")??;
    let pictures = image_thread.join().map_err(|_| "the image recorder panicked")??;
    let (used, wall) = (cpu()? - before, began.elapsed().as_secs_f64());
    println!(
        "{{\"samples\":{samples},\"lost_samples\":{lost_samples},\"pictures\":{pictures},\
         \"lost_pictures\":{lost_pictures},\"cpu_s\":{used:.2},\"wall_s\":{wall:.2},\
         \"cpu_percent_of_a_core\":{:.1}}}",
        used / wall * 100.0
    );
    Ok(())
}
