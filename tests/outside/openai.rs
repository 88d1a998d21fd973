//! The official `openai` packages for Python and for Node.js, unmodified.

use std::{env, path::Path, process::Command};

use tollgate_tests::{Engine, House, Issued, cli::finish, eventually, json, on_both};

on_both!(the_official_python_package_works_unmodified, the_official_node_package_works_unmodified);

async fn the_official_python_package_works_unmodified(engine: Engine) {
    let python = env::var_os("TOLLGATE_TEST_PYTHON").expect(
        "this test needs TOLLGATE_TEST_PYTHON, a Python that has the openai package: run `cargo xtask test`, which makes one",
    );
    let house = House::open(engine).await;
    let key = house.key(&["chat-a", "embed-a"]).await;
    let (revoked, disabled) = (house.key(&["chat-a"]).await, house.key(&["chat-a"]).await);
    let doomed = house.key(&["chat-a"]).await;
    house.revoke(&revoked).await.expect(200);
    house.api("POST", &format!("keys/{}/disable", disabled.id)).send().await.expect(200);
    house.api("POST", "plans").json(&json!({"handle": "pro", "paid": true})).send().await.expect(201);
    house.api("POST", "accounts").json(&json!({"handle": "acme", "plan": "pro"})).send().await.expect(201);
    let planless = json!({"name": "k", "models": "all", "account": "acme"});
    let planless = Issued::from(house.api("POST", "keys").json(&planless).send().await.expect(201));
    house.api("PATCH", "accounts/acme").json(&json!({"plan": null})).send().await.expect(200);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/openai_client.py");
    let mut command = Command::new(python);
    command.arg(script).arg(format!("{}/v1", house.url()));
    for (name, value) in [
        ("key", &key.key),
        ("revoked", &revoked.key),
        ("disabled", &disabled.key),
        ("doomed", &doomed.key),
        ("planless", &planless.key),
        ("token", &house.token),
        ("revoke_url", &format!("{}/api/v1/keys/{}/revoke", house.url(), doomed.id)),
    ] {
        command.arg(format!("{name}={value}"));
    }
    // The package must not find its way round us.
    for variable in ["OPENAI_API_KEY", "OPENAI_BASE_URL", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(variable);
    }
    let ran = tokio::task::spawn_blocking(move || finish(command, None)).await.unwrap().expect(0);
    assert_eq!(ran.stdout.trim_end().lines().last(), Some("ok"), "{ran:?}");
    let requests = house.upstream.count().0;
    house.usage_of(requests).await;
}

async fn the_official_node_package_works_unmodified(engine: Engine) {
    let node = env::var_os("TOLLGATE_TEST_NODE").expect(
        "this test needs TOLLGATE_TEST_NODE, a Node.js beside which the packages of tests/browser are installed: run \
         `cargo xtask test`, or `cargo xtask browser -- cargo nextest run -p tollgate-tests openai`",
    );
    let house = House::open(engine).await;
    let (key, revoked) = (house.key(&["chat-a", "embed-a"]).await, house.key(&["chat-a"]).await);
    house.revoke(&revoked).await.expect(200);
    let mut command = Command::new(node);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/openai_client.mjs"));
    for variable in ["OPENAI_API_KEY", "OPENAI_BASE_URL", "http_proxy", "HTTP_PROXY", "NODE_USE_ENV_PROXY"] {
        command.env_remove(variable);
    }
    let input = json!({"base_url": format!("{}/v1", house.url()), "key": key.key, "revoked": revoked.key}).to_string();
    let ran = tokio::task::spawn_blocking(move || finish(command, Some(&input))).await.unwrap().expect(0);
    assert_eq!(ran.stdout.trim_end().lines().last(), Some("ok"), "{ran:?}");
    // Its own requests are no signs; the one that said it came from a page is.
    let exposure = eventually("the sign is counted", async || {
        let shown = house.api("GET", &format!("keys/{}", key.id)).send().await.expect(200).json();
        (shown["exposure"]["browser_requests"] != json!(0)).then(|| shown["exposure"].clone())
    })
    .await;
    let said = (&exposure["browser_requests"], &exposure["last_origin"]);
    assert_eq!(said, (&json!(1), &json!("https://app.example.com")), "{exposure}");
}
