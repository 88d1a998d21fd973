//! From the report of a leaked key to its death, one key after the other, beside a revoke in the same run: on SQLite, and on two
//! nodes with PostgreSQL.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};
use tollgate_tests::{
    Engine, House, Http, eventually,
    github::{FakeGithub, entry},
    house::chat,
};

use super::{median, ms};
use crate::{
    Line, Scale,
    load::{self, Connection},
    mock::Mock,
    scene::Scene,
};

/// Keys of each kind, one after the other.
const TRIES: u64 = 1_000;
/// Keys of one report.
const AT_ONCE: u64 = 1_000;
/// How often one address tells: less often than it may.
const TELLS_OF_ONE: u64 = 50;
/// The longest that all of it may take.
const LONGEST: Duration = Duration::from_secs(300);

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let github = runtime.block_on(FakeGithub::start());
    let mock = Mock::start()?;
    let scene = Scene::new(Some(&mock), 1)?.with("leaks", &github.setting());
    let server = scene.start()?;
    let token: Arc<str> = scene.token().into();
    let http = server.http();
    let (mut reported, mut told, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    let many = runtime.block_on(async {
        let tries = async {
            for at in 0..scale.of(TRIES) {
                reported.push(one(http, &token, How::Github(&github)).await?);
                told.push(one(http, &token, How::Anybody(at)).await?);
                revoked.push(one(http, &token, How::Revoke).await?);
            }
            at_once(http, &token, &github, scale.of(AT_ONCE)).await
        };
        tokio::time::timeout(LONGEST, tries).await.context("the tries took too long")?
    })?;
    let line = |what: String, took: Vec<Duration>, neighbour: &[Duration]| {
        let both = |took: &[Duration]| {
            let most = took.iter().max().copied().unwrap_or_default();
            format!("{} median, {} at most", ms(median(took.to_vec()).unwrap_or_default()), ms(most))
        };
        Line { what, ours: both(&took), neighbour: format!("a revoke: {}", both(neighbour)), goal: String::new() }
    };
    let tries = scale.of(TRIES);
    let fleet = match env::var_os("TOLLGATE_TEST_POSTGRES") {
        Some(_) => {
            let all = async { tokio::time::timeout(LONGEST, on_two_nodes(&github, tries)).await };
            let (reported, revoked) = runtime.block_on(all).context("the tries on two nodes took too long")??;
            line(
                format!(
                    "the same on two nodes, refused by both, with a PostgreSQL that does not wait for its disk; {tries} keys"
                ),
                reported,
                &revoked,
            )
        }
        None => Line {
            what: "the same on two nodes with PostgreSQL".to_owned(),
            ours: "not measured: no PostgreSQL, which `cargo xtask bench` brings".to_owned(),
            neighbour: String::new(),
            goal: String::new(),
        },
    };
    Ok(vec![
        line(
            format!("GitHub's report of a leaked key until it is answered, the key dead everywhere; {tries} keys"),
            reported,
            &revoked,
        ),
        fleet,
        line(format!("POST /leaks until the key's first refusal; {tries} keys"), told, &revoked),
        Line {
            what: format!("one report of {} leaked keys until it is answered, all dead everywhere", scale.of(AT_ONCE)),
            ours: ms(many),
            neighbour: String::new(),
            goal: "within 30 s".to_owned(),
        },
    ])
}

/// How a key dies.
#[derive(Clone, Copy)]
enum How<'g> {
    /// By GitHub's report, which is answered when it is dead.
    Github(&'g FakeGithub),
    /// By anybody's, which is answered at once; the how manieth.
    Anybody(u64),
    /// By its owner.
    Revoke,
}

async fn key(http: Http, token: &str) -> anyhow::Result<(String, String)> {
    let made = http.post("/api/v1/keys", &json!({"name": "doomed", "models": ["m0"]})).bearer(token);
    let made = made.try_send().await?.json();
    let text = |name: &str| made[name].as_str().map(str::to_owned).with_context(|| made.to_string());
    Ok((text("id")?, text("key")?))
}

