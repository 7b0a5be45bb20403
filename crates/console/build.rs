//! Embeds what the console's web build has left in `web/dist`, or a page that says
//! how to build it.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

const PLACEHOLDER: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
<title>Interlock</title>\n<h1>Interlock</h1>\n<p>This build has no console: run \
<code>cargo xtask console build</code>, then build again.</p></html>\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("web/dist");
    // Cargo takes a watched folder that is missing for changed at every build. An
    // empty one holds still; where it cannot be made, building more often is all.
    let _ = fs::create_dir_all(&dist);
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let placeholder = out.join("index.html");
    fs::write(&placeholder, PLACEHOLDER)?;

    let mut files = Vec::new();
    walk(&dist, &mut files)?;
    files.retain(|file| file.extension().is_none_or(|e| e != "br" && e != "map"));
    let mut assets = Vec::new();
    for file in files {
        assets.push((name(&dist, &file)?, file));
    }
    if !assets.iter().any(|(name, _)| name == "/index.html") {
        assets = vec![("/index.html".to_owned(), placeholder)];
    }
    assets.sort();
    let mut code = String::from("static ASSETS: &[Asset] = &[\n");
    for (name, file) in &assets {
        let mut compressed = file.clone().into_os_string();
        compressed.push(".br");
        let br = match Path::new(&compressed).exists() {
            true => format!("Some(include_bytes!({compressed:?}))"),
            false => "None".to_owned(),
        };
        writeln!(
            code,
            "    Asset {{ path: {name:?}, kind: {:?}, plain: include_bytes!({file:?}), br: {br} }},",
            kind(file)
        )?;
    }
    code.push_str("];\n");
    fs::write(out.join("assets.rs"), code)?;
    Ok(())
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => walk(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// The path under which a file is served.
fn name(dist: &Path, file: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let parts: Option<Vec<&str>> =
        file.strip_prefix(dist)?.components().map(|c| c.as_os_str().to_str()).collect();
    Ok(format!("/{}", parts.ok_or("a file's name is not UTF-8")?.join("/")))
}

fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("glb") => "model/gltf-binary",
        _ => "application/octet-stream",
    }
}
