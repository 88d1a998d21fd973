//! Any reply body: reading its usage never panics, believes no figure beyond 2^53, and piece by piece
//! gives what the whole gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::{
    Endpoint,
    usage::{self, BodyReader},
};

fuzz_target!(|body: &[u8]| {
    for endpoint in [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Rerank,
        Endpoint::Responses,
        Endpoint::Messages,
    ] {
        let mut reader = BodyReader::new(endpoint);
        body.chunks(7).for_each(|piece| reader.push(piece));
        let in_pieces = reader.finish();
        let Some(report) = usage::read(endpoint, body) else { continue };
        assert_eq!(in_pieces, Some(report));
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() || std::str::from_utf8(body).is_err());
        assert!(report.output.is_none_or(|n| n <= 1 << 53));
        assert!(report.input.is_none_or(|n| n <= 3 << 53));
    }
});
