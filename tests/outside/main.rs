//! Tests of Tollgate from outside, by what they are about.
//!
//! | module | is about |
//! |---|---|
//! | [`harness`] | the fake upstream is what it says it is |
//! | [`main_job`] | a key is made, used, counted, edited, rotated and revoked |
//! | [`errors`] | the published table of errors |
//! | [`proxies`] | the client's address behind a proxy |
//! | [`requests`] | what a client may send, and what is refused |
//! | [`streams`] | bytes of streams, clients that hang up |
//! | [`upstreams`] | upstreams that fail, lie or are slow; retries |
//! | [`counting`] | what is counted, reports |
//! | [`scan`] | `tollgate scan` on a repository with 1,000 planted keys |
//! | [`secrets`] | keys and credentials are nowhere but with their owners |
//! | [`canary`] | no secret is left in any file, answer, metric or memory, in any form |
//! | [`management`] | the management API's manners |
//! | [`authorization`] | every endpoint as everybody |
//! | [`lifecycle`] | plans, users, models and settings that change at run time |
//! | [`symptoms`] | what users of other gateways complain of |
//! | [`limits`] | what bounds hostile clients and careless upstreams |
//! | [`leaks`] | keys that were found in public |
//! | [`fleet`] | several nodes on one store |
//! | [`https`] | upstreams over TLS, verified |
//! | [`outage`] | a store that is gone, a node that stops |
//! | [`load`] | crashes and revocations under load |
//! | [`command_line`] | the CLI |
//! | [`observability`] | metrics, log lines, the second address |
//! | [`notices`] | mail and webhooks |
//! | [`openai`] | the official `openai` packages for Python and Node.js |
//! | [`demo`] | `tollgate demo` |
//! | [`docs`] | questions to the documentation that a model answers; its MCP server |
//! | [`samples`] | every sample in the documentation |
//! | [`snippets`] | what the page of a new key offers, run |
//! | [`web_pages`] | keys in web pages |
//! | [`sign_in`] | an identity provider |
//! | [`console`] | the console in a real browser |
//! | [`architecture`] | the house is as ARCHITECTURE.md says |
#![allow(clippy::disallowed_methods, reason = "tests read their own environment and clock")]

mod architecture;
mod authorization;
mod canary;
mod command_line;
mod console;
mod counting;
mod demo;
mod docs;
mod errors;
mod fleet;
mod harness;
mod https;
mod leaks;
mod lifecycle;
mod limits;
mod load;
mod main_job;
mod management;
mod notices;
mod observability;
mod openai;
mod outage;
mod proxies;
mod requests;
mod samples;
mod scan;
mod secrets;
mod sign_in;
mod snippets;
mod streams;
mod symptoms;
mod try_it;
mod upstreams;
mod web_pages;
