//! The operator's part of the console: accounts, plans, catalogue, upstreams, users, audit log, nodes.
//!
//! Who is not an operator gets 404 for each of these addresses, as for another account's: [`Operator`] is the only way
//! into a handler here. Things are addressed by their ids, so that one named `new` has a page too.

mod account_forms;
mod accounts;
mod audit;
mod model_form;
mod models;
mod nodes;
mod plans;
mod upstream_form;
mod upstreams;
mod user_forms;
mod users;

use std::collections::HashMap;

use axum::{
    Router,
    extract::{FromRequestParts, Path, RawQuery},
    routing::get,
};
use http::request::Parts;
use tollgate_core::Timestamp;
use tollgate_store::{Page, PageRequest};

use super::{Flash, Paged, Viewer, encode, failure::Failure};
use crate::services::{Confirmed, Noun, ServiceError, Services};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/operator", get(start))
        .merge(accounts::router())
        .merge(plans::router())
        .merge(upstreams::router())
        .merge(models::router())
        .merge(users::router())
        .merge(audit::router())
        .merge(nodes::router())
}

async fn start(Operator(viewer): Operator) -> Paged {
    Ok(viewer.go("/operator/accounts"))
}

/// An operator at work. To everybody else the pages here do not exist.
pub(super) struct Operator(pub(super) Viewer);

impl FromRequestParts<Services> for Operator {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        let viewer = Viewer::from_request_parts(parts, services).await?;
        if viewer.principal.is_operator() { Ok(Self(viewer)) } else { Err(ServiceError::NotFound(Noun::Thing).into()) }
    }
}

/// The one part of the path that names something.
pub(super) struct Which(pub(super) String);

impl FromRequestParts<Services> for Which {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        match Path::<String>::from_request_parts(parts, services).await {
            Ok(Path(text)) if !text.contains('\0') => Ok(Self(text)),
            _ => Err(ServiceError::NotFound(Noun::Thing).into()),
        }
    }
}

/// What an address asks for behind its `?`. Nothing in it is an error: what is not understood is not asked for.
pub(super) struct Asked(HashMap<String, String>);

impl FromRequestParts<Services> for Asked {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Self::Rejection> {
        let RawQuery(query) = RawQuery::from_request_parts(parts, services).await?;
        Ok(Self::of(&query.unwrap_or_default()))
    }
}
impl Asked {
    fn of(query: &str) -> Self {
        let fields = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self(fields.filter(|(_, value)| !value.contains('\0')).collect())
    }
    /// A field that says something, without blanks at its ends.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }
    /// The page of a list.
    pub(super) fn page(&self) -> PageRequest {
        PageRequest { cursor: self.some("cursor").map(str::to_owned), limit: 0 }
    }
}

/// Where the other pages of a list are.
pub(super) struct Pager {
    /// The first page, where this is another.
    pub(super) first: Option<String>,
    /// The next.
    pub(super) next: Option<String>,
}

impl Pager {
    /// Of a list at `path` with these filters.
    pub(super) fn of<T>(path: &str, filters: &[(&str, Option<&str>)], asked: &Asked, page: &Page<T>) -> Self {
        let filters: String = filters
            .iter()
            .filter_map(|(name, value)| value.map(|value| format!("&{name}={}", encode(value))))
            .collect();
        let first = filters.strip_prefix('&').map_or_else(|| path.to_owned(), |filters| format!("{path}?{filters}"));
        Self {
            first: asked.some("cursor").map(|_| first),
            next: page.next_cursor.as_ref().map(|cursor| format!("{path}?cursor={cursor}{filters}")),
        }
    }
    /// Whether there is any other page.
    pub(super) fn is_needed(&self) -> bool {
        self.first.is_some() || self.next.is_some()
    }
}

/// What is said of a change that takes something away: that it is in force everywhere, or that this is not proven.
pub(super) fn in_force<T>(confirmed: &Confirmed<T>) -> Flash {
    match &confirmed.effective {
        _ if confirmed.pending => Flash::NotProven,
        None => Flash::Saved,
        Some(effective) => Flash::InForce { nodes: effective.nodes.len() as u64, streams: effective.streams_cut },
    }
}

/// A time as a `datetime-local` field writes it, in UTC: `2026-11-30T17:00`.
pub(super) fn parse_utc(text: &str) -> Option<Timestamp> {
    // A date alone is its beginning; seconds may be there or not.
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => return None,
    };
    whole.replace(' ', "T").parse().ok()
}
/// The value of such a field.
pub(super) fn utc_field(at: Timestamp) -> String {
    at.to_string().get(..16).unwrap_or_default().to_owned()
}

/// An input that a page has not checked itself: the field that the service names, and what it says of it.
pub(super) fn said_of(error: &ServiceError) -> Option<(&str, &str)> {
    match error {
        ServiceError::Invalid { field, message } => Some((field, message)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pager_keeps_the_filters_and_its_texts_are_encoded() {
        let page = Page::<()> { data: vec![], next_cursor: Some("a61".into()) };
        let filters = [("search", Some("a b&c=<d>")), ("standing", None)];
        let pager = Pager::of("/operator/accounts", &filters, &Asked::of("cursor=x"), &page);
        assert_eq!(pager.first.as_deref(), Some("/operator/accounts?search=a+b%26c%3D%3Cd%3E"));
        assert_eq!(pager.next.as_deref(), Some("/operator/accounts?cursor=a61&search=a+b%26c%3D%3Cd%3E"));
        let last = Page::<()> { data: vec![], next_cursor: None };
        assert!(!Pager::of("/operator/accounts", &[], &Asked::of(""), &last).is_needed());
    }

    #[test]
    fn a_time_of_a_form_is_utc() {
        assert_eq!(parse_utc("2026-11-30T17:00"), "2026-11-30T17:00:00Z".parse().ok());
        assert_eq!(parse_utc("2026-11-30"), "2026-11-30T00:00:00Z".parse().ok());
        assert_eq!(utc_field(parse_utc("2026-11-30T17:00:59").unwrap()), "2026-11-30T17:00");
        for wrong in ["", "tomorrow", "2026-13-30T17:00", "2026-11-30T17:00Z", "2026-11-30T25:00"] {
            assert_eq!(parse_utc(wrong), None, "{wrong}");
        }
    }
}
