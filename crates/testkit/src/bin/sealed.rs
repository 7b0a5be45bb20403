//! Writes sealed recordings as a cell makes them, for the tests of those who open
//! them elsewhere, as the console does in a browser.
//!
//! ```text
//! FOLDER/blocks/CID              ciphertext leaves and tree nodes
//! FOLDER/STREAM/manifest.json    the signed manifest
//! FOLDER/STREAM/checkpoints.jsonl
//! FOLDER/STREAM/key.json         the data key, sealed to the recipient under the grant
//! FOLDER/STREAM/other-key.json   a key that opens as well and is not the recording's
//! FOLDER/STREAM/plain.mcap       the plaintext
//! FOLDER/STREAM/truth.json       what the plaintext says, by our own reader
//! FOLDER/sealed.json             the grant, the cell's key, the roots, a larger tree
//! ```
//!
//! Everything is made up and the keys are thrown away, so plaintext may lie there.

use base::{Id, Millis, sha256};
use capture::{
    About, Encoding, Image, ImageMessage, ImageRecorder, Images, Journal, StateRecorder,
    StateSample, States,
};
use clap::Parser;
use plant::body::{Enforcement, Grant, Term};
use proof::{
    keys::{SecretKey, Signer},
    recording::{Checkpoints, Manifest, Sealing, Signed, SignedCheckpoint, SignedManifest},
};
use serde_json::{Value, json};
use std::{
    error::Error,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use vault::{
    address::raw_cid,
    dag::{DagBuilder, walk},
    grant_key::wrap_for,
    record::{Recorded, Recorder},
    seal::{SEGMENT, StreamHeader, StreamKey},
    store::Store,
};

type Failure = Box<dyn Error>;

/// When the made-up run began, ns since the Unix epoch.
const BEGIN: u64 = 1_795_219_200_000_000_000;
/// Between two samples: 500 Hz.
const STEP: u64 = 2_000_000;
/// Between two pictures.
const SHOT: u64 = 700_000_000;
/// At most so many samples are told in `truth.json`.
const TOLD: u64 = 1000;
/// Leaves of the larger tree: three levels.
const TREE: usize = 400;

/// Writes a sealed state recording and a sealed camera recording into a folder.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The folder to write; it is made.
    folder: PathBuf,
    /// The reader's X25519 public key, 64 hexadecimal digits.
    #[arg(long)]
    recipient: base::Digest,
    /// Samples of the state recording.
    #[arg(long, default_value_t = 1200)]
    samples: u64,
    /// Pictures of the camera recording.
    #[arg(long, default_value_t = 5)]
    pictures: u64,
    /// Bytes of each picture.
    #[arg(long, default_value_t = 1_500_000)]
    picture_bytes: usize,
}

/// What everything in the folder is made for.
struct Scene {
    folder: PathBuf,
    store: Arc<Store>,
    cell: Arc<dyn Signer>,
}

/// A stream's sink: sealed into the vault, and plain beside it.
struct Twin {
    sealed: Recorder,
    plain: Vec<u8>,
}

impl Write for Twin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.sealed.write(bytes)?;
        self.plain.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sealed.flush()
    }
}

/// One stream while it is made.
struct Stream {
    about: About,
    name: &'static str,
    key: StreamKey,
    journal: Journal<File>,
}

impl Stream {
    fn start(scene: &Scene, name: &'static str) -> Result<(Self, Twin), Failure> {
        let about = About {
            recording: format!("run-1.{name}").parse()?,
            run: "run-1".parse()?,
            order: sha256(b"order"),
            cell: "cell-1".parse()?,
            robot: "ur3e".parse()?,
        };
        let folder = scene.folder.join(name);
        fs::create_dir_all(&folder)?;
        let key = StreamKey::generate(aws_lc_rs::rand::fill)?;
        let header = StreamHeader::generate(aws_lc_rs::rand::fill)?;
        let associated = about.recording.as_str().as_bytes();
        let sealed = Recorder::start(scene.store.clone(), &key, header, associated)?;
        let state = Checkpoints::new(about.recording.clone(), about.order, millis(BEGIN));
        let log = File::create(folder.join("checkpoints.jsonl"))?;
        let journal = Journal::new(state, scene.cell.clone(), log);
        Ok((Self { about, name, key, journal }, Twin { sealed, plain: Vec::new() }))
    }

