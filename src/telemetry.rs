//! What the program tells of itself while it runs: log lines on standard error, metrics on an address of their
//! own, never on the public listener. Neither holds a key, a body or a mail address: see [`redact`] and [`panics`].

mod panics;
mod redact;

use std::{convert::Infallible, io::IsTerminal as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{encoding::text, metrics::info::Info, registry::Registry};
use tokio::{net::TcpListener, sync::Semaphore};
use tollgate_core::World;
use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

pub use self::redact::Redacted;
use crate::settings::{Environment, LogFormat, Settings};

/// How long the header of a scrape may take.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// Scrapes at a time.
const MOST_SCRAPES: usize = 16;
/// The wait before the next try when no connection could be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a scrape is answered as: the registry writes OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Log lines carry the world's time, in UTC to the millisecond.
struct LogTime(World);

impl FormatTime for LogTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", self.0.now().to_jiff())
    }
}

/// Before anything is known of how to log: from here on, also what a panic says passes through [`Redacted`].
pub fn guard(world: &World) -> Redacted {
    let redacted = Redacted::default();
    panics::say_through(redacted.clone(), world.clone(), panics::Form::Human);
    redacted
}

/// Starts logging, once for the process. All of it goes through what is returned.
pub fn log(settings: &Settings, environment: &Environment, world: &World) -> Redacted {
    let redacted = Redacted::default();
    let terminal = std::io::stderr().is_terminal();
    let filter = EnvFilter::builder().parse_lossy(&settings.log_level);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(redacted.clone())
        .with_timer(LogTime(world.clone()))
        .with_ansi(terminal && environment.get("NO_COLOR").is_none());
    let human = match settings.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let form = if human { panics::Form::Human } else { panics::Form::Json };
    panics::say_through(redacted.clone(), world.clone(), form);
    // A second call in one process (tests) finds the first one's in place.
    let _ = if human {
        lines.with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    redacted
}

/// A registry that says which program it is of, and what was stopped on its way to the log.
pub fn registry(redacted: &Redacted) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("tollgate_build", "The running program", build);
    let help = "Keys and tokens that would have been in a log line, each a fault";
    registry.register("tollgate_secret_in_log", help, redacted.stopped.clone());
    registry
}

/// The address of metrics, held before anything is started that a busy port would have to stop again.
pub struct MetricsListener {
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
}

/// The server of metrics; it ends when this is dropped.
pub struct MetricsServer(tokio::task::JoinHandle<()>);

impl MetricsListener {
    /// Listens; nobody is answered yet.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| {
            format!("metrics cannot listen on {address}; choose another with --metrics ADDR, or none with --metrics ''")
        })?;
        Ok(Self { address: listener.local_addr()?, listener })
    }
    /// Serves `/metrics` from then on, on this runtime.
    pub fn serve(self, registry: Registry) -> MetricsServer {
        MetricsServer(tokio::spawn(accept(self.listener, Arc::new(registry))))
    }
}
impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: TcpListener, registry: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(MOST_SCRAPES));
    let mut scrapes = tokio::task::JoinSet::new();
    loop {
        while scrapes.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let registry = Arc::clone(&registry);
        scrapes.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let response = respond(&request, &registry);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
            drop(place);
        });
    }
}

fn respond<B>(request: &Request<B>, registry: &Registry) -> Response<Full<Bytes>> {
    let mut text = String::new();
    let (status, media_type) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match text::encode(&mut text, registry) {
            Ok(()) => (StatusCode::OK, OPEN_METRICS),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "text/plain"),
        },
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain"),
        _ => (StatusCode::NOT_FOUND, "text/plain"),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_at_one_path_only() {
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            respond(&request, &registry(&Redacted::default())).status().as_u16()
        };
        assert_eq!(ask("GET", "/metrics"), 200);
        assert_eq!(ask("POST", "/metrics"), 405);
        assert_eq!(ask("GET", "/"), 404);
    }
}
