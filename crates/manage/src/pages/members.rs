//! An account's members and invitations. Owners only: to everybody else of the account it is forbidden, to strangers it
//! does not exist.

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tollgate_core::{
    Id, Role, User,
    account::{AccountAction, Invitation, InvitationStatus, RoleSource},
    name::Email,
};
use tollgate_store::{PageRequest, accounts::Member};

use super::{
    Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer, When,
    ask::{Ask, Shown},
    chrome::role_name,
    render,
    texts::{Common, Errors, Members, fill},
};
use crate::{
    principal::Access,
    services::{InvitationInput, MemberChange, Noun, ServiceError, Services, invitation_path},
};

/// Invitations on the page; the API lists them all.
const INVITATIONS_SHOWN: u32 = 50;

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/a/{account}/members", get(list))
        .route("/a/{account}/members/invite", get(invite_form).post(invite))
        .route("/a/{account}/members/{user}/role", get(role_form).post(role_set))
        .route("/a/{account}/members/{user}/remove", get(remove_ask).post(remove))
        .route("/a/{account}/invitations/{invitation}/revoke", get(revoke_ask).post(revoke))
}

#[derive(Template)]
#[template(path = "members/members.html")]
struct MembersPage {
    chrome: Chrome,
    t: &'static Members,
    handle: String,
    members: Vec<MemberRow>,
    next: Option<String>,
    invitations: Vec<InvitationRow>,
}
struct MemberRow {
    id: String,
    name: String,
    email: Option<String>,
    role: &'static str,
    by_group: bool,
    is_me: bool,
    disabled: bool,
}
struct InvitationRow {
    id: String,
    whom: String,
    role: &'static str,
    by: String,
    until: When,
    open: bool,
    status: &'static str,
}
/// A role to be chosen: of a member, or of somebody invited.
#[derive(Template)]
#[template(path = "members/role.html")]
struct RolePage {
    chrome: Chrome,
    t: &'static Members,
    e: &'static Errors,
    title: String,
    note: Option<&'static str>,
    action: String,
    back: String,
    button: &'static str,
    /// What was typed as the address of somebody invited.
    email: Option<String>,
    /// What may be chosen: value, words, whether it is.
    roles: Vec<(&'static str, &'static str, bool)>,
    errors: FieldErrors,
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    #[serde(default)]
    cursor: Option<String>,
}

/// The account, if the viewer is one of its owners.
async fn owned(services: &Services, viewer: &Viewer, account: &str) -> Result<Access, ServiceError> {
    let access = viewer.enter(services, account).await?;
    access.require(AccountAction::MembersManage)?;
    Ok(access)
}

