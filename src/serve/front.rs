//! The front of the management plane: everything but `/healthz` and `/readyz` goes to the manage crate. The gateway
//! answers those two by itself on its own address; on `listen.manage` they are answered here, in the same words.
//!
//! It also keeps, for operators, since when each upstream has been as it is.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tollgate_core::{
    Id, Timestamp, World,
    secret::{KeyHint, PlainKey},
    usage,
};
use tollgate_gateway::{Gateway, Management, ManagementBody, ManagementFuture};
use tollgate_manage::{PeerAddress, RequestId, UpstreamHealthSource, UpstreamHealthView};
use tower::ServiceExt as _;

/// The process as seen from outside.
enum Stage {
    Starting,
    Serving(Gateway),
    Stopping,
}

/// The gateway's place: empty while it starts and stops. Shared by all who ask how it is.
#[derive(Clone)]
pub struct Watch(Arc<Mutex<Stage>>, Arc<Mutex<BTreeMap<String, Seen>>>, World);

/// What was last seen of an upstream.
struct Seen {
    healthy: bool,
    since: Timestamp,
    checked_at: Timestamp,
    last_error: Option<String>,
}

impl Watch {
    /// Nothing runs yet.
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(Stage::Starting)), Arc::default(), world)
    }
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// It runs.
    pub fn serving(&self, gateway: Gateway) {
        *self.stage() = Stage::Serving(gateway);
    }
    /// It is to be stopped: `None` where it never ran.
    pub fn stopping(&self) -> Option<Gateway> {
        match std::mem::replace(&mut *self.stage(), Stage::Stopping) {
            Stage::Serving(gateway) => Some(gateway),
            Stage::Starting | Stage::Stopping => None,
        }
    }
    /// Where the gateway is on this machine, and a pass for one request there with a key.
    pub fn pass(&self, key: KeyHint) -> Option<(SocketAddr, PlainKey)> {
        let Stage::Serving(gateway) = &*self.stage() else { return None };
        let mut address = gateway.local_addr();
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some((address, gateway.pass(key)?))
    }
    /// Whether a request would be served now, and the word for it.
    pub fn ready(&self) -> (bool, &'static str) {
        match &*self.stage() {
            Stage::Starting => (false, "starting"),
            Stage::Serving(gateway) => (gateway.ready().is_ready(), gateway.ready().as_str()),
            Stage::Stopping => (false, "draining"),
        }
    }
    /// Looks at the upstreams and notes since when they are as they are. To be called every second.
    pub fn look(&self) {
        let upstreams = match &*self.stage() {
            Stage::Serving(gateway) => gateway.upstream_health(),
            Stage::Starting | Stage::Stopping => return,
        };
        let now = self.2.now();
        let mut seen = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|name, _| upstreams.iter().any(|upstream| upstream.name.as_str() == name));
        for upstream in upstreams {
            let entry =
                Seen { healthy: upstream.healthy, since: now, checked_at: now, last_error: upstream.last_error };
            match seen.get_mut(upstream.name.as_str()) {
                Some(before) if before.healthy == upstream.healthy => {
                    before.checked_at = now;
                    before.last_error = entry.last_error;
                }
                Some(before) => {
                    tracing::info!(upstream = %upstream.name, healthy = upstream.healthy, "an upstream's health changed");
                    *before = entry;
                }
                None => {
                    seen.insert(upstream.name.to_string(), entry);
                }
            }
        }
    }
}

impl UpstreamHealthSource for Watch {
    fn health(&self, name: &str) -> Option<UpstreamHealthView> {
        let seen = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let upstream = seen.get(name)?;
        Some(UpstreamHealthView {
            healthy: upstream.healthy,
            since: upstream.since,
            checked_at: Some(upstream.checked_at),
            last_error: upstream.last_error.clone(),
        })
    }
}

/// What the gateway hands everything but inference to.
pub struct Front {
    watch: Watch,
    router: RouterCall,
}

type RouterCall = Box<dyn Fn(Request<Incoming>) -> RouterFuture + Send + Sync>;
type RouterFuture = std::pin::Pin<Box<dyn Future<Output = Response<ManagementBody>> + Send>>;

impl Front {
    /// Before the management plane's router.
    pub fn new(watch: Watch, options: tollgate_manage::ManageOptions) -> Self {
        let router = tollgate_manage::router(options);
        let call = move |request: Request<Incoming>| -> RouterFuture {
            let router = router.clone();
            Box::pin(async move {
                let answered = router.oneshot(request).await;
                let response = answered.unwrap_or_else(|never| match never {});
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            })
        };
        Self { watch, router: Box::new(call) }
    }
}

impl Management for Front {
    fn call(
        &self,
        mut request: Request<Incoming>,
        address: IpAddr,
        id: Option<Id<usage::Request>>,
    ) -> ManagementFuture {
        let id = id.unwrap_or_else(|| Id::new(&self.watch.2));
        let is_probe = matches!(*request.method(), Method::GET | Method::HEAD);
        let probe = match request.uri().path() {
            "/healthz" if is_probe => Some((true, "live")),
            "/readyz" if is_probe => Some(self.watch.ready()),
            _ => None,
        };
        if let Some((good, word)) = probe {
            return Box::pin(async move { probed(good, word, id) });
        }
        request.extensions_mut().insert(PeerAddress(address));
        request.extensions_mut().insert(RequestId(id));
        (self.router)(request)
    }
}

fn probed(good: bool, word: &str, id: Id<usage::Request>) -> Response<ManagementBody> {
    let body = Full::new(Bytes::from(format!("{{\"status\":\"{word}\"}}"))).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if let Ok(id) = header::HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", id);
    }
    if !good {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_after_serving_it_is_not_ready_and_says_why() {
        let watch = Watch::new(crate::world::real());
        assert_eq!(watch.ready(), (false, "starting"));
        assert!(watch.stopping().is_none());
        assert_eq!(watch.ready(), (false, "draining"));
        let id = Id::new(&crate::world::real());
        assert_eq!(probed(false, "draining", id).status(), 503);
        assert_eq!(probed(true, "live", id).status(), 200);
    }
}
