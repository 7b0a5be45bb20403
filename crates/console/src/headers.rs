//! The browser's own defences, on every answer.

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
};

/// The page loads its own files and talks to its own site; nothing else. The one
/// trusted type is that of the page's framework, which makes elements from its
/// compiled templates.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types svelte-trusted-html";
/// A passport's page: one file that runs nothing. It names its style by its hash
/// itself, and both policies hold.
pub const DOCUMENT: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PERMISSIONS: &str = "publickey-credentials-get=(self), publickey-credentials-create=(self), \
     camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), \
     hid=(), bluetooth=()";
/// Two years, as preload lists ask for.
const TRANSPORT: &str = "max-age=63072000";

/// Puts the defences on an answer; one that brings its own keeps it.
pub fn dress(answer: &mut Response, secure: bool) {
    let headers = answer.headers_mut();
    set(headers, CONTENT_SECURITY_POLICY, POLICY);
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, REFERRER_POLICY, "no-referrer");
    set(headers, HeaderName::from_static("permissions-policy"), PERMISSIONS);
    set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // What does not say that it may be kept may not: it is somebody's.
    set(headers, CACHE_CONTROL, "no-store");
    if secure {
        set(headers, STRICT_TRANSPORT_SECURITY, TRANSPORT);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}
