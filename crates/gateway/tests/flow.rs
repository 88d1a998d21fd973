//! The data plane with a real store on SQLite and a fake upstream: requests pass, are counted, and end when their key
//! does.

#[cfg(test)]
#[path = "flow/support.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use http::StatusCode;
    use tollgate_core::{Actor, Permission, catalog::OnClientGone};
    use tollgate_gateway::{ReadyState, journal::SyncMode};
    use tollgate_store::keys::{KeyEdit, KeyTransition};

    use crate::support::{Echo, Fixture, Script, Setup, chat, events};

    const ACTOR: Actor = Actor::system("test");

    #[tokio::test]
    async fn a_plain_answer_passes_untouched_and_is_counted_once() {
        let fixture = Fixture::start(vec![Script::whole(
            200,
            r#"{"id":"a","usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#,
        )])
        .await;
        let answer = fixture.post("/v1/chat/completions", &chat(false)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.text(), r#"{"id":"a","usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#);
        assert!(answer.header("x-request-id").starts_with("req_"));
        let sums = fixture.counted(1).await;
        assert_eq!((sums.units.input, sums.units.output, sums.by_class), (7, 5, [1, 0, 0, 0]));
        assert_eq!(sums.cost.nanos(), 7 * 500 + 5 * 1_500, "at the catalogue's price");
        let seen = fixture.upstream.seen();
        assert_eq!(seen[0].path, "/v1/chat/completions");
        assert!(seen[0].body.contains(r#""model":"real-m""#), "renamed: {}", seen[0].body);
        assert_eq!(seen[0].authorization.as_deref(), Some("Bearer upstream-secret"));
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_stream_looks_as_if_its_usage_had_not_been_asked_for_and_is_counted() {
        let fixture = Fixture::start(vec![Script::stream(&[
            r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"b"}}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
        ])])
        .await;
        let answer = fixture.post("/chat/completions", &chat(true)).await;
        assert_eq!(
            events(&answer.text()),
            [
                r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"b"}}]}"#,
                "[DONE]"
            ]
        );
        let sums = fixture.counted(1).await;
        assert_eq!((sums.units.input, sums.units.output, sums.by_class), (3, 2, [1, 0, 0, 0]));
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_revoked_key_ends_its_running_stream_and_is_admitted_no_more() {
        let script = Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_stall();
        let fixture = Fixture::start(vec![script]).await;
        let mut running = fixture.open("/v1/chat/completions", &chat(true)).await;
        assert!(running.next().await.unwrap().contains("content"));
        let revoked =
            fixture.store.key_transition(&ACTOR, fixture.account, fixture.key.id, KeyTransition::Revoke).await;
        let confirmed = fixture.store.change_confirm(&revoked.unwrap()).await.unwrap();
        assert_eq!(confirmed.streams_cut, 1);
        let rest = running.rest().await;
        assert!(rest.contains("api_key_revoked") && !rest.contains("[DONE]"), "{rest}");
        let again = fixture.post("/v1/chat/completions", &chat(false)).await;
        assert_eq!((again.status, again.code()), (StatusCode::UNAUTHORIZED, "api_key_revoked".into()));
        assert!(again.header("www-authenticate").contains("invalid_token"));
        let sums = fixture.counted(1).await;
        assert_eq!((sums.by_class, sums.units.output), ([0, 0, 1, 0], 1), "estimated, one delta delivered");
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_narrowed_permission_ends_the_streams_of_models_that_it_takes_away() {
        let script = Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_stall();
        let fixture = Fixture::start(vec![script]).await;
        let mut running = fixture.open("/v1/chat/completions", &chat(true)).await;
        running.next().await.unwrap();
        let edit = KeyEdit { permission: Some(Permission::Models(vec!["e".parse().unwrap()])), ..KeyEdit::default() };
        let edited = fixture.store.key_edit(&ACTOR, fixture.account, fixture.key.id, edit, None).await.unwrap();
        assert_eq!(fixture.store.change_confirm(&edited).await.unwrap().streams_cut, 1);
        assert!(running.rest().await.contains("model_not_permitted"));
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_leaves_one_row_and_stops_the_upstream() {
        let script = Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_stall();
        let fixture = Fixture::start(vec![script]).await;
        let mut running = fixture.open("/v1/chat/completions", &chat(true)).await;
        running.next().await.unwrap();
        drop(running);
        let sums = fixture.counted(1).await;
        assert_eq!((sums.by_class, sums.units.output), ([0, 0, 1, 0], 1));
        fixture.upstream.abandoned(1).await;
        fixture.stop().await;
    }

    #[tokio::test]
    async fn an_upstream_that_breaks_off_ends_the_stream_with_an_error_and_no_done() {
        let script = Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_break();
        let fixture = Fixture::start(vec![script]).await;
        let answer = fixture.post("/v1/chat/completions", &chat(true)).await;
        assert!(answer.text().contains("upstream_error") && !answer.text().contains("[DONE]"), "{}", answer.text());
        let sums = fixture.counted(1).await;
        assert_eq!((sums.failed, sums.by_class), (1, [0, 0, 1, 0]));
        fixture.stop().await;
    }

    #[tokio::test]
    async fn another_upstream_is_asked_when_one_is_overloaded_and_each_try_is_an_attempt() {
        let whole = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        let fixture = Fixture::start_with(
            vec![Script::whole(503, "busy"), Script::whole(200, whole)],
            Setup { upstreams: 2, ..Setup::default() },
        )
        .await;
        let answer = fixture.post("/v1/chat/completions", &chat(false)).await;
        assert_eq!(answer.status, StatusCode::OK);
        let sums = fixture.counted(2).await;
        assert_eq!((sums.failed, sums.units.output), (1, 1));
        fixture.stop().await;
    }

    #[tokio::test]
    async fn what_an_upstream_says_of_the_request_passes_and_what_it_says_of_itself_does_not() {
        for (script, status, code, passed) in [
            (
                Script::whole(400, r#"{"error":{"code":"context_length_exceeded"}}"#),
                400,
                "context_length_exceeded",
                true,
            ),
            (Script::whole(429, r#"{"error":{"code":"slow_down"}}"#), 429, "slow_down", true),
            (Script::whole(401, r#"{"error":{"code":"upstream-secret"}}"#), 502, "upstream_error", false),
            (Script::whole(500, r#"{"error":{"code":"10.0.0.5"}}"#), 502, "upstream_error", false),
            (Script::whole(503, r#"{"error":{"code":"10.0.0.5"}}"#), 503, "no_healthy_upstream", false),
            (Script::whole(302, ""), 502, "upstream_error", false),
        ] {
            let fixture = Fixture::start(vec![script]).await;
            let answer = fixture.post("/v1/chat/completions", &chat(false)).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
            assert!(passed || !answer.text().contains("10.0.0.5"));
            let sums = fixture.counted(1).await;
            assert_eq!((sums.units.input, sums.by_class), (0, [1, 0, 0, 0]), "nothing was used");
            fixture.stop().await;
        }
    }

    #[tokio::test]
    async fn every_refusal_has_its_code_and_reaches_no_upstream() {
        let fixture = Fixture::start(vec![]).await;
        let refused = async |path: &str, body: &str| {
            let answer = fixture.post(path, body).await;
            format!("{} {}", answer.status.as_u16(), answer.code())
        };
        assert_eq!(refused("/v1/chat/completions", r#"{"model":"none"}"#).await, "404 model_not_found");
        assert_eq!(refused("/v1/chat/completions", r#"{"model":"e"}"#).await, "400 wrong_endpoint_for_model");
        assert_eq!(refused("/v1/embeddings?model=e", r#"{"model":"m"}"#).await, "400 wrong_endpoint_for_model");
        assert_eq!(refused("/v1/chat/completions", r#"{"model":"m","model":"e"}"#).await, "400 invalid_request");
        assert_eq!(refused("/v1/chat/completions", "").await, "400 invalid_request");
        assert_eq!(refused("/v1/chat/completions", &" ".repeat(21 << 20)).await, "413 request_too_large");
        assert_eq!(refused("/v1/responses", "{}").await, "404 unknown_url");
        assert_eq!(refused("/v1/models", "{}").await, "405 method_not_allowed");
        assert_eq!(refused("/v1/none", "{}").await, "404 unknown_url");
        for (credential, code) in [
            (None, "missing_api_key"),
            (Some("Bearer nonsense".to_owned()), "invalid_api_key"),
            (Some(format!("Basic {}", fixture.text)), "invalid_api_key"),
        ] {
            let answer = fixture.send("POST", "/v1/chat/completions", credential.as_deref(), &chat(false)).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, code));
        }
        assert!(fixture.upstream.seen().is_empty());
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_key_sees_its_models_and_itself() {
        let fixture = Fixture::start(vec![]).await;
        let list = fixture.get("/v1/models").await.text();
        assert!(list.contains(r#""id":"e""#) && list.contains(r#""id":"m""#), "{list}");
        assert_eq!(fixture.get("/models/m").await.status, StatusCode::OK);
        assert_eq!(fixture.get("/v1/models/none").await.code(), "model_not_found");
        let own = fixture.get("/v1/key").await.text();
        assert!(own.contains(r#""name":"test""#) && own.contains(r#""limits":null"#), "{own}");
        assert!(!own.contains(&fixture.text), "never the key itself");
        assert_eq!(fixture.get("/readyz").await.status, StatusCode::OK);
        assert_eq!(fixture.gateway.as_ref().unwrap().ready(), ReadyState::Ready);
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_stop_lets_running_requests_finish_and_ships_what_they_used() {
        let done = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
        let script =
            Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_wait(&[done, "[DONE]"]);
        let mut fixture = Fixture::start(vec![script]).await;
        let mut running = fixture.open("/v1/chat/completions", &chat(true)).await;
        running.next().await.unwrap();
        let gateway = fixture.gateway.take().unwrap();
        let stopping = tokio::spawn(gateway.shutdown(Duration::from_secs(20)));
        fixture.upstream.go_on();
        assert!(running.rest().await.contains("[DONE]"));
        stopping.await.unwrap();
        let sums = fixture.usage().await;
        assert_eq!((sums.requests, sums.units.output, sums.by_class), (1, 2, [1, 0, 0, 0]));
    }

    #[tokio::test]
    async fn a_stop_without_grace_ends_running_streams_and_settles_them() {
        let script = Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_stall();
        let mut fixture = Fixture::start(vec![script]).await;
        let mut running = fixture.open("/v1/chat/completions", &chat(true)).await;
        running.next().await.unwrap();
        fixture.gateway.take().unwrap().shutdown(Duration::ZERO).await;
        assert!(running.rest().await.contains("unavailable"));
        assert_eq!(fixture.usage().await.by_class, [0, 0, 1, 0]);
    }

    #[tokio::test]
    async fn where_the_upstream_wants_it_an_answer_is_read_on_for_its_usage_after_the_client_hung_up() {
        let last = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}"#;
        let script =
            Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_wait(&[last, "[DONE]"]);
        let setup = Setup { on_client_gone: OnClientGone::Drain, ..Setup::default() };
        let fixture = Fixture::start_with(vec![script], setup).await;
        let mut running = fixture.open("/v1/chat/completions", &chat(true)).await;
        running.next().await.unwrap();
        drop(running);
        fixture.upstream.go_on();
        let sums = fixture.counted(1).await;
        assert_eq!((sums.by_class, sums.units.output), ([1, 0, 0, 0], 9));
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_key_that_expires_ends_its_running_stream_by_the_clock() {
        let script = Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#]).and_stall();
        let setup = Setup { expires_in: Some(Duration::from_secs(3)), ..Setup::default() };
        let fixture = Fixture::start_with(vec![script], setup).await;
        let running = fixture.open("/v1/chat/completions", &chat(true)).await;
        let rest = running.rest().await;
        assert!(rest.contains("api_key_expired") && !rest.contains("[DONE]"), "{rest}");
        assert_eq!(fixture.post("/v1/chat/completions", &chat(false)).await.code(), "api_key_expired");
        fixture.stop().await;
    }

    #[tokio::test]
    async fn answers_wait_for_the_disk_where_that_is_asked_for() {
        let whole = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        let setup = Setup { sync: SyncMode::Always, ..Setup::default() };
        let scripts = vec![
            Script::whole(200, whole),
            Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#, "[DONE]"]),
        ];
        let fixture = Fixture::start_with(scripts, setup).await;
        assert_eq!(fixture.post("/v1/chat/completions", &chat(false)).await.text(), whole);
        let stream = fixture.post("/v1/chat/completions", &chat(true)).await.text();
        assert_eq!(events(&stream).last(), Some(&"[DONE]"));
        assert_eq!(fixture.counted(2).await.by_class, [1, 0, 1, 0], "no usage came with the stream");
        fixture.stop().await;
    }

    #[tokio::test]
    async fn everything_that_is_not_inference_goes_to_management() {
        let setup = Setup { management: Some(Arc::new(Echo)), ..Setup::default() };
        let fixture = Fixture::start_with(vec![], setup).await;
        let answer = fixture.post("/api/v1/keys?x=1", "{}").await;
        assert_eq!(answer.text(), "POST /api/v1/keys?x=1 from 127.0.0.1, 2 bytes");
        assert!(answer.header("x-request-id").starts_with("req_"));
        assert_eq!(fixture.get("/v1/models").await.header("content-type"), "application/json");
        fixture.stop().await;
    }
}
