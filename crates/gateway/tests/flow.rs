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

    use crate::support::{Echo, Fixture, Panics, Script, Setup, chat, events};

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

    #[tokio::test]
    async fn a_fault_of_the_program_is_one_answer_of_500_and_stops_nothing() {
        let whole = Script::whole(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
        let setup = Setup { management: Some(Arc::new(Panics)), ..Setup::default() };
        let fixture = Fixture::start_with(vec![whole], setup).await;
        for _ in 0..3 {
            let answer = fixture.get("/api/v1/keys").await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"));
            assert!(answer.header("x-request-id").starts_with("req_"));
        }
        assert_eq!(fixture.post("/v1/chat/completions", &chat(false)).await.status, StatusCode::OK);
        fixture.stop().await;
    }

    const APP: &str = "https://app.example.com";

    fn allowing(origins: &str) -> Setup {
        Setup { allowed_origins: origins.parse().unwrap(), ..Setup::default() }
    }

    #[tokio::test]
    async fn a_page_is_refused_and_counted_as_a_sign_that_the_key_leaked() {
        let fixture =
            Fixture::start(vec![Script::whole(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#)]).await;
        let key = format!("Bearer {}", fixture.text);
        let page = |more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
            [&[("authorization", key.as_str())], more].concat()
        };
        let refused = async |more: &[(&'static str, &'static str)]| {
            let answer = fixture.send_with("POST", "/v1/chat/completions", &page(more), &chat(false)).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "browser_use_refused"));
            assert_eq!(answer.header("access-control-allow-origin"), "");
            assert!(!answer.header("x-request-id").is_empty());
        };
        refused(&[("origin", APP), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]).await;
        refused(&[("origin", "http://localhost:3000")]).await;
        refused(&[("origin", "null")]).await;
        refused(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]).await;
        for path in ["/v1/models", "/v1/models/m", "/v1/key", "/models"] {
            let answer = fixture.send_with("GET", path, &page(&[("origin", APP)]), "").await;
            assert_eq!(answer.code(), "browser_use_refused", "{path}");
        }
        let exposure = fixture.exposed(8).await;
        assert_eq!(exposure.last_origin.as_deref(), Some(APP));
        assert!(exposure.last_at.is_some());
        // Node.js's fetch, and a program with pages of its own.
        let node = page(&[("sec-fetch-mode", "cors"), ("accept-language", "*")]);
        assert_eq!(fixture.send_with("POST", "/v1/chat/completions", &node, &chat(false)).await.status, StatusCode::OK);
        let editor = page(&[("origin", "vscode-webview://0abc"), ("sec-fetch-site", "cross-site")]);
        assert_eq!(fixture.send_with("GET", "/v1/models", &editor, "").await.status, StatusCode::OK);
        // Who has no key of ours is told so first, and nothing is counted.
        for headers in [vec![("origin", APP)], vec![("origin", APP), ("authorization", "Bearer nonsense")]] {
            let answer = fixture.send_with("GET", "/v1/models", &headers, "").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        assert_eq!(fixture.upstream.seen().len(), 1);
        let store = fixture.store.clone();
        let key = fixture.key.id;
        fixture.stop().await;
        assert_eq!(store.key_get(None, key).await.unwrap().exposure.browser_requests, 8);
    }

    #[tokio::test]
    async fn signs_that_are_not_written_yet_are_when_the_node_stops() {
        let fixture = Fixture::start(vec![]).await;
        let key = format!("Bearer {}", fixture.text);
        let headers = [("authorization", key.as_str()), ("origin", APP)];
        assert_eq!(fixture.send_with("GET", "/v1/models", &headers, "").await.code(), "browser_use_refused");
        let (store, key) = (fixture.store.clone(), fixture.key.id);
        fixture.stop().await;
        assert_eq!(store.key_get(None, key).await.unwrap().exposure.browser_requests, 1);
    }

    #[tokio::test]
    async fn a_page_that_the_key_allows_reads_answers_errors_and_streams() {
        let whole = Script::whole(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
        let limited = Script::whole(429, r#"{"error":{"code":"their_limit"}}"#);
        let stream = Script::stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#, "[DONE]"]);
        let fixture = Fixture::start_with(vec![whole, limited, stream], allowing(APP)).await;
        let key = format!("Bearer {}", fixture.text);
        let from = async |origin: &str, method: &str, path: &str, body: &str| {
            let headers = [("authorization", key.as_str()), ("origin", origin), ("sec-fetch-site", "cross-site")];
            fixture.send_with(method, path, &headers, body).await
        };
        let unknown = r#"{"model":"no-such","messages":[]}"#;
        for (method, path, body, status) in [
            ("POST", "/v1/chat/completions", chat(false), 200),
            ("POST", "/v1/chat/completions", chat(false), 429),
            ("POST", "/v1/chat/completions", chat(true), 200),
            ("POST", "/v1/chat/completions", unknown.to_owned(), 404),
            ("POST", "/v1/chat/completions", "{".to_owned(), 400),
            ("GET", "/v1/models", String::new(), 200),
            ("GET", "/v1/key", String::new(), 200),
        ] {
            let answer = from(APP, method, path, &body).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {path} {body}: {}", answer.text());
            assert_eq!(answer.header("access-control-allow-origin"), APP, "{method} {path} {body}");
            assert_eq!(answer.header("vary"), "origin");
            assert!(answer.header("access-control-expose-headers").contains("x-request-id, retry-after"));
            assert_eq!(answer.header("access-control-allow-credentials"), "");
        }
        // Another page, and a program, are told nothing of it.
        let other = from("https://evil.example", "GET", "/v1/models", "").await;
        assert_eq!((other.code().as_str(), other.header("access-control-allow-origin")), ("browser_use_refused", ""));
        let program = fixture.get("/v1/models").await;
        assert_eq!((program.status, program.header("access-control-allow-origin")), (StatusCode::OK, ""));
        // The page of the same host says no origin when it reads.
        let own = [("authorization", key.as_str()), ("sec-fetch-site", "same-origin")];
        assert_eq!(fixture.send_with("GET", "/v1/models", &own, "").await.code(), "browser_use_refused");
        // Dead, the key says so to the page that it allowed, and to no other.
        let revoked =
            fixture.store.key_transition(&ACTOR, fixture.account, fixture.key.id, KeyTransition::Revoke).await;
        fixture.store.change_confirm(&revoked.unwrap()).await.unwrap();
        let dead = from(APP, "GET", "/v1/models", "").await;
        assert_eq!((dead.code().as_str(), dead.header("access-control-allow-origin")), ("api_key_revoked", APP));
        let dead = from("https://evil.example", "GET", "/v1/models", "").await;
        assert_eq!((dead.code().as_str(), dead.header("access-control-allow-origin")), ("api_key_revoked", ""));
        assert_eq!(fixture.exposed(2).await.last_origin.as_deref(), Some("https://evil.example"));
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_stream_of_a_page_ends_when_its_origin_is_taken_away() {
        let delta = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
        let stall = || Script::stream(&[delta]).and_stall();
        let fixture =
            Fixture::start_with(vec![stall(), stall()], allowing("https://app.example.com https://b.example")).await;
        let mut page = fixture.open_from("/v1/chat/completions", &[("origin", APP)], &chat(true)).await;
        let mut program = fixture.open("/v1/chat/completions", &chat(true)).await;
        assert!(page.next().await.is_some() && program.next().await.is_some());
        let narrow = KeyEdit { allowed_origins: Some("https://b.example".parse().unwrap()), ..KeyEdit::default() };
        let edited = fixture.store.key_edit(&ACTOR, fixture.account, fixture.key.id, narrow, None).await.unwrap();
        assert_eq!(fixture.store.change_confirm(&edited).await.unwrap().streams_cut, 1, "the page's alone");
        let rest = page.rest().await;
        assert!(rest.contains("browser_use_refused") && !rest.contains("[DONE]"), "{rest}");
        drop(program);
        fixture.stop().await;
    }

    #[tokio::test]
    async fn a_browser_is_told_whether_some_key_allows_a_page() {
        let fixture = Fixture::start_with(vec![], allowing(APP)).await;
        let ask = async |path: &str, origin: &str, headers: &str| {
            let asked = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", headers),
                ("sec-fetch-mode", "cors"),
            ];
            fixture.send_with("OPTIONS", path, &asked, "").await
        };
        let names = "authorization,content-type,x-stainless-os,anthropic-version";
        let yes = ask("/v1/chat/completions", APP, names).await;
        assert_eq!((yes.status, yes.text()), (StatusCode::NO_CONTENT, String::new()));
        for (name, value) in [
            ("access-control-allow-origin", APP),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", names),
            ("access-control-max-age", "7200"),
            ("access-control-allow-credentials", ""),
            ("vary", "origin"),
        ] {
            assert_eq!(yes.header(name), value, "{name}");
        }
        assert!(!yes.header("x-request-id").is_empty());
        assert_eq!(ask("/models", APP, names).await.header("access-control-allow-methods"), "GET, HEAD");
        for origin in ["https://evil.example", "null", "*", "https://app.example.com:444"] {
            let no = ask("/v1/chat/completions", origin, names).await;
            assert_eq!((no.status, no.code().as_str()), (StatusCode::FORBIDDEN, "browser_use_refused"), "{origin}");
            assert_eq!(no.header("access-control-allow-origin"), "");
        }
        // No question of a browser, and no path of ours.
        let plain = fixture.send_with("OPTIONS", "/v1/chat/completions", &[("origin", APP)], "").await;
        assert_eq!((plain.status, plain.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        assert_eq!(ask("/v1/no-such", APP, names).await.status, StatusCode::NOT_FOUND);
        // Whoever only asks is no sign; and a dead key allows nothing.
        let disabled =
            fixture.store.key_transition(&ACTOR, fixture.account, fixture.key.id, KeyTransition::Disable).await;
        fixture.store.change_confirm(&disabled.unwrap()).await.unwrap();
        assert_eq!(ask("/v1/chat/completions", APP, names).await.status, StatusCode::FORBIDDEN);
        let (store, key) = (fixture.store.clone(), fixture.key.id);
        fixture.stop().await;
        assert_eq!(store.key_get(None, key).await.unwrap().exposure.browser_requests, 0);
    }
}
