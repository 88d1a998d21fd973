//! Making an account and changing it: each a sheet of its own.

use askama::Template;
use axum::{
    Router,
    extract::State,
    routing::{MethodRouter, get},
};
use http::StatusCode;
use tollgate_core::{
    Plan, Timestamp,
    leak::OnLeak,
    name::{Handle, Label},
};
use tollgate_store::PageRequest;

use super::{Operator, Which, accounts::on_leak_word, in_force, parse_utc, said_of, utc_field};
use crate::{
    pages::{
        Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer, render,
        sheet::{Confirm, Rename},
        texts::{Errors, OpAccounts, OpCommon, fill, plural},
    },
    services::{AccountChange, AccountInput, ServiceError, Services},
};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/operator/accounts/new", get(create_form).post(create))
        .route("/operator/accounts/{account}/edit", get(rename_form).post(rename))
        .route("/operator/accounts/{account}/plan", get(plan_form).post(plan_set))
        .route("/operator/accounts/{account}/leaks", get(leaks_form).post(leaks_set))
        .route("/operator/accounts/{account}/lapse", Act::Lapse.sheet())
        .route("/operator/accounts/{account}/suspend", Act::Suspend.sheet())
        .route("/operator/accounts/{account}/resume", Act::Resume.sheet())
}

/// What was typed for a new account.
#[derive(Default)]
struct Typed {
    handle: String,
    name: String,
    plan: String,
    until: String,
    owner: String,
}

#[derive(Template)]
#[template(path = "operator/account_create.html")]
struct CreatePage {
    chrome: Chrome,
    t: &'static OpAccounts,
    e: &'static Errors,
    plans: Vec<Plan>,
    typed: Typed,
    errors: FieldErrors,
}

#[derive(Template)]
#[template(path = "operator/account_plan.html")]
struct PlanPage {
    chrome: Chrome,
    t: &'static OpAccounts,
    c: &'static OpCommon,
    e: &'static Errors,
    id: String,
    title: String,
    version: i64,
    /// What it is now, where somebody else changed it.
    now: Option<String>,
    plans: Vec<Plan>,
    typed_plan: String,
    typed_until: String,
    errors: FieldErrors,
}

/// All plans, as many as one page of a list holds.
async fn plans(services: &Services, viewer: &Viewer) -> Result<Vec<Plan>, ServiceError> {
    let page = PageRequest { cursor: None, limit: PageRequest::MOST };
    Ok(services.plan_list(&viewer.principal, &page).await?.data)
}

async fn create_page(services: &Services, viewer: &Viewer, typed: Typed, errors: FieldErrors) -> Paged {
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = CreatePage {
        chrome: Chrome::operator(viewer, Place::Accounts),
        t: OpAccounts::of(viewer.look.lang),
        e: Errors::of(viewer.look.lang),
        plans: plans(services, viewer).await?,
        typed,
        errors,
    };
    Ok(render(status, &page))
}

async fn create_form(State(services): State<Services>, Operator(viewer): Operator) -> Paged {
    create_page(&services, &viewer, Typed::default(), FieldErrors::default()).await
}

/// When a plan is to lapse, as typed; notes what is wrong with it.
fn until(text: &str, t: &'static OpAccounts, now: Timestamp, errors: &mut FieldErrors) -> Option<Timestamp> {
    if text.is_empty() {
        return None;
    }
    let at = parse_utc(text);
    match at {
        None => errors.add("until", t.bad_time),
        Some(at) if at <= now => errors.add("until", t.past_time),
        Some(_) => {}
    }
    at
}

