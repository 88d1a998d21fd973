//! Pages for people: sign-in by a one-time link, and a start page that shows what one has.
//!
//! A page is a struct with a template; no script, no inline style, nothing loaded from elsewhere.

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, Request, State},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tollgate_core::usage::{Bucket, UsageSums};
use tollgate_store::{PageRequest, keys::KeyFilter};

use crate::{
    extract,
    principal::Principal,
    services::{SESSION_LIFE, ServiceError, Services, UsageInput},
};

/// Keys on the start page; the API lists them all.
const KEYS_SHOWN: u32 = 100;
const STYLE: &str = include_str!("../assets/tollgate.css");

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    fits: bool,
}
#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage;
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    title: &'a str,
    text: &'a str,
}
#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    user: String,
    operator: bool,
    account: Option<AccountPart>,
    accounts: Vec<(String, &'static str)>,
    contact: Option<Contact>,
}
/// Where to ask for a plan; a link only where following it is harmless.
struct Contact {
    url: String,
    is_link: bool,
}
impl Contact {
    fn new(url: String) -> Self {
        let is_link = ["https://", "http://", "mailto:"].iter().any(|scheme| url.starts_with(scheme));
        Self { url, is_link }
    }
}
struct AccountPart {
    handle: String,
    name: String,
    role: &'static str,
    plan_missing: bool,
    suspended: bool,
    keys: Vec<KeyPart>,
    more_keys: bool,
    today: TodayPart,
}
struct KeyPart {
    name: String,
    hint: String,
    status: &'static str,
    last_used: String,
}
#[derive(Default)]
struct TodayPart {
    requests: u64,
    failed: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost: String,
}

