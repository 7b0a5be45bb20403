//! A folder of photographs as a camera.
//!
//! Two layouts are known. A folder of folders holds one folder per part, whose
//! photographs in the order of their names are the part's successive scans:
//! `DIR/<part>/*.jpg`. A flat folder holds one photograph of each part with the
//! template it should equal: `NNNN_test.jpg` and `NNNN_template.jpg`; each scan of
//! a part sees the same photograph. Names of parts are lower-cased. A photograph
//! stands for all viewpoints of its scan.

use super::{Camera, CameraError, CaptureRequest, Encoding, Image, MAX_SIDE};
use base::Id;
use image::ImageReader;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

/// The most bytes of a photograph (32 MiB).
const MAX_BYTES: u64 = crate::recorder::MAX_IMAGE_BYTES as u64;
/// The most files looked at.
const MAX_FILES: usize = 100_000;

const EXPECTED: &str = "expected are `DIR/<part>/*.jpg` or `DIR/NNNN_test.jpg` with `NNNN_template.jpg` (jpg, jpeg or png)";

/// How a folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One folder per part, successive photographs in it.
    PerPart,
    /// Flat: a photograph and a template per part.
    Templates,
}

#[derive(Debug, Default)]
struct Photographs {
    scans: Vec<PathBuf>,
    template: Option<PathBuf>,
}

/// A camera that replays photographs.
#[derive(Debug)]
pub struct Folder {
    name: Id,
    layout: Layout,
    parts: BTreeMap<Id, Photographs>,
}

impl Folder {
    /// Looks at a folder and finds out its layout.
    pub fn open(name: Id, dir: &Path) -> Result<Self, CameraError> {
        let unusable = |reason: String| CameraError::Unusable { camera: name.clone(), reason };
        let list = |dir: &Path| {
            names(dir).map_err(|e| unusable(format!("folder `{}`: {e}; {EXPECTED}", dir.display())))
        };
        let (mut nested, mut flat) = (BTreeMap::<Id, Photographs>::new(), BTreeMap::new());
        for path in list(dir)? {
            let stem = text(path.file_stem()).to_lowercase();
            if path.is_dir() {
                let Ok(part) = text(path.file_name()).to_lowercase().parse() else {
                    continue;
                };
                let scans: Vec<_> = list(&path)?.into_iter().filter(|p| is_picture(p)).collect();
                if !scans.is_empty() {
                    nested.insert(part, Photographs { scans, template: None });
                }
            } else if is_picture(&path) {
                add_flat(&mut flat, &stem, path);
            }
        }
        flat.retain(|_, photographs: &mut Photographs| !photographs.scans.is_empty());
        let (layout, parts) = match (nested.is_empty(), flat.is_empty()) {
            (false, _) => (Layout::PerPart, nested),
            (true, false) => (Layout::Templates, flat),
            (true, true) => {
                let reason =
                    format!("folder `{}` has no photograph of a part; {EXPECTED}", dir.display());
                return Err(unusable(reason));
            }
        };
        Ok(Self { name, layout, parts })
    }

    /// The layout found.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The parts found, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Id> {
        self.parts.keys()
    }

    /// How many scans of a part there are; `None` is without end.
    pub fn scans(&self, part: &Id) -> Option<usize> {
        match self.layout {
            Layout::PerPart => Some(self.parts.get(part).map_or(0, |p| p.scans.len())),
            Layout::Templates => None,
        }
    }

    /// The template of a part: what its photograph should equal. None in a folder
    /// of successive photographs.
    pub fn template(&self, part: &Id) -> Result<Option<Image>, CameraError> {
        let template = self.parts.get(part).and_then(|p| p.template.as_ref());
        template.map(|path| self.load(part, path, 0)).transpose()
    }

    fn load(&self, part: &Id, path: &Path, host_ns: u64) -> Result<Image, CameraError> {
        read(path, host_ns).map_err(|reason| self.without(part, reason))
    }

    fn without(&self, part: &Id, reason: String) -> CameraError {
        CameraError::NoPicture { camera: self.name.clone(), part: part.clone(), reason }
    }
}

impl Camera for Folder {
    fn name(&self) -> &Id {
        &self.name
    }

    fn capture(&mut self, request: &CaptureRequest<'_>) -> Result<Image, CameraError> {
        let Some(photographs) = self.parts.get(request.part) else {
            let known: Vec<_> = self.parts.keys().take(8).map(Id::as_str).collect();
            let reason = format!("there are {} parts: {}, ...", self.parts.len(), known.join(", "));
            return Err(self.without(request.part, reason));
        };
        let index = match self.layout {
            Layout::PerPart => usize::try_from(request.seq).unwrap_or(usize::MAX),
            Layout::Templates => 0,
        };
        let Some(path) = photographs.scans.get(index) else {
            let found = photographs.scans.len();
            let reason =
                format!("scan {} was asked for, {found} photographs are there", request.seq);
            return Err(self.without(request.part, reason));
        };
        self.load(request.part, path, request.host_ns)
    }
}

