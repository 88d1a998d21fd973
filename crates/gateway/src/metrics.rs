//! What is counted for operators. Handles are resolved at start or when the catalogue changes, never per request.
//!
//! Invariant: no label can be inflated by a client: routes, classes, codes, and names of the catalogue only.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric, counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tollgate_core::{
    name::{ModelName, Slug},
    usage::Units,
};
use tollgate_wire::ErrorCode;

use crate::{journal, route::RouteLabel};

/// Upper bounds of the histogram's bins, in microseconds.
const BINS_US: [u64; 15] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    status: &'static str,
}
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
    kind: &'static str,
}
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OneModel {
    model: String,
}
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OneUpstream {
    upstream: String,
}
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
    result: &'static str,
}
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All of them.
pub(crate) struct Metrics {
    /// By route, then status class.
    requests: Vec<[Counter; CLASSES.len()]>,
    refused: Vec<(ErrorCode, Counter)>,
    tokens: Family<ModelLabels, Counter>,
    first_byte: Family<OneModel, Histogram>,
    attempts: Family<UpstreamLabels, Counter>,
    upstream_up: Family<OneUpstream, Gauge>,
    usage_refused: Family<OneUpstream, Gauge>,
    pub in_flight: Gauge,
    pub connections: Gauge,
    pub connections_refused: Counter,
    pub preflights_refused: Counter,
    pub panics: Counter,
    pub usage_missing: Counter,
    pub streams_cut: Counter,
    pub draining: Gauge,
    pub keys: Gauge,
    pub seq: Gauge,
    pub lease: Gauge,
}

/// What is counted by model.
#[derive(Clone)]
pub(crate) struct ModelMetrics {
    input: Counter,
    cached_input: Counter,
    output: Counter,
    reasoning: Counter,
    first_byte: Histogram,
}

impl ModelMetrics {
    pub fn used(&self, units: &Units) {
        self.input.inc_by(units.input);
        self.output.inc_by(units.output);
        if units.cached_input > 0 {
            self.cached_input.inc_by(units.cached_input);
        }
        if units.reasoning > 0 {
            self.reasoning.inc_by(units.reasoning);
        }
    }
    pub fn first_byte(&self, time: Duration) {
        self.first_byte.observe(time);
    }
}

/// What is counted by upstream.
#[derive(Clone)]
pub(crate) struct UpstreamMetrics {
    pub answered: Counter,
    pub failed: Counter,
    pub up: Gauge,
    /// It takes no `stream_options`.
    pub usage_refused: Gauge,
}

impl Metrics {
    /// Not shown anywhere: for tests.
    #[cfg(test)]
    pub fn unregistered() -> Self {
        Self::new(&mut Registry::default())
    }

    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("tollgate");
        let requests = Family::<RouteLabels, Counter>::default();
        let refused = Family::<CodeLabels, Counter>::default();
        let metrics = Self {
            requests: RouteLabel::ALL
                .iter()
                .map(|label| {
                    CLASSES.map(|status| requests.get_or_create_owned(&RouteLabels { route: label.as_str(), status }))
                })
                .collect(),
            refused: ErrorCode::ALL
                .iter()
                .map(|code| (*code, refused.get_or_create_owned(&CodeLabels { code: code.as_str() })))
                .collect(),
            tokens: Family::default(),
            first_byte: Family::default(),
            attempts: Family::default(),
            upstream_up: Family::default(),
            usage_refused: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            preflights_refused: Counter::default(),
            panics: Counter::default(),
            usage_missing: Counter::default(),
            streams_cut: Counter::default(),
            draining: Gauge::default(),
            keys: Gauge::default(),
            seq: Gauge::default(),
            lease: Gauge::default(),
        };
        let mut counter = |name, help, metric: &Counter| registry.register(name, help, metric.clone());
        counter("connections_refused", "Connections closed since there were too many", &metrics.connections_refused);
        let help = "Browsers told that no key may be used from their page";
        counter("preflights_refused", help, &metrics.preflights_refused);
        counter("panics", "Requests that ended in a fault of this program", &metrics.panics);
        counter("usage_missing", "Whole answers without usage figures", &metrics.usage_missing);
        counter("streams_cut", "Running answers ended since their key, plan or model was", &metrics.streams_cut);
        let mut gauge = |name, help, metric: &Gauge| registry.register(name, help, metric.clone());
        gauge("requests_in_flight", "Inference requests running now", &metrics.in_flight);
        gauge("connections", "Connections of clients", &metrics.connections);
        gauge("drains", "Answers read on for their usage after the client hung up", &metrics.draining);
        gauge("keyring_keys", "Keys in memory", &metrics.keys);
        gauge("keyring_seq", "Place in the change log up to which the keyring is current", &metrics.seq);
        gauge("lease_valid", "Whether this node may serve", &metrics.lease);
        registry.register("requests", "Answers given, by route and status class", requests);
        registry.register("refused", "Errors of our own, by code", refused);
        registry.register("tokens", "Tokens counted, by model and kind", metrics.tokens.clone());
        let help = "From an attempt's beginning to its answer's first byte, by model";
        registry.register_with_unit("first_byte", help, Unit::Seconds, metrics.first_byte.clone());
        registry.register("upstream_attempts", "Attempts, by upstream and result", metrics.attempts.clone());
        registry.register("upstream_up", "Whether an upstream is healthy", metrics.upstream_up.clone());
        let help = "Whether an upstream refuses to report usage in streams, which are estimated then";
        registry.register("upstream_usage_refused", help, metrics.usage_refused.clone());
        metrics
    }

    /// Shows the journal's state.
    pub fn watch_journal(registry: &mut Registry, status: Arc<journal::Status>) {
        registry.sub_registry_with_prefix("tollgate").register_collector(Box::new(JournalCollector(status)));
    }

    pub fn request(&self, label: RouteLabel, status: u16) {
        let class = usize::from((status / 100).clamp(1, 5)) - 1;
        if let Some(counter) = self.requests.get(label as usize).and_then(|classes| classes.get(class)) {
            counter.inc();
        }
    }
    pub fn refused(&self, code: ErrorCode) {
        if let Some((_, counter)) = self.refused.iter().find(|(refused, _)| *refused == code) {
            counter.inc();
        }
    }
    pub fn model(&self, name: &ModelName) -> ModelMetrics {
        let tokens = |kind| self.tokens.get_or_create_owned(&ModelLabels { model: name.as_str().to_owned(), kind });
        ModelMetrics {
            input: tokens("input"),
            cached_input: tokens("cached_input"),
            output: tokens("output"),
            reasoning: tokens("reasoning"),
            first_byte: self.first_byte.get_or_create_owned(&OneModel { model: name.as_str().to_owned() }),
        }
    }
    pub fn upstream(&self, name: &Slug) -> UpstreamMetrics {
        let attempts =
            |result| self.attempts.get_or_create_owned(&UpstreamLabels { upstream: name.as_str().to_owned(), result });
        let one = OneUpstream { upstream: name.as_str().to_owned() };
        let up = self.upstream_up.get_or_create_owned(&one);
        up.set(1);
        let usage_refused = self.usage_refused.get_or_create_owned(&one);
        usage_refused.set(0);
        UpstreamMetrics { answered: attempts("answered"), failed: attempts("failed"), up, usage_refused }
    }
    /// An upstream is gone: so are its gauges.
    pub fn upstream_forget(&self, name: &Slug) {
        let one = OneUpstream { upstream: name.as_str().to_owned() };
        self.upstream_up.remove(&one);
        self.usage_refused.remove(&one);
    }
}

