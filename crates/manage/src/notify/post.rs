//! Notices posted to endpoints, as the Standard Webhooks specification has it.
//!
//! The body is `{"type", "timestamp", "data"}`, the same bytes at each attempt; `webhook-id` is the notice's id, by which a
//! receiver knows one that it had before. Anything but 2xx is a failure, a redirection too. Of the answer nothing is kept.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;
use tollgate_core::{
    Id, Notice, Timestamp,
    notice::{DeliveryProblem, Webhook},
    seal::{MasterKey, SecretText},
};
use tollgate_store::notices::{DueNotice, Receiver};

use super::{Failure, sign};
use crate::services::outgoing::{Bounds, CallError, HttpClient, Reach, is_public};

/// What an endpoint gets: time to answer in, and an answer whose body nobody reads.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(15), answer: 64 << 10 };
/// The longest address of an endpoint.
const LONGEST_URL: usize = 2_048;
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Posts notices.
pub(super) struct Poster {
    master_key: MasterKey,
    allow_private: bool,
    client: HttpClient,
}

impl Poster {
    pub(super) fn new(master_key: MasterKey, allow_private: bool) -> Self {
        Self { master_key, allow_private, client: HttpClient::default() }
    }
    pub(super) const fn allows_private(&self) -> bool {
        self.allow_private
    }
    /// Posts the one notice of a delivery.
    pub(super) async fn send(
        &self,
        receiver: &Receiver,
        notices: &[DueNotice],
        now: Timestamp,
    ) -> Result<Option<u16>, Failure> {
        let Receiver::Webhook { id, url, of_deployment, secret, previous_secret, .. } = receiver else {
            return Err(Failure::last(DeliveryProblem::Unreadable));
        };
        let told = notices.first().ok_or(Failure::last(DeliveryProblem::Unreadable))?;
        let sealed: Vec<&[u8]> =
            [Some(secret), previous_secret.as_ref()].into_iter().flatten().map(Vec::as_slice).collect();
        let secrets = self.open(*id, &sealed)?;
        let request = request(url, told, &secrets, now)?;
        // Endpoints of the deployment are the operator's own.
        let reach = if *of_deployment || self.allow_private { Reach::Anywhere } else { Reach::Public };
        let answer = self.client.send(request, reach, BOUNDS).await.map_err(|error| failure_of(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Some(status.as_u16()));
        }
        let gone = status == StatusCode::GONE;
        Err(Failure {
            problem: if gone { DeliveryProblem::Gone } else { DeliveryProblem::Status },
            status: Some(status.as_u16()),
            is_final: gone,
            retry_after: retry_after(answer.headers().get(header::RETRY_AFTER)),
        })
    }
    fn open(&self, id: Id<Webhook>, sealed: &[&[u8]]) -> Result<Vec<SecretText>, Failure> {
        let context = id.to_string();
        let opened: Result<_, _> = sealed.iter().map(|sealed| self.master_key.open(sealed, &context)).collect();
        opened.map_err(|_| Failure::last(DeliveryProblem::Secret))
    }
}

fn request(
    url: &str,
    told: &DueNotice,
    secrets: &[SecretText],
    now: Timestamp,
) -> Result<http::Request<Vec<u8>>, Failure> {
    let id = told.id.to_string();
    let body = body_of(told);
    let signature = sign::signature(secrets, &id, now, &body).ok_or(Failure::last(DeliveryProblem::Secret))?;
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(ID, id)
        .header(TIMESTAMP, sign::seconds(now))
        .header(SIGNATURE, HeaderValue::from_str(&signature).map_err(|_| Failure::last(DeliveryProblem::Secret))?)
        .body(body);
    // The address was checked when it was set.
    request.map_err(|_| Failure::last(DeliveryProblem::Unreadable))
}

/// The bytes that are signed and sent.
fn body_of(told: &DueNotice) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        timestamp: Timestamp,
        /// `type` and `data`.
        #[serde(flatten)]
        notice: &'a Notice,
    }
    serde_json::to_vec(&Body { timestamp: told.notice.at(), notice: &told.notice }).unwrap_or_default()
}

