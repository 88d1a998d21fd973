//! The calls that this program makes of its own accord over HTTP: to an identity provider, to endpoints that notices are
//! posted to. One connection each, bounded in time and size.
//!
//! Invariants: certificates are always verified, against the system's roots. No redirection is followed. An address that was
//! checked is the one that is connected to: a name is looked up once. [`Reach`] says which addresses are.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long a call to a trusted server may take, from connecting to the last byte.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// The largest answer of a trusted server: a discovery document or a key set has a few KiB.
const LARGEST_ANSWER: usize = 512 << 10;
/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the address must be https, or http on this machine")]
    Address,
    #[error("the server's name is not known")]
    UnknownHost(#[source] io::Error),
    #[error("the server is in a private network")]
    PrivateAddress,
    #[error("the server did not answer in time")]
    TooSlow,
    #[error("the server cannot be reached")]
    Connect(#[source] io::Error),
    #[error("no connection with TLS")]
    Tls(#[source] io::Error),
    #[error("the server broke off")]
    Http(#[from] hyper::Error),
    #[error("the server's answer is broken or too large")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Which servers a call may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What the operator named: `https` anywhere, plain `http` to this machine alone.
    Trusted,
    /// What a customer named: `https` to public addresses alone.
    Public,
    /// What a customer named where the operator allows private networks: `https` anywhere, plain `http` to private addresses.
    Anywhere,
}

impl Reach {
    /// Whether a call may be made over this scheme to this address.
    fn allows(self, is_https: bool, address: IpAddr) -> bool {
        match self {
            Self::Trusted => is_https || address.is_loopback(),
            Self::Public => is_https && is_public(address),
            Self::Anywhere => is_https || !is_public(address),
        }
    }
}

/// How much a call may take up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// From looking the name up to the last byte of the answer.
    pub(crate) time: Duration,
    /// Bytes of the answer's body.
    pub(crate) answer: usize,
}

/// Makes the calls.
#[derive(Default)]
pub(crate) struct HttpClient {
    /// Made with the first `https` call: reading the system's roots takes time.
    tls: OnceLock<Result<TlsConnector, rustls::Error>>,
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallError>> + Send + 'c>>;
    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request, Reach::Trusted, Bounds { time: CALL, answer: LARGEST_ANSWER }))
    }
}

/// Whether a name is of this machine itself.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl HttpClient {
    /// Makes one call.
    pub(crate) async fn send(
        &self,
        request: HttpRequest,
        reach: Reach,
        bounds: Bounds,
    ) -> Result<HttpResponse, CallError> {
        timeout(bounds.time, self.send_unbounded(request, reach, bounds.answer))
            .await
            .map_err(|_| CallError::TooSlow)?
    }

    fn connector(&self) -> Result<&TlsConnector, CallError> {
        let made = self.tls.get_or_init(|| {
            let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_platform_verifier()?
                .with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(TlsConnector::from(Arc::new(config)))
        });
        made.as_ref().map_err(|error| CallError::Tls(io::Error::other(error.clone())))
    }

    async fn send_unbounded(
        &self,
        request: HttpRequest,
        reach: Reach,
        largest: usize,
    ) -> Result<HttpResponse, CallError> {
        let uri = request.uri().clone();
        let host = uri.host().ok_or(CallError::Address)?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if reach == Reach::Anywhere || (reach == Reach::Trusted && is_loopback(host)) => false,
            _ => return Err(CallError::Address),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let stream = connect(&bare, port, |address| reach.allows(is_https, address)).await?;
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        let request = to_origin_form(request, &uri)?;
        if is_https {
            let name = ServerName::try_from(bare).map_err(|_| CallError::Address)?;
            let stream = self.connector()?.connect(name, stream).await.map_err(CallError::Tls)?;
            exchange(stream, request, largest).await
        } else {
            exchange(stream, request, largest).await
        }
    }
}

/// Looks a name up once and connects to those of its addresses that are allowed, one after the other.
async fn connect(host: &str, port: u16, allows: impl Fn(IpAddr) -> bool) -> Result<TcpStream, CallError> {
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => lookup_host((host, port)).await.map_err(CallError::UnknownHost)?.collect(),
    };
    if addresses.is_empty() {
        return Err(CallError::UnknownHost(io::Error::from(io::ErrorKind::NotFound)));
    }
    let mut failed = CallError::PrivateAddress;
    for address in addresses.into_iter().filter(|address| allows(address.ip())).take(MOST_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = CallError::Connect(error),
        }
    }
    Err(failed)
}

