//! A QR code as an SVG path.

use qrcode::{Color, EcLevel, QrCode, types::QrError};
use std::fmt::Write as _;

/// Modules of white around the code, as ISO/IEC 18004 asks.
const QUIET: usize = 4;

/// An SVG element that shows `text`, with `label` for those who do not see it.
pub(super) fn svg(text: &str, label: &str) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M)?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (at % width + QUIET, at / width + QUIET);
            // A String takes all that is written to it.
            let _ = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
    let side = width + 2 * QUIET;
    Ok(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>",
        super::Text(label)
    ))
}
