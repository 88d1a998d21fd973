//! The client addresses that used a key of late: what its owner is shown before it is revoked.
//!
//! A few for each key and no more, without a count and without a history. They stand beside the key, never in it, and what is
//! shown of them is as fresh as what was shipped.

use std::{collections::BTreeSet, net::IpAddr};

use sqlx::AssertSqlSafe;
use tollgate_core::{Key, No, Timestamp};

use crate::{
    Result, Store,
    bulk::{self, Insert, placeholders},
    value::{Value, values},
};

/// The most addresses that are kept for a key.
pub const MOST_ADDRESSES: i64 = 8;
/// Keys in one statement that forgets addresses.
const KEYS_AT_ONCE: usize = 500;

const NOTE: Insert = Insert {
    head: "INSERT INTO key_addresses AS r (key_no, address, last_used_at) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (key_no, address) DO UPDATE SET
            last_used_at = CASE WHEN r.last_used_at < excluded.last_used_at THEN excluded.last_used_at
                                ELSE r.last_used_at END",
};

impl Store {
    /// Notes from which addresses keys were used, each pair once, and forgets all but the last few of each key.
    ///
    /// # Errors
    /// When the store fails: then nothing of it is noted.
    pub async fn key_addresses_note(&self, noted: &[(No<Key>, IpAddr, Timestamp)]) -> Result<()> {
        let mut noted: Vec<_> = noted.iter().map(|(key, address, at)| (*key, address.to_string(), *at)).collect();
        // In the order of their keys, so that two nodes never wait for each other in a circle.
        noted.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let keys: BTreeSet<No<Key>> = noted.iter().map(|(key, ..)| *key).collect();
        let keys: Vec<No<Key>> = keys.into_iter().collect();
        let rows = noted.into_iter().map(|(key, address, at)| values![key, address, at]).collect();
        let mut tx = self.pools().begin().await?;
        bulk::execute(&mut tx, &NOTE, rows).await?;
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let sql = format!(
                "DELETE FROM key_addresses WHERE key_no IN ({}) AND (SELECT COUNT(*) FROM key_addresses o
                    WHERE o.key_no = key_addresses.key_no AND (o.last_used_at > key_addresses.last_used_at
                        OR (o.last_used_at = key_addresses.last_used_at AND o.address < key_addresses.address)))
                    >= {MOST_ADDRESSES}",
                placeholders(1, keys.len())
            );
            tx.execute(AssertSqlSafe(sql), keys.iter().map(|key| Value::from(*key)).collect()).await?;
        }
        tx.commit().await
    }
    /// The last client addresses that used a key, the latest first, at most [`MOST_ADDRESSES`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_addresses(&self, key: No<Key>) -> Result<Vec<(String, Timestamp)>> {
        let sql = "SELECT address, last_used_at FROM key_addresses WHERE key_no = $1
                   ORDER BY last_used_at DESC, address LIMIT $2";
        let rows = self.pools().rows(sql, values![key, MOST_ADDRESSES]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                Ok((columns.next()?, columns.next()?))
            })
            .collect()
    }
}
