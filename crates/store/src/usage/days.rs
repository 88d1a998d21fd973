//! On PostgreSQL request rows lie in a partition for each day of UTC, so that a day is dropped as a whole: that takes as long
//! for a thousand rows as for a thousand million, and leaves nothing to be tidied up.
//!
//! An attempt's id begins with its time (UUIDv7, RFC 9562), so the primary key is what partitions are made by. A row whose day
//! has none (nobody made it in time, a clock is days ahead) lies in `usage_attempts_rest` and is deleted from there one by
//! one. SQLite has one table, from which rows go in steps.

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use sqlx::AssertSqlSafe;
use tollgate_core::Timestamp;

use crate::{Result, Store, StoreEngine, value::values};

/// So many days from today on have a partition.
const DAYS_AHEAD: i32 = 3;
/// What the names of partitions begin with; the date follows.
const PREFIX: &str = "usage_attempts_d";
/// One process at a time makes and drops partitions. They need the table for themselves for a moment: whoever does not get it
/// soon tries again an hour later, and holds nobody up.
const ALONE: &str = "SET LOCAL lock_timeout = '2s'; SELECT pg_advisory_xact_lock(8390322045806929254)";

impl Store {
    /// Makes partitions for the days to come, where there are any. To be called at start and every few hours.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_days_make(&self) -> Result<()> {
        if self.engine() == StoreEngine::Sqlite {
            return Ok(());
        }
        let today = date_of(self.world().now());
        for ahead in 0..DAYS_AHEAD {
            let day = today.saturating_add(ahead.days());
            let (low, high) = (first_id(day), first_id(day.saturating_add(1.day())));
            let mut tx = self.pools().begin().await?;
            tx.script(ALONE).await?;
            // Rows that are in the rest already stay there, and their day has to do without.
            let there = "SELECT 1 WHERE to_regclass($1) IS NOT NULL OR EXISTS (
                SELECT 1 FROM usage_attempts_rest WHERE attempt >= decode($2, 'hex') AND attempt < decode($3, 'hex'))";
            let name = format!("{PREFIX}{}", day.strftime("%Y%m%d"));
            if tx.row(there, values![name.as_str(), low.as_str(), high.as_str()]).await?.is_none() {
                let make = format!(
                    "CREATE TABLE {name} PARTITION OF usage_attempts FOR VALUES FROM ('\\x{low}') TO ('\\x{high}')"
                );
                tx.execute(AssertSqlSafe(make), values![]).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Drops the partitions of days that ended by `before`; returns how many.
    pub(super) async fn days_drop(&self, before: Timestamp) -> Result<u64> {
        if self.engine() == StoreEngine::Sqlite {
            return Ok(0);
        }
        let limit = date_of(before);
        let sql = "SELECT CAST(c.relname AS TEXT) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                   WHERE i.inhparent = CAST('usage_attempts' AS REGCLASS) ORDER BY c.relname";
        let mut dropped = 0;
        for row in self.pools().rows(sql, values![]).await? {
            let name: String = row.columns().next()?;
            let day = name.strip_prefix(PREFIX).and_then(|day| Date::strptime("%Y%m%d", day).ok());
            let Some(day) = day.filter(|day| *day < limit) else { continue };
            let mut tx = self.pools().begin().await?;
            tx.script(ALONE).await?;
            // The name is made of the date that was read, not of what stood there.
            let drop = format!("DROP TABLE IF EXISTS {PREFIX}{}", day.strftime("%Y%m%d"));
            tx.execute(AssertSqlSafe(drop), values![]).await?;
            tx.commit().await?;
            dropped += 1;
        }
        Ok(dropped)
    }
}

fn date_of(at: Timestamp) -> Date {
    at.to_jiff().to_zoned_datetime(TimeZone::UTC).date()
}

/// The least id of a day, in hexadecimal digits: 48 bits of milliseconds, and zeros.
fn first_id(day: Date) -> String {
    let midnight = day.to_zoned_datetime(TimeZone::UTC).map_or(0, |midnight| midnight.timestamp().as_millisecond());
    format!("{midnight:012x}{:020}", 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_first_id_is_its_midnight() {
        let day = date_of("2026-05-04T23:59:59.999Z".parse().unwrap());
        assert_eq!(day.to_string(), "2026-05-04");
        let first = first_id(day);
        let millis = i64::from_str_radix(first.get(..12).unwrap(), 16).unwrap();
        assert_eq!(Timestamp::from_millis(millis), "2026-05-04T00:00:00Z".parse().unwrap());
        assert_eq!((first.len(), first.get(12..)), (32, Some("00000000000000000000")));
    }
}
