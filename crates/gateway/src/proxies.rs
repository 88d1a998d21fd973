//! Which address a request comes from: the connection's own, or, behind a proxy that the operator trusts, the one that it
//! names in `X-Forwarded-For`.
//!
//! Invariant: what a client writes about itself is never believed. A proxy puts the address that it was called from at
//! the end of the list, so the list is read from its end for as long as trusted proxies have written it; the first address
//! that is none of theirs is the client's, and whatever stands before it is the client's own claim.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Most proxies in a row that are followed.
const MOST_HOPS: usize = 16;

/// The proxies whose word is taken for where a request comes from. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address such as 10.0.0.7 or a network such as 10.0.0.0/8")]
pub struct NotANetwork;

impl TrustedProxies {
    /// From addresses (`10.0.0.7`) and networks (`10.0.0.0/8`, `fd00::/8`).
    ///
    /// # Errors
    /// The place of the first text that is neither, from 0.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, (usize, NotANetwork)> {
        let network = |(at, text): (usize, &T)| network(text.as_ref()).map_err(|error| (at, error));
        texts.iter().enumerate().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is the address of one of them.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request on a connection from `peer` comes from.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.holds(client) {
            return client;
        }
        let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let hops = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(MOST_HOPS) {
            // What cannot be read was written by nobody who is trusted, or says nothing: the last one known is the answer.
            let Some(address) = read(hop) else { break };
            client = address;
            if !self.holds(client) {
                break;
            }
        }
        client
    }
}

fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let text = text.trim();
    let network = match IpAddr::from_str(text) {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => IpNet::from_str(text).map_err(|_| NotANetwork)?,
    };
    Ok(network.trunc())
}

/// One entry of the list: an address, with a port perhaps (some proxies add it).
fn read(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, fields: &[&str]) -> String {
        let trusted = TrustedProxies::parse(trusted).unwrap();
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(X_FORWARDED_FOR, field.parse().unwrap());
        }
        trusted.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_named() {
        assert_eq!(client(&[], "127.0.0.1", &["203.0.113.9"]), "127.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "::ffff:192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_names_the_client_and_the_client_names_nobody() {
        let trusted = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"];
        for (peer, fields, expected) in [
            ("10.1.2.3", vec!["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.1.2.3", vec!["203.0.113.9"], "203.0.113.9"),
            // What stands before it the client wrote itself.
            ("10.1.2.3", vec!["127.0.0.1, 6.6.6.6, 203.0.113.9"], "203.0.113.9"),
            // A second proxy before the first, and fields apart, as HTTP allows.
            ("10.1.2.3", vec!["6.6.6.6", "203.0.113.9, 192.0.2.7"], "203.0.113.9"),
            ("fd00::1", vec!["6.6.6.6, 2001:db8::5, 10.9.9.9"], "2001:db8::5"),
            // With ports, as some write it.
            ("10.1.2.3", vec!["203.0.113.9:4711"], "203.0.113.9"),
            ("10.1.2.3", vec!["[2001:db8::5]:4711"], "2001:db8::5"),
            ("10.1.2.3", vec!["[2001:db8::5]"], "2001:db8::5"),
            ("10.1.2.3", vec!["::ffff:203.0.113.9"], "203.0.113.9"),
            // Within the house: the first who is known.
            ("10.1.2.3", vec!["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
            ("10.1.2.3", vec![], "10.1.2.3"),
        ] {
            assert_eq!(client(&trusted, peer, &fields), expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn nonsense_ends_the_reading() {
        for nonsense in ["unknown", "", " , ", "203.0.113.9.1", "_hidden", "999.1.1.1", "203.0.113.9:x", "a.example"] {
            assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", &[nonsense]), "10.1.2.3", "{nonsense:?}");
            let behind = format!("6.6.6.6, {nonsense}, 10.0.0.9");
            assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", &[&behind]), "10.0.0.9", "{nonsense:?}");
        }
        let long = vec!["10.0.0.9"; 1_000].join(",");
        assert_eq!(client(&["10.0.0.0/8"], "10.1.2.3", &[&format!("6.6.6.6,{long}")]), "10.0.0.9");
    }

    #[test]
    fn a_setting_that_names_no_network_is_refused_by_its_place() {
        for wrong in ["proxy.example", "10.0.0.0/33", "10.0.0.0/", "", "10.0.0.7:80", "*"] {
            assert_eq!(TrustedProxies::parse(&["10.0.0.7", wrong]).unwrap_err(), (1, NotANetwork), "{wrong:?}");
        }
        // A network is what it holds, however it is written.
        assert_eq!(client(&["10.1.2.3/8"], "10.200.0.1", &["203.0.113.9"]), "203.0.113.9");
    }
}