/// Whether an address is of the public Internet: by IANA's registries of special-purpose addresses (RFC 6890), and for IPv6
/// nothing but global unicast. One that stands for an IPv4 address in another form (mapped, 6to4, Teredo) is not; one behind
/// NAT64's well-known prefix (RFC 6052), the only way to IPv4 in some networks, is what it stands for.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        // Shared by carriers (RFC 6598), protocol assignments, 6to4 relays, benchmarks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let [first, second, ..] = segments;
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        return is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    }
    first & 0xe000 == 0x2000
        // Protocol assignments (Teredo, ORCHID, benchmarks) and documentation; 6to4; documentation (RFC 9637).
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && first != 0x2002
        && !(first == 0x3fff && second < 0x1000)
}

fn to_origin_form(request: HttpRequest, uri: &Uri) -> Result<http::Request<Full<Bytes>>, CallError> {
    let (mut head, body) = request.into_parts();
    let authority = uri.authority().ok_or(CallError::Address)?;
    let authority = authority.as_str().rsplit('@').next().unwrap_or_default();
    head.headers.insert(header::HOST, HeaderValue::from_str(authority).map_err(|_| CallError::Address)?);
    head.headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static("tollgate"));
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    head.uri = path.parse().map_err(|_| CallError::Address)?;
    Ok(http::Request::from_parts(head, Full::new(Bytes::from(body))))
}

async fn exchange<S>(stream: S, request: http::Request<Full<Bytes>>, largest: usize) -> Result<HttpResponse, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, largest).collect().await.map_err(CallError::Answer)?.to_bytes();
        Ok(http::Response::from_parts(head, body.to_vec()))
    };
    // Both end with this call: nothing is left behind that somebody would have to stop.
    tokio::pin!(connection, answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn call(uri: &str, reach: Reach) -> Result<HttpResponse, CallError> {
        let request = http::Request::builder().uri(uri).body(Vec::new()).unwrap();
        HttpClient::default().send(request, reach, Bounds { time: CALL, answer: LARGEST_ANSWER }).await
    }

    #[tokio::test]
    async fn plain_http_goes_to_this_machine_alone() {
        for refused in ["http://issuer.example/x", "http://10.0.0.1/", "ftp://127.0.0.1/", "/path"] {
            assert!(matches!(call(refused, Reach::Trusted).await, Err(CallError::Address)), "{refused}");
        }
        for (host, own) in [("127.0.0.1", true), ("[::1]", true), ("localhost", true), ("localhost.example", false)] {
            assert_eq!(is_loopback(host), own, "{host}");
        }
    }

    #[tokio::test]
    async fn a_customers_endpoint_is_not_in_a_private_network_however_it_is_written() {
        for refused in [
            "https://127.0.0.1/",
            "https://[::1]:8443/",
            "https://10.1.2.3/",
            "https://[::ffff:10.1.2.3]/",
            "https://169.254.169.254/latest/meta-data",
            "https://[fd00::1]/",
            "https://localhost/",
        ] {
            let refusal = call(refused, Reach::Public).await;
            assert!(matches!(refusal, Err(CallError::PrivateAddress)), "{refused}: {refusal:?}");
        }
        for (plain, reach) in [("http://127.0.0.1/", Reach::Public), ("http://example.com/", Reach::Public)] {
            assert!(matches!(call(plain, reach).await, Err(CallError::Address)), "{plain}");
        }
        // Plain http never leaves the private network.
        assert!(matches!(call("http://8.8.8.8/", Reach::Anywhere).await, Err(CallError::PrivateAddress)));
        // Unless the operator allows it: then it is only that nobody listens there.
        assert!(matches!(call("http://127.0.0.1:1/", Reach::Anywhere).await, Err(CallError::Connect(_))));
    }

    #[test]
    fn addresses_of_special_purposes_are_not_public() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("198.20.0.1", true),
            ("192.0.1.1", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("127.0.0.1", false),
            ("127.255.0.1", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700::1111", true),
            ("2a00:1450::1", true),
            ("2001:4860:4860::8888", true),
            ("64:ff9b::808:808", true),
            ("64:ff9b::a00:1", false),
            ("64:ff9b:1::808:808", false),
            ("::", false),
            ("::1", false),
            ("::ffff:8.8.8.8", false),
            ("::ffff:127.0.0.1", false),
            ("::7f00:1", false),
            ("fc00::1", false),
            ("fdff::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2001:20::1", false),
            ("2002:a00:1::1", false),
            ("3fff::1", false),
            ("100::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
