//! Signing in, one's own profile, members and invitations, as a browser without JavaScript meets them.

use std::collections::BTreeMap;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tollgate_core::{Actor, Id, User, secret::Prefix};
use tollgate_manage::{PeerAddress, services};

use crate::house::{Answer, House};

const PASSWORD: &str = "a long line from a song";
const OTHER: &str = "another long line of it";

/// A browser: keeps cookies, sends forms from our own pages.
struct Browser<'h> {
    house: &'h House,
    cookies: BTreeMap<String, String>,
    address: &'static str,
}

impl<'h> Browser<'h> {
    fn new(house: &'h House) -> Self {
        Self { house, cookies: BTreeMap::new(), address: "192.0.2.7" }
    }
    /// Signed in by a link.
    async fn of(house: &'h House, user: &str) -> Self {
        let mut browser = Self::new(house);
        let user: Id<User> = user.parse().unwrap();
        let (store, actor) = (&house.store, Actor::system("test"));
        let link =
            services::sign_in_link(store, &house.master_key, &Prefix::default(), &house.world, &actor, user).await;
        browser.post(&services::sign_in_path(&link.unwrap()), &[]).await.expect(303);
        browser
    }
    async fn operator(house: &'h House) -> Self {
        Self::of(house, &house.store.seed().await.unwrap().operator.to_string()).await
    }
    async fn send(&mut self, request: http::request::Builder, body: String) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("host", "gate.example").header("user-agent", "Firefox on a test");
        let mut request = request.header("cookie", cookies.join("; ")).body(Body::from(body)).unwrap();
        request.extensions_mut().insert(PeerAddress(self.address.parse().unwrap()));
        let answer = self.house.send(request).await;
        for set in answer.headers.get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => drop(self.cookies.remove(name)),
                value => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        answer
    }
    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), String::new()).await
    }
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("same-origin", path, fields).await
    }
    async fn post_from(&mut self, site: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Request::post(path).header("sec-fetch-site", site), body).await
    }
    /// A call of the API with the session, as a script of our own pages makes it.
    async fn api(&mut self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
        let request = request.header("sec-fetch-site", "same-origin").header("content-type", "application/json");
        self.send(request, body.map(|body| body.to_string()).unwrap_or_default()).await
    }
    async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }
    fn session(&self) -> &str {
        self.cookies.get("tollgate_session").map_or("", String::as_str)
    }
    async fn is_signed_in(&mut self) -> bool {
        self.get("/me").await.status == 200
    }
}

/// A user with this address, and with a password.
async fn person(house: &House, email: &str, memberships: Value) -> String {
    let body = json!({"name": "Ánh", "email": email, "memberships": memberships});
    let user = house.post("users", body).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let mut browser = Browser::of(house, &user).await;
    browser.post("/me/password", &[("password", PASSWORD)]).await.expect(303);
    user
}

/// What is between two marks.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = text.split_once(from).unwrap_or_else(|| panic!("no {from}: {text}")).1;
    rest.split_once(to).unwrap().0
}

#[tokio::test]
async fn a_password_signs_in_and_leads_where_one_wanted_to_go() {
    let house = House::open().await;
    person(&house, "anh@example.com", json!([{"account": "default", "role": "owner"}])).await;
    let mut browser = Browser::new(&house);
    let asked = browser.get("/a/default/members").await.expect(303);
    let form = browser.get(asked.header("location")).await.expect(200);
    let next = between(&form.text, "class=\"form\" novalidate>\n<input type=\"hidden\" name=\"next\" value=\"", "\"")
        .to_owned();
    let fields = [("email", " ANH@Example.com "), ("password", PASSWORD), ("next", next.as_str())];
    let signed_in = browser.post("/sign-in", &fields).await.expect(303);
    assert_eq!(signed_in.header("location"), "/a/default/members");
    let set = signed_in.header("set-cookie");
    assert!(set.contains("; HttpOnly; SameSite=Lax; Max-Age=1209600"), "{set}");
    browser.get("/a/default/members").await.expect(200);
    // Nobody is led to another site.
    let mut browser = Browser::new(&house);
    let foreign = [("email", "anh@example.com"), ("password", PASSWORD), ("next", "//evil.example")];
    assert_eq!(browser.post("/sign-in", &foreign).await.expect(303).header("location"), "/");
}