    /// A message was written at a time of the host's clock.
    fn took(&mut self, sink: &Twin, host_ns: u64) -> Result<(), Failure> {
        self.journal.sample(millis(host_ns));
        let fed = usize::try_from(self.journal.leaves())?;
        for cid in sink.sealed.leaves().iter().skip(fed) {
            self.journal.leaf(&cid.to_bytes(), SEGMENT as u64);
        }
        self.journal.tick(millis(host_ns))?;
        Ok(())
    }

    /// Ends the stream and writes its files; returns its root and what it holds.
    fn finish(
        self,
        scene: &Scene,
        twin: Twin,
        samples: u64,
        ended: u64,
    ) -> Result<(String, StreamKey), Failure> {
        let Self { about, name, key, mut journal } = self;
        let folder = scene.folder.join(name);
        fs::write(folder.join("plain.mcap"), &twin.plain)?;
        let recorded = twin.sealed.finish(|_| Vec::new())?;
        let fed = usize::try_from(journal.leaves())?;
        for cid in recorded.leaves.iter().skip(fed) {
            journal.leaf(&cid.to_bytes(), SEGMENT as u64);
        }
        let last = journal.finish()?;
        let manifest = manifest(&about, name, &recorded, &last, samples, ended)?;
        let signed: SignedManifest = Signed::new(manifest, &*scene.cell)?;
        fs::write(folder.join("manifest.json"), signed.to_bytes()?)?;
        blocks(scene, &recorded)?;
        Ok((signed.claim.root_cid, key))
    }
}

fn manifest(
    about: &About,
    name: &str,
    recorded: &Recorded,
    last: &SignedCheckpoint,
    samples: u64,
    ended: u64,
) -> Result<Manifest, Failure> {
    let cameras = if name == "camera" { vec!["wrist".parse()?] } else { Vec::new() };
    Ok(Manifest {
        recording: about.recording.clone(),
        run: about.run.clone(),
        order: about.order,
        stream: name.parse()?,
        media_type: "application/mcap".into(),
        cell: about.cell.clone(),
        robot: about.robot.clone(),
        cameras,
        root_cid: recorded.root.cid.to_string(),
        leaves: last.claim.leaves,
        leaves_root: last.claim.root,
        plaintext_bytes: recorded.plaintext,
        ciphertext_bytes: recorded.root.size,
        sealing: Sealing {
            template: "AES256_GCM_HKDF_1MB".into(),
            segment_bytes: u32::try_from(SEGMENT)?,
            associated_data: about.recording.to_string(),
            key_commitment: recorded.commitment.0,
        },
        started: millis(BEGIN),
        ended: millis(ended),
        samples,
        gaps: 0,
        last_checkpoint: last.digest()?,
    })
}

/// Each block of a recording as a file of its own.
fn blocks(scene: &Scene, recorded: &Recorded) -> Result<(), Failure> {
    let folder = scene.folder.join("blocks");
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let load = |cid: &vault::Cid| -> Result<Vec<u8>, Failure> {
        Ok(scene.store.get(cid)?.ok_or_else(absent)?)
    };
    let keep = |visit: vault::dag::Visit| -> Result<(), Failure> {
        Ok(fs::write(folder.join(visit.cid.to_string()), load(&visit.cid)?)?)
    };
    walk(&recorded.root.cid, None, load, keep).map_err(|e| e.to_string())?;
    Ok(())
}

fn millis(host_ns: u64) -> Millis {
    Millis(host_ns / 1_000_000)
}

