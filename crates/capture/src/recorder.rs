//! Writing recordings: one MCAP file per stream, without seeking.
//!
//! Bytes leave in chunks with a checksum each, and the file ends with MCAP's
//! summary. A recorder that is dropped before [`finish`](StateRecorder::finish)
//! leaves a file that is not the recording its final checkpoint would name. After
//! an error of the sink a recorder takes nothing more.

use crate::schema::{
    Described, ImageMessage, MAX_EXTRA, PartImage, RobotState, StateSample, Wrench,
};
use base::{Digest, Id};
use mcap::{
    McapError, WriteOptions, Writer,
    records::{MessageHeader, Metadata},
    write::NoSeek,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// The topic of the robot's state.
pub const STATE_TOPIC: &str = "/robot/state";
/// The topic of force and torque.
pub const WRENCH_TOPIC: &str = "/robot/wrench";
/// The name of the metadata record that says what a file is.
pub const METADATA: &str = "interlock";
/// The most bytes a picture may have (32 MiB).
pub const MAX_IMAGE_BYTES: usize = 32 * 1024 * 1024;

/// What is recorded: kept in the file as its metadata record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The recording.
    pub recording: Id,
    /// The run.
    pub run: Id,
    /// The order that the run carries out.
    pub order: Digest,
    /// The cell.
    pub cell: Id,
    /// The robot.
    pub robot: Id,
}

/// Why something was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The sample or picture passes a bound.
    #[error("not recorded: {0}")]
    Refused(String),
    /// The sink or the format stands in the way.
    #[error("the recording cannot go on: {0}")]
    Write(#[from] McapError),
}

/// The sink is the format writer's, and still the caller's to look at.
struct Shared<W>(Arc<Mutex<W>>);

impl<W: Write> Write for Shared<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// One MCAP file being written.
struct Stream<W: Write> {
    writer: Writer<NoSeek<Shared<W>>>,
    sink: Arc<Mutex<W>>,
    buffer: Vec<u8>,
}

impl<W: Write> Stream<W> {
    fn start(sink: W, chunk: u64, about: &About) -> Result<Self, RecordError> {
        let sink = Arc::new(Mutex::new(sink));
        let mut writer = WriteOptions::new()
            .compression(None)
            .chunk_size(Some(chunk))
            .disable_seeking(true)
            .library(concat!("interlock/", env!("CARGO_PKG_VERSION")))
            .create(NoSeek::new(Shared(sink.clone())))?;
        let entries = [
            ("recording", about.recording.to_string()),
            ("run", about.run.to_string()),
            ("order", about.order.to_string()),
            ("cell", about.cell.to_string()),
            ("robot", about.robot.to_string()),
        ];
        let metadata = entries.map(|(key, value)| (key.to_owned(), value)).into();
        writer.write_metadata(&Metadata { name: METADATA.to_owned(), metadata })?;
        Ok(Self { writer, sink, buffer: Vec::new() })
    }

    fn channel<M: Described>(&mut self, topic: &str) -> Result<u16, RecordError> {
        let schema = self.writer.add_schema(M::NAME, "protobuf", &M::schema())?;
        Ok(self.writer.add_channel(schema, topic, "protobuf", &BTreeMap::new())?)
    }

    fn write(&mut self, header: MessageHeader, message: &impl Message) -> Result<(), RecordError> {
        self.buffer.clear();
        // A vector grows as needed, so encoding into it cannot fail.
        let _ = message.encode(&mut self.buffer);
        Ok(self.writer.write_to_known_channel(&header, &self.buffer)?)
    }

