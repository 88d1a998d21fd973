//! Tollgate's domain: what a key, an account, a model, a token count and a price *are*.
//!
//! Nothing here does I/O, awaits, reads a clock or draws randomness: time and entropy come in
//! through [`world`]. Everything is parsed once, at the edge, into types that cannot be wrong.
//!
//! | module | holds |
//! |---|---|
//! | [`id`] | typed public ids (`key_…`) and store row numbers |
//! | [`secret`] | the text of a key or token, its format, checksum and peppered hash |
//! | [`seal`] | the master key and what is derived from it; encryption of upstream credentials |
//! | [`name`] | names that people give: keys, models, upstreams |
//! | [`origin`] | where web pages come from, and from which of them a key may be used |
//! | [`time`] | instants in Unix milliseconds |
//! | [`world`] | the clock and entropy as parameters |
//! | [`key`] | the API key, its lifecycle and permission |
//! | [`leak`] | reports of keys that were found in public |
//! | [`account`] | accounts, plans, users, roles, actors |
//! | [`catalog`] | models, routes, upstreams |
//! | [`money`] | prices and costs, integers only |
//! | [`usage`] | counted units, settlements of attempts, usage reports |
//! | [`change`] | the change log's entries |
//! | [`lease`] | what may be concluded from a node's silence |
//! | [`notice`] | what people are told without having asked |

pub mod account;
pub mod catalog;
pub mod change;
pub mod id;
pub mod key;
pub mod leak;
pub mod lease;
pub mod money;
pub mod name;
pub mod notice;
pub mod origin;
pub mod seal;
pub mod secret;
pub mod time;
pub mod usage;
pub mod world;

pub use account::{Account, Actor, Membership, Plan, Role, User};
pub use catalog::{Model, ModelKind, Route, Upstream};
pub use change::{Change, ChangeKind, Seq};
pub use id::{Id, No};
pub use key::{Key, KeyStatus, Permission};
pub use notice::Notice;
pub use origin::{Origin, OriginError, Origins};
pub use time::Timestamp;
pub use usage::{Units, UsageClass};
pub use world::World;
