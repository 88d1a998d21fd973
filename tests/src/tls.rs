//! TLS in front of an upstream, with certificates of an authority of our own.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A certificate authority that nobody else knows.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    // No test depends on today.
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2999, 1, 1));
    params
}

impl Identity {
    /// Writes certificate and key as PEM files.
    pub fn write(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, self.certificate.pem()).expect("a file");
        std::fs::write(key, self.key.serialize_pem()).expect("a file");
    }
}

impl Authority {
    /// A new one; its certificate is written to `file`, as `SSL_CERT_FILE` takes it.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        std::fs::write(file, issuer.pem()).expect("a file");
        Self(issuer)
    }
    /// A certificate for these names and addresses.
    #[must_use]
    pub fn certify(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        Identity { certificate: params(names).signed_by(&key, &self.0).expect("a certificate"), key }
    }
}

/// A certificate for these names and addresses that vouches for itself.
#[must_use]
pub fn self_signed(names: &[&str]) -> Identity {
    let key = KeyPair::generate().expect("a key");
    Identity { certificate: params(names).self_signed(&key).expect("a certificate"), key }
}

/// Takes TLS as `identity` and passes what is inside on to `upstream`; where it listens.
pub async fn front(identity: Identity, upstream: SocketAddr) -> SocketAddr {
    let key = PrivatePkcs8KeyDer::from(identity.key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.der().clone()], key.into())
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us hangs up here.
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let Ok(mut server) = TcpStream::connect(upstream).await else { return };
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}
