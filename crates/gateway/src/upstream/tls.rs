//! TLS to upstreams: rustls with the system's roots, HTTP/1.1 only.
//!
//! Invariant: an upstream's certificate is always verified; there is no switch to skip that.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

/// Makes the connector when the first `https` upstream is reached, since reading the system's roots takes time.
#[derive(Default)]
pub(crate) struct Tls(OnceLock<Result<TlsConnector, rustls::Error>>);

impl Tls {
    pub fn connector(&self) -> Result<&TlsConnector, rustls::Error> {
        self.0.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}

fn make() -> Result<TlsConnector, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
