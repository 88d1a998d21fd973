//! Models and upstreams.

use tollgate_core::{ChangeKind, Id, Upstream, catalog::Engine};
use tollgate_store::{
    PageRequest, StoreError,
    catalog::{ModelEdit, NewModel, NewUpstream, ServedByName, UpstreamEdit},
};

use crate::support::*;

contract! {
    an_upstream_reads_back_edits_and_goes,
    a_model_names_its_upstreams_and_prices,
    the_settings_file_is_applied_idempotently,
    lists_of_models_and_upstreams_have_pages,
}

async fn an_upstream_reads_back_edits_and_goes(fixture: Fixture) {
    let store = &fixture.store;
    let new = NewUpstream { credential: Some(vec![1, 2, 3]), ..new_upstream(&fixture.world, "gpu-a") };
    let upstream = value(store.upstream_create(&system(), new.clone()).await);
    assert_eq!((upstream.id, upstream.has_credential, upstream.version), (new.id, true, 1));
    assert_eq!(store.upstream_get("gpu-a").await.unwrap(), upstream);
    assert_eq!(store.upstream_get(&upstream.id.to_string()).await.unwrap(), upstream);
    let twin = new_upstream(&fixture.world, "gpu-a");
    assert!(matches!(store.upstream_create(&system(), twin.clone()).await, Err(StoreError::Exists(_))));
    let sealed = async || store.keyring_base().await.unwrap().upstreams[0].credential.clone();
    assert_eq!(sealed().await, Some(vec![1, 2, 3]));
    let edit = UpstreamEdit {
        base_url: Some(named("https://example.com/v1")),
        credential: Some(None),
        engine: Some(Engine::Vllm),
        enabled: Some(false),
        ..UpstreamEdit::default()
    };
    let edited = value(store.upstream_edit(&system(), upstream.id, edit.clone(), Some(1)).await);
    assert_eq!((edited.version, edited.has_credential, edited.enabled, edited.engine), (2, false, false, Engine::Vllm));
    assert_eq!(sealed().await, None);
    let late = store.upstream_edit(&system(), upstream.id, edit.clone(), Some(1)).await;
    assert!(matches!(late, Err(StoreError::VersionConflict)));
    assert_eq!(value(store.upstream_edit(&system(), upstream.id, edit, None).await), edited);
    value(store.model_create(&system(), new_model("m", &["gpu-a"])).await);
    let refused = store.upstream_remove(&system(), upstream.id).await;
    assert!(matches!(refused, Err(StoreError::InUse(_))));
    let model = store.model_get("m").await.unwrap();
    value(store.model_remove(&system(), model.id).await);
    let committed = store.upstream_remove(&system(), upstream.id).await.unwrap();
    let told = store.changes_after(tollgate_core::Seq(committed.seq.0 - 1), 1).await.unwrap();
    assert_eq!(told[0].kind, ChangeKind::Upstream(upstream.no));
    assert!(matches!(store.upstream_get("gpu-a").await, Err(StoreError::NotFound)));
    let again = value(store.upstream_create(&system(), twin).await);
    assert!(again.no.get() > upstream.no.get());
}

async fn a_model_names_its_upstreams_and_prices(fixture: Fixture) {
    let store = &fixture.store;
    value(store.upstream_create(&system(), new_upstream(&fixture.world, "b")).await);
    value(store.upstream_create(&system(), new_upstream(&fixture.world, "a")).await);
    let new = NewModel { title: Some(named("Qwen, 3 32B")), ..new_model("Qwen/Qwen3-32B:free", &["b", "a"]) };
    let model = value(store.model_create(&system(), new.clone()).await);
    assert_eq!((&model.title, model.price, model.kind), (&new.title, new.price, new.kind));
    let served: Vec<_> = model.served_by.iter().map(|by| (by.upstream.as_str(), by.model.as_str())).collect();
    assert_eq!(served, [("b", "their/name"), ("a", "their/name")]);
    assert_eq!(store.model_get("Qwen/Qwen3-32B:free").await.unwrap(), model);
    assert_eq!(store.model_get(&model.id.to_string()).await.unwrap(), model);
    assert!(matches!(store.model_create(&system(), new).await, Err(StoreError::Exists(_))));
    let unknown = store.model_create(&system(), new_model("x", &["nowhere"])).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { kind: "upstream", .. })));
    let edit = ModelEdit {
        title: Some(None),
        max_output_tokens: Some(Some(4_096)),
        served_by: Some(vec![ServedByName { upstream: named("a"), model: named("x"), weight: 0 }]),
        ..ModelEdit::default()
    };
    let edited = value(store.model_edit(&system(), model.id, edit.clone(), Some(1)).await);
    assert_eq!((edited.version, &edited.title, edited.max_output_tokens), (2, &None, Some(4_096)));
    assert_eq!((edited.served_by.len(), edited.served_by[0].weight), (1, 0));
    assert_eq!(store.model_get("Qwen/Qwen3-32B:free").await.unwrap(), edited);
    assert_eq!(value(store.model_edit(&system(), model.id, edit.clone(), None).await), edited);
    assert!(matches!(store.model_edit(&system(), model.id, edit, Some(1)).await, Err(StoreError::VersionConflict)));
    value(store.model_remove(&system(), model.id).await);
    assert!(matches!(store.model_remove(&system(), model.id).await, Err(StoreError::NotFound)));
    assert!(store.keyring_base().await.unwrap().models.is_empty());
}

