//! My usage and the operator's usage by account, as a browser gets them.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tollgate_core::UsageClass::{self, Estimated, Exact, Unknown};

use crate::{
    house::{Answer, House},
    usage::ship,
};

async fn browse(house: &House, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path).header("host", "gate.example:8080").header("cookie", cookie);
    house.send(request.body(Body::empty()).unwrap()).await
}

async fn signed_in(house: &House, link: &str) -> String {
    let request = Request::post(link).header("host", "gate.example:8080").header("sec-fetch-site", "same-origin");
    let answer = house.send(request.body(Body::empty()).unwrap()).await.expect(303);
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}
async fn operator(house: &House) -> String {
    let link = house.link().await;
    signed_in(house, &link).await
}
/// A user with this role in the account, signed in.
async fn with_role(house: &House, account: &str, role: &str) -> String {
    let (user, _) = house.member(account, role).await;
    let link = house.call(&house.operator, "POST", &format!("users/{user}/sign-in-links"), None).await.expect(201);
    signed_in(house, link.json()["url"].as_str().unwrap()).await
}
async fn named(house: &House, name: &str) -> Value {
    house.post("keys", json!({"name": name, "models": "all"})).await.expect(201).json()
}
fn id(key: &Value) -> &str {
    key["id"].as_str().unwrap()
}

/// The rows of the table with the figures, each as the texts of its cells.
fn table(html: &str) -> Vec<Vec<String>> {
    let at = html.find("id=\"part-table\"").unwrap_or_else(|| panic!("no table: {html}"));
    let table = &html[at..at + html[at..].find("</table>").unwrap()];
    table.split("<tr").skip(2).map(cells).collect()
}
fn cells(row: &str) -> Vec<String> {
    let cells = row.split("<t").filter(|part| part.starts_with("h ") || part.starts_with("d "));
    cells.map(|cell| text(&cell[cell.find('>').unwrap() + 1..])).collect()
}
/// Text without its tags, blanks made single.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for letter in html.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            letter if !inside => text.push(letter),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
/// The tiles: what and how much.
fn tile(html: &str, label: &str) -> String {
    let at = html.find(&format!("<dt>{label}</dt>")).unwrap_or_else(|| panic!("no tile {label}: {html}"));
    let tile = &html[at..];
    text(&tile[tile.find("<dd>").unwrap()..tile.find("</dd>").unwrap()])
}

struct Used {
    house: House,
    cookie: String,
    nightly: Value,
    other: Value,
}

/// Two keys and two models; one attempt of each pair of `nightly`, more of `other` yesterday.
async fn used() -> Used {
    let house = House::open().await;
    house.model("chat-a").await;
    house.model("chat-b").await;
    used_in(house).await
}

async fn used_in(house: House) -> Used {
    let (nightly, other) = (named(&house, "nightly").await, named(&house, "other").await);
    let attempts: [(&str, &str, u64, i64, UsageClass); 4] = [
        (id(&nightly), "chat-a", 1_000, 5, Exact),
        (id(&nightly), "chat-b", 20, 5, Exact),
        (id(&other), "chat-a", 300, 65, Exact),
        (id(&other), "chat-a", 4_000_000, 26 * 60, Exact),
    ];
    ship(&house, &attempts).await;
    let cookie = operator(&house).await;
    Used { cookie, nightly, other, house }
}

#[tokio::test]
async fn my_usage_shows_the_tokens_of_each_model_and_api_key_and_adds_up() {
    let Used { house, cookie, .. } = used().await;
    let page = browse(&house, "/a/default/usage", &cookie).await.expect(200);
    assert!(page.text.contains("<h1>My usage</h1>"));
    for word in
        ["Input tokens", "Output tokens", "Total usage", "Model", "API key", "CSV", "Requests", "Failures", "Cost"]
    {
        assert!(page.text.contains(word), "{word}");
    }
    let rows = table(&page.text);
    let lines: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    assert!(lines[0][0] == "chat-a" && lines[0][1].starts_with("other tg_"), "{lines:?}");
    assert_eq!(lines[0][2..], ["4,000,300", "4", "4,000,304", "2", "0", "0.0030 USD"]);
    assert!(lines[1][0] == "chat-a" && lines[1][1].starts_with("nightly tg_"), "{lines:?}");
    assert_eq!(lines[1][2..], ["1,000", "2", "1,002", "1", "0", "0.0015 USD"]);
    assert_eq!(lines[2][2..], ["20", "2", "22", "1", "0", "0.0015 USD"]);
    assert_eq!(lines[3], ["Total", "4,001,320", "8", "4,001,328", "4", "0", "0.0060 USD"]);
    assert_eq!(lines.len(), 4);
    assert_eq!(tile(&page.text, "Total tokens"), "4,001,328");
    assert_eq!(tile(&page.text, "Input tokens"), "4,001,320");
    assert_eq!(tile(&page.text, "Requests"), "4");
    assert_eq!(tile(&page.text, "Cost"), "0.0060 USD");
    assert!(page.text.contains("Complete until 09:30:00,") && page.text.contains("0 seconds ago"));
    assert!(page.text.contains("data-live=\"true\""));
}

