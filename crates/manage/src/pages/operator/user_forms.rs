//! Making a user and changing it: each a sheet of its own.

use askama::Template;
use axum::{
    Router,
    extract::State,
    routing::{MethodRouter, get},
};
use http::StatusCode;
use tollgate_core::{
    Role, User,
    name::{Email, Label},
};

use super::{
    Operator, Which, in_force, said_of,
    users::{HERE, user},
};
use crate::{
    pages::{
        Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer,
        chrome::role_name,
        once, render,
        sheet::Confirm,
        texts::{Common, Errors, OpCommon, OpUsers, fill},
    },
    services::{MembershipChange, MembershipInput, ServiceError, Services, UserChange, UserInput},
};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/operator/users/new", get(create_form).post(create))
        .route("/operator/users/{user}/edit", get(edit_form).post(edit))
        .route("/operator/users/{user}/membership", get(membership_form).post(membership))
        .route("/operator/users/{user}/disable", switch(true))
        .route("/operator/users/{user}/enable", switch(false))
}

/// What was typed.
#[derive(Default)]
struct Typed {
    name: String,
    email: String,
    operator: bool,
    account: String,
    role: String,
}

impl Typed {
    fn of(form: &Form) -> Self {
        let field = |name| form.text(name).to_owned();
        Self {
            name: field("name"),
            email: field("email"),
            operator: form.ticked("operator"),
            account: field("account"),
            role: field("role"),
        }
    }
}

#[derive(Template)]
#[template(path = "operator/user_form.html")]
struct FormPage {
    chrome: Chrome,
    t: &'static OpUsers,
    c: &'static OpCommon,
    e: &'static Errors,
    title: String,
    action: String,
    back: String,
    button: &'static str,
    version: Option<i64>,
    /// A value of this form alone: a repeat makes no second user.
    once: Option<String>,
    now: Option<String>,
    /// The fields of the user itself are there, and those of a membership.
    own: bool,
    part: bool,
    /// A membership can be taken away.
    removable: bool,
    roles: Vec<(&'static str, &'static str)>,
    typed: Typed,
    errors: FieldErrors,
}

/// Which of the three forms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Edit,
    Membership,
}

fn form_page(viewer: &Viewer, kind: Kind, user: Option<&User>, typed: Typed, errors: FieldErrors) -> FormPage {
    let lang = viewer.look.lang;
    let (t, c, words) = (OpUsers::of(lang), OpCommon::of(lang), Common::of(lang));
    let name = user.map(|user| user.name.to_string()).unwrap_or_default();
    let back = user.map_or_else(|| HERE.to_owned(), |user| format!("{HERE}/{}", user.id));
    let (title, action) = match kind {
        Kind::Create => (t.create.to_owned(), format!("{HERE}/new")),
        Kind::Edit => (fill(t.edit_of, &[&name]), format!("{back}/edit")),
        Kind::Membership => (fill(t.membership_of, &[&name]), format!("{back}/membership")),
    };
    FormPage {
        chrome: Chrome::operator(viewer, Place::Users),
        t,
        c,
        e: Errors::of(lang),
        title,
        action,
        back,
        button: if kind == Kind::Create { t.create } else { c.save },
        version: user.map(|user| user.version),
        once: None,
        now: None,
        own: kind != Kind::Membership,
        part: kind != Kind::Edit,
        removable: kind == Kind::Membership,
        roles: Role::ALL.map(|role| (role.as_str(), role_name(words, role))).into(),
        typed,
        errors,
    }
}
fn wrong(page: &FormPage) -> Paged {
    Ok(render(StatusCode::UNPROCESSABLE_ENTITY, page))
}

/// Name and address as typed; notes what is wrong with them.
fn own_fields(typed: &Typed, viewer: &Viewer, errors: &mut FieldErrors) -> (Option<Label>, Option<Email>) {
    let (t, e) = (OpUsers::of(viewer.look.lang), Errors::of(viewer.look.lang));
    let name = typed.name.parse().map_err(|_| errors.add("name", e.bad_name)).ok();
    let email = match typed.email.as_str() {
        "" => None,
        email => email.parse().map_err(|_| errors.add("email", t.bad_email)).ok(),
    };
    (name, email)
}

/// Says a refusal beside its field; `false` where it is none of a field's.
fn field_refusal(error: &ServiceError, t: &'static OpUsers, errors: &mut FieldErrors) -> bool {
    match (error, said_of(error)) {
        (ServiceError::Exists(_), _) => errors.add("email", t.email_taken),
        (_, Some(("memberships", _))) => errors.add("account", t.unknown_account),
        (ServiceError::State(_), _) => errors.add("operator", t.last_operator),
        _ => return false,
    }
    true
}