async fn the_settings_file_is_applied_idempotently(fixture: Fixture) {
    let store = &fixture.store;
    let same = |_: &Upstream, old: &[u8], new: &NewUpstream| Some(old) == new.credential.as_deref();
    let upstreams = |id: Option<Id<Upstream>>, credential: &[u8]| {
        let new = new_upstream(&fixture.world, "gpu");
        vec![NewUpstream { id: id.unwrap_or(new.id), credential: Some(credential.to_vec()), ..new }]
    };
    value(store.model_create(&system(), new_model("by-hand", &[])).await);
    let models = || vec![new_model("m", &["gpu"])];
    let first = store.catalog_apply(&system(), upstreams(None, b"one"), models(), &same).await.unwrap();
    let again = store.catalog_apply(&system(), upstreams(None, b"one"), models(), &same).await.unwrap();
    assert_eq!(again.seq, first.seq);
    let upstream = store.upstream_get("gpu").await.unwrap();
    let model = store.model_get("m").await.unwrap();
    assert_eq!((upstream.version, model.version), (1, 1));
    // A credential sealed for another id could not be opened: refused, and nothing is applied.
    let changed = vec![NewModel { context_window: None, ..new_model("m", &["gpu"]) }];
    let refused = store.catalog_apply(&system(), upstreams(None, b"two"), changed.clone(), &same).await;
    assert!(matches!(refused, Err(StoreError::State(_))));
    assert_eq!(store.model_get("m").await.unwrap(), model);
    let applied = upstreams(Some(upstream.id), b"two");
    let third = store.catalog_apply(&system(), applied, changed, &same).await.unwrap();
    assert_eq!(third.seq.0, first.seq.0 + 2);
    assert_eq!(store.keyring_base().await.unwrap().upstreams[0].credential.as_deref(), Some(&b"two"[..]));
    assert_eq!(store.model_get("m").await.unwrap().context_window, None);
    assert!(store.model_get("by-hand").await.is_ok());
    let unknown = store.catalog_apply(&system(), vec![], vec![new_model("n", &["nowhere"])], &same).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { kind: "upstream", .. })));
}

async fn lists_of_models_and_upstreams_have_pages(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["b", "A", "c.1", "a"] {
        value(store.upstream_create(&system(), new_upstream(&fixture.world, name)).await);
        make_model(&fixture, name).await;
    }
    let page = PageRequest { cursor: None, limit: 3 };
    let (models, upstreams) = (store.model_list(&page).await.unwrap(), store.upstream_list(&page).await.unwrap());
    assert_eq!(models.data.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["A", "a", "b"]);
    assert_eq!(upstreams.data.iter().map(|upstream| upstream.name.as_str()).collect::<Vec<_>>(), ["A", "a", "b"]);
    let rest = store.model_list(&PageRequest { cursor: models.next_cursor.clone(), limit: 3 }).await.unwrap();
    assert_eq!((rest.data.len(), rest.next_cursor), (1, None));
    let wrong = PageRequest { cursor: models.next_cursor, limit: 3 };
    assert!(matches!(store.upstream_list(&wrong).await, Err(StoreError::State(_))));
}
