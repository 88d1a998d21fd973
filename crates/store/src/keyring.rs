//! What the data plane holds in memory: loaded whole after joining, then row by row as the log says.
//!
//! A key whose maker is disabled, or is no longer a member of its account, is [`tollgate_core::key::KeyState::Disabled`]
//! here as long as that lasts, whatever its own record says.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Change, ChangeKind, Model, No, Seq,
    account::{Account, AccountAuth},
    catalog::Upstream,
    key::{Key, KeyAuth},
};

use crate::{
    Result, Store, StoreError,
    accounts::{ACCOUNT_AUTH, account_auth_of},
    bulk::placeholders,
    catalog::row::{MODEL, UPSTREAM, model_of, sealed_upstream_of},
    engine::Row,
    keys::row::{AUTH_FROM, KEY_SEPARATOR, auth_text, key_auth_of},
    value::{Value, values},
};

/// Most row numbers of one statement.
const MOST_NUMBERS: usize = 500;

/// An upstream row with its credential as sealed at rest.
#[derive(Debug, Clone)]
pub struct SealedUpstream {
    /// The upstream.
    pub upstream: Upstream,
    /// The credential, sealed for the context of the upstream's id text.
    pub credential: Option<Vec<u8>>,
}

/// The state of the one thing that a change is about; `None` where it is gone.
#[derive(Debug, Clone)]
pub enum Changed {
    /// A key.
    Key(No<Key>, Option<KeyAuth>),
    /// An account.
    Account(No<Account>, Option<AccountAuth>),
    /// A model.
    Model(No<Model>, Option<Model>),
    /// An upstream.
    Upstream(No<Upstream>, Option<SealedUpstream>),
}

/// Everything but the keys.
#[derive(Debug, Clone)]
pub struct KeyringBase {
    /// The head of the log when this was read, or earlier: entries behind it are applied again, harmlessly.
    pub seq: Seq,
    /// All accounts.
    pub accounts: Vec<AccountAuth>,
    /// All models.
    pub models: Vec<Model>,
    /// All upstreams.
    pub upstreams: Vec<SealedUpstream>,
    /// The last key's row number at that instant: keys behind it are in the log behind `seq`.
    pub last_key: No<Key>,
}

