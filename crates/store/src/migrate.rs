//! Brings the schema up to date: all pending steps in one transaction that one process at a time can hold.
//!
//! Not sqlx's own migrator, since that takes no lock on SQLite, and two processes may start at once on one file.

use tollgate_core::secret::Prefix;

use crate::{
    Result, StoreEngine, StoreError, accounts,
    engine::{Pools, Tx},
    value::values,
};

/// A step: its number, and its twin texts.
struct Step {
    version: i64,
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the files that there are"))]
    file: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! step {
    ($version:expr, $file:literal) => {
        Step {
            version: $version,
            file: $file,
            sqlite: include_str!(concat!("../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../migrations/postgres/", $file)),
        }
    };
}

/// All steps in order. A released step is never changed, another is added behind it.
const STEPS: &[Step] = &[
    step!(1, "0001_begin.sql"),
    step!(KEY_PREFIX, "0002_key_prefix.sql"),
    step!(4, "0004_sign_in.sql"),
    step!(6, "0006_key_lists.sql"),
    step!(7, "0007_leaks.sql"),
    step!(8, "0008_notices.sql"),
    step!(9, "0009_origins.sql"),
    step!(10, "0010_lists_and_lanes.sql"),
    step!(11, "0011_journal_gaps.sql"),
    step!(12, "0012_upstream_usage.sql"),
    step!(13, "0013_request_days.sql"),
    step!(14, "0014_token_repeats.sql"),
    step!(15, "0015_attempts_by_id.sql"),
    step!(16, "0016_begun_attempts.sql"),
];

/// The step at which keys got their prefixes.
const KEY_PREFIX: i64 = 2;
const MADE: &str = "CREATE TABLE IF NOT EXISTS schema_steps (version BIGINT NOT NULL PRIMARY KEY, at BIGINT NOT NULL)";

/// Applies what is missing and gives a new store its identity.
pub(crate) async fn migrate(
    pools: &Pools,
    engine: StoreEngine,
    cluster: uuid::Uuid,
    prefix: &Prefix,
    now_ms: i64,
) -> Result<()> {
    let mut tx = pools.begin_migration().await?;
    tx.execute(MADE, values![]).await?;
    let applied = applied(&mut tx).await?;
    let newest = STEPS.last().map_or(0, |step| step.version);
    if applied.last().is_some_and(|last| *last > newest) {
        return Err(StoreError::State("this store was made by a newer version of the program"));
    }
    for step in STEPS.iter().filter(|step| !applied.contains(&step.version)) {
        tx.script(match engine {
            StoreEngine::Sqlite => step.sqlite,
            StoreEngine::Postgres => step.postgres,
        })
        .await?;
        if step.version == KEY_PREFIX {
            tx.execute("UPDATE keys SET prefix = $1", values![prefix]).await?;
        }
        tx.execute("INSERT INTO schema_steps (version, at) VALUES ($1, $2)", values![step.version, now_ms]).await?;
    }
    accounts::make_searchable(&mut tx).await?;
    tx.execute(
        "INSERT INTO authority (one, cluster, generation, seq) VALUES (1, $1, 1, 0) ON CONFLICT (one) DO NOTHING",
        values![cluster.to_string()],
    )
    .await?;
    tx.commit().await
}

async fn applied(tx: &mut Tx) -> Result<Vec<i64>> {
    let rows = tx.rows("SELECT version FROM schema_steps ORDER BY version", values![]).await?;
    rows.iter().map(|row| row.columns().next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_migration_is_a_step() {
        let steps: Vec<&str> = STEPS.iter().map(|step| step.file).collect();
        for engine in ["sqlite", "postgres"] {
            let directory = format!("{}/migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(directory)
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            assert_eq!(files, steps, "{engine}");
        }
        for step in STEPS {
            assert!(step.file.starts_with(&format!("{:04}_", step.version)), "{}", step.file);
        }
    }
}
