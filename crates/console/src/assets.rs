//! The page and its files, embedded by the build.

use crate::guard;
use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY},
    },
    response::{IntoResponse, Response},
};
use transport::Problem;

/// One embedded file.
struct Asset {
    /// Its path, with a leading slash.
    path: &'static str,
    /// Its media type.
    kind: &'static str,
    /// Its bytes.
    plain: &'static [u8],
    /// Its bytes, compressed with Brotli.
    br: Option<&'static [u8]>,
}

// `ASSETS: &[Asset]`, sorted by path; `/index.html` is always there.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Serves a file; any other path without a dot is a screen of the page, which finds
/// its way by itself.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    let missing = || Problem::new(StatusCode::NOT_FOUND, "nothing is at this address");
    if ![Method::GET, Method::HEAD].contains(request.method()) || guard::is_api(path) {
        return missing().into_response();
    }
    let path = match path.contains('.') {
        true => path,
        false => "/index.html",
    };
    match find(path) {
        Some(asset) => answer(asset, request.headers()),
        None => missing().into_response(),
    }
}

fn find(path: &str) -> Option<&'static Asset> {
    let index = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    ASSETS.get(index)
}

fn answer(asset: &'static Asset, headers: &HeaderMap) -> Response {
    // Names below `/assets/` carry a hash of what they name.
    let keep = match asset.path.starts_with("/assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let (bytes, encoding) = match asset.br {
        Some(br) if takes_brotli(headers) => (br, Some("br")),
        _ => (asset.plain, None),
    };
    let mut answer = ([(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, keep)], bytes).into_response();
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    answer
}

/// Whether the answer may be compressed with Brotli: named, and not with weight 0.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let weight = parts.find_map(|p| p.strip_prefix("q=")).map(|q| q.parse::<f32>());
        named && weight.is_none_or(|q| q.is_ok_and(|q| q > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brotli_only_for_those_who_take_it() {
        let takes = |text: &'static str| {
            takes_brotli(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]))
        };
        assert!(takes("br") && takes("gzip, deflate, BR;q=0.5") && takes("gzip;q=1, br"));
        assert!(!takes("gzip") && !takes("br;q=0") && !takes("brx") && !takes("br; q=0.000"));
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn the_files_are_sorted_and_there_is_a_page() {
        assert!(ASSETS.is_sorted_by_key(|asset| asset.path));
        assert!(find("/index.html").is_some_and(|page| page.kind.starts_with("text/html")));
        assert!(find("/../Cargo.toml").is_none() && find("index.html").is_none());
    }
}
