//! Making and changing an upstream. A credential that was typed is not written into the page again: it is typed anew.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{
    Upstream,
    catalog::{BaseUrl, Engine, OnClientGone},
    name::Slug,
    seal::SecretText,
};

use super::{Operator, Which, in_force, said_of, upstreams::HERE};
use crate::{
    pages::{
        Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer, render,
        texts::{Errors, OpCommon, OpUpstreams, fill},
    },
    services::{ServiceError, Services, UpstreamChange, UpstreamInput},
};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/operator/upstreams/new", get(create_form).post(create))
        .route("/operator/upstreams/{upstream}/edit", get(edit_form).post(edit))
}

/// What was typed, but for the credential.
struct Typed {
    name: String,
    base_url: String,
    engine: String,
    on_client_gone: String,
    enabled: bool,
    /// `keep`, `replace` or `remove`.
    credential: String,
}

impl Typed {
    fn of(form: &Form) -> Self {
        let field = |name| form.text(name).to_owned();
        Self {
            name: field("name"),
            base_url: field("base_url"),
            engine: field("engine"),
            on_client_gone: field("on_client_gone"),
            enabled: form.ticked("enabled"),
            credential: field("credential_act"),
        }
    }
}

#[derive(Template)]
#[template(path = "operator/upstream_form.html")]
struct FormPage {
    chrome: Chrome,
    t: &'static OpUpstreams,
    c: &'static OpCommon,
    e: &'static Errors,
    title: String,
    action: String,
    back: String,
    version: Option<i64>,
    now: Option<String>,
    has_credential: bool,
    engines: &'static [Engine],
    policies: [(&'static str, &'static str); 2],
    typed: Typed,
    errors: FieldErrors,
}

fn form_page(viewer: &Viewer, upstream: Option<&Upstream>, typed: Typed, errors: FieldErrors) -> FormPage {
    let lang = viewer.look.lang;
    let t = OpUpstreams::of(lang);
    let back = upstream.map_or_else(|| HERE.to_owned(), |upstream| format!("{HERE}/{}", upstream.id));
    FormPage {
        chrome: Chrome::operator(viewer, Place::Upstreams),
        t,
        c: OpCommon::of(lang),
        e: Errors::of(lang),
        title: upstream.map_or_else(|| t.create.to_owned(), |upstream| fill(t.edit_of, &[&upstream.name])),
        action: upstream.map_or_else(|| format!("{HERE}/new"), |_| format!("{back}/edit")),
        back,
        version: upstream.map(|upstream| upstream.version),
        now: None,
        has_credential: upstream.is_some_and(|upstream| upstream.has_credential),
        engines: Engine::ALL,
        policies: [(OnClientGone::Cancel.as_str(), t.cancel_means), (OnClientGone::Drain.as_str(), t.drain_means)],
        typed,
        errors,
    }
}
fn wrong(page: &FormPage) -> Paged {
    Ok(render(StatusCode::UNPROCESSABLE_ENTITY, page))
}

/// A credential as it was typed: never kept in anything that is shown.
fn secret(form: &Form) -> Option<SecretText> {
    form.some("credential").map(|text| SecretText::new(text.to_owned()))
}

async fn create_form(Operator(viewer): Operator) -> Paged {
    let typed = Typed {
        name: String::new(),
        base_url: String::new(),
        engine: Engine::Vllm.as_str().to_owned(),
        on_client_gone: OnClientGone::Cancel.as_str().to_owned(),
        enabled: true,
        credential: "replace".to_owned(),
    };
    Ok(render(StatusCode::OK, &form_page(&viewer, None, typed, FieldErrors::default())))
}

