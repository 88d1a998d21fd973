//! The management plane as its callers meet it: the router, a real store in a directory of its own, no network.

#![cfg(test)]

mod access;
mod catalog;
mod house;
mod keys;
mod manners;
mod pages;
mod people;
mod usage;
mod usage_pages;
