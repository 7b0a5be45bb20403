//! Recordings of a run, and the cameras that feed them.
//!
//! ```text
//! Sample ──► StateRecorder ─┐  MCAP bytes  ┌──► the vault's sealing writer ──► leaves
//! Camera ──► ImageRecorder ─┘─────────────►┘                                    │ CIDs
//!                                       signed checkpoints ◄── Journal ◄────────┘
//! ```
//!
//! [`recorder`] writes one MCAP file per stream into any [`std::io::Write`], never
//! seeking, so the caller gives the sealing writer and plaintext stays in memory.
//! [`reader`] reads such files back, and takes them for hostile. [`journal`] signs
//! the stream's checkpoints while it runs; what a checkpoint says and how a chain
//! of them is verified is in [`proof::recording`]. [`camera`] has the cameras.
//!
//! Each sample bears two times: the host's clock, in nanoseconds since the Unix
//! epoch, as MCAP's log time, and the controller's own as its publish time.

pub mod camera;
pub mod journal;
pub mod reader;
pub mod recorder;
mod schema;

pub use camera::{Camera, CameraError, CaptureRequest, Encoding, Folder, Image, Rendered};
pub use journal::{Journal, JournalError, read_checkpoints};
pub use reader::{Images, ReadError, States, read_images};
pub use recorder::{About, ImageRecorder, RecordError, StateRecorder};
pub use schema::{ImageMessage, StateSample};