/// A sample of a smooth motion; two single samples of the run stand out.
fn sample(n: u64, of: u64) -> StateSample {
    let phase = n as f64 / 700.0;
    let wave = |k: f64| std::array::from_fn(|i| (phase + k + i as f64).sin());
    let mut sample = StateSample {
        host_ns: BEGIN + n * STEP,
        controller_ns: 7_000_000_000 + n * STEP,
        session: 1,
        q: wave(0.0),
        qd: wave(0.1),
        current: wave(0.2),
        tcp_pose: wave(0.3),
        tcp_force: wave(0.4),
        robot_mode: 7,
        safety: if n == of / 4 { 3 } else { 1 },
        runtime: 2,
        robot_bits: 3,
        safety_bits: 1,
        digital_in: n,
        digital_out: u64::MAX - n,
        speed_scaling: if n * 2 < of { 1.0 } else { 0.5 },
        viewpoint: i32::try_from(n * 5 / of.max(1)).unwrap_or_default(),
        token: -5,
        outcome: 0,
        extra: Vec::new(),
    };
    if n == of / 2 {
        sample.q[2] = 9.0;
    }
    if n == of / 3 {
        sample.tcp_force[0] = -250.0;
    }
    sample
}

fn picture(n: u64, bytes: usize) -> Result<ImageMessage, Failure> {
    let seed = sha256(&n.to_be_bytes()).0;
    Ok(ImageMessage {
        camera: "wrist".parse()?,
        part: "part-1".parse()?,
        viewpoint: u32::try_from(n)? + 1,
        pose: [0.1, 0.2, 0.3, 1.0, 2.0, n as f64],
        seq: 3,
        controller_ns: n * SHOT,
        image: Image {
            bytes: seed.into_iter().cycle().take(bytes).collect(),
            encoding: if n.is_multiple_of(2) { Encoding::Png } else { Encoding::Jpeg },
            width: 640,
            height: 480,
            host_ns: BEGIN + n * SHOT,
        },
    })
}

fn state(scene: &Scene, samples: u64) -> Result<(String, StreamKey), Failure> {
    let (mut stream, twin) = Stream::start(scene, "state")?;
    let mut recorder = StateRecorder::start(twin, &stream.about)?;
    for n in 0..samples {
        recorder.write(&sample(n, samples))?;
        recorder.with_sink(|sink| stream.took(sink, BEGIN + n * STEP))?;
    }
    let twin = recorder.finish()?;
    let every = samples.div_ceil(TOLD).max(1);
    let mut told = Vec::new();
    for (n, read) in (0u64..).zip(States::new(twin.plain.as_slice())) {
        let s = read?;
        let stands_out = n == samples / 2 || n == samples / 3 || n == samples / 4;
        if n.is_multiple_of(every) || stands_out {
            told.push(json!({
                "n": n, "host_ns": s.host_ns.to_string(), "q": s.q, "qd": s.qd,
                "current": s.current, "tcp_pose": s.tcp_pose, "tcp_force": s.tcp_force,
                "mode": s.robot_mode, "safety": s.safety, "runtime": s.runtime,
                "speed_scaling": s.speed_scaling, "viewpoint": s.viewpoint, "token": s.token,
                "outcome": s.outcome,
            }));
        }
    }
    tell(scene, "state", &json!(told))?;
    stream.finish(scene, twin, samples, BEGIN + samples * STEP)
}

fn camera(scene: &Scene, pictures: u64, bytes: usize) -> Result<(String, StreamKey), Failure> {
    let (mut stream, twin) = Stream::start(scene, "camera")?;
    let mut recorder = ImageRecorder::start(twin, &stream.about)?;
    for n in 0..pictures {
        recorder.write(&picture(n, bytes)?)?;
        recorder.with_sink(|sink| stream.took(sink, BEGIN + n * SHOT))?;
    }
    let twin = recorder.finish()?;
    let mut told = Vec::new();
    for read in Images::new(twin.plain.as_slice()) {
        let m = read?;
        told.push(json!({
            "host_ns": m.image.host_ns.to_string(), "camera": m.camera, "part": m.part,
            "viewpoint": m.viewpoint, "pose": m.pose, "seq": m.seq,
            "media_type": m.image.encoding.media_type(), "width": m.image.width,
            "height": m.image.height, "sha256": sha256(&m.image.bytes),
        }));
    }
    tell(scene, "camera", &json!(told))?;
    stream.finish(scene, twin, pictures, BEGIN + pictures * SHOT)
}

