//! The console's pages with 10,000 keys × 20 models and a year of usage, on SQLite, over HTTP as a browser asks for them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use tollgate_tests::http::Connection;

use super::{median, ms};
use crate::{
    Line, Scale,
    mock::Mock,
    scene::{Scene, Server, block_on},
    year::{self, Shape},
};

const KEYS: u64 = 10_000;
const MODELS: u64 = 20;
const ROUNDS: usize = 11;
const GOAL: Duration = Duration::from_millis(50);

/// The pages, with `{key}` for one key's id. What a page does not know in its address it leaves aside: these are its words.
const PAGES: [&str; 45] = [
    "/a/default/keys",
    "/a/default/keys?sort=created",
    "/a/default/keys?sort=name",
    "/a/default/keys?sort=-name",
    "/a/default/keys?sort=-used",
    "/a/default/keys?sort=used",
    "/a/default/keys?sort=expires",
    "/a/default/keys?sort=-expires",
    "/a/default/keys?search=key+77",
    "/a/default/keys?search=nothing+is+called+so",
    "/a/default/keys?search=key+7&sort=-used",
    "/a/default/keys?status=active",
    "/a/default/keys?status=active&sort=name",
    "/a/default/keys?status=revoked",
    "/a/default/keys/new",
    "/a/default/keys/{key}",
    "/a/default/keys/{key}/edit",
    "/a/default/keys/{key}/revoke",
    "/a/default/usage?by=model,key&range=7d",
    "/a/default/usage?by=model,key&range=30d",
    "/a/default/usage?by=model,key&range=12m",
    "/a/default/usage?by=model,key&range=30d&tz=Asia/Ho_Chi_Minh",
    "/a/default/usage?by=model,key&range=12m&tz=Asia/Ho_Chi_Minh",
    "/a/default/usage?by=key&range=7d",
    "/a/default/usage?by=key&range=30d",
    "/a/default/usage?by=key&range=12m",
    "/a/default/usage?by=model&range=12m",
    "/a/default/usage?by=day&range=12m",
    "/a/default/usage?by=hour&range=7d",
    "/a/default/usage?by=model,key&range=30d&key={key}",
    "/a/default/models",
    "/a/default/models/m0",
    "/a/default/members",
    "/a/default/activity",
    "/me",
    "/operator/accounts",
    "/operator/accounts?search=def",
    "/operator/plans",
    "/operator/models",
    "/operator/upstreams",
    "/operator/users",
    "/operator/usage?range=30d",
    "/operator/usage?range=12m",
    "/operator/audit",
    "/operator/nodes",
];
/// How many pages of the list of keys are turned over one after the other, each by the link of the one before.
const TURNS: usize = 40;

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let mock = Mock::start()?;
    let scene = Scene::new(Some(&mock), MODELS)?;
    let server = scene.start()?;
    let token = scene.token();
    server.key(&token, &json!("all"))?;
    server.stop()?;
    let keys = scale.of(KEYS);
    scene.sql(&year::script(keys, Shape::Uneven))?;
    let server = scene.start()?;
    block_on(async {
        let cookie = signed_in(&server, &token).await?;
        let mut connection = server.http().connect().await?;
        let mut lines = Vec::new();
        let key = some_key(&server, &token).await?;
        for page in PAGES {
            lines.push(timed(&server, &mut connection, &cookie, (page, &key), keys).await?);
        }
        for list in ["/a/default/keys", "/a/default/keys?sort=name", "/a/default/keys?sort=-used"] {
            lines.push(turned(&server, &mut connection, &cookie, list, keys).await?);
        }
        Ok(lines)
    })?
}

/// A browser's session, by a one-time link.
async fn signed_in(server: &Server, token: &str) -> anyhow::Result<String> {
    let users = server.http().get("/api/v1/users?limit=1").bearer(token).try_send().await?.json();
    let user = users["data"][0]["id"].as_str().context("there is no user")?;
    let link = server.http().post(&format!("/api/v1/users/{user}/sign-in-links"), &json!({})).bearer(token);
    let link = link.try_send().await?.json();
    let url = link["url"].as_str().context("there is no link")?;
    let path = url.get(url.find("/sign-in/").context("the link leads nowhere")?..).unwrap_or_default();
    let redeem = server.http().request("POST", path).header("sec-fetch-site", "same-origin").try_send().await?;
    let cookie = redeem.headers.get("set-cookie").and_then(|cookie| cookie.to_str().ok()).context("no cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// The id of a key in the middle of the list.
async fn some_key(server: &Server, token: &str) -> anyhow::Result<String> {
    let keys = server.http().get("/api/v1/keys?search=key+777&limit=1").bearer(token).try_send().await?.json();
    keys["data"][0]["id"].as_str().map(str::to_owned).context("there is no such key")
}

/// Turns over the pages of a list, each by the link of the one before.
async fn turned(
    server: &Server,
    connection: &mut Connection,
    cookie: &str,
    list: &str,
    keys: u64,
) -> anyhow::Result<Line> {
    let (mut took, mut page) = (Vec::new(), list.to_owned());
    for _ in 0..TURNS {
        let began = Instant::now();
        let reply = connection.send(server.http().get(&page).header("cookie", cookie)).await?;
        took.push(began.elapsed());
        anyhow::ensure!(reply.status == 200, "{page}: {reply}");
        let html = String::from_utf8_lossy(&reply.body).into_owned();
        let Some((_, link)) = html.split_once("id=\"page-next\"") else { break };
        let link = link.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).context("a link leads on")?;
        page = link.replace("&amp;", "&").replace("&#38;", "&");
    }
    let turns = took.len();
    Ok(line(&format!("{turns} pages of `{list}` in a row"), took, "", keys))
}

async fn timed(
    server: &Server,
    connection: &mut Connection,
    cookie: &str,
    (page, key): (&str, &str),
    keys: u64,
) -> anyhow::Result<Line> {
    let address = page.replace("{key}", key);
    let mut took = Vec::new();
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let request = server.http().get(&address).header("cookie", cookie).header("accept-encoding", "gzip");
        let began = Instant::now();
        let reply = connection.send(request).await?;
        took.push(began.elapsed());
        anyhow::ensure!(reply.status == 200, "{page}: {reply}");
        bytes = reply.body.len();
    }
    Ok(line(&format!("page `{page}`"), took, &format!("; {} kB", bytes / 1_000), keys))
}

/// The median of some answers, and whether it meets the goal.
fn line(what: &str, took: Vec<Duration>, more: &str, keys: u64) -> Line {
    let (times, slowest) = (took.len(), took.iter().max().copied().unwrap_or_default());
    let middle = median(took).unwrap_or_default();
    let met = if middle < GOAL { "" } else { ", missed" };
    Line {
        what: format!("{what}, {keys} keys × {MODELS} models, a year"),
        ours: format!("{} (slowest of {times}: {}{more})", ms(middle), ms(slowest)),
        neighbour: String::new(),
        goal: format!("under 50 ms{met}"),
    }
}
