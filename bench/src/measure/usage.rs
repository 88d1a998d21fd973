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
};

const KEYS: u64 = 1_000;
const MODELS: u64 = 20;
const ROUNDS: usize = 9;

/// Every key uses every model in one minute of each week of a year; what is summed up from it follows from that.
fn year(keys: u64) -> String {
    let sums = "sum(requests), sum(failed), sum(input), sum(output), sum(cached_input), sum(reasoning), sum(audio_ms), sum(images), \
        sum(cost_nanos), sum(exact), sum(partial), sum(estimated), sum(unknown)";
    let mut script = format!(
        "BEGIN;
        CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999) SELECT i FROM n;
        INSERT INTO keys (id, public_id, account_no, name, all_models, state, created_at, created_by, hash, search_text, version, prefix)
        SELECT 'key_' || lower(hex(randomblob(16))), substr(lower(hex(randomblob(6))), 1, 12), account_no, 'key ' || i, 0, state,
               created_at, created_by, randomblob(32), 'key ' || i, 1, prefix
        FROM n CROSS JOIN (SELECT * FROM keys LIMIT 1) WHERE i < {keys};
        INSERT OR IGNORE INTO usage_accounts SELECT account_no FROM keys LIMIT 1;
        INSERT INTO usage_rollups
        SELECT 4, 0, keys.account_no,
               (unixepoch() - 86400 * (7 * week.i + (keys.no + models.no) % 7) - 60 * ((keys.no * 7919 + models.no * 104729 + week.i) % 1440)) / 60 * 60000,
               keys.no, models.no, 3, 0, 3000, 900, 100, 50, 0, 0, 2850000, 3, 0, 0, 0
        FROM (SELECT i FROM n WHERE i < 52) AS week, (SELECT no, account_no FROM keys WHERE name LIKE 'key %') AS keys, models;"
    );
    let start = |unit: &str| format!("unixepoch(bucket / 1000, 'unixepoch', {unit}) * 1000");
    let quarter = "'start of month', '-' || ((strftime('%m', bucket / 1000, 'unixepoch') - 1) % 3) || ' months'";
    for (grain, bucket) in [
        (1, "bucket / 3600000 * 3600000".to_owned()),
        (2, start("'start of day'")),
        (3, start("'start of month'")),
        (4, start(quarter)),
        (5, start("'start of year'")),
    ] {
        script.push_str(&format!(
            "INSERT INTO usage_rollups SELECT cube, {grain}, account_no, {bucket} AS b, key_no, model_no, {sums} \
             FROM usage_rollups WHERE cube = 4 AND grain = {} GROUP BY account_no, b, key_no, model_no;",
            grain - 1
        ));
    }
    for (cube, key, model) in [(1, "0", "0"), (2, "0", "model_no"), (3, "key_no", "0")] {
        script.push_str(&format!(
            "INSERT INTO usage_rollups SELECT {cube}, grain, account_no, bucket, {key} AS k, {model} AS m, {sums} \
             FROM usage_rollups WHERE cube = 4 GROUP BY grain, account_no, bucket, k, m;"
        ));
    }
    script.push_str("COMMIT; ANALYZE;");
    script
}

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let mock = Mock::start()?;
    let scene = Scene::new(Some(&mock), MODELS)?;
    let server = scene.start()?;
    let token = scene.token();
    server.key(&token, &json!("all"))?;
    server.stop()?;
    let keys = scale.of(KEYS);
    scene.sql(&year(keys))?;
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
