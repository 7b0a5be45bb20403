//! The page for people: one self-contained HTML file.
//!
//! It loads nothing, runs nothing and is a function of the credential and its
//! pictures, so that it can be compared byte by byte. A change of markup, words or
//! style is a change of [`crate::FORMAT`]. The content security policy allows the
//! one style (by its hash) and pictures inside the page. Colours keep a contrast
//! of at least 4.5:1 in light and dark; no verdict is told by colour alone.

mod parts;
mod qr;

use crate::{Broken, Verified};
use base::sha256;
use base64::{Engine, engine::general_purpose::STANDARD as B64};
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");

/// What stands before the credential in a page.
pub(crate) const CREDENTIAL_START: &str = "<script type=\"application/vc+jwt\" id=\"credential\">";
/// What stands after it.
pub(crate) const CREDENTIAL_END: &str = "</script>";

/// What stands before a picture's base64 data.
pub(crate) fn picture_start(media_type: &str) -> String {
    format!("src=\"data:{media_type};base64,")
}

/// Renders a passport with its pictures, each in base64.
pub(crate) fn render(verified: &Verified, pictures: &[String]) -> Result<String, Broken> {
    let mut page = String::new();
    write(&mut page, verified, pictures).map_err(|e| Broken::unreadable("the page", e))?;
    Ok(page)
}

fn write(page: &mut String, verified: &Verified, pictures: &[String]) -> Result<(), BoxError> {
    let facts = verified.facts();
    let style_hash = B64.encode(sha256(STYLE.as_bytes()).0);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"generator\" content=\"{}\">\n\
         <title>{}: {} · digital product passport</title>\n\
         <style>{STYLE}</style>\n</head>\n<body class=\"{}\">\n",
        crate::FORMAT,
        Text(facts.part.as_str()),
        facts.overall.word(),
        parts::tone(facts.overall),
    )?;
    parts::header(page, facts)?;
    page.push_str("<main>\n");
    parts::pictures(page, facts, pictures)?;
    parts::findings(page, facts)?;
    parts::timeline(page, facts)?;
    parts::limits(page, verified)?;
    parts::identifiers(page, verified)?;
    page.push_str("</main>\n");
    parts::footer(page, facts)?;
    writeln!(page, "{CREDENTIAL_START}{}{CREDENTIAL_END}", verified.jwt())?;
    page.push_str("</body>\n</html>\n");
    Ok(())
}

/// A formatter's or the QR encoder's error.
type BoxError = Box<dyn std::error::Error>;

/// Text in HTML, escaped for elements and quoted attributes.
struct Text<'a>(&'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Marks that turn the direction of text could disguise a name.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_str("\u{fffd}")?,
                c if c.is_control() => f.write_str(" ")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn names_cannot_write_markup() {
        let hostile = "\"><script>alert('1')</script>\u{202e}";
        assert_eq!(
            Text(hostile).to_string(),
            "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\u{fffd}"
        );
    }
}
