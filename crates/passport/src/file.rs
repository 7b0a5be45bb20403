//! The three files of a passport, and which of them some bytes are.
//!
//! * `PART.vc.jwt`: the credential, nothing before or after it;
//! * `PART.json`: the credential readable, and signed beside it;
//! * `PART.html`: a page for people, with pictures and the credential inside.
//!
//! The latter two are functions of the credential and the pictures. Verifying
//! one takes the credential out, verifies it, renders it again and compares byte
//! by byte.

use crate::{Anchors, Broken, Verified, evidence::FORMAT, evidence::MAX_JWT_BYTES, page, verify};
use base::sha256;
use base64::{Engine, engine::general_purpose::STANDARD as B64};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest file that is read (128 MiB).
pub const MAX_FILE_BYTES: usize = 128 * 1024 * 1024;

/// Which of the three files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `PART.vc.jwt`.
    Jwt,
    /// `PART.json`.
    Json,
    /// `PART.html`.
    Html,
}

impl Form {
    /// How the file's name ends, after the part.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Jwt => ".vc.jwt",
            Self::Json => ".json",
            Self::Html => ".html",
        }
    }
}

/// `PART.json` as it is written.
#[derive(Serialize)]
struct Readable<'a> {
    format: &'static str,
    credential: &'a Value,
    jwt: &'a str,
}

/// `PART.json` as it is read: only the credential to verify is kept, for the rest
/// must be what it renders to.
#[derive(Deserialize)]
struct Found {
    jwt: String,
}

impl Verified {
    /// The bytes of the file `PART.json`.
    ///
    /// # Errors
    /// When the credential cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, Broken> {
        let readable = Readable { format: FORMAT, credential: self.credential(), jwt: self.jwt() };
        let mut text = serde_json::to_string_pretty(&readable)
            .map_err(|e| Broken::unreadable("the JSON file", e))?;
        text.push('\n');
        Ok(text)
    }

    /// The bytes of the file `PART.html`. `pictures` are the bytes of the report's
    /// pictures, in the report's order.
    ///
    /// # Errors
    /// When a picture is absent, is not the one that the report names, or is
    /// neither PNG nor JPEG.
    pub fn to_html<P: AsRef<[u8]>>(&self, pictures: &[P]) -> Result<String, Broken> {
        let named = &self.facts().pictures;
        if named.len() != pictures.len() {
            let reason = format!("{} given, the report names {}", pictures.len(), named.len());
            return Err(Broken::proof("the report's pictures", reason));
        }
        let mut encoded = Vec::with_capacity(named.len());
        for (picture, bytes) in named.iter().zip(pictures) {
            let broken = |reason: String| {
                let name: String = picture.name.chars().take(60).collect();
                Broken::proof(format!("the report's picture `{name}`"), reason)
            };
            if !matches!(picture.media_type.as_str(), "image/png" | "image/jpeg") {
                let reason = format!("it is `{}`: PNG or JPEG is expected", picture.media_type);
                return Err(broken(reason));
            }
            let found = sha256(bytes.as_ref());
            if found != picture.sha256 {
                let reason = format!("its digest is {found}, the report names {}", picture.sha256);
                return Err(broken(reason));
            }
            encoded.push(B64.encode(bytes.as_ref()));
        }
        page::render(self, &encoded)
    }
}

/// Verifies any of the three files, whole.
///
/// # Errors
/// The first thing that is broken.
pub fn verify_file(bytes: &[u8], pin: Option<&Anchors>) -> Result<(Form, Verified), Broken> {
    if bytes.len() > MAX_FILE_BYTES {
        let reason = format!("{} bytes, at most {MAX_FILE_BYTES} are expected", bytes.len());
        return Err(Broken::unreadable("the file", reason));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Broken::unreadable("the file", format!("it is no UTF-8 text: {e}")))?;
    match bytes.first() {
        Some(b'{') => Ok((Form::Json, verify_json(text, pin)?)),
        Some(b'<') => Ok((Form::Html, verify_html(text, pin)?)),
        _ => Ok((Form::Jwt, verify(text, pin)?)),
    }
}

fn verify_json(text: &str, pin: Option<&Anchors>) -> Result<Verified, Broken> {
    let found: Found =
        serde_json::from_str(text).map_err(|e| Broken::unreadable("the JSON file", e))?;
    let verified = verify(&found.jwt, pin)?;
    same("the JSON file", text, &verified.to_json()?)?;
    Ok(verified)
}

fn verify_html(text: &str, pin: Option<&Anchors>) -> Result<Verified, Broken> {
    let unreadable = |reason: &str| Broken::unreadable("the page", reason);
    let (page, rest) = text
        .split_once(page::CREDENTIAL_START)
        .ok_or_else(|| unreadable("no credential is in it"))?;
    let (jwt, _) = rest
        .split_once(page::CREDENTIAL_END)
        .ok_or_else(|| unreadable("the credential in it has no end"))?;
    if jwt.len() > MAX_JWT_BYTES {
        return Err(unreadable("the credential in it is too long"));
    }
    let verified = verify(jwt, pin)?;
    let pictures = pictures(page, &verified)?;
    same("the page", text, &verified.to_html(&pictures)?)?;
    Ok(verified)
}

/// The pictures in a page, in order.
fn pictures(page: &str, verified: &Verified) -> Result<Vec<Vec<u8>>, Broken> {
    let mut rest = page;
    let mut pictures = Vec::new();
    for picture in &verified.facts().pictures {
        let name: String = picture.name.chars().take(60).collect();
        let broken =
            |reason: String| Broken::proof(format!("the report's picture `{name}`"), reason);
        let start = page::picture_start(&picture.media_type);
        let (_, after) =
            rest.split_once(&start).ok_or_else(|| broken("it is not in the page".into()))?;
        let (data, after) =
            after.split_once('"').ok_or_else(|| broken("it has no end in the page".into()))?;
        let bytes =
            B64.decode(data).map_err(|e| broken(format!("it is not base64 in the page: {e}")))?;
        let found = sha256(&bytes);
        if found != picture.sha256 {
            let reason = format!("its digest is {found}, the report names {}", picture.sha256);
            return Err(broken(reason));
        }
        pictures.push(bytes);
        rest = after;
    }
    Ok(pictures)
}

/// Refuses a file that is not what it should be, and says where.
fn same(what: &str, found: &str, expected: &str) -> Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    let pairs = found.bytes().zip(expected.bytes());
    let at = pairs.take_while(|(a, b)| a == b).count();
    let near = |text: &str| {
        let from = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i));
        let rest = from.and_then(|from| text.get(from..)).unwrap_or_default();
        rest.chars().take(40).collect::<String>()
    };
    let reason = format!(
        "near byte {at}: `{}` stands there, `{}` is expected",
        near(found).escape_debug(),
        near(expected).escape_debug()
    );
    Err(Broken::rendering(what, reason))
}