impl Store {
    /// Everything but the keys, as of one instant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keyring_base(&self) -> Result<KeyringBase> {
        let mut tx = self.pools().snapshot().await?;
        // Read first: what is read behind it may be newer, never older.
        let row = tx.row("SELECT seq FROM authority", values![]).await?;
        let seq = row.ok_or_else(|| StoreError::Failed("the row of the authority is missing".into()))?;
        let sql = format!("{ACCOUNT_AUTH} ORDER BY a.no");
        let accounts = collect(&tx.rows(AssertSqlSafe(sql), values![]).await?, account_auth_of)?;
        let sql = format!("{MODEL} WHERE m.removed_at IS NULL ORDER BY m.no");
        let models = collect(&tx.rows(AssertSqlSafe(sql), values![]).await?, model_of)?;
        let sql = format!("{UPSTREAM} WHERE s.removed_at IS NULL ORDER BY s.no");
        let upstreams = collect(&tx.rows(AssertSqlSafe(sql), values![]).await?, sealed_upstream_of)?;
        let row = tx.row("SELECT COALESCE(MAX(no), 0) FROM keys", values![]).await?;
        let last_key = row.map_or(Ok(No::new(0)), |row| row.columns().next())?;
        Ok(KeyringBase { seq: Seq(seq.columns().next()?), accounts, models, upstreams, last_key })
    }
    /// Hands over keys that may ever be admitted or recognised again (revoked ones included: the right secret of a dead
    /// key is told so): those with row numbers behind `after` up to `through`, the `limit` lowest of them, in any order.
    /// Returns the highest number among them; `None` where there was none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keyring_keys(
        &self,
        after: No<Key>,
        through: No<Key>,
        limit: u32,
        mut take: impl FnMut(KeyAuth) + Send,
    ) -> Result<Option<No<Key>>> {
        let sql = format!(
            "SELECT string_agg(page.line, '{KEY_SEPARATOR}') FROM (SELECT {} AS line {AUTH_FROM}
             WHERE k.no > $1 AND k.no <= $2 ORDER BY k.no LIMIT $3) page",
            auth_text(self.engine())
        );
        let row = self.pools().row(AssertSqlSafe(sql), values![after, through, limit]).await?;
        let Some(lines) = row.map_or(Ok(None), |row| row.columns().text())? else { return Ok(None) };
        let mut last = after;
        for line in lines.split(KEY_SEPARATOR) {
            let key = key_auth_of(line)?;
            last = last.max(key.no);
            take(key);
        }
        Ok(Some(last))
    }
    /// The present state of what these changes are about, each thing once, in the order of its last change.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keyring_changed(&self, changes: &[Change]) -> Result<Vec<Changed>> {
        let mut order: Vec<ChangeKind> = Vec::with_capacity(changes.len());
        let mut seen = std::collections::HashSet::with_capacity(changes.len());
        for change in changes.iter().rev().filter(|change| seen.insert(change.kind)) {
            order.push(change.kind);
        }
        order.reverse();
        let numbers = |word: &str| -> Vec<i64> {
            order.iter().map(|kind| kind.parts()).filter(|(kind, _)| *kind == word).map(|(_, no)| no).collect()
        };
        let keys = self
            .by_number(&format!("SELECT {} {AUTH_FROM} WHERE k.no", auth_text(self.engine())), &numbers("key"), |row| {
                key_auth_of(&row.columns().next::<String>()?).map(|key| (key.no.get(), key))
            })
            .await?;
        let accounts = self
            .by_number(&format!("{ACCOUNT_AUTH} WHERE a.no"), &numbers("account"), |row| {
                account_auth_of(row).map(|account| (account.no.get(), account))
            })
            .await?;
        let models = self
            .by_number(&format!("{MODEL} WHERE m.removed_at IS NULL AND m.no"), &numbers("model"), |row| {
                model_of(row).map(|model| (model.no.get(), model))
            })
            .await?;
        let upstreams = self
            .by_number(&format!("{UPSTREAM} WHERE s.removed_at IS NULL AND s.no"), &numbers("upstream"), |row| {
                sealed_upstream_of(row).map(|sealed| (sealed.upstream.no.get(), sealed))
            })
            .await?;
        let changed = order.into_iter().map(|kind| match kind {
            ChangeKind::Key(no) => Changed::Key(no, keys.get(&no.get()).cloned()),
            ChangeKind::Account(no) => Changed::Account(no, accounts.get(&no.get()).copied()),
            ChangeKind::Model(no) => Changed::Model(no, models.get(&no.get()).cloned()),
            ChangeKind::Upstream(no) => Changed::Upstream(no, upstreams.get(&no.get()).cloned()),
        });
        Ok(changed.collect())
    }

    /// Reads things by row number. Each statement sees an instant at or after the change that named the number, which is
    /// what a keyring needs: what comes later is in the log behind it.
    async fn by_number<T>(
        &self,
        select: &str,
        numbers: &[i64],
        read: impl Fn(&Row) -> Result<(i64, T)>,
    ) -> Result<HashMap<i64, T>> {
        let mut found = HashMap::with_capacity(numbers.len());
        for numbers in numbers.chunks(MOST_NUMBERS) {
            let sql = format!("{select} IN ({})", placeholders(1, numbers.len()));
            let values = numbers.iter().map(|no| Value::from(*no)).collect();
            for row in &self.pools().rows(AssertSqlSafe(sql), values).await? {
                let (no, thing) = read(row)?;
                found.insert(no, thing);
            }
        }
        Ok(found)
    }
}

fn collect<T>(rows: &[Row], read: fn(&Row) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(read).collect()
}
