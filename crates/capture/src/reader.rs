//! Reading recordings back, from any source and without trust in it.
//!
//! A file is read from front to end, one record at a time, so memory is bounded by
//! the largest record and what the caller keeps. Checksums of chunks and of the
//! data section are checked; a file that was cut short, compressed, or has a
//! message that is not of the declared type ends in an error, after which nothing
//! more is read. MCAP's checksums find accidents only: who needs proof verifies
//! the recording's checkpoints first.

use crate::{
    recorder::{MAX_IMAGE_BYTES, STATE_TOPIC, WRENCH_TOPIC},
    schema::{
        Described, ImageMessage, PartImage, RobotState, StateSample, Wrench, picture, sample,
    },
};
use mcap::{McapError, io::MessageReader, sans_io::LinearReaderOptions};
use std::io::Read;

/// The most bytes of one record: the largest picture with its chunk.
const MAX_RECORD_BYTES: usize = 2 * MAX_IMAGE_BYTES;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not a whole MCAP file, or could not be had.
    #[error("not a whole MCAP recording: {0}")]
    Format(#[from] McapError),
    /// A message is not what its channel declares.
    #[error("message {at}: {reason}")]
    Message {
        /// Its number in the file, from 0.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is more than the caller takes.
    #[error("more than {limit} {what} in the recording")]
    Limit {
        /// The most that is taken.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
}

/// The messages of a file, in order.
struct Messages<R> {
    reader: MessageReader<R>,
    next: u64,
    broken: bool,
}

impl<R: Read> Messages<R> {
    fn new(source: R) -> Self {
        let options = LinearReaderOptions::default()
            .with_prevalidate_chunk_crcs(true)
            .with_validate_data_section_crc(true)
            .with_validate_summary_section_crc(true)
            .with_record_length_limit(MAX_RECORD_BYTES);
        Self { reader: MessageReader::new_with_options(source, options), next: 0, broken: false }
    }

    /// The next item that `take` makes of messages; `None` from it skips one.
    fn next_item<T>(
        &mut self,
        mut take: impl FnMut(mcap::Message<'static>) -> Result<Option<T>, String>,
    ) -> Option<Result<T, ReadError>> {
        while !self.broken {
            let at = self.next;
            self.next += 1;
            let taken = match self.reader.next()? {
                Ok(message) => take(message).map_err(|reason| ReadError::Message { at, reason }),
                Err(error) => Err(error.into()),
            };
            self.broken = taken.is_err();
            match taken.transpose() {
                None => {}
                item => return item,
            }
        }
        None
    }
}

fn decode<M: Described>(message: &mcap::Message<'_>) -> Result<M, String> {
    let schema = message.channel.schema.as_ref().map(|s| (s.name.as_str(), s.encoding.as_str()));
    if schema != Some((M::NAME, "protobuf")) || message.channel.message_encoding != "protobuf" {
        let topic: String = message.channel.topic.chars().take(80).collect();
        return Err(format!("topic `{topic}` does not declare {} as protobuf", M::NAME));
    }
    M::decode(message.data.as_ref()).map_err(|e| format!("not a {}: {e}", M::NAME))
}

/// The samples of a state recording, in order. Ends after the first error.
pub struct States<R> {
    messages: Messages<R>,
    half: Option<(u32, RobotState)>,
}

impl<R: Read> States<R> {
    /// Reads from a source.
    pub fn new(source: R) -> Self {
        Self { messages: Messages::new(source), half: None }
    }
}

impl<R: Read> Iterator for States<R> {
    type Item = Result<StateSample, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let half = &mut self.half;
        let item = self.messages.next_item(|m| match m.channel.topic.as_str() {
            STATE_TOPIC if half.is_some() => Err("a state without force before it".to_owned()),
            STATE_TOPIC => {
                *half = Some((m.sequence, decode(&m)?));
                Ok(None)
            }
            WRENCH_TOPIC => match half.take() {
                Some((sequence, state)) if sequence == m.sequence => {
                    sample(m.log_time, m.publish_time, state, &decode::<Wrench>(&m)?).map(Some)
                }
                _ => Err("a force without its state".to_owned()),
            },
            _ => Ok(None),
        });
        if item.is_none() && half.take().is_some() {
            let at = self.messages.next;
            return Some(Err(ReadError::Message {
                at,
                reason: "a state without force".to_owned(),
            }));
        }
        item
    }
}

/// The pictures of a recording, in order. Ends after the first error.
pub struct Images<R>(Messages<R>);

impl<R: Read> Images<R> {
    /// Reads from a source.
    pub fn new(source: R) -> Self {
        Self(Messages::new(source))
    }
}

impl<R: Read> Iterator for Images<R> {
    type Item = Result<ImageMessage, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_item(|m| {
            let topic = m.channel.topic.as_str();
            if !(topic.starts_with("/camera/") && topic.ends_with("/image")) {
                return Ok(None);
            }
            let image = picture(m.log_time, m.publish_time, decode::<PartImage>(&m)?)?;
            if topic == format!("/camera/{}/image", image.camera) {
                Ok(Some(image))
            } else {
                Err(format!("a picture of camera `{}` on another one's topic", image.camera))
            }
        })
    }
}

/// All pictures of a recording: at most `count`, of at most `bytes` together.
pub fn read_images(
    source: impl Read,
    count: usize,
    bytes: usize,
) -> Result<Vec<ImageMessage>, ReadError> {
    let (mut images, mut total) = (Vec::new(), 0usize);
    for image in Images::new(source) {
        let image = image?;
        total = total.saturating_add(image.image.bytes.len());
        if total > bytes {
            return Err(ReadError::Limit { limit: bytes as u64, what: "bytes of pictures" });
        }
        if images.len() == count {
            return Err(ReadError::Limit { limit: count as u64, what: "pictures" });
        }
        images.push(image);
    }
    Ok(images)
}
