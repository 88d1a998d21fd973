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
mod outcome;
mod rotate;
mod shown;
mod stand;
mod view;

use axum::{Router, extract::FromRequestParts, routing::get};
use http::request::Parts;
use tollgate_core::{Id, Key};

use self::act::Act;
pub(super) use self::{
    shown::{first_call, first_model},
    view::tone_of,
};
use super::failure::Failure;
use crate::services::{Noun, ServiceError, Services};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/a/{account}/keys", get(list::show))
        .route("/a/{account}/keys/new", get(create::form).post(create::create))
        .route("/a/{account}/keys/{key}", get(details::show))
        .route("/a/{account}/keys/{key}/edit", get(edit::form).post(edit::save))
        .route("/a/{account}/keys/{key}/rotate", get(rotate::form).post(rotate::rotate))
        .route("/a/{account}/keys/{key}/revoke", Act::Revoke.sheet())
        .route("/a/{account}/keys/{key}/disable", Act::Disable.sheet())
        .route("/a/{account}/keys/{key}/enable", Act::Enable.sheet())
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

#[cfg(test)]
mod samples;
