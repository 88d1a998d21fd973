//! A million tokens that are no keys: what each costs, alone and over HTTP beside nginx's 401, and that the store is not
//! asked about any of them.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use serde_json::json;
use tollgate_core::{
    Timestamp, World,
    seal::MasterKey,
    secret::{PlainKey, Prefix, Presented},
    world::{Clock, Entropy},
};

use super::median;
use crate::{
    Line, Scale, load,
    mock::Mock,
    nginx::{self, Nginx},
    process,
    scene::Scene,
};

/// Tokens in all, over HTTP.
const MANY: u64 = 1_000_000;
/// Refusals in one round of the loop without HTTP.
const LOOP: u32 = 1_000_000;
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 64;
/// Different tokens of each kind.
const DIFFERENT: usize = 1_000;
/// What the names of the data plane's threads begin with.
const WORKERS: &str = "worker-";

/// Numbers without an end and without a pattern (splitmix64, Steele et al. 2014): no secret is made of them.
struct Numbers(AtomicU64);

impl Numbers {
    fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
impl Entropy for Numbers {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(self.next().to_le_bytes().get(..chunk.len()).unwrap_or_default());
        }
    }
}
struct Never;
impl Clock for Never {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

/// A kind of token that is refused.
struct Kind {
    what: &'static str,
    tokens: Vec<String>,
}

fn kinds() -> Vec<Kind> {
    let world = World::new(Never, Numbers(AtomicU64::new(42)));
    let key = || PlainKey::mint(&Prefix::default(), &world).expose().to_owned();
    let mistyped = || {
        let mut text = key();
        let other = if text.ends_with('0') { '1' } else { '0' };
        text.pop();
        text.push(other);
        text
    };
    let numbers = Numbers(AtomicU64::new(7));
    let noise = || -> String {
        (0..65).map(|_| char::from(b'!' + u8::try_from(numbers.next() % 94).unwrap_or_default())).collect()
    };
    let many = |make: &dyn Fn() -> String| (0..DIFFERENT).map(|_| make()).collect();
    vec![
        Kind { what: "of key form, wrong checksum", tokens: many(&mistyped) },
        Kind { what: "of key form, valid checksum, unknown", tokens: many(&key) },
        Kind { what: "65 random characters", tokens: many(&noise) },
    ]
}

/// Nanoseconds for form, checksum and, where these hold, the hash that is looked up in memory.
fn alone(tokens: &[String]) -> Option<f64> {
    let pepper = MasterKey::from_bytes([7; 32]).key_pepper();
    let round = || {
        let began = Instant::now();
        for token in tokens.iter().cycle().take(LOOP as usize) {
            if let Ok(presented) = Presented::parse(black_box(token.as_bytes())) {
                black_box(pepper.hash(&presented));
            }
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(LOOP)
    };
    median((0..ROUNDS).map(|_| round()).collect())
}

fn request(token: &str) -> Vec<u8> {
    format!("GET /v1/models HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let mock = Mock::start()?;
    let scene = Scene::new(Some(&mock), 1)?;
    let server = scene.start()?;
    let key = server.key(&scene.token(), &json!(["m0"]))?;
    let nginx = Nginx::start(mock.address(), &key, std::thread::available_parallelism()?.get())?;
    let kinds = kinds();
    let each = scale.of(MANY) / kinds.len() as u64 / (ROUNDS as u64 + 1);
    let mut lines = Vec::new();
    for Kind { what, tokens } in kinds {
        let requests: Vec<Vec<u8>> = tokens.iter().map(|token| request(token)).collect();
        let (mut ours, mut others, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms both up.
        for round in 0..=ROUNDS {
            let run = |pid, address| -> anyhow::Result<(f64, f64)> {
                let before = (process::cpu(pid)?, process::cpu_of_threads(pid, WORKERS)?);
                load::run_each(address, requests.clone(), 401, CONNECTIONS, each)?;
                let workers = process::cpu_of_threads(pid, WORKERS)?.saturating_sub(before.1);
                let all = process::cpu(pid)?.saturating_sub(before.0);
                let each_us = |spent: std::time::Duration| spent.as_secs_f64() * 1e6 / each as f64;
                Ok((each_us(all), each_us(all.saturating_sub(workers))))
            };
            let (neighbour, _) = run(nginx.pid(), nginx.address())?;
            let (own, own_others) = run(server.pid(), server.address())?;
            if round > 0 {
                theirs.push(neighbour);
                ours.push(own);
                others.push(own_others);
            }
        }
        let ns = alone(&tokens).unwrap_or_default();
        let (ours, theirs) = (median(ours).unwrap_or_default(), median(theirs).unwrap_or_default());
        lines.push(Line {
            what: format!("refusing a token {what}: {} over 64 connections", each * (ROUNDS as u64 + 1)),
            ours: format!(
                "{ns:.0} ns for the check; {ours:.1} µs of CPU with HTTP, {:.1} µs of it outside the data plane's \
                 threads, where the store is",
                median(others).unwrap_or_default()
            ),
            neighbour: format!("nginx {}, `return 401`: {theirs:.1} µs", nginx::version()?),
            goal: "no look-up in the store".to_owned(),
        });
    }
    Ok(lines)
}
