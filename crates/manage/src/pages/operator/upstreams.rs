//! Upstreams: how they are, whom they serve, and a test that tries one for real. A credential goes in and never comes out.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{Upstream, catalog::OnClientGone};

use super::{Asked, Operator, Pager, Which, in_force, upstream_form};
use crate::{
    pages::{
        Chrome, Form, Lang, Paged, Place, Viewer, When, render,
        sheet::Confirm,
        texts::{Errors, OpCommon, OpUpstreams, fill},
    },
    services::{ServiceError, Services, UpstreamTest, Verdict},
};

pub(super) const HERE: &str = "/operator/upstreams";

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route(HERE, get(list))
        .route("/operator/upstreams/{upstream}", get(show))
        .route("/operator/upstreams/{upstream}/test", axum::routing::post(test))
        .route("/operator/upstreams/{upstream}/remove", get(remove_ask).post(remove))
        .merge(upstream_form::router())
}

struct Row {
    id: String,
    name: String,
    base_url: String,
    engine: &'static str,
    on_client_gone: &'static str,
    credential: bool,
    class: &'static str,
    state: &'static str,
    since: Option<When>,
    checked: Option<When>,
    error: Option<String>,
    models: String,
}

impl Row {
    fn of(upstream: Upstream, services: &Services, models: u64, lang: Lang) -> Self {
        let t = OpUpstreams::of(lang);
        let health = services.upstream_health.health(upstream.name.as_str());
        let (class, state) = match (upstream.enabled, &health) {
            (false, _) => ("", t.off),
            (true, None) => ("", t.unknown),
            (true, Some(health)) if health.healthy => ("good", t.healthy),
            (true, Some(_)) => ("bad", t.ill),
        };
        Self {
            id: upstream.id.to_string(),
            name: upstream.name.to_string(),
            base_url: upstream.base_url.to_string(),
            engine: upstream.engine.as_str(),
            on_client_gone: match upstream.on_client_gone {
                OnClientGone::Cancel => t.cancel_means,
                OnClientGone::Drain => t.drain_means,
            },
            credential: upstream.has_credential,
            class,
            state,
            since: health.as_ref().map(|health| When(health.since)),
            checked: health.as_ref().and_then(|health| health.checked_at).map(When),
            error: health.and_then(|health| health.last_error),
            models: lang.count(models),
        }
    }
}

#[derive(Template)]
#[template(path = "operator/upstreams.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static OpUpstreams,
    c: &'static OpCommon,
    rows: Vec<Row>,
    pager: Pager,
}

/// A model that it serves.
struct ServedRow {
    id: String,
    name: String,
    there: String,
    weight: String,
}

