//! The models that an account may use, and the box to try one.

use askama::Template;
use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use tollgate_core::{
    Id, Key,
    account::AccountAction,
    catalog::{Model, ModelKind, Route},
    money::Price,
    name::ModelName,
};
use tollgate_store::PageRequest;

use super::{
    Chrome, FieldErrors, Form, Lang, Paged, Place, Viewer, encode, render,
    texts::{Errors, Models, fill},
};
use crate::{
    principal::Access,
    services::{LONGEST_TRIAL, Noun, ServiceError, Services, TrialAnswer},
};

/// Models on one page.
const MODELS_SHOWN: u32 = 100;

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/a/{account}/models", get(list))
        .route("/a/{account}/models/{model}", get(show))
        .route("/a/{account}/models/{model}/try", post(try_it))
}

/// A model in words.
struct Row {
    name: String,
    /// The name in addresses: it may hold a slash.
    path: String,
    title: Option<String>,
    kind: &'static str,
    context: Option<String>,
    most_output: Option<String>,
    prices: Vec<(&'static str, String)>,
    endpoints: Vec<String>,
}

impl Row {
    /// The price of this label; for templates.
    fn price(&self, label: &str) -> &str {
        self.prices.iter().find(|(own, _)| *own == label).map_or("–", |(_, price)| price)
    }
    /// The prices that have no column of their own, where a model has no others: of images, of audio.
    fn other_prices(&self, t: &Models) -> &[(&'static str, String)] {
        let has_own = |(label, _): &(&'static str, String)| [t.price_in, t.price_out].contains(label);
        if self.prices.iter().any(has_own) { &[] } else { &self.prices }
    }
    fn new(model: &Model, lang: Lang) -> Self {
        let t = Models::of(lang);
        let tokens = |number: u64| fill(t.tokens, &[&lang.count(number)]);
        let price = &model.price;
        let amount = |price: Price| lang.money(price, model.price.currency);
        let text = matches!(model.kind, ModelKind::Chat | ModelKind::Embedding | ModelKind::Rerank);
        let mut prices = Vec::new();
        if text || price.input_per_million != Price::default() {
            prices.push((t.price_in, amount(price.input_per_million)));
        }
        if model.kind == ModelKind::Chat || price.output_per_million != Price::default() {
            prices.push((t.price_out, amount(price.output_per_million)));
        }
        let rest = [
            (t.price_cached, price.cached_input_per_million),
            (t.price_image, price.image_per_million),
            (t.price_audio, price.audio_second_per_million),
        ];
        prices.extend(rest.into_iter().filter_map(|(label, price)| Some((label, amount(price?)))));
        let routes = Route::ALL.into_iter().filter(|route| route.serves(model.kind));
        Self {
            name: model.name.to_string(),
            path: encode(model.name.as_str()).replace('+', "%20"),
            title: model.title.as_ref().map(ToString::to_string),
            kind: kind_name(t, model.kind),
            context: model.context_window.map(tokens),
            most_output: model.max_output_tokens.map(tokens),
            prices,
            endpoints: routes.map(|route| format!("/v1/{}", route.path())).collect(),
        }
    }
}

/// A kind of model in the reader's language.
pub(crate) const fn kind_name(t: &'static Models, kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Chat => t.kind_chat,
        ModelKind::Embedding => t.kind_embedding,
        ModelKind::Rerank => t.kind_rerank,
        ModelKind::Transcription => t.kind_transcription,
        ModelKind::Speech => t.kind_speech,
        ModelKind::Image => t.kind_image,
    }
}

#[derive(Template)]
#[template(path = "models/list.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static Models,
    account: String,
    models: Vec<Row>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "models/show.html")]
struct ShowPage {
    chrome: Chrome,
    t: &'static Models,
    account: String,
    model: Row,
    is_chat: bool,
    /// The keys to choose from: id, name, hint, chosen; absent where the role tries nothing.
    keys: Option<Vec<(String, String, String, bool)>>,
    text: String,
    errors: FieldErrors,
    answer: Option<Shown>,
}

