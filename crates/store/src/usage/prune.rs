//! Deleting old request rows and minutes, in steps so small that nobody waits long behind one.

use sqlx::AssertSqlSafe;
use tollgate_core::{Id, Timestamp, usage::Attempt};

use super::{grain::Grain, report::Cube};
use crate::{Result, Store, StoreEngine, value::values};

/// Rows of one step.
const STEP: i64 = 1_000;

impl Store {
    pub(super) async fn prune(&self, before: Timestamp, minutes_before: Timestamp) -> Result<u64> {
        let mut pruned = self.days_drop(before).await?;
        let rest = if self.engine() == StoreEngine::Postgres { "usage_attempts_rest" } else { "usage_attempts" };
        let delete = format!(
            "DELETE FROM {rest} WHERE attempt IN (
                SELECT attempt FROM {rest} WHERE attempt < $1 ORDER BY attempt LIMIT $2)"
        );
        // An attempt's id begins with its time.
        let first_kept = Id::<Attempt>::from_parts(before.as_millis(), &[0; 10]);
        loop {
            let mut tx = self.pools().begin().await?;
            let values = values![first_kept.uuid().as_bytes().as_slice(), STEP];
            let step = tx.execute(AssertSqlSafe(delete.clone()), values).await?;
            tx.commit().await?;
            pruned += step;
            if step == 0 {
                break;
            }
        }
        // Only whole hours: the hour that holds the limit is still needed by the minute.
        let limit = Grain::Hour.floor(minutes_before.as_millis());
        for row in self.pools().rows("SELECT account_no FROM usage_accounts ORDER BY account_no", values![]).await? {
            let account: i64 = row.columns().next()?;
            for cube in Cube::ALL {
                pruned += self.prune_minutes(cube, account, limit).await?;
            }
        }
        Ok(pruned)
    }

    async fn prune_minutes(&self, cube: Cube, account: i64, limit: i64) -> Result<u64> {
        let mut pruned = 0;
        loop {
            let mut tx = self.pools().begin().await?;
            let step = tx
                .execute(
                    "DELETE FROM usage_rollups WHERE (cube, grain, account_no, bucket, key_no, model_no) IN (
                        SELECT cube, grain, account_no, bucket, key_no, model_no FROM usage_rollups
                        WHERE cube = $1 AND grain = 0 AND account_no = $2 AND bucket < $3
                        ORDER BY bucket, key_no, model_no LIMIT $4)",
                    values![cube.code(), account, limit, STEP],
                )
                .await?;
            tx.commit().await?;
            pruned += step;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }
}
