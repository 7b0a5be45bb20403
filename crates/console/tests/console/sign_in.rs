//! Who gets in: a passkey over a fresh challenge, and the cookie that it is given.

use crate::house::{House, ORIGIN, later};
use api::console::Me;
use base::{Bytes, sha256};
use console::sign_in;
use proof::keys::PublicKey;
use reqwest::{Method, StatusCode, header};
use testkit::authenticator::Authenticator;

#[tokio::test]
async fn a_passkey_opens_a_session_and_signing_out_ends_it() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let (cookie, me) = house.sign_in(&ana).await;
    assert_eq!((me.member.as_str(), me.name.as_str()), ("ana", "ANA"));
    assert_eq!(me.roles, ["operator"]);
    assert_eq!(me.credential, ana.passkey().credential);
    assert_eq!(me.key, PublicKey::Passkey(ana.passkey()).fingerprint());
    assert_eq!(house.who(&cookie).await.as_deref(), Some("ana"));
    let show = house.ask(Method::GET, "/console/v1/session").header(header::COOKIE, &cookie);
    assert_eq!(show.send().await.unwrap().json::<Me>().await.unwrap(), me);

    let out = house.ask(Method::DELETE, "/console/v1/session").header(header::COOKIE, &cookie);
    let out = out.send().await.unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    let gone = out.headers()[header::SET_COOKIE].to_str().unwrap();
    assert_eq!(gone, "__Host-interlock=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    assert_eq!(house.who(&cookie).await, None);
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_other_hosts_and_other_sites() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let nonce = house.challenge().await;
    let assertion = ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let answer = house.answer(&nonce, &ana.passkey().credential, assertion).await;
    let cookies: Vec<_> = answer.headers().get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies.len(), 1);
    let cookie = cookies[0].to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
    let token = pair.strip_prefix("__Host-interlock=").unwrap();
    let token: Bytes = serde_json::from_value(token.into()).unwrap();
    assert_eq!(token.0.len(), 32);
}

#[tokio::test]
async fn a_new_sign_in_replaces_the_browsers_old_session() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let (old, _) = house.sign_in(&ana).await;
    let nonce = house.challenge().await;
    let body = serde_json::json!({
        "nonce": Bytes(nonce.clone()), "credential": ana.passkey().credential,
        "assertion": ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap(),
    });
    let again = house.ask(Method::POST, "/console/v1/sessions").header(header::COOKIE, &old);
    assert_eq!(house.status(again.body(body.to_string())).await, StatusCode::OK);
    assert_eq!(house.who(&old).await, None);
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_in_time() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let credential = ana.passkey().credential;
    let nonce = house.challenge().await;
    let assertion = ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let first = house.answer(&nonce, &credential, assertion.clone()).await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = house.answer(&nonce, &credential, assertion).await;
    assert_eq!(second.status(), StatusCode::UNAUTHORIZED);
    assert!(second.headers().get(header::SET_COOKIE).is_none());

    let nonce = house.challenge().await;
    later(2 * 60_000);
    let assertion = ana.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let late = house.answer(&nonce, &credential, assertion).await;
    assert_eq!(late.status(), StatusCode::UNAUTHORIZED);

    let invented = vec![7; 32];
    let assertion = ana.get(&sign_in::digest(ORIGIN, &invented)).unwrap();
    let invented = house.answer(&invented, &credential, assertion).await;
    assert_eq!(invented.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_this_persons_passkey_over_this_challenge_at_this_origin_signs_in() {
    let house = House::open().await;
    let (ana, bob) = (house.enrol("ana"), house.enrol("bob"));
    let stranger = Authenticator::new("localhost", ORIGIN).unwrap();
    let elsewhere = "http://localhost:7451";
    let (credential, other) = (ana.passkey().credential, bob.passkey().credential);
    let refused = [
        ("another page", &credential, &ana, elsewhere, ORIGIN, 0x05),
        ("a challenge of another console", &credential, &ana, ORIGIN, elsewhere, 0x05),
        ("nobody verified", &credential, &ana, ORIGIN, ORIGIN, 0x01),
        ("another's credential", &other, &ana, ORIGIN, ORIGIN, 0x05),
        ("a stranger's key", &credential, &stranger, ORIGIN, ORIGIN, 0x05),
        ("a stranger", &stranger.passkey().credential, &stranger, ORIGIN, ORIGIN, 0x05),
    ];
    for (name, credential, signer, page, challenged, flags) in refused {
        let nonce = house.challenge().await;
        let assertion = signer.get_on(page, &sign_in::digest(challenged, &nonce), flags).unwrap();
        let answer = house.answer(&nonce, credential, assertion).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{name}");
        assert!(answer.headers().get(header::SET_COOKIE).is_none(), "{name}");
    }
    // What an entry's signature covers is never a sign-in.
    let nonce = house.challenge().await;
    let over_entry = ana.get(&sha256(&nonce)).unwrap();
    let answer = house.answer(&nonce, &credential, over_entry).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // A passkey that was enrolled for another address of the same host.
    let moved = Authenticator::new("localhost", elsewhere).unwrap();
    house.people.0.lock().unwrap()[0].passkey = moved.passkey();
    let nonce = house.challenge().await;
    let assertion = moved.get(&sign_in::digest(ORIGIN, &nonce)).unwrap();
    let answer = house.answer(&nonce, &moved.passkey().credential, assertion).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn too_many_attempts_from_one_address_wait() {
    let house = House::open().await;
    let challenge = || house.status(house.ask(Method::POST, "/console/v1/challenges"));
    for _ in 0..60 {
        assert_eq!(challenge().await, StatusCode::OK);
    }
    assert_eq!(challenge().await, StatusCode::TOO_MANY_REQUESTS);
    let sign_in = house.ask(Method::POST, "/console/v1/sessions").body("{}");
    assert_eq!(house.status(sign_in).await, StatusCode::TOO_MANY_REQUESTS);
    later(60_000);
    assert_eq!(challenge().await, StatusCode::OK);
}
