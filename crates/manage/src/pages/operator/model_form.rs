//! Making and changing a model, with as many upstreams as it needs: a button sends the form for one more row.

use std::collections::HashMap;

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{
    Model, ModelKind,
    money::{Currency, Price, PriceList},
    name::{Label, ModelName, Slug},
};

use super::{
    Asked, Operator, Which, in_force,
    models::{HERE, kind_name},
    said_of,
};
use crate::{
    pages::{
        Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer, render,
        texts::{Errors, OpCommon, OpModels, fill},
    },
    services::{ModelChange, ModelInput, ServedByInput, ServiceError, Services},
};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/operator/models/new", get(create_form).post(create))
        .route("/operator/models/{model}/edit", get(edit_form).post(edit))
}

/// One upstream as it was typed.
#[derive(Default, Clone)]
struct ServedTyped {
    upstream: String,
    model: String,
    weight: String,
    /// What is wrong with it.
    error: Option<String>,
}

/// A price field: its name, words, and what was typed.
struct PriceField {
    name: &'static str,
    label: &'static str,
    value: String,
    /// The kind has this price. What was typed for another kind is kept, unseen, until the form is sent for good.
    shown: bool,
}

/// What was typed.
#[derive(Default)]
struct Typed {
    name: String,
    title: String,
    context_window: String,
    max_output_tokens: String,
    currency: String,
    prices: [String; 5],
    served: Vec<ServedTyped>,
}

const PRICES: [&str; 5] = ["input", "output", "cached", "image", "second"];

/// Which prices a kind has, by their place in [`PRICES`].
const fn prices_of(kind: ModelKind) -> &'static [usize] {
    match kind {
        ModelKind::Chat => &[0, 1, 2],
        ModelKind::Embedding | ModelKind::Rerank => &[0],
        ModelKind::Transcription => &[0, 1, 4],
        ModelKind::Speech => &[0, 4],
        ModelKind::Image => &[0, 1, 3],
    }
}

impl Typed {
    fn of(form: &Form) -> Self {
        let field = |name| form.text(name).to_owned();
        let (models, weights) = (form.all("served_model"), form.all("served_weight"));
        let served = form.all("served_upstream").zip(models.zip(weights)).take(Model::MOST_UPSTREAMS);
        Self {
            name: field("name"),
            title: field("title"),
            context_window: field("context_window"),
            max_output_tokens: field("max_output_tokens"),
            currency: field("currency"),
            prices: PRICES.map(|name| form.text(&format!("price_{name}")).to_owned()),
            served: served
                .map(|(upstream, (model, weight))| ServedTyped {
                    upstream: upstream.trim().to_owned(),
                    model: model.trim().to_owned(),
                    weight: weight.trim().to_owned(),
                    error: None,
                })
                .collect(),
        }
    }
    fn from_model(model: &Model) -> Self {
        let price = &model.price;
        let some = |price: Option<Price>| price.map(|price| price.to_string()).unwrap_or_default();
        let tokens = |tokens: Option<u64>| tokens.map(|tokens| tokens.to_string()).unwrap_or_default();
        Self {
            name: model.name.to_string(),
            title: model.title.as_ref().map(ToString::to_string).unwrap_or_default(),
            context_window: tokens(model.context_window),
            max_output_tokens: tokens(model.max_output_tokens),
            currency: price.currency.to_string(),
            prices: [
                price.input_per_million.to_string(),
                price.output_per_million.to_string(),
                some(price.cached_input_per_million),
                some(price.image_per_million),
                some(price.audio_second_per_million),
            ],
            served: model
                .served_by
                .iter()
                .map(|by| ServedTyped {
                    upstream: by.upstream.to_string(),
                    model: by.model.to_string(),
                    weight: by.weight.to_string(),
                    error: None,
                })
                .collect(),
        }
    }
    /// The buttons that only change the rows: one more, or one less.
    fn act(&mut self, act: &str) -> bool {
        if act == "add" {
            if self.served.len() < Model::MOST_UPSTREAMS {
                self.served.push(ServedTyped { weight: "1".to_owned(), ..ServedTyped::default() });
            }
            return true;
        }
        match act.strip_prefix("remove-").and_then(|at| at.parse::<usize>().ok()) {
            Some(at) if at < self.served.len() => {
                self.served.remove(at);
                true
            }
            Some(_) => true,
            None => false,
        }
    }
}

