//! The way from the console's "try it" box to the data plane: over the listener that everybody uses, with a pass in place
//! of a key.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tollgate_core::{catalog::Route, secret::KeyHint};
use tollgate_manage::{Inference, InferenceError, InferenceFuture};

use super::front::Watch;

/// How long the connection to our own listener may take.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// Calls the gateway of this process.
pub struct OwnGateway(pub Watch);

impl Inference for OwnGateway {
    fn call(&self, key: KeyHint, route: Route, body: Bytes) -> InferenceFuture {
        let pass = self.0.pass(key);
        Box::pin(async move {
            let (address, pass) = pass.ok_or("the gateway does not serve, or too many requests wait")?;
            let stream = tokio::time::timeout(CONNECT_WAIT, TcpStream::connect(address)).await;
            let stream = stream.map_err(|_| "the gateway does not answer")?.map_err(|error| error.to_string())?;
            let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
            let (mut sender, connection) = connected.map_err(|error| error.to_string())?;
            let request = Request::post(format!("/v1/{}", route.path()))
                .header(header::HOST, address.to_string())
                .header(header::AUTHORIZATION, format!("Bearer {}", pass.expose()))
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::USER_AGENT, "tollgate-console")
                .body(Full::new(body))
                .map_err(|error| error.to_string())?;
            // Ends with its one answer; a person who leaves drops the body, and with it the connection.
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a request of the console ended early");
                }
            });
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            Ok(response.map(|body| body.map_err(|error| InferenceError(error.to_string())).boxed_unsync()))
        })
    }
}