fn add_flat(flat: &mut BTreeMap<Id, Photographs>, stem: &str, path: PathBuf) {
    let split = |suffix: &str| stem.strip_suffix(suffix).and_then(|part| part.parse().ok());
    if let Some(part) = split("_test") {
        flat.entry(part).or_default().scans.push(path);
    } else if let Some(part) = split("_template") {
        flat.entry(part).or_default().template = Some(path);
    }
}

/// The entries of a folder in the order of their names.
fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)?.take(MAX_FILES) {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn text(name: Option<&std::ffi::OsStr>) -> String {
    name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_picture(path: &Path) -> bool {
    matches!(text(path.extension()).to_lowercase().as_str(), "jpg" | "jpeg" | "png")
}

fn read(path: &Path, host_ns: u64) -> Result<Image, String> {
    let named = |e: &dyn std::fmt::Display| format!("photograph `{}`: {e}", path.display());
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|e| named(&e))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| named(&e))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(named(&format!("more than {MAX_BYTES} bytes")));
    }
    let reader =
        ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(|e| named(&e))?;
    let encoding = match reader.format() {
        Some(image::ImageFormat::Jpeg) => Encoding::Jpeg,
        Some(image::ImageFormat::Png) => Encoding::Png,
        _ => return Err(named(&"neither JPEG nor PNG")),
    };
    let (width, height) = reader.into_dimensions().map_err(|e| named(&e))?;
    if width.max(height) > MAX_SIDE {
        return Err(named(&format!("{width} × {height} pixels, at most {MAX_SIDE} a side")));
    }
    Ok(Image { bytes, encoding, width, height, host_ns })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn picture(path: &Path, side: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::new(side, side).save(path).unwrap();
    }

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn request(part: &Id, seq: u64) -> CaptureRequest<'_> {
        CaptureRequest { part, viewpoint: 1, pose: [0.0; 6], seq, host_ns: 9 }
    }

    #[test]
    fn photographs_of_a_part_come_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for (name, side) in [("b", 12), ("a", 11), ("c", 13)] {
            picture(&dir.path().join("Part-1").join(format!("{name}.png")), side);
        }
        fs::write(dir.path().join("README.md"), "words").unwrap();
        let mut camera = Folder::open(id("wrist"), dir.path()).unwrap();
        let part = id("part-1");
        assert_eq!(camera.layout(), Layout::PerPart);
        assert_eq!(camera.parts().collect::<Vec<_>>(), [&part]);
        assert_eq!(camera.scans(&part), Some(3));
        for seq in 0..3 {
            let image = camera.capture(&request(&part, seq)).unwrap();
            assert_eq!((u64::from(image.width), image.host_ns), (11 + seq, 9));
            assert_eq!(image.encoding, Encoding::Png);
        }
        let past = camera.capture(&request(&part, 3)).unwrap_err().to_string();
        assert!(past.contains("scan 3") && past.contains("3 photographs"), "{past}");
        let other = camera.capture(&request(&id("part-2"), 0)).unwrap_err().to_string();
        assert!(other.contains("part-1"), "{other}");
        assert_eq!(camera.template(&part).unwrap(), None);
    }

    #[test]
    fn a_flat_folder_has_a_template_for_each_part() {
        let dir = tempfile::tempdir().unwrap();
        picture(&dir.path().join("0041_test.jpg"), 20);
        picture(&dir.path().join("0041_template.jpg"), 21);
        picture(&dir.path().join("0042_template.jpg"), 22);
        let mut camera = Folder::open(id("wrist"), dir.path()).unwrap();
        let part = id("0041");
        assert_eq!(camera.layout(), Layout::Templates);
        assert_eq!(camera.parts().collect::<Vec<_>>(), [&part], "a template alone is no part");
        assert_eq!(camera.capture(&request(&part, 7)).unwrap().width, 20);
        assert_eq!(camera.template(&part).unwrap().unwrap().width, 21);
    }

    #[test]
    fn what_is_expected_is_said() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("absent")] {
            let refused = Folder::open(id("wrist"), &path).unwrap_err().to_string();
            assert!(refused.contains("DIR/<part>/*.jpg"), "{refused}");
        }
        fs::create_dir(dir.path().join("part")).unwrap();
        fs::write(dir.path().join("part/1.jpg"), "no picture").unwrap();
        let mut camera = Folder::open(id("wrist"), dir.path()).unwrap();
        let refused = camera.capture(&request(&id("part"), 0)).unwrap_err().to_string();
        assert!(refused.contains("neither JPEG nor PNG"), "{refused}");
    }
}
