//! What became of a key: that it is dead everywhere, with the proof; that it is not known yet; that it was not possible.

use askama::Template;

use super::super::{Chrome, Lang, When, texts::Keys};
use crate::services::{Effective, Services};

/// What was done, or that it is not possible.
#[derive(Template)]
#[template(path = "keys/outcome.html")]
pub(super) struct OutcomePage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) name: String,
    pub(super) hint: String,
    pub(super) proof: Option<Proof>,
    pub(super) pending: Option<Pending>,
    pub(super) list: String,
}

/// The proof of a revocation, in words.
pub(super) struct Proof {
    pub(super) took: String,
    pub(super) nodes: String,
    pub(super) streams: String,
}

/// A change that is not confirmed: until when a node may go by the old state.
pub(super) struct Pending {
    pub(super) until: Option<When>,
    /// Where asking again asks; a revocation's own address.
    pub(super) again: Option<String>,
}

impl Pending {
    /// How long it can last at most: a node hears of the change with its next grant, or has none for a whole lease.
    pub(super) async fn of(services: &Services) -> Self {
        let longest = services.longest_lease().await;
        Self { until: longest.map(|lease| When(services.world.now().plus(lease))), again: None }
    }
}

impl Proof {
    pub(super) fn of(effective: &Effective, lang: Lang, t: &'static Keys) -> Self {
        let count = |number: usize| lang.count(u64::try_from(number).unwrap_or(u64::MAX));
        let nodes = effective.nodes.len();
        Self {
            took: milliseconds(effective.after_ms, lang),
            nodes: if nodes == 0 { t.no_nodes.to_owned() } else { count(nodes) },
            streams: lang.count(effective.streams_cut),
        }
    }
}

/// `0.42 ms`, `12 ms`.
fn milliseconds(ms: f64, lang: Lang) -> String {
    let text = if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") };
    let text = if lang == Lang::Vi { text.replace('.', ",") } else { text };
    format!("{text} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_as_exact_as_they_are_small() {
        assert_eq!(milliseconds(0.417, Lang::En), "0.42 ms");
        assert_eq!(milliseconds(0.417, Lang::Vi), "0,42 ms");
        assert_eq!(milliseconds(1_234.56, Lang::En), "1235 ms");
    }
}
