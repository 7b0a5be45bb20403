//! The camera that the configuration names.

use base::{Digest, Id};
use capture::{
    Camera, Folder, Rendered,
    camera::{Defect, DefectKind, Wear},
};
use node::config::CameraConfig;

/// The camera's name in recordings.
const NAME: &str = "wrist";

/// Opens the camera for one run. Rendered parts lie and are lit as the order's
/// digest has it, so no two runs give the same picture.
///
/// # Errors
/// The folder of photographs cannot be used.
pub fn open(config: &CameraConfig, order: &Digest) -> anyhow::Result<Box<dyn Camera>> {
    let name: Id = NAME.parse()?;
    match config {
        CameraConfig::Folder { path } => Ok(Box::new(Folder::open(name, path)?)),
        CameraConfig::Rendered { defective } => {
            let seed = order.0.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
            let mut camera = Rendered::new(name, seed);
            for part in defective {
                camera.wear(part.clone(), scratch());
            }
            Ok(Box::new(camera))
        }
    }
}

/// What a defective part shows to the first viewpoint, from its second scan on.
fn scratch() -> Wear {
    let defect = Defect { kind: DefectKind::Scratch, x: 0.55, y: 0.45, size: 180.0, angle: 0.6 };
    Wear { since: 1, viewpoint: 1, defect }
}