fn failure_of(error: &CallError) -> Failure {
    Failure::new(match error {
        CallError::Address | CallError::PrivateAddress => DeliveryProblem::PrivateAddress,
        CallError::UnknownHost(_) => DeliveryProblem::UnknownHost,
        CallError::TooSlow => DeliveryProblem::TimedOut,
        CallError::Tls(_) => DeliveryProblem::Tls,
        CallError::Connect(_) => DeliveryProblem::Unreachable,
        CallError::Http(error) if error.is_parse() => DeliveryProblem::BadAnswer,
        CallError::Http(_) => DeliveryProblem::Unreachable,
        CallError::Answer(_) => DeliveryProblem::BadAnswer,
    })
}

/// `Retry-After` in seconds; as a date it is not heard.
fn retry_after(value: Option<&HeaderValue>) -> Option<Duration> {
    value?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether this can be an endpoint's address, as far as can be said without looking its name up; else why not.
pub(crate) fn may_be_endpoint(url: &str, allow_private: bool) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "this is no address of the form https://host/path")?;
    let host = uri.host().unwrap_or_default();
    if url.len() > LONGEST_URL || host.is_empty() {
        return Err("this is no address of the form https://host/path");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("an address with a user name is not taken: the signature says who calls");
    }
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if allow_private => {}
        _ => return Err("the address must begin with https://"),
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_private = bare == "localhost" || bare.parse().is_ok_and(|address| !is_public(address));
    if is_private && !allow_private {
        return Err("the address is in a private network: only public addresses are allowed here");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::notice::Test;

    #[test]
    fn an_endpoint_is_https_and_public_unless_the_operator_allows_more() {
        for (url, public, private) in [
            ("https://example.com/hook?x=1", true, true),
            ("https://example.com:8443", true, true),
            ("https://8.8.8.8/", true, true),
            ("http://example.com/", false, true),
            ("https://127.0.0.1/", false, true),
            ("https://[::ffff:127.0.0.1]/", false, true),
            ("https://localhost/", false, true),
            ("https://user:pass@example.com/", false, false),
            ("ftp://example.com/", false, false),
            ("//example.com/", false, false),
            ("/hook", false, false),
            ("https://", false, false),
            ("https:///path", false, false),
            ("javascript:alert(1)", false, false),
            ("https://exa mple.com/", false, false),
            ("https://example.com/\r\nx: y", false, false),
            ("", false, false),
        ] {
            assert_eq!(may_be_endpoint(url, false).is_ok(), public, "{url}");
            assert_eq!(may_be_endpoint(url, true).is_ok(), private, "{url} where private ones are allowed");
        }
        assert!(may_be_endpoint(&format!("https://example.com/{}", "a".repeat(LONGEST_URL)), true).is_err());
    }

    #[test]
    fn the_body_is_the_specifications_and_the_same_each_time() {
        let at: Timestamp = "2026-05-04T12:34:56Z".parse().unwrap();
        let notice = Notice::Test(Test { account: None, at });
        let told = DueNotice { id: Id::from_parts(1, &[1; 10]), notice, account: None };
        let body = body_of(&told);
        assert_eq!(
            String::from_utf8(body.clone()).unwrap(),
            r#"{"timestamp":"2026-05-04T12:34:56Z","type":"test","data":{"account":null,"at":"2026-05-04T12:34:56Z"}}"#
        );
        assert_eq!(body_of(&told), body);
        let secrets = [SecretText::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into())];
        let request = request("https://example.com/hook", &told, &secrets, at).ok().unwrap();
        assert_eq!(request.headers()["webhook-id"], "note_00000000000171018101010101010101");
        assert_eq!(request.headers()["webhook-timestamp"], "1777898096");
        assert!(request.headers()["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds() {
        let asked = |text| retry_after(Some(&HeaderValue::from_static(text)));
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        for nothing in ["", "-1", "soon", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999999"] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
    }
}
