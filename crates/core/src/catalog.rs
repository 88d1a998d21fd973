//! What can be called: models, the routes that fit their kinds, and the upstreams that serve them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    id::{Id, No},
    money::PriceList,
    name::{Label, ModelName, Slug},
    seal::SecretText,
    time::Timestamp,
};

macro_rules! words {
    ($(#[$doc:meta])* $ty:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? } $error:ident, $message:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $ty { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }
        impl $ty {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl FromStr for $ty {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or($error)
            }
        }
        /// The text is none of the words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error($message)]
        pub struct $error;
    };
}

words!(
    /// What a model does.
    ModelKind {
        /// Text to text: chat, completions, responses, messages.
        Chat = "chat",
        /// Text to vectors.
        Embedding = "embedding",
        /// Orders documents by a query.
        Rerank = "rerank",
        /// Speech to text.
        Transcription = "transcription",
        /// Text to speech.
        Speech = "speech",
        /// Text to images.
        Image = "image",
    } ModelKindError, "a kind is chat, embedding, rerank, transcription, speech or image"
);
words!(
    /// What runs on an upstream: what it can report and which routes it has.
    Engine {
        /// OpenAI's own API.
        Openai = "openai",
        /// vLLM: reports running usage in each chunk.
        Vllm = "vllm",
        /// SGLang: reports running usage in each chunk.
        Sglang = "sglang",
        /// Anthropic's own API.
        Anthropic = "anthropic",
        /// Anything else of OpenAI's shape.
        Other = "other",
    } EngineError, "an engine is openai, vllm, sglang, anthropic or other"
);
words!(
    /// What happens upstream when a client hangs up in the middle of an answer.
    OnClientGone {
        /// The upstream is stopped: it costs the operator.
        Cancel = "cancel",
        /// The answer is read to its end for its usage, within limits.
        Drain = "drain",
    } OnClientGoneError, "on_client_gone is cancel or drain"
);

impl Engine {
    /// Whether it can be asked for running usage in each chunk (`continuous_usage_stats`).
    #[must_use]
    pub const fn reports_running_usage(self) -> bool {
        matches!(self, Self::Vllm | Self::Sglang)
    }
}

/// A route of the inference API that sends something upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// `chat/completions`
    ChatCompletions,
    /// `completions`
    Completions,
    /// `embeddings`
    Embeddings,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ChatCompletions, Self::Completions, Self::Embeddings];

    /// The path behind `/v1/`, the same here and upstream.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
        }
    }
    /// Whether models of `kind` are served here.
    #[must_use]
    pub const fn serves(self, kind: ModelKind) -> bool {
        matches!(
            (self, kind),
            (Self::ChatCompletions | Self::Completions, ModelKind::Chat) | (Self::Embeddings, ModelKind::Embedding)
        )
    }
    /// Its number in the journal: never reused.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::ChatCompletions => 1,
            Self::Completions => 2,
            Self::Embeddings => 3,
        }
    }
}

/// A public name in the catalogue, and who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its id.
    pub id: Id<Model>,
    /// Its row number.
    pub no: No<Model>,
    /// What clients call it. Cannot be changed: another name is another model.
    pub name: ModelName,
    /// Its name for people.
    pub title: Option<Label>,
    /// What it does.
    pub kind: ModelKind,
    /// Input and output together, in tokens.
    pub context_window: Option<u64>,
    /// The most output of one request, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What it costs.
    pub price: PriceList,
    /// Who serves it; at most [`Model::MOST_UPSTREAMS`]. None: requests find no healthy upstream.
    pub served_by: Vec<ServedBy>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change; the `etag`.
    pub version: i64,
}

impl Model {
    /// The most upstreams of one model.
    pub const MOST_UPSTREAMS: usize = 64;
    /// The greatest weight.
    pub const MOST_WEIGHT: u32 = 1_000_000;
}

