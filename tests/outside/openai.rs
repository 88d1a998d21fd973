//! The official `openai` package for Python, unmodified.

use std::{env, path::Path, process::Command};

use tollgate_tests::{Engine, House, Issued, cli::finish, json, on_both};

on_both!(the_official_python_package_works_unmodified);

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
