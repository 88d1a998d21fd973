//! Webhooks: an account's, seen by its owners, and the operator's own, by operators. The same pages at two places.
//!
//! [`Here`] is the only way into a handler: whoever holds one may see and change what stands at its place.

mod forms;

use std::collections::HashMap;

use askama::Template;
use axum::{
    Router,
    extract::{FromRequestParts, Path, Query, State},
    response::Response,
    routing::{get, post},
};
use http::{StatusCode, request::Parts};
use serde::Deserialize;
use tollgate_core::{Id, account::AccountAction, notice::Webhook};
use tollgate_store::{
    PageRequest,
    notices::{DeliveryAttempt, DeliveryState, DeliveryView},
    webhooks::{WebhookState, WebhookView},
};

use super::{
    Chrome, Form, Lang, Paged, Place, Viewer, When,
    failure::Failure,
    render,
    texts::{Webhooks, fill, problem_in_words},
};
use crate::{
    principal::Access,
    services::{AttemptAnswer, Noun, ServiceError, Services, WebhookChange},
};

/// Deliveries on one page of the log.
const LOG_PAGE: u32 = 20;
/// Where the operator's are.
const OPERATOR: &str = "/operator/webhooks";

pub(super) fn router() -> Router<Services> {
    let mut router = Router::new().route("/operator/mail/test", post(mail_test));
    for base in ["/a/{account}/webhooks", OPERATOR] {
        router = router
            .route(base, get(list))
            .route(&format!("{base}/{{webhook}}"), get(show))
            .route(&format!("{base}/{{webhook}}/test"), post(test))
            .route(&format!("{base}/{{webhook}}/on"), post(switch_on))
            .route(&format!("{base}/{{webhook}}/off"), post(switch_off))
            .route(&format!("{base}/{{webhook}}/deliveries/{{delivery}}/resend"), post(resend))
            .merge(forms::router(base));
    }
    router
}

/// A place where webhooks are managed, and somebody who may.
pub(super) struct Here {
    viewer: Viewer,
    services: Services,
    /// The account; `None`: the operator's part.
    access: Option<Access>,
    /// `/a/…/webhooks` or `/operator/webhooks`.
    base: String,
    /// What the path names beside the account.
    named: HashMap<String, String>,
}

impl FromRequestParts<Services> for Here {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        let viewer = Viewer::from_request_parts(parts, services).await?;
        let none = || ServiceError::NotFound(Noun::Thing);
        let named = Path::<HashMap<String, String>>::from_request_parts(parts, services).await;
        let Path(mut named) = named.map_err(|_| none())?;
        if named.values().any(|text| text.contains('\0')) {
            return Err(none().into());
        }
        let (access, base) = match named.remove("account") {
            Some(account) => {
                let access = viewer.enter(services, &account).await?;
                access.require(AccountAction::WebhooksManage)?;
                let base = format!("/a/{}/webhooks", access.account.handle);
                (Some(access), base)
            }
            // To everybody else the operator's pages do not exist.
            None if viewer.principal.is_operator() => (None, OPERATOR.to_owned()),
            None => return Err(none().into()),
        };
        Ok(Self { viewer, services: services.clone(), access, base, named })
    }
}

impl Here {
    fn lang(&self) -> Lang {
        self.viewer.look.lang
    }
    fn t(&self) -> &'static Webhooks {
        Webhooks::of(self.lang())
    }
    fn chrome(&self) -> Chrome {
        match &self.access {
            Some(access) => Chrome::account(&self.viewer, &self.services, access, Place::Webhooks),
            None => Chrome::operator(&self.viewer, Place::AllWebhooks),
        }
    }
    /// The account as services want it named.
    fn account(&self) -> Option<&str> {
        self.access.as_ref().map(|access| access.account.handle.as_str())
    }
    fn id<K: tollgate_core::id::IdKind>(&self, name: &str, noun: Noun) -> Result<Id<K>, ServiceError> {
        let text = self.named.get(name).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|_| ServiceError::NotFound(noun))
    }
    /// The webhook that the path names, if it is of this place.
    async fn webhook(&self) -> Result<WebhookView, ServiceError> {
        let id: Id<Webhook> = self.id("webhook", Noun::Webhook)?;
        self.services.webhook_get(&self.viewer.principal, self.account(), id).await
    }
    fn at(&self, webhook: &WebhookView) -> String {
        format!("{}/{}", self.base, webhook.id)
    }
}

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static Webhooks,
    title: &'static str,
    about: &'static str,
    base: String,
    rows: Vec<Row>,
    next: Option<String>,
    /// The operator's place has mail beside webhooks.
    mail: Option<MailCard>,
}
/// How mail stands, for operators.
struct MailCard {
    text: &'static str,
    may_test: bool,
    tested: Option<Tested>,
}
/// What came of a test.
struct Tested {
    class: &'static str,
    text: String,
}
struct Row {
    href: String,
    id: String,
    name: String,
    url: String,
    state: &'static str,
    class: &'static str,
    is_on: bool,
    is_failed: bool,
    failing_since: Option<When>,
    both_until: Option<When>,
    created: When,
}

