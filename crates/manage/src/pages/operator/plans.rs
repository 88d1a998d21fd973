//! Plans: listed, made, edited, removed.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{
    Plan,
    name::{Handle, Label},
};

use super::{Asked, Operator, Pager, Which, in_force};
use crate::{
    pages::{
        Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer, When, render,
        sheet::Confirm,
        texts::{Errors, OpCommon, OpPlans, fill, plural},
    },
    services::{PlanChange, PlanInput, ServiceError, Services},
};

const HERE: &str = "/operator/plans";

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route(HERE, get(list))
        .route("/operator/plans/new", get(create_form).post(create))
        .route("/operator/plans/{plan}/edit", get(edit_form).post(edit))
        .route("/operator/plans/{plan}/remove", get(remove_ask).post(remove))
}

struct Row {
    id: String,
    handle: String,
    name: String,
    paid: bool,
    accounts: String,
    created: When,
}

#[derive(Template)]
#[template(path = "operator/plans.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static OpPlans,
    c: &'static OpCommon,
    rows: Vec<Row>,
    pager: Pager,
}

/// What was typed for a plan.
#[derive(Default)]
struct Typed {
    handle: String,
    name: String,
    paid: bool,
}

#[derive(Template)]
#[template(path = "operator/plan_form.html")]
struct FormPage {
    chrome: Chrome,
    t: &'static OpPlans,
    c: &'static OpCommon,
    e: &'static Errors,
    title: String,
    action: String,
    /// Absent for a new one.
    version: Option<i64>,
    now: Option<String>,
    /// What stops if it is paid no more: to be ticked first.
    stops: Option<String>,
    typed: Typed,
    errors: FieldErrors,
}

