//! The list of accounts, and each one's page.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{Account, Timestamp, account::Standing, leak::OnLeak};
use tollgate_store::accounts::{AccountFilter, AccountLine};

use super::{Asked, Operator, Pager, Which, account_forms};
use crate::{
    pages::{
        Chrome, Lang, Paged, Place, When, render,
        texts::{OpAccounts, OpCommon, plural},
    },
    services::Services,
};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/operator/accounts", get(list))
        .route("/operator/accounts/{account}", get(show))
        .merge(account_forms::router())
}

/// How an account stands, as a badge.
pub(super) struct StandingMark {
    class: &'static str,
    text: &'static str,
    at: Option<When>,
}

impl StandingMark {
    fn of(account: &Account, now: Timestamp, t: &'static OpAccounts) -> Self {
        let lapsed = account.subscription.as_ref().and_then(|plan| plan.until).filter(|until| *until <= now);
        let (class, text, at) = match (account.standing(now), &account.subscription, lapsed) {
            (Standing::Good, ..) => ("good", t.good, None),
            (Standing::Suspended, ..) => ("bad", t.suspended, account.suspended_at),
            (Standing::PlanRequired, None, _) => ("", t.no_plan, None),
            (Standing::PlanRequired, Some(_), Some(until)) => ("warn", t.lapsed, Some(until)),
            (Standing::PlanRequired, Some(_), None) => ("", t.not_paid, None),
        };
        Self { class, text, at: at.map(When) }
    }
}

struct Row {
    id: String,
    handle: String,
    name: String,
    plan: Option<String>,
    standing: StandingMark,
    members: String,
    keys: String,
    created: When,
}

impl Row {
    fn of(line: AccountLine, now: Timestamp, lang: Lang) -> Self {
        let account = line.account;
        Self {
            standing: StandingMark::of(&account, now, OpAccounts::of(lang)),
            id: account.id.to_string(),
            handle: account.handle.to_string(),
            name: account.name.to_string(),
            plan: line.plan_name.map(|name| name.to_string()),
            members: lang.count(line.members),
            keys: lang.count(line.keys),
            created: When(account.created_at),
        }
    }
}

/// The deployment at a glance, in the reader's figures.
struct GlanceShown {
    serving: String,
    upstreams: String,
    requests: String,
    failed: String,
    tokens: String,
}

#[derive(Template)]
#[template(path = "operator/accounts.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static OpAccounts,
    c: &'static OpCommon,
    glance: Option<GlanceShown>,
    search: String,
    standings: [(&'static str, &'static str, bool); 4],
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "operator/account.html")]
struct ShowPage {
    chrome: Chrome,
    t: &'static OpAccounts,
    c: &'static OpCommon,
    row: Row,
    until: Option<When>,
    /// Its plan is a paid one.
    paid: bool,
    /// It is on a paid plan that runs.
    running: bool,
    good: bool,
    suspended: bool,
    /// What happens to its keys that are found in public, in words.
    on_leak: &'static str,
}

async fn list(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let lang = viewer.look.lang;
    let t = OpAccounts::of(lang);
    let standing = match asked.some("standing") {
        Some("good") => Some(Standing::Good),
        Some("no_plan") => Some(Standing::PlanRequired),
        Some("suspended") => Some(Standing::Suspended),
        _ => None,
    };
    let filter = AccountFilter { search: asked.some("search").map(str::to_owned), standing };
    let accounts = services.account_overview(&viewer.principal, &filter, &asked.page()).await?;
    let is_whole = filter.search.is_none() && standing.is_none() && asked.some("cursor").is_none();
    let glance = if is_whole {
        let glance = services.glance(&viewer.principal).await?;
        let (units, failed) = (glance.today.units, glance.today.failed);
        Some(GlanceShown {
            serving: lang.count(glance.serving as u64),
            upstreams: format!("{} / {}", lang.count(glance.healthy as u64), lang.count(glance.enabled as u64)),
            requests: lang.count(glance.today.requests),
            failed: plural(lang, failed, t.failed_today_one, t.failed_today),
            tokens: lang.count(units.input.saturating_add(units.output)),
        })
    } else {
        None
    };
    let filters = [("search", asked.some("search")), ("standing", asked.some("standing"))];
    let pager = Pager::of("/operator/accounts", &filters, &asked, &accounts);
    let now = services.world.now();
    let page = ListPage {
        chrome: Chrome::operator(&viewer, Place::Accounts),
        t,
        c: OpCommon::of(lang),
        glance,
        search: filter.search.unwrap_or_default(),
        standings: [
            ("", t.any_standing, standing.is_none()),
            ("good", t.good, standing == Some(Standing::Good)),
            ("no_plan", t.without_plan, standing == Some(Standing::PlanRequired)),
            ("suspended", t.suspended, standing == Some(Standing::Suspended)),
        ],
        rows: accounts.data.into_iter().map(|line| Row::of(line, now, lang)).collect(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn show(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let line = services.account_line(&viewer.principal, &named).await?;
    let (now, lang) = (services.world.now(), viewer.look.lang);
    let subscription = line.account.subscription.clone();
    let paid = subscription.as_ref().is_some_and(|plan| plan.paid);
    let until = subscription.and_then(|plan| plan.until);
    let page = ShowPage {
        chrome: Chrome::operator(&viewer, Place::Accounts),
        t: OpAccounts::of(lang),
        c: OpCommon::of(lang),
        until: until.map(When),
        paid,
        running: paid && until.is_none_or(|until| until > now),
        good: line.account.standing(now) == Standing::Good,
        suspended: line.account.suspended_at.is_some(),
        on_leak: on_leak_word(line.account.on_leak, OpAccounts::of(lang)),
        row: Row::of(line, now, lang),
    };
    Ok(render(StatusCode::OK, &page))
}

/// What happens to an account's leaked keys, in words.
pub(super) const fn on_leak_word(on_leak: OnLeak, t: &'static OpAccounts) -> &'static str {
    match on_leak {
        OnLeak::Disable => t.on_leak_disable,
        OnLeak::Tell => t.on_leak_tell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Look, hostile};

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                let look = Look { lang, ..Look::default() };
                let row = || Row {
                    id: "acct_1".into(),
                    handle: "acme".into(),
                    name: (*name).into(),
                    plan: Some((*name).into()),
                    standing: StandingMark { class: "good", text: OpAccounts::of(lang).good, at: None },
                    members: "1".into(),
                    keys: "2".into(),
                    created: When(Timestamp::default()),
                };
                let (t, c) = (OpAccounts::of(lang), OpCommon::of(lang));
                let list = ListPage {
                    chrome: Chrome::bare(look),
                    t,
                    c,
                    glance: None,
                    search: (*name).into(),
                    standings: [("", t.any_standing, true); 4],
                    rows: vec![row()],
                    pager: Pager { first: Some("/x".into()), next: Some("/y".into()) },
                };
                hostile::check(&list.render().unwrap(), name);
                let show = ShowPage {
                    chrome: Chrome::bare(look),
                    t,
                    c,
                    row: row(),
                    until: None,
                    paid: true,
                    running: true,
                    good: true,
                    suspended: false,
                    on_leak: "x",
                };
                hostile::check(&show.render().unwrap(), name);
            }
        }
    }
}