async fn create(State(services): State<Services>, Operator(viewer): Operator, form: Form) -> Paged {
    let (t, e) = (OpAccounts::of(viewer.look.lang), Errors::of(viewer.look.lang));
    let field = |name| form.text(name).to_owned();
    let typed = Typed {
        handle: field("handle"),
        name: field("name"),
        plan: field("plan"),
        until: field("until"),
        owner: field("owner"),
    };
    let mut errors = FieldErrors::default();
    let handle = typed.handle.parse::<Handle>().map_err(|_| errors.add("handle", t.bad_handle)).ok();
    let name = match typed.name.as_str() {
        "" => None,
        name => name.parse::<Label>().map_err(|_| errors.add("name", e.bad_name)).ok(),
    };
    let plan = match typed.plan.as_str() {
        "" => None,
        plan => plan.parse::<Handle>().map_err(|_| errors.add("plan", t.unknown_plan)).ok(),
    };
    let plan_until = until(&typed.until, t, services.world.now(), &mut errors);
    if plan_until.is_some() && typed.plan.is_empty() {
        errors.add("until", t.until_without_plan);
    }
    let (Some(handle), true) = (handle, errors.is_empty()) else {
        return create_page(&services, &viewer, typed, errors).await;
    };
    let owner = form.some("owner").map(str::to_owned);
    match services.account_create(&viewer.principal, AccountInput { handle, name, plan, plan_until, owner }).await {
        Ok(made) => Ok(viewer.go_saying(&format!("/operator/accounts/{}", made.value.id), Flash::Saved)),
        Err(error) => {
            match (&error, said_of(&error)) {
                (ServiceError::Exists(_), _) => errors.add("handle", t.handle_taken),
                (_, Some(("owner", _))) => errors.add("owner", t.bad_owner),
                (_, Some(("plan", _))) => errors.add("plan", t.unknown_plan),
                _ => return Err(error.into()),
            }
            create_page(&services, &viewer, typed, errors).await
        }
    }
}

async fn rename_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let account = services.account_line(&viewer.principal, &named).await?.account;
    let sheet = Rename {
        title: OpAccounts::of(viewer.look.lang).rename,
        label: OpAccounts::of(viewer.look.lang).name,
        action: format!("/operator/accounts/{}/edit", account.id),
        back: format!("/operator/accounts/{}", account.id),
        version: account.version,
    };
    Ok(sheet.page(Chrome::operator(&viewer, Place::Accounts), account.name.as_str(), None, FieldErrors::default()))
}

async fn rename(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    form: Form,
) -> Paged {
    let (t, e, c) = (OpAccounts::of(viewer.look.lang), Errors::of(viewer.look.lang), OpCommon::of(viewer.look.lang));
    let account = services.account_line(&viewer.principal, &named).await?.account;
    let back = format!("/operator/accounts/{}", account.id);
    let sheet = Rename {
        title: t.rename,
        label: t.name,
        action: format!("{back}/edit"),
        back: back.clone(),
        version: account.version,
    };
    let chrome = Chrome::operator(&viewer, Place::Accounts);
    let mut errors = FieldErrors::default();
    let Ok(name) = form.text("name").parse::<Label>() else {
        errors.add("name", e.bad_name);
        return Ok(sheet.page(chrome, form.text("name"), None, errors));
    };
    let change = AccountChange { name: Some(name), ..AccountChange::default() };
    match services.account_edit(&viewer.principal, &named, change, Some(form.version())).await {
        Ok(_) => Ok(viewer.go_saying(&back, Flash::Saved)),
        Err(ServiceError::VersionConflict) => {
            errors.add("", e.conflict_title);
            let now = fill(c.conflict_now, &[&account.name]);
            Ok(sheet.page(chrome, form.text("name"), Some(now), errors))
        }
        Err(error) => Err(error.into()),
    }
}

/// The sheet of an account's plan; `typed` is what was typed, else what it is.
async fn plan_page(
    services: &Services,
    viewer: &Viewer,
    named: &str,
    typed: Option<(&str, &str)>,
    conflict: bool,
    errors: FieldErrors,
) -> Paged {
    let (t, c) = (OpAccounts::of(viewer.look.lang), OpCommon::of(viewer.look.lang));
    let line = services.account_line(&viewer.principal, named).await?;
    let (account, plan_name) = (line.account, line.plan_name);
    let plan = account.subscription.as_ref().map(|plan| plan.plan_handle.to_string()).unwrap_or_default();
    // An end that has passed belonged to the time before.
    let until = account.subscription.as_ref().and_then(|plan| plan.until).filter(|end| *end > services.world.now());
    let until = until.map(utc_field).unwrap_or_default();
    let title = fill(if plan.is_empty() { t.subscribe_of } else { t.change_plan_of }, &[&account.name]);
    let now = conflict.then(|| {
        let what = plan_name.as_ref().map_or(t.no_plan, Label::as_str);
        fill(c.conflict_now, &[&what])
    });
    let (typed_plan, typed_until) = typed.map_or((plan, until), |(plan, until)| (plan.to_owned(), until.to_owned()));
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = PlanPage {
        chrome: Chrome::operator(viewer, Place::Accounts),
        t,
        c,
        e: Errors::of(viewer.look.lang),
        id: account.id.to_string(),
        title,
        version: account.version,
        now,
        plans: plans(services, viewer).await?,
        typed_plan,
        typed_until,
        errors,
    };
    Ok(render(status, &page))
}

