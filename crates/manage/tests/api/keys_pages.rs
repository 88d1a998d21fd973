//! *My API Keys* as a browser without JavaScript meets it: every role, wrong input, repeats, two tabs.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tollgate_core::{Actor, Id, User, secret::Prefix};
use tollgate_manage::services;
use tollgate_store::keys::Exposed;

use crate::house::{Answer, House, no_such};

const KEYS: &str = "/a/default/keys";

/// Somebody at a browser, signed in.
struct Tab<'h> {
    house: &'h House,
    cookie: String,
}

impl House {
    async fn tab(&self, user: Id<User>) -> Tab<'_> {
        let actor = Actor::system("test");
        let link =
            services::sign_in_link(&self.store, &self.master_key, &Prefix::default(), &self.world, &actor, user).await;
        let path = services::sign_in_path(&link.unwrap());
        let request = Request::post(path).header("host", "gate.example").header("sec-fetch-site", "same-origin");
        let answer = self.send(request.body(Body::empty()).unwrap()).await.expect(303);
        let cookies = answer.headers.get_all("set-cookie").iter();
        let mut cookies = cookies.map(|value| value.to_str().unwrap().split(';').next().unwrap());
        let cookie = cookies.find(|cookie| cookie.contains("session=")).unwrap().to_owned();
        Tab { house: self, cookie }
    }
    async fn operator_tab(&self) -> Tab<'_> {
        self.tab(self.store.seed().await.unwrap().operator).await
    }
    async fn tab_as(&self, account: &str, role: &str) -> Tab<'_> {
        let (user, _) = self.member(account, role).await;
        self.tab(user.parse().unwrap()).await
    }
}

impl Tab<'_> {
    async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", "gate.example").header("cookie", &self.cookie);
        self.house.send(request.body(Body::empty()).unwrap()).await
    }
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("same-origin", path, fields).await
    }
    async fn post_from(&self, site: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header("host", "gate.example")
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", site)
            .header("content-type", "application/x-www-form-urlencoded");
        self.house.send(request.body(Body::from(body)).unwrap()).await
    }
}

/// The value of a form's hidden field.
fn hidden(html: &str, name: &str) -> String {
    let at = html.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {html}"));
    at.split('"').next().unwrap().to_owned()
}