#[derive(Template)]
#[template(path = "webhooks/show.html")]
struct ShowPage {
    chrome: Chrome,
    t: &'static Webhooks,
    title: &'static str,
    base: String,
    row: Row,
    tested: Option<Tested>,
    log: Vec<LogRow>,
    next: Option<String>,
}
struct LogRow {
    id: String,
    kind: String,
    made: When,
    state: &'static str,
    class: &'static str,
    attempts: Vec<AttemptRow>,
    next: Option<When>,
    may_resend: bool,
}
struct AttemptRow {
    at: When,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    cursor: Option<String>,
}

fn row(here: &Here, webhook: &WebhookView) -> Row {
    let t = here.t();
    let (state, class) = match webhook.state {
        WebhookState::Active if webhook.failing_since.is_some() => (t.failing, "warn"),
        WebhookState::Active => (t.active, "good"),
        WebhookState::Disabled => (t.disabled, ""),
        WebhookState::Failed => (t.failed, "bad"),
    };
    let now = here.services.world.now();
    Row {
        href: here.at(webhook),
        id: webhook.id.to_string(),
        name: webhook.name.to_string(),
        url: webhook.url.clone(),
        state,
        class,
        is_on: webhook.state == WebhookState::Active,
        is_failed: webhook.state == WebhookState::Failed,
        failing_since: webhook.failing_since.map(When),
        both_until: webhook.rotated_until.filter(|until| *until > now).map(When),
        created: When(webhook.created_at),
    }
}

