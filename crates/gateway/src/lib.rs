//! Tollgate's data plane.

pub mod journal;
