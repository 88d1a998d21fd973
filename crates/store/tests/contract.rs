//! The contract of the store: one suite, each case run on SQLite and on PostgreSQL.
//!
//! PostgreSQL's address comes from `TOLLGATE_TEST_POSTGRES`: a `postgres://` URL of a superuser of a throwaway cluster,
//! where each case makes a database of its own. Without it those cases fail.

/// One test for each case and engine.
macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $case() { crate::support::run_on_sqlite(super::$case) })+
        }
        mod on_postgres {
            $(#[test] fn $case() { crate::support::run_on_postgres(super::$case) })+
        }
    };
}

/// Cases of what only PostgreSQL has: several nodes.
macro_rules! contract_of_many_nodes {
    ($($case:ident),+ $(,)?) => {
        mod on_postgres {
            $(#[test] fn $case() { crate::support::run_on_postgres(super::$case) })+
        }
    };
}

/// Cases of what only SQLite has: one node, in this process.
macro_rules! contract_of_one_node {
    ($($case:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $case() { crate::support::run_on_sqlite(super::$case) })+
        }
    };
}

#[cfg(test)]
#[path = "contract/accounts.rs"]
mod accounts;
#[cfg(test)]
#[path = "contract/captions.rs"]
mod captions;
#[cfg(test)]
#[path = "contract/catalog.rs"]
mod catalog;
#[cfg(test)]
#[path = "contract/changes.rs"]
mod changes;
#[cfg(test)]
#[path = "contract/futures.rs"]
mod futures;
#[cfg(test)]
#[path = "contract/keys.rs"]
mod keys;
#[cfg(test)]
#[path = "contract/leaks.rs"]
mod leaks;
#[cfg(test)]
#[path = "contract/nodes.rs"]
mod nodes;
#[cfg(test)]
#[path = "contract/notices.rs"]
mod notices;
#[cfg(test)]
#[path = "contract/one_node.rs"]
mod one_node;
#[cfg(test)]
#[path = "contract/people.rs"]
mod people;
#[cfg(test)]
#[path = "contract/schema.rs"]
mod schema;
#[cfg(test)]
#[path = "contract/sign_in.rs"]
mod sign_in;
#[cfg(test)]
#[path = "contract/support.rs"]
mod support;
#[cfg(test)]
#[path = "contract/usage.rs"]
mod usage;