async fn plan_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    plan_page(&services, &viewer, &named, None, false, FieldErrors::default()).await
}

async fn plan_set(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    form: Form,
) -> Paged {
    let (t, e) = (OpAccounts::of(viewer.look.lang), Errors::of(viewer.look.lang));
    let typed = Some((form.text("plan"), form.text("until")));
    let mut errors = FieldErrors::default();
    let plan = match form.some("plan") {
        None => None,
        Some(plan) => plan.parse::<Handle>().map_err(|_| errors.add("plan", t.unknown_plan)).ok(),
    };
    let end = until(form.text("until"), t, services.world.now(), &mut errors);
    if end.is_some() && form.some("plan").is_none() {
        errors.add("until", t.until_without_plan);
    }
    if !errors.is_empty() {
        return plan_page(&services, &viewer, &named, typed, false, errors).await;
    }
    let plan_until = plan.is_some().then_some(end);
    let change = AccountChange { plan: Some(plan), plan_until, ..AccountChange::default() };
    match services.account_edit(&viewer.principal, &named, change, Some(form.version())).await {
        Ok(done) => Ok(viewer.go_saying(&format!("/operator/accounts/{}", done.value.id), in_force(&done))),
        Err(ServiceError::VersionConflict) => {
            errors.add("", e.conflict_title);
            plan_page(&services, &viewer, &named, typed, true, errors).await
        }
        Err(error) if said_of(&error).is_some() => {
            errors.add("plan", t.unknown_plan);
            plan_page(&services, &viewer, &named, typed, false, errors).await
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "operator/account_leaks.html")]
struct LeaksPage {
    chrome: Chrome,
    t: &'static OpAccounts,
    c: &'static OpCommon,
    e: &'static Errors,
    id: String,
    title: String,
    version: i64,
    /// What it is now, where somebody else changed the account.
    now: Option<String>,
    choices: [(&'static str, &'static str, bool); 2],
    errors: FieldErrors,
}

/// The sheet of what happens to an account's leaked keys; `typed` is what was chosen, else what it is.
async fn leaks_page(
    services: &Services,
    viewer: &Viewer,
    named: &str,
    typed: Option<OnLeak>,
    errors: FieldErrors,
) -> Paged {
    let (t, c) = (OpAccounts::of(viewer.look.lang), OpCommon::of(viewer.look.lang));
    let account = services.account_line(&viewer.principal, named).await?.account;
    let chosen = typed.unwrap_or(account.on_leak);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = LeaksPage {
        chrome: Chrome::operator(viewer, Place::Accounts),
        t,
        c,
        e: Errors::of(viewer.look.lang),
        id: account.id.to_string(),
        title: fill(t.on_leak_of, &[&account.name]),
        version: account.version,
        now: errors.get("").map(|_| fill(c.conflict_now, &[&on_leak_word(account.on_leak, t)])),
        choices: OnLeak::ALL.map(|what| (what.as_str(), on_leak_word(what, t), what == chosen)),
        errors,
    };
    Ok(render(status, &page))
}

async fn leaks_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    leaks_page(&services, &viewer, &named, None, FieldErrors::default()).await
}

