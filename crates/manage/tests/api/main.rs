//! The management plane as its callers meet it: the router, a real store in a directory of its own, no network.

#![cfg(test)]

mod access;
mod catalog;
mod docs;
mod house;
mod keys;
mod keys_pages;
mod leaks;
mod manners;
mod models_pages;
mod notify;
mod operator_pages;
mod pages;
mod people;
mod receivers;
mod sign_in;
mod usage;
mod usage_pages;
mod webhooks;
