//! Finds Tollgate's keys and access tokens where they should not be: in files, archives and the history of git repositories.
//!
//! Offline, by prefix and checksum: what looks like a key and has a wrong checksum is none, so there are no false alarms. The
//! text of a key leaves this crate through [`FoundKey::expose`] alone; everything else names it by its hint.
//!
//! | module | holds |
//! |---|---|
//! | [`finder`] | bytes in, keys out |
//! | `text`, `base64` | how a key may be written |
//! | `content`, `piece` | a file's content: text or archive |
//! | [`files`] | files and directories |
//! | [`git`] | the index and the history |
//! | [`place`] | where a key was found |
//! | [`report`] | text, JSON, SARIF |
//! | [`rules`] | rule files for other scanners |

mod base64;
mod content;
pub mod files;
pub mod finder;
pub mod git;
mod key;
mod piece;
pub mod place;
pub mod report;
pub mod rules;
mod text;

pub use finder::{Find, Finder};
pub use key::{Form, FoundKey};
pub use place::{Commit, Findings, Found, Part, Position};