/// One upstream of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedBy {
    /// The upstream's row number.
    pub upstream_no: No<Upstream>,
    /// The upstream's name.
    pub upstream: Slug,
    /// What the upstream calls the model.
    pub model: ModelName,
    /// Its share of the requests, beside the others' weights. 0: only when no other is healthy.
    pub weight: u32,
}

/// A server that serves models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its id.
    pub id: Id<Upstream>,
    /// Its row number.
    pub no: No<Upstream>,
    /// What operators call it, unique.
    pub name: Slug,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Whether it has a credential of its own; the credential itself is never shown.
    pub has_credential: bool,
    /// What runs on it.
    pub engine: Engine,
    /// What happens when a client hangs up.
    pub on_client_gone: OnClientGone,
    /// Whether requests may go there.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change; the `etag`.
    pub version: i64,
}

/// An upstream as the data plane holds it, its credential opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamAuth {
    /// The upstream.
    pub upstream: Upstream,
    /// Its credential, sent as `Authorization: Bearer …` (or `x-api-key` to Anthropic).
    pub credential: Option<SecretText>,
}

/// An `http` or `https` address without query, fragment or user, and without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    text: Box<str>,
    authority: (usize, usize),
    tls: bool,
}

/// The text is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a base URL is http:// or https://, a host, and perhaps a port and a path: no user, query or fragment")]
pub struct BaseUrlError;

impl BaseUrl {
    /// The longest text.
    pub const LONGEST: usize = 1_024;

    /// The whole, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// Whether it is `https`.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }
    /// Host and port as in the `host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.get(self.authority.0..self.authority.1).unwrap_or_default()
    }
    /// The host alone, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        }
    }
    /// The port, that of the scheme where none is named.
    #[must_use]
    pub fn port(&self) -> u16 {
        let behind_host = self.authority().rsplit_once(']').map_or(self.authority(), |(_, rest)| rest);
        let named = behind_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        named.unwrap_or(if self.tls { 443 } else { 80 })
    }
    /// The path before the route: empty, or beginning with a slash and not ending with one.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.authority.1..).unwrap_or_default()
    }
}
impl FromStr for BaseUrl {
    type Err = BaseUrlError;
    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let text = text.trim_end_matches('/');
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(BaseUrlError),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(inside) => inside.split_once(']').ok_or(BaseUrlError)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let host_fits = if authority.starts_with('[') {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        };
        let port_fits = port.is_empty()
            || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let path_fits =
            path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\' | b'"' | b'<' | b'>'))
                && !path.split('/').any(|part| matches!(part, "." | ".."));
        if text.len() > Self::LONGEST || !host_fits || !port_fits || !path_fits {
            return Err(BaseUrlError);
        }
        let start = text.len() - rest.len();
        Ok(Self { authority: (start, start + authority.len()), text: text.into(), tls })
    }
}
impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
impl Serialize for BaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gives_its_parts() {
        let parts = |text: &str| {
            let url: BaseUrl = text.parse().unwrap();
            format!("{} {} {} {} {}", url.is_tls(), url.authority(), url.host(), url.port(), url.path())
        };
        assert_eq!(parts("http://10.0.0.5:8000/v1/"), "false 10.0.0.5:8000 10.0.0.5 8000 /v1");
        assert_eq!(parts("https://api.example.com"), "true api.example.com api.example.com 443 ");
        assert_eq!(parts("http://[::1]:9/a/b"), "false [::1]:9 ::1 9 /a/b");
        assert_eq!(parts("http://[::1]"), "false [::1] ::1 80 ");
        for wrong in [
            "",
            "http://",
            "ftp://a",
            "http://a b",
            "http://u:p@a",
            "http://a:0",
            "http://a:70000",
            "http://a:",
            "http://a/?q",
            "http://a/#f",
            "http://a/../b",
            "http://[x]",
            "http://a\r\nb",
            "//a",
        ] {
            assert!(wrong.parse::<BaseUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_read_back() {
        for kind in ModelKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert!("Chat".parse::<ModelKind>().is_err());
        assert_eq!(serde_json::to_string(&Engine::Vllm).unwrap(), "\"vllm\"");
    }
}
