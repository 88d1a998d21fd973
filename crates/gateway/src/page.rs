//! Requests that a web page sent: told from those of programs, and allowed where the key's owner named the page's origin.
//!
//! A key in a web page is in the hands of everybody who opens it, so that a page's request is refused unless the key allows
//! its origin by name; what was refused is counted as a sign that the key leaked ([`crate::exposure`]). It is no protection
//! against a thief, who sends what headers he likes: it is how an owner finds out before the thief comes.
//!
//! Told by what a page's script can neither set nor leave out (Fetch Metadata; WHATWG Fetch, "Origin"):
//!
//! | headers | from |
//! |---|---|
//! | `Origin` of `http`, `https` or a browser's extension, or `null` | a page |
//! | `Origin` of another scheme (`app://…`, `tauri://…`, `vscode-webview://…`) | a program that shows pages of its own |
//! | no `Origin`, `Sec-Fetch-Site: none` | no page: Electron's own requests; a page cannot send a key this way |
//! | no `Origin`, another `Sec-Fetch-Site`, or a `Sec-Fetch-Dest` | a page of the origin that it asks |
//! | `Sec-Fetch-Mode` alone | a program: Node.js's `fetch` sends it |
//!
//! A browser lets a page read an answer only if that names the page's origin: [`Page::allow_reading`]. It asks first, without
//! the key ([`preflight`]): that is answered by what the keys allow together. Cookies are never a credential here, so
//! `Access-Control-Allow-Credentials` is never sent.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
    },
};
use tollgate_core::{Origin, Origins};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Schemes of pages: of the web, and of what people install into their browsers.
const OF_BROWSERS: [&str; 5] = ["https", "http", "chrome-extension", "moz-extension", "safari-web-extension"];
/// Names of headers that a page asks for, in bytes; longer lists are answered with [`USUAL_HEADERS`].
const LONGEST_ASKED: usize = 2_048;
/// What clients send.
const USUAL_HEADERS: HeaderValue = HeaderValue::from_static("authorization, x-api-key, content-type");
/// What clients read: browsers show scripts no other headers of an answer. `*` would not do for all of them.
const READABLE: HeaderValue = HeaderValue::from_static(
    "x-request-id, retry-after, openai-processing-ms, openai-version, x-ratelimit-limit-requests, \
     x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, \
     x-ratelimit-reset-tokens",
);
/// Seconds for which a browser need not ask again: the most that Chromium takes. What a key allows is asked anyway.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("7200");

/// Where a request of a browser comes from, or of a program that shows pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    /// Of this origin.
    Of(HeaderValue),
    /// Of the origin that it asks, which has this host: browsers leave `Origin` out then, but for `POST`.
    Own(HeaderValue),
    /// Of a page that does not say which.
    Unnamed,
    /// A program with pages of its own, which nobody else opens.
    Program(HeaderValue),
}

impl Page {
    /// The page that sent this; `None`: a program did. No allocation, and three look-ups for what is no page.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some(origin) = headers.get(ORIGIN) {
            let origin = origin.clone();
            return Some(if is_of_browser(origin.as_bytes()) { Self::Of(origin) } else { Self::Program(origin) });
        }
        match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(b"none") => None,
            Some(b"same-origin") => Some(headers.get(HOST).cloned().map_or(Self::Unnamed, Self::Own)),
            Some(_) => Some(Self::Unnamed),
            None => headers.contains_key(SEC_FETCH_DEST).then_some(Self::Unnamed),
        }
    }
    /// Whether a key that allows these origins may be used from here.
    pub fn may_use(&self, allowed: Option<&Origins>) -> bool {
        match self {
            Self::Of(origin) => allowed.is_some_and(|allowed| allowed.allow(origin.as_bytes())),
            Self::Own(host) => allowed.is_some_and(|allowed| allowed.allow_authority(host.as_bytes())),
            Self::Unnamed => false,
            Self::Program(_) => true,
        }
    }
    /// The origin as it was said, where it was.
    pub fn origin(&self) -> Option<&HeaderValue> {
        match self {
            Self::Of(origin) | Self::Program(origin) => Some(origin),
            Self::Own(_) | Self::Unnamed => None,
        }
    }
    /// The origin, where it is one: `null` is none.
    pub fn named(&self) -> Option<Origin> {
        self.origin()?.to_str().ok()?.parse().ok()
    }
    /// What lets this page read an answer for a key that allows these origins.
    pub fn allow_reading(&self, allowed: Option<&Origins>) -> Option<&HeaderValue> {
        self.origin().filter(|origin| allowed.is_some_and(|allowed| allowed.allow(origin.as_bytes())))
    }
}

/// By its scheme; `null`, and what is no origin at all, is taken for a browser's.
fn is_of_browser(origin: &[u8]) -> bool {
    let scheme = origin.windows(3).position(|three| three == b"://").and_then(|end| origin.get(..end));
    scheme.is_none_or(|scheme| OF_BROWSERS.iter().any(|of| scheme.eq_ignore_ascii_case(of.as_bytes())))
}

/// Lets a page of this origin read the answer.
pub(crate) fn reading_allowed<B>(response: &mut Response<B>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READABLE);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

/// The origin whose browser asks whether a page of it may send a request; `None`: this is no such question.
pub(crate) fn preflight(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|_| headers.get(ORIGIN))
}

