//! The console in a real browser: Chromium, driven by the scripts in `tests/browser`.
//!
//! Each test opens a house of its own, makes what the script needs through the API, and hands it over. What holds for
//! every page (nothing from elsewhere, no broken policy, no failed script) is watched by `tests/browser/lib.mjs`.

use tollgate_tests::{Engine, House, browser, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_page_may_do_is_seen_when_a_page_does_it() {
    browser::run(&House::open(Engine::Sqlite).await, "watching", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_signs_in_and_out_each_way() {
    browser::run(&House::open(Engine::Sqlite).await, "sign_in", json!({})).await;
}
