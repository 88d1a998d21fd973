//! CPU for each request beside nginx's, and memory after many of them.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;

use super::median;
use crate::{
    Line, Scale, load,
    mock::Mock,
    nginx::{self, Nginx},
    process,
    scene::Scene,
};

/// Clients at once.
const CONNECTIONS: usize = 64;
/// What the names of the data plane's threads begin with.
const WORKERS: &str = "worker-";
/// Rounds, in turn with the neighbour: a machine that others share is at times half as fast, so that only what was measured
/// one right after the other is compared, and the ratio in the middle of many counts.
const ROUNDS: usize = 15;

/// CPU for each of `count` requests, these in turn, in microseconds: all of it, shipping usage to the store included, and that of the
/// data plane's threads alone.
pub fn cpu_of(pid: u32, address: SocketAddr, requests: &[Vec<u8>], count: u64) -> anyhow::Result<(f64, f64)> {
    let before = (process::cpu(pid)?, process::cpu_of_threads(pid, WORKERS)?);
    load::run_each(address, requests.to_vec(), 200, CONNECTIONS, count)?;
    process::settle(pid)?;
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / count as f64;
    let workers = process::cpu_of_threads(pid, WORKERS)?.saturating_sub(before.1);
    Ok((each(process::cpu(pid)?.saturating_sub(before.0)), each(workers)))
}

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let mock = Mock::start()?;
    let scene = Scene::new(Some(&mock), 1)?;
    let server = scene.start()?;
    let key = server.key(&scene.token(), &json!(["m0"]))?;
    let workers = std::thread::available_parallelism()?.get();
    let nginx = Nginx::start(mock.address(), &key, workers)?;
    let mut lines = Vec::new();
    let mut sent = 0;
    for (what, stream, count, goal, most) in [
        ("CPU for a plain chat request, 64 connections", false, 20_000, "at most 1.5 ×", 1.5),
        ("CPU for a stream of 100 chunks in a burst, 64 connections", true, 2_500, "at most 2 ×", 2.0),
    ] {
        let request = [load::chat(&key, "m0", stream)];
        let count = scale.of(count);
        let (mut ours, mut workers, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ratios, mut workers_ratios) = (Vec::new(), Vec::new());
        // The first round warms both up.
        for round in 0..=ROUNDS {
            let (neighbour, _) = cpu_of(nginx.pid(), nginx.address(), &request, count)?;
            let (own, own_workers) = cpu_of(server.pid(), server.address(), &request, count)?;
            sent += count;
            if round > 0 {
                theirs.push(neighbour);
                ours.push(own);
                workers.push(own_workers);
                ratios.push(own / neighbour);
                workers_ratios.push(own_workers / neighbour);
            }
        }
        let (ours, theirs) = (median(ours).unwrap_or(0.0), median(theirs).unwrap_or(0.0));
        let workers = median(workers).unwrap_or(0.0);
        let (ratio, workers_ratio) = (median(ratios).unwrap_or(0.0), median(workers_ratios).unwrap_or(0.0));
        let met = if ratio <= most { "" } else { ", missed" };
        lines.push(Line {
            what: what.to_owned(),
            ours: format!("{ours:.1} µs ({ratio:.2} ×); of it data plane {workers:.1} µs ({workers_ratio:.2} ×)"),
            neighbour: format!("nginx {} with a `map`: {theirs:.1} µs", nginx::version()?),
            goal: format!("{goal}{met}"),
        });
    }
    let missing = 100_000u64.saturating_sub(sent);
    load::run(server.address(), &load::chat(&key, "m0", false), CONNECTIONS, scale.of(missing))?;
    let resident = process::resident(server.pid())? as f64 / 1_048_576.0;
    let met = if resident < 60.0 { "" } else { ", missed" };
    lines.push(Line {
        what: format!("resident memory after {} requests", sent + scale.of(missing)),
        ours: format!("{resident:.1} MiB"),
        neighbour: String::new(),
        goal: format!("under 60 MiB{met}"),
    });
    Ok(lines)
}
