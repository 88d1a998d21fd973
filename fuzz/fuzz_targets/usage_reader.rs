//! Any reply body: reading its usage never panics, and believes no figure beyond 2^53.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::{Endpoint, usage};

fuzz_target!(|body: &[u8]| {
    for endpoint in [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Rerank,
        Endpoint::Responses,
        Endpoint::Messages,
    ] {
        let Some(report) = usage::read(endpoint, body) else { continue };
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() || std::str::from_utf8(body).is_err());
        assert!(report.output.is_none_or(|n| n <= 1 << 53));
        assert!(report.input.is_none_or(|n| n <= 3 << 53));
    }
});