#[tokio::test]
async fn every_refusal_is_the_same_page() {
    let house = House::open().await;
    person(&house, "with@example.com", json!([])).await;
    house.post("users", json!({"name": "X", "email": "without@example.com"})).await.expect(201);
    let disabled = person(&house, "disabled@example.com", json!([])).await;
    house.patch(&format!("users/{disabled}"), json!({"disabled": true})).await.expect(200);
    let mut pages = Vec::new();
    for email in ["nobody@example.com", "with@example.com", "without@example.com", "disabled@example.com", "nonsense"] {
        let password = if email.starts_with("disabled") { PASSWORD } else { OTHER };
        let mut browser = Browser::new(&house);
        let refused = browser.sign_in(email, password).await.expect(422);
        assert!(browser.cookies.is_empty() && refused.header("retry-after").is_empty());
        assert!(refused.text.contains("role=\"alert\"") && refused.text.contains(&format!("value=\"{email}\"")));
        assert!(!refused.text.contains(password), "what was typed as a password is not in the page");
        let mut headers: Vec<_> = refused.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        // The length is that of what was typed.
        headers.retain(|line| !line.starts_with("x-request-id") && !line.starts_with("content-length"));
        pages.push((headers, refused.text.replace(email, "")));
    }
    assert!(pages.iter().all(|page| page == &pages[0]), "{pages:#?}");
}

#[tokio::test]
async fn too_many_tries_are_told_when_to_come_back() {
    let house = House::open().await;
    person(&house, "anh@example.com", json!([])).await;
    let mut browser = Browser::new(&house);
    browser.address = "198.51.100.7";
    let mut refused = browser.sign_in("anh@example.com", OTHER).await;
    for _ in 0..20 {
        refused = browser.sign_in("anh@example.com", OTHER).await;
    }
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(refused.text.contains("anh@example.com"), "what was typed is kept");
    assert_eq!(browser.sign_in("anh@example.com", PASSWORD).await.status, 429, "the right one too: no oracle");
    Browser::new(&house).sign_in("other@example.com", OTHER).await.expect(422);
}

#[tokio::test]
async fn a_session_from_before_signing_in_becomes_nobody_s() {
    let house = House::open().await;
    person(&house, "anh@example.com", json!([])).await;
    let mut attacker = Browser::of(&house, &house.member("default", "viewer").await.0).await;
    let planted = attacker.session().to_owned();
    let mut victim = Browser::new(&house);
    victim.cookies.insert("tollgate_session".into(), planted.clone());
    victim.sign_in("anh@example.com", PASSWORD).await.expect(303);
    assert_ne!(victim.session(), planted);
    let name = attacker.api("GET", "me", None).await.expect(200).json()["user"]["name"].clone();
    assert_eq!(name, "viewer of default", "what was planted stands for whom it stood for");
    let made_up = "tgs_000000000000_00000000000000000000000000000000000000000000000000000";
    victim.cookies.insert("tollgate_session".into(), made_up.into());
    assert!(!victim.is_signed_in().await);
}