async fn list(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let lang = viewer.look.lang;
    let plans = services.plan_overview(&viewer.principal, &asked.page()).await?;
    let pager = Pager::of(HERE, &[], &asked, &plans);
    let row = |line: tollgate_store::accounts::PlanLine| Row {
        id: line.plan.id.to_string(),
        handle: line.plan.handle.to_string(),
        name: line.plan.name.to_string(),
        paid: line.plan.paid,
        accounts: lang.count(line.accounts),
        created: When(line.plan.created_at),
    };
    let page = ListPage {
        chrome: Chrome::operator(&viewer, Place::Plans),
        t: OpPlans::of(lang),
        c: OpCommon::of(lang),
        rows: plans.data.into_iter().map(row).collect(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}

/// The form of a new plan, or of one that is there.
fn form_page(viewer: &Viewer, plan: Option<&Plan>, typed: Typed, errors: FieldErrors) -> FormPage {
    let t = OpPlans::of(viewer.look.lang);
    FormPage {
        chrome: Chrome::operator(viewer, Place::Plans),
        t,
        c: OpCommon::of(viewer.look.lang),
        e: Errors::of(viewer.look.lang),
        title: plan.map_or_else(|| t.create.to_owned(), |plan| fill(t.edit_of, &[&plan.name])),
        action: plan.map_or_else(|| format!("{HERE}/new"), |plan| format!("{HERE}/{}/edit", plan.id)),
        version: plan.map(|plan| plan.version),
        now: None,
        stops: None,
        typed,
        errors,
    }
}
fn wrong(page: &FormPage) -> Paged {
    Ok(render(StatusCode::UNPROCESSABLE_ENTITY, page))
}

async fn create_form(Operator(viewer): Operator) -> Paged {
    let typed = Typed { paid: true, ..Typed::default() };
    Ok(render(StatusCode::OK, &form_page(&viewer, None, typed, FieldErrors::default())))
}

async fn create(State(services): State<Services>, Operator(viewer): Operator, form: Form) -> Paged {
    let (t, e) = (OpPlans::of(viewer.look.lang), Errors::of(viewer.look.lang));
    let typed = Typed { handle: form.text("handle").into(), name: form.text("name").into(), paid: form.ticked("paid") };
    let mut errors = FieldErrors::default();
    let handle = typed.handle.parse::<Handle>().map_err(|_| errors.add("handle", t.bad_code)).ok();
    let name = match typed.name.as_str() {
        "" => None,
        name => name.parse::<Label>().map_err(|_| errors.add("name", e.bad_name)).ok(),
    };
    let (Some(handle), true) = (handle, errors.is_empty()) else {
        return wrong(&form_page(&viewer, None, typed, errors));
    };
    match services.plan_create(&viewer.principal, PlanInput { handle, name, paid: typed.paid }).await {
        Ok(_) => Ok(viewer.go_saying(HERE, Flash::Saved)),
        Err(ServiceError::Exists(_)) => {
            errors.add("handle", t.code_taken);
            wrong(&form_page(&viewer, None, typed, errors))
        }
        Err(error) => Err(error.into()),
    }
}

async fn edit_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let plan = services.plan_get(&viewer.principal, &named).await?;
    let typed = Typed { handle: plan.handle.to_string(), name: plan.name.to_string(), paid: plan.paid };
    Ok(render(StatusCode::OK, &form_page(&viewer, Some(&plan), typed, FieldErrors::default())))
}

async fn edit(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, form: Form) -> Paged {
    let lang = viewer.look.lang;
    let (t, e, c) = (OpPlans::of(lang), Errors::of(lang), OpCommon::of(lang));
    let plan = services.plan_get(&viewer.principal, &named).await?;
    let typed = Typed { handle: plan.handle.to_string(), name: form.text("name").into(), paid: form.ticked("paid") };
    let mut errors = FieldErrors::default();
    let Ok(name) = typed.name.parse::<Label>() else {
        errors.add("name", e.bad_name);
        return wrong(&form_page(&viewer, Some(&plan), typed, errors));
    };
    if plan.paid && !typed.paid && !form.ticked("confirm") {
        let (accounts, keys) = services.plan_holds(&viewer.principal, plan.id).await?;
        if keys > 0 {
            let stops = fill(t.unpaid_stops, &[&lang.count(accounts), &lang.count(keys)]);
            errors.add("confirm", stops.clone());
            return wrong(&FormPage { stops: Some(stops), ..form_page(&viewer, Some(&plan), typed, errors) });
        }
    }
    let change = PlanChange { name: Some(name), paid: Some(typed.paid) };
    match services.plan_edit(&viewer.principal, &named, change, Some(form.version())).await {
        Ok(done) if plan.paid != done.value.paid => Ok(viewer.go_saying(HERE, in_force(&done))),
        Ok(_) => Ok(viewer.go_saying(HERE, Flash::Saved)),
        Err(ServiceError::VersionConflict) => {
            errors.add("", e.conflict_title);
            let paid = if plan.paid { c.yes } else { c.no };
            let what = format!("{}; {}: {paid}", plan.name, t.paid);
            let page = form_page(&viewer, Some(&plan), typed, errors);
            wrong(&FormPage { now: Some(fill(c.conflict_now, &[&what])), ..page })
        }
        Err(error) => Err(error.into()),
    }
}

/// The question before a removal, or why it cannot be.
async fn remove_sheet(services: &Services, viewer: &Viewer, plan: &Plan) -> Result<Confirm, ServiceError> {
    let lang = viewer.look.lang;
    let t = OpPlans::of(lang);
    let (accounts, _) = services.plan_holds(&viewer.principal, plan.id).await?;
    let line = if accounts == 0 { t.remove_means.to_owned() } else { plural(lang, accounts, t.in_use_one, t.in_use) };
    Ok(Confirm {
        title: fill(t.remove_of, &[&plan.name]),
        lines: vec![line],
        action: format!("{HERE}/{}/remove", plan.id),
        back: HERE.to_owned(),
        button: OpCommon::of(lang).remove,
        possible: accounts == 0,
        ..Confirm::new(lang)
    })
}

async fn remove_ask(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let plan = services.plan_get(&viewer.principal, &named).await?;
    let sheet = remove_sheet(&services, &viewer, &plan).await?;
    Ok(sheet.page(Chrome::operator(&viewer, Place::Plans)))
}

async fn remove(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, _: Form) -> Paged {
    let plan = services.plan_get(&viewer.principal, &named).await?;
    match services.plan_remove(&viewer.principal, &named).await {
        Ok(()) => Ok(viewer.go_saying(HERE, Flash::Saved)),
        Err(ServiceError::InUse(_)) => {
            let sheet = remove_sheet(&services, &viewer, &plan).await?;
            let why = Errors::of(viewer.look.lang).state_title;
            Ok(sheet.refused(Chrome::operator(&viewer, Place::Plans), why))
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
                let (t, c, e) = (OpPlans::of(lang), OpCommon::of(lang), Errors::of(lang));
                let chrome = || Chrome::bare(Look { lang, ..Look::default() });
                let row = Row {
                    id: "plan_1".into(),
                    handle: "pro".into(),
                    name: (*name).into(),
                    paid: true,
                    accounts: "1".into(),
                    created: When(tollgate_core::Timestamp::default()),
                };
                let pager = Pager { first: None, next: None };
                hostile::check(&ListPage { chrome: chrome(), t, c, rows: vec![row], pager }.render().unwrap(), name);
                let mut errors = FieldErrors::default();
                errors.add("name", *name);
                let form = FormPage {
                    chrome: chrome(),
                    t,
                    c,
                    e,
                    title: (*name).into(),
                    action: "/x".into(),
                    version: Some(1),
                    now: Some((*name).into()),
                    stops: Some((*name).into()),
                    typed: Typed { handle: (*name).into(), name: (*name).into(), paid: true },
                    errors,
                };
                hostile::check(&form.render().unwrap(), name);
            }
        }
    }
}