async fn leaks_set(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    form: Form,
) -> Paged {
    let e = Errors::of(viewer.look.lang);
    let mut errors = FieldErrors::default();
    let Ok(on_leak) = form.text("on_leak").parse::<OnLeak>() else {
        errors.add("on_leak", e.check_fields);
        return leaks_page(&services, &viewer, &named, None, errors).await;
    };
    let change = AccountChange { on_leak: Some(on_leak), ..AccountChange::default() };
    match services.account_edit(&viewer.principal, &named, change, Some(form.version())).await {
        Ok(done) => Ok(viewer.go_saying(&format!("/operator/accounts/{}", done.value.id), Flash::Saved)),
        Err(ServiceError::VersionConflict) => {
            errors.add("", e.conflict_title);
            leaks_page(&services, &viewer, &named, Some(on_leak), errors).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What is asked before something of an account stops or goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Suspend,
    Resume,
    Lapse,
}

impl Act {
    /// The sheet that asks, and its deed.
    fn sheet(self) -> MethodRouter<Services> {
        get(move |services, viewer, named| ask(services, viewer, named, self))
            .post(move |services, viewer, named, form| perform(services, viewer, named, form, self))
    }
    const fn path(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Lapse => "lapse",
        }
    }
    fn change(self, now: Timestamp) -> AccountChange {
        match self {
            Self::Suspend => AccountChange { suspended: Some(true), ..AccountChange::default() },
            Self::Resume => AccountChange { suspended: Some(false), ..AccountChange::default() },
            Self::Lapse => AccountChange { plan_until: Some(Some(now)), ..AccountChange::default() },
        }
    }
}

/// The question, about the account as it is now.
async fn question(services: &Services, viewer: &Viewer, named: &str, act: Act) -> Result<Confirm, ServiceError> {
    let lang = viewer.look.lang;
    let t = OpAccounts::of(lang);
    let line = services.account_line(&viewer.principal, named).await?;
    let account = line.account;
    let (title, button) = match act {
        Act::Suspend => (t.suspend_of, t.suspend),
        Act::Resume => (t.resume_of, t.resume),
        Act::Lapse => (t.lapse_of, t.lapse),
    };
    let stops = plural(lang, line.keys, t.stops_key, t.stops_keys);
    let lines = match act {
        Act::Suspend => vec![stops, t.suspend_means.to_owned()],
        Act::Lapse => vec![stops, t.lapse_means.to_owned()],
        Act::Resume => vec![plural(lang, line.keys, t.resumes_key, t.resumes_keys)],
    };
    let back = format!("/operator/accounts/{}", account.id);
    Ok(Confirm {
        title: fill(title, &[&account.name]),
        lines,
        action: format!("{back}/{}", act.path()),
        back,
        button,
        harmful: act != Act::Resume,
        version: Some(account.version),
        ..Confirm::new(lang)
    })
}

async fn ask(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, act: Act) -> Paged {
    let question = question(&services, &viewer, &named, act).await?;
    Ok(question.page(Chrome::operator(&viewer, Place::Accounts)))
}

async fn perform(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    form: Form,
    act: Act,
) -> Paged {
    let change = act.change(services.world.now());
    match services.account_edit(&viewer.principal, &named, change, Some(form.version())).await {
        Ok(done) => Ok(viewer.go_saying(&format!("/operator/accounts/{}", done.value.id), in_force(&done))),
        Err(ServiceError::VersionConflict) => {
            let question = question(&services, &viewer, &named, act).await?;
            let why = OpCommon::of(viewer.look.lang).asked_before;
            Ok(question.refused(Chrome::operator(&viewer, Place::Accounts), why))
        }
        Err(error) => Err(error.into()),
    }
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
                let chrome = || Chrome::bare(Look { lang, ..Look::default() });
                let mut errors = FieldErrors::default();
                for field in ["", "handle", "name", "plan", "until", "owner"] {
                    errors.add(field, *name);
                }
                let plan = |paid| Plan {
                    id: "plan_019ab0c0d1e27f3a8b4c5d6e7f809a1b".parse().unwrap(),
                    handle: "pro".parse().unwrap(),
                    name: name.parse().unwrap(),
                    paid,
                    created_at: Timestamp::default(),
                    version: 1,
                };
                let create = CreatePage {
                    chrome: chrome(),
                    t: OpAccounts::of(lang),
                    e: Errors::of(lang),
                    plans: vec![plan(true), plan(false)],
                    typed: Typed { handle: text(), name: text(), plan: text(), until: text(), owner: text() },
                    errors: errors.clone(),
                };
                hostile::check(&create.render().unwrap(), name);
                let plan = PlanPage {
                    chrome: chrome(),
                    t: OpAccounts::of(lang),
                    c: OpCommon::of(lang),
                    e: Errors::of(lang),
                    id: "acct_1".into(),
                    title: text(),
                    version: 1,
                    now: Some(text()),
                    plans: vec![plan(true), plan(false)],
                    typed_plan: text(),
                    typed_until: text(),
                    errors: errors.clone(),
                };
                hostile::check(&plan.render().unwrap(), name);
                let t = OpAccounts::of(lang);
                errors.add("on_leak", *name);
                let leaks = LeaksPage {
                    chrome: chrome(),
                    t,
                    c: OpCommon::of(lang),
                    e: Errors::of(lang),
                    id: "acct_1".into(),
                    title: text(),
                    version: 1,
                    now: Some(text()),
                    choices: OnLeak::ALL.map(|what| (what.as_str(), on_leak_word(what, t), what == OnLeak::Tell)),
                    errors,
                };
                hostile::check(&leaks.render().unwrap(), name);
            }
        }
    }
}
