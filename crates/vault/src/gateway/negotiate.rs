//! What a request asks for: a raw block or a CAR, and which part.
//!
//! The `format` query parameter goes before the `Accept` header, and of the media
//! types the one with the highest weight is taken. Only verifiable formats exist
//! here; a request that names none of them is told which there are.

use axum::http::{HeaderMap, StatusCode, header};
use base::sha256;
use cid::Cid;
use std::ops::Range;
use transport::Problem;

const RAW: &str = "application/vnd.ipld.raw";
const CAR: &str = "application/vnd.ipld.car";
const FORMATS: &str = "`?format=raw` or `?format=car`, or one of `application/vnd.ipld.raw` and \
                       `application/vnd.ipld.car` in the Accept header";
/// The most query parameters and accepted media types that are looked at.
const MOST: usize = 32;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Raw,
    Car(CarParams),
}

/// Which blocks a CAR is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CarParams {
    pub scope: Scope,
    /// Whether a block that occurs twice is sent twice.
    pub dups: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Block,
    /// The whole file: with files alone, `entity` and `all` are the same.
    Whole,
    Bytes(EntityBytes),
}

/// `entity-bytes=from:to`; negative numbers count from the end, `to` is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntityBytes {
    from: i64,
    to: Option<i64>,
}

impl EntityBytes {
    fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        let to = if to == "*" { None } else { Some(to.parse().ok()?) };
        Some(Self { from: from.parse().ok()?, to })
    }

    /// The bytes meant in an entity of `size` bytes; `None` when all of them are
    /// beyond its end. Empty when the range is.
    pub(super) fn resolve(self, size: u64) -> Option<Range<u64>> {
        let at = |n: i64| {
            if n < 0 { size.saturating_sub(n.unsigned_abs()) } else { n.unsigned_abs() }
        };
        let start = at(self.from);
        let end = match self.to {
            None => size,
            Some(to) if to < 0 && to.unsigned_abs() > size => 0,
            Some(to) => at(to).saturating_add(1).min(size),
        };
        (start < size || size == 0).then_some(start..end.max(start))
    }
}

