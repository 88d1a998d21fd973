//! The documentation as people and programs read it: pages, Markdown, search, questions, the operator's pages, limits.

use std::{fs, path::Path};

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::house::{Answer, House};

async fn get(house: &House, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path).header("host", "gate.example:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::empty()).unwrap()).await
}
/// The same from an address, by which questions are counted.
async fn get_from(house: &House, address: &str, path: &str) -> Answer {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(tollgate_manage::PeerAddress(address.parse().unwrap()));
    house.send(request).await
}

/// The addresses that a page links to, on this service.
fn links(html: &str) -> Vec<String> {
    let all = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    all.filter(|link| link.starts_with('/')).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_page_is_read_by_anybody_and_every_link_on_it_leads_somewhere() {
    let house = House::open().await;
    let mut waiting = vec!["/docs".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let path = path.split('#').next().unwrap().to_owned();
        if !path.starts_with("/docs") && !path.starts_with("/assets") || !seen.insert(path.clone()) {
            continue;
        }
        let answer = get(&house, &path, &[]).await.expect(200);
        if answer.header("content-type").starts_with("text/html") {
            assert!(answer.header("content-security-policy").contains("script-src 'self'"), "{path}");
            waiting.extend(links(&answer.text));
        }
    }
    assert!(seen.len() > 50, "pages and their Markdown were found: {seen:?}");
    assert!(seen.contains("/docs/customers/api-keys") && seen.contains("/docs/operators/install.md"));
}

#[tokio::test]
async fn a_page_has_the_values_of_this_deployment_in_both_forms() {
    let house = House::open().await;
    house.post("upstreams", json!({"name": "gpu", "base_url": "http://10.0.0.5:8000/v1"})).await.expect(201);
    for (name, kind) in [("bge-m3", "embedding"), ("qwen3-32b", "chat")] {
        let model = json!({"name": name, "kind": kind, "served_by": [{"upstream": "gpu"}]});
        house.post("models", model).await.expect(201);
    }
    house.post("models", json!({"name": "served-by-nobody", "kind": "chat", "served_by": []})).await.expect(201);
    let page = get(&house, "/docs/customers/quickstart", &[]).await.expect(200);
    assert!(page.header("vary").contains("accept-language"));
    assert!(page.text.contains("https://tollgate.example/v1/chat/completions"), "{}", page.text);
    assert!(page.text.contains("&quot;model&quot;: &quot;qwen3-32b&quot;"), "{}", page.text);
    let markdown = get(&house, "/docs/customers/quickstart.md", &[]).await.expect(200);
    assert_eq!(markdown.header("content-type"), "text/markdown; charset=utf-8");
    assert!(markdown.text.starts_with("# First call\n"));
    assert!(markdown.text.contains("curl --fail-with-body https://tollgate.example/v1/chat/completions"));
    assert!(!markdown.text.contains("{{") && !page.text.contains("{{"));
    let start = get(&house, "/docs/index.md", &[]).await.expect(200).text;
    assert!(start.contains("`bge-m3`, `qwen3-32b`") && !start.contains("served-by-nobody"), "{start}");
    // Only what changed is sent again.
    let tag = markdown.header("etag").to_owned();
    let again = get(&house, "/docs/customers/quickstart.md", &[("if-none-match", &tag)]).await.expect(304);
    assert!(again.text.is_empty());
}

#[tokio::test]
async fn a_page_is_in_the_reader_s_language_and_english_stands_in() {
    let house = House::open().await;
    let vietnamese = [("accept-language", "vi")];
    let page = get(&house, "/docs/customers/api-keys", &vietnamese).await.expect(200).text;
    assert!(page.contains("<html lang=\"vi\"") && page.contains("<article class=\"prose\" lang=\"vi\">"));
    let english = get(&house, "/docs/operators/install", &vietnamese).await.expect(200).text;
    assert!(english.contains("<article class=\"prose\" lang=\"en\">") && english.contains("chưa được dịch"));
    let markdown = get(&house, "/docs/customers/api-keys.md?lang=vi", &[]).await.expect(200);
    assert_eq!(markdown.header("content-language"), "vi");
    assert!(markdown.text.contains("## Tạo API Key mới"));
    assert!(
        get(&house, "/docs/customers/api-keys.md?lang=en", &vietnamese).await.text.contains("## Create an API key")
    );
}

#[tokio::test]
async fn programs_find_what_they_look_for_first() {
    let house = House::open().await;
    let llms = get(&house, "/llms.txt", &[]).await.expect(200);
    assert_eq!(llms.header("content-type"), "text/plain; charset=utf-8");
    assert!(llms.text.starts_with("# Tollgate\n\n> Tollgate gives you one address"), "{}", llms.text);
    let listed: Vec<&str> = llms
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("- [")?.split("](https://tollgate.example").nth(1)?.split(')').next())
        .collect();
    assert!(listed.len() > 20, "{}", llms.text);
    for path in &listed {
        let page = get(&house, path, &[]).await.expect(200);
        assert_eq!(page.header("content-type"), "text/markdown; charset=utf-8", "{path}");
    }
    let full = get(&house, "/llms-full.txt", &[]).await.expect(200).text;
    assert!(full.contains("# API keys\n") && full.contains("# Install and run as a service\n") && full.len() > 100_000);
    let sitemap = get(&house, "/sitemap.xml", &[]).await.expect(200);
    assert_eq!(sitemap.header("content-type"), "application/xml; charset=utf-8");
    for path in listed {
        let address = format!("<loc>https://tollgate.example{}</loc>", path.trim_end_matches(".md"));
        assert!(sitemap.text.contains(&address), "{address}");
    }
}

