//! How telling people goes, as Prometheus sees it. Labels are a channel and an outcome: nothing that anybody chooses.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tollgate_manage::notify::Notifier;

/// Reads the notifier's figures at each scrape.
#[derive(Clone)]
pub struct Telling(pub Notifier);

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telling")
    }
}

impl Collector for Telling {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = self.0.figures();
        let about = "Attempts of this node to tell people, by mail or at a webhook";
        let mut attempts = encoder.encode_descriptor("tollgate_notice_attempts", about, None, MetricType::Counter)?;
        for of in figures {
            for (outcome, count) in [("sent", of.sent), ("failed", of.failed)] {
                let labels = [("channel", of.channel), ("outcome", outcome)];
                ConstCounter::new(count).encode(attempts.encode_family(&labels)?)?;
            }
        }
        let about = "Deliveries of notices that wait, of the whole deployment";
        let mut pending = encoder.encode_descriptor("tollgate_notices_pending", about, None, MetricType::Gauge)?;
        for of in figures {
            let waiting = i64::try_from(of.pending).unwrap_or(i64::MAX);
            ConstGauge::new(waiting).encode(pending.encode_family(&[("channel", of.channel)])?)?;
        }
        Ok(())
    }
}
