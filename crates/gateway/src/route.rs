//! Which path goes where. Decided from method and path alone: a query never matters.
//!
//! Invariant: an inference path never reaches management and the other way round, with and without `/v1`.

use http::Method;
use tollgate_core::Route;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// Sent upstream.
    Infer(Route),
    /// `GET models`
    ModelList,
    /// `GET models/{model}`: the rest of the path as it came.
    ModelOne(&'a str),
    /// `GET key`
    KeyOwn,
    /// A route of the inference API that is not served by this version.
    NotServed,
    /// A known path with another method; what it takes.
    WrongMethod(&'static str),
    /// The same with `OPTIONS`, by which browsers ask whether a page may send a request.
    Options(&'static str),
    /// `GET healthz`: the process lives.
    Live,
    /// `GET readyz`: it would serve a request now.
    Ready,
    /// Something below `/v1/` that no version serves.
    Unknown,
    /// Everything else.
    Management,
}

/// A word for each kind of route, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteLabel {
    ChatCompletions,
    Completions,
    Embeddings,
    Models,
    Key,
    Health,
    Management,
    Other,
}

impl RouteLabel {
    pub const ALL: [Self; 8] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Models,
        Self::Key,
        Self::Health,
        Self::Management,
        Self::Other,
    ];
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::Key => "key",
            Self::Health => "health",
            Self::Management => "management",
            Self::Other => "other",
        }
    }
}

impl From<Route> for RouteLabel {
    fn from(route: Route) -> Self {
        match route {
            Route::ChatCompletions => Self::ChatCompletions,
            Route::Completions => Self::Completions,
            Route::Embeddings => Self::Embeddings,
        }
    }
}

impl Target<'_> {
    pub fn label(self) -> RouteLabel {
        match self {
            Self::Infer(route) => route.into(),
            Self::ModelList | Self::ModelOne(_) => RouteLabel::Models,
            Self::KeyOwn => RouteLabel::Key,
            Self::Live | Self::Ready => RouteLabel::Health,
            Self::Management => RouteLabel::Management,
            Self::NotServed | Self::WrongMethod(_) | Self::Options(_) | Self::Unknown => RouteLabel::Other,
        }
    }
}

/// Routes of the inference API that a later version will serve.
const NOT_SERVED: [&str; 6] =
    ["rerank", "responses", "messages", "audio/transcriptions", "audio/speech", "images/generations"];

/// Where a request with this method and path goes.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Target<'a> {
    match path {
        "/healthz" => return read_only(method, Target::Live),
        "/readyz" => return read_only(method, Target::Ready),
        _ => {}
    }
    let (name, is_versioned) = match path.strip_prefix("/v1/") {
        Some(name) => (name, true),
        None => (path.strip_prefix('/').unwrap_or(path), false),
    };
    if let Some(route) = Route::ALL.into_iter().find(|route| route.path() == name) {
        return if method == Method::POST { Target::Infer(route) } else { wrong(method, "POST") };
    }
    if NOT_SERVED.contains(&name) {
        return if method == Method::POST { Target::NotServed } else { wrong(method, "POST") };
    }
    match name {
        "models" => read_only(method, Target::ModelList),
        "key" => read_only(method, Target::KeyOwn),
        _ => match name.strip_prefix("models/") {
            Some(model) if !model.is_empty() => read_only(method, Target::ModelOne(model)),
            _ if is_versioned => Target::Unknown,
            _ => Target::Management,
        },
    }
}

fn read_only<'a>(method: &Method, target: Target<'a>) -> Target<'a> {
    if method == Method::GET || method == Method::HEAD { target } else { wrong(method, "GET, HEAD") }
}

fn wrong(method: &Method, takes: &'static str) -> Target<'static> {
    if method == Method::OPTIONS { Target::Options(takes) } else { Target::WrongMethod(takes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_where_they_belong_with_and_without_v1() {
        fn get(path: &str) -> Target<'_> {
            route(&Method::GET, path)
        }
        fn post(path: &str) -> Target<'_> {
            route(&Method::POST, path)
        }
        for before in ["/v1/", "/"] {
            let at = |name: &str| format!("{before}{name}");
            assert_eq!(post(&at("chat/completions")), Target::Infer(Route::ChatCompletions));
            assert_eq!(post(&at("completions")), Target::Infer(Route::Completions));
            assert_eq!(post(&at("embeddings")), Target::Infer(Route::Embeddings));
            assert_eq!(get(&at("chat/completions")), Target::WrongMethod("POST"));
            assert_eq!(get(&at("models")), Target::ModelList);
            assert_eq!(get(&at("models/Qwen/Qwen3-32B")), Target::ModelOne("Qwen/Qwen3-32B"));
            assert_eq!(post(&at("models")), Target::WrongMethod("GET, HEAD"));
            assert_eq!(route(&Method::OPTIONS, &at("models")), Target::Options("GET, HEAD"));
            assert_eq!(route(&Method::OPTIONS, &at("chat/completions")), Target::Options("POST"));
            assert_eq!(get(&at("key")), Target::KeyOwn);
            for name in NOT_SERVED {
                assert_eq!(post(&at(name)), Target::NotServed);
            }
        }
        assert_eq!(get("/readyz"), Target::Ready);
        assert_eq!(get("/healthz"), Target::Live);
        for path in ["/", "/api/v1/keys", "/docs", "/v1", "/models/", "//v1/models", "/keys", "*"] {
            assert_eq!(get(path), Target::Management, "{path}");
            assert_eq!(route(&Method::OPTIONS, path), Target::Management, "{path}");
        }
        for path in ["/v1/", "/v1/api/v1/keys", "/v1/keys", "/v1/v1/models", "/v1/healthz", "/v1/models/"] {
            assert_eq!(get(path), Target::Unknown, "{path}");
        }
    }

    #[test]
    fn labels_are_their_own_places() {
        for (place, label) in RouteLabel::ALL.into_iter().enumerate() {
            assert_eq!(label as usize, place);
        }
    }
}
