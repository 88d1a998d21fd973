//! The audit log: read here, written inside every write's transaction.

use tollgate_core::{Account, Id, Timestamp, account::AuditEntry};

use crate::{Page, PageRequest, Result, Store};

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this account.
    pub account: Option<Id<Account>>,
    /// Only about this subject (an id as text).
    pub subject: Option<String>,
    /// Only this action (`key.revoke`) or, ending in a dot, this noun's (`key.`).
    pub action: Option<String>,
    /// Only from here on.
    pub from: Option<Timestamp>,
    /// Only before here.
    pub to: Option<Timestamp>,
}

impl Store {
    /// Entries of the audit log, newest first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn audit_list(&self, filter: &AuditFilter, page: &PageRequest) -> Result<Page<AuditEntry>> {
        let _ = (filter, page);
        todo!()
    }
}