/// Makes a key, uses it, ends it; how long from the call's beginning to the proof. A key that is used after that is an error.
async fn one(http: Http, token: &str, how: How<'_>) -> anyhow::Result<Duration> {
    let (id, key) = key(http, token).await?;
    let request = load::chat(&key, "m0", false);
    let mut connection = Connection::open(http.address()).await?;
    ensure!(connection.send(&request).await? == 200, "a new key is refused: {}", connection.last_body());
    let began = Instant::now();
    match how {
        How::Github(github) => {
            let answer = github.report(http, &json!([entry(&key, "https://github.com/a/b")])).try_send().await?;
            ensure!(answer.status == 200, "{answer}");
        }
        How::Revoke => {
            let revoke = http.request("POST", &format!("/api/v1/keys/{id}/revoke")).bearer(token).try_send().await?;
            ensure!(revoke.status == 200, "{revoke}");
        }
        How::Anybody(at) => tell(http.address(), at, &key).await?,
    }
    let took = began.elapsed();
    loop {
        match (how, connection.send(&request).await?) {
            (How::Anybody(_), 200) => {}
            (How::Anybody(_), 401) => return Ok(began.elapsed()),
            (_, 401) => return Ok(took),
            (_, other) => anyhow::bail!("{other} after the key's death was answered: {}", connection.last_body()),
        }
    }
}

/// GitHub's reports, and revokes, at one of two nodes that both know the key; refused by both when the answer comes.
async fn on_two_nodes(github: &FakeGithub, tries: u64) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let setting = github.setting();
    let house = House::open_with(Engine::Postgres, |options, _| options.member("leaks", &setting)).await;
    let other = house.second_node().await;
    let (mut reported, mut revoked) = (Vec::new(), Vec::new());
    for at in 0..2 * tries {
        let key = house.key(&["chat-a"]).await;
        let ask = async |http: Http| chat(http, &key.key, "chat-a", json!({})).send().await.status.as_u16();
        eventually("both nodes know the key", async || (ask(other.http()).await == 200).then_some(())).await;
        ensure!(ask(house.http()).await == 200, "a new key is refused");
        let began = Instant::now();
        let ended = if at % 2 == 0 {
            github.report(house.http(), &json!([entry(&key.key, "https://github.com/a/b")])).try_send().await?
        } else {
            house.revoke(&key).await
        };
        let took = began.elapsed();
        ensure!(ended.status == 200, "{ended}");
        for http in [house.http(), other.http()] {
            let answer = ask(http).await;
            ensure!(answer == 401, "{answer} after the key's death was answered");
        }
        if at % 2 == 0 { reported.push(took) } else { revoked.push(took) }
    }
    Ok((reported, revoked))
}

/// Reports a key as one of many strangers, each with an address of its own: one may do so 60 times an hour.
async fn tell(server: SocketAddr, at: u64, key: &str) -> anyhow::Result<()> {
    let stranger = u32::try_from(at / TELLS_OF_ONE).unwrap_or_default();
    let from = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + stranger);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(server).await?;
    let body = json!({"keys": [key], "found_at": "https://a.example"}).to_string();
    let head = format!(
        "POST /leaks HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    Ok(())
}

/// Many keys in one report.
async fn at_once(http: Http, token: &str, github: &FakeGithub, keys: u64) -> anyhow::Result<Duration> {
    let mut entries = Vec::new();
    for _ in 0..keys {
        entries.push(entry(&key(http, token).await?.1, "https://github.com/a/b"));
    }
    let call = github.report(http, &Value::from(entries));
    let began = Instant::now();
    let answer = call.try_send().await?;
    let took = began.elapsed();
    let labels = answer.json();
    let ended = labels.as_array().map_or(0, |all| all.iter().filter(|one| one["label"] == "true_positive").count());
    ensure!(u64::try_from(ended) == Ok(keys), "{answer}");
    Ok(took)
}
