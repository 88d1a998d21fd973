//! Any request body: peek never panics, refuses what serde_json refuses, agrees with it on what it
//! finds, and what it splices is still one JSON object that says the same but for what was changed.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollgate_wire::{Changes, StreamUsage, peek, splice};

fuzz_target!(|body: &[u8]| {
    let Ok(peeked) = peek(Bytes::copy_from_slice(body)) else { return };
    // serde_json also refuses numbers beyond f64 and lone surrogates inside a tree; neither is ours to refuse.
    let Ok(before) = serde_json::from_slice::<Value>(body) else { return };
    assert_eq!(before["model"], peeked.model());
    assert_eq!(before["stream"] == true, peeked.stream());
    assert_eq!(before["stream_options"]["include_usage"] == true, peeked.include_usage());

    assert_eq!(splice(&peeked, &Changes::default()), body);
    for stream_usage in [StreamUsage::Final, StreamUsage::Continuous] {
        let spliced = splice(&peeked, &Changes { model: Some("other \"one\""), stream_usage });
        let mut expected = before.clone();
        expected["model"] = "other \"one\"".into();
        if peeked.stream() {
            expected["stream_options"]["include_usage"] = true.into();
            if stream_usage == StreamUsage::Continuous {
                expected["stream_options"]["continuous_usage_stats"] = true.into();
            }
        }
        assert_eq!(serde_json::from_slice::<Value>(&spliced).expect("spliced JSON"), expected);
        let again = peek(spliced).expect("a spliced body is a body");
        assert_eq!((again.model(), again.include_usage() || !again.stream()), ("other \"one\"", true));
    }
});