/// What a test came to, in words.
struct Tested {
    class: &'static str,
    verdict: &'static str,
    advice: &'static str,
    facts: Vec<(&'static str, String)>,
}

impl Tested {
    fn of(test: UpstreamTest, lang: Lang) -> Self {
        let t = OpUpstreams::of(lang);
        let (verdict, advice) = match test.verdict {
            Verdict::Good => (t.test_good, ""),
            Verdict::ModelsMissing => (t.test_missing, t.advice_missing),
            Verdict::NoList => (t.test_no_list, t.advice_no_list),
            Verdict::CredentialRefused => (t.test_refused, t.advice_refused),
            Verdict::Redirected => (t.test_redirected, t.advice_redirected),
            Verdict::ServerError => (t.test_server, t.advice_server),
            Verdict::Unreachable => (t.test_unreachable, t.advice_unreachable),
            Verdict::CredentialUnreadable => (t.test_unreadable, t.advice_refused),
        };
        let class = match test.verdict {
            Verdict::Good => "calm",
            Verdict::ModelsMissing | Verdict::NoList => "",
            _ => "bad",
        };
        let mut facts = vec![(t.took, format!("{} ms", lang.count(test.after_ms)))];
        if let Some(status) = test.status {
            facts.push((t.status, status.to_string()));
        }
        if let Some(models) = test.models {
            facts.push((t.lists, lang.count(models)));
        }
        for (label, names) in [(t.listed, test.listed), (t.missing, test.missing)] {
            if !names.is_empty() {
                facts.push((label, names.join(", ")));
            }
        }
        if let Some(error) = test.error {
            facts.push((t.last_error, error));
        }
        Self { class, verdict, advice, facts }
    }
}

#[derive(Template)]
#[template(path = "operator/upstream.html")]
struct ShowPage {
    chrome: Chrome,
    t: &'static OpUpstreams,
    c: &'static OpCommon,
    row: Row,
    served: Vec<ServedRow>,
    tested: Option<Tested>,
}

async fn list(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let lang = viewer.look.lang;
    let upstreams = services.upstream_list(&viewer.principal, &asked.page()).await?;
    let counts = services.upstream_model_counts(&viewer.principal).await?;
    let pager = Pager::of(HERE, &[], &asked, &upstreams);
    let row = |upstream: Upstream| {
        let models = counts.get(&upstream.no.get()).copied().unwrap_or(0);
        Row::of(upstream, &services, models, lang)
    };
    let page = ListPage {
        chrome: Chrome::operator(&viewer, Place::Upstreams),
        t: OpUpstreams::of(lang),
        c: OpCommon::of(lang),
        rows: upstreams.data.into_iter().map(row).collect(),
        pager,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn page(
    services: &Services,
    viewer: &Viewer,
    named: &str,
    tested: Option<UpstreamTest>,
) -> Result<ShowPage, ServiceError> {
    let lang = viewer.look.lang;
    let upstream = services.upstream_get(&viewer.principal, named).await?;
    let served = services.upstream_serves(&viewer.principal, upstream.no).await?;
    Ok(ShowPage {
        chrome: Chrome::operator(viewer, Place::Upstreams),
        t: OpUpstreams::of(lang),
        c: OpCommon::of(lang),
        row: Row::of(upstream, services, served.len() as u64, lang),
        served: served
            .into_iter()
            .map(|served| ServedRow {
                id: served.id.to_string(),
                name: served.name.to_string(),
                there: served.there.to_string(),
                weight: lang.count(served.weight.into()),
            })
            .collect(),
        tested: tested.map(|test| Tested::of(test, lang)),
    })
}

async fn show(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    Ok(render(StatusCode::OK, &page(&services, &viewer, &named, None).await?))
}

/// Tries it now; the answer is the page itself with what came of it. Changes nothing, so a reload only tries again.
async fn test(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, _: Form) -> Paged {
    let test = services.upstream_test(&viewer.principal, &named).await?;
    Ok(render(StatusCode::OK, &page(&services, &viewer, &named, Some(test)).await?))
}

async fn sheet(services: &Services, viewer: &Viewer, upstream: &Upstream) -> Result<Confirm, ServiceError> {
    let t = OpUpstreams::of(viewer.look.lang);
    let served = services.upstream_serves(&viewer.principal, upstream.no).await?;
    let back = format!("{HERE}/{}", upstream.id);
    Ok(Confirm {
        title: fill(t.remove_of, &[&upstream.name]),
        lines: vec![if served.is_empty() { t.remove_means } else { t.in_use }.to_owned()],
        possible: served.is_empty(),
        named: served.into_iter().map(|served| served.name.to_string()).collect(),
        action: format!("{back}/remove"),
        back,
        button: OpCommon::of(viewer.look.lang).remove,
        ..Confirm::new(viewer.look.lang)
    })
}

async fn remove_ask(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let upstream = services.upstream_get(&viewer.principal, &named).await?;
    Ok(sheet(&services, &viewer, &upstream).await?.page(Chrome::operator(&viewer, Place::Upstreams)))
}

async fn remove(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, _: Form) -> Paged {
    let upstream = services.upstream_get(&viewer.principal, &named).await?;
    match services.upstream_remove(&viewer.principal, &named).await {
        Ok(done) => Ok(viewer.go_saying(HERE, in_force(&done))),
        Err(ServiceError::InUse(_)) => {
            let sheet = sheet(&services, &viewer, &upstream).await?;
            let why = Errors::of(viewer.look.lang).state_title;
            Ok(sheet.refused(Chrome::operator(&viewer, Place::Upstreams), why))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Look, hostile};

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            let (t, c) = (OpUpstreams::of(lang), OpCommon::of(lang));
            let chrome = || Chrome::bare(Look { lang, ..Look::default() });
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                let at = || When(tollgate_core::Timestamp::default());
                let row = || Row {
                    id: "up_1".into(),
                    name: text(),
                    base_url: text(),
                    engine: "vllm",
                    on_client_gone: t.cancel_means,
                    credential: true,
                    class: "bad",
                    state: t.ill,
                    since: Some(at()),
                    checked: Some(at()),
                    error: Some(text()),
                    models: "1".into(),
                };
                let pager = Pager { first: Some("/x".into()), next: Some("/y".into()) };
                hostile::check(&ListPage { chrome: chrome(), t, c, rows: vec![row()], pager }.render().unwrap(), name);
                let served = ServedRow { id: "model_1".into(), name: text(), there: text(), weight: "1".into() };
                let facts = vec![(t.last_error, text())];
                let tested = Tested { class: "bad", verdict: t.test_unreachable, advice: t.advice_unreachable, facts };
                let page = ShowPage { chrome: chrome(), t, c, row: row(), served: vec![served], tested: Some(tested) };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }

    #[test]
    fn every_verdict_of_a_test_is_put_into_words() {
        for lang in Lang::ALL {
            for verdict in [
                Verdict::Good,
                Verdict::ModelsMissing,
                Verdict::NoList,
                Verdict::CredentialRefused,
                Verdict::Redirected,
                Verdict::ServerError,
                Verdict::Unreachable,
                Verdict::CredentialUnreadable,
            ] {
                let test = UpstreamTest {
                    verdict,
                    reachable: true,
                    after_ms: 1_200,
                    status: Some(200),
                    models: Some(2),
                    listed: vec!["a".into()],
                    missing: vec!["b".into(), "c".into()],
                    error: Some("why".into()),
                };
                let tested = Tested::of(test, lang);
                assert!(!tested.verdict.is_empty() && (tested.class == "calm") == (verdict == Verdict::Good));
                assert_eq!(tested.advice.is_empty(), verdict == Verdict::Good, "what to do is said of each fault");
                assert!(tested.facts.iter().any(|(_, value)| value == "b, c"), "{:?}", tested.facts);
            }
        }
    }
}
