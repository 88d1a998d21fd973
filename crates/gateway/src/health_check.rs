//! Asks upstreams that get no requests whether they are back: `GET models`, which costs them nothing.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request,
    header::{HOST, USER_AGENT},
};
use http_body_util::Full;
use tokio::time::{sleep, timeout};

use crate::{
    catalogue::UpstreamEntry,
    node::Node,
    upstream::{Cause, connection::Connection, now_ms},
};

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(10);
/// For an answer's head.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Checks until it is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        sleep(INTERVAL).await;
        let ill: Vec<Arc<UpstreamEntry>> = {
            let catalogue = node.keyring.catalogue();
            catalogue.upstreams().iter().filter(|entry| !entry.health.is_healthy()).cloned().collect()
        };
        for upstream in ill {
            match check(&node, &upstream).await {
                Ok(()) => {
                    upstream.health.succeeded();
                    tracing::info!(upstream = %upstream.upstream.name, "an upstream is back");
                }
                Err(cause) => drop(upstream.health.failed(now_ms(), cause)),
            }
        }
    }
}

/// Whether it answers with anything but a fault of its own.
async fn check(node: &Node, upstream: &UpstreamEntry) -> Result<(), Cause> {
    let connection = Connection::open(upstream, &node.tls, &node.options.limits).await;
    let connection = connection.map_err(|error| error.cause())?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = upstream.check_target().clone();
    let headers = request.headers_mut();
    headers.insert(HOST, upstream.host.clone());
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
    if let Some((name, value)) = &upstream.credential {
        headers.insert(name.clone(), value.clone());
    }
    let mut exchange = connection.send(request);
    match timeout(ANSWER_TIME, poll_fn(|context| exchange.poll_head(context))).await {
        Ok(Ok(head)) if head.status.is_server_error() => Err(format!("status {}", head.status.as_u16()).into()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.cause()),
        Err(_late) => Err("no answer in time".into()),
    }
}
