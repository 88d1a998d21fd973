//! Signing in by a link, the start page, signing out.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::house::{Answer, House};

async fn page(house: &House, path: &str, cookie: Option<&str>) -> Answer {
    let mut request = Request::get(path).header("host", "gate.example:8080");
    if let Some(cookie) = cookie {
        request = request.header("cookie", format!("a=b; {cookie}; c=d"));
    }
    house.send(request.body(Body::empty()).unwrap()).await
}

async fn form(house: &House, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(path).header("host", "gate.example:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::empty()).unwrap()).await
}

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let house = House::open().await;
    let link = house.link().await;
    // Looking at it uses nothing up.
    for _ in 0..2 {
        assert!(page(&house, &link, None).await.expect(200).text.contains("<button"));
    }
    let redeemed = form(&house, &link, &[OWN]).await.expect(303);
    assert_eq!(redeemed.header("location"), "/");
    let set = redeemed.header("set-cookie");
    assert!(
        set.starts_with("tollgate_session=tgs_") && set.contains("; HttpOnly; SameSite=Lax; Max-Age=1209600"),
        "{set}"
    );
    assert!(!set.contains("Secure"));
    form(&house, &link, &[OWN]).await.expect(404);
    let cookie = cookie_of(&redeemed);
    let start = page(&house, "/", Some(&cookie)).await.expect(303);
    assert_eq!(start.header("location"), "/a/default/keys");
    let policy = start.header("content-security-policy");
    assert_eq!(
        policy,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    assert_eq!(start.header("cache-control"), "no-store");
    // Signed out is signed out on the server, not only here.
    let out = form(&house, "/sign-out", &[OWN, ("cookie", &cookie)]).await.expect(303);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(page(&house, "/", Some(&cookie)).await.expect(303).header("location"), "/sign-in");
}

#[tokio::test]
async fn a_link_that_is_wrong_or_old_signs_nobody_in() {
    let house = House::open().await;
    let link = house.link().await;
    for wrong in ["/sign-in/x", &format!("/sign-in/{}", house.operator), &link[..link.len() - 1]] {
        assert!(page(&house, wrong, None).await.expect(404).text.contains("does not work"));
        form(&house, wrong, &[OWN]).await.expect(404);
    }
    house.turn_clock(24 * 3_600);
    form(&house, &link, &[OWN]).await.expect(404);
    for cookie in [None, Some("tollgate_session=nonsense")] {
        let asked = page(&house, "/a/default/keys?status=active", cookie).await.expect(303);
        assert_eq!(asked.header("location"), "/sign-in?next=%2Fa%2Fdefault%2Fkeys%3Fstatus%3Dactive");
        page(&house, "/sign-in", cookie).await.expect(200);
    }
}

#[tokio::test]
async fn another_site_cannot_use_a_session() {
    let house = House::open().await;
    let link = house.link().await;
    form(&house, &link, &[("sec-fetch-site", "cross-site")]).await.expect(403);
    form(&house, &link, &[("origin", "http://evil.example")]).await.expect(403);
    form(&house, &link, &[]).await.expect(403);
    let signed_in = form(&house, &link, &[("origin", "http://gate.example:8080")]).await.expect(303);
    let cookie = cookie_of(&signed_in);
    let call = async |headers: &[(&str, &str)]| {
        let mut request = Request::post("/api/v1/keys").header("host", "gate.example:8080").header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = json!({"name": "k", "models": "all"}).to_string();
        house.send(request.header("content-type", "application/json").body(Body::from(body)).unwrap()).await
    };
    call(&[]).await.refused(403, "cross_site");
    call(&[("sec-fetch-site", "same-site")]).await.refused(403, "cross_site");
    call(&[("origin", "null")]).await.refused(403, "cross_site");
    call(&[OWN]).await.expect(201);
    // Reading needs no such proof: another site cannot see the answer.
    let read = Request::get("/api/v1/me").header("cookie", &cookie).body(Body::empty()).unwrap();
    assert_eq!(house.send(read).await.expect(200).json()["token"], json!(null));
    // A wrong token is not made good by a cookie.
    let both = Request::get("/api/v1/me").header("cookie", &cookie).header("authorization", "Bearer x");
    house.send(both.body(Body::empty()).unwrap()).await.refused(401, "invalid_token");
    house.turn_clock(14 * 86_400);
    let old = Request::get("/api/v1/me").header("cookie", &cookie).body(Body::empty()).unwrap();
    house.send(old).await.refused(401, "invalid_token");
}

#[tokio::test]
async fn under_https_the_cookie_is_bound_to_the_host_and_links_are_whole() {
    let house = House::open_at(Some("https://ai.example.com")).await;
    let me = house.get("me").await.json();
    let path = format!("users/{}/sign-in-links", me["user"]["id"].as_str().unwrap());
    let link = house.call(&house.operator, "POST", &path, None).await.expect(201);
    assert_eq!(link.header("cache-control"), "no-store");
    let url = link.json()["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("https://ai.example.com").unwrap();
    let signed_in = form(&house, path, &[("origin", "https://ai.example.com")]).await.expect(303);
    let set = signed_in.header("set-cookie");
    assert!(
        set.starts_with("__Host-tollgate_session=") && set.ends_with("; Secure") && set.contains("Path=/;"),
        "{set}"
    );
}

#[tokio::test]
async fn language_and_theme_are_the_browser_s_until_one_chooses() {
    let house = House::open().await;
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = Request::get("/sign-in");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        house.send(request.body(Body::empty()).unwrap()).await.expect(200).text
    };
    assert!(ask(&[]).await.contains("<html lang=\"en\" data-theme=\"auto\">"));
    assert!(ask(&[("accept-language", "vi-VN,vi;q=0.9,en;q=0.8")]).await.contains("<html lang=\"vi\""));
    let choose = async |headers: &[(&str, &str)], body: &'static str| {
        let mut request = Request::post("/preferences").header("host", "gate.example:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        house.send(request.body(Body::from(body)).unwrap()).await
    };
    choose(&[], "lang=vi").await.expect(403);
    let chosen = choose(&[OWN], "next=%2Fsign-in%3Fx&lang=vi").await.expect(303);
    assert_eq!(chosen.header("location"), "/sign-in?x");
    let html = ask(&[("accept-language", "en"), ("cookie", &cookie_of(&chosen))]).await;
    assert!(html.contains("<html lang=\"vi\""), "{html}");
    let elsewhere = choose(&[OWN], "next=https%3A%2F%2Fevil.example&theme=dark").await.expect(303);
    assert_eq!(elsewhere.header("location"), "/");
    assert!(ask(&[("cookie", &cookie_of(&elsewhere))]).await.contains("data-theme=\"dark\""));
}

#[tokio::test]
async fn files_are_cached_by_their_content_and_compressed() {
    let house = House::open().await;
    let html = page(&house, "/sign-in", None).await.expect(200).text;
    for name in ["tollgate.css", "tollgate.js", "htmx.js", "icon.svg"] {
        let at = html.find(&format!("/assets/{name}?v=")).unwrap();
        let address = html[at..].split('"').next().unwrap();
        let request = Request::get(address).header("accept-encoding", "gzip, br").body(Body::empty()).unwrap();
        let file = house.send(request).await.expect(200);
        assert_eq!(file.header("content-encoding"), "gzip", "{name}");
        assert!(file.header("cache-control").contains("immutable"), "{name}");
        assert!(
            !page(&house, &format!("/assets/{name}?v=0"), None)
                .await
                .expect(200)
                .header("cache-control")
                .contains("immutable")
        );
    }
    page(&house, "/assets/nothing.js", None).await.expect(404);
    let compressed = Request::get("/sign-in").header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    assert_eq!(house.send(compressed).await.expect(200).header("content-encoding"), "gzip");
}
