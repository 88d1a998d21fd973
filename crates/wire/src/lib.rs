//! OpenAI- and Anthropic-shaped bytes: what a request says, what its reply counted, and the few
//! bytes of either that Tollgate changes.
//!
//! Everything here is a pure function of bytes: no I/O, no async, no clock, nothing of the domain.
//! What comes in is hostile (clients) or careless (upstreams), so nothing panics, nothing recurses
//! with the input, and every buffer has a named bound. Bytes that need no change are passed on as
//! they are, without a copy where they lie in one piece.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@peek`] | the members of a request body that decide who may do what, found without a tree |
//! | [`mod@splice`] | the body for the upstream: model renamed, usage reporting switched on, the rest as it was |
//! | [`sse`] | events of a `text/event-stream`, at any chunking |
//! | [`stream`] | what a streamed reply counted, and what of it the client gets |
//! | [`usage`] | token counts of replies, by endpoint |
//! | [`error`] | error bodies and the last event of a stream that ends early |
//! | [`models`] | the bodies of `GET models` and `GET models/{model}` |

mod json;

pub mod error;
pub mod models;
pub mod peek;
pub mod splice;
pub mod sse;
pub mod stream;
pub mod usage;

pub use error::{ErrorBody, ErrorCode};
pub use peek::{PeekError, Peeked, peek};
pub use splice::{Changes, StreamUsage, splice};
pub use stream::{Forward, Observed, StreamMeter, UsageShown};
pub use usage::{Endpoint, UsageReport};
