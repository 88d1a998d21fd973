//! What programs read: Markdown, `llms.txt`, `llms-full.txt`, the sitemap.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{edition, query::Asked};
use crate::{
    pages::Look,
    services::{ServiceError, Services},
};

pub(super) const MARKDOWN: &str = "text/markdown; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const XML: &str = "application/xml; charset=utf-8";

/// A text that is asked for again only if it changed. Its language depends on who asks.
fn text(headers: &HeaderMap, kind: &'static str, text: String) -> Response {
    let tag = format!("\"{:08x}-{:x}\"", crc32fast::hash(text.as_bytes()), text.len());
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|own| own.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { text.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-language, cookie"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// A page's Markdown.
pub(super) fn page(headers: &HeaderMap, page: &tollgate_docs::Page) -> Response {
    let mut response = text(headers, MARKDOWN, page.markdown.clone());
    response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(page.lang.tag()));
    response
}

/// An answer as Markdown: nothing to keep.
pub(super) fn answer(markdown: String) -> Response {
    ([(header::CONTENT_TYPE, MARKDOWN), (header::CACHE_CONTROL, "no-store")], markdown).into_response()
}

/// A picture.
pub(super) fn picture(bytes: &'static [u8]) -> Response {
    ([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "public, max-age=3600")], bytes).into_response()
}

pub(super) async fn llms(
    State(services): State<Services>,
    look: Look,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, ServiceError> {
    let docs = services.docs().await?;
    Ok(text(&headers, PLAIN, docs.llms(edition(asked.look(look).lang))))
}

pub(super) async fn llms_full(
    State(services): State<Services>,
    look: Look,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, ServiceError> {
    let docs = services.docs().await?;
    Ok(text(&headers, PLAIN, docs.llms_full(edition(asked.look(look).lang))))
}

pub(super) async fn sitemap(State(services): State<Services>, headers: HeaderMap) -> Result<Response, ServiceError> {
    Ok(text(&headers, XML, services.docs().await?.sitemap()))
}