#[tokio::test]
async fn it_groups_filters_sorts_and_cuts_the_range_as_asked() {
    let Used { house, cookie, nightly, other } = used().await;
    let rows = async |query: &str| {
        table(&browse(&house, &format!("/a/default/usage?{query}"), &cookie).await.expect(200).text)
    };
    let first = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(first(&rows("by=model").await), ["chat-a", "chat-b", "Total"]);
    assert_eq!(first(&rows("by=model&sort=total&dir=asc").await), ["chat-b", "chat-a", "Total"]);
    let by_key = rows("by=key&sort=key&dir=desc").await;
    assert!(by_key[0][0].starts_with("other ") && by_key[1][0].starts_with("nightly "), "{by_key:?}");
    let days = rows("by=day").await;
    assert_eq!(first(&days), ["Thu, Nov 19, 2026", "Fri, Nov 20, 2026", "Total"]);
    assert_eq!(days[1][1..4], ["1,320", "6", "1,326"]);
    let hours = rows("by=hour&range=today").await;
    assert_eq!(first(&hours), ["Nov 20, 08:00", "Nov 20, 09:00", "Total"]);
    // What was used at 07:30 UTC the day before was used at 14:30 in Hanoi.
    let hanoi = rows("by=hour&range=yesterday&tz=Asia/Ho_Chi_Minh").await;
    assert_eq!(first(&hanoi), ["Nov 19, 14:00", "Total"]);
    assert_eq!(rows(&format!("by=model&key={}", id(&nightly))).await[2][1], "1,020");
    assert_eq!(rows(&format!("by=model&key={}&range=today", id(&other))).await[1][1], "300");
    assert_eq!(rows("by=key&model=chat-b").await[1][1], "20");
    let own = rows("range=custom&from=2026-11-19&to=2026-11-19&by=model").await;
    assert_eq!(own[1][1], "4,000,000");
    let vietnamese = Request::get("/a/default/usage?by=day").header("cookie", &cookie).header("accept-language", "vi");
    let page = house.send(vietnamese.body(Body::empty()).unwrap()).await.expect(200).text;
    assert!(page.contains("Mức sử dụng của tôi") && page.contains("4.001.320") && page.contains("20/11/2026"));
}

#[tokio::test]
async fn the_chart_holds_the_same_tokens_as_the_table() {
    let Used { house, cookie, .. } = used().await;
    for query in ["by=model", "by=key", "by=model,key", "by=day", "by=hour", "by=model&range=12m", "by=key&range=today"]
    {
        let html = browse(&house, &format!("/a/default/usage?{query}"), &cookie).await.expect(200).text;
        let amounts = html.split("data-amount=\"").skip(1);
        let sum: u64 = amounts.map(|rest| rest.split('"').next().unwrap().parse::<u64>().unwrap()).sum();
        let shown: u64 = tile(&html, "Total tokens").replace(',', "").parse().unwrap();
        assert_eq!(sum, shown, "{query}");
    }
}

#[tokio::test]
async fn keys_that_were_renamed_or_revoked_keep_their_line() {
    let Used { house, cookie, nightly, other } = used().await;
    house.patch(&format!("keys/{}", id(&other)), json!({"name": "renamed <b>&\"' \u{202e}abc"})).await.expect(200);
    house.call(&house.operator, "POST", &format!("keys/{}/revoke", id(&nightly)), None).await.expect(200);
    let html = browse(&house, "/a/default/usage?by=key", &cookie).await.expect(200).text;
    let rows = table(&html);
    assert!(
        rows[0][0].contains("renamed &#60;b&#62;") && rows[0][0].contains(other["hint"].as_str().unwrap()),
        "{rows:?}"
    );
    assert!(rows[1][0].starts_with("nightly ") && rows[1][0].ends_with(" revoked"), "{rows:?}");
    assert_eq!(rows[2][3], "4,001,328");
    assert!(!html.contains("renamed <b>"));
}

