//! Users: listed, shown, and what is shown once: a sign-in link.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::{HeaderMap, StatusCode};
use tollgate_core::{Id, User};

use super::{Asked, Operator, Pager, Which, user_forms};
use crate::{
    pages::{
        Chrome, Form, Lang, Paged, Place, Viewer, When,
        address::base_url,
        ask::Shown,
        chrome::role_name,
        render,
        texts::{Common, OpCommon, OpUsers},
    },
    services::{Noun, ServiceError, Services, sign_in_path},
};

pub(super) const HERE: &str = "/operator/users";

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route(HERE, get(list))
        .route("/operator/users/{user}", get(show))
        .route("/operator/users/{user}/link", axum::routing::post(link))
        .merge(user_forms::router())
}

/// An account that a user belongs to.
struct Part {
    handle: String,
    role: &'static str,
}

struct Row {
    id: String,
    name: String,
    email: Option<String>,
    operator: bool,
    disabled: Option<When>,
    accounts: Vec<Part>,
    created: When,
}

impl Row {
    fn of(user: User, lang: Lang) -> Self {
        let words = Common::of(lang);
        let part = |own: tollgate_core::Membership| Part {
            handle: own.account_handle.to_string(),
            role: role_name(words, own.role),
        };
        Self {
            id: user.id.to_string(),
            name: user.name.to_string(),
            email: user.email.map(|email| email.to_string()),
            operator: user.operator,
            disabled: user.disabled_at.map(When),
            accounts: user.memberships.into_iter().map(part).collect(),
            created: When(user.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "operator/users.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static OpUsers,
    c: &'static OpCommon,
    search: String,
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "operator/user.html")]
struct ShowPage {
    chrome: Chrome,
    t: &'static OpUsers,
    c: &'static OpCommon,
    row: Row,
}

/// The user that an address names.
pub(super) async fn user(services: &Services, viewer: &Viewer, named: &str) -> Result<User, ServiceError> {
    let id: Id<User> = named.parse().map_err(|_| ServiceError::NotFound(Noun::User))?;
    services.user_get(&viewer.principal, id).await
}

async fn list(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let lang = viewer.look.lang;
    let users = match asked.some("search") {
        Some(search) => services.user_search(&viewer.principal, search, &asked.page()).await?,
        None => services.user_list(&viewer.principal, None, &asked.page()).await?,
    };
    let pager = Pager::of(HERE, &[("search", asked.some("search"))], &asked, &users);
    let page = ListPage {
        chrome: Chrome::operator(&viewer, Place::Users),
        t: OpUsers::of(lang),
        c: OpCommon::of(lang),
        search: asked.some("search").unwrap_or_default().to_owned(),
        rows: users.data.into_iter().map(|user| Row::of(user, lang)).collect(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn show(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let user = user(&services, &viewer, &named).await?;
    let lang = viewer.look.lang;
    let page = ShowPage {
        chrome: Chrome::operator(&viewer, Place::Users),
        t: OpUsers::of(lang),
        c: OpCommon::of(lang),
        row: Row::of(user, lang),
    };
    Ok(render(StatusCode::OK, &page))
}

/// A new link each time; the ones before go on working until they end.
async fn link(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    headers: HeaderMap,
    _: Form,
) -> Paged {
    let user = user(&services, &viewer, &named).await?;
    let (link, _) = services.link_create(&viewer.principal, user.id).await?;
    let t = OpUsers::of(viewer.look.lang);
    let shown = Shown {
        chrome: Chrome::operator(&viewer, Place::Users),
        title: t.link_title,
        once: t.link_once,
        secret: format!("{}{}", base_url(services.public_url.as_deref(), &headers), sign_in_path(&link)),
        copy: t.copy,
        done: t.done,
        done_href: format!("{HERE}/{}", user.id),
    };
    Ok(render(StatusCode::OK, &shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Look, hostile};

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                let row = || Row {
                    id: "user_1".into(),
                    name: (*name).into(),
                    email: Some((*name).into()),
                    operator: true,
                    disabled: None,
                    accounts: vec![Part { handle: "acme".into(), role: "owner" }],
                    created: When(tollgate_core::Timestamp::default()),
                };
                let (t, c) = (OpUsers::of(lang), OpCommon::of(lang));
                let chrome = || Chrome::bare(Look { lang, ..Look::default() });
                let pager = Pager { first: None, next: None };
                let list = ListPage { chrome: chrome(), t, c, search: (*name).into(), rows: vec![row()], pager };
                hostile::check(&list.render().unwrap(), name);
                hostile::check(&ShowPage { chrome: chrome(), t, c, row: row() }.render().unwrap(), name);
            }
        }
    }
}