impl Wanted {
    /// Reads the query and the Accept header.
    pub(super) fn of(query: &[(String, String)], headers: &HeaderMap) -> Result<Self, Problem> {
        let ask =
            |name: &str| query.iter().take(MOST).find(|(k, _)| k == name).map(|(_, v)| v.as_str());
        let accepted = accepted(headers);
        let (kind, params) = match ask("format") {
            Some("raw") => (RAW, Vec::new()),
            Some("car") => (CAR, params_of(&accepted)),
            Some(other) => return Err(unacceptable(&format!("format `{}`", short(other)))),
            None if accepted.is_empty() && !headers.contains_key(header::ACCEPT) => {
                let detail = "neither a format nor an Accept header was given";
                return Err(asking(StatusCode::BAD_REQUEST, detail));
            }
            None => match accepted.iter().find(|a| a.kind == RAW || a.kind == CAR) {
                Some(found) if found.kind == RAW => (RAW, Vec::new()),
                Some(found) => (CAR, found.params.clone()),
                None => return Err(unacceptable("the Accept header")),
            },
        };
        if kind == RAW {
            return Ok(Self::Raw);
        }
        let param = |name: &str, short: &str| {
            let given = params.iter().find(|(k, _)| k == short).map(|(_, v)| v.as_str());
            ask(name).or(given).map(str::to_owned)
        };
        match param("car-version", "version").as_deref() {
            None | Some("1") => {}
            Some(other) => return Err(unacceptable(&format!("CAR version `{}`", short(other)))),
        }
        match param("car-order", "order").as_deref() {
            None | Some("dfs" | "unk") => {}
            Some(other) => return Err(unacceptable(&format!("CAR order `{}`", short(other)))),
        }
        let dups = match param("car-dups", "dups").as_deref() {
            None | Some("n") => false,
            Some("y") => true,
            Some(other) => return Err(unacceptable(&format!("CAR dups `{}`", short(other)))),
        };
        let scope = match (ask("entity-bytes"), ask("dag-scope")) {
            (Some(bytes), scope) if scope.is_none_or(|s| s == "entity") => {
                let parsed = EntityBytes::parse(bytes).ok_or_else(|| {
                    let detail = format!("entity-bytes `{}` is not `from:to`", short(bytes));
                    Problem::new(StatusCode::BAD_REQUEST, detail)
                })?;
                Scope::Bytes(parsed)
            }
            (_, None | Some("all" | "entity")) => Scope::Whole,
            (_, Some("block")) => Scope::Block,
            (_, Some(other)) => {
                let detail =
                    format!("dag-scope `{}` is not `block`, `entity` or `all`", short(other));
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
        };
        Ok(Self::Car(CarParams { scope, dups }))
    }

    /// The entity tag: strong for a block, weak for a CAR, which other orders would
    /// serve as well.
    pub(super) fn etag(&self, cid: &Cid) -> String {
        match self {
            Self::Raw => format!("\"{cid}.raw\""),
            Self::Car(params) => {
                let digest = sha256(format!("{params:?}").as_bytes());
                format!("W/\"{cid}.car.{}\"", digest.short())
            }
        }
    }

    /// The Content-Type of the answer.
    pub(super) fn content_type(&self) -> String {
        match self {
            Self::Raw => RAW.to_owned(),
            Self::Car(p) => {
                format!("{CAR}; version=1; order=dfs; dups={}", if p.dups { "y" } else { "n" })
            }
        }
    }

    /// The name of the format and of files that hold it.
    pub(super) fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Raw => ("raw", "bin"),
            Self::Car(_) => ("car", "car"),
        }
    }
}

struct Accepted {
    kind: String,
    params: Vec<(String, String)>,
    /// Weight in thousandths.
    weight: u32,
}

/// The accepted media types, best first; those of weight 0 left out.
fn accepted(headers: &HeaderMap) -> Vec<Accepted> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    let mut out: Vec<Accepted> = values
        .flat_map(|v| v.split(','))
        .take(MOST)
        .map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let mut params: Vec<(String, String)> = parts
                .filter_map(|p| p.split_once('='))
                .map(|(k, v)| (k.trim().to_ascii_lowercase(), v.trim().trim_matches('"').into()))
                .collect();
            let weight = params.iter().find(|(k, _)| k == "q").map(|(_, v)| v.parse::<f32>());
            params.retain(|(k, _)| k != "q");
            let weight = match weight {
                None => 1000,
                Some(Ok(q)) if (0.0..=1.0).contains(&q) => (q * 1000.0) as u32,
                Some(_) => 0,
            };
            Accepted { kind, params, weight }
        })
        .filter(|a| a.weight > 0 && !a.kind.is_empty())
        .collect();
    out.sort_by_key(|a| std::cmp::Reverse(a.weight));
    out
}

fn params_of(accepted: &[Accepted]) -> Vec<(String, String)> {
    accepted.iter().find(|a| a.kind == CAR).map(|a| a.params.clone()).unwrap_or_default()
}

fn unacceptable(what: &str) -> Problem {
    asking(StatusCode::NOT_ACCEPTABLE, &format!("{what} asks for no format that is served here"))
}

