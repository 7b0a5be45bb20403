//! How long a session lasts, and what ends with it.

use crate::house::{House, IDLE, NOW, later};
use api::console::SessionCard;
use futures::StreamExt;
use reqwest::{Method, StatusCode, header};
use std::time::Duration;

#[tokio::test]
async fn a_person_sees_and_ends_its_own_sessions_and_nobody_elses() {
    let house = House::open().await;
    let (ana, bob) = (house.enrol("ana"), house.enrol("bob"));
    let (first, _) = house.sign_in(&ana).await;
    later(1000);
    let (second, _) = house.sign_in(&ana).await;
    let (third, _) = house.sign_in(&ana).await;
    let (other, _) = house.sign_in(&bob).await;
    let list = async |cookie: &str| -> Vec<SessionCard> {
        let request = house.ask(Method::GET, "/console/v1/sessions");
        let answer = request.header(header::COOKIE, cookie).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    };
    let end = async |cookie: &str, path: &str| {
        let request = house.ask(Method::DELETE, &format!("/console/v1/sessions{path}"));
        request.header(header::COOKIE, cookie).send().await.unwrap()
    };
    later(500);
    let mine = list(&first).await;
    assert_eq!(mine.len(), 3);
    let oldest = mine.last().unwrap();
    assert!(oldest.current && mine.iter().filter(|s| s.current).count() == 1);
    assert_eq!(oldest.last_used_at.0, oldest.created_at.0 + 1500, "asking is doing something");
    assert_eq!(mine[0].last_used_at, mine[0].created_at);
    assert!(mine.iter().all(|s| s.address == "127.0.0.1" && s.id.len() == 16));
    let theirs = list(&other).await;
    assert_eq!(theirs.len(), 1);

    // What one names must be one's own, whole, and there.
    for id in [&theirs[0].id, "0000000000000000", &oldest.id[..8], ""] {
        let path = format!("/{id}");
        let status = end(&first, &path).await.status();
        assert!([StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status), "{id}");
    }
    assert!(house.who(&other).await.is_some());
    assert_eq!(list(&first).await.len(), 3);
    let named = list(&second).await.into_iter().find(|s| s.current).unwrap();
    let ended = end(&first, &format!("/{}", named.id)).await;
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert!(ended.headers().get(header::SET_COOKIE).is_none(), "the one that asks goes on");
    assert_eq!(house.who(&second).await, None);
    assert!(house.who(&third).await.is_some());

    assert_eq!(end(&first, "").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(house.who(&third).await, None);
    assert!(house.who(&first).await.is_some() && house.who(&other).await.is_some());
    let ended = end(&first, &format!("/{}", oldest.id)).await;
    assert!(ended.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(house.who(&first).await, None);

    // Nobody is nobody's owner, and another site's page ends nothing.
    for (method, path) in [
        (Method::GET, "/console/v1/sessions"),
        (Method::DELETE, "/console/v1/sessions"),
        (Method::DELETE, "/console/v1/sessions/0000000000000000"),
    ] {
        let nobody = house.ask(method.clone(), path).header(header::COOKIE, &first);
        assert_eq!(house.status(nobody).await, StatusCode::UNAUTHORIZED, "{method} {path}");
        let strange = house.bare(method.clone(), path).header(header::COOKIE, &other);
        let strange = strange.header("sec-fetch-site", "cross-site");
        assert_eq!(house.status(strange).await, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert!(house.who(&other).await.is_some());
}

#[tokio::test]
async fn an_ended_session_ends_its_streams() {
    let house = House::open().await;
    let ana = house.enrol("ana");
    let (watching, _) = house.sign_in(&ana).await;
    let (ending, _) = house.sign_in(&ana).await;
    let open = house.ask(Method::GET, "/api/v1/stream").header(header::COOKIE, &watching);
    let mut stream = open.send().await.unwrap().bytes_stream();
    assert!(stream.next().await.is_some());
    let end = house.ask(Method::DELETE, "/console/v1/sessions").header(header::COOKIE, &ending);
    assert_eq!(house.status(end).await, StatusCode::NO_CONTENT);
    let ends = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("the stream ends");
}

#[tokio::test]
async fn a_session_ends_when_idle_and_pages_do_not_keep_it_alive_by_themselves() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    later(IDLE - 1);
    assert!(house.who(&cookie).await.is_some(), "a request begins the idle time anew");
    later(IDLE - 1);
    let by_itself = house
        .ask(Method::GET, "/api/v1/who")
        .header(header::COOKIE, &cookie)
        .header("interlock-background", "true");
    assert_eq!(house.status(by_itself).await, StatusCode::OK);
    let listening = house
        .ask(Method::GET, "/api/v1/stream")
        .header(header::COOKIE, &cookie)
        .header(header::ACCEPT, "text/event-stream");
    assert_eq!(house.status(listening).await, StatusCode::OK);
    later(1);
    assert_eq!(house.who(&cookie).await, None);
}

#[tokio::test]
async fn a_session_ends_after_its_whole_time_whatever_happens() {
    let house = House::open().await;
    let (cookie, me) = house.sign_in(&house.enrol("ana")).await;
    while NOW.get() + IDLE / 2 < me.expires_at.0 {
        later(IDLE / 2);
        assert!(house.who(&cookie).await.is_some());
    }
    later(IDLE / 2);
    assert_eq!(house.who(&cookie).await, None);
}

#[tokio::test]
async fn a_revoked_passkey_ends_its_session_and_its_streams_at_once() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let (other, _) = house.sign_in(&house.enrol("bob")).await;
    let open =
        |cookie: &str| house.ask(Method::GET, "/api/v1/stream").header(header::COOKIE, cookie);
    let mut stream = open(&cookie).send().await.unwrap().bytes_stream();
    assert!(stream.next().await.is_some());
    house.people.0.lock().unwrap().retain(|p| p.member.as_str() != "ana");
    assert_eq!(house.who(&cookie).await, None);
    let ends = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("the stream ends");
    assert_eq!(house.who(&other).await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn each_member_holds_only_so_many_streams() {
    let house = House::open().await;
    let (cookie, _) = house.sign_in(&house.enrol("ana")).await;
    let open = || house.ask(Method::GET, "/api/v1/stream").header(header::COOKIE, &cookie).send();
    let mut held = Vec::new();
    for _ in 0..8 {
        let answer = open().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        held.push(answer);
    }
    assert_eq!(open().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    held.pop();
    let room = async {
        while open().await.unwrap().status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), room).await.expect("a closed stream makes room");
}