async fn list(here: Here, Query(asked): Query<Asked>) -> Paged {
    list_page(&here, asked.cursor, None).await
}
async fn list_page(here: &Here, cursor: Option<String>, tested: Option<Tested>) -> Paged {
    let t = here.t();
    let page = PageRequest { cursor, limit: 0 };
    let of_deployment = here.access.is_none();
    let webhooks = here.services.webhook_list(&here.viewer.principal, here.account(), of_deployment, &page).await?;
    let sends_mail = here.services.notifier.sends_mail();
    let has_address = here.viewer.principal.user().email.is_some();
    let mail = of_deployment.then_some(MailCard {
        text: match (sends_mail, has_address) {
            (false, _) => t.mail_off,
            (true, false) => t.mail_no_address,
            (true, true) => t.mail_on,
        },
        may_test: sends_mail && has_address,
        tested,
    });
    let chrome = here.chrome();
    let page = ListPage {
        title: chrome.t.webhooks,
        chrome,
        t,
        about: if of_deployment { t.about_deployment } else { t.about },
        base: here.base.clone(),
        rows: webhooks.data.iter().map(|webhook| row(here, webhook)).collect(),
        next: webhooks.next_cursor,
        mail,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn show(here: Here, Query(asked): Query<Asked>) -> Paged {
    let webhook = here.webhook().await?;
    show_page(&here, &webhook, asked.cursor, None).await
}
async fn show_page(here: &Here, webhook: &WebhookView, cursor: Option<String>, tested: Option<Tested>) -> Paged {
    let page = PageRequest { cursor, limit: LOG_PAGE };
    let log = here.services.delivery_list(&here.viewer.principal, here.account(), webhook.id, &page).await?;
    let chrome = here.chrome();
    let page = ShowPage {
        title: chrome.t.webhooks,
        chrome,
        t: here.t(),
        base: here.base.clone(),
        row: row(here, webhook),
        tested,
        log: log.data.iter().map(|delivery| log_row(here.lang(), delivery)).collect(),
        next: log.next_cursor,
    };
    Ok(render(StatusCode::OK, &page))
}

fn log_row(lang: Lang, delivery: &DeliveryView) -> LogRow {
    let t = Webhooks::of(lang);
    let kind = match delivery.kind.as_str() {
        "key.leaked" => t.kind_key.to_owned(),
        "token.leaked" => t.kind_token.to_owned(),
        "webhook.disabled" => t.kind_webhook.to_owned(),
        "test" => t.kind_test.to_owned(),
        other => other.to_owned(),
    };
    let (state, class) = match delivery.state {
        DeliveryState::Pending => (t.pending, "warn"),
        DeliveryState::Sent => (t.sent, "good"),
        DeliveryState::Failed => (t.undelivered, "bad"),
    };
    LogRow {
        id: delivery.id.to_string(),
        kind,
        made: When(delivery.created_at),
        state,
        class,
        attempts: delivery.attempts.iter().map(|attempt| attempt_row(lang, attempt)).collect(),
        next: delivery.next_at.map(When),
        may_resend: true,
    }
}

fn attempt_row(lang: Lang, attempt: &DeliveryAttempt) -> AttemptRow {
    let t = Webhooks::of(lang);
    let text = match attempt.problem {
        Some(problem) => problem_in_words(lang, problem, attempt.status),
        None => fill(t.arrived, &[&attempt.status.unwrap_or_default(), &lang.count(attempt.duration_ms)]),
    };
    AttemptRow { at: When(attempt.at), text }
}

fn tested(lang: Lang, answer: &AttemptAnswer) -> Tested {
    let t = Webhooks::of(lang);
    match answer.problem {
        None => {
            let text = fill(t.test_good, &[&answer.status.unwrap_or_default(), &lang.count(answer.duration_ms)]);
            Tested { class: "good", text }
        }
        Some(problem) => {
            let why = problem_in_words(lang, problem, answer.status);
            Tested { class: "bad", text: fill(t.test_bad, &[&why]) }
        }
    }
}

async fn test(here: Here, _: Form) -> Paged {
    let webhook = here.webhook().await?;
    let answer = here.services.webhook_test(&here.viewer.principal, here.account(), webhook.id).await?;
    shown_again(&here, &answer).await
}
async fn resend(here: Here, _: Form) -> Paged {
    let webhook = here.webhook().await?;
    let delivery = here.id("delivery", Noun::Delivery)?;
    let answer = here.services.delivery_resend(&here.viewer.principal, here.account(), webhook.id, delivery).await?;
    shown_again(&here, &answer).await
}
/// The webhook's page as it is after an attempt, with what came of it.
async fn shown_again(here: &Here, answer: &AttemptAnswer) -> Result<Response, Failure> {
    let webhook = here.webhook().await?;
    show_page(here, &webhook, None, Some(tested(here.lang(), answer))).await
}

async fn switch_on(here: Here, _: Form) -> Paged {
    switch(&here, true).await
}
async fn switch_off(here: Here, _: Form) -> Paged {
    switch(&here, false).await
}
async fn switch(here: &Here, enabled: bool) -> Paged {
    let webhook = here.webhook().await?;
    let change = WebhookChange { enabled: Some(enabled), ..WebhookChange::default() };
    here.services.webhook_edit(&here.viewer.principal, here.account(), webhook.id, change, None).await?;
    Ok(here.viewer.go_saying(&here.at(&webhook), super::Flash::Saved))
}

async fn mail_test(State(services): State<Services>, here: Here, _: Form) -> Paged {
    let answer = services.mail_test(&here.viewer.principal).await?;
    let mut tested = tested(here.lang(), &answer);
    if answer.problem.is_none() {
        tested.text = here.t().mail_good.to_owned();
    }
    list_page(&here, None, Some(tested)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Look, hostile};
    use tollgate_core::notice::DeliveryProblem;

    #[test]
    fn hostile_names_and_addresses_stay_text_in_both_languages() {
        let at: tollgate_core::Timestamp = "2026-11-20T08:05:09Z".parse().unwrap();
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                let chrome = || Chrome::bare(Look { lang, ..Look::default() });
                let text = || (*name).to_owned();
                let row = || Row {
                    href: "/a/default/webhooks/hook_1".into(),
                    id: "hook_1".into(),
                    name: text(),
                    url: text(),
                    state: "on",
                    class: "good",
                    is_on: false,
                    is_failed: true,
                    failing_since: Some(When(at)),
                    both_until: Some(When(at)),
                    created: When(at),
                };
                let t = Webhooks::of(lang);
                let tested = || Some(Tested { class: "bad", text: text() });
                let list = ListPage {
                    chrome: chrome(),
                    t,
                    title: "t",
                    about: t.about,
                    base: "/operator/webhooks".into(),
                    rows: vec![row()],
                    next: Some("w31".into()),
                    mail: Some(MailCard { text: t.mail_on, may_test: true, tested: tested() }),
                };
                hostile::check(&list.render().unwrap(), name);
                let problem = Some(DeliveryProblem::Status);
                let attempt = DeliveryAttempt { at, duration_ms: 1_200, status: Some(500), problem };
                let show = ShowPage {
                    chrome: chrome(),
                    t,
                    title: "t",
                    base: "/operator/webhooks".into(),
                    row: row(),
                    tested: tested(),
                    log: vec![LogRow {
                        id: "dlv_1".into(),
                        kind: text(),
                        made: When(at),
                        state: t.pending,
                        class: "warn",
                        attempts: vec![attempt_row(lang, &attempt)],
                        next: Some(When(at)),
                        may_resend: true,
                    }],
                    next: Some("v31".into()),
                };
                hostile::check(&show.render().unwrap(), name);
            }
        }
    }
}
