//! Chromium, driven by the scripts in `tests/browser`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{House, cli::finish, node::binary};

/// Runs `tests/browser/<name>.mjs` against a house to its end. It is handed the server's URL, the operator's token, the
/// upstream's URL, the directory for screenshots, and `more`.
///
/// # Panics
/// With what the script says when it fails; without the programs: says how to get them.
pub async fn run(house: &House, name: &str, more: Value) {
    let upstream = house.upstream.base_url();
    let upstream = upstream.trim_end_matches("/v1");
    let mut input =
        json!({"url": house.url(), "token": house.token, "upstream": upstream, "screenshots": screenshots()});
    for (name, value) in more.as_object().expect("an object") {
        input[name] = value.clone();
    }
    let node = env::var_os("TOLLGATE_TEST_NODE").filter(|_| env::var_os("TOLLGATE_TEST_CHROMIUM").is_some()).expect(
        "this test needs TOLLGATE_TEST_NODE and TOLLGATE_TEST_CHROMIUM: run `cargo xtask test`, which finds or installs \
         them, or `cargo xtask browser -- cargo nextest run -p tollgate-tests console`",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("browser/{name}.mjs"));
    let mut command = Command::new(node);
    command.arg(script);
    let ran = tokio::task::spawn_blocking(move || finish(command, Some(&input.to_string()))).await.expect("it ends");
    assert_eq!(ran.code, 0, "tests/browser/{name}.mjs:\n{}\n{}", ran.stdout, ran.stderr);
    print!("{}", ran.stdout);
}

/// Where scripts leave their pictures, for people to look at.
///
/// # Panics
/// Without the program.
#[must_use]
pub fn screenshots() -> PathBuf {
    let profile = binary().parent().map(Path::to_owned);
    profile.as_deref().and_then(Path::parent).expect("the binary lies in target/").join("screenshots")
}