    fn with_sink<T>(&self, look: impl FnOnce(&W) -> T) -> T {
        look(&self.sink.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn finish(mut self) -> Result<W, RecordError> {
        self.writer.finish()?;
        drop(self.writer);
        let sink = Arc::into_inner(self.sink)
            .ok_or_else(|| RecordError::Refused("the sink is still in use".to_owned()))?;
        Ok(sink.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// MCAP counts messages of a channel in 32 bits and lets the count wrap.
fn wrapped(count: u64) -> u32 {
    (count & u64::from(u32::MAX)) as u32
}

/// Records a robot's state and force: two messages a sample.
pub struct StateRecorder<W: Write> {
    stream: Stream<W>,
    state: u16,
    wrench: u16,
    samples: u64,
}

impl<W: Write> StateRecorder<W> {
    /// Starts a recording.
    pub fn start(sink: W, about: &About) -> Result<Self, RecordError> {
        let mut stream = Stream::start(sink, 256 * 1024, about)?;
        let state = stream.channel::<RobotState>(STATE_TOPIC)?;
        let wrench = stream.channel::<Wrench>(WRENCH_TOPIC)?;
        Ok(Self { stream, state, wrench, samples: 0 })
    }

    /// Records a sample.
    pub fn write(&mut self, sample: &StateSample) -> Result<(), RecordError> {
        if sample.extra.len() > MAX_EXTRA {
            let reason = format!("{} extra channels, at most {MAX_EXTRA}", sample.extra.len());
            return Err(RecordError::Refused(reason));
        }
        let header = |channel_id| MessageHeader {
            channel_id,
            sequence: wrapped(self.samples),
            log_time: sample.host_ns,
            publish_time: sample.controller_ns,
        };
        let (state, wrench) = (header(self.state), header(self.wrench));
        self.stream.write(state, &RobotState::from(sample))?;
        self.stream.write(wrench, &Wrench::from(sample))?;
        self.samples += 1;
        Ok(())
    }

    /// How many samples were recorded.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Looks at the sink, as for the leaves that it has stored so far.
    pub fn with_sink<T>(&self, look: impl FnOnce(&W) -> T) -> T {
        self.stream.with_sink(look)
    }

    /// Ends the file and gives the sink back.
    pub fn finish(self) -> Result<W, RecordError> {
        self.stream.finish()
    }
}

/// Records the pictures of one or more cameras.
pub struct ImageRecorder<W: Write> {
    stream: Stream<W>,
    channels: BTreeMap<Id, (u16, u64)>,
}

impl<W: Write> ImageRecorder<W> {
    /// Starts a recording.
    pub fn start(sink: W, about: &About) -> Result<Self, RecordError> {
        let stream = Stream::start(sink, 1024 * 1024, about)?;
        Ok(Self { stream, channels: BTreeMap::new() })
    }

    /// Records a picture on its camera's topic, `/camera/<name>/image`.
    pub fn write(&mut self, message: &ImageMessage) -> Result<(), RecordError> {
        let size = message.image.bytes.len();
        if size > MAX_IMAGE_BYTES {
            let reason = format!("a picture of {size} bytes, at most {MAX_IMAGE_BYTES}");
            return Err(RecordError::Refused(reason));
        }
        let (channel_id, count) = match self.channels.get(&message.camera) {
            Some(known) => *known,
            None => {
                let topic = format!("/camera/{}/image", message.camera);
                (self.stream.channel::<PartImage>(&topic)?, 0)
            }
        };
        let header = MessageHeader {
            channel_id,
            sequence: wrapped(count),
            log_time: message.image.host_ns,
            publish_time: message.controller_ns,
        };
        self.stream.write(header, &PartImage::from(message))?;
        self.channels.insert(message.camera.clone(), (channel_id, count + 1));
        Ok(())
    }

    /// How many pictures were recorded, of all cameras.
    pub fn samples(&self) -> u64 {
        self.channels.values().map(|(_, count)| count).sum()
    }

    /// Looks at the sink, as for the leaves that it has stored so far.
    pub fn with_sink<T>(&self, look: impl FnOnce(&W) -> T) -> T {
        self.stream.with_sink(look)
    }

    /// Ends the file and gives the sink back.
    pub fn finish(self) -> Result<W, RecordError> {
        self.stream.finish()
    }
}
