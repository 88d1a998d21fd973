//! `GET me`: who the caller is.

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use tollgate_core::{Account, Id, Role, User, account::AccessToken};
use utoipa::ToSchema;

use super::{Answer, accounts::StandingWord};
use crate::{
    principal::Principal,
    services::{ServiceError, Services},
};

/// Who the caller is and what it may do.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    user: MeUser,
    /// Whether the caller acts as operator.
    #[schema(example = false)]
    operator: bool,
    /// The account that calls are about which name none; null for a user without any.
    account: Option<MeAccount>,
    /// The accounts that the caller may name.
    accounts: Vec<MeMembership>,
    /// The access token that was used; null for a session.
    #[schema(value_type = Option<String>, example = "tok_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    token: Option<Id<AccessToken>>,
    /// What every API key here begins with.
    #[schema(example = "tg")]
    key_prefix: String,
    /// Where to ask for a plan.
    #[schema(example = "mailto:sales@example.com")]
    contact_url: Option<String>,
    /// The server's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct MeUser {
    #[schema(value_type = String, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<User>,
    #[schema(example = "Ada")]
    name: String,
    #[schema(example = "ada@example.com")]
    email: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MeAccount {
    #[schema(value_type = String, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Account>,
    #[schema(example = "default")]
    handle: String,
    #[schema(example = "Default")]
    name: String,
    /// The caller's role; an operator is an owner everywhere.
    #[schema(value_type = String, example = "owner")]
    role: Role,
    /// Whether keys can be made and used.
    standing: StandingWord,
}

#[derive(Debug, Serialize, ToSchema)]
struct MeMembership {
    #[schema(value_type = String, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Account>,
    #[schema(example = "default")]
    handle: String,
    #[schema(value_type = String, example = "owner")]
    role: Role,
}

/// Say who the caller is.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "me_show", tag = "me",
    responses((status = 200, body = Me)), extensions(("x-access" = json!("user"))))]
pub(super) async fn show(State(services): State<Services>, principal: Principal) -> Answer {
    let account = match principal.access(&services, None).await {
        Ok(access) => Some(MeAccount {
            id: access.account.id,
            handle: access.account.handle.to_string(),
            name: access.account.name.to_string(),
            role: access.role(),
            standing: access.account.standing(services.world.now()).into(),
        }),
        Err(ServiceError::Forbidden(_) | ServiceError::NotFound(_)) => None,
        Err(error) => return Err(error),
    };
    let user = principal.user();
    let bound = principal.bound_to();
    let own = user.memberships.iter().filter(|membership| bound.is_none_or(|bound| bound == membership.account));
    let accounts = own.map(|membership| MeMembership {
        id: membership.account,
        handle: membership.account_handle.to_string(),
        role: membership.role,
    });
    Ok(Json(Me {
        user: MeUser { id: user.id, name: user.name.to_string(), email: user.email.as_ref().map(ToString::to_string) },
        operator: principal.is_operator(),
        account,
        accounts: accounts.collect(),
        token: principal.token().map(|token| token.id),
        key_prefix: services.prefix.as_str().to_owned(),
        contact_url: services.contact_url.clone(),
        version: services.version,
    })
    .into_response())
}