/// The form of a new user.
fn create_page(viewer: &Viewer, once: String, typed: Typed, errors: FieldErrors) -> FormPage {
    FormPage { once: Some(once), ..form_page(viewer, Kind::Create, None, typed, errors) }
}

async fn create_form(State(services): State<Services>, Operator(viewer): Operator) -> Paged {
    let typed = Typed { role: Role::Member.as_str().to_owned(), ..Typed::default() };
    let page = create_page(&viewer, once::once(&services), typed, FieldErrors::default());
    Ok(render(StatusCode::OK, &page))
}

async fn create(State(services): State<Services>, Operator(viewer): Operator, form: Form) -> Paged {
    let t = OpUsers::of(viewer.look.lang);
    let (typed, sent) = (Typed::of(&form), once::sent(&form, &services));
    let mut errors = FieldErrors::default();
    let (name, email) = own_fields(&typed, &viewer, &mut errors);
    let memberships = match (typed.account.as_str(), typed.role.parse()) {
        ("", _) | (_, Err(_)) => Vec::new(),
        (account, Ok(role)) => vec![MembershipInput { account: account.to_owned(), role }],
    };
    let (Some(name), true) = (name, errors.is_empty()) else {
        return wrong(&create_page(&viewer, sent, typed, errors));
    };
    let input = UserInput { name, email, operator: typed.operator, memberships };
    match services.user_create(&viewer.principal, input, Some(sent.clone())).await {
        Ok(user) => Ok(viewer.go_saying(&format!("{HERE}/{}", user.id), Flash::Saved)),
        Err(ServiceError::AlreadyCreated(_)) => {
            errors.add("", t.made_before);
            // Sending this one again is a decision.
            let page = create_page(&viewer, once::once(&services), typed, errors);
            Ok(render(StatusCode::CONFLICT, &page))
        }
        Err(error) if field_refusal(&error, t, &mut errors) => wrong(&create_page(&viewer, sent, typed, errors)),
        Err(error) => Err(error.into()),
    }
}

async fn edit_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let user = user(&services, &viewer, &named).await?;
    let typed = Typed {
        name: user.name.to_string(),
        email: user.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        operator: user.operator,
        ..Typed::default()
    };
    Ok(render(StatusCode::OK, &form_page(&viewer, Kind::Edit, Some(&user), typed, FieldErrors::default())))
}

async fn edit(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, form: Form) -> Paged {
    let lang = viewer.look.lang;
    let user = user(&services, &viewer, &named).await?;
    let typed = Typed::of(&form);
    let mut errors = FieldErrors::default();
    let (name, email) = own_fields(&typed, &viewer, &mut errors);
    if !errors.is_empty() {
        return wrong(&form_page(&viewer, Kind::Edit, Some(&user), typed, errors));
    }
    // Only what differs is named: an address that stays is not vouched for anew.
    let change = UserChange {
        name,
        email: (email != user.email).then_some(email),
        operator: (typed.operator != user.operator).then_some(typed.operator),
        ..UserChange::default()
    };
    match services.user_edit(&viewer.principal, user.id, change, Some(form.version())).await {
        Ok(done) => {
            let flash = if typed.operator == user.operator { Flash::Saved } else { in_force(&done) };
            Ok(viewer.go_saying(&format!("{HERE}/{}", user.id), flash))
        }
        Err(ServiceError::VersionConflict) => {
            errors.add("", Errors::of(lang).conflict_title);
            let email = user.email.as_ref().map_or("–", Email::as_str);
            let now = fill(OpCommon::of(lang).conflict_now, &[&format_args!("{}, {email}", user.name)]);
            wrong(&FormPage { now: Some(now), ..form_page(&viewer, Kind::Edit, Some(&user), typed, errors) })
        }
        Err(error) if field_refusal(&error, OpUsers::of(lang), &mut errors) => {
            wrong(&form_page(&viewer, Kind::Edit, Some(&user), typed, errors))
        }
        Err(error) => Err(error.into()),
    }
}

async fn membership_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let user = user(&services, &viewer, &named).await?;
    let first = user.memberships.first();
    let typed = Typed {
        account: first.map(|own| own.account_handle.to_string()).unwrap_or_default(),
        role: first.map_or(Role::Member, |own| own.role).as_str().to_owned(),
        ..Typed::default()
    };
    Ok(render(StatusCode::OK, &form_page(&viewer, Kind::Membership, Some(&user), typed, FieldErrors::default())))
}

