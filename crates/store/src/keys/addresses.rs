//! The client addresses that used a key of late: what its owner is shown before it is revoked.
//!
//! A few for each key and no more, without a count and without a history. They stand beside the key, never in it, and what is
//! shown of them is as fresh as what was shipped.

use tollgate_core::{Key, No, Timestamp};

use crate::{Result, Store, value::values};

/// The most addresses that are kept for a key.
pub const MOST_ADDRESSES: i64 = 8;

impl Store {
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