/// A histogram without a lock: each bin is a counter.
#[derive(Debug, Clone, Default)]
struct Histogram(Arc<Bins>);

#[derive(Debug, Default)]
struct Bins {
    counts: [AtomicU64; BINS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    fn observe(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bin = BINS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.0.counts.get(bin) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = BINS_US.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
        let counts = self.0.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|bucket| bucket.1).sum();
        encoder.encode_histogram::<NoLabelSet>(seconds(self.0.sum_us.load(Ordering::Relaxed)), count, &buckets, None)
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

#[derive(Debug)]
struct JournalCollector(Arc<journal::Status>);

impl Collector for JournalCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = &self.0;
        let gauges: [(&str, &str, u64); 5] = [
            ("journal_bytes", "Bytes of the journal on disk", status.bytes()),
            ("journal_unshipped_records", "Records not yet in the store", status.unshipped_records()),
            ("journal_behind_milliseconds", "How long ago the store last had everything", {
                u64::try_from(status.behind().as_millis()).unwrap_or(u64::MAX)
            }),
            ("journal_lanes", "Lanes not yet shipped and deleted", status.lanes()),
            ("journal_refuses", "Whether the journal takes no requests", {
                u64::from(status.health() >= journal::Health::Full)
            }),
        ];
        for (name, help, value) in gauges {
            let gauge = prometheus_client::metrics::gauge::ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let counters: [(&str, &str, u64); 3] = [
            ("journal_settlements_shipped", "Settlements shipped", status.shipped_settlements()),
            ("journal_records_lost", "Records found damaged", status.lost_records()),
            ("journal_ship_failures", "Tries to ship that failed", status.ship_failures()),
        ];
        for (name, help, value) in counters {
            let counter = prometheus_client::metrics::counter::ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_shows_and_counts() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let model = metrics.model(&"m".parse().unwrap());
        model.used(&Units { input: 3, output: 2, ..Units::default() });
        model.first_byte(Duration::from_millis(15));
        metrics.request(RouteLabel::ChatCompletions, 200);
        metrics.refused(ErrorCode::InvalidApiKey);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "tollgate_requests_total{route=\"chat/completions\",status=\"2xx\"} 1",
            "tollgate_refused_total{code=\"invalid_api_key\"} 1",
            "tollgate_tokens_total{model=\"m\",kind=\"input\"} 3",
            "tollgate_first_byte_seconds_count{model=\"m\"} 1",
            "tollgate_first_byte_seconds_bucket{le=\"0.02\",model=\"m\"} 1",
            "tollgate_first_byte_seconds_bucket{le=\"+Inf\",model=\"m\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
