//! An account's members and invitations. Owners only: to everybody else of the account it is forbidden, to strangers it
//! does not exist.

use std::collections::HashMap;

use askama::Template;
use axum::{
    Router,
    extract::{FromRequestParts, Path, Query},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode, request::Parts};
use serde::Deserialize;
use tollgate_core::{
    Id, Role, User,
    account::{AccountAction, Invitation, InvitationStatus, RoleSource},
    id::IdKind,
    name::Email,
};
use tollgate_store::{PageRequest, accounts::Member};

use super::{
    Chrome, FieldErrors, Flash, Form, Lang, Paged, Place, Viewer, When,
    address::base_url,
    ask::{Ask, Shown},
    chrome::role_name,
    failure::Failure,
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
    /// The role that was read; of a member.
    was: Option<&'static str>,
    /// What may be chosen: value, words, whether it is.
    roles: Vec<(&'static str, &'static str, bool)>,
    errors: FieldErrors,
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    #[serde(default)]
    cursor: Option<String>,
}

/// One of an account's owners, before its members.
struct Owner {
    services: Services,
    viewer: Viewer,
    access: Access,
    /// What else the path names.
    named: HashMap<String, String>,
}

impl FromRequestParts<Services> for Owner {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        let viewer = Viewer::from_request_parts(parts, services).await?;
        let named = Path::<HashMap<String, String>>::from_request_parts(parts, services).await;
        let Path(named) = named.map_err(|_| ServiceError::NotFound(Noun::Account))?;
        let account = named.get("account").map(String::as_str).unwrap_or_default();
        let access = viewer.enter(services, account).await?;
        access.require(AccountAction::MembersManage)?;
        Ok(Self { services: services.clone(), viewer, access, named })
    }
}

impl Owner {
    fn lang(&self) -> Lang {
        self.viewer.look.lang
    }
    fn t(&self) -> &'static Members {
        Members::of(self.lang())
    }
    fn handle(&self) -> &str {
        self.access.account.handle.as_str()
    }
    /// The list of members.
    fn list(&self) -> String {
        format!("/a/{}/members", self.handle())
    }
    fn chrome(&self) -> Chrome {
        Chrome::account(&self.viewer, &self.services, &self.access, Place::Members)
    }
    /// An id that the path names; what cannot be one is of nothing.
    fn id<K: IdKind>(&self, name: &str, noun: Noun) -> Result<Id<K>, ServiceError> {
        self.named.get(name).and_then(|id| id.parse().ok()).ok_or(ServiceError::NotFound(noun))
    }
    /// The sheet on which a role is chosen.
    fn role_page(&self, sheet: RoleSheet, errors: FieldErrors) -> Response {
        let c = Common::of(self.lang());
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = RolePage {
            chrome: self.chrome(),
            t: self.t(),
            e: Errors::of(self.lang()),
            title: sheet.title,
            note: sheet.note,
            action: sheet.action,
            back: self.list(),
            button: sheet.button,
            email: sheet.email,
            was: sheet.was,
            roles: Role::ALL.map(|role| (role.as_str(), role_name(c, role), role.as_str() == sheet.role)).into(),
            errors,
        };
        render(status, &page)
    }
}

/// An owner before one of the members.
struct Seat {
    owner: Owner,
    member: Member,
}

impl FromRequestParts<Services> for Seat {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        let owner = Owner::from_request_parts(parts, services).await?;
        let user = owner.id::<User>("user", Noun::Member)?;
        let member = services.member_get(&owner.viewer.principal, owner.handle(), user).await?;
        Ok(Self { owner, member })
    }
}

