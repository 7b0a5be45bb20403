//! What is let through without a session, from other pages and to other hosts, and what
//! every answer carries.

use crate::house::{House, ORIGIN};
use console::headers;
use reqwest::{Method, StatusCode, header};

#[tokio::test]
async fn without_a_session_every_closed_address_is_closed() {
    let house = House::open().await;
    for cookie in [
        "",
        "__Host-interlock=",
        "__Host-interlock=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "interlock=AAAA",
        "__Host-interlock=../../etc/passwd; a=b",
    ] {
        for path in ["/api/v1/who", "/api/v1/forgetful", "/api/v1/stream", "/console/v1/session"] {
            let request = house.ask(Method::GET, path).header(header::COOKIE, cookie);
            assert_eq!(house.status(request).await, StatusCode::UNAUTHORIZED, "{path} {cookie}");
        }
        let act = house.ask(Method::POST, "/api/v1/act").header(header::COOKIE, cookie);
        assert_eq!(house.status(act).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn only_the_consoles_own_page_acts() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let act = |named: &[(&'static str, &'static str)]| {
        let mut request = house.bare(Method::POST, "/api/v1/act").header(header::COOKIE, &cookie);
        for (name, value) in named {
            request = request.header(*name, *value);
        }
        house.status(request)
    };
    for allowed in [
        &[("origin", ORIGIN)][..],
        &[("sec-fetch-site", "same-origin")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-origin")],
    ] {
        assert_eq!(act(allowed).await, StatusCode::OK, "{allowed:?}");
    }
    for refused in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://localhost:7451")],
        &[("origin", "http://localhost:7450.evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("origin", ORIGIN), ("origin", "https://evil.example")],
    ] {
        assert_eq!(act(refused).await, StatusCode::FORBIDDEN, "{refused:?}");
    }
    // Signing in and out as well, and reading the API from another site's page.
    for (method, path) in [
        (Method::POST, "/console/v1/challenges"),
        (Method::POST, "/console/v1/sessions"),
        (Method::DELETE, "/console/v1/session"),
    ] {
        assert_eq!(house.status(house.bare(method, path)).await, StatusCode::FORBIDDEN);
    }
    let read = house
        .bare(Method::GET, "/api/v1/who")
        .header(header::COOKIE, &cookie)
        .header("sec-fetch-site", "cross-site");
    assert_eq!(house.status(read).await, StatusCode::FORBIDDEN);
    let link = house.bare(Method::GET, "/runs/7").header("sec-fetch-site", "cross-site");
    assert_eq!(house.status(link).await, StatusCode::OK, "a page may be opened from anywhere");
}

#[tokio::test]
async fn another_host_name_is_not_this_console() {
    let house = House::open().await;
    for host in ["evil.example", "localhost", "localhost:7451", "127.0.0.1:7450"] {
        let request = house.client.get(format!("http://{}/api/v1/who", house.address));
        let status = house.status(request.header(header::HOST, host)).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let typed = house.client.get(format!("http://{}/runs?x=1", house.address));
    let typed = typed.header(header::ACCEPT, "text/html").send().await.unwrap();
    assert_eq!(typed.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(typed.headers()[header::LOCATION], "http://localhost:7450/");
}

#[tokio::test]
async fn every_answer_carries_the_browsers_defences() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let big = "x".repeat(20_000);
    let answers = [
        (200, house.ask(Method::GET, "/")),
        (200, house.ask(Method::GET, "/runs/7")),
        (200, house.ask(Method::GET, "/console/v1/plant")),
        (200, house.ask(Method::GET, "/api/v1/who").header(header::COOKIE, &cookie)),
        (200, house.ask(Method::POST, "/console/v1/challenges")),
        (400, house.ask(Method::POST, "/console/v1/sessions").body("{")),
        (401, house.ask(Method::GET, "/api/v1/who")),
        (403, house.bare(Method::POST, "/console/v1/challenges")),
        (404, house.ask(Method::GET, "/assets/none.js")),
        (404, house.ask(Method::GET, "/api/v1/nothing")),
        (405, house.ask(Method::PUT, "/console/v1/plant")),
        (
            413,
            house
                .ask(Method::POST, "/api/v1/act")
                .header(header::COOKIE, &cookie)
                .body(big.clone()),
        ),
        (
            413,
            house
                .ask(Method::POST, "/api/v1/act")
                .header(header::COOKIE, &cookie)
                .body("x".repeat(2_000)),
        ),
        (421, house.client.get(format!("http://{}/", house.address))),
    ];
    for (status, request) in answers {
        let answer = request.send().await.unwrap();
        let url = answer.url().path().to_owned();
        assert_eq!(answer.status().as_u16(), status, "{url}");
        let said = |name: &str| {
            let values: Vec<_> = answer.headers().get_all(name).iter().collect();
            assert_eq!(values.len(), 1, "{status} {url}: {name}");
            values[0].to_str().unwrap().to_owned()
        };
        let policy = said("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(part));
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(said("x-content-type-options"), "nosniff");
        assert_eq!(said("referrer-policy"), "no-referrer");
        assert_eq!(said("cross-origin-opener-policy"), "same-origin");
        assert_eq!(said("cross-origin-resource-policy"), "same-origin");
        assert!(said("permissions-policy").contains("publickey-credentials-get=(self)"));
        let page = status == 200 && ["/", "/runs/7"].contains(&url.as_str());
        assert_eq!(said("cache-control"), if page { "no-cache" } else { "no-store" });
        assert!(answer.headers().get("access-control-allow-origin").is_none());
        assert!(answer.headers().get("server").is_none());
        assert!(answer.headers().get("strict-transport-security").is_none(), "no TLS here");
    }
    let mut answer = axum::response::Response::default();
    headers::dress(&mut answer, true);
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=63072000");
}