/// An answer in words.
struct Shown {
    text: String,
    counted: Option<String>,
    is_refusal: bool,
}

#[derive(Debug, serde::Deserialize)]
struct ListQuery {
    cursor: Option<String>,
}

async fn list(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    Query(query): Query<ListQuery>,
) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    access.require(AccountAction::Read)?;
    let page = PageRequest { cursor: query.cursor, limit: MODELS_SHOWN };
    let models = services.model_list(&page).await?;
    let lang = viewer.look.lang;
    let page = ListPage {
        t: Models::of(lang),
        account: access.account.handle.to_string(),
        models: models.data.iter().map(|model| Row::new(model, lang)).collect(),
        next: models.next_cursor.map(|cursor| encode(&cursor)),
        chrome: Chrome::account(&viewer, &services, &access, Place::Models),
    };
    Ok(render(StatusCode::OK, &page))
}

async fn show(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, model)): Path<(String, String)>,
) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    access.require(AccountAction::Read)?;
    let model = model_named(&services, &model).await?;
    let text = sample(&viewer, model.kind).to_owned();
    let page = show_page(&viewer, &services, &access, &model, Typed { text, ..Typed::default() }).await?;
    Ok(render(StatusCode::OK, &page))
}

/// By its name alone: ids of the catalogue are the operator's.
async fn model_named(services: &Services, name: &str) -> Result<Model, ServiceError> {
    let name: ModelName = name.parse().map_err(|_| ServiceError::NotFound(Noun::Model))?;
    services.model_get(name.as_str()).await
}

fn sample(viewer: &Viewer, kind: ModelKind) -> &'static str {
    let t = Models::of(viewer.look.lang);
    if kind == ModelKind::Chat { t.sample_chat } else { t.sample_text }
}

/// What was typed, and what came of it.
#[derive(Default)]
struct Typed {
    key: String,
    text: String,
    errors: FieldErrors,
    answer: Option<TrialAnswer>,
}

async fn show_page(
    viewer: &Viewer,
    services: &Services,
    access: &Access,
    model: &Model,
    typed: Typed,
) -> Result<ShowPage, ServiceError> {
    let lang = viewer.look.lang;
    let t = Models::of(lang);
    let keys = if access.role().may(AccountAction::OwnKeyManage) {
        let keys = services.trial_keys(&viewer.principal, access, model).await?;
        let row = |key: Key| {
            let id = key.id.to_string();
            let is_chosen = id == typed.key;
            (id, key.name.to_string(), key.hint().to_string(), is_chosen)
        };
        Some(keys.into_iter().map(row).collect())
    } else {
        None
    };
    Ok(ShowPage {
        t,
        account: access.account.handle.to_string(),
        model: Row::new(model, lang),
        is_chat: model.kind == ModelKind::Chat,
        keys,
        text: typed.text,
        errors: typed.errors,
        answer: typed.answer.map(|answer| shown(t, lang, answer)),
        chrome: Chrome::account(viewer, services, access, Place::Models),
    })
}

fn shown(t: &'static Models, lang: Lang, answer: TrialAnswer) -> Shown {
    let counted = answer.tokens.map(|(input, output)| fill(t.counted, &[&lang.count(input), &lang.count(output)]));
    match (answer.refusal, answer.text, answer.vector) {
        (Some(why), ..) if why.is_empty() => Shown { text: t.broken.to_owned(), counted: None, is_refusal: true },
        (Some(why), ..) => Shown { text: fill(t.refused, &[&why]), counted: None, is_refusal: true },
        (None, Some(text), _) => Shown { text, counted, is_refusal: false },
        (None, None, Some((length, first))) => {
            let first: Vec<String> = first.iter().map(|number| format!("{number:.4}")).collect();
            let length = lang.count(length as u64);
            Shown { text: fill(t.vector, &[&length, &first.join(", ")]), counted, is_refusal: false }
        }
        (None, None, None) => Shown { text: t.broken.to_owned(), counted, is_refusal: true },
    }
}

