//! Cameras.
//!
//! A [`Camera`] is asked for one picture of one part from one viewpoint and gives
//! compressed bytes. Time comes with the request, taken by the cell at the
//! trigger, so that a picture and the robot's state share one clock. [`Rendered`]
//! makes pictures of machined parts for plants without a camera, [`Folder`]
//! replays photographs. Both give the same picture for the same request.

mod folder;
mod noise;
mod rendered;
mod surface;

pub use folder::{Folder, Layout};
pub use rendered::{Rendered, Wear};
pub use surface::{Defect, DefectKind};

use base::Id;

/// The most pixels on a side of a picture.
pub const MAX_SIDE: u32 = 16_384;

/// What a camera is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CaptureRequest<'a> {
    /// The part that lies before the camera, as the order names it.
    pub part: &'a Id,
    /// The viewpoint of the scan program.
    pub viewpoint: u32,
    /// The camera's pose in the base frame: metres, then a rotation vector in rad.
    pub pose: [f64; 6],
    /// The number of the part's scan, from 0.
    pub seq: u64,
    /// The host's clock at the trigger, ns since the Unix epoch.
    pub host_ns: u64,
}

/// How a picture is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

impl Encoding {
    /// The name used in recordings: `jpeg` or `png`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
        }
    }

    /// The encoding of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png].into_iter().find(|e| e.name() == name)
    }

    /// The media type: `image/jpeg` or `image/png`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The compressed bytes.
    pub bytes: Vec<u8>,
    /// How they are compressed.
    pub encoding: Encoding,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The host's clock at the trigger, ns since the Unix epoch.
    pub host_ns: u64,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The camera cannot see what was asked for.
    #[error("camera `{camera}` has no picture of part `{part}`: {reason}")]
    NoPicture {
        /// The camera.
        camera: Id,
        /// The part asked for.
        part: Id,
        /// What is there instead.
        reason: String,
    },
    /// The camera cannot be used at all.
    #[error("camera `{camera}` cannot be used: {reason}")]
    Unusable {
        /// The camera.
        camera: Id,
        /// What is wrong, and what is expected.
        reason: String,
    },
}

/// A camera before which parts are laid.
pub trait Camera: Send {
    /// Its name, which becomes its topic.
    fn name(&self) -> &Id;

    /// Takes a picture. May block for as long as an exposure takes.
    fn capture(&mut self, request: &CaptureRequest<'_>) -> Result<Image, CameraError>;
}
