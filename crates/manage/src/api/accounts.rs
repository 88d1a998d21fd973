//! `accounts`: who pays. Operators make and change them; a customer sees its own.

use axum::extract::State;
use serde::Serialize;
use tollgate_core::{Account, Id, Timestamp, account::Standing, leak::OnLeak};
use utoipa::ToSchema;

use super::{Answer, Changed, List, changed, created, list as list_response, models::PageQuery, one, with_etag};
use crate::{
    extract::{Body, IfMatch, Named, Query, page},
    principal::Principal,
    services::{AccountChange, AccountInput, Services},
};

/// Who pays and who is billed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountView {
    #[schema(value_type = String, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Account>,
    /// Its name in addresses and commands.
    #[schema(example = "acme")]
    handle: String,
    /// Its name for people.
    #[schema(example = "Acme Ltd")]
    name: String,
    /// The code of its plan.
    #[schema(example = "pro")]
    plan: Option<String>,
    /// When the plan lapses; null: it runs on.
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    plan_until: Option<Timestamp>,
    /// Whether the operator suspended it.
    #[schema(example = false)]
    suspended: bool,
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    suspended_at: Option<Timestamp>,
    /// What happens to its keys that are found in public: `disable` or `tell`.
    #[schema(value_type = String, example = "disable")]
    on_leak: OnLeak,
    /// Whether keys can be made and used.
    standing: StandingWord,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
}

/// Whether an account's keys work.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Standing)]
pub(super) enum StandingWord {
    /// On a running paid plan.
    Good,
    /// No paid plan, or one that lapsed.
    PlanRequired,
    /// Suspended by the operator.
    Suspended,
}
impl From<Standing> for StandingWord {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Good => Self::Good,
            Standing::PlanRequired => Self::PlanRequired,
            Standing::Suspended => Self::Suspended,
        }
    }
}

fn view(services: &Services) -> impl Fn(Account) -> AccountView {
    let now = services.world.now();
    move |account| AccountView {
        id: account.id,
        standing: account.standing(now).into(),
        handle: account.handle.to_string(),
        name: account.name.to_string(),
        plan: account.subscription.as_ref().map(|subscription| subscription.plan_handle.to_string()),
        plan_until: account.subscription.as_ref().and_then(|subscription| subscription.until),
        suspended: account.suspended_at.is_some(),
        suspended_at: account.suspended_at,
        on_leak: account.on_leak,
        created_at: account.created_at,
    }
}

/// List accounts, by handle.
#[utoipa::path(get, path = "/api/v1/accounts", operation_id = "account_list", tag = "accounts", params(PageQuery),
    responses((status = 200, body = List<AccountView>)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Answer {
    Ok(list_response(services.account_list(&principal, &page(query.cursor, query.limit)?).await?, view(&services)))
}

/// Make an account.
#[utoipa::path(post, path = "/api/v1/accounts", operation_id = "account_create", tag = "accounts",
    request_body = AccountInput,
    responses((status = 201, body = AccountView), (status = 409, description = "already_exists")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    Body(input): Body<AccountInput>,
) -> Answer {
    let account = services.account_create(&principal, input).await?.value;
    Ok(created(&format!("accounts/{}", account.id), view(&services)(account)))
}

/// Show an account; a customer its own.
#[utoipa::path(get, path = "/api/v1/accounts/{account}", operation_id = "account_show", tag = "accounts",
    params(("account" = String, Path, description = "handle or id", example = "acme")),
    responses((status = 200, body = AccountView)), extensions(("x-access" = json!("read"))))]
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Named(account): Named<String>,
) -> Answer {
    let account = services.account_get(&principal, &account).await?;
    let version = account.version;
    Ok(one(view(&services)(account), version))
}

/// Edit an account: its name, its plan, whether it is suspended, or what happens to its leaked keys.
///
/// Answers once no node admits by the old state.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}", operation_id = "account_edit", tag = "accounts",
    params(("account" = String, Path, description = "handle or id", example = "acme"),
        ("If-Match" = Option<String>, Header, description = "the `etag` that was read; without it the last writer wins", example = "\"3\"")),
    request_body = AccountChange,
    responses((status = 200, body = Changed<AccountView>), (status = 202, body = Changed<AccountView>)),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    Named(account): Named<String>,
    IfMatch(version): IfMatch,
    Body(change): Body<AccountChange>,
) -> Answer {
    let confirmed = services.account_edit(&principal, &account, change, version).await?;
    let version = confirmed.value.version;
    Ok(with_etag(changed(confirmed, view(&services)), version))
}