/// Turns an answer into the yes to a preflight: these methods, and the headers that were asked for.
pub(crate) fn sending_allowed<B>(response: &mut Response<B>, asked: &HeaderMap, methods: &'static str) {
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if let Some(origin) = asked.get(ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    let names = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| is_list_of_names(names.as_bytes()));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.cloned().unwrap_or(USUAL_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, ASK_AGAIN);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

/// Names of headers with commas between them (RFC 9110, section 5.6.2): which ones does not matter, since we read few and
/// pass on fewer.
fn is_list_of_names(names: &[u8]) -> bool {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    names.len() <= LONGEST_ASKED
        && names.split(|b| *b == b',').map(<[u8]>::trim_ascii).all(|name| !name.is_empty() && name.iter().all(is_token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(headers: &[(&'static str, &'static str)]) -> Option<Page> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Page::of(&headers)
    }
    fn origin(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn what_browsers_send_is_told_from_what_programs_send() {
        let app = || Some(Page::Of(origin("https://app.example.com")));
        for (what, headers, from) in [
            ("curl", &[("user-agent", "curl/8")][..], None),
            ("Node.js's fetch", &[("sec-fetch-mode", "cors"), ("accept-language", "*")], None),
            (
                "Electron's own requests",
                &[("sec-fetch-site", "none"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")],
                None,
            ),
            (
                "a page elsewhere",
                &[
                    ("origin", "https://app.example.com"),
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "cors"),
                    ("sec-fetch-dest", "empty"),
                ],
                app(),
            ),
            ("a page over http, or of an old browser", &[("origin", "https://app.example.com")], app()),
            ("a page in a sandbox", &[("origin", "null")], Some(Page::Of(origin("null")))),
            (
                "a page of the same host, reading",
                &[("host", "gate.example"), ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")],
                Some(Page::Own(origin("gate.example"))),
            ),
            ("a frame", &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "iframe")], Some(Page::Unnamed)),
            ("behind a proxy that dropped the rest", &[("sec-fetch-dest", "empty")], Some(Page::Unnamed)),
            (
                "an extension",
                &[("origin", "chrome-extension://abc"), ("sec-fetch-site", "none")],
                Some(Page::Of(origin("chrome-extension://abc"))),
            ),
            ("what nobody sends", &[("origin", "httpsx")], Some(Page::Of(origin("httpsx")))),
            ("nothing", &[("origin", "")], Some(Page::Of(origin("")))),
            (
                "an editor",
                &[("origin", "vscode-webview://0abc"), ("sec-fetch-site", "cross-site")],
                Some(Page::Program(origin("vscode-webview://0abc"))),
            ),
            ("Electron", &[("origin", "file://")], Some(Page::Program(origin("file://")))),
            ("Tauri", &[("origin", "tauri://localhost")], Some(Page::Program(origin("tauri://localhost")))),
            ("http that is not", &[("origin", "httpx://a")], Some(Page::Program(origin("httpx://a")))),
        ] {
            assert_eq!(page(headers), from, "{what}");
        }
    }

    #[test]
    fn a_key_may_be_used_from_the_pages_that_it_names() {
        let allowed: Origins = "https://app.example.com http://localhost:3000 tauri://localhost".parse().unwrap();
        for (page, may, reads) in [
            (Page::Of(origin("https://app.example.com")), true, true),
            (Page::Of(origin("http://app.example.com")), false, false),
            (Page::Of(origin("https://app.example.com.evil.example")), false, false),
            (Page::Of(origin("https://APP.example.com")), false, false),
            (Page::Of(origin("null")), false, false),
            (Page::Own(origin("localhost:3000")), true, false),
            (Page::Own(origin("localhost:3001")), false, false),
            (Page::Unnamed, false, false),
            (Page::Program(origin("app://x")), true, false),
            (Page::Program(origin("tauri://localhost")), true, true),
        ] {
            assert_eq!(page.may_use(Some(&allowed)), may, "{page:?}");
            assert_eq!(page.allow_reading(Some(&allowed)).is_some(), reads, "{page:?}");
            assert_eq!(page.may_use(None), matches!(page, Page::Program(_)), "{page:?}");
            assert_eq!(page.allow_reading(None), None);
        }
    }

    #[test]
    fn a_page_is_named_only_by_an_origin() {
        assert_eq!(Page::Of(origin("https://a.example")).named(), "https://a.example".parse().ok());
        for page in [Page::Of(origin("null")), Page::Of(origin("")), Page::Unnamed, Page::Own(origin("a.example"))] {
            assert_eq!(page.named(), None);
        }
        let long = HeaderValue::try_from(format!("https://{}.example", "a".repeat(5_000))).unwrap();
        assert_eq!(Page::Of(long).named(), None);
    }

    #[test]
    fn the_headers_that_a_page_asks_for_are_granted_if_they_are_names_of_headers() {
        let granted = |asked: &str| {
            let asked = [
                (ORIGIN, origin("https://a.example")),
                (ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::try_from(asked).unwrap()),
            ];
            let mut response = Response::new(());
            sending_allowed(&mut response, &asked.into_iter().collect(), "POST");
            response.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().to_owned()
        };
        let asked = "authorization,content-type, x-stainless-arch,anthropic-version";
        assert_eq!(granted(asked), asked);
        for odd in ["", "a,,b", "a b", "a;b", &"x,".repeat(2_000)] {
            assert_eq!(granted(odd), USUAL_HEADERS, "{odd}");
        }
    }
}
