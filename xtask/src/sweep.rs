//! What the tests left behind in PostgreSQL's files, in which no secret may be: tables, its log of changes, its log.
//!
//! Each test looks itself through what its nodes left (`tests/src/left_behind.rs`). PostgreSQL's files belong to all of
//! them, so they are looked through once, at the end, for every secret that any test saw.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use tollgate_canary::Canary;

use crate::{
    postgres::{Cluster, Programs},
    say,
};

/// More hits than these are not shown.
const HITS_SHOWN: usize = 20;
/// What is planted, to see that it would be found.
const PLANTED: &str = "a-secret-that-was-planted-to-be-found-5f0c";

/// The list to which tests write the secrets that they see.
pub struct Secrets(tempfile::NamedTempFile);

impl Secrets {
    /// An empty list, which only this user can read.
    pub fn new() -> Result<Self> {
        Ok(Self(tempfile::NamedTempFile::new().context("cannot make the list of secrets")?))
    }
    /// Where it is.
    pub fn list(&self) -> &Path {
        self.0.path()
    }

    /// Looks through the cluster's files.
    pub fn sweep(&self, cluster: &Cluster, programs: &Programs) -> Result<()> {
        let began = Instant::now();
        let text = fs::read_to_string(self.list()).context("the list of secrets")?;
        let secrets: Vec<&str> = text.lines().collect();
        let canary = Canary::new(secrets.iter().copied().chain([PLANTED]));
        // A sweep that finds nothing proves something only if it finds what is there: planted as a row, in plain and in hex.
        cluster
            .sql(programs, &format!("CREATE TABLE planted AS SELECT '{PLANTED}'::text, encode('{PLANTED}', 'hex')"))?;
        cluster.sql(programs, "CHECKPOINT")?;
        let hits = canary.hits_below(cluster.directory(), |_| false).context("PostgreSQL's files cannot be read")?;
        let is_planted = |hit: &tollgate_canary::Hit| PLANTED.starts_with(hit.secret.trim_end_matches('…'));
        let (planted, real): (Vec<_>, Vec<_>) = hits.into_iter().partition(is_planted);
        for (place, form) in [("/base/", "plain"), ("/base/", "hex"), ("/pg_wal/", "plain"), ("/pg_wal/", "hex")] {
            let is_there = planted.iter().any(|hit| hit.place.contains(place) && hit.form == form);
            ensure!(is_there, "what was planted ({form}) was not found in {place}: the sweep proves nothing");
        }
        for hit in real.iter().take(HITS_SHOWN) {
            say(&format!("a secret was left behind: {hit}"));
        }
        ensure!(real.is_empty(), "{} secrets were left behind in PostgreSQL's files", real.len());
        let ms = began.elapsed().as_millis();
        say(&format!(
            "none of {} secrets is in PostgreSQL's files, where a planted one was found ({ms} ms)",
            secrets.len()
        ));
        Ok(())
    }
}
