//! Upstreams over TLS: verified by the system's roots, or not spoken to.

use std::path::Path;

use tollgate_tests::{
    Engine, FakeUpstream, House, Value,
    house::CREDENTIAL,
    json, on_both,
    tls::{Authority, Identity, front, self_signed},
};

on_both!(
    an_upstream_with_a_certificate_of_a_known_authority_is_served_over_tls,
    an_upstream_with_a_certificate_for_another_name_is_not_spoken_to,
    an_upstream_that_vouches_for_itself_is_not_spoken_to,
);

/// A house whose one model `m` is behind TLS, with the authority among the system's roots.
async fn behind(engine: Engine, identity: impl FnOnce(&Authority) -> Identity) -> House {
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    let authority = Authority::new(&roots);
    let upstream = FakeUpstream::start().await;
    let address = front(identity(&authority), upstream.address()).await;
    let settings = format!(
        "[[upstreams]]\nname = \"far\"\nbase_url = \"https://{address}/v1\"\ncredential = \"{CREDENTIAL}\"\n\
         [[models]]\nname = \"m\"\nkind = \"chat\"\nserved_by = [{{ upstream = \"far\", model = \"m\", weight = 1 }}]\n"
    );
    House::open_bare(engine, upstream, |mut options, _| {
        // The node's own directory is made by its start.
        let kept: &Path = &options.directory.with_extension("pem");
        std::fs::copy(&roots, kept).unwrap();
        options.environment.push(("SSL_CERT_FILE".into(), kept.display().to_string()));
        options.settings(&settings)
    })
    .await
}

async fn health(house: &House) -> Value {
    house.api("GET", "upstreams/far").send().await.expect(200).json()["health"].clone()
}

async fn an_upstream_with_a_certificate_of_a_known_authority_is_served_over_tls(engine: Engine) {
    let house = behind(engine, |authority| authority.certify(&["127.0.0.1"])).await;
    let key = house.key(&["m"]).await;
    for _ in 0..3 {
        assert_eq!(house.ask(&key.key, "m").await, "200");
    }
    assert_eq!(house.chat(&key.key, "m", json!({"stream": true})).send().await.expect(200).status, 200);
    let seen = house.upstream.last();
    assert_eq!(seen.headers["authorization"], format!("Bearer {CREDENTIAL}"));
    assert_eq!(house.usage_of(4).await["failed"], 0);
}

async fn an_upstream_with_a_certificate_for_another_name_is_not_spoken_to(engine: Engine) {
    refused(behind(engine, |authority| authority.certify(&["elsewhere.example"])).await).await;
}

async fn an_upstream_that_vouches_for_itself_is_not_spoken_to(engine: Engine) {
    refused(behind(engine, |_| self_signed(&["127.0.0.1"])).await).await;
}

async fn refused(house: House) {
    let key = house.key(&["m"]).await;
    assert_eq!(house.ask(&key.key, "m").await, "502 upstream_error");
    assert!(house.upstream.ledger().is_empty(), "neither request nor credential was sent");
    assert_eq!(house.upstream.connections(), 0);
    // The operator is told what is wrong, in words.
    let seen = tollgate_tests::eventually("the failure is shown", async || {
        health(&house).await["last_error"].as_str().map(str::to_owned)
    })
    .await;
    assert!(seen.starts_with("tls: invalid peer certificate"), "{seen}");
    assert!(!house.node.log().contains(CREDENTIAL));
}