#[tokio::test]
async fn counts_that_are_not_exact_say_so() {
    let house = House::open().await;
    house.model("chat-a").await;
    let key = house.key().await;
    let mut attempts = vec![(id(&key), "chat-a", 10, 5, Exact); 49];
    attempts.push((id(&key), "chat-a", 10, 5, Estimated));
    ship(&house, &attempts).await;
    let cookie = operator(&house).await;
    let html = browse(&house, "/a/default/usage", &cookie).await.expect(200).text;
    assert!(table(&html)[0][4].ends_with("≈ 2% estimated"), "{html}");
    assert!(html.contains("How sure these figures are") && html.contains("98% exact: the final figures"));
    ship(&house, &[(id(&key), "chat-a", 0, 5, Unknown)]).await;
    let html = browse(&house, "/a/default/usage", &cookie).await.expect(200).text;
    assert!(html.contains("2% unknown: all that is known"), "{html}");
    let exact = browse(&house, "/a/default/usage?range=yesterday", &cookie).await.expect(200).text;
    assert!(!exact.contains("How sure"));
}

#[tokio::test]
async fn everyone_who_may_read_the_account_sees_it_and_nobody_else() {
    let Used { house, cookie, nightly, .. } = used().await;
    house.account("acme").await;
    for role in ["owner", "member", "viewer"] {
        let own = with_role(&house, "default", role).await;
        for path in ["/a/default/usage", "/a/default/usage.csv", "/a/default/usage?by=key"] {
            browse(&house, path, &own).await.expect(200);
        }
        let other = with_role(&house, "acme", role).await;
        for path in ["/a/default/usage", "/a/default/usage.csv", "/a/nobody/usage", "/a/default/usage?range=x"] {
            let answer = browse(&house, path, &other).await.expect(404);
            assert!(!answer.text.contains("nightly"));
        }
        browse(&house, "/operator/usage", &own).await.expect(403);
        browse(&house, "/operator/usage.csv", &own).await.expect(403);
        // Another account's key is no key here, and nothing is said of it.
        let asked = browse(&house, &format!("/a/acme/usage?key={}", id(&nightly)), &other).await.expect(400);
        assert!(asked.text.contains("This account has no such API key.") && !asked.text.contains("nightly"));
    }
    let asked = browse(&house, "/a/default/usage?by=key", "a=b").await.expect(303);
    assert_eq!(asked.header("location"), "/sign-in?next=%2Fa%2Fdefault%2Fusage%3Fby%3Dkey");
    browse(&house, "/operator/usage", &cookie).await.expect(200);
}

#[tokio::test]
async fn a_wrong_question_is_named_beside_its_field_and_the_rest_is_kept() {
    let Used { house, cookie, .. } = used().await;
    for (query, field, says) in [
        ("range=week", "range", "There is no such time range"),
        ("range=custom&from=2026-02-30&to=2026-03-01", "from", "A date is written like"),
        ("range=custom&from=2026-03-02&to=2026-03-01", "to", "The last day is before the first."),
        ("range=custom&from=2026-03-02", "to", "A custom range needs both dates."),
        ("range=custom&from=1990-01-01&to=2026-03-01", "to", "at most 10 years"),
        ("tz=Mars/Base", "tz", "There is no time zone of this name"),
        ("by=upstream", "by", "Usage cannot be grouped by this"),
        ("by=hour&range=30d", "by", "at most 7 days"),
        ("key=key_nonsense", "key", "This account has no such API key."),
        ("key=%00", "key", "This account has no such API key."),
        ("model=no-such", "model", "There is no such model."),
        ("model=%3Cscript%3E", "model", "There is no such model."),
    ] {
        let page = browse(&house, &format!("/a/default/usage?{query}&zz=1"), &cookie).await.expect(400).text;
        assert!(page.contains("<h1>My usage</h1>") && page.contains("id=\"usage-form\""), "{query}");
        assert!(page.contains("role=\"alert\"") && page.contains(says), "{query}: {page}");
        assert!(page.contains(&format!("id=\"{field}-error\"")), "{query}: {page}");
        assert!(!page.contains("id=\"part-table\"") && !page.contains("<script>"), "{query}");
        // The file of a model that is none is empty, as the API's; what cannot be understood leads to the page.
        if query != "model=no-such" {
            let csv = browse(&house, &format!("/a/default/usage.csv?{query}"), &cookie).await.expect(303);
            assert_eq!(csv.header("location"), format!("/a/default/usage?{query}"));
        }
    }
    let kept = browse(&house, "/a/default/usage?tz=x&range=custom&from=2026-01-05&to=2026-01-06&by=key", &cookie).await;
    assert!(kept.text.contains("value=\"2026-01-05\"") && kept.text.contains("value=\"key\" selected"));
}