pub(crate) fn router() -> Router<Services> {
    Router::new()
        .route("/", get(start))
        .route("/sign-in/{token}", get(sign_in_form).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/assets/tollgate.css", get(style))
        .layer(axum::middleware::map_response(page_headers))
}

async fn page_headers(mut response: Response) -> Response {
    set_page_headers(&mut response);
    response
}
fn set_page_headers(response: &mut Response) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let fixed = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it a browser sends `Origin: null` from our own forms, and over plain http there is no
        // `Sec-Fetch-Site` to go by. Nothing leaves this origin either way.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page did not render");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made").into_response()
        }
    }
}
fn message(status: StatusCode, title: &str, text: &str) -> Response {
    render(status, &MessagePage { title, text })
}
fn failed(error: &ServiceError) -> Response {
    match error {
        ServiceError::CrossSite => message(
            StatusCode::FORBIDDEN,
            "Sent from another site",
            "This form was not sent from a page of this deployment. Open the link anew and try again.",
        ),
        error => {
            tracing::error!(error = error as &dyn std::error::Error, "a page failed");
            let text = "The store cannot be reached right now. Try again in a moment.";
            message(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

/// The page of a path that is not served.
pub(crate) fn not_found() -> Response {
    let mut response = message(StatusCode::NOT_FOUND, "Not found", "There is no page here.");
    set_page_headers(&mut response);
    response
}

async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, STYLE).into_response()
}

/// Opening a link uses nothing up: programs that preview links open them too. The button does.
async fn sign_in_form(State(services): State<Services>, Path(token): Path<String>) -> Response {
    let fits = services.link_fits(token.as_bytes());
    render(if fits { StatusCode::OK } else { StatusCode::NOT_FOUND }, &SignInPage { fits })
}

async fn sign_in(State(services): State<Services>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    if let Err(error) = extract::check_same_site(&headers, &services) {
        return failed(&error);
    }
    match services.link_redeem(token.as_bytes()).await {
        Ok(Some(session)) => {
            let cookie = extract::cookie(&services, Some(session.plain.expose()), SESSION_LIFE);
            ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Ok(None) => render(StatusCode::NOT_FOUND, &SignInPage { fits: false }),
        Err(error) => failed(&error),
    }
}

async fn sign_out(State(services): State<Services>, headers: HeaderMap) -> Response {
    if let Err(error) = extract::check_same_site(&headers, &services) {
        return failed(&error);
    }
    if let Some(cookie) = extract::session_cookie(&headers, &services) {
        let ended = match services.session_identify(cookie.as_bytes()).await {
            Ok((_, session)) => services.session_end(session).await,
            Err(ServiceError::InvalidToken) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            return failed(&error);
        }
    }
    ([(header::SET_COOKIE, extract::cookie(&services, None, SESSION_LIFE))], Redirect::to("/")).into_response()
}

/// Which account the start page shows.
#[derive(Debug, serde::Deserialize)]
struct StartQuery {
    account: Option<String>,
}

async fn start(State(services): State<Services>, Query(query): Query<StartQuery>, request: Request) -> Response {
    let Some(cookie) = extract::session_cookie(request.headers(), &services) else {
        return render(StatusCode::OK, &SignedOutPage);
    };
    let principal = match services.session_identify(cookie.as_bytes()).await {
        Ok((identity, _)) => Principal::new(identity, None),
        Err(ServiceError::InvalidToken) => return render(StatusCode::OK, &SignedOutPage),
        Err(error) => return failed(&error),
    };
    match start_page(&services, &principal, query.account.as_deref()).await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(ServiceError::NotFound(_)) => message(StatusCode::NOT_FOUND, "Not found", "There is no such account."),
        Err(error) => failed(&error),
    }
}

async fn start_page(
    services: &Services,
    principal: &Principal,
    named: Option<&str>,
) -> Result<StartPage, ServiceError> {
    let account = match principal.access(services, named).await {
        Ok(access) => {
            let handle = access.account.handle.to_string();
            let now = services.world.now();
            let page = PageRequest { cursor: None, limit: KEYS_SHOWN };
            let keys = services.key_list(principal, Some(&handle), &KeyFilter::default(), &page).await?;
            let input = UsageInput {
                from: Some(jiff::tz::Offset::UTC.to_datetime(now.to_jiff()).date().to_string()),
                bucket: Some(Bucket::Total),
                account: Some(handle.clone()),
                ..UsageInput::default()
            };
            let usage = services.usage_report(principal, input).await?;
            let today = usage.rows.first().map(|row| today(&row.sums)).unwrap_or_else(|| today(&UsageSums::default()));
            let standing = access.account.standing(now);
            Some(AccountPart {
                name: access.account.name.to_string(),
                role: access.role().as_str(),
                plan_missing: standing == tollgate_core::account::Standing::PlanRequired,
                suspended: standing == tollgate_core::account::Standing::Suspended,
                more_keys: keys.next_cursor.is_some(),
                keys: keys
                    .data
                    .into_iter()
                    .map(|key| KeyPart {
                        hint: key.public_id.hint(&services.prefix),
                        status: key.state.status(key.expires_at, now).as_str(),
                        last_used: key.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
                        name: key.name.to_string(),
                    })
                    .collect(),
                handle,
                today,
            })
        }
        Err(ServiceError::Forbidden(_)) => None,
        Err(error) => return Err(error),
    };
    let user = principal.user();
    let accounts = user.memberships.iter().map(|own| (own.account_handle.to_string(), own.role.as_str()));
    Ok(StartPage {
        user: user.name.to_string(),
        operator: principal.is_operator(),
        account,
        accounts: accounts.collect(),
        contact: services.contact_url.clone().map(Contact::new),
    })
}

fn today(sums: &UsageSums) -> TodayPart {
    TodayPart {
        requests: sums.requests,
        failed: sums.failed,
        input_tokens: sums.units.input,
        output_tokens: sums.units.output,
        cost: sums.cost.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script>\"&{{ user }}";

    #[test]
    fn nothing_that_people_type_becomes_markup() {
        let part = AccountPart {
            handle: HOSTILE.into(),
            name: HOSTILE.into(),
            role: "owner",
            plan_missing: true,
            suspended: true,
            keys: vec![KeyPart {
                name: HOSTILE.into(),
                hint: HOSTILE.into(),
                status: "active",
                last_used: HOSTILE.into(),
            }],
            more_keys: true,
            today: today(&UsageSums::default()),
        };
        let page = StartPage {
            user: HOSTILE.into(),
            operator: true,
            account: Some(part),
            accounts: vec![(HOSTILE.into(), "owner"), ("other".into(), "viewer")],
            contact: Some(Contact::new("javascript:alert(1)\"><script>".into())),
        };
        let empty =
            StartPage { user: String::new(), operator: false, account: None, accounts: Vec::new(), contact: None };
        for html in [
            page.render().unwrap(),
            empty.render().unwrap(),
            SignInPage { fits: true }.render().unwrap(),
            SignInPage { fits: false }.render().unwrap(),
            SignedOutPage.render().unwrap(),
            MessagePage { title: HOSTILE, text: HOSTILE }.render().unwrap(),
        ] {
            assert!(!html.contains("<script"), "{html}");
            assert!(!html.contains("style=") && !html.contains("href=\"javascript"), "{html}");
            assert!(html.starts_with("<!doctype html>") && html.contains("<main>"), "{html}");
        }
    }
}
