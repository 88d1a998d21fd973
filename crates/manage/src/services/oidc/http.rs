//! The calls that this program makes to an identity provider, and to GitHub about leaked keys: one connection each, bounded in time and size.
//!
//! Certificates are always verified, against the system's roots; plain `http` goes to this machine alone. Redirections are
//! not followed: what a provider answers is read from the address that it named.

use std::{
    future::Future,
    io,
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
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long a call may take, from connecting to the last byte.
const CALL: Duration = Duration::from_secs(10);
/// The largest answer: a discovery document or a key set has a few KiB.
const LARGEST_ANSWER: usize = 512 << 10;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::services) enum CallError {
    #[error("the provider's address must be https, or http on this machine")]
    Address,
    #[error("the provider did not answer within {CALL:?}")]
    TooSlow,
    #[error("the provider cannot be reached")]
    Connect(#[source] io::Error),
    #[error("no connection with TLS")]
    Tls(#[from] rustls::Error),
    #[error("the provider broke off")]
    Http(#[from] hyper::Error),
    #[error("the provider's answer is broken or too large")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Makes the calls.
#[derive(Default)]
pub(in crate::services) struct HttpClient {
    /// Made with the first `https` call: reading the system's roots takes time.
    tls: OnceLock<Result<TlsConnector, rustls::Error>>,
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallError>> + Send + 'c>>;
    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { timeout(CALL, self.send(request)).await.map_err(|_| CallError::TooSlow)? })
    }
}

/// Whether a name is of this machine itself.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl HttpClient {
    fn connector(&self) -> Result<&TlsConnector, rustls::Error> {
        let made = self.tls.get_or_init(|| {
            let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_platform_verifier()?
                .with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(TlsConnector::from(Arc::new(config)))
        });
        made.as_ref().map_err(Clone::clone)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let uri = request.uri().clone();
        let host = uri.host().ok_or(CallError::Address)?.to_owned();
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(&host) => false,
            _ => return Err(CallError::Address),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let stream = TcpStream::connect((bare.as_str(), port)).await.map_err(CallError::Connect)?;
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        let request = to_origin_form(request, &uri)?;
        if is_https {
            let name = ServerName::try_from(bare).map_err(|_| CallError::Address)?;
            let stream = self.connector()?.connect(name, stream).await.map_err(CallError::Connect)?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }
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

async fn exchange<S>(stream: S, request: http::Request<Full<Bytes>>) -> Result<HttpResponse, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(CallError::Answer)?.to_bytes();
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

    #[tokio::test]
    async fn plain_http_goes_to_this_machine_alone() {
        let call = async |uri: &str| {
            let request = http::Request::builder().uri(uri).body(Vec::new()).unwrap();
            HttpClient::default().call(request).await
        };
        for refused in ["http://issuer.example/x", "http://10.0.0.1/", "ftp://127.0.0.1/", "/path"] {
            assert!(matches!(call(refused).await, Err(CallError::Address)), "{refused}");
        }
        for (host, own) in [("127.0.0.1", true), ("[::1]", true), ("localhost", true), ("localhost.example", false)] {
            assert_eq!(is_loopback(host), own, "{host}");
        }
    }
}