fn asking(status: StatusCode, detail: &str) -> Problem {
    Problem { accepted: Some(FORMATS.to_owned()), ..Problem::new(status, detail) }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A single `Range: bytes=…` of a block of `size` bytes: `Ok(None)` when there is
/// none, or several, which may be answered whole; `Err(())` when it lies beyond
/// the end.
pub(super) fn byte_range(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, ()> {
    let value = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let spec = value.and_then(|v| v.trim().strip_prefix("bytes="));
    let Some((from, to)) = spec.filter(|s| !s.contains(',')).and_then(|s| s.split_once('-')) else {
        return Ok(None);
    };
    let range = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(size),
        (Ok(from), Err(_)) if to.trim().is_empty() => from..size,
        (Err(_), Ok(last)) if from.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(None),
    };
    if range.start < range.end { Ok(Some(range)) } else { Err(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn wanted(query: &[(&str, &str)], accept: Option<&str>) -> Result<Wanted, u16> {
        let query: Vec<_> = query.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        Wanted::of(&query, &headers).map_err(|p| p.status)
    }

    fn car(scope: Scope, dups: bool) -> Result<Wanted, u16> {
        Ok(Wanted::Car(CarParams { scope, dups }))
    }

    #[test]
    fn the_format_parameter_goes_before_the_header() {
        assert_eq!(wanted(&[("format", "raw")], Some(CAR)), Ok(Wanted::Raw));
        assert_eq!(wanted(&[], Some(RAW)), Ok(Wanted::Raw));
        let both = format!("{CAR};q=0.4, {RAW};q=0.5");
        assert_eq!(wanted(&[], Some(&both)), Ok(Wanted::Raw));
        let strict = format!("{CAR}; version=1; order=dfs; dups=y");
        assert_eq!(wanted(&[], Some(&strict)), car(Scope::Whole, true));
        assert_eq!(wanted(&[("format", "car")], Some(&strict)), car(Scope::Whole, true));
    }

    #[test]
    fn nothing_unverifiable_is_served() {
        assert_eq!(wanted(&[], None), Err(400));
        for accept in ["*/*", "text/html", "application/vnd.ipld.raw;q=0", ""] {
            assert_eq!(wanted(&[], Some(accept)), Err(406), "{accept}");
        }
        assert_eq!(wanted(&[("format", "tar")], None), Err(406));
        let v2 = format!("{CAR}; version=2");
        assert_eq!(wanted(&[], Some(&v2)), Err(406));
    }

    #[test]
    fn parts_of_a_dag() {
        let ask = |k, v| wanted(&[("format", "car"), (k, v)], None);
        assert_eq!(ask("dag-scope", "block"), car(Scope::Block, false));
        assert_eq!(ask("dag-scope", "entity"), car(Scope::Whole, false));
        assert_eq!(ask("dag-scope", "some"), Err(400));
        assert_eq!(ask("entity-bytes", "1-2"), Err(400));
        let resolve = |text: &str| EntityBytes::parse(text).unwrap().resolve(100);
        assert_eq!(resolve("0:*"), Some(0..100));
        assert_eq!(resolve("-10:*"), Some(90..100));
        assert_eq!(resolve("5:9"), Some(5..10));
        assert_eq!(resolve("5:900"), Some(5..100));
        assert_eq!(resolve("5:-10"), Some(5..91));
        assert_eq!(resolve("9:5"), Some(9..9));
        assert_eq!(resolve("5:-900"), Some(5..5));
        assert_eq!(resolve("100:*"), None);
        assert_eq!(resolve("-9223372036854775808:9223372036854775807"), Some(0..100));
    }

    #[test]
    fn ranges_of_a_block() {
        let range = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            byte_range(&headers, 100)
        };
        assert_eq!(byte_range(&HeaderMap::new(), 100), Ok(None));
        assert_eq!(range("bytes=0-0"), Ok(Some(0..1)));
        assert_eq!(range("bytes=90-"), Ok(Some(90..100)));
        assert_eq!(range("bytes=-5"), Ok(Some(95..100)));
        assert_eq!(range("bytes=-500"), Ok(Some(0..100)));
        assert_eq!(range("bytes=0-1,3-4"), Ok(None));
        assert_eq!(range("lines=0-1"), Ok(None));
        assert_eq!(range("bytes=9-5"), Ok(None));
        for bad in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(range(bad), Err(()), "{bad}");
        }
    }
}