async fn list(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    Query(query): Query<ListQuery>,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let handle = access.account.handle.to_string();
    let (t, c) = (Members::of(viewer.look.lang), Common::of(viewer.look.lang));
    let page = PageRequest { cursor: query.cursor, limit: 0 };
    let members = services.member_list(&viewer.principal, &handle, &page).await?;
    let page = PageRequest { cursor: None, limit: INVITATIONS_SHOWN };
    let invitations = services.invitation_list(&viewer.principal, &handle, &page).await?;
    let (me, now) = (viewer.principal.user().id, services.world.now());
    let member = |member: Member| MemberRow {
        id: member.user.to_string(),
        name: member.name.to_string(),
        email: member.email.map(|email| email.to_string()),
        role: role_name(c, member.role),
        by_group: member.source == RoleSource::Group,
        is_me: member.user == me,
        disabled: member.disabled,
    };
    let invitation = |invitation: Invitation| {
        let status = invitation.status(now);
        InvitationRow {
            id: invitation.id.to_string(),
            whom: invitation.email.map_or_else(|| t.anybody.to_owned(), |email| email.to_string()),
            role: role_name(c, invitation.role),
            by: invitation.created_by.map_or_else(|| "–".to_owned(), |name| name.to_string()),
            until: When(invitation.expires_at),
            open: status == InvitationStatus::Open,
            status: match status {
                InvitationStatus::Open => t.open,
                InvitationStatus::Accepted => t.accepted,
                InvitationStatus::Revoked => t.revoked,
                InvitationStatus::Expired => t.expired,
            },
        }
    };
    let page = MembersPage {
        chrome: Chrome::account(&viewer, &services, &access, Place::Members),
        t,
        handle,
        next: members.next_cursor,
        members: members.data.into_iter().map(member).collect(),
        invitations: invitations.data.into_iter().map(invitation).collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// The sheet on which a role is chosen.
struct RoleSheet {
    title: String,
    note: Option<&'static str>,
    action: String,
    button: &'static str,
    email: Option<String>,
    role: String,
}

fn role_page(services: &Services, viewer: &Viewer, access: &Access, sheet: RoleSheet, errors: FieldErrors) -> Response {
    let (t, c) = (Members::of(viewer.look.lang), Common::of(viewer.look.lang));
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = RolePage {
        chrome: Chrome::account(viewer, services, access, Place::Members),
        t,
        e: Errors::of(viewer.look.lang),
        title: sheet.title,
        note: sheet.note,
        action: sheet.action,
        back: format!("/a/{}/members", access.account.handle),
        button: sheet.button,
        email: sheet.email,
        roles: Role::ALL.map(|role| (role.as_str(), role_name(c, role), role.as_str() == sheet.role)).into(),
        errors,
    };
    render(status, &page)
}

fn invite_sheet(viewer: &Viewer, access: &Access, email: &str, role: &str) -> RoleSheet {
    let t = Members::of(viewer.look.lang);
    RoleSheet {
        title: t.invite_title.to_owned(),
        note: None,
        action: format!("/a/{}/members/invite", access.account.handle),
        button: t.invite_create,
        email: Some(email.to_owned()),
        role: role.to_owned(),
    }
}
async fn invite_form(State(services): State<Services>, viewer: Viewer, Path(account): Path<String>) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let sheet = invite_sheet(&viewer, &access, "", Role::Member.as_str());
    Ok(role_page(&services, &viewer, &access, sheet, FieldErrors::default()))
}
async fn invite(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let t = Members::of(viewer.look.lang);
    let mut errors = FieldErrors::default();
    let role = form.text("role").parse::<Role>().map_err(|_| errors.add("role", t.bad_role)).ok();
    let email = form.some("email").map(|text| text.parse::<Email>().map_err(|_| errors.add("email", t.bad_email)));
    let (Some(role), Ok(email)) = (role, email.transpose()) else {
        let sheet = invite_sheet(&viewer, &access, form.text("email"), form.text("role"));
        return Ok(role_page(&services, &viewer, &access, sheet, errors));
    };
    let handle = access.account.handle.as_str();
    let made = services.invitation_create(&viewer.principal, handle, InvitationInput { role, email }).await?;
    // Without a public address, the one that this browser came by: it is shown to this browser alone.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let base = services.public_url.clone().unwrap_or_else(|| format!("http://{host}"));
    let page = Shown {
        chrome: Chrome::account(&viewer, &services, &access, Place::Members),
        title: t.link_title,
        once: t.link_once,
        secret: format!("{base}{}", invitation_path(&made.plain)),
        copy: t.copy,
        done: t.done,
        done_href: format!("/a/{handle}/members"),
    };
    Ok(render(StatusCode::OK, &page))
}

/// A member of the account, whichever page of the list it is on.
async fn member(services: &Services, viewer: &Viewer, access: &Access, user: &str) -> Result<Member, ServiceError> {
    let none = || ServiceError::NotFound(Noun::Member);
    let user: Id<User> = user.parse().map_err(|_| none())?;
    let mut page = PageRequest { cursor: None, limit: PageRequest::MOST };
    loop {
        let members = services.member_list(&viewer.principal, access.account.handle.as_str(), &page).await?;
        if let Some(found) = members.data.into_iter().find(|member| member.user == user) {
            return Ok(found);
        }
        page.cursor = Some(members.next_cursor.ok_or_else(none)?);
    }
}

fn role_sheet(viewer: &Viewer, access: &Access, member: &Member, role: &str) -> RoleSheet {
    let t = Members::of(viewer.look.lang);
    RoleSheet {
        title: fill(t.change_role_of, &[&member.name]),
        note: (member.source == RoleSource::Group).then_some(t.group_note),
        action: format!("/a/{}/members/{}/role", access.account.handle, member.user),
        button: t.save,
        email: None,
        role: role.to_owned(),
    }
}
async fn role_form(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, user)): Path<(String, String)>,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let member = member(&services, &viewer, &access, &user).await?;
    let sheet = role_sheet(&viewer, &access, &member, member.role.as_str());
    Ok(role_page(&services, &viewer, &access, sheet, FieldErrors::default()))
}
async fn role_set(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, user)): Path<(String, String)>,
    form: Form,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let member = member(&services, &viewer, &access, &user).await?;
    let (t, handle) = (Members::of(viewer.look.lang), access.account.handle.as_str());
    let mut errors = FieldErrors::default();
    match form.text("role").parse::<Role>() {
        Err(_) => errors.add("role", t.bad_role),
        Ok(role) => {
            let change = MemberChange { role };
            match services.member_edit(&viewer.principal, handle, member.user, change).await {
                Ok(_) => return Ok(viewer.go_saying(&after(&viewer, handle, &member, role), Flash::Saved)),
                Err(ServiceError::State(_)) => errors.add("role", t.last_owner),
                Err(error) => return Err(error.into()),
            }
        }
    }
    let sheet = role_sheet(&viewer, &access, &member, form.text("role"));
    Ok(role_page(&services, &viewer, &access, sheet, errors))
}