async fn membership(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    form: Form,
) -> Paged {
    let (t, c) = (OpUsers::of(viewer.look.lang), OpCommon::of(viewer.look.lang));
    let user = user(&services, &viewer, &named).await?;
    let typed = Typed::of(&form);
    let mut errors = FieldErrors::default();
    if typed.account.is_empty() {
        errors.add("account", t.unknown_account);
        return wrong(&form_page(&viewer, Kind::Membership, Some(&user), typed, errors));
    }
    let part = MembershipChange { account: typed.account.clone(), role: typed.role.parse().ok() };
    let change = UserChange { memberships: vec![part], ..UserChange::default() };
    match services.user_edit(&viewer.principal, user.id, change, Some(form.version())).await {
        Ok(done) => Ok(viewer.go_saying(&format!("{HERE}/{}", user.id), in_force(&done))),
        Err(ServiceError::VersionConflict) => {
            errors.add("", Errors::of(viewer.look.lang).conflict_title);
            let words = Common::of(viewer.look.lang);
            let parts = user.memberships.iter();
            let parts: Vec<String> =
                parts.map(|own| format!("{} ({})", own.account_handle, role_name(words, own.role))).collect();
            let parts = if parts.is_empty() { "–".to_owned() } else { parts.join(", ") };
            let now = fill(c.conflict_now, &[&format_args!("{}: {parts}", user.name)]);
            wrong(&FormPage { now: Some(now), ..form_page(&viewer, Kind::Membership, Some(&user), typed, errors) })
        }
        Err(error) if field_refusal(&error, t, &mut errors) => {
            wrong(&form_page(&viewer, Kind::Membership, Some(&user), typed, errors))
        }
        Err(error) => Err(error.into()),
    }
}

/// The question before a user is disabled or enabled.
async fn sheet(services: &Services, viewer: &Viewer, user: &User, disable: bool) -> Result<Confirm, ServiceError> {
    let lang = viewer.look.lang;
    let t = OpUsers::of(lang);
    let holds = services.user_holds(&viewer.principal, user.id).await?;
    let counts = [&holds.keys, &holds.tokens, &holds.sessions].map(|count| lang.count(*count));
    let [keys, tokens, sessions] = &counts;
    let back = format!("{HERE}/{}", user.id);
    let lines = if disable {
        vec![fill(t.disable_stops, &[keys, tokens, sessions]), t.disable_means.to_owned()]
    } else {
        vec![fill(t.enable_means, &[keys])]
    };
    Ok(Confirm {
        title: fill(if disable { t.disable_of } else { t.enable_of }, &[&user.name]),
        lines,
        action: format!("{back}/{}", if disable { "disable" } else { "enable" }),
        back,
        button: if disable { t.disable } else { t.enable },
        harmful: disable,
        version: Some(user.version),
        ..Confirm::new(lang)
    })
}
/// The sheet that asks whether to disable or enable a user, and its deed.
fn switch(disable: bool) -> MethodRouter<Services> {
    get(move |services, viewer, named| ask(services, viewer, named, disable))
        .post(move |services, viewer, named, form| act(services, viewer, named, form, disable))
}
async fn ask(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    disable: bool,
) -> Paged {
    let user = user(&services, &viewer, &named).await?;
    Ok(sheet(&services, &viewer, &user, disable).await?.page(Chrome::operator(&viewer, Place::Users)))
}
async fn act(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    form: Form,
    disable: bool,
) -> Paged {
    let user = user(&services, &viewer, &named).await?;
    let change = UserChange { disabled: Some(disable), ..UserChange::default() };
    let why = match services.user_edit(&viewer.principal, user.id, change, Some(form.version())).await {
        Ok(done) => return Ok(viewer.go_saying(&format!("{HERE}/{}", user.id), in_force(&done))),
        Err(ServiceError::State(_)) => OpUsers::of(viewer.look.lang).last_operator,
        Err(ServiceError::VersionConflict) => OpCommon::of(viewer.look.lang).asked_before,
        Err(error) => return Err(error.into()),
    };
    let sheet = sheet(&services, &viewer, &user, disable).await?;
    Ok(sheet.refused(Chrome::operator(&viewer, Place::Users), why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Lang, Look, hostile};

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                for is_new in [true, false] {
                    let mut errors = FieldErrors::default();
                    for field in ["", "name", "email", "operator", "account"] {
                        errors.add(field, *name);
                    }
                    let page = FormPage {
                        chrome: Chrome::bare(Look { lang, ..Look::default() }),
                        t: OpUsers::of(lang),
                        c: OpCommon::of(lang),
                        e: Errors::of(lang),
                        title: text(),
                        action: "/x".into(),
                        back: "/y".into(),
                        button: "b",
                        version: (!is_new).then_some(1),
                        once: is_new.then(text),
                        now: Some(text()),
                        own: true,
                        part: true,
                        removable: !is_new,
                        roles: vec![("owner", "Owner")],
                        typed: Typed { name: text(), email: text(), operator: true, account: text(), role: text() },
                        errors,
                    };
                    hostile::check(&page.render().unwrap(), name);
                }
            }
        }
    }
}
