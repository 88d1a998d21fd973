//! One million keys beside ten: time to ready, memory for each, CPU for each request.

use serde_json::json;

use super::{median, ms, requests::cpu_of};
use crate::{Line, Scale, load, mock::Mock, process, scene::Scene};

const FEW: u64 = 10;
const MANY: u64 = 1_000_000;
const ROUNDS: usize = 5;
/// One of so many keys is under load.
const KEYS_PER_WORKING: u64 = 1_000;

/// Copies of the first of the keys that are there, under other ids and hashes, with two models each: those come to stand among
/// them, each [`KEYS_PER_WORKING`] apart.
fn copies(count: u64) -> String {
    format!(
        "BEGIN;
        UPDATE keys SET no = -no; UPDATE key_models SET key_no = -key_no;
        UPDATE keys SET no = -no * {KEYS_PER_WORKING}; UPDATE key_models SET key_no = -key_no * {KEYS_PER_WORKING};
        CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n;
        INSERT INTO keys (no, id, public_id, account_no, name, all_models, state, created_at, created_by, hash, search_text, version, prefix)
        SELECT i, 'key_' || lower(hex(randomblob(16))), substr(lower(hex(randomblob(6))), 1, 12), account_no, 'key ' || i, 0, state,
               created_at, created_by, randomblob(32), 'key ' || i, 1, prefix
        FROM n CROSS JOIN (SELECT * FROM keys LIMIT 1) WHERE i % {KEYS_PER_WORKING} <> 0;
        INSERT INTO key_models (key_no, model_no)
        SELECT keys.no, models.no FROM keys CROSS JOIN (SELECT no FROM models ORDER BY no LIMIT 2) AS models
        WHERE keys.name LIKE 'key %';
        COMMIT;"
    )
}

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let mock = Mock::start()?;
    let many_keys = scale.of(MANY);
    let mut scenes = Vec::new();
    for (count, working) in [(FEW, FEW), (many_keys, many_keys / KEYS_PER_WORKING)] {
        let scene = Scene::new(Some(&mock), 3)?;
        let server = scene.start()?;
        let request = || anyhow::Ok(load::chat(&server.key(&scene.token(), &json!(["m0", "m1"]))?, "m0", false));
        let requests = (0..working).map(|_| request()).collect::<anyhow::Result<Vec<_>>>()?;
        server.stop()?;
        if count > working {
            scene.sql(&copies(count))?;
        }
        scenes.push((scene, requests));
    }
    let [(few_scene, few_requests), (many_scene, many_requests)] = &scenes[..] else { anyhow::bail!("two scenes") };
    let (few, many) = (few_scene.start()?, many_scene.start()?);
    let (few_bytes, many_bytes) = (process::resident(few.pid())?, process::resident(many.pid())?);
    let each = many_bytes.saturating_sub(few_bytes) as f64 / (many_keys - FEW) as f64;
    let (mut few_cpu, mut many_cpu) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let count = scale.of(20_000);
        let (_, a) = cpu_of(few.pid(), few.address(), few_requests, count)?;
        let (_, b) = cpu_of(many.pid(), many.address(), many_requests, count)?;
        if round > 0 {
            few_cpu.push(a);
            many_cpu.push(b);
        }
    }
    let (few_cpu, many_cpu) = (median(few_cpu).unwrap_or(0.0), median(many_cpu).unwrap_or(0.0));
    let met = |met: bool| if met { "" } else { ", missed" };
    Ok(vec![
        Line {
            what: format!("start to ready with {many_keys} keys of two models"),
            ours: ms(many.ready_after),
            neighbour: format!("with {FEW} keys: {}", ms(few.ready_after)),
            goal: format!("within 10 s{}", met(many.ready_after.as_secs() < 10)),
        },
        Line {
            what: "memory for each key".to_owned(),
            ours: format!("{each:.0} bytes"),
            neighbour: format!("resident {:.0} MiB, with {FEW} keys {:.0} MiB", mib(many_bytes), mib(few_bytes)),
            goal: format!("at most 400 bytes{}", met(each <= 400.0)),
        },
        Line {
            what: format!(
                "CPU of the data plane for a plain chat request with {many_keys} keys, {} of them under load in turn",
                many_requests.len()
            ),
            ours: format!("{many_cpu:.1} µs"),
            neighbour: format!("with {FEW} keys, all under load: {few_cpu:.1} µs"),
            goal: "no slower".to_owned(),
        },
    ])
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
