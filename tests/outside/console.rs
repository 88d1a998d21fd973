//! The console in a real browser: Chromium, driven by the scripts in `tests/browser`.
//!
//! Each test opens a house of its own, makes what the script needs through the API, and hands it over. What holds for
//! every page (nothing from elsewhere, no broken policy, no failed script) is watched by `tests/browser/lib.mjs`.

use std::{collections::BTreeSet, path::Path};

use tollgate_canary::Canary;
use tollgate_tests::{Engine, FakeUpstream, House, browser, json, left_behind, node};

use crate::{
    fleet,
    sign_in::{self, Provider},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_page_may_do_is_seen_when_a_page_does_it() {
    browser::run(&House::open(Engine::Sqlite).await, "watching", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_signs_in_and_out_each_way() {
    let provider = Provider::start();
    let house = sign_in::open(Engine::Sqlite, &provider, true).await;
    browser::run(&house, "sign_in", json!({"issuer": provider.issuer})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_holds_word_by_word() {
    // `TOLLGATE_TEST_ONLY=en-light` goes through a part of the sixteen ways, while one works on a page.
    let only = std::env::var("TOLLGATE_TEST_ONLY").unwrap_or_default();
    browser::run(&House::open(Engine::Sqlite).await, "guide", json!({"only": only})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_on_a_page_left_open_are_never_older_than_five_seconds() {
    browser::run(&House::open(Engine::Sqlite).await, "fresh", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_a_customer_says_what_is_wrong_and_keeps_what_was_typed() {
    browser::run(&House::open(Engine::Sqlite).await, "forms", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_nowhere() {
    browser::run(&House::open(Engine::Sqlite).await, "strangers", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_a_web_page_is_refused_and_seen_unless_it_allows_the_page() {
    browser::run(&House::open(Engine::Sqlite).await, "origins", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_can_be_done_by_keyboard_alone() {
    browser::run(&House::open(Engine::Sqlite).await, "keyboard", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_leaving_by_two_at_once_or_by_strange_names() {
    let contact = "contact_url = \"mailto:sales@example.com\"";
    let house = House::open_with(Engine::Sqlite, |options, _| options.member("keys", contact)).await;
    browser::run(&house, "edges", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_answers_fits_and_can_be_used_by_everybody() {
    browser::run(&House::open(Engine::Sqlite).await, "every_page", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_and_switched_models_tried_accounts_suspended() {
    browser::run(&House::open(Engine::Sqlite).await, "beyond", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaked_key_stands_out_and_its_page_says_what_to_do() {
    browser::run(&House::open(Engine::Sqlite).await, "leaked", json!({})).await;
}

/// Chromium with a profile of its own, looked through when it is closed: cache, storage, history, session, forms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_no_key() {
    let house = House::open(Engine::Sqlite).await;
    let profile = tempfile::tempdir().expect("a directory");
    browser::run(&house, "canary", json!({"profile": profile.path(), "planted": PLANTED})).await;
    // The script printed what it was shown: two texts of a key, an access token, the session's cookie.
    let secrets = left_behind::secrets();
    let shown = secrets.iter().filter(|secret| ["tg_", "tga_", "tgs_"].iter().any(|prefix| secret.starts_with(prefix)));
    assert!(shown.count() >= 5, "the script tells what it was shown, and the house has a token of its own");
    let (canary, planted) = (Canary::new(secrets.iter().map(String::as_str)), Canary::new([PLANTED]));
    let (mut hits, mut found) = (Vec::new(), Vec::new());
    for file in node::files_below(profile.path()) {
        hits.extend(canary.hits_in_file_inflated(&file).expect("a file"));
        found.extend(planted.hits_in_file_inflated(&file).expect("a file"));
    }
    assert!(!found.is_empty(), "what a page put into storage is found there");
    assert!(hits.is_empty(), "{}", left_behind::shown(&hits));
}

/// What the script puts into the browser's storage, to see that it would be found.
const PLANTED: &str = "planted-by-the-canary-to-be-found-71ce";
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_a_model_answers_is_shown_line_by_line() {
    let settings = |options: node::NodeOptions, _: &FakeUpstream| options.settings("[docs]\nmodel = \"chat-a\"");
    let house = House::open_with(Engine::Sqlite, settings).await;
    let says = "Click Action, then Revoke, read what will break, and click Revoke key [1, 2, 3, 4, 5, 6].\n";
    house.upstream.set(json!({"says": says, "chunks": 12, "pace_ms": 20}));
    browser::run(&house, "ask_model", json!({})).await;
}

/// The names that the documentation's pictures show.
const PICTURED: &str = "[[models]]\nname = \"qwen3-32b\"\nkind = \"chat\"\ntitle = \"Qwen3 32B\"\ncontext_window = 32768\n\
    price = { currency = \"USD\", input_per_million = \"0.50\", output_per_million = \"1.50\" }\n\
    served_by = [{ upstream = \"gpu-a\", model = \"Qwen/Qwen3-32B\" }]\n\
    [[models]]\nname = \"llama-3.3-70b\"\nkind = \"chat\"\ntitle = \"Llama 3.3 70B\"\ncontext_window = 131072\n\
    price = { currency = \"USD\", input_per_million = \"0.90\", output_per_million = \"2.70\" }\n\
    served_by = [{ upstream = \"gpu-a\", weight = 3 }, { upstream = \"gpu-b\", weight = 1 }]\n\
    [[models]]\nname = \"bge-m3\"\nkind = \"embedding\"\ntitle = \"BGE M3\"\ncontext_window = 8192\n\
    price = { currency = \"USD\", input_per_million = \"0.05\" }\nserved_by = [{ upstream = \"gpu-b\" }]\n";
/// How much all pictures of the documentation may have together, in bytes: they are in the program.
const MOST_PICTURES: u64 = 2 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentations_pictures_are_those_that_are_taken_here() {
    let house = House::open_bare(Engine::Sqlite, FakeUpstream::start().await, |options, upstream| {
        let servers = ["gpu-a", "gpu-b"].map(|name| {
            format!("[[upstreams]]\nname = \"{name}\"\nbase_url = \"{}\"\nengine = \"vllm\"\n", upstream.base_url())
        });
        options.settings(&format!("{}{PICTURED}", servers.concat()))
    })
    .await;
    let taken = browser::screenshots().with_file_name("pictures");
    let _ = std::fs::remove_dir_all(&taken);
    browser::run(&house, "pictures", json!({"pictures": taken})).await;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs");
    let names = |directory: &Path| -> BTreeSet<_> {
        node::files_below(directory).into_iter().filter_map(|path| path.file_name().map(ToOwned::to_owned)).collect()
    };
    let kept = docs.join("screenshots");
    assert_eq!(names(&taken), names(&kept), "`cargo xtask pictures` renews docs/screenshots");
    let size: u64 = node::files_below(&kept).iter().map(|path| path.metadata().expect("a file").len()).sum();
    assert!(size < MOST_PICTURES, "{size} bytes");
    let pages =
        node::files_below(&docs).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let pages: String = pages.map(|path| std::fs::read_to_string(path).expect("a page")).collect();
    for name in names(&kept) {
        let name = name.to_str().expect("a name");
        let light = name.replace("-dark.png", "-light.png");
        assert!(pages.contains(&format!("/screenshots/{light})")), "no page shows {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_deployment_says_what_comes_first() {
    let house = House::open_bare(Engine::Sqlite, FakeUpstream::start().await, |options, _| options).await;
    browser::run(&house, "empty", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_does_everything_in_forms_that_are_wrong_first() {
    browser::run(&House::open(Engine::Sqlite).await, "operator", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_revokes_a_key_while_a_node_is_silent_is_told_so_and_then_when_it_was_dead() {
    // A little longer than a call waits for the proof.
    let house = fleet::house_with_lease("36s").await;
    let other = house.second_node().await;
    // The script stops it when everything else is prepared: its lease runs from then on.
    browser::run(&house, "silent", json!({"silent": other.pid().as_raw_nonzero().get()})).await;
}
