//! The catalogue: models of every kind, what they cost, who serves them; and their removal.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{Model, ModelKind, money::PriceList};

use super::{Asked, Operator, Pager, Which, in_force, model_form};
use crate::{
    pages::{
        Chrome, Form, Lang, Paged, Place, render,
        sheet::Confirm,
        texts::{OpCommon, OpModels, fill, plural},
    },
    services::Services,
};

pub(super) const HERE: &str = "/operator/models";

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route(HERE, get(list))
        .route("/operator/models/{model}/remove", get(remove_ask).post(remove))
        .merge(model_form::router())
}

/// What a kind is called.
pub(super) const fn kind_name(t: &'static OpModels, kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Chat => t.kind_chat,
        ModelKind::Embedding => t.kind_embedding,
        ModelKind::Rerank => t.kind_rerank,
        ModelKind::Transcription => t.kind_transcription,
        ModelKind::Speech => t.kind_speech,
        ModelKind::Image => t.kind_image,
    }
}

/// The prices that are not nothing, in words.
fn prices(lang: Lang, price: &PriceList) -> Vec<String> {
    let t = OpModels::of(lang);
    let lines = [
        (t.per_input, Some(price.input_per_million)),
        (t.per_output, Some(price.output_per_million)),
        (t.per_cached, price.cached_input_per_million),
        (t.per_image, price.image_per_million),
        (t.per_second, price.audio_second_per_million),
    ];
    let shown = lines.into_iter().filter_map(|(label, price)| Some((label, price?)));
    shown
        .filter(|(_, amount)| amount.nanos() > 0)
        .map(|(label, amount)| format!("{} {label}", lang.money(amount, price.currency)))
        .collect()
}

struct Row {
    id: String,
    name: String,
    title: Option<String>,
    kind: &'static str,
    context: Option<String>,
    prices: Vec<String>,
    served_by: Vec<String>,
}

impl Row {
    fn of(model: Model, lang: Lang) -> Self {
        let t = OpModels::of(lang);
        Self {
            id: model.id.to_string(),
            name: model.name.to_string(),
            title: model.title.map(|title| title.to_string()),
            kind: kind_name(t, model.kind),
            context: model.context_window.map(|tokens| lang.count(tokens)),
            prices: prices(lang, &model.price),
            served_by: model.served_by.iter().map(|by| format!("{} × {}", by.upstream, by.weight)).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "operator/models.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static OpModels,
    c: &'static OpCommon,
    rows: Vec<Row>,
    pager: Pager,
}

async fn list(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let lang = viewer.look.lang;
    let models = services.model_list(&asked.page()).await?;
    let page = ListPage {
        chrome: Chrome::operator(&viewer, Place::Catalogue),
        t: OpModels::of(lang),
        c: OpCommon::of(lang),
        pager: Pager::of(HERE, &[], &asked, &models),
        rows: models.data.into_iter().map(|model| Row::of(model, lang)).collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

async fn remove_ask(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let lang = viewer.look.lang;
    let (t, c) = (OpModels::of(lang), OpCommon::of(lang));
    let model = services.model_get(&named).await?;
    let (count, keys) = services.model_naming_keys(&viewer.principal, model.no).await?;
    let more = count.saturating_sub(keys.len() as u64);
    let sheet = Confirm {
        title: fill(t.remove_of, &[&model.name]),
        lines: vec![
            t.remove_means.to_owned(),
            if count == 0 { t.no_key_names_it.to_owned() } else { plural(lang, count, t.key_names_it, t.keys_name_it) },
        ],
        named: keys
            .into_iter()
            .map(|key| format!("{}: {} ({}_{}…)", key.account, key.name, key.prefix.as_str(), key.public_id.as_str()))
            .collect(),
        more: (more > 0).then(|| fill(c.and_more, &[&lang.count(more)])),
        action: format!("{HERE}/{}/remove", model.id),
        back: HERE.to_owned(),
        button: c.remove,
        ..Confirm::new(lang)
    };
    Ok(sheet.page(Chrome::operator(&viewer, Place::Catalogue)))
}

async fn remove(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, _: Form) -> Paged {
    let done = services.model_remove(&viewer.principal, &named).await?;
    Ok(viewer.go_saying(HERE, in_force(&done)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Look, hostile};

    #[test]
    fn only_prices_that_are_charged_are_told() {
        let price = PriceList {
            input_per_million: "0.50".parse().unwrap(),
            image_per_million: Some("40000".parse().unwrap()),
            ..PriceList::default()
        };
        assert_eq!(prices(Lang::En, &price), ["0.50 USD / 1M input tokens", "40,000.00 USD / 1M images"]);
        assert_eq!(prices(Lang::Vi, &price)[0], "0,50 USD / 1 triệu token đầu vào");
    }

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            let (t, c) = (OpModels::of(lang), OpCommon::of(lang));
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                let row = |served_by| Row {
                    id: "model_1".into(),
                    name: text(),
                    title: Some(text()),
                    kind: t.kind_chat,
                    context: Some("32,768".into()),
                    prices: vec![text()],
                    served_by,
                };
                let page = ListPage {
                    chrome: Chrome::bare(Look { lang, ..Look::default() }),
                    t,
                    c,
                    rows: vec![row(vec![text()]), row(Vec::new())],
                    pager: Pager { first: Some("/x".into()), next: Some("/y".into()) },
                };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }
}