#[derive(Template)]
#[template(path = "operator/model_form.html")]
struct FormPage {
    chrome: Chrome,
    t: &'static OpModels,
    c: &'static OpCommon,
    e: &'static Errors,
    title: String,
    action: String,
    version: Option<i64>,
    now: Option<String>,
    kind: &'static str,
    kinds: Vec<(&'static str, &'static str, bool)>,
    upstreams: Vec<Slug>,
    prices: Vec<PriceField>,
    /// The row that was just added: it gets the focus.
    added: Option<usize>,
    typed: Typed,
    errors: FieldErrors,
}

/// What a form is about.
#[derive(Clone, Copy)]
enum About<'a> {
    New(ModelKind),
    Known(&'a Model),
}

async fn form_page(
    services: &Services,
    viewer: &Viewer,
    about: About<'_>,
    typed: Typed,
    errors: FieldErrors,
) -> Result<FormPage, ServiceError> {
    let lang = viewer.look.lang;
    let t = OpModels::of(lang);
    let (kind, model) = match about {
        About::New(kind) => (kind, None),
        About::Known(model) => (model.kind, Some(model)),
    };
    let labels = [t.per_input, t.per_output, t.per_cached, t.per_image, t.per_second];
    let labels = labels.map(|label| label.trim_start_matches("/ "));
    let fields = PRICES.into_iter().zip(labels).zip(&typed.prices).enumerate();
    let prices = fields.map(|(at, ((name, label), value))| PriceField {
        name,
        label,
        value: value.clone(),
        shown: prices_of(kind).contains(&at),
    });
    Ok(FormPage {
        chrome: Chrome::operator(viewer, Place::Catalogue),
        t,
        c: OpCommon::of(lang),
        e: Errors::of(lang),
        title: model.map_or_else(|| t.create.to_owned(), |model| fill(t.edit_of, &[&model.name])),
        action: model.map_or_else(|| format!("{HERE}/new"), |model| format!("{HERE}/{}/edit", model.id)),
        version: model.map(|model| model.version),
        now: None,
        kind: kind.as_str(),
        kinds: ModelKind::ALL.iter().map(|one| (one.as_str(), kind_name(t, *one), *one == kind)).collect(),
        upstreams: services.upstream_names(&viewer.principal).await?,
        prices: prices.collect(),
        added: None,
        typed,
        errors,
    })
}
fn wrong(page: &FormPage) -> Paged {
    Ok(render(StatusCode::UNPROCESSABLE_ENTITY, page))
}

/// What was typed, read; `None` where something is wrong, which is noted then.
struct Wanted {
    title: Option<Label>,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    price: PriceList,
    served_by: Vec<ServedByInput>,
}

impl ServedTyped {
    /// What a row means, or what is wrong with it.
    fn read(&self, t: &'static OpModels) -> Result<ServedByInput, &'static str> {
        let upstream = if self.upstream.is_empty() { Err(t.served_nowhere) } else { Ok(&self.upstream) };
        let upstream = upstream?.parse().map_err(|_| t.bad_served)?;
        let model = match self.model.as_str() {
            "" => None,
            model => Some(model.parse::<ModelName>().map_err(|_| t.bad_there)?),
        };
        let weight = self.weight.parse().ok().filter(|weight| *weight <= Model::MOST_WEIGHT).ok_or(t.bad_weight)?;
        Ok(ServedByInput { upstream, model, weight })
    }
    const fn is_blank(&self) -> bool {
        self.upstream.is_empty() && self.model.is_empty()
    }
}

/// Reads the rows for a model of this name; notes at each what is wrong with it.
fn read_served(
    rows: &mut [ServedTyped],
    name: &str,
    t: &'static OpModels,
    errors: &mut FieldErrors,
) -> Vec<ServedByInput> {
    let mut served: Vec<ServedByInput> = Vec::new();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for (at, row) in rows.iter_mut().enumerate().filter(|(_, row)| !row.is_blank()) {
        let there = if row.model.is_empty() { name } else { &row.model };
        let first = *places.entry((row.upstream.clone(), there.to_owned())).or_insert(at);
        match row.read(t) {
            Ok(_) if first != at => row.error = Some(fill(t.served_twice, &[&(first + 1)])),
            Ok(input) => served.push(input),
            Err(why) => row.error = Some(why.to_owned()),
        }
    }
    if rows.iter().any(|row| row.error.is_some()) {
        // Said beside the rows.
        errors.add("served_rows", t.bad_served);
    }
    served
}

/// Reads what was typed for a model of this name and kind.
fn read(
    typed: &mut Typed,
    (name, kind): (&str, ModelKind),
    t: &'static OpModels,
    e: &'static Errors,
    errors: &mut FieldErrors,
) -> Wanted {
    let title = match typed.title.as_str() {
        "" => None,
        title => title.parse().map_err(|_| errors.add("title", e.bad_name)).ok(),
    };
    let mut tokens = |field: &'static str, text: &str| match text {
        "" => None,
        text => {
            let number = text.parse::<u64>().ok().filter(|number| *number > 0);
            if number.is_none() {
                errors.add(field, t.bad_tokens);
            }
            number
        }
    };
    let context_window = tokens("context_window", &typed.context_window);
    let max_output_tokens = tokens("max_output_tokens", &typed.max_output_tokens);
    let fields = ["price_input", "price_output", "price_cached", "price_image", "price_second"];
    let mut amounts = [None::<Price>; 5];
    for (at, ((field, text), amount)) in fields.into_iter().zip(&typed.prices).zip(&mut amounts).enumerate() {
        match text.as_str() {
            _ if !prices_of(kind).contains(&at) => {}
            "" => {}
            text => *amount = text.parse().map_err(|_| errors.add(field, t.bad_price)).ok(),
        }
    }
    let [input, output, cached, image, second] = amounts;
    let currency = match typed.currency.to_uppercase().as_str() {
        "" => Currency::default(),
        text => text.parse().map_err(|_| errors.add("currency", t.bad_currency)).unwrap_or_default(),
    };
    let served_by = read_served(&mut typed.served, name, t, errors);
    let price = PriceList {
        currency,
        input_per_million: input.unwrap_or_default(),
        output_per_million: output.unwrap_or_default(),
        cached_input_per_million: cached,
        image_per_million: image,
        audio_second_per_million: second,
    };
    Wanted { title, context_window, max_output_tokens, price, served_by }
}

