//! Upstreams: how they are, whom they serve, and a test that tries one for real. A credential goes in and never comes out.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{Upstream, catalog::OnClientGone};

use super::{Asked, Operator, Pager, Which, in_force, upstream_form};
use crate::{
    pages::{
        Chrome, FieldErrors, Form, Lang, Paged, Place, Viewer, When, render,
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
            let mut errors = FieldErrors::default();
            errors.add("", Errors::of(viewer.look.lang).state_title);
            let sheet = sheet(&services, &viewer, &upstream).await?;
            Ok(sheet.page_with(Chrome::operator(&viewer, Place::Upstreams), errors))
        }
        Err(error) => Err(error.into()),
    }
}