async fn list(owner: Owner, Query(query): Query<ListQuery>) -> Paged {
    let (services, principal) = (&owner.services, &owner.viewer.principal);
    let (t, c) = (owner.t(), Common::of(owner.lang()));
    let page = PageRequest { cursor: query.cursor, limit: 0 };
    let members = services.member_list(principal, owner.handle(), &page).await?;
    let page = PageRequest { cursor: None, limit: INVITATIONS_SHOWN };
    let invitations = services.invitation_list(principal, owner.handle(), &page).await?;
    let (me, now) = (principal.user().id, services.world.now());
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
        chrome: owner.chrome(),
        t,
        handle: owner.handle().to_owned(),
        next: members.next_cursor,
        members: members.data.into_iter().map(member).collect(),
        invitations: invitations.data.into_iter().map(invitation).collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// What is asked for on the sheet on which a role is chosen.
struct RoleSheet {
    title: String,
    note: Option<&'static str>,
    action: String,
    button: &'static str,
    email: Option<String>,
    /// The role that was read; of a member.
    was: Option<&'static str>,
    role: String,
}

fn invite_sheet(owner: &Owner, email: &str, role: &str) -> RoleSheet {
    RoleSheet {
        title: owner.t().invite_title.to_owned(),
        note: None,
        action: format!("{}/invite", owner.list()),
        button: owner.t().invite_create,
        email: Some(email.to_owned()),
        was: None,
        role: role.to_owned(),
    }
}
async fn invite_form(owner: Owner) -> Response {
    owner.role_page(invite_sheet(&owner, "", Role::Member.as_str()), FieldErrors::default())
}
async fn invite(owner: Owner, headers: HeaderMap, form: Form) -> Paged {
    let t = owner.t();
    let mut errors = FieldErrors::default();
    let role = form.text("role").parse::<Role>().map_err(|_| errors.add("role", t.bad_role)).ok();
    let email = form.some("email").map(|text| text.parse::<Email>().map_err(|_| errors.add("email", t.bad_email)));
    let (Some(role), Ok(email)) = (role, email.transpose()) else {
        return Ok(owner.role_page(invite_sheet(&owner, form.text("email"), form.text("role")), errors));
    };
    let (services, input) = (&owner.services, InvitationInput { role, email });
    let made = services.invitation_create(&owner.viewer.principal, owner.handle(), input).await?;
    let base = base_url(services.public_url.as_deref(), &headers);
    let page = Shown {
        chrome: owner.chrome(),
        title: t.link_title,
        once: t.link_once,
        secret: format!("{base}{}", invitation_path(&made.plain)),
        copy: t.copy,
        done: t.done,
        done_href: owner.list(),
    };
    Ok(render(StatusCode::OK, &page))
}

impl Seat {
    fn role_sheet(&self, role: &str) -> RoleSheet {
        let (t, member) = (self.owner.t(), &self.member);
        RoleSheet {
            title: fill(t.change_role_of, &[&member.name]),
            note: (member.source == RoleSource::Group).then_some(t.group_note),
            action: format!("{}/{}/role", self.owner.list(), member.user),
            button: t.save,
            email: None,
            was: Some(member.role.as_str()),
            role: role.to_owned(),
        }
    }
    fn remove_sheet(&self) -> Ask {
        let (t, member) = (self.owner.t(), &self.member);
        let group = (member.source == RoleSource::Group).then_some(t.remove_group);
        Ask {
            chrome: self.owner.chrome(),
            title: fill(t.remove_title, &[&member.name]),
            lines: [Some(t.remove_what), group].into_iter().flatten().collect(),
            wrong: None,
            action: format!("{}/{}/remove", self.owner.list(), member.user),
            back: self.owner.list(),
            button: t.remove,
        }
    }
    /// Where one goes on: whoever is no owner any more does not see the members.
    fn after(&self, role: Option<Role>) -> String {
        let principal = &self.owner.viewer.principal;
        let is_own = self.member.user == principal.user().id && !principal.is_operator();
        match role {
            None if is_own => "/".to_owned(),
            Some(role) if is_own && role != Role::Owner => format!("/a/{}/keys", self.owner.handle()),
            _ => self.owner.list(),
        }
    }
}

async fn role_form(seat: Seat) -> Response {
    seat.owner.role_page(seat.role_sheet(seat.member.role.as_str()), FieldErrors::default())
}
async fn role_set(seat: Seat, form: Form) -> Paged {
    let Seat { owner, member } = &seat;
    let mut errors = FieldErrors::default();
    // A form that does not say what it was made from was not made by us.
    match (form.text("role").parse::<Role>(), form.text("was").parse::<Role>()) {
        (Err(_), _) => errors.add("role", owner.t().bad_role),
        (Ok(_), Err(_)) => errors.add("role", owner.t().role_changed),
        (Ok(role), Ok(was)) => {
            let (principal, change) = (&owner.viewer.principal, MemberChange { role });
            match owner.services.member_edit(principal, owner.handle(), member.user, change, Some(was)).await {
                Ok(_) => return Ok(owner.viewer.go_saying(&seat.after(Some(role)), Flash::Saved)),
                Err(ServiceError::State(_)) => errors.add("role", owner.t().last_owner),
                Err(ServiceError::VersionConflict) => errors.add("role", owner.t().role_changed),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(owner.role_page(seat.role_sheet(form.text("role")), errors))
}

async fn remove_ask(seat: Seat) -> Response {
    seat.remove_sheet().page()
}
async fn remove(seat: Seat, _: Form) -> Paged {
    let Seat { owner, member } = &seat;
    match owner.services.member_remove(&owner.viewer.principal, owner.handle(), member.user).await {
        Ok(_) => Ok(match seat.after(None) {
            start if start == "/" => owner.viewer.go("/"),
            list => owner.viewer.go_saying(&list, Flash::MemberRemoved),
        }),
        Err(ServiceError::State(_)) => Ok(Ask { wrong: Some(owner.t().last_owner), ..seat.remove_sheet() }.page()),
        Err(error) => Err(error.into()),
    }
}

async fn revoke_ask(owner: Owner) -> Paged {
    let id = owner.id::<Invitation>("invitation", Noun::Invitation)?;
    let t = owner.t();
    let ask = Ask {
        chrome: owner.chrome(),
        title: t.revoke_title.to_owned(),
        lines: vec![t.revoke_what],
        wrong: None,
        action: format!("/a/{}/invitations/{id}/revoke", owner.handle()),
        back: owner.list(),
        button: t.revoke,
    };
    Ok(ask.page())
}
async fn revoke(owner: Owner, _: Form) -> Paged {
    let id = owner.id::<Invitation>("invitation", Noun::Invitation)?;
    owner.services.invitation_revoke(&owner.viewer.principal, owner.handle(), id).await?;
    Ok(owner.viewer.go_saying(&owner.list(), Flash::InvitationRevoked))
}

#[cfg(test)]
mod tests {
    use super::super::{Look, hostile};
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
                    was: Some("owner"),
                    roles: vec![("owner", "owner", true)],
                    errors,
                };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }
}