async fn create_form(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let kind = asked.some("kind").and_then(|kind| kind.parse().ok()).unwrap_or(ModelKind::Chat);
    let mut typed = Typed { currency: Currency::default().to_string(), ..Typed::default() };
    typed.act("add");
    let page = form_page(&services, &viewer, About::New(kind), typed, FieldErrors::default()).await?;
    Ok(render(StatusCode::OK, &page))
}

async fn create(State(services): State<Services>, Operator(viewer): Operator, form: Form) -> Paged {
    let (t, e) = (OpModels::of(viewer.look.lang), Errors::of(viewer.look.lang));
    let kind = form.text("kind").parse().unwrap_or(ModelKind::Chat);
    let about = About::New(kind);
    let mut typed = Typed::of(&form);
    if let Some(kind) = form.text("act").strip_prefix("kind-").and_then(|kind| kind.parse().ok()) {
        let page = form_page(&services, &viewer, About::New(kind), typed, FieldErrors::default()).await?;
        return Ok(render(StatusCode::OK, &page));
    }
    if typed.act(form.text("act")) {
        let added = (form.text("act") == "add").then(|| typed.served.len().saturating_sub(1));
        let page = form_page(&services, &viewer, about, typed, FieldErrors::default()).await?;
        return Ok(render(StatusCode::OK, &FormPage { added, ..page }));
    }
    let mut errors = FieldErrors::default();
    let name = typed.name.parse::<ModelName>().map_err(|_| errors.add("name", t.bad_name)).ok();
    let called = typed.name.clone();
    let wanted = read(&mut typed, (&called, kind), t, e, &mut errors);
    let (Some(name), true) = (name, errors.is_empty()) else {
        return wrong(&form_page(&services, &viewer, about, typed, errors).await?);
    };
    let Wanted { title, context_window, max_output_tokens, price, served_by } = wanted;
    let input = ModelInput { name, title, kind, context_window, max_output_tokens, price, served_by };
    match services.model_create(&viewer.principal, input).await {
        Ok(_) => Ok(viewer.go_saying(HERE, Flash::Saved)),
        Err(error) if refused(&error, t, &mut errors) => {
            wrong(&form_page(&services, &viewer, about, typed, errors).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Says a refusal beside its field; `false` where it is none of a field's.
fn refused(error: &ServiceError, t: &'static OpModels, errors: &mut FieldErrors) -> bool {
    match (error, said_of(error)) {
        (ServiceError::Exists(_), _) => errors.add("name", t.name_taken),
        (_, Some(("served_by", _))) => errors.add("served_by", t.bad_served),
        (_, Some(("context_window", _))) => errors.add("context_window", t.bad_tokens),
        (_, Some(("max_output_tokens", _))) => errors.add("max_output_tokens", t.bad_tokens),
        _ => return false,
    }
    true
}

async fn edit_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let model = services.model_get(&named).await?;
    let typed = Typed::from_model(&model);
    let page = form_page(&services, &viewer, About::Known(&model), typed, FieldErrors::default()).await?;
    Ok(render(StatusCode::OK, &page))
}

async fn edit(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, form: Form) -> Paged {
    let lang = viewer.look.lang;
    let (t, e, c) = (OpModels::of(lang), Errors::of(lang), OpCommon::of(lang));
    let read_version = form.version();
    let mut model = services.model_get(&named).await?;
    let mut typed = Typed::of(&form);
    if typed.act(form.text("act")) {
        let added = (form.text("act") == "add").then(|| typed.served.len().saturating_sub(1));
        // The version that was read stays: a conflict is found when it is saved.
        model.version = read_version;
        let page = form_page(&services, &viewer, About::Known(&model), typed, FieldErrors::default()).await?;
        return Ok(render(StatusCode::OK, &FormPage { added, ..page }));
    }
    let mut errors = FieldErrors::default();
    let wanted = read(&mut typed, (model.name.as_str(), model.kind), t, e, &mut errors);
    if !errors.is_empty() {
        model.version = read_version;
        return wrong(&form_page(&services, &viewer, About::Known(&model), typed, errors).await?);
    }
    // Prices that this kind has no field for stay what they are.
    let mut price = wanted.price;
    if !prices_of(model.kind).contains(&1) {
        price.output_per_million = model.price.output_per_million;
    }
    let kept =
        |at: usize, new: Option<Price>, old: Option<Price>| if prices_of(model.kind).contains(&at) { new } else { old };
    price.cached_input_per_million = kept(2, price.cached_input_per_million, model.price.cached_input_per_million);
    price.image_per_million = kept(3, price.image_per_million, model.price.image_per_million);
    price.audio_second_per_million = kept(4, price.audio_second_per_million, model.price.audio_second_per_million);
    let change = ModelChange {
        title: Some(wanted.title),
        context_window: Some(wanted.context_window),
        max_output_tokens: Some(wanted.max_output_tokens),
        price: Some(price),
        served_by: Some(wanted.served_by),
    };
    match services.model_edit(&viewer.principal, &named, change, Some(read_version)).await {
        Ok(done) => Ok(viewer.go_saying(HERE, in_force(&done))),
        Err(ServiceError::VersionConflict) => {
            errors.add("", e.conflict_title);
            let served: Vec<String> =
                model.served_by.iter().map(|by| format!("{} × {}", by.upstream, by.weight)).collect();
            let title = model.title.as_ref().map_or(model.name.as_str(), Label::as_str);
            let now = fill(c.conflict_now, &[&format_args!("{title}; {}", served.join(", "))]);
            let page = form_page(&services, &viewer, About::Known(&model), typed, errors).await?;
            wrong(&FormPage { now: Some(now), ..page })
        }
        Err(error) if refused(&error, t, &mut errors) => {
            wrong(&form_page(&services, &viewer, About::Known(&model), typed, errors).await?)
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
                for version in [None, Some(1)] {
                    let mut errors = FieldErrors::default();
                    for field in ["", "name", "title", "context_window", "currency", "price_input", "served_by"] {
                        errors.add(field, *name);
                    }
                    let served = |error| ServedTyped { upstream: text(), model: text(), weight: text(), error };
                    let price = |name, shown| PriceField { name, label: "l", value: text(), shown };
                    let page = FormPage {
                        chrome: Chrome::bare(Look { lang, ..Look::default() }),
                        t: OpModels::of(lang),
                        c: OpCommon::of(lang),
                        e: Errors::of(lang),
                        title: text(),
                        action: "/x".into(),
                        version,
                        now: Some(text()),
                        kind: "chat",
                        kinds: vec![("chat", "Chat", true), ("image", "Image", false)],
                        upstreams: vec!["gpu-a".parse().unwrap()],
                        prices: vec![price("input", true), price("image", false)],
                        added: Some(1),
                        typed: Typed {
                            name: text(),
                            title: text(),
                            context_window: text(),
                            max_output_tokens: text(),
                            currency: text(),
                            prices: [(); 5].map(|()| text()),
                            served: vec![served(Some(text())), served(None)],
                        },
                        errors,
                    };
                    hostile::check(&page.render().unwrap(), name);
                }
            }
        }
    }
}