#[tokio::test]
async fn a_link_leads_to_a_password_and_the_password_ends_what_was_open() {
    let house = House::open().await;
    let mut first = Browser::operator(&house).await;
    assert!(first.cookies.contains_key("tollgate_flash"), "who came by a link is told to set a password");
    let mut second = Browser::operator(&house).await;
    let link = house.link().await;
    for (fields, said) in [
        (vec![("password", "short")], "at least 12"),
        (vec![("password", "password1234")], "guesses"),
        (vec![("password", "")], "at least 12"),
        (vec![], "at least 12"),
    ] {
        let refused = first.post("/me/password", &fields).await.expect(422);
        assert!(refused.text.contains(said) && refused.text.contains("aria-invalid"), "{}", refused.text);
    }
    let before = first.session().to_owned();
    let set = first.post("/me/password", &[("password", PASSWORD)]).await.expect(303);
    assert_eq!(set.header("location"), "/me");
    assert_eq!(first.session(), before);
    assert!(first.is_signed_in().await && !second.is_signed_in().await);
    Browser::new(&house).post(&link, &[]).await.expect(404);
    // From now on the present one is asked for.
    for current in [None, Some(""), Some(OTHER)] {
        let mut fields = vec![("password", OTHER)];
        fields.extend(current.map(|current| ("current", current)));
        let refused = first.post("/me/password", &fields).await.expect(422);
        assert!(refused.text.contains("not your present password"), "{}", refused.text);
        assert!(!refused.text.contains(OTHER));
    }
    first.post("/me/password", &[("password", OTHER), ("current", PASSWORD)]).await.expect(303);
    // Without another way in it cannot be removed.
    let refused = first.post("/me/password/remove", &[("current", OTHER)]).await.expect(422);
    assert!(refused.text.contains("could not sign in again"));
    let mut other = Browser::operator(&house).await;
    assert!(!other.cookies.contains_key("tollgate_flash"), "there is a password");
    assert!(other.is_signed_in().await);
}

