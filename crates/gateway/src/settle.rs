//! What an attempt used, from what is known of it. Pure.
//!
//! Invariants: an upstream's explicit figure is never bent and its absence is never zero; what is not known is bounded,
//! and says so by its class; an attempt that the upstream refused used nothing.

use tollgate_core::{Route, Units, UsageClass};
use tollgate_wire::UsageReport;

use crate::journal::{Intent, record::OUTPUT_WITHOUT_LIMIT};

/// A token is seldom less than this many bytes of a request: the guess where an upstream says nothing.
const BYTES_PER_TOKEN: u64 = 4;

/// What is known at an attempt's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing was sent, or the upstream refused: nothing was used.
    NothingUsed,
    /// Something was sent.
    Sent {
        /// The latest figures.
        usage: Option<UsageReport>,
        /// Whether those are the upstream's last word.
        is_final: bool,
        /// Pieces of content that came.
        deltas: u64,
        /// Whether a byte of an answer came.
        answered: bool,
    },
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    pub units: Units,
    pub class: UsageClass,
    pub input_at_most: u64,
    pub output_at_most: u64,
    pub suspect: bool,
}

/// The units of a report; what it leaves out is none here.
pub(crate) fn units(usage: &UsageReport) -> Units {
    Units {
        input: usage.input.unwrap_or(0),
        output: usage.output.unwrap_or(0),
        cached_input: usage.cached_input.unwrap_or(0),
        reasoning: usage.reasoning.unwrap_or(0),
        ..Units::default()
    }
}

/// What the attempt of this intent used.
pub(crate) fn figures(known: Known, intent: &Intent) -> Figures {
    let Known::Sent { usage, is_final, deltas, answered } = known else {
        return exact(Units::default(), false);
    };
    let has_output = intent.route != Route::Embeddings.code();
    let suspect = usage.is_some_and(|usage| usage.suspect);
    let (input, output) = (usage.and_then(|usage| usage.input), usage.and_then(|usage| usage.output));
    let reported = usage.map(|usage| units(&usage)).unwrap_or_default();
    let is_whole = input.is_some() && (output.is_some() || !has_output);
    if is_whole && is_final {
        return exact(reported, suspect);
    }
    let most_output = if has_output { intent.max_output_tokens.unwrap_or(OUTPUT_WITHOUT_LIMIT) } else { 0 };
    let guess = if answered { intent.prompt_bytes.div_ceil(BYTES_PER_TOKEN) } else { 0 };
    let units = Units {
        input: input.unwrap_or(guess),
        output: output.unwrap_or(0).max(if output.is_some() { 0 } else { deltas }),
        ..reported
    };
    Figures {
        units,
        class: if is_whole { UsageClass::Partial } else { UsageClass::Estimated },
        input_at_most: input.unwrap_or_else(|| intent.prompt_bytes.max(guess)),
        output_at_most: most_output.max(units.output),
        suspect,
    }
}

fn exact(units: Units, suspect: bool) -> Figures {
    let class = UsageClass::Exact;
    Figures { units, class, input_at_most: units.input, output_at_most: units.output, suspect }
}

#[cfg(test)]
mod tests {
    use tollgate_core::{Id, No, Timestamp};

    use super::*;

    fn intent(route: Route, max_output_tokens: Option<u64>) -> Intent {
        Intent {
            attempt: Id::from_parts(0, &[0; 10]),
            request: Id::from_parts(0, &[0; 10]),
            key: No::new(1),
            account: No::new(1),
            model: No::new(1),
            upstream: No::new(1),
            route: route.code(),
            started_at: Timestamp::default(),
            prompt_bytes: 400,
            max_output_tokens,
            price: Default::default(),
        }
    }
    fn sent(usage: Option<(Option<u64>, Option<u64>)>, is_final: bool, deltas: u64, answered: bool) -> Known {
        let usage = usage.map(|(input, output)| UsageReport { input, output, ..UsageReport::default() });
        Known::Sent { usage, is_final, deltas, answered }
    }
    fn shown(known: Known, route: Route, most: Option<u64>) -> (UsageClass, [u64; 4]) {
        let figures = figures(known, &intent(route, most));
        let Figures { units, input_at_most, output_at_most, class, .. } = figures;
        (class, [units.input, input_at_most, units.output, output_at_most])
    }

    #[test]
    fn what_is_known_decides_class_and_bounds() {
        let chat = |known| shown(known, Route::ChatCompletions, Some(50));
        assert_eq!(chat(Known::NothingUsed), (UsageClass::Exact, [0, 0, 0, 0]));
        assert_eq!(
            chat(sent(Some((Some(9), Some(0))), true, 0, true)),
            (UsageClass::Exact, [9, 9, 0, 0]),
            "zero is zero"
        );
        assert_eq!(chat(sent(Some((Some(9), Some(3))), false, 3, true)), (UsageClass::Partial, [9, 9, 3, 50]));
        assert_eq!(chat(sent(None, true, 7, true)), (UsageClass::Estimated, [100, 400, 7, 50]));
        assert_eq!(chat(sent(None, false, 0, false)), (UsageClass::Estimated, [0, 400, 0, 50]), "no answer began");
        assert_eq!(chat(sent(Some((Some(9), None)), true, 4, true)), (UsageClass::Estimated, [9, 9, 4, 50]));
        let embeddings = |known| shown(known, Route::Embeddings, None);
        assert_eq!(embeddings(sent(Some((Some(9), None)), true, 0, true)), (UsageClass::Exact, [9, 9, 0, 0]));
        assert_eq!(embeddings(sent(None, true, 0, true)), (UsageClass::Estimated, [100, 400, 0, 0]));
        let unlimited = shown(sent(None, false, 1, true), Route::Completions, None);
        assert_eq!(unlimited.1[3], OUTPUT_WITHOUT_LIMIT);
    }
}