fn tell(scene: &Scene, name: &str, truth: &Value) -> Result<(), Failure> {
    Ok(fs::write(scene.folder.join(name).join("truth.json"), serde_json::to_vec(truth)?)?)
}

/// A grant of both recordings to the recipient.
fn grant(roots: [&String; 2]) -> Result<Grant, Failure> {
    let term = |enforcement, text: &str| Term { enforcement, text: text.into() };
    Ok(Grant {
        budget: 1 << 30,
        not_after: Millis(BEGIN / 1_000_000 + 86_400_000),
        not_before: millis(BEGIN),
        order: sha256(b"order"),
        processor: "mara".parse::<Id>()?,
        purpose: "to look at the run again".into(),
        recordings: roots.into_iter().cloned().collect(),
        terms: vec![
            term(Enforcement::Enforced, "Reads end with the grant."),
            term(Enforcement::Contractual, "Copies are deleted: \u{fc}berall, \u{2028} \"now\"."),
        ],
    })
}

/// Seals a stream's key to the recipient, as the site does under a grant, and
/// another key in the same way.
fn seal_keys(
    scene: &Scene,
    name: &str,
    grant: &Grant,
    id: &base::Digest,
    recipient: &base::Digest,
    (root, key): &(String, StreamKey),
) -> Result<(), Failure> {
    let aad = [root.as_bytes(), &grant.terms_digest().0].concat();
    let other = StreamKey::generate(aws_lc_rs::rand::fill)?;
    for (file, key) in [("key.json", key), ("other-key.json", &other)] {
        let wrapped = wrap_for(&recipient.0, &id.0, &aad, key, aws_lc_rs::rand::fill)?;
        fs::write(scene.folder.join(name).join(file), serde_json::to_vec(&wrapped)?)?;
    }
    Ok(())
}

/// The nodes of a tree of three levels over leaves that are not there.
fn tree(folder: &Path) -> Result<Value, Failure> {
    let mut builder = DagBuilder::new();
    let leaves = (0..TREE).map(|n| raw_cid(&n.to_be_bytes())).collect::<Vec<_>>();
    for leaf in &leaves {
        builder.push(*leaf, 8);
    }
    let dag = builder.finish().ok_or("a tree has leaves")?;
    for (cid, bytes) in &dag.blocks {
        fs::write(folder.join(cid.to_string()), bytes)?;
    }
    let leaves = leaves.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(json!({ "root": dag.root.to_string(), "size": dag.size, "leaves": leaves }))
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let folder = arguments.folder;
    fs::create_dir_all(folder.join("blocks"))?;
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed)?;
    let cell: Arc<dyn Signer> = Arc::new(SecretKey::from_seed(&seed)?);
    let store = Arc::new(Store::open(folder.join("store"))?);
    let scene = Scene { folder, store, cell };
    let state = state(&scene, arguments.samples)?;
    let camera = camera(&scene, arguments.pictures, arguments.picture_bytes)?;
    let grant = grant([&state.0, &camera.0])?;
    let id = sha256(&base::to_canonical(&grant)?);
    seal_keys(&scene, "state", &grant, &id, &arguments.recipient, &state)?;
    seal_keys(&scene, "camera", &grant, &id, &arguments.recipient, &camera)?;
    let summary = json!({
        "grant": { "id": id, "body": grant },
        "cell_key": base::Digest(scene.cell.public()),
        "state": state.0,
        "camera": camera.0,
        "tree": tree(&scene.folder.join("blocks"))?,
    });
    fs::remove_dir_all(scene.folder.join("store"))?;
    Ok(fs::write(scene.folder.join("sealed.json"), serde_json::to_vec(&summary)?)?)
}