#[tokio::test]
async fn sessions_are_seen_and_ended_on_the_page_and_by_the_api() {
    let house = House::open().await;
    let user = house.member("default", "member").await.0;
    let (mut here, mut there, mut third) =
        (Browser::of(&house, &user).await, Browser::of(&house, &user).await, Browser::of(&house, &user).await);
    let mut stranger = Browser::operator(&house).await;
    let page = here.get("/me").await.expect(200);
    assert!(page.text.contains("this session") && page.text.contains("Firefox on a test"));
    assert!(page.text.contains("192.0.2.7") && !page.text.contains(here.session()));
    let listed = here.api("GET", "me/sessions", None).await.expect(200).json();
    let sessions = listed["data"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.iter().filter(|one| one["current"] == true).count(), 1);
    let id = there.session()[4..16].to_owned();
    assert!(sessions.iter().any(|one| one["id"] == id.as_str() && one["method"] == "link"), "{listed}");
    stranger.post(&format!("/me/sessions/{id}/revoke"), &[]).await.expect(404);
    stranger.api("POST", &format!("me/sessions/{id}/revoke"), None).await.refused(404, "not_found");
    here.post("/me/sessions/nonsense/revoke", &[]).await.expect(404);
    here.post_from("cross-site", &format!("/me/sessions/{id}/revoke"), &[]).await.expect(403);
    assert!(there.is_signed_in().await);
    here.post(&format!("/me/sessions/{id}/revoke"), &[]).await.expect(303);
    assert!(!there.is_signed_in().await && third.is_signed_in().await);
    here.get("/me/sessions/revoke").await.expect(200);
    let mut fourth = Browser::of(&house, &user).await;
    assert_eq!(here.api("POST", "me/sessions/revoke", None).await.expect(200).json()["ended"], 2);
    assert!(here.is_signed_in().await && !third.is_signed_in().await && !fourth.is_signed_in().await);
    here.post("/me/sessions/revoke", &[]).await.expect(303);
    assert!(here.is_signed_in().await && stranger.is_signed_in().await);
    // No token does any of this.
    let token = here.api("POST", "tokens", Some(json!({"name": "t"}))).await.expect(201).json();
    let token = token["token"].as_str().unwrap();
    for (method, path) in [("GET", "me/sessions"), ("POST", "me/sessions/revoke"), ("PUT", "me/password")] {
        let body = (method == "PUT").then(|| json!({"password": PASSWORD}));
        house.call(token, method, path, body.clone()).await.refused(403, "forbidden");
        house.call(&house.operator, method, path, body).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_password_is_set_by_the_api_of_a_session() {
    let house = House::open().await;
    let mut browser = Browser::operator(&house).await;
    for (body, field) in [
        (json!({}), "password"),
        (json!({"password": "short"}), "password"),
        (json!({"password": PASSWORD, "surprise": 1}), "surprise"),
        (json!({"password": 1}), "password"),
    ] {
        let problem = browser.api("PUT", "me/password", Some(body)).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field);
    }
    browser.api("PUT", "me/password", Some(json!({"password": PASSWORD}))).await.expect(204);
    let wrong = browser.api("PUT", "me/password", Some(json!({"password": OTHER, "current": OTHER}))).await;
    assert_eq!(wrong.refused(400, "invalid_request")["field"], "current");
    for _ in 0..10 {
        browser.api("PUT", "me/password", Some(json!({"password": OTHER, "current": OTHER}))).await;
    }
    let often = browser.api("PUT", "me/password", Some(json!({"password": OTHER, "current": PASSWORD}))).await;
    assert!(often.header("retry-after").parse::<u64>().unwrap() >= 1);
    often.refused(429, "too_many_attempts");
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let house = House::open().await;
    let mut browser = Browser::operator(&house).await;
    for _ in 0..2 {
        house.turn_clock(6 * 86_400);
        assert!(browser.is_signed_in().await);
    }
    house.turn_clock(2 * 86_400);
    assert!(!browser.is_signed_in().await, "used or not, it has an end");
}

#[tokio::test]
async fn a_page_left_open_that_asks_by_itself_keeps_no_session_alive() {
    let house = House::open().await;
    let mut browser = Browser::operator(&house).await;
    for path in ["/a/default/usage", "/operator/nodes"] {
        // What makes the page say so is tested in a browser; here is what follows from it.
        let asked = || Request::get(path).header("x-tollgate-poll", "1");
        assert!(browser.is_signed_in().await);
        house.turn_clock(4 * 86_400);
        browser.send(asked(), String::new()).await.expect(200);
        house.turn_clock(3 * 86_400);
        browser.send(asked(), String::new()).await.expect(303);
        browser = Browser::operator(&house).await;
    }
}

#[tokio::test]
async fn access_tokens_are_made_shown_once_and_revoked_on_ones_page() {
    let house = House::open().await;
    let user = house.member("default", "member").await.0;
    let mut browser = Browser::of(&house, &user).await;
    browser.get("/me/tokens/new").await.expect(200);
    for fields in [vec![("name", "")], vec![("name", "laptop"), ("account", "nowhere")]] {
        let refused = browser.post("/me/tokens/new", &fields).await.expect(422);
        assert!(refused.text.contains("aria-invalid"), "{}", refused.text);
    }
    let fields = [("name", "laptop <1>"), ("account", "default"), ("days", "30")];
    let shown = browser.post("/me/tokens/new", &fields).await.expect(200);
    assert_eq!(shown.header("cache-control"), "no-store");
    let token = between(&shown.text, "<code id=\"secret\">", "</code>").to_owned();
    let me = house.call(&token, "GET", "me", None).await.expect(200).json();
    let page = browser.get("/me").await.expect(200);
    assert!(page.text.contains("laptop &#60;1&#62;") && !page.text.contains(&token));
    let revoke = format!("/me/tokens/{}/revoke", me["token"].as_str().unwrap());
    let mut stranger = Browser::operator(&house).await;
    stranger.get(&revoke).await.expect(404);
    stranger.post(&revoke, &[]).await.expect(404);
    browser.get(&revoke).await.expect(200);
    browser.post(&revoke, &[]).await.expect(303);
    house.call(&token, "GET", "me", None).await.refused(401, "invalid_token");
    assert!(browser.get("/me").await.text.contains("revoked"));
}

#[tokio::test]
async fn ones_name_changes_and_nonsense_is_said_beside_it() {
    let house = House::open().await;
    let user = house.member("default", "viewer").await.0;
    let mut browser = Browser::of(&house, &user).await;
    browser.get("/me/name").await.expect(200);
    let long = "x".repeat(201);
    for wrong in ["", "a\u{7}b", long.as_str()] {
        browser.post("/me/name", &[("name", wrong)]).await.expect(422);
    }
    browser.post("/me/name", &[("name", "<b>Ánh</b>")]).await.expect(303);
    assert!(browser.get("/me").await.text.contains("&#60;b&#62;Ánh"));
}

/// The path of an invitation made on the page.
async fn invited(browser: &mut Browser<'_>, account: &str, fields: &[(&str, &str)]) -> String {
    let shown = browser.post(&format!("/a/{account}/members/invite"), fields).await.expect(200);
    let url = between(&shown.text, "<code id=\"secret\">", "</code>").to_owned();
    url.strip_prefix("http://gate.example").unwrap_or_else(|| panic!("{url}")).to_owned()
}

#[tokio::test]
async fn an_invitation_makes_a_user_who_is_signed_in_and_a_member() {
    let house = House::open().await;
    house.account("acme").await;
    let mut owner = Browser::of(&house, &house.member("acme", "owner").await.0).await;
    for wrong in [[("role", "king"), ("email", "")], [("role", "member"), ("email", "nobody")]] {
        owner.post("/a/acme/members/invite", &wrong).await.expect(422);
    }
    let path = invited(&mut owner, "acme", &[("role", "member"), ("email", "")]).await;
    let page = owner.get("/a/acme/members").await.expect(200);
    assert!(page.text.contains("whoever opens the link first") && !page.text.contains(&path));
    let mut nga = Browser::new(&house);
    let form = nga.get(&path).await.expect(200);
    assert!(form.text.contains("Join acme") && form.text.contains("owner of acme invites you as member"));
    nga.post_from("cross-site", &path, &[]).await.expect(403);
    let right = [("name", "Nga"), ("email", "nga@example.com"), ("password", PASSWORD)];
    for (field, value) in [("name", ""), ("email", "nga"), ("password", "nga@example.com")] {
        let fields = right.map(|(name, usual)| (name, if name == field { value } else { usual }));
        let refused = nga.post(&path, &fields).await.expect(422);
        assert!(refused.text.contains(&format!("id=\"{field}-error\"")), "{field}: {}", refused.text);
        assert!(
            !refused.text.contains(PASSWORD) && refused.text.contains(if field == "name" { "nga@" } else { "Nga" })
        );
    }
    let joined = nga.post(&path, &right).await.expect(303);
    assert_eq!(joined.header("location"), "/a/acme/keys");
    let me = nga.api("GET", "me", None).await.expect(200).json();
    assert_eq!((&me["user"]["email"], &me["account"]["role"]), (&json!("nga@example.com"), &json!("member")));
    nga.get("/a/acme/members").await.expect(403);
    nga.get("/a/default/members").await.expect(404);
    Browser::new(&house).get(&path).await.expect(404);
    Browser::new(&house).post(&path, &right).await.expect(404);
    let mut again = Browser::new(&house);
    again.sign_in("nga@example.com", PASSWORD).await.expect(303);
    // The next one is accepted by somebody who is here already.
    let path = invited(&mut owner, "acme", &[("role", "viewer"), ("email", "")]).await;
    let refused = nga.post(&path, &[]).await.expect(422);
    assert!(refused.text.contains("belong to the account already"));
    let minh = house.member("default", "member").await.0;
    let mut minh = Browser::of(&house, &minh).await;
    assert!(minh.get(&path).await.expect(200).text.contains("You are signed in as"));
    minh.post(&path, &[]).await.expect(303);
    minh.get("/a/acme/keys").await.expect(200);
}

#[tokio::test]
async fn an_invitation_is_taken_back_names_an_address_and_ends() {
    let house = House::open().await;
    let mut owner = Browser::operator(&house).await;
    let path = invited(&mut owner, "default", &[("role", "member"), ("email", "Boss@example.com")]).await;
    let mut other = Browser::new(&house);
    assert!(other.get(&path).await.expect(200).text.contains("value=\"Boss@example.com\""));
    let fields = [("name", "Boss"), ("email", "typed@example.com"), ("password", PASSWORD)];
    other.post(&path, &fields).await.expect(303);
    let me = other.api("GET", "me", None).await.json();
    assert_eq!(me["user"]["email"], "Boss@example.com", "the invited address goes before the typed one");
    let path = invited(&mut owner, "default", &[("role", "member"), ("email", "")]).await;
    let taken = [("name", "X"), ("email", "boss@EXAMPLE.com"), ("password", PASSWORD)];
    assert!(Browser::new(&house).post(&path, &taken).await.expect(422).text.contains("A user here has this address"));
    let listed = house.get("accounts/default/invitations").await.expect(200).json();
    let open = listed["data"].as_array().unwrap().iter().find(|one| one["status"] == "open").unwrap().clone();
    let revoke = format!("/a/default/invitations/{}/revoke", open["id"].as_str().unwrap());
    owner.get(&revoke).await.expect(200);
    other.post(&revoke, &[]).await.expect(403);
    owner.post(&revoke, &[]).await.expect(303);
    other.get(&path).await.expect(404);
    let old = invited(&mut owner, "default", &[("role", "member"), ("email", "")]).await;
    house.turn_clock(7 * 86_400);
    Browser::new(&house).get(&old).await.expect(404);
    for wrong in ["/invitations/x", &format!("/invitations/{}", house.operator), &old[..old.len() - 1]] {
        Browser::new(&house).get(wrong).await.expect(404);
        Browser::new(&house).post(wrong, &fields).await.expect(404);
    }
}

#[tokio::test]
async fn owners_change_roles_and_the_last_one_stays() {
    let house = House::open().await;
    house.account("acme").await;
    let (owner, token) = house.member("acme", "owner").await;
    let (member, _) = house.member("acme", "member").await;
    let mut browser = Browser::of(&house, &owner).await;
    let page = browser.get("/a/acme/members").await.expect(200);
    assert!(page.text.contains("member of acme") && page.text.contains("owner of acme"));
    let role = |user: &str| format!("/a/acme/members/{user}/role");
    let remove = |user: &str| format!("/a/acme/members/{user}/remove");
    assert!(browser.get(&role(&member)).await.expect(200).text.contains("name=\"was\" value=\"member\""));
    browser.get(&remove(&member)).await.expect(200);
    browser.post(&role(&member), &[("role", "king"), ("was", "member")]).await.expect(422);
    assert!(
        browser
            .post(&role(&owner), &[("role", "viewer"), ("was", "owner")])
            .await
            .expect(422)
            .text
            .contains("last owner")
    );
    assert!(browser.post(&remove(&owner), &[]).await.expect(409).text.contains("last owner"));
    for read in [&[("role", "owner"), ("was", "viewer")][..], &[("role", "owner")]] {
        // Somebody was quicker: what was read is not what it is.
        let late = browser.post(&role(&member), read).await.expect(422);
        assert!(
            late.text.contains("another role meanwhile") && late.text.contains("value=\"member\""),
            "{}",
            late.text
        );
    }
    browser.post(&role(&member), &[("role", "owner"), ("was", "member")]).await.expect(303);
    let demoted = browser.post(&role(&owner), &[("role", "member"), ("was", "owner")]).await.expect(303);
    assert_eq!(demoted.header("location"), "/a/acme/keys", "who is no owner any more does not see the members");
    browser.get("/a/acme/members").await.expect(403);
    let mut second = Browser::of(&house, &member).await;
    let stranger = house.member("default", "owner").await.0;
    for path in [role(&stranger), remove(&stranger), role("nonsense")] {
        second.get(&path).await.expect(404);
        second.post(&path, &[("role", "owner"), ("was", "member")]).await.expect(404);
    }
    second.post(&remove(&owner), &[]).await.expect(303);
    house.call(&token, "GET", "me", None).await.refused(401, "invalid_token");
    browser.get("/a/acme/keys").await.expect(404);
}

#[tokio::test]
async fn the_api_of_members_and_invitations_is_the_owner_s() {
    let house = House::open().await;
    house.account("acme").await;
    let (owner_id, owner) = house.member("acme", "owner").await;
    let (member_id, member) = house.member("acme", "member").await;
    let members = house.call(&owner, "GET", "accounts/acme/members", None).await.expect(200).json();
    assert_eq!(members["data"].as_array().unwrap().len(), 2);
    assert_eq!(members["data"][1]["source"], "hand");
    house.call(&member, "GET", "accounts/acme/members", None).await.refused(403, "forbidden");
    house.call(&owner, "GET", "accounts/default/members", None).await.refused(404, "not_found");
    house.call(&owner, "GET", "accounts/acme/members?cursor=x", None).await.refused(400, "invalid_request");
    let path = |user: &str| format!("accounts/acme/members/{user}");
    for (body, field) in
        [(json!({}), "role"), (json!({"role": "king"}), "role"), (json!({"role": "owner", "x": 1}), "x")]
    {
        let problem = house.call(&owner, "PATCH", &path(&member_id), Some(body)).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field);
    }
    let edited = house.call(&owner, "PATCH", &path(&member_id), Some(json!({"role": "viewer"}))).await.expect(200);
    assert_eq!(edited.json()["role"], "viewer");
    house.call(&owner, "PATCH", &path(&owner_id), Some(json!({"role": "viewer"}))).await.refused(409, "not_possible");
    house.call(&owner, "DELETE", &path(&owner_id), None).await.refused(409, "not_possible");
    house.call(&owner, "DELETE", &path(&member_id), None).await.expect(200);
    house.call(&owner, "DELETE", &path(&member_id), None).await.refused(404, "not_found");
    house.call(&member, "GET", "keys", None).await.refused(401, "invalid_token");
    let invitations = "accounts/acme/invitations";
    for (body, field) in [(json!({"role": "x"}), "role"), (json!({"role": "owner", "email": "x"}), "email")] {
        let problem = house.call(&owner, "POST", invitations, Some(body)).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field);
    }
    let made = house.call(&owner, "POST", invitations, Some(json!({"role": "viewer"}))).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    let url = made["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("/invitations/tgi_"), "{url}");
    let listed = house.call(&owner, "GET", invitations, None).await.expect(200);
    assert!(listed.text.contains(made["id"].as_str().unwrap()) && !listed.text.contains(&url));
    // An invitation's text signs nobody in.
    let mut browser = Browser::new(&house);
    browser.post(&url.replace("/invitations/", "/sign-in/"), &[]).await.expect(404);
    let revoke = format!("{invitations}/{}/revoke", made["id"].as_str().unwrap());
    house.call(&owner, "POST", &revoke, None).await.expect(200);
    browser.get(&url).await.expect(404);
    let audit = house.get("audit?account=acme").await.expect(200).text;
    for action in ["member.edit", "member.remove", "invitation.create", "invitation.revoke"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

#[tokio::test]
async fn there_is_no_identity_provider_where_none_is_set() {
    let house = House::open().await;
    let mut browser = Browser::new(&house);
    assert!(!browser.get("/sign-in").await.expect(200).text.contains("/sign-in/oidc"));
    browser.get("/sign-in/oidc").await.expect(404);
    browser.get("/sign-in/oidc/callback?code=x&state=y").await.expect(404);
}
