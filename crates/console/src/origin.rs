//! The one origin that a console has: what people type, what passkeys are bound to,
//! and what a request's `Host` and `Origin` must say.

use proof::keys::origin_host;
use std::fmt;

/// `https://host[:port]`, or `http://localhost[:port]` on the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    secure: bool,
}

impl Origin {
    /// Parses an origin as browsers write it.
    ///
    /// # Errors
    /// What is wrong with the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "`{text}` is not a console's origin: {why}; write `https://host[:port]` or `http://localhost[:port]`"
            )
        };
        if origin_host(text).is_none() {
            return Err(wrong(
                "passkeys need a host name in lower case, and TLS except on `localhost`",
            ));
        }
        let secure = text.starts_with("https://");
        let default = if secure { ":443" } else { ":80" };
        if text.ends_with(default) {
            return Err(wrong("browsers leave the default port out"));
        }
        Ok(Self { text: text.to_owned(), secure })
    }

    /// The origin as browsers write it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `host[:port]`, as a request to it names it.
    pub fn authority(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// Whether it is served over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_would_write() {
        let made = Origin::parse("https://hall-7.example.com:7450").unwrap();
        assert_eq!(made.authority(), "hall-7.example.com:7450");
        assert!(made.is_secure());
        assert!(!Origin::parse("http://localhost:7450").unwrap().is_secure());
        assert!(Origin::parse("https://hall").is_ok());
        for bad in [
            "",
            "localhost:7450",
            "ftp://localhost",
            "http://hall-7.example.com",
            "http://localhost.example.com:1",
            "https://",
            "https://Hall-7.example.com",
            "https://hall-7.example.com/",
            "https://hall-7.example.com:443",
            "https://hall-7.example.com:0443",
            "https://hall-7.example.com:+1",
            "https://hall-7.example.com:70000",
            "https://user@hall-7.example.com",
            "https://192.0.2.7:7450",
            "https://[2001:db8::1]:7450",
            "https://-hall.example.com",
            "https://hall..example.com",
            "http://localhost:80",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
