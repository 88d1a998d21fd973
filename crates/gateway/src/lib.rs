//! Tollgate's data plane: lets in only what a key may do, and counts every token that goes through.
//!
//! One function reads as the sentence (`flow`): *receive → authenticate → authorise → admit → forward → meter →
//! record*. Each step returns the only value that the next accepts.
//!
//! | module | holds |
//! |---|---|
//! | `gateway` | starts, watches and stops the parts |
//! | `options` | every limit |
//! | `flow` | a request, from its first byte to its last |
//! | `attempt` | one request to one upstream: counted, settled exactly once, whatever happens |
//! | `proxies` | the client's address, behind proxies that are trusted to name it |
//! | `page` | requests that a web page sent, and what lets it read the answer |
//! | `callers`, `exposure` | from where keys are used, and signs that one leaked, on their way to the store |
//! | `pass` | one request with a key whose text nobody has, for the console |
//! | `in_flight` | running requests, to be ended when their key is |
//! | `keyring`, `catalogue` | who may do what, in memory |
//! | `follower`, `lease` | keep the keyring current, and the node closed while it is not |
//! | `upstream` | choice, health, connections |
//! | `worker`, `client` | a thread that serves; a client's connection |
//! | `waking` | wakes that a task would give itself |
//! | `management` | the way to everything that is not inference |
//! | [`journal`] | what is counted, on disk before anybody else knows |
//!
//! Threads: each worker has a runtime, a listener, upstream connections and a journal lane of its own and shares
//! nothing that locks but the keyring; a control thread follows the change log, ships the journal and checks upstreams;
//! management runs on the caller's runtime.

mod access_log;
mod attempt;
mod callers;
mod catalogue;
mod client;
mod credential;
mod exposure;
mod flow;
mod follower;
mod gateway;
mod health_check;
mod in_flight;
pub mod journal;
mod keyring;
mod lease;
mod management;
mod metrics;
mod node;
mod options;
mod page;
mod pass;
mod proxies;
mod receive;
mod reply;
mod route;
mod settle;
mod sink;
mod strangers;
mod upstream;
mod waking;
mod worker;

pub use gateway::{Gateway, GatewayError, ReadyState};
pub use management::{BodyError, Management, ManagementBody, ManagementFuture, serve_management};
pub use options::{GatewayOptions, JournalOptions, Limits};
pub use proxies::{NotANetwork, TrustedProxies};
pub use tollgate_wire::ErrorCode;
pub use upstream::UpstreamHealth;
