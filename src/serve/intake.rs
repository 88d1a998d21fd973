//! How reports of leaked keys go, as Prometheus sees it. Labels are a source, an outcome, a reason: nothing that anybody
//! chooses.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter},
};
use tollgate_manage::LeakFigures;

/// Reads the figures of intake at each scrape.
#[derive(Debug, Clone)]
pub struct Intake(pub LeakFigures);

impl Collector for Intake {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let about =
            "Texts that this node was told are leaked keys, by where the report came from and what became of each";
        let mut texts = encoder.encode_descriptor("tollgate_leak_reports", about, None, MetricType::Counter)?;
        for (source, outcome, count) in self.0.texts() {
            ConstCounter::new(count).encode(texts.encode_family(&[("source", source), ("outcome", outcome)])?)?;
        }
        let about = "Reports of leaked keys that this node refused; unknown_key: signed with a key that GitHub does not publish";
        let mut refusals = encoder.encode_descriptor("tollgate_leak_refusals", about, None, MetricType::Counter)?;
        for (source, reason, count) in self.0.refusals() {
            ConstCounter::new(count).encode(refusals.encode_family(&[("source", source), ("reason", reason)])?)?;
        }
        Ok(())
    }
}
