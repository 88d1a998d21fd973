//! `tollgate demo`: one machine, nothing to configure.

use std::{
    fs::{self, File},
    path::Path,
    process::Child,
};

use rustix::process::{Pid, Signal, kill_process};
use tollgate_tests::{Http, Value, eventually, house::chat, json, node::command};

/// A running demo; killed when dropped.
pub(super) struct Demo {
    child: Child,
    ready: Value,
}

impl Demo {
    /// One with its state in this directory.
    pub(super) async fn start(directory: &Path) -> Self {
        let out = directory.join("out");
        let mut child = command()
            .args(["demo", "--json", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
            .current_dir(directory)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(directory.join("log")).unwrap())
            .spawn()
            .unwrap();
        let line = eventually("the demo is ready", async || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?} {}", fs::read_to_string(directory.join("log")).unwrap_or_default());
            let text = fs::read_to_string(&out).unwrap_or_default();
            text.contains('\n').then_some(text)
        })
        .await;
        assert_eq!(line.lines().count(), 1, "one line: {line}");
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }
    /// What it told of itself when it was ready.
    pub(super) fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("{name}: {}", self.ready))
    }
    /// The same, of a list.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let list = self.ready[name].as_array().unwrap_or_else(|| panic!("{name}: {}", self.ready));
        list.iter().filter_map(Value::as_str).collect()
    }
    async fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        eventually("the demo ends", async || self.child.try_wait().unwrap()).await;
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_is_a_working_front_door_and_keeps_its_state() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path()).await;
    let http = Http::at(demo.text("url"));
    let models = demo.list("models");
    assert!(!models.is_empty(), "{}", demo.ready);
    let key = demo.text("key").to_owned();
    let token = demo.text("token").to_owned();
    assert!(demo.text("sign_in_url").starts_with(demo.text("url")), "{}", demo.ready);
    assert!(Path::new(demo.text("data")).ends_with("tollgate-demo"), "{}", demo.ready);

    let listed = http.get("/v1/models").bearer(&key).send().await.expect(200).json();
    let listed: Vec<&str> =
        listed["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!(listed.iter().collect::<std::collections::BTreeSet<_>>(), models.iter().collect());
    let catalogue = http.get("/api/v1/models").bearer(&token).send().await.expect(200).json();
    let of_kind = |kind: &str| {
        let model = catalogue["data"].as_array().unwrap().iter().find(|model| model["kind"] == kind);
        model.unwrap_or_else(|| panic!("no {kind}: {catalogue}"))["name"].as_str().unwrap().to_owned()
    };

    // Answers like the real thing, and counts like it: deterministic, plain and streamed the same tokens.
    let plain = chat(http, &key, &of_kind("chat"), json!({})).send().await.expect(200).json();
    let again = chat(http, &key, &of_kind("chat"), json!({})).send().await.expect(200).json();
    assert_eq!(plain["choices"], again["choices"]);
    assert!(plain["usage"]["completion_tokens"].as_u64() > Some(0), "{plain}");
    let mut stream =
        chat(http, &key, &of_kind("chat"), json!({"stream": true, "stream_options": {"include_usage": true}}))
            .stream()
            .await;
    let events = stream.events().await.unwrap();
    assert_eq!(events.last().unwrap(), "[DONE]");
    let events: Vec<Value> = events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    assert_eq!(events.last().unwrap()["usage"]["total_tokens"], plain["usage"]["total_tokens"]);
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, plain["choices"][0]["message"]["content"]);
    let embed = |input: &str| {
        http.post("/v1/embeddings", &json!({"model": of_kind("embedding"), "input": input})).bearer(&key).send()
    };
    let (one, same, other) =
        (embed("one").await.expect(200).json(), embed("one").await.json(), embed("another text").await.json());
    assert_eq!(one["data"], same["data"]);
    assert_ne!(one["data"], other["data"]);
    assert_eq!(
        one["data"][0]["embedding"].as_array().map(Vec::len),
        other["data"][0]["embedding"].as_array().map(Vec::len)
    );

    let usage =
        async |http: Http| http.get("/api/v1/usage?bucket=total").bearer(&token).send().await.expect(200).json();
    let requests = eventually("usage counts all of it", async || {
        let report = usage(http).await;
        (report["data"][0]["requests"] == 6).then(|| report["data"][0].clone())
    })
    .await;
    assert_eq!(requests["shares"]["exact"], 1.0, "{requests}");
    demo.stop().await;

    let demo = Demo::start(directory.path()).await;
    let http = Http::at(demo.text("url"));
    chat(http, &key, &of_kind("chat"), json!({})).send().await.expect(200);
    eventually("usage goes on where it was", async || (usage(http).await["data"][0]["requests"] == 7).then_some(()))
        .await;
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demos_sign_in_link_works_once() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path()).await;
    let http = Http::at(demo.text("url"));
    let link = demo.text("sign_in_url").trim_start_matches(demo.text("url")).to_owned();
    let page = http.get(&link).send().await;
    assert!(page.status.is_success() || page.status.is_redirection(), "{page}");
    assert!(!page.header("set-cookie").contains("; domain"), "{page}");
    if page.status.is_success() {
        // A page with one button, so that a mail scanner that follows links uses nothing up.
        let first = http.request("POST", &link).header("origin", demo.text("url")).send().await;
        assert!(first.status.is_redirection() && first.header("set-cookie").contains("HttpOnly"), "{first}");
        let second = http.request("POST", &link).header("origin", demo.text("url")).send().await;
        assert!(!second.headers.contains_key("set-cookie"), "{second}");
    }
}
