//! The documentation over HTTP: every page as HTML and as Markdown, search, and every question of `docs/questions.toml`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tollgate_tests::http::Connection;

use super::{median, ms};
use crate::{
    Line, Scale,
    scene::{Scene, Server, block_on},
};

/// How often each page is asked for.
const ROUNDS: u64 = 10;
/// A page's goal.
const PAGE: Duration = Duration::from_millis(50);
/// A question's goal.
const QUESTION: Duration = Duration::from_millis(20);
/// The server's own limit: after so many questions at once each waits for its turn.
const AT_ONCE: usize = 50;
/// … which comes back in this time.
const PAUSE: Duration = Duration::from_secs(13);
const SEARCHES: [&str; 8] =
    ["rotate", "revoke a k", "prom", "tls", "base url openai", "mat khau", "usage csv", "nothing like it"];

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let scene = Scene::new(None, 0)?;
    let server = scene.start()?;
    block_on(async {
        let began = Instant::now();
        let listed = server.http().get("/llms.txt").try_send().await?;
        let first = began.elapsed();
        let listed = String::from_utf8(listed.body.to_vec())?;
        let markdown: Vec<String> = listed
            .lines()
            .filter_map(|line| line.strip_prefix("- [")?.split_once("/docs/")?.1.split(')').next())
            .map(|path| format!("/docs/{path}"))
            .collect();
        anyhow::ensure!(markdown.len() > 20, "pages were found: {}", markdown.len());
        let html: Vec<String> = markdown.iter().map(|path| path.trim_end_matches(".md").to_owned()).collect();
        let searches: Vec<String> =
            SEARCHES.iter().map(|query| format!("/docs/search?q={}", query.replace(' ', "+"))).collect();
        let mut lines = vec![Line {
            what: "documentation: the first request after a start, which makes it".to_owned(),
            ours: ms(first),
            neighbour: String::new(),
            goal: String::new(),
        }];
        let rounds = usize::try_from(scale.of(ROUNDS).max(1))?;
        let mut connection = server.http().connect().await?;
        for (what, paths) in [("page", html), ("page as Markdown", markdown), ("search", searches)] {
            let asked: Vec<String> = std::iter::repeat_n(&paths, rounds).flatten().cloned().collect();
            let took = timed(&server, &mut connection, &asked, usize::MAX).await?;
            lines.push(line(format!("documentation: a {what}, of {} each {rounds} times", paths.len()), took, PAGE));
        }
        let questions = questions()?;
        let took = timed(&server, &mut connection, &questions, AT_ONCE).await?;
        lines.push(line(format!("documentation: an answer, {} questions", questions.len()), took, QUESTION));
        Ok(lines)
    })?
}

fn line(what: String, took: Vec<Duration>, goal: Duration) -> Line {
    let slowest = took.iter().max().copied().unwrap_or_default();
    let middle = median(took).unwrap_or_default();
    let met = if middle < goal { "" } else { ", missed" };
    Line {
        what,
        ours: format!("median {} (slowest {})", ms(middle), ms(slowest)),
        neighbour: String::new(),
        goal: format!("under {} ms{met}", goal.as_millis()),
    }
}

async fn timed(
    server: &Server,
    connection: &mut Connection,
    paths: &[String],
    at_once: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(paths.len());
    for path in paths {
        if took.len() % at_once == at_once - 1 {
            tokio::time::sleep(PAUSE).await;
        }
        let began = Instant::now();
        let reply = connection.send(server.http().get(path)).await?;
        took.push(began.elapsed());
        anyhow::ensure!(reply.status == 200, "{path}: {reply}");
    }
    Ok(took)
}

/// The addresses that ask each question.
fn questions() -> anyhow::Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?.join("docs/questions.toml");
    let text = std::fs::read_to_string(path)?;
    let asked = text.lines().filter_map(|line| line.strip_prefix("ask = \"")?.strip_suffix('"'));
    let encoded = |question: &str| -> String {
        question
            .bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") },
            )
            .collect()
    };
    Ok(asked.map(|question| format!("/docs/index.md?ask={}", encoded(question))).collect())
}
