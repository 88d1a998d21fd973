//! How many connections each address holds that have shown no key yet.
//!
//! Invariant: one address cannot take all the connections of this node for itself without a key that names who does it.
//! A connection counts from its accept until a request on it was authenticated, or it ends.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Of an IPv6 address, so many bits are one site's own to choose from: they count as one address.
const IPV6_SITE_BITS: u32 = 64;

/// The counts. An address without such connections is not in it, so it is as large as what is accepted.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<HashMap<IpAddr, usize>>);

/// One connection that counts, until it is dropped.
pub(crate) struct Stranger {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Strangers {
    /// Counts a connection from `address`, unless that has `most` already.
    pub fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Stranger> {
        let address = site(address);
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Stranger { strangers: Arc::clone(self), address })
    }
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.strangers.counts().entry(self.address) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What counts as one address.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << IPV6_SITE_BITS)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_count_and_nothing_stays_of_those_that_left() {
        let strangers = Arc::new(Strangers::default());
        let enter = |address: &str| strangers.enter(address.parse().unwrap(), 2);
        let held = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some) && enter("192.0.2.1").is_none(), "one address in two spellings");
        assert!(enter("192.0.2.2").is_some());
        let site = [enter("2001:db8::1"), enter("2001:db8::ffff:2")];
        assert!(site.iter().all(Option::is_some) && enter("2001:db8::3").is_none(), "one site");
        assert!(enter("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(enter("192.0.2.1").is_some());
        drop(site);
        assert!(strangers.counts().is_empty());
    }
}
