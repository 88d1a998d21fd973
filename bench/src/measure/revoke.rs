//! How long a revoke takes over HTTP under load, and whether anything is admitted after it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::json;
use tollgate_tests::Http;

use super::{median, ms};
use crate::{
    Line, Scale,
    load::{self, Connection},
    mock::Mock,
    scene::Scene,
};

/// Revocations.
const TRIES: u64 = 10_000;
/// Revocations one after the other, under load and without.
const ALONE: u64 = 1_000;
/// Revocations at once.
const AT_ONCE: u64 = 4;
/// Clients of another key that keep the node busy.
const BUSY: usize = 16;
/// Between two requests of one of them: together some thousand requests a second, without taking every core.
const PACE: Duration = Duration::from_millis(5);
/// The longest that all tries may take.
const LONGEST: Duration = Duration::from_secs(300);

/// What the tries came to.
#[derive(Default)]
struct Seen {
    took: std::sync::Mutex<Vec<Duration>>,
    admitted_after: AtomicU64,
}

impl Seen {
    fn taken(&self) -> anyhow::Result<Vec<Duration>> {
        Ok(std::mem::take(&mut *self.took.lock().map_err(|_| anyhow::anyhow!("a try panicked"))?))
    }
}

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let mock = Mock::start()?;
    let scene = Scene::new(Some(&mock), 1)?;
    let server = scene.start()?;
    let token: Arc<str> = scene.token().into();
    let busy = server.key(&token, &json!(["m0"]))?;
    let (address, http) = (server.address(), server.http());
    let seen = Arc::new(Seen::default());
    let tries = scale.of(TRIES);
    let (mut took, mut one_by_one) = (Vec::new(), Vec::new());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let request: Arc<[u8]> = load::chat(&busy, "m0", false).into();
        let load: Vec<_> = (0..BUSY)
            .map(|_| {
                let (stop, request) = (Arc::clone(&stop), Arc::clone(&request));
                tokio::spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    while !stop.load(Ordering::Relaxed) {
                        let status = connection.send(&request).await?;
                        ensure!(status == 200, "the busy key is refused: {status} {}", connection.last_body());
                        tokio::time::sleep(PACE).await;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        let revokers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (seen, token) = (Arc::clone(&seen), Arc::clone(&token));
                tokio::spawn(async move {
                    for _ in 0..tries / AT_ONCE {
                        one(address, http, &token, &seen).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for revoker in revokers {
            tokio::time::timeout(LONGEST, revoker).await.context("the tries took too long")???;
        }
        took = seen.taken()?;
        for _ in 0..scale.of(ALONE) {
            one(address, http, &token, &seen).await?;
        }
        one_by_one = seen.taken()?;
        stop.store(true, Ordering::Relaxed);
        for client in load {
            client.await??;
        }
        anyhow::Ok(())
    })?;
    crate::process::settle(server.pid())?;
    runtime.block_on(async {
        for _ in 0..scale.of(ALONE) {
            one(address, http, &token, &seen).await?;
        }
        anyhow::Ok(())
    })?;
    let alone = median(seen.taken()?).unwrap_or_default();
    let one_by_one = median(one_by_one).unwrap_or_default();
    let mut sorted = took.clone();
    sorted.sort();
    let late = sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default();
    let middle = median(took).unwrap_or_default();
    let admitted = seen.admitted_after.load(Ordering::Relaxed);
    let met = |median: Duration| if median.as_millis() < 5 { "" } else { ", missed" };
    Ok(vec![
        Line {
            what: "revoke over HTTP of a key in use".to_owned(),
            ours: format!("{} median", ms(alone)),
            neighbour: String::new(),
            goal: format!("median within 5 ms{}", met(alone)),
        },
        Line {
            what: format!("the same under {BUSY} busy clients, one revoke after the other"),
            ours: format!("{} median", ms(one_by_one)),
            neighbour: String::new(),
            goal: format!("median within 5 ms{}", met(one_by_one)),
        },
        Line {
            what: format!("the same under {BUSY} busy clients, {AT_ONCE} revokes at once"),
            ours: format!("{} median, {} at the 99th percentile", ms(middle), ms(late)),
            neighbour: String::new(),
            goal: format!("median within 5 ms{}", met(middle)),
        },
        Line {
            what: format!("requests admitted after their key's revoke returned, in {tries} tries"),
            ours: admitted.to_string(),
            neighbour: String::new(),
            goal: "0".to_owned(),
        },
    ])
}

/// Makes a key, uses it without pause, revokes it meanwhile, and looks whether a request that was sent after the
/// revoke had returned is admitted.
async fn one(address: SocketAddr, http: Http, token: &str, seen: &Arc<Seen>) -> anyhow::Result<()> {
    let made = http.post("/api/v1/keys", &json!({"name": "doomed", "models": ["m0"]})).bearer(token);
    let made = made.try_send().await?.json();
    let (id, key) = (made["id"].as_str().context("an id")?, made["key"].as_str().context("a key")?);
    let request: Arc<[u8]> = load::chat(key, "m0", false).into();
    let returned = Arc::new(AtomicBool::new(false));
    let mut connection = Connection::open(address).await?;
    let status = connection.send(&request).await?;
    ensure!(status == 200, "a new key is refused: {status} {}", connection.last_body());
    let user = tokio::spawn({
        let (returned, seen) = (Arc::clone(&returned), Arc::clone(seen));
        async move {
            loop {
                let after = returned.load(Ordering::SeqCst);
                // A plain answer that was under way when its key died is broken off.
                let Ok(status) = connection.send(&request).await else {
                    connection = Connection::open(address).await?;
                    continue;
                };
                if after && status == 200 {
                    seen.admitted_after.fetch_add(1, Ordering::Relaxed);
                }
                if after {
                    return anyhow::Ok(());
                }
            }
        }
    });
    let began = Instant::now();
    let revoke = http.request("POST", &format!("/api/v1/keys/{id}/revoke")).bearer(token).try_send().await?;
    let took = began.elapsed();
    returned.store(true, Ordering::SeqCst);
    ensure!(revoke.status == 200, "{revoke}");
    if let Ok(mut all) = seen.took.lock() {
        all.push(took);
    }
    user.await?
}
