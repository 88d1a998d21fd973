//! What the data plane holds in memory: loaded whole after joining, then row by row as the log says.

use tollgate_core::{
    Change, Model, No, Seq,
    account::{Account, AccountAuth},
    catalog::Upstream,
    key::{Key, KeyAuth},
};

use crate::{Result, Store};

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
}

impl Store {
    /// Everything but the keys, as of one instant.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keyring_base(&self) -> Result<KeyringBase> {
        todo!()
    }
    /// All keys that may ever be admitted or recognised again (revoked ones included: the right secret of a dead key is
    /// told so), in pages of ascending row number: those behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keyring_keys(&self, after: No<Key>, limit: u32) -> Result<Vec<KeyAuth>> {
        let _ = (after, limit);
        todo!()
    }
    /// The present state of what these changes are about, each thing once, in the order of its last change.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keyring_changed(&self, changes: &[Change]) -> Result<Vec<Changed>> {
        let _ = changes;
        todo!()
    }
}
