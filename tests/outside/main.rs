//! Tests of Tollgate from outside.