#[tokio::test]
async fn the_csv_has_exactly_what_is_asked() {
    let Used { house, cookie, nightly, .. } = used().await;
    let page = browse(&house, &format!("/a/default/usage?by=key&key={}&range=month", id(&nightly)), &cookie).await;
    let at = page.text.find("/a/default/usage.csv?").unwrap();
    let link = page.text[at..].split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let csv = browse(&house, &link, &cookie).await.expect(200);
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"usage-2026-11-01-2026-11-20.csv\"");
    let lines: Vec<&str> = csv.text.lines().collect();
    assert!(lines[0].starts_with("start,end,key,key_name,key_hint,requests,failed,input_tokens"));
    assert!(lines[1].contains(",nightly,") && lines[1].contains(",2,0,1020,4,1024,"), "{lines:?}");
    assert_eq!(lines.len(), 2);
    let days = browse(&house, "/a/default/usage.csv?by=day&tz=Asia/Ho_Chi_Minh", &cookie).await.expect(200);
    assert!(days.text.contains("2026-11-18T17:00:00Z,2026-11-19T17:00:00Z,1,0,4000000"), "{}", days.text);
}

#[tokio::test]
async fn an_account_without_usage_is_told_how_to_begin_and_an_empty_range_how_to_widen_it() {
    let house = House::open().await;
    let cookie = operator(&house).await;
    let empty = async || browse(&house, "/a/default/usage", &cookie).await.expect(200).text;
    assert!(empty().await.contains("curl http://gate.example:8080/v1/models"), "nothing can be called yet");
    // A first call that works: a model that chats before one that embeds, whatever their names.
    house.model("chat-a").await;
    let embeds = json!({"name": "a-embed", "kind": "embedding", "served_by": [{"upstream": "gpu-a"}]});
    house.post("models", embeds).await.expect(201);
    let html = empty().await;
    assert!(html.contains("No usage yet") && html.contains("curl http://gate.example:8080/v1/chat/completions"));
    assert!(html.contains("&#34;model&#34;: &#34;chat-a&#34;") && html.contains("href=\"/a/default/keys\""), "{html}");
    let key = house.key().await;
    ship(&house, &[(id(&key), "chat-a", 10, 40 * 24 * 60, Exact)]).await;
    let html = browse(&house, "/a/default/usage?range=today&by=hour", &cookie).await.expect(200).text;
    assert!(html.contains("Nothing in this range"));
    let at = html.find("/a/default/usage?range=12m").unwrap();
    let link = html[at..].split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(table(&browse(&house, &link, &cookie).await.expect(200).text).len(), 2);
}

#[tokio::test]
async fn of_many_keys_the_largest_are_shown_and_the_others_added_up() {
    let house = House::open().await;
    house.model("chat-a").await;
    let mut keys = Vec::new();
    for number in 0..203u64 {
        keys.push((named(&house, &format!("key {number}")).await, number));
    }
    let attempts: Vec<_> = keys.iter().map(|(key, number)| (id(key), "chat-a", number + 1, 5, Exact)).collect();
    ship(&house, &attempts).await;
    let cookie = operator(&house).await;
    let html = browse(&house, "/a/default/usage?by=key", &cookie).await.expect(200).text;
    let rows = table(&html);
    assert_eq!(rows.len(), 202);
    assert!(rows[0][0].starts_with("key 202 "));
    assert_eq!(rows[200][..2], ["Others (3 lines)", "6"]);
    assert_eq!(rows[201][..2], ["Total", "20,706"]);
    assert!(html.contains("The newest 200 keys."));
    // A key that is not among the newest can be chosen, and is named then.
    let oldest = browse(&house, &format!("/a/default/usage?key={}", id(&keys[0].0)), &cookie).await.expect(200).text;
    assert!(oldest.contains(&format!("value=\"{}\" selected", id(&keys[0].0))), "{oldest}");
    let csv = browse(&house, "/a/default/usage.csv?by=key", &cookie).await.expect(200).text;
    assert_eq!(csv.lines().count(), 204);
}

