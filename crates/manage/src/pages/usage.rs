//! My usage, and the operator's usage by account: one page for both, with the same parts.
//!
//! The address is the whole question; the form, each link and the CSV only write addresses. What does not depend on the
//! form is drawn below it, in parts that the script asks for again while the range reaches to now.

mod question;
mod view;
mod zones;

use askama::Template;
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    routing::get,
};
use http::{HeaderMap, StatusCode};
use tollgate_core::{Account, Permission, account::AccountAction};

use self::{
    question::{Preset, Question, Scope},
    view::{Figures, Show},
    zones::Zone,
};
use super::{
    Chrome, FieldErrors, Paged, Place, Viewer,
    address::base_url,
    keys::{first_call, first_model},
    render,
    texts::{Usage, fill},
};
use crate::{
    api,
    services::{OverviewInput, ServiceError, Services, UsageChoices, UsageInput, UsageLines, UsageOf, UsageOverview},
};

/// The id of what made htmx ask, and what htmx shows as the address then.
const HX_TRIGGER: http::HeaderName = http::HeaderName::from_static("hx-trigger");
const HX_PUSH_URL: http::HeaderName = http::HeaderName::from_static("hx-push-url");
/// What stands in the place of a key in the first call.
const SOME_KEY: &str = "YOUR_API_KEY";
/// What an operator names to mean every account.
const EVERY_ACCOUNT: &str = "*";

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/a/{account}/usage", get(account_page))
        .route("/a/{account}/usage.csv", get(account_csv))
        .route("/operator/usage", get(operator_page))
        .route("/operator/usage.csv", get(operator_csv))
}

#[derive(Template)]
#[template(path = "usage/usage.html")]
struct UsagePage {
    chrome: Chrome,
    t: &'static Usage,
    title: &'static str,
    intro: &'static str,
    /// The page's own path.
    path: String,
    form: QuestionForm,
    errors: FieldErrors,
    /// None where the question is wrong.
    figures: Option<Figures>,
    empty: Option<Empty>,
    /// The query that asks for what is shown.
    query: String,
    /// Whether the figures still grow.
    live: bool,
    /// Whether the zone was chosen, or said by the browser.
    zone_known: bool,
}

/// The form as it is shown.
struct QuestionForm {
    presets: Vec<Choice>,
    first: String,
    last: String,
    zones: Vec<Choice>,
    groups: Vec<Choice>,
    models: Vec<Choice>,
    /// None on the operator's page.
    keys: Option<Vec<Choice>>,
    more_keys: bool,
    /// None on an account's page.
    account: Option<String>,
}
/// One of several.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// What stands in place of figures that are not there.
enum Empty {
    /// Nothing was ever used: the account's keys, and a first call.
    Ever { keys: Option<String>, call: Option<String> },
    /// Nothing in the range.
    Here { text: String, wider: String },
}

impl UsagePage {
    /// What is wrong, in the order of the form.
    fn wrong(&self) -> Vec<&String> {
        let fields = ["range", "from", "to", "tz", "by", "account", "key", "model", "sort"];
        fields.into_iter().filter_map(|field| self.errors.get(field)).collect()
    }
}

/// A request for one of the pages, as far as it is the same for both.
struct Asked<'a> {
    services: &'a Services,
    viewer: &'a Viewer,
    headers: &'a HeaderMap,
    question: Question,
    errors: FieldErrors,
    t: &'static Usage,
    path: String,
}

impl<'a> Asked<'a> {
    fn new(
        services: &'a Services,
        viewer: &'a Viewer,
        headers: &'a HeaderMap,
        query: Option<&str>,
        scope: Scope,
        path: String,
    ) -> Self {
        let t = Usage::of(viewer.look.lang);
        let (zone, _) = Zone::of_browser(headers);
        let (question, errors) = Question::read(query.unwrap_or_default(), scope, zone, services.world.now(), t);
        Self { services, viewer, headers, question, errors, t, path }
    }