async fn create(State(services): State<Services>, Operator(viewer): Operator, form: Form) -> Paged {
    let t = OpUpstreams::of(viewer.look.lang);
    let typed = Typed::of(&form);
    let mut errors = FieldErrors::default();
    let name = typed.name.parse::<Slug>().map_err(|_| errors.add("name", t.bad_name)).ok();
    let base_url = typed.base_url.parse::<BaseUrl>().map_err(|_| errors.add("base_url", t.bad_url)).ok();
    let (Some(name), Some(base_url)) = (name, base_url) else {
        return wrong(&form_page(&viewer, None, typed, errors));
    };
    let input = UpstreamInput {
        name,
        base_url,
        credential: secret(&form),
        engine: typed.engine.parse().unwrap_or(Engine::Other),
        on_client_gone: typed.on_client_gone.parse().unwrap_or(OnClientGone::Cancel),
        enabled: typed.enabled,
    };
    match services.upstream_create(&viewer.principal, input).await {
        Ok(made) => Ok(viewer.go_saying(&format!("{HERE}/{}", made.value.id), Flash::Saved)),
        Err(error) => {
            match (&error, said_of(&error)) {
                (ServiceError::Exists(_), _) => errors.add("name", t.name_taken),
                (_, Some(("credential", _))) => errors.add("credential", t.bad_credential),
                _ => return Err(error.into()),
            }
            wrong(&form_page(&viewer, None, typed, errors))
        }
    }
}

async fn edit_form(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let upstream = services.upstream_get(&viewer.principal, &named).await?;
    let typed = Typed {
        name: upstream.name.to_string(),
        base_url: upstream.base_url.to_string(),
        engine: upstream.engine.as_str().to_owned(),
        on_client_gone: upstream.on_client_gone.as_str().to_owned(),
        enabled: upstream.enabled,
        credential: "keep".to_owned(),
    };
    Ok(render(StatusCode::OK, &form_page(&viewer, Some(&upstream), typed, FieldErrors::default())))
}

async fn edit(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which, form: Form) -> Paged {
    let (t, e, c) = (OpUpstreams::of(viewer.look.lang), Errors::of(viewer.look.lang), OpCommon::of(viewer.look.lang));
    let upstream = services.upstream_get(&viewer.principal, &named).await?;
    let typed = Typed::of(&form);
    let mut errors = FieldErrors::default();
    let base_url = typed.base_url.parse::<BaseUrl>().map_err(|_| errors.add("base_url", t.bad_url)).ok();
    let credential = match (typed.credential.as_str(), secret(&form)) {
        ("remove", _) => Some(None),
        (_, Some(text)) => Some(Some(text)),
        ("replace", None) => {
            errors.add("credential", e.required);
            None
        }
        _ => None,
    };
    if !errors.is_empty() {
        return wrong(&form_page(&viewer, Some(&upstream), typed, errors));
    }
    let change = UpstreamChange {
        base_url,
        credential,
        engine: typed.engine.parse().ok(),
        on_client_gone: typed.on_client_gone.parse().ok(),
        enabled: Some(typed.enabled),
    };
    match services.upstream_edit(&viewer.principal, &named, change, Some(form.version())).await {
        Ok(done) => Ok(viewer.go_saying(&format!("{HERE}/{}", done.value.id), in_force(&done))),
        Err(ServiceError::VersionConflict) => {
            errors.add("", e.conflict_title);
            let now = fill(c.conflict_now, &[&format_args!("{}, {}", upstream.base_url, upstream.engine.as_str())]);
            wrong(&FormPage { now: Some(now), ..form_page(&viewer, Some(&upstream), typed, errors) })
        }
        Err(error) if said_of(&error).is_some_and(|(field, _)| field == "credential") => {
            errors.add("credential", t.bad_credential);
            wrong(&form_page(&viewer, Some(&upstream), typed, errors))
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
                    for field in ["", "name", "base_url", "credential"] {
                        errors.add(field, *name);
                    }
                    let t = OpUpstreams::of(lang);
                    let page = FormPage {
                        chrome: Chrome::bare(Look { lang, ..Look::default() }),
                        t,
                        c: OpCommon::of(lang),
                        e: Errors::of(lang),
                        title: text(),
                        action: "/x".into(),
                        back: "/y".into(),
                        version,
                        now: Some(text()),
                        has_credential: version.is_some(),
                        engines: Engine::ALL,
                        policies: [("cancel", t.cancel_means), ("drain", t.drain_means)],
                        typed: Typed {
                            name: text(),
                            base_url: text(),
                            engine: text(),
                            on_client_gone: text(),
                            enabled: true,
                            credential: text(),
                        },
                        errors,
                    };
                    hostile::check(&page.render().unwrap(), name);
                }
            }
        }
    }
}
