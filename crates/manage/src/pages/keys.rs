//! *My API Keys*: the list of an account's keys, and a sheet for each thing that is done with one.
//!
//! The text of a key is in two answers only, both to a `POST`: that of [`create`] and that of [`rotate`]. Neither can be had
//! again: a repeat of the first meets the value that its form carries, a repeat of the second the key's version.

mod act;
mod create;
mod details;
mod edit;
mod fields;
mod list;
mod rotate;
mod shown;
mod view;

use axum::{Router, extract::FromRequestParts, routing::get};
use http::request::Parts;
use tollgate_core::{Id, Key};

use super::{failure::Failure, safe_next};
use crate::services::{Noun, ServiceError, Services};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/a/{account}/keys", get(list::show))
        .route("/a/{account}/keys/new", get(create::form).post(create::create))
        .route("/a/{account}/keys/{key}", get(details::show))
        .route("/a/{account}/keys/{key}/edit", get(edit::form).post(edit::save))
        .route("/a/{account}/keys/{key}/rotate", get(rotate::form).post(rotate::rotate))
        .route("/a/{account}/keys/{key}/revoke", get(act::revoke_form).post(act::revoke))
        .route("/a/{account}/keys/{key}/disable", get(act::disable_form).post(act::disable))
        .route("/a/{account}/keys/{key}/enable", get(act::enable_form).post(act::enable))
}

/// A key of an account, by the path; something that cannot be an id is a key that is not there.
struct KeyPath {
    account: String,
    id: Id<Key>,
}

impl FromRequestParts<Services> for KeyPath {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        let path = axum::extract::Path::<(String, String)>::from_request_parts(parts, services).await;
        let axum::extract::Path((account, id)) = path.map_err(|_| ServiceError::NotFound(Noun::Key))?;
        let id = id.parse().map_err(|_| ServiceError::NotFound(Noun::Key))?;
        Ok(Self { account, id })
    }
}

/// Where a sheet leads back to: the list as it was left, by the sheet's own `back`, which is nothing but its query.
fn list_of(account: &str, back: Option<&str>) -> String {
    let list = format!("/a/{account}/keys");
    match back {
        Some(query) if safe_next(Some(&format!("{list}?{query}"))) != "/" => format!("{list}?{query}"),
        _ => list,
    }
}

/// The `back` of a query.
fn back_of(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, _)| name == "back").map(|(_, value)| value.into_owned()).filter(|back| !back.is_empty())
}

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_leads_back_to_the_list_and_nowhere_else() {
        assert_eq!(list_of("acme", None), "/a/acme/keys");
        let back = back_of(Some("x=1&back=search%3Da%26sort%3Dname"));
        assert_eq!(list_of("acme", back.as_deref()), "/a/acme/keys?search=a&sort=name");
        for odd in ["\r\nset-cookie: x", "a b", "ö", &"x".repeat(5_000)] {
            assert_eq!(list_of("acme", Some(odd)), "/a/acme/keys", "{odd:?}");
        }
        assert_eq!(back_of(Some("back=")), None);
    }
}
