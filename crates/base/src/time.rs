//! Points in time.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Milliseconds since the Unix epoch, UTC. Displays as RFC 3339 with
/// milliseconds. JSON numbers hold it exactly (below 2^53).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This time and `ms` milliseconds more, at most the largest time.
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How many milliseconds `self` is after `earlier`; 0 when it is before.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Civil date from days since the epoch, proleptic Gregorian calendar.
        let (days, rest) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let z = days + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + u64::from(month <= 2);
        let (s, ms) = (rest / 1000, rest % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
            s / 3600,
            s / 60 % 60,
            s % 60
        )
    }
}

/// Text that is no point in time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a time such as 2026-11-21 or 2026-11-21T16:20:00Z (UTC)")]
pub struct ParseMillisError(String);

impl FromStr for Millis {
    type Err = ParseMillisError;

    /// Reads a date, or a date and time of RFC 3339 in UTC, from 1970 on.
    fn from_str(text: &str) -> Result<Self, ParseMillisError> {
        parse(text).ok_or_else(|| ParseMillisError(text.chars().take(40).collect()))
    }
}

fn parse(text: &str) -> Option<Millis> {
    let digits = |text: &str, from: usize, to: usize| {
        let part = text.get(from..to).filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse::<u64>().ok()
    };
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let (year, month, day) = (digits(date, 0, 4)?, digits(date, 5, 7)?, digits(date, 8, 10)?);
    let (hour, minute, second) = (digits(time, 0, 2)?, digits(time, 3, 5)?, digits(time, 6, 8)?);
    let ms = match time.get(8..) {
        Some("") => 0,
        Some(rest) => digits(rest.strip_prefix('.')?, 0, 3).filter(|_| rest.len() == 4)?,
        None => return None,
    };
    // Civil date to days since the epoch, the inverse of `Display`.
    let y = year.checked_sub(u64::from(month <= 2))?;
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = (era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy).checked_sub(719_468)?;
    let at = Millis((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms);
    // What is out of range, or written otherwise, does not come back as it was.
    let same = at.to_string();
    (same.starts_with(date) && same.get(11..19) == time.get(..8)).then_some(at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Millis;

    #[test]
    fn reads_what_it_displays_and_plain_dates() {
        for ms in [0, 1, 951_782_399_999, 951_782_400_000, 1_795_219_200_000, 4_102_444_799_999] {
            assert_eq!(Millis(ms).to_string().parse(), Ok(Millis(ms)));
        }
        assert_eq!("2026-11-21".parse(), Ok(Millis(1_795_219_200_000)));
        assert_eq!("2026-11-21T00:00:01Z".parse(), Ok(Millis(1_795_219_201_000)));
        for bad in [
            "",
            "now",
            "1969-12-31",
            "2026-13-01",
            "2026-02-29",
            "2026-11-21T24:00:00Z",
            "2026-1-1",
            "2026-11-21T00:00:00",
            "2026-11-21T00:00Z",
            "2026-11-21T00:00:00.12Z",
            "2026-11-21T00:00:00,123Z",
            "2026/11/21",
            "20261-11-21",
            "2026-11-21T00:00:00.+12Z",
            "2026-00-10",
            "0000-01-01",
            "Ω026-11-21",
        ] {
            assert!(bad.parse::<Millis>().is_err(), "{bad}");
        }
    }

    #[test]
    fn displays_rfc_3339() {
        assert_eq!(Millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Millis(951_782_399_999).to_string(), "2000-02-28T23:59:59.999Z");
        assert_eq!(Millis(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Millis(1_795_219_200_000).to_string(), "2026-11-21T00:00:00.000Z");
    }
}
