//! `audit`: who did what. Operators see all, an account's owner what is of the account.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use tollgate_core::{
    Account, Id, Timestamp,
    account::{AccessToken, AuditEntry},
};
use tollgate_store::audit::AuditFilter;
use utoipa::{IntoParams, ToSchema};

use super::{Answer, List, list as list_response};
use crate::{
    extract::{Query, from_text, page},
    principal::Principal,
    services::Services,
};

/// One line of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditLine)]
struct AuditView {
    #[schema(value_type = String, example = "aud_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<AuditEntry>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    at: Timestamp,
    /// Who: a user's id, or `system:` and a part of the program.
    #[schema(example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    actor: String,
    /// The user's name.
    #[schema(example = "Ada")]
    actor_name: Option<String>,
    /// The access token that was used.
    #[schema(value_type = Option<String>, example = "tok_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    token: Option<Id<AccessToken>>,
    /// From where.
    #[schema(example = "192.0.2.7")]
    address: Option<String>,
    /// What was done.
    #[schema(example = "key.revoke")]
    action: String,
    /// The id of what it was done to.
    #[schema(example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    subject: String,
    #[schema(value_type = Option<String>, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    account: Option<Id<Account>>,
    /// What changed; never a secret.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
}

fn view(entry: AuditEntry) -> AuditView {
    AuditView {
        id: entry.id,
        at: entry.at,
        actor: entry.actor,
        actor_name: entry.actor_name.map(|name| name.to_string()),
        token: entry.token,
        address: entry.address,
        action: entry.action,
        subject: entry.subject,
        account: entry.account,
        detail: entry.detail,
    }
}

/// Which lines to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this account's, by name or id; an operator who names none sees all.
    #[param(example = "default")]
    account: Option<String>,
    /// Only by this actor: a user's id, or `system:` and a part of the program.
    #[param(example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    actor: Option<String>,
    /// Only about this id.
    #[param(example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    subject: Option<String>,
    /// Only this action, or with a dot at the end, this noun's.
    #[param(example = "key.revoke")]
    action: Option<String>,
    /// Only from here on.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-20T08:00:00Z")]
    from: Option<Timestamp>,
    /// Only before here.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-21T08:00:00Z")]
    to: Option<Timestamp>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1,000; else 50.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<u32>, example = 50)]
    limit: Option<u32>,
}

/// List the audit log, newest first.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "audit_list", tag = "audit", params(ListQuery),
    responses((status = 200, body = List<AuditView>)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Answer {
    let page = page(query.cursor, query.limit)?;
    let filter = AuditFilter {
        account: None,
        actor: query.actor,
        subject: query.subject,
        action: query.action,
        from: query.from,
        to: query.to,
    };
    Ok(list_response(services.audit_list(&principal, query.account.as_deref(), filter, &page).await?, view))
}
