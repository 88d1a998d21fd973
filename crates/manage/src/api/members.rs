//! `accounts/{account}/members` and `…/invitations`: who belongs to an account. Its owners change that.

use axum::extract::State;
use serde::Serialize;
use tollgate_core::{
    Id, Role, Timestamp, User,
    account::{Invitation, InvitationStatus, RoleSource},
};
use tollgate_store::accounts::Member as Stored;
use utoipa::ToSchema;

use super::{Answer, Changed, List, changed, created, list as list_response, models::PageQuery};
use crate::{
    extract::{Body, Named, NamedBoth, Nothing, OptionalBody, Query, page},
    principal::Principal,
    services::{InvitationInput, MemberChange, Services, invitation_path},
};

/// A member of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
struct MemberView {
    #[schema(value_type = String, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    user: Id<User>,
    #[schema(example = "Ada")]
    name: String,
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// `owner`, `member` or `viewer`.
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// `hand`: somebody gave the role; `group`: the identity provider does, at each sign-in.
    #[schema(value_type = String, example = "hand")]
    source: RoleSource,
    /// Whether the operator disabled the user.
    #[schema(example = false)]
    disabled: bool,
}

/// An invitation into an account, without its link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
struct InvitationView {
    #[schema(value_type = String, example = "inv_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Invitation>,
    /// `owner`, `member` or `viewer`.
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// The one mail address that may accept it; null: whoever opens the link first.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// `open`, `accepted`, `revoked` or `expired`.
    #[schema(value_type = String, example = "open")]
    status: InvitationStatus,
    /// Who made it, by name.
    #[schema(example = "Grace")]
    created_by: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-11-27T08:00:00Z")]
    expires_at: Timestamp,
}

/// An invitation with its link, this once.
#[derive(Serialize, ToSchema)]
struct InvitationCreated {
    /// Where it leads. Whoever opens it and accepts becomes a member.
    #[schema(example = "https://ai.example.com/invitations/<token>")]
    url: String,
    #[serde(flatten)]
    view: InvitationView,
}

fn view(member: Stored) -> MemberView {
    MemberView {
        user: member.user,
        name: member.name.to_string(),
        email: member.email.map(|email| email.to_string()),
        role: member.role,
        source: member.source,
        disabled: member.disabled,
    }
}
fn invitation_view(services: &Services) -> impl Fn(Invitation) -> InvitationView {
    let now = services.world.now();
    move |invitation| InvitationView {
        id: invitation.id,
        role: invitation.role,
        status: invitation.status(now),
        email: invitation.email.map(|email| email.to_string()),
        created_by: invitation.created_by.map(|name| name.to_string()),
        created_at: invitation.created_at,
        expires_at: invitation.expires_at,
    }
}

/// List an account's members.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/members", operation_id = "member_list", tag = "accounts",
    params(("account" = String, Path, description = "handle or id", example = "default"), PageQuery),
    responses((status = 200, body = List<MemberView>)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Named(account): Named<String>,
    Query(query): Query<PageQuery>,
) -> Answer {
    let page = page(query.cursor, query.limit)?;
    Ok(list_response(services.member_list(&principal, &account, &page).await?, view))
}

/// Give a member another role; the last owner keeps its own.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/members/{user}", operation_id = "member_edit",
    tag = "accounts",
    params(("account" = String, Path, description = "handle or id", example = "default"),
        ("user" = String, Path, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")),
    request_body = MemberChange,
    responses((status = 200, body = Changed<MemberView>), (status = 202, body = Changed<MemberView>),
        (status = 409, description = "not_possible: the last owner")),
    extensions(("x-access" = json!("owner"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    NamedBoth(account, user): NamedBoth<String, Id<User>>,
    Body(change): Body<MemberChange>,
) -> Answer {
    Ok(changed(services.member_edit(&principal, &account, user, change, None).await?, view))
}

/// Take a member out of the account.
///
/// Its access tokens there are revoked, and the keys that it made there are dead; answers once no node admits them.
#[utoipa::path(delete, path = "/api/v1/accounts/{account}/members/{user}", operation_id = "member_remove",
    tag = "accounts",
    params(("account" = String, Path, description = "handle or id", example = "default"),
        ("user" = String, Path, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")),
    responses((status = 200, body = Changed<MemberView>), (status = 202, body = Changed<MemberView>),
        (status = 409, description = "not_possible: the last owner")),
    extensions(("x-access" = json!("owner"))))]
pub(super) async fn remove(
    State(services): State<Services>,
    principal: Principal,
    NamedBoth(account, user): NamedBoth<String, Id<User>>,
) -> Answer {
    Ok(changed(services.member_remove(&principal, &account, user).await?, view))
}

/// List an account's invitations, newest first.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/invitations", operation_id = "invitation_list",
    tag = "accounts",
    params(("account" = String, Path, description = "handle or id", example = "default"), PageQuery),
    responses((status = 200, body = List<InvitationView>)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn list_invitations(
    State(services): State<Services>,
    principal: Principal,
    Named(account): Named<String>,
    Query(query): Query<PageQuery>,
) -> Answer {
    let page = page(query.cursor, query.limit)?;
    Ok(list_response(services.invitation_list(&principal, &account, &page).await?, invitation_view(&services)))
}

/// Make an invitation into the account and show its link, this once. It ends after 7 days, or when it is accepted.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/invitations", operation_id = "invitation_create",
    tag = "accounts", params(("account" = String, Path, description = "handle or id", example = "default")),
    request_body = InvitationInput,
    responses((status = 201, body = InvitationCreated)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn invite(
    State(services): State<Services>,
    principal: Principal,
    Named(account): Named<String>,
    Body(input): Body<InvitationInput>,
) -> Answer {
    let shown = services.invitation_create(&principal, &account, input).await?;
    let path = invitation_path(&shown.plain);
    let url = services.public_url.as_ref().map_or_else(|| path.clone(), |base| format!("{base}{path}"));
    let location = format!("accounts/{}/invitations", shown.invitation.account);
    Ok(created(&location, InvitationCreated { url, view: invitation_view(&services)(shown.invitation) }))
}

/// Take an invitation back.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/invitations/{id}/revoke", operation_id = "invitation_revoke",
    tag = "accounts",
    params(("account" = String, Path, description = "handle or id", example = "default"),
        ("id" = String, Path, example = "inv_019ab0c0d1e27f3a8b4c5d6e7f809a1b")),
    responses((status = 200, body = InvitationView), (status = 409, description = "not_possible: it was accepted")),
    extensions(("x-access" = json!("owner"))))]
pub(super) async fn revoke_invitation(
    State(services): State<Services>,
    principal: Principal,
    NamedBoth(account, id): NamedBoth<String, Id<Invitation>>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    let invitation = services.invitation_revoke(&principal, &account, id).await?;
    Ok(axum::response::IntoResponse::into_response(axum::Json(invitation_view(&services)(invitation))))
}
