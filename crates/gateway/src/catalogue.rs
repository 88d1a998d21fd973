//! Models and upstreams as workers see them: a picture that is replaced as a whole and never changed.
//!
//! Invariant: an upstream keeps its health and its connections as long as its row does not change; with any change it
//! is another one (a new `revision`), so that no request goes to an old address or under an old credential.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use tollgate_core::{
    Model, No, Route,
    catalog::{Engine, Upstream, UpstreamAuth},
    money::PriceList,
    name::ModelName,
};

use crate::{
    credential::X_API_KEY,
    metrics::{Metrics, ModelMetrics, UpstreamMetrics},
    upstream::Health,
};

/// Models by name and by number.
#[derive(Default)]
pub(crate) struct Catalogue {
    by_name: HashMap<ModelName, Arc<ModelEntry>>,
    by_no: HashMap<No<Model>, Arc<ModelEntry>>,
    upstreams: Vec<Arc<UpstreamEntry>>,
}

/// A model and who serves it.
pub(crate) struct ModelEntry {
    pub model: Model,
    pub served_by: Vec<Serving>,
    pub metrics: ModelMetrics,
}

/// An upstream of a model.
pub(crate) struct Serving {
    pub upstream: Arc<UpstreamEntry>,
    /// What the upstream calls the model; `None` where it is the public name.
    pub rename: Option<ModelName>,
    pub weight: u32,
}

/// An upstream, ready to be sent to.
pub(crate) struct UpstreamEntry {
    pub upstream: Upstream,
    /// Tells this state of the upstream from every other in this process.
    pub revision: u64,
    pub health: Health,
    /// It takes no `stream_options`: learned from an answer, kept as long as this state of the upstream is.
    pub usage_refused: AtomicBool,
    pub metrics: UpstreamMetrics,
    pub host: HeaderValue,
    /// Its credential in the header where it expects it; sensitive.
    pub credential: Option<(HeaderName, HeaderValue)>,
    /// The targets of requests, in the order of [`Route::ALL`], then of the health check.
    targets: [Uri; Route::ALL.len() + 1],
}

/// The upstream cannot be made into a request: a credential that is no header value.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's address or credential does not fit into a request")]
pub(crate) struct UnusableUpstream;

static REVISIONS: AtomicU64 = AtomicU64::new(0);

impl UpstreamEntry {
    pub fn new(auth: UpstreamAuth, metrics: UpstreamMetrics) -> Result<Self, UnusableUpstream> {
        let base = &auth.upstream.base_url;
        let target = |path: &str| format!("{}/{path}", base.path()).parse::<Uri>().map_err(|_| UnusableUpstream);
        let credential = auth.credential.as_ref().map(|credential| {
            let (name, text) = match auth.upstream.engine {
                Engine::Anthropic => (X_API_KEY, credential.expose().to_owned()),
                _ => (AUTHORIZATION, format!("Bearer {}", credential.expose())),
            };
            let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| UnusableUpstream)?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        let [chat, completions, embeddings] = Route::ALL.map(|route| target(route.path()));
        Ok(Self {
            revision: REVISIONS.fetch_add(1, Ordering::Relaxed),
            health: Health::new(),
            usage_refused: AtomicBool::new(false),
            metrics,
            host: HeaderValue::from_str(base.authority()).map_err(|_| UnusableUpstream)?,
            credential: credential.transpose()?,
            targets: [chat?, completions?, embeddings?, target("models")?],
            upstream: auth.upstream,
        })
    }
    /// Where requests of a route go.
    pub fn target(&self, route: Route) -> &Uri {
        let [chat, completions, embeddings, _] = &self.targets;
        match route {
            Route::ChatCompletions => chat,
            Route::Completions => completions,
            Route::Embeddings => embeddings,
        }
    }
    /// Where the health check goes.
    pub fn check_target(&self) -> &Uri {
        let [.., models] = &self.targets;
        models
    }
}

impl Catalogue {
    /// The model of this name.
    pub fn model(&self, name: &str) -> Option<&Arc<ModelEntry>> {
        self.by_name.get(name)
    }
    /// Whether this model is in the catalogue.
    pub fn has(&self, no: No<Model>) -> bool {
        self.by_no.contains_key(&no)
    }
    /// All models.
    pub fn models(&self) -> impl Iterator<Item = &Arc<ModelEntry>> {
        self.by_no.values()
    }
    /// All upstreams, by name.
    pub fn upstreams(&self) -> &[Arc<UpstreamEntry>] {
        &self.upstreams
    }
}

/// What a catalogue is made of: the follower's own state.
pub(crate) struct CatalogueParts {
    pub models: HashMap<No<Model>, Model>,
    pub upstreams: HashMap<No<Upstream>, Arc<UpstreamEntry>>,
}

impl CatalogueParts {
    pub fn new() -> Self {
        Self { models: HashMap::new(), upstreams: HashMap::new() }
    }
    pub fn build(&self, metrics: &Metrics) -> Catalogue {
        let entries = self.models.values().map(|model| {
            let served_by = model.served_by.iter().filter_map(|served| {
                Some(Serving {
                    upstream: Arc::clone(self.upstreams.get(&served.upstream_no)?),
                    rename: (served.model != model.name).then(|| served.model.clone()),
                    weight: served.weight,
                })
            });
            let served_by = served_by.collect();
            Arc::new(ModelEntry { metrics: metrics.model(&model.name), served_by, model: model.clone() })
        });
        let by_no: HashMap<_, _> = entries.map(|entry| (entry.model.no, entry)).collect();
        let by_name = by_no.values().map(|entry| (entry.model.name.clone(), Arc::clone(entry))).collect();
        let mut upstreams: Vec<_> = self.upstreams.values().cloned().collect();
        upstreams.sort_by(|a, b| a.upstream.name.cmp(&b.upstream.name));
        Catalogue { by_name, by_no, upstreams }
    }
}

impl ModelEntry {
    /// What it costs now.
    pub fn price(&self) -> PriceList {
        self.model.price
    }
    /// The most output of one answer, in tokens, where the catalogue says.
    pub fn output_ceiling(&self) -> Option<u64> {
        self.model.max_output_tokens.or(self.model.context_window)
    }
}
