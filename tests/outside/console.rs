//! The console in a real browser: Chromium, driven by the scripts in `tests/browser`.
//!
//! Each test opens a house of its own, makes what the script needs through the API, and hands it over. What holds for
//! every page (nothing from elsewhere, no broken policy, no failed script) is watched by `tests/browser/lib.mjs`.

use tollgate_tests::{
    Engine, House,
    browser::{self, sign_in_link},
    json,
};

/// Makes a user with these memberships (account and role); returns its id.
async fn user(house: &House, name: &str, memberships: &[(&str, &str)]) -> String {
    let memberships: Vec<_> =
        memberships.iter().map(|(account, role)| json!({"account": account, "role": role})).collect();
    let body = json!({"name": name, "memberships": memberships});
    let user = house.api("POST", "users").json(&body).send().await.expect(201).json();
    user["id"].as_str().unwrap_or_else(|| panic!("{user}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_time_link_signs_in() {
    let house = House::open(Engine::Sqlite).await;
    let ann = user(&house, "Ann", &[("default", "owner")]).await;
    let links = [sign_in_link(&house, &ann).await];
    browser::run(&house, "start", json!({"links": links})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_page_may_do_is_seen_when_a_page_does_it() {
    browser::run(&House::open(Engine::Sqlite).await, "watching", json!({})).await;
}
