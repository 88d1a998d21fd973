//! Usage reports over a year of minute rollups for 1,000 keys × 20 models, on SQLite: the year itself, and what a
//! console asks for, in UTC and in a zone whose days are not those of UTC.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use super::{median, ms};
use crate::{
    Line, Scale,
    mock::Mock,
    scene::{Scene, block_on},
    year::{self, Shape},
};

const KEYS: u64 = 1_000;
const MODELS: u64 = 20;
const ROUNDS: usize = 9;

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let mock = Mock::start()?;
    let scene = Scene::new(Some(&mock), MODELS)?;
    let server = scene.start()?;
    let token = scene.token();
    server.key(&token, &json!("all"))?;
    server.stop()?;
    let keys = scale.of(KEYS);
    scene.sql(&year::script(keys, Shape::Even))?;
    let server = scene.start()?;
    let mut lines = Vec::new();
    let listed = block_on(server.http().get("/api/v1/keys?limit=1").bearer(&token).try_send())??;
    let listed = listed.json();
    let key = listed["data"][0]["id"].as_str().context("there is no key")?;
    let hanoi = "&tz=Asia/Ho_Chi_Minh";
    let year = "from=-364d&bucket";
    let month = "from=-30d&bucket";
    for (what, query, goal_ms) in [
        ("a year by day", format!("{year}=day"), 100),
        ("a year by month and model", format!("{year}=month&group_by=model"), 100),
        ("a year by key", format!("{year}=total&group_by=key"), 100),
        ("a year by key and model (all pairs)", format!("{year}=total&group_by=key,model"), 100),
        ("a year by day, Asia/Ho_Chi_Minh", format!("{year}=day{hanoi}"), 100),
        ("30 days by day and model", format!("{month}=day&group_by=model"), 40),
        ("30 days by day and model, Asia/Ho_Chi_Minh", format!("{month}=day&group_by=model{hanoi}"), 40),
        ("30 days by key, Asia/Ho_Chi_Minh", format!("{month}=total&group_by=key{hanoi}"), 40),
        (
            "30 days by key and model (all pairs), Asia/Ho_Chi_Minh",
            format!("{month}=total&group_by=key,model{hanoi}"),
            100,
        ),
        ("a year by month, Asia/Ho_Chi_Minh", format!("{year}=month{hanoi}"), 40),
        ("one key, 30 days by day, Asia/Ho_Chi_Minh", format!("{month}=day&key={key}{hanoi}"), 40),
    ] {
        let mut took = Vec::new();
        let mut rows = 0;
        for _ in 0..ROUNDS {
            let request = server.http().get(&format!("/api/v1/usage?{query}")).bearer(&token);
            let began = Instant::now();
            let reply = block_on(request.try_send())??;
            took.push(began.elapsed());
            anyhow::ensure!(reply.status == 200, "{reply}");
            rows = reply.json()["data"].as_array().map_or(0, Vec::len);
        }
        let middle = median(took).unwrap_or_default();
        let met = if middle < Duration::from_millis(goal_ms) { "" } else { ", missed" };
        lines.push(Line {
            what: format!("usage report, {keys} keys × {MODELS} models, {what}"),
            ours: format!("{} ({rows} rows, over HTTP)", ms(middle)),
            neighbour: String::new(),
            goal: format!("under {goal_ms} ms{met}"),
        });
    }
    Ok(lines)
}
