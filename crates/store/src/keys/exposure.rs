//! What says that a key's text has come into browsers of strangers: requests of web pages that the key does not allow.
//!
//! They stand beside the key, never in it: a count, the last one's time, and the last page that said where it comes from.

use tollgate_core::{Key, No, Origin, Timestamp};

use crate::{
    Result, Store,
    bulk::{self, Insert},
    value::values,
};

const NOTE: Insert = Insert {
    head: "INSERT INTO key_exposure AS r (key_no, browser_requests, last_at, last_origin) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (key_no) DO UPDATE SET
            browser_requests = r.browser_requests + excluded.browser_requests,
            last_origin = CASE WHEN r.last_at <= excluded.last_at THEN COALESCE(excluded.last_origin, r.last_origin)
                               ELSE COALESCE(r.last_origin, excluded.last_origin) END,
            last_at = CASE WHEN r.last_at < excluded.last_at THEN excluded.last_at ELSE r.last_at END",
};

/// Requests of web pages with a key that allows none of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// The key.
    pub key: No<Key>,
    /// How many, beyond those noted before.
    pub requests: u64,
    /// When the last one came.
    pub last_at: Timestamp,
    /// From which page the last one came that said so.
    pub last_origin: Option<Origin>,
}

impl Store {
    /// Adds such requests, each key once.
    ///
    /// # Errors
    /// When the store fails: then none of them is added.
    pub async fn key_exposure_note(&self, noted: &[Exposed]) -> Result<()> {
        let mut noted: Vec<_> = noted.iter().collect();
        // In the order of their keys, so that two nodes never wait for each other in a circle.
        noted.sort_unstable_by_key(|exposed| exposed.key.get());
        let row = |exposed: &Exposed| {
            let origin = exposed.last_origin.as_ref().map(Origin::as_str);
            values![exposed.key, exposed.requests, exposed.last_at, origin]
        };
        let rows = noted.into_iter().map(row).collect();
        let mut tx = self.pools().begin().await?;
        bulk::execute(&mut tx, &NOTE, rows).await?;
        tx.commit().await
    }
}