#[tokio::test]
async fn costs_in_several_currencies_are_never_added_to_one_another() {
    let house = House::open().await;
    house.model("chat-a").await;
    let price = json!({"currency": "VND", "input_per_million": "1", "output_per_million": "1"});
    let model = json!({"name": "chat-b", "kind": "chat", "served_by": [{"upstream": "gpu-a"}], "price": price});
    house.post("models", model).await.expect(201);
    let Used { house, cookie, .. } = used_in(house).await;
    let html = browse(&house, "/a/default/usage?by=key", &cookie).await.expect(200).text;
    let costs: Vec<String> =
        html.split("<dt>Cost</dt>").skip(1).map(|tile| text(&tile[..tile.find("</dd>").unwrap()])).collect();
    assert_eq!(costs, ["0.0045 USD", "0.0015 VND"]);
    assert!(html.contains("several currencies"));
    let rows = table(&html);
    assert!(rows.iter().all(|row| row[6] == "—"), "{rows:?}");
    let rows = table(&browse(&house, "/a/default/usage?by=model", &cookie).await.expect(200).text);
    assert_eq!((rows[0][6].as_str(), rows[1][6].as_str(), rows[2][6].as_str()), ("0.0045 USD", "0.0015 VND", "—"));
    let one = table(&browse(&house, "/a/default/usage?by=key&model=chat-b", &cookie).await.expect(200).text);
    assert_eq!(one[1][6], "0.0015 VND", "{one:?}");
}

#[tokio::test]
async fn the_operator_sees_the_whole_deployment_by_account() {
    let Used { house, cookie, .. } = used().await;
    house.account("acme").await;
    let html = browse(&house, "/operator/usage", &cookie).await.expect(200).text;
    assert!(html.contains("<h1>Usage by account</h1>"));
    let rows = table(&html);
    assert!(rows[0][0].contains("default"), "{rows:?}");
    assert_eq!((rows[0][3].as_str(), rows[1][3].as_str()), ("4,001,328", "4,001,328"));
    assert!(html.contains("href=\"/a/default/usage?range=7d"));
    let both = table(&browse(&house, "/operator/usage?by=account,model", &cookie).await.expect(200).text);
    assert_eq!((both[0][1].as_str(), both[1][1].as_str(), both.len()), ("chat-a", "chat-b", 3));
    let none = browse(&house, "/operator/usage?account=acme", &cookie).await.expect(200).text;
    assert!(none.contains("No usage yet"), "{none}");
    let wrong = browse(&house, "/operator/usage?account=nobody", &cookie).await.expect(400).text;
    assert!(wrong.contains("There is no such account."));
    let csv = browse(&house, "/operator/usage.csv?by=account", &cookie).await.expect(200).text;
    assert!(csv.starts_with("start,end,account,requests"), "{csv}");
}

#[tokio::test]
async fn the_browser_s_zone_is_used_until_one_is_chosen() {
    let Used { house, cookie, .. } = used().await;
    let first = browse(&house, "/a/default/usage", &cookie).await.expect(200).text;
    assert!(first.contains("data-zone-known=\"false\"") && first.contains("value=\"UTC\" selected"));
    let cookie = format!("{cookie}; tollgate_zone=Asia/Saigon");
    let own = browse(&house, "/a/default/usage", &cookie).await.expect(200).text;
    assert!(own.contains("data-zone-known=\"true\"") && own.contains("value=\"Asia/Ho_Chi_Minh\" selected"));
    assert!(own.contains("Complete until 16:30:00,"));
    let chosen = browse(&house, "/a/default/usage?tz=Europe/Berlin", &cookie).await.expect(200).text;
    assert!(chosen.contains("value=\"Europe/Berlin\" selected") && chosen.contains("Complete until 10:30:00,"));
}
