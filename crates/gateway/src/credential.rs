//! The credential of a request: exactly one, in exactly one of two forms. Anything else is refused, not repaired.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use tollgate_wire::ErrorCode;

pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The key's text as the client sent it, or why there is none. What was sent is never repeated.
pub(crate) fn credential(headers: &HeaderMap) -> Result<&[u8], ErrorCode> {
    let bearer = one(headers, &AUTHORIZATION)?.map(bearer).transpose()?;
    let plain = one(headers, &X_API_KEY)?.map(HeaderValue::as_bytes);
    match (bearer, plain) {
        (Some(bearer), Some(plain)) if bearer != plain => Err(ErrorCode::InvalidApiKey),
        (Some(text), _) | (None, Some(text)) if !text.is_empty() => Ok(text),
        (None, None) => Err(ErrorCode::MissingApiKey),
        _ => Err(ErrorCode::InvalidApiKey),
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ErrorCode> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(ErrorCode::InvalidApiKey) } else { Ok(first) }
}

/// RFC 6750, section 2.1: the scheme in any case (RFC 9110, section 11.1), one space, the token.
fn bearer(value: &HeaderValue) -> Result<&[u8], ErrorCode> {
    match value.as_bytes().split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(token),
        _ => Err(ErrorCode::InvalidApiKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> Result<String, ErrorCode> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        credential(&headers).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn one_credential_in_either_form_is_taken() {
        assert_eq!(read(&[("authorization", "Bearer k")]), Ok("k".into()));
        assert_eq!(read(&[("authorization", "bearer k")]), Ok("k".into()));
        assert_eq!(read(&[("x-api-key", "k")]), Ok("k".into()));
        assert_eq!(read(&[("authorization", "Bearer k"), ("x-api-key", "k")]), Ok("k".into()), "the same twice");
    }

    #[test]
    fn anything_else_is_refused_and_not_repaired() {
        assert_eq!(read(&[]), Err(ErrorCode::MissingApiKey));
        for wrong in [
            &[("authorization", "Basic k")][..],
            &[("authorization", "k")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "")],
            &[("x-api-key", "")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            &[("x-api-key", "a"), ("x-api-key", "a")],
            &[("authorization", "Bearer a"), ("x-api-key", "b")],
            &[("authorization", "Basic a"), ("x-api-key", "a")],
        ] {
            assert_eq!(read(wrong), Err(ErrorCode::InvalidApiKey), "{wrong:?}");
        }
        // A second space is a part of the token, which has none and is refused for its form.
        assert_eq!(read(&[("authorization", "Bearer  k")]), Ok(" k".into()));
    }
}