#[tokio::test]
async fn a_question_is_answered_with_its_source_in_both_forms() {
    let house = House::open().await;
    let ask = "/docs/customers/quickstart.md?ask=how+can+I+revoke+an+API+key%3F&goal=a+laptop+was+stolen";
    let answer = get(&house, ask, &[]).await.expect(200);
    assert_eq!(answer.header("content-type"), "text/markdown; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.text.starts_with("# how can I revoke an API key?\n"), "{}", answer.text);
    assert!(answer.text.contains("## Sources\n\n1. [API keys"), "{}", answer.text);
    assert!(answer.text.contains("](https://tollgate.example/docs/customers/api-keys#"), "{}", answer.text);
    let page = get(&house, "/docs/customers/quickstart?ask=how+can+I+revoke+an+API+key%3F", &[]).await.expect(200).text;
    assert!(page.contains("<div id=\"answer\"") && page.contains("href=\"/docs/customers/api-keys#"), "{page}");
    let silent = get(&house, "/docs/index.md?ask=how+do+I+fine-tune+a+model%3F", &[]).await.expect(200).text;
    assert!(silent.contains("The documentation does not say."), "{silent}");
    let silent = get(
        &house,
        "/docs/index.md?lang=vi&ask=l%C3%A0m+sao+%C4%91%E1%BB%83+%C4%91%C6%B0%E1%BB%A3c+ho%C3%A0n+ti%E1%BB%81n%3F",
        &[],
    )
    .await;
    assert!(silent.expect(200).text.contains("Tài liệu không nói đến điều này."));
}

#[tokio::test]
async fn what_is_typed_is_found_and_shown_as_text() {
    let house = House::open().await;
    let found = get(&house, "/docs/search?q=rotat", &[]).await.expect(200).text;
    assert!(
        found.contains("href=\"/docs/customers/api-keys#rotate-a-key\"") && found.contains("<mark>Rotat"),
        "{found}"
    );
    let folded = get(&house, "/docs/search?q=mat+khau&lang=vi", &[]).await.expect(200).text;
    assert!(folded.contains("<mark>mật</mark>"), "{folded}");
    let nothing = get(&house, "/docs/search?q=zzzzqqq", &[]).await.expect(200).text;
    assert!(nothing.contains("Nothing was found"));
    get(&house, "/docs/search", &[]).await.expect(200);
    for path in ["/docs/search?q=", "/docs/index?ask="] {
        let hostile = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27%3E+key";
        let html = get(&house, &format!("{path}{hostile}"), &[]).await.expect(200).text;
        assert!(
            !html.contains("<script>alert") && html.contains("&lt;script&gt;") || html.contains("&#60;script"),
            "{html}"
        );
    }
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_its_reason() {
    let house = House::open().await;
    let long = "a".repeat(401);
    for (query, word) in [
        ("ask=", "empty"),
        ("ask=%3F%21+", "empty"),
        (&format!("ask={long}"), "400 characters"),
        (&format!("ask=a&goal={long}"), "goal"),
        ("ask=%ff%fe", "not UTF-8"),
        ("ask=a&ask=b", "twice"),
        (&format!("ask={}", "a".repeat(20_000)), "longer than any"),
    ] {
        let problem = get(&house, &format!("/docs/index.md?{query}"), &[]).await.refused(400, "invalid_request");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {problem}");
    }
    let page = get(&house, "/docs/index?ask=%3F", &[]).await.expect(400);
    assert!(page.text.contains("id=\"ask-error\"") && page.text.contains("Ask in a few words."));
    get(&house, "/docs/index?ask=%ff", &[]).await.expect(400);
}

#[tokio::test]
async fn a_question_asked_a_thousand_times_is_stopped_for_its_address_alone() {
    let house = House::open().await;
    let ask = "/docs/index.md?ask=how+do+I+rotate+a+key";
    let mut refused = 0;
    for _ in 0..1_000 {
        let answer = get_from(&house, "192.0.2.1", ask).await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
            answer.refused(429, "too_many_attempts");
            refused += 1;
        } else {
            answer.expect(200);
        }
    }
    assert!(refused > 500, "{refused}");
    get_from(&house, "192.0.2.1", "/docs/index?ask=keys").await.expect(429);
    get_from(&house, "192.0.2.1", "/docs/index.md").await.expect(200);
    get_from(&house, "192.0.2.2", ask).await.expect(200);
}

#[tokio::test]
async fn a_page_that_is_not_there_is_a_404_that_helps() {
    let house = House::open().await;
    let page = get(&house, "/docs/customers/api-key", &[]).await.expect(404).text;
    assert!(page.contains("There is no such page") && page.contains("href=\"/docs/customers/api-keys\""), "{page}");
    let problem = get(&house, "/docs/customers/api-key.md", &[]).await.refused(404, "not_found");
    assert!(problem["detail"].as_str().unwrap().contains("/llms.txt"), "{problem}");
    for path in [
        "/docs/../etc/passwd",
        "/docs/%2e%2e/x",
        "/docs/vi/index",
        "/docs/decisions/0001-lanes",
        "/docs/contents.toml",
        "/docs//x",
    ] {
        get(&house, path, &[]).await.expect(404);
    }
    assert_eq!(get(&house, "/docs/", &[]).await.expect(308).header("location"), "/docs");
}

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn an_operator_s_pages_stand_beside_and_in_place_of_ours_and_change_without_a_restart() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        "prices.md",
        "# Prices\n\nOne million zorblatts cost {{product}} money. <b>Now</b> at [{{url}}]({{url}}).\n",
    );
    write(home.path(), "customers/usage.md", "# Usage here\n\nAsk Ánh.\n");
    write(home.path(), "broken.md", [0xff, 0xfe]);
    let house = House::open_documented(home.path()).await;
    let prices = get(&house, "/docs/prices", &[]).await.expect(200).text;
    assert!(
        prices.contains("&lt;b&gt;Now&lt;/b&gt;") && prices.contains("href=\"https://tollgate.example\""),
        "{prices}"
    );
    assert!(prices.contains("by the operator of this service"));
    assert!(get(&house, "/docs/customers/usage.md", &[]).await.expect(200).text.starts_with("# Usage here"));
    get(&house, "/docs/broken", &[]).await.expect(404);
    assert!(get(&house, "/docs/customers/api-keys", &[]).await.expect(200).text.contains("href=\"/docs/prices\""));
    let answer = get(&house, "/docs/index.md?ask=what+do+zorblatts+cost", &[]).await.expect(200).text;
    assert!(answer.contains("/docs/prices)"), "{answer}");
    write(home.path(), "prices.md", "# Prices\n\nZorblatts are free from today on.\n");
    house.turn_clock(6);
    assert!(get(&house, "/docs/prices.md", &[]).await.expect(200).text.contains("free from today"));
    fs::remove_file(home.path().join("prices.md")).unwrap();
    fs::remove_file(home.path().join("customers/usage.md")).unwrap();
    house.turn_clock(6);
    get(&house, "/docs/prices", &[]).await.expect(404);
    assert!(get(&house, "/docs/customers/usage.md", &[]).await.expect(200).text.starts_with("# Check your usage"));
}

#[tokio::test]
async fn somebody_signed_in_reads_the_same_page_with_their_menu() {
    let house = House::open().await;
    let link = house.link().await;
    let request = Request::post(&link).header("host", "gate.example:8080").header("sec-fetch-site", "same-origin");
    let redeemed = house.send(request.body(Body::empty()).unwrap()).await.expect(303);
    let cookie = redeemed.header("set-cookie").split(';').next().unwrap().to_owned();
    let own = get(&house, "/docs", &[("cookie", &cookie)]).await.expect(200).text;
    assert!(own.contains("id=\"account-menu\"") && own.contains("<article class=\"prose\""));
    let keys = get(&house, "/a/default/keys", &[("cookie", &cookie)]).await.expect(200).text;
    assert!(keys.contains("href=\"/docs\"") && keys.contains("href=\"/docs/customers/api-keys\""), "{keys}");
    // A session that is over is no reason not to read.
    let over = get(&house, "/docs", &[("cookie", "tollgate_session=nonsense")]).await.expect(200).text;
    assert!(!over.contains("id=\"account-menu\""));
}