/// The key that a page shows.
fn secret(html: &str) -> String {
    html.split("id=\"new-key\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

fn path_of(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_never_again() {
    let house = House::open().await;
    house.model("chat-a").await;
    let tab = house.operator_tab().await;
    let empty = tab.get(KEYS).await.expect(200);
    assert!(empty.text.contains("No keys yet") && empty.text.contains("Create New API Key"), "{}", empty.text);
    let form = tab.get(&format!("{KEYS}/new")).await.expect(200);
    let once = hidden(&form.text, "once");
    let fields = [
        ("once", once.as_str()),
        ("name", "nightly"),
        ("access", "list"),
        ("models", "chat-a"),
        ("expiry", "date"),
        ("date", "2026-12-24"),
        ("zone", "Asia/Ho_Chi_Minh"),
        ("note", "line 1\r\nline 2"),
    ];
    let made = tab.post(&format!("{KEYS}/new"), &fields).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let key = secret(&made.text);
    assert!(key.starts_with("tg_") && key.len() == 65, "{key}");
    for words in
        ["cannot be seen again", "browser", "disabled automatically", "http://gate.example/v1", "chat-a", ">Done<"]
    {
        assert!(made.text.contains(words), "{words}: {}", made.text);
    }
    // A reload sends the form again: no second key, and nothing shown.
    let again = tab.post(&format!("{KEYS}/new"), &fields).await.expect(409);
    assert!(again.text.contains("made already") && !again.text.contains(&key[16..]), "{}", again.text);
    let listed = house.get("keys").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["expires_at"], "2026-12-24T17:00:00Z");
    assert_eq!(listed["data"][0]["note"], "line 1\nline 2");
    for path in [KEYS.to_owned(), path_of(&listed["data"][0])] {
        let page = tab.get(&path).await.expect(200);
        assert!(page.text.contains("nightly") && !page.text.contains(&key[16..]), "{path}");
        assert_eq!(page.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_wrong_form_is_shown_again_with_what_was_typed() {
    let house = House::open().await;
    house.model("chat-a").await;
    let tab = house.operator_tab().await;
    let path = format!("{KEYS}/new");
    for (fields, words) in [
        (vec![("access", "all")], "This is needed."),
        (vec![("name", "typed"), ("access", "list")], "Choose at least one model"),
        (vec![("name", "typed")], "Choose all models, or only some"),
        (vec![("name", "typed"), ("access", "list"), ("models", "no-such")], "not there any more"),
        (vec![("name", "typed"), ("access", "all"), ("expiry", "date"), ("date", "2020-01-01")], "This day is over"),
        (vec![("name", "typed"), ("access", "all"), ("expiry", "someday")], "Choose one of these"),
    ] {
        let refused = tab.post(&path, &fields).await.expect(422);
        assert!(refused.text.contains(words), "{fields:?}: {}", refused.text);
        assert!(refused.text.contains("aria-invalid=\"true\"") && refused.text.contains("role=\"alert\""));
        if fields[0].1 == "typed" {
            assert!(refused.text.contains("value=\"typed\""), "{}", refused.text);
        }
    }
    assert_eq!(house.get("keys").await.json()["data"], json!([]));
    tab.post_from("cross-site", &path, &[("name", "k"), ("access", "all")]).await.expect(403);
}

#[tokio::test]
async fn without_a_paid_plan_the_page_says_so_and_where_to_ask() {
    let house = House::open().await;
    house.post("accounts", json!({"handle": "poor"})).await.expect(201);
    let tab = house.tab_as("poor", "owner").await;
    let list = tab.get("/a/poor/keys").await.expect(200);
    assert!(list.text.contains("Subscribe to a paid plan") && list.text.contains("mailto:sales@example.com"));
    for answer in [
        tab.get("/a/poor/keys/new").await.expect(402),
        tab.post("/a/poor/keys/new", &[("name", "k"), ("access", "all")]).await.expect(402),
    ] {
        assert!(answer.text.contains("A paid plan is needed"), "{}", answer.text);
        assert!(answer.text.contains("mailto:sales@example.com"), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_list_is_filtered_searched_sorted_and_paged_by_plain_addresses() {
    let house = House::open().await;
    let tab = house.operator_tab().await;
    for at in 0..60 {
        house.post("keys", json!({"name": format!("key {at:02}"), "models": "all"})).await.expect(201);
    }
    let names = |html: &str| -> Vec<String> {
        let cells = html.split("<bdi>key ").skip(1);
        cells.map(|cell| cell.split('<').next().unwrap().to_owned()).collect()
    };
    let link = |html: &str, id: &str| -> String {
        let tag = html.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no {id}: {html}"));
        tag.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&")
    };
    let first = tab.get(KEYS).await.expect(200).text;
    assert_eq!((names(&first).len(), names(&first)[0].as_str()), (50, "59"));
    let second = tab.get(&link(&first, "page-next")).await.expect(200).text;
    assert_eq!(names(&second), ["09", "08", "07", "06", "05", "04", "03", "02", "01", "00"]);
    assert!(!second.contains("page-next"));
    let back = tab.get(&link(&second, "page-previous")).await.expect(200).text;
    assert_eq!(names(&back), names(&first));
    assert!(!back.contains("page-previous"));
    let by_name = tab.get(&link(&first, "sort-name")).await.expect(200).text;
    assert_eq!(names(&by_name)[0], "00");
    assert!(by_name.contains("aria-sort=\"ascending\""));
    let found = tab.get(&format!("{KEYS}?search=KEY+4&status=active&sort=name")).await.expect(200).text;
    assert_eq!(names(&found), ["40", "41", "42", "43", "44", "45", "46", "47", "48", "49"]);
    let none = tab.get(&format!("{KEYS}?search=%3Cscript%3E")).await.expect(200).text;
    assert!(none.contains("No key fits") && !none.contains("<script>"), "{none}");
    // Sheets lead back to the list as it was left.
    let edit = found.split("/edit?back=").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(edit, "search%3DKEY%2B4%26status%3Dactive%26sort%3Dname");
    // A page of another order: from the beginning.
    let foreign = tab.get(&format!("{KEYS}?sort=name&after=k31")).await.expect(303);
    assert_eq!(foreign.header("location"), format!("{KEYS}?sort=name"));
    tab.get(&format!("{KEYS}?after=nonsense&sort=size")).await.expect(303);
}

#[tokio::test]
async fn of_two_tabs_that_edit_one_key_the_later_is_told_and_loses_nothing() {
    let house = House::open().await;
    house.model("chat-a").await;
    let key = house.key().await;
    let tab = house.operator_tab().await;
    let path = format!("{}/edit", path_of(&key));
    let version = hidden(&tab.get(&path).await.expect(200).text, "version");
    let save = async |version: &str, name: &str| {
        let fields = [
            ("version", version),
            ("name", name),
            ("access", "list"),
            ("models", "chat-a"),
            ("expiry", "keep"),
            ("back", "sort=name"),
        ];
        tab.post(&path, &fields).await
    };
    let saved = save(&version, "first").await.expect(303);
    assert_eq!(saved.header("location"), format!("{KEYS}?sort=name"));
    assert!(saved.header("set-cookie").starts_with("tollgate_flash=key-saved.0"), "{:?}", saved.headers);
    let late = save(&version, "second").await.expect(409);
    for words in ["Nothing of yours was saved", "<bdi>first</bdi>", "value=\"second\"", "value=\"chat-a\" checked"] {
        assert!(late.text.contains(words), "{words}: {}", late.text);
    }
    let stored = async || house.get(&format!("keys/{}", key["id"].as_str().unwrap())).await.json();
    assert_eq!((&stored().await["name"], &stored().await["models"]), (&json!("first"), &json!(["chat-a"])));
    // Saving again is a decision.
    save(&hidden(&late.text, "version"), "second").await.expect(303);
    assert_eq!(stored().await["name"], "second");
    save(&version, "").await.expect(422);
    save("nonsense", "third").await.expect(409);
    assert_eq!(stored().await["name"], "second");
}

#[tokio::test]
async fn web_pages_are_named_under_more_options_and_what_pages_did_is_told() {
    let house = House::open().await;
    let tab = house.operator_tab().await;
    let form = tab.get(&format!("{KEYS}/new")).await.expect(200).text;
    assert!(
        form.contains("<details class=\"more\"><summary>More options") && form.contains("can read this key"),
        "{form}"
    );
    let with = |origins: &'static str| [("name", "k"), ("access", "all"), ("origins", origins)];
    let wrong = tab.post(&format!("{KEYS}/new"), &with("https://a.example/\r\n*")).await.expect(422).text;
    for words in
        ["<details class=\"more\" open>", "is no origin", ">https://a.example/\n*</textarea>", "aria-invalid=\"true\""]
    {
        assert!(wrong.contains(words), "{words}: {wrong}");
    }
    tab.post(&format!("{KEYS}/new"), &with("https://b.example\r\n\r\n http://localhost:3000")).await.expect(201);
    let key = house.get("keys").await.json()["data"][0].clone();
    assert_eq!(key["allowed_origins"], json!(["http://localhost:3000", "https://b.example"]));
    let details = tab.get(&path_of(&key)).await.expect(200).text;
    assert!(details.contains("Web pages that may use it") && details.contains("https://b.example"), "{details}");
    assert!(!details.contains("Used from a browser"));
    // Editing shows them, keeps them and takes them away.
    let edit = format!("{}/edit", path_of(&key));
    let form = tab.get(&edit).await.expect(200).text;
    assert!(form.contains(">http://localhost:3000\nhttps://b.example</textarea>"), "{form}");
    let version = hidden(&form, "version");
    let save = async |version: &str, origins: &str| {
        let fields = [("version", version), ("name", "k"), ("access", "all"), ("expiry", "keep"), ("origins", origins)];
        tab.post(&edit, &fields).await.expect(303)
    };
    save(&version, "https://b.example").await;
    let stored = async || house.get(&format!("keys/{}", key["id"].as_str().unwrap())).await.json();
    assert_eq!(stored().await["allowed_origins"], json!(["https://b.example"]));

    let no = house.store.key_get(None, key["id"].as_str().unwrap().parse().unwrap()).await.unwrap().no;
    let exposed = |requests, origin: &str| Exposed {
        key: no,
        requests,
        last_at: "2026-11-20T09:00:00Z".parse().unwrap(),
        last_origin: origin.parse().ok(),
    };
    house.store.key_exposure_note(&[exposed(1, "")]).await.unwrap();
    let list = tab.get(KEYS).await.expect(200).text;
    assert!(list.contains("<strong>Used from a browser 1 time</strong>") && list.contains("rotate it"), "{list}");
    house.store.key_exposure_note(&[exposed(11, "https://evil.example")]).await.unwrap();
    for path in [KEYS.to_owned(), path_of(&key)] {
        let page = tab.get(&path).await.expect(200).text;
        assert!(page.contains("Used from a browser 12 times, last from <bdi>https://evil.example</bdi>"), "{page}");
    }
    tab.post(&format!("{}/revoke", path_of(&key)), &[]).await.expect(200);
    assert!(!tab.get(KEYS).await.expect(200).text.contains("Used from a browser"), "of a dead key it says nothing");
}

#[tokio::test]
async fn a_revocation_says_what_breaks_and_then_that_it_is_done() {
    let house = House::open().await;
    let key = house.key().await;
    let tab = house.operator_tab().await;
    let path = format!("{}/revoke", path_of(&key));
    let sheet = tab.get(&path).await.expect(200);
    for words in ["Revoke this key?", "What will break", "Requests in the last hour", "never used", ">Revoke key<"] {
        assert!(sheet.text.contains(words), "{words}: {}", sheet.text);
    }
    for _ in 0..2 {
        // A reload repeats nothing: it proves it anew.
        let done = tab.post(&path, &[]).await.expect(200);
        for words in ["dead now, everywhere", "Running streams that were ended", " ms<"] {
            assert!(done.text.contains(words), "{words}: {}", done.text);
        }
    }
    let page = tab.get(&path_of(&key)).await.expect(200);
    assert!(page.text.contains("revoked") && !page.text.contains("/revoke\""), "{}", page.text);
    for verb in ["edit", "rotate", "disable", "enable"] {
        assert!(tab.get(&format!("{}/{verb}", path_of(&key))).await.expect(409).text.contains("revoked already"));
    }
    let audit = house.get("audit?action=key.revoke").await.json();
    assert_eq!(audit["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_switched_off_and_on() {
    let house = House::open().await;
    let key = house.key().await;
    let tab = house.operator_tab().await;
    let act = async |verb: &str| tab.post(&format!("{}/{verb}", path_of(&key)), &[("back", "")]).await;
    assert!(tab.get(&format!("{}/disable", path_of(&key))).await.expect(200).text.contains(">Disable key<"));
    assert_eq!(act("disable").await.expect(303).header("location"), KEYS);
    let list = tab.get(KEYS).await.expect(200).text;
    assert!(list.contains("/enable") && !list.contains("/disable"), "{list}");
    tab.get(&format!("{}/disable", path_of(&key))).await.expect(409);
    act("enable").await.expect(303);
    assert_eq!(house.get(&format!("keys/{}", key["id"].as_str().unwrap())).await.json()["status"], "active");
}

#[tokio::test]
async fn a_rotated_keys_new_text_is_shown_once_and_a_reload_rotates_nothing() {
    let house = House::open().await;
    let key = house.key().await;
    let tab = house.operator_tab().await;
    let path = format!("{}/rotate", path_of(&key));
    let version = hidden(&tab.get(&path).await.expect(200).text, "version");
    let rotate = async |grace: &str| tab.post(&path, &[("version", &version), ("grace", grace)]).await;
    rotate("a while").await.expect(422);
    let rotated = rotate("1h").await.expect(200);
    let text = secret(&rotated.text);
    assert_eq!(text[..15], key["key"].as_str().unwrap()[..15], "the same key");
    assert_ne!(text, key["key"].as_str().unwrap());
    assert!(rotated.text.contains("works until <time datetime=\"2026-11-20T10:30:00Z\""), "{}", rotated.text);
    let again = rotate("1h").await.expect(409);
    assert!(again.text.contains("nothing was rotated now") && secret(&again.text).is_empty(), "{}", again.text);
    let audit = house.get("audit?action=key.rotate").await.json();
    assert_eq!(audit["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn each_role_sees_and_does_what_is_its_own() {
    let house = House::open().await;
    let foreign = house.key().await;
    let viewer = house.tab_as("default", "viewer").await;
    let list = viewer.get(KEYS).await.expect(200).text;
    assert!(list.contains("a key") && !list.contains("Create New API Key") && !list.contains("/edit"), "{list}");
    viewer.get(&path_of(&foreign)).await.expect(200);
    let member = house.tab_as("default", "member").await;
    let made = member.post(&format!("{KEYS}/new"), &[("name", "mine"), ("access", "all")]).await.expect(201);
    assert!(!secret(&made.text).is_empty());
    let mine = house.get("keys?search=mine").await.json()["data"][0].clone();
    let list = member.get(KEYS).await.expect(200).text;
    let edit = |key: &Value| format!("{}/edit", path_of(key));
    assert!(list.contains(&edit(&mine)) && !list.contains(&edit(&foreign)), "{list}");
    // Owners alone see who did what.
    assert!(!member.get(&path_of(&mine)).await.expect(200).text.contains("What was done with it"));
    let owner = house.tab_as("default", "owner").await;
    assert!(owner.get(&path_of(&mine)).await.expect(200).text.contains("What was done with it"));
    for (tab, key) in [(&viewer, &foreign), (&viewer, &mine), (&member, &foreign)] {
        for verb in ["edit", "rotate", "revoke", "disable", "enable"] {
            let path = format!("{}/{verb}", path_of(key));
            tab.get(&path).await.expect(403);
            tab.post(&path, &[("name", "x"), ("access", "all"), ("version", "1"), ("grace", "none")]).await.expect(403);
        }
    }
    viewer.get(&format!("{KEYS}/new")).await.expect(403);
    viewer.post(&format!("{KEYS}/new"), &[("name", "x"), ("access", "all")]).await.expect(403);
    let statuses = house.get("keys").await.json();
    assert!(statuses["data"].as_array().unwrap().iter().all(|key| key["status"] == "active"), "{statuses}");
}

#[tokio::test]
async fn another_accounts_keys_are_not_there() {
    let house = House::open().await;
    house.account("acme").await;
    let key = house.key().await;
    let id = key["id"].as_str().unwrap();
    let tab = house.tab_as("acme", "owner").await;
    let unknown = no_such::<tollgate_core::Key>(&house).to_string();
    for id in [id, unknown.as_str(), "key_1", "%00", "new%20"] {
        for verb in ["", "/edit", "/rotate", "/revoke", "/disable", "/enable"] {
            for account in ["acme", "default", "nobody"] {
                tab.get(&format!("/a/{account}/keys/{id}{verb}")).await.expect(404);
            }
            if !verb.is_empty() {
                tab.post(&format!("/a/acme/keys/{id}{verb}"), &[("version", "1")]).await.expect(404);
            }
        }
    }
    tab.get(KEYS).await.expect(404);
    tab.get(&format!("{KEYS}/new")).await.expect(404);
    tab.post(&format!("{KEYS}/new"), &[("name", "x"), ("access", "all")]).await.expect(404);
    // Their own list is theirs.
    assert!(tab.get("/a/acme/keys").await.expect(200).text.contains("No keys yet"));
    let stranger = Tab { house: &house, cookie: String::new() };
    let asked = stranger.get(&format!("{KEYS}?status=leaked")).await.expect(303);
    assert_eq!(asked.header("location"), "/sign-in?next=%2Fa%2Fdefault%2Fkeys%3Fstatus%3Dleaked");
    for verb in ["edit", "rotate", "revoke", "disable", "enable"] {
        let path = format!("{}/{verb}", path_of(&key));
        house.operator_tab().await.post_from("cross-site", &path, &[("version", "1")]).await.expect(403);
    }
}

#[tokio::test]
async fn a_leaked_key_stands_out_with_where_it_was_found_and_what_to_do() {
    let house = House::open().await;
    let key = house.key().await;
    let report = json!({"keys": [key["key"]], "found_at": "https://example.com/paste?<b>"});
    house.post("leaks", report).await.expect(200);
    let tab = house.operator_tab().await;
    let list = tab.get(KEYS).await.expect(200).text;
    let link = "rel=\"noopener noreferrer nofollow\"";
    let words = ["found in public and is switched off", "https://example.com/paste?", "then revoke this one", link];
    for words in words {
        assert!(list.contains(words), "{words}: {list}");
    }
    assert!(!list.contains("<b>") && !list.contains("/rotate"), "{list}");
    let enable = tab.get(&format!("{}/enable", path_of(&key))).await.expect(200).text;
    for words in ["Enable it only if the report was wrong", "Bring it back", "or the operator"] {
        assert!(enable.contains(words), "{words}: {enable}");
    }
    let details = tab.get(&path_of(&key)).await.expect(200).text;
    for words in ["Create a new key", "stays in the history", "what it was used for", "Reported by mistake?"] {
        assert!(details.contains(words), "{words}: {details}");
    }
    tab.post(&format!("{}/enable", path_of(&key)), &[]).await.expect(303);
    let details = tab.get(&path_of(&key)).await.expect(200).text;
    assert!(details.contains("settled") && !details.contains("Reported by mistake?"), "{details}");
    assert!(!tab.get(KEYS).await.expect(200).text.contains("found in public"));
}

#[tokio::test]
async fn a_place_that_is_no_address_of_the_web_is_never_a_link() {
    let house = House::open().await;
    let tab = house.operator_tab().await;
    for place in
        ["javascript:alert(1)//https://a.example", "data:text/html,<script>alert(1)</script>", "\"><img src=x>"]
    {
        let key = house.key().await;
        house.post("leaks", json!({"keys": [key["key"]], "found_at": place})).await.expect(200);
        for page in [KEYS.to_owned(), path_of(&key), format!("{}/enable", path_of(&key))] {
            let html = tab.get(&page).await.expect(200).text;
            for harm in ["href=\"javascript:", "href=\"data:", "<img src=x", "<script>alert"] {
                assert!(!html.contains(harm), "{harm}: {html}");
            }
        }
    }
}

#[tokio::test]
async fn an_account_that_wants_to_be_told_sees_that_its_leaked_key_still_works() {
    let house = House::open().await;
    let tab = house.operator_tab().await;
    let account = house.get("accounts/default").await.expect(200).json();
    let sheet = format!("/operator/accounts/{}/leaks", account["id"].as_str().unwrap());
    let shown = tab.get(&sheet).await.expect(200).text;
    assert!(shown.contains("value=\"disable\" selected"), "{shown}");
    tab.post(&sheet, &[("on_leak", "never"), ("version", "1")]).await.expect(422);
    tab.post(&sheet, &[("on_leak", "tell"), ("version", "9")]).await.expect(422);
    let version = account["version"].as_i64().unwrap_or(1).to_string();
    tab.post(&sheet, &[("on_leak", "tell"), ("version", &version)]).await.expect(303);
    assert_eq!(house.get("accounts/default").await.expect(200).json()["on_leak"], "tell");
    let key = house.key().await;
    house.post("leaks", json!({"keys": [key["key"]]})).await.expect(200);
    let list = tab.get(KEYS).await.expect(200).text;
    assert!(list.contains("still works") && list.contains("be told only"), "{list}");
    let details = tab.get(&path_of(&key)).await.expect(200).text;
    assert!(details.contains("It still works") && details.contains("Bring it back"), "{details}");
}
