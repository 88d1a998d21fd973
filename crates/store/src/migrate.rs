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
    sqlite: &'static str,
    postgres: &'static str,
}

/// All steps in order. A released step is never changed, another is added behind it.
const STEPS: &[Step] = &[
    Step {
        version: 1,
        sqlite: include_str!("../migrations/sqlite/0001_begin.sql"),
        postgres: include_str!("../migrations/postgres/0001_begin.sql"),
    },
    Step {
        version: KEY_PREFIX,
        sqlite: include_str!("../migrations/sqlite/0002_key_prefix.sql"),
        postgres: include_str!("../migrations/postgres/0002_key_prefix.sql"),
    },
    Step {
        version: 4,
        sqlite: include_str!("../migrations/sqlite/0004_sign_in.sql"),
        postgres: include_str!("../migrations/postgres/0004_sign_in.sql"),
    },
    Step {
        version: 6,
        sqlite: include_str!("../migrations/sqlite/0006_key_lists.sql"),
        postgres: include_str!("../migrations/postgres/0006_key_lists.sql"),
    },
    Step {
        version: 7,
        sqlite: include_str!("../migrations/sqlite/0007_leaks.sql"),
        postgres: include_str!("../migrations/postgres/0007_leaks.sql"),
    },
    Step {
        version: 8,
        sqlite: include_str!("../migrations/sqlite/0008_notices.sql"),
        postgres: include_str!("../migrations/postgres/0008_notices.sql"),
    },
    Step {
        version: 9,
        sqlite: include_str!("../migrations/sqlite/0009_origins.sql"),
        postgres: include_str!("../migrations/postgres/0009_origins.sql"),
    },
    Step {
        version: 10,
        sqlite: include_str!("../migrations/sqlite/0010_lists_and_lanes.sql"),
        postgres: include_str!("../migrations/postgres/0010_lists_and_lanes.sql"),
    },
    Step {
        version: 11,
        sqlite: include_str!("../migrations/sqlite/0011_journal_gaps.sql"),
        postgres: include_str!("../migrations/postgres/0011_journal_gaps.sql"),
    },
    Step {
        version: 12,
        sqlite: include_str!("../migrations/sqlite/0012_upstream_usage.sql"),
        postgres: include_str!("../migrations/postgres/0012_upstream_usage.sql"),
    },
    Step {
        version: 13,
        sqlite: include_str!("../migrations/sqlite/0013_request_days.sql"),
        postgres: include_str!("../migrations/postgres/0013_request_days.sql"),
    },
    Step {
        version: 14,
        sqlite: include_str!("../migrations/sqlite/0014_token_repeats.sql"),
        postgres: include_str!("../migrations/postgres/0014_token_repeats.sql"),
    },
];
/// The step that keeps each key's prefix with it.
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
