//! The snippets beside a new key: each is taken from the page as a customer copies it, and run as it stands.

use std::{env, ffi::OsString, fs, os::unix::fs::symlink, path::Path, process::Command};

use tollgate_tests::{
    Engine, House,
    cli::{Ran, finish},
    json, on_both,
};

use crate::try_it::session;

on_both!(what_a_new_key_s_page_offers_runs_as_it_stands);

const CHAT: &str = "name=chats&access=list&models=chat-b&models=embed-a&expiry=never";
const EMBEDDING: &str = "name=embeds&access=list&models=embed-a&expiry=never";

/// The text of a snippet on the page.
fn snippet(html: &str, id: &str) -> String {
    let text = html.split(&format!("<code id=\"snippet-{id}\">")).nth(1).unwrap_or_else(|| panic!("no {id}: {html}"));
    let text = text.split("</code>").next().unwrap();
    [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn named(variable: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| panic!("this test needs {variable}: run `cargo xtask test`"))
}

/// Runs a program in an environment that holds nothing of ours, and finds the packages of `tests/browser`.
fn run(directory: &Path, program: impl Into<OsString>, arguments: &[&str]) -> Ran {
    let mut command = Command::new(program.into());
    command.args(arguments).current_dir(directory).env_clear().env("PATH", named("PATH")).env("HOME", directory);
    // It asks the Internet for prices at each start otherwise.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    finish(command, None).expect(0)
}

async fn what_a_new_key_s_page_offers_runs_as_it_stands(engine: Engine) {
    let house = House::open(engine).await;
    let cookie = session(&house).await;
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/node_modules"), at.join("node_modules")).unwrap();
    let mut asked = 0;
    for (fields, model, said) in [(CHAT, "chat-b", "Hello there"), (EMBEDDING, "embed-a", "0.")] {
        let form = house.http().request("POST", "/a/default/keys/new").header("cookie", &cookie);
        let form = form.header("sec-fetch-site", "same-origin");
        let form = form.header("content-type", "application/x-www-form-urlencoded").body(fields.to_owned());
        let html = String::from_utf8_lossy(&form.send().await.expect(201).body).into_owned();
        for (id, program, file) in [
            ("curl", OsString::from("bash"), "snippet.sh"),
            ("python", named("TOLLGATE_TEST_PYTHON"), "snippet.py"),
            ("javascript", named("TOLLGATE_TEST_NODE"), "snippet.mjs"),
            ("litellm", named("TOLLGATE_TEST_PYTHON"), "litellm_snippet.py"),
        ] {
            fs::write(at.join(file), snippet(&html, id)).unwrap();
            let (at, ran) = (at.to_owned(), tokio::task::spawn_blocking);
            let ran = ran(move || run(&at, program, &[file])).await.unwrap();
            assert!(ran.stdout.contains(said), "{id} of {model}: {ran:?}");
            asked += 1;
            assert_eq!(house.upstream.count().0, asked, "{id} asked once");
        }
        // The variables are all that a client needs.
        let variables = snippet(&html, "env");
        let call = format!(
            "{variables}curl --fail-with-body -s \"$OPENAI_BASE_URL/models\" -H \"Authorization: Bearer $OPENAI_API_KEY\""
        );
        let at = at.to_owned();
        let ran = tokio::task::spawn_blocking(move || run(&at, "bash", &["-ec", &call])).await.unwrap();
        assert!(ran.stdout.contains(model), "{ran:?}");
    }
    // Every call was metered under the key that its text named.
    let usage = house.usage_of(asked).await;
    assert_eq!(usage["failed"], json!(0), "{usage}");
}
