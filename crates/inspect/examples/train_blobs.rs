//! Trains the classifier of blobs on a labelled folder of boards and writes its file:
//! `cargo run --release -p inspect --example train_blobs -- DIR OUT`.
//!
//! The file that comes with the crate is `models/blobs.json`, trained on the
//! development split of DeepPCB. Training makes no random choice: the same
//! photographs give the same file.

use inspect::eval::inspection::{Options, train};
use std::{error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(dir), Some(out), None) = (words.next(), words.next(), words.next()) else {
        return Err("`train_blobs DIR OUT` is expected: a folder of boards and a file".into());
    };
    let model = train(&dir, &Options::default(), inspect::inspection::Growth::default())?;
    let text = serde_json::to_string(&model)?;
    fs::write(&out, &text)?;
    let p = &model.provenance;
    println!("{}: {} bytes, {} blobs {:?}", out.display(), text.len(), p.samples, p.by_class);
    Ok(())
}