/// Where one goes on: whoever is no owner any more does not see the members.
fn after(viewer: &Viewer, handle: &str, member: &Member, role: Role) -> String {
    let still = role == Role::Owner || member.user != viewer.principal.user().id || viewer.principal.is_operator();
    if still { format!("/a/{handle}/members") } else { format!("/a/{handle}/keys") }
}

fn remove_sheet(services: &Services, viewer: &Viewer, access: &Access, member: &Member) -> Ask {
    let t = Members::of(viewer.look.lang);
    let group = (member.source == RoleSource::Group).then_some(t.remove_group);
    Ask {
        chrome: Chrome::account(viewer, services, access, Place::Members),
        title: fill(t.remove_title, &[&member.name]),
        lines: [Some(t.remove_what), group].into_iter().flatten().collect(),
        wrong: None,
        action: format!("/a/{}/members/{}/remove", access.account.handle, member.user),
        back: format!("/a/{}/members", access.account.handle),
        button: t.remove,
    }
}
async fn remove_ask(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, user)): Path<(String, String)>,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let member = member(&services, &viewer, &access, &user).await?;
    Ok(remove_sheet(&services, &viewer, &access, &member).page())
}
async fn remove(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, user)): Path<(String, String)>,
    _: Form,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let member = member(&services, &viewer, &access, &user).await?;
    let handle = access.account.handle.as_str();
    match services.member_remove(&viewer.principal, handle, member.user).await {
        Ok(_) if member.user == viewer.principal.user().id && !viewer.principal.is_operator() => Ok(viewer.go("/")),
        Ok(_) => Ok(viewer.go_saying(&format!("/a/{handle}/members"), Flash::MemberRemoved)),
        Err(ServiceError::State(_)) => {
            let mut sheet = remove_sheet(&services, &viewer, &access, &member);
            sheet.wrong = Some(Members::of(viewer.look.lang).last_owner);
            Ok(sheet.page())
        }
        Err(error) => Err(error.into()),
    }
}

async fn revoke_ask(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, invitation)): Path<(String, String)>,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let id: Id<Invitation> = invitation.parse().map_err(|_| ServiceError::NotFound(Noun::Invitation))?;
    let (t, handle) = (Members::of(viewer.look.lang), access.account.handle.as_str());
    let ask = Ask {
        chrome: Chrome::account(&viewer, &services, &access, Place::Members),
        title: t.revoke_title.to_owned(),
        lines: vec![t.revoke_what],
        wrong: None,
        action: format!("/a/{handle}/invitations/{id}/revoke"),
        back: format!("/a/{handle}/members"),
        button: t.revoke,
    };
    Ok(ask.page())
}
async fn revoke(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, invitation)): Path<(String, String)>,
    _: Form,
) -> Paged {
    let access = owned(&services, &viewer, &account).await?;
    let id: Id<Invitation> = invitation.parse().map_err(|_| ServiceError::NotFound(Noun::Invitation))?;
    let handle = access.account.handle.as_str();
    services.invitation_revoke(&viewer.principal, handle, id).await?;
    Ok(viewer.go_saying(&format!("/a/{handle}/members"), Flash::InvitationRevoked))
}

#[cfg(test)]
mod tests {
    use super::super::{Lang, Look, hostile};
    use super::*;

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            let chrome = || Chrome::bare(Look { lang, ..Look::default() });
            let t = Members::of(lang);
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                let row = |by_group| MemberRow {
                    id: "user_1".into(),
                    name: text(),
                    email: Some(text()),
                    role: "owner",
                    by_group,
                    is_me: by_group,
                    disabled: by_group,
                };
                let invitation = |open| InvitationRow {
                    id: "inv_1".into(),
                    whom: text(),
                    role: "owner",
                    by: text(),
                    until: When("2026-11-20T08:05:09Z".parse().unwrap()),
                    open,
                    status: t.open,
                };
                let page = MembersPage {
                    chrome: chrome(),
                    t,
                    handle: "default".into(),
                    members: vec![row(true), row(false)],
                    next: Some(text()),
                    invitations: vec![invitation(true), invitation(false)],
                };
                hostile::check(&page.render().unwrap(), name);
                let mut errors = FieldErrors::default();
                errors.add("role", text());
                errors.add("email", text());
                let page = RolePage {
                    chrome: chrome(),
                    t,
                    e: Errors::of(lang),
                    title: text(),
                    note: Some("n"),
                    action: "/x".into(),
                    back: "/y".into(),
                    button: "b",
                    email: Some(text()),
                    roles: vec![("owner", "owner", true)],
                    errors,
                };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }
}