    /// The account that the operator's page is narrowed to.
    async fn account(&mut self) -> Result<Option<Account>, ServiceError> {
        let Some(handle) = &self.question.account else { return Ok(None) };
        match self.services.account_get(&self.viewer.principal, handle.as_str()).await {
            Ok(account) => Ok(Some(account)),
            Err(ServiceError::NotFound(_)) => {
                self.errors.add("account", self.t.no_such_account);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn page(mut self, of: UsageOf<'_>, chrome: Chrome) -> Paged {
        let (question, t) = (&self.question, self.t);
        let choices = self.services.usage_choices(of, question.key).await?;
        let overview = if self.errors.is_empty() { self.overview(of, &choices).await? } else { None };
        let question = &self.question;
        let now = self.services.world.now();
        let show = Show { t, lang: self.viewer.look.lang, question, path: &self.path, now };
        let empty = match &overview {
            Some(overview) if overview.total.requests == 0 => Some(self.empty(of, &show).await?),
            _ => None,
        };
        let is_all = question.scope == Scope::Deployment;
        let status = if self.errors.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        let page = UsagePage {
            chrome,
            t,
            title: if is_all { t.title_all } else { t.title },
            intro: if is_all { t.intro_all } else { t.intro },
            form: form(question, &choices, t, now),
            figures: overview.map(|overview| show.figures(overview)),
            empty,
            query: question.query(),
            live: question.is_live(now),
            zone_known: Zone::of_browser(self.headers).1 || self.viewer.here.contains("tz="),
            errors: self.errors,
            path: self.path,
        };
        let mut response = render(status, &page);
        let by_form = self.headers.get(HX_TRIGGER).is_some_and(|from| from == "usage-form");
        if by_form && page.errors.is_empty() {
            // The address without what the form sends for nothing.
            let address = format!("{}?{}", page.path, page.query);
            if let Ok(address) = http::HeaderValue::from_str(&address) {
                response.headers_mut().insert(HX_PUSH_URL, address);
            }
        }
        Ok(response)
    }

    /// The figures; none where the question turns out to be wrong.
    async fn overview(
        &mut self,
        of: UsageOf<'_>,
        choices: &UsageChoices,
    ) -> Result<Option<UsageOverview>, ServiceError> {
        let question = &self.question;
        let input = OverviewInput {
            from: question.from,
            to: question.to,
            zone: question.zone.rules.clone(),
            lines: question.lines,
            chart: question.bars(),
            key: question.key,
            model: question.model.clone(),
        };
        match self.services.usage_overview(of, &input, choices).await {
            Ok(overview) => Ok(Some(overview)),
            Err(ServiceError::Invalid { field, .. }) => {
                let (field, text) = match field.as_str() {
                    "key" => ("key", self.t.no_such_key),
                    "model" => ("model", self.t.no_such_model),
                    _ => ("to", self.t.too_long),
                };
                self.errors.add(field, text);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn empty(&self, of: UsageOf<'_>, show: &Show<'_>) -> Result<Empty, ServiceError> {
        if self.services.usage_is_there(of).await? {
            let question = &self.question;
            let wider = question.with(|question| {
                question.preset = Preset::Last12Months;
                (question.key, question.model, question.account) = (None, None, None);
                if matches!(question.lines, UsageLines::Hour) {
                    question.lines = UsageLines::Day;
                }
            });
            let last = tollgate_core::Timestamp::from_millis(question.to.as_millis() - 1);
            let days = [question.from, last].map(|at| show.date(&question.zone, at));
            let [first, last] = &days;
            return Ok(Empty::Here { text: fill(self.t.nothing, &[first, last]), wider: wider.query() });
        }
        let UsageOf::Account(access) = of else { return Ok(Empty::Ever { keys: None, call: None }) };
        let base = base_url(self.services.public_url.as_deref(), self.headers);
        let model = first_model(self.services, &Permission::All).await;
        let call = first_call(&base, SOME_KEY, model.as_ref(), self.viewer.look.lang);
        Ok(Empty::Ever { keys: Some(format!("/a/{}/keys", access.account.handle)), call: Some(call) })
    }

    /// All lines as CSV, as the API gives it.
    async fn csv(self, account: String) -> Paged {
        if !self.errors.is_empty() {
            // The page says what is wrong.
            return Ok(self.viewer.go(&self.viewer.here.replacen(".csv", "", 1)));
        }
        let question = self.question;
        let name = format!("usage-{}-{}.csv", question.first, question.last);
        let input = UsageInput {
            from: Some(question.from.to_string()),
            to: Some(question.to.to_string()),
            bucket: Some(question.lines.bucket()),
            group_by: question.lines.group_by().to_vec(),
            keys: question.key.into_iter().collect(),
            models: question.model.into_iter().collect(),
            zone: Some(question.zone.name),
            account: Some(account),
        };
        let answer = self.services.usage_report(&self.viewer.principal, input).await?;
        // A large report is written off the runtime that also answers revocations.
        let written = tokio::task::spawn_blocking(move || api::usage_csv(answer, &name)).await;
        Ok(written.map_err(|_| ServiceError::State("the report could not be rendered"))?)
    }
}

fn form(question: &Question, choices: &UsageChoices, t: &'static Usage, now: tollgate_core::Timestamp) -> QuestionForm {
    let choice = |value: String, label: String, chosen: bool| Choice { value, label, chosen };
    let presets = Preset::ALL
        .into_iter()
        .map(|preset| choice(preset.as_str().to_owned(), preset.label(t).to_owned(), preset == question.preset));
    let groups = question.scope.lines().iter().map(|(name, lines)| {
        let label = match lines {
            UsageLines::Model => t.model,
            UsageLines::Key => t.key,
            UsageLines::ModelAndKey => t.by_model_and_key,
            UsageLines::Account => t.account,
            UsageLines::AccountAndModel => t.by_account_and_model,
            UsageLines::Day => t.day,
            UsageLines::Hour => t.hour,
        };
        choice((*name).to_owned(), label.to_owned(), *lines == question.lines)
    });
    let keys = choices
        .keys
        .iter()
        .map(|(id, name, hint)| choice(id.to_string(), format!("{name} ({hint})"), question.key == Some(*id)));
    let mut models: Vec<Choice> = Vec::new();
    for model in choices.models.iter().filter(|model| !model.withdrawn || question.model.as_ref() == Some(&model.name))
    {
        if models.last().is_none_or(|last| last.value != model.name.as_str()) {
            let chosen = question.model.as_ref() == Some(&model.name);
            models.push(choice(model.name.to_string(), model.name.to_string(), chosen));
        }
    }
    let zones = zones::choices(&question.zone, now).into_iter();
    let is_all = question.scope == Scope::Deployment;
    QuestionForm {
        presets: presets.collect(),
        first: question.first.clone(),
        last: question.last.clone(),
        zones: zones
            .map(|(name, label)| {
                let chosen = name == question.zone.name;
                choice(name, label, chosen)
            })
            .collect(),
        groups: groups.collect(),
        models,
        keys: (!is_all).then(|| keys.collect()),
        more_keys: choices.more_keys,
        account: is_all.then(|| question.account.as_ref().map(ToString::to_string).unwrap_or_default()),
    }
}

async fn account_page(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    access.require(AccountAction::Read)?;
    let path = format!("/a/{}/usage", access.account.handle);
    let asked = Asked::new(&services, &viewer, &headers, query.as_deref(), Scope::Account, path);
    let chrome = Chrome::account(&viewer, &services, &access, Place::Usage);
    asked.page(UsageOf::Account(&access), chrome).await
}

async fn account_csv(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Paged {
    let asked = Asked::new(&services, &viewer, &headers, query.as_deref(), Scope::Account, String::new());
    asked.csv(account).await
}

async fn operator_page(
    State(services): State<Services>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Paged {
    viewer.principal.require_operator()?;
    let path = "/operator/usage".to_owned();
    let mut asked = Asked::new(&services, &viewer, &headers, query.as_deref(), Scope::Deployment, path);
    let account = asked.account().await?;
    let chrome = Chrome::operator(&viewer, Place::AllUsage);
    asked.page(UsageOf::Deployment(&viewer.principal, account.as_ref()), chrome).await
}

async fn operator_csv(
    State(services): State<Services>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Paged {
    viewer.principal.require_operator()?;
    let asked = Asked::new(&services, &viewer, &headers, query.as_deref(), Scope::Deployment, String::new());
    let account = asked.question.account.as_ref().map_or_else(|| EVERY_ACCOUNT.to_owned(), ToString::to_string);
    asked.csv(account).await
}

#[cfg(test)]
mod tests;