async fn try_it(
    State(services): State<Services>,
    viewer: Viewer,
    Path((account, model)): Path<(String, String)>,
    headers: HeaderMap,
    form: Form,
) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    access.require(AccountAction::OwnKeyManage)?;
    let model = model_named(&services, &model).await?;
    let (t, e) = (Models::of(viewer.look.lang), Errors::of(viewer.look.lang));
    let mut errors = FieldErrors::default();
    let text = form.text("text");
    if text.is_empty() {
        errors.add("text", e.required);
    } else if text.chars().count() > LONGEST_TRIAL {
        errors.add("text", fill(t.too_long, &[&viewer.look.lang.count(LONGEST_TRIAL as u64)]));
    }
    let key = form.text("key").parse::<Id<Key>>();
    if key.is_err() {
        errors.add("key", t.unknown_key);
    }
    let mut typed = Typed { key: form.text("key").to_owned(), text: text.to_owned(), errors, answer: None };
    let (Ok(key), true) = (key, typed.errors.is_empty()) else {
        return Ok(render(
            StatusCode::UNPROCESSABLE_ENTITY,
            &show_page(&viewer, &services, &access, &model, typed).await?,
        ));
    };
    let streams = headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    if streams {
        return Ok(pass_on(services.trial(&access, key, &model, text, true).await?));
    }
    typed.answer = Some(services.trial_whole(&access, key, &model, text).await?);
    Ok(render(StatusCode::OK, &show_page(&viewer, &services, &access, &model, typed).await?))
}

/// The data plane's answer as it comes. What a script does not need stays here.
fn pass_on(response: http::Response<crate::InferenceBody>) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or_else(|| header::HeaderValue::from_static("application/json"));
    (status, [(header::CONTENT_TYPE, kind)], Body::new(response.into_body())).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::look::Look;
    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script>\"&{{ user }}👩‍🚀\u{202e}";

    fn row() -> Row {
        Row {
            name: HOSTILE.into(),
            path: encode(HOSTILE),
            title: Some(HOSTILE.into()),
            kind: "chat",
            context: Some("1".into()),
            most_output: Some("1".into()),
            prices: vec![("in", HOSTILE.into())],
            endpoints: vec![HOSTILE.into()],
        }
    }

    #[test]
    fn nothing_that_people_type_becomes_markup() {
        for lang in Lang::ALL {
            let (t, chrome) = (Models::of(lang), || Chrome::bare(Look { lang, ..Look::default() }));
            let list = |models| ListPage { chrome: chrome(), t, account: "a".into(), models, next: Some("x".into()) };
            let mut errors = FieldErrors::default();
            errors.add("text", HOSTILE);
            let show = |keys, answer| ShowPage {
                chrome: chrome(),
                t,
                account: "a".into(),
                model: row(),
                is_chat: true,
                keys,
                text: HOSTILE.into(),
                errors: errors.clone(),
                answer,
            };
            let refused = TrialAnswer { refusal: Some(HOSTILE.into()), ..TrialAnswer::default() };
            let vector =
                TrialAnswer { vector: Some((768, vec![0.25])), tokens: Some((3, 0)), ..TrialAnswer::default() };
            let said = TrialAnswer { text: Some(HOSTILE.into()), tokens: Some((3, 4)), ..TrialAnswer::default() };
            let key = (HOSTILE.to_owned(), HOSTILE.to_owned(), HOSTILE.to_owned(), true);
            for html in [
                list(vec![]).render().unwrap(),
                list(vec![row()]).render().unwrap(),
                show(None, None).render().unwrap(),
                show(Some(vec![]), Some(shown(t, lang, refused))).render().unwrap(),
                show(Some(vec![key.clone()]), Some(shown(t, lang, vector))).render().unwrap(),
                show(Some(vec![key]), Some(shown(t, lang, said))).render().unwrap(),
            ] {
                assert!(!html.contains("<script>") && !html.contains(" style="), "{html}");
                assert!(html.starts_with("<!doctype html>") && html.contains("<main"), "{html}");
            }
        }
    }
}
