//! The parts put together: started in order, announced, watched, and stopped in order on a signal.
//!
//! Management has a runtime of its own, which is also the one that waits for signals; nothing of it runs where
//! inference does.

mod deployment;
mod front;
mod inference;
mod intake;
mod probe;
mod telling;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime, signal::unix, sync::oneshot};
use tollgate_core::{Actor, name::Slug, secret::PlainKey};
use tollgate_gateway::{
    Gateway, GatewayOptions, JournalOptions, Limits, Management, journal::SyncMode, serve_management,
};
use tollgate_manage::{
    Background, Documentation, LeakFigures, ManageOptions,
    notify::Notifier,
    services::{bootstrap_operator_token, sign_in_link, sign_in_path},
};

pub use deployment::{Deployment, open_store};
use front::{Front, Watch};
use inference::OwnGateway;
use intake::Intake;
use probe::Prober;
use telling::Telling;

use crate::{
    cli::{Failure, Screen},
    settings::{Environment, JournalSync, Settings},
    telemetry::{self, MetricsListener, MetricsServer, Redacted},
    world,
};

/// Threads of the management runtime.
const MANAGEMENT_THREADS: usize = 2;
/// Threads of the management runtime that may wait for the disk.
const MOST_BLOCKING_THREADS: usize = 8;
/// How long a stop waits for work that nobody waits for: reports of leaked keys that were answered already.
const BACKGROUND_STOP: Duration = Duration::from_secs(5);
/// How often upstreams are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often old request rows and minute sums are deleted.
const PRUNE: Duration = Duration::from_secs(3_600);
/// The longest name of a machine that becomes a node's name.
const LONGEST_NODE_NAME: usize = 64;

/// `tollgate serve`.
pub fn run(settings: Settings, json: bool, environment: &Environment) -> Result<(), Failure> {
    let world = world::real();
    let redacted = telemetry::log(&settings, environment, &world);
    raise_open_files();
    let screen = Screen::real(environment, json);
    Ok(runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let deployment = Deployment::open(settings, world).await?;
        deployment.apply_catalog().await?;
        let link = if deployment.seeded.made_now { Some(operator_link(&deployment).await?) } else { None };
        let running = Running::start(deployment, &redacted).await?;
        announce(&running, link.as_ref(), &screen);
        drop(link);
        running.until_stopped(&mut signals).await;
        anyhow::Ok(())
    })?)
}

/// `tollgate bootstrap`: a new operator's access token.
pub fn bootstrap(settings: Settings) -> Result<PlainKey, Failure> {
    Ok(runtime()?.block_on(async {
        let deployment = Deployment::open(settings, world::real()).await?;
        let Deployment { store, master_key, settings, world, .. } = &deployment;
        let token = bootstrap_operator_token(store, master_key, &settings.prefix, world).await;
        store.close().await;
        token.context("the access token cannot be made")
    })?)
}

/// The runtime of management, signals and everything else that is not inference.
pub fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(MANAGEMENT_THREADS)
        .max_blocking_threads(MOST_BLOCKING_THREADS)
        .thread_name("management")
        .enable_all()
        .build()
        .context("no threads can be started")
}

/// A one-time sign-in link's path for the operator: a secret.
pub async fn operator_link(deployment: &Deployment) -> anyhow::Result<PlainKey> {
    let Deployment { store, master_key, settings, world, seeded } = deployment;
    let actor = Actor::system("bootstrap");
    let link = sign_in_link(store, master_key, &settings.prefix, world, &actor, seeded.operator).await;
    link.context("the sign-in link cannot be made")
}

/// A deployment that serves.
pub struct Running {
    /// What it serves.
    pub deployment: Deployment,
    /// Where inference is: `http://…`
    pub url: String,
    /// Where management is, if apart.
    pub manage_url: Option<String>,
    /// Where metrics are, if anywhere.
    pub metrics_url: Option<String>,
    watch: Watch,
    metrics: Option<MetricsServer>,
    manage: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
    telling: (oneshot::Sender<()>, tokio::task::JoinHandle<()>),
    chores: tokio::task::JoinHandle<()>,
    background: Background,
}

impl Running {
    /// Starts all parts: management, the gateway, metrics, which also tell what `redacted` stopped. When this returns,
    /// requests are served.
    pub async fn start(deployment: Deployment, redacted: &Redacted) -> anyhow::Result<Self> {
        let Deployment { settings, world, master_key, store, .. } = &deployment;
        let (watch, background) = (Watch::new(world.clone()), Background::default());
        let leak_figures = LeakFigures::default();
        let notifier = Notifier::new(settings.notify.clone(), store.clone(), world.clone(), master_key.clone());
        let notifier = notifier.context("mail cannot be sent so")?;
        let docs = Documentation::new(settings.docs.clone());
        let manage_options = ManageOptions {
            store: store.clone(),
            world: world.clone(),
            master_key: master_key.clone(),
            prefix: settings.prefix,
            contact_url: Some(settings.contact_url.clone()),
            public_url: settings.public_url.clone(),
            sign_in: settings.sign_in.clone(),
            leaks: settings.leaks.clone(),
            leak_figures: leak_figures.clone(),
            background: background.clone(),
            docs: docs.clone(),
            inference: Arc::new(OwnGateway(watch.clone())),
            upstream_health: Arc::new(watch.clone()),
            upstream_probe: Arc::new(Prober::new()),
            notifier: notifier.clone(),
            version: env!("CARGO_PKG_VERSION"),
        };
        let front: Arc<dyn Management> = Arc::new(Front::new(watch.clone(), manage_options));
        let mut registry = telemetry::registry(redacted);
        registry.register_collector(Box::new(Telling(notifier.clone())));
        registry.register_collector(Box::new(Intake(leak_figures)));
        let options = gateway_options(settings)?;
        let limits = options.limits.clone();
        // All ports before any part: a gateway that serves would have to be stopped again.
        check_free(settings.listen)?;
        let metrics = match settings.metrics {
            Some(address) => Some(MetricsListener::bind(address).await?),
            None => None,
        };
        let manage = match settings.manage {
            Some(address) => Some(listen_manage(address).await?),
            None => None,
        };
        let public = manage.is_none().then(|| Arc::clone(&front));
        let gateway =
            Gateway::start(options, store.clone(), master_key.clone(), world.clone(), public, &mut registry).await;
        let gateway = gateway.context("the gateway does not start")?;
        let url = url_of(gateway.local_addr());
        watch.serving(gateway);
        let metrics_url = metrics.as_ref().map(|metrics| format!("{}/metrics", url_of(metrics.address)));
        let manage_url = manage.as_ref().map(|(_, address)| url_of(*address));
        let metrics = metrics.map(|metrics| metrics.serve(registry));
        let manage = manage.map(|(listener, _)| {
            let (stop, stopped) = oneshot::channel::<()>();
            let stopped = async {
                let _ = stopped.await;
            };
            let proxies = settings.trusted_proxies.clone();
            (stop, tokio::spawn(serve_management(listener, front, limits, proxies, stopped)))
        });
        let console = settings.public_url.as_deref().or(manage_url.as_deref()).unwrap_or(&url);
        notifier.console_at(console);
        docs.reached_at(console, settings.public_url.as_deref().unwrap_or(&url));
        let (stop_telling, told) = oneshot::channel::<()>();
        let telling = tokio::spawn(notifier.run(async {
            let _ = told.await;
        }));
        let chores = tokio::spawn(chores(watch.clone(), deployment.store.clone(), deployment.settings.clone()));
        let telling = (stop_telling, telling);
        Ok(Self { url, manage_url, metrics_url, watch, metrics, manage, telling, chores, background, deployment })
    }

    /// Where people manage: what links begin with.
    pub fn console_url(&self) -> &str {
        let named = self.deployment.settings.public_url.as_deref();
        named.or(self.manage_url.as_deref()).unwrap_or(&self.url)
    }

    /// Serves until a signal, then stops in order. A second signal ends the process at once: the journal
    /// keeps what was counted.
    pub async fn until_stopped(self, signals: &mut Signals) {
        let signal = signals.next().await;
        let drain = self.deployment.settings.drain;
        tracing::info!(
            signal,
            drain_s = drain.as_secs(),
            "stopping: running requests may end; a second signal ends them"
        );
        tokio::select! {
            () = self.stop(drain) => tracing::info!("stopped"),
            signal = signals.next() => {
                tracing::warn!(signal, "ended at once; the next start counts what the journal holds");
                std::process::exit(1);
            }
        }
    }

    async fn stop(self, drain: Duration) {
        if let Some(gateway) = self.watch.stopping() {
            gateway.shutdown(drain).await;
        }
        if let Some((stop, task)) = self.manage {
            let _ = stop.send(());
            let _ = task.await;
        }
        let (stop, telling) = self.telling;
        let _ = stop.send(());
        let _ = telling.await;
        if !self.background.finish(BACKGROUND_STOP).await {
            tracing::warn!("work of the management plane was cut short");
        }
        self.chores.abort();
        drop(self.metrics);
        self.deployment.store.close().await;
    }
}

async fn listen_manage(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("listen.manage: cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// What is to be done from time to time.
async fn chores(watch: Watch, store: tollgate_store::Store, settings: Settings) {
    let mut look = tokio::time::interval(LOOK);
    let mut prune = tokio::time::interval(PRUNE);
    loop {
        tokio::select! {
            _ = look.tick() => watch.look(),
            _ = prune.tick() => {
                let now = store.world().now();
                if let Err(error) = store.usage_days_make().await {
                    tracing::warn!(%error, "no partitions could be made for the days to come");
                }
                match store.usage_prune(now.minus(settings.keep_requests), now.minus(settings.keep_minutes)).await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(rows, "old usage rows were deleted"),
                    Err(error) => tracing::warn!(%error, "old usage rows could not be deleted"),
                }
                match store.changes_prune().await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(rows, "old entries of the change log were deleted"),
                    Err(error) => tracing::warn!(%error, "old entries of the change log could not be deleted"),
                }
                match store.journals_prune().await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(rows, "journals that ended long ago were forgotten"),
                    Err(error) => tracing::warn!(%error, "journals that ended long ago could not be forgotten"),
                }
                match store.notices_prune().await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(rows, "old deliveries of notices were forgotten"),
                    Err(error) => tracing::warn!(%error, "old deliveries of notices could not be forgotten"),
                }
                if let Some(keep) = settings.keep_audit {
                    match store.audit_prune(now.minus(keep)).await {
                        Ok(0) => {}
                        Ok(rows) => tracing::info!(rows, "old entries of the audit log were deleted"),
                        Err(error) => tracing::warn!(%error, "old entries of the audit log could not be deleted"),
                    }
                }
            }
        }
    }
}

fn gateway_options(settings: &Settings) -> anyhow::Result<GatewayOptions> {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let limits = &settings.limits;
    let name = settings.node.clone().map_or_else(machine_name, Ok)?;
    let mut options = GatewayOptions::new(settings.listen, settings.journal.clone(), name);
    options.trusted_proxies = settings.trusted_proxies.clone();
    options.lease = settings.lease;
    options.journal = JournalOptions {
        max_bytes: settings.journal_most,
        sync: match settings.journal_sync {
            JournalSync::Os => SyncMode::Os,
            JournalSync::Always => SyncMode::Always,
        },
        ..JournalOptions::new(settings.journal.clone())
    };
    options.limits = Limits {
        header_timeout: limits.header_time,
        header_bytes: bytes(limits.header_size),
        body_bytes: bytes(limits.body_size),
        body_first_byte_timeout: limits.body_idle,
        body_window: limits.body_idle,
        write_stall: limits.write_stall,
        connections: bytes(limits.connections),
        strangers_per_address: bytes(limits.strangers_per_address),
        buffered_bytes: bytes(limits.memory),
        connect_timeout: settings.upstream.connect,
        upstream_first_byte_timeout: settings.upstream.first_byte,
        upstream_idle_timeout: settings.upstream.idle,
        ..Limits::default()
    };
    Ok(options)
}

/// The machine's name, as far as it can be a node's.
fn machine_name() -> anyhow::Result<Slug> {
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    let name: String = machine
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(LONGEST_NODE_NAME)
        .collect();
    let name = if name.is_empty() { "node".to_owned() } else { name };
    name.parse().context("this machine's name cannot be a node's: set fleet.node")
}

/// The gateway's workers share their port, so another gateway of this user could share it too without an error:
/// tried here without sharing.
fn check_free(address: SocketAddr) -> anyhow::Result<()> {
    let tried = std::net::TcpListener::bind(address);
    tried.map(drop).with_context(|| {
        format!("cannot listen on {address}; choose another with --listen ADDR (port 0 picks a free one)")
    })
}

/// An address as a browser on this machine reaches it.
fn url_of(address: SocketAddr) -> String {
    let port = address.port();
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("http://127.0.0.1:{port}"),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("http://[::1]:{port}"),
        other => format!("http://{other}"),
    }
}

/// Says on standard output that requests are served, with `--json` in one line. A link is a secret, so that it goes
/// there and not among the log lines.
fn announce(running: &Running, link: Option<&PlainKey>, screen: &Screen) {
    let sign_in = link.map(|link| format!("{}{}", running.console_url(), sign_in_path(link)));
    let data = running.deployment.settings.data.display().to_string();
    tracing::info!(url = running.url, manage = running.manage_url, metrics = running.metrics_url, data, "serving");
    let text = if screen.json() {
        json!({
            "url": running.url,
            "manage": running.manage_url,
            "metrics": running.metrics_url,
            "sign_in_url": sign_in,
            "data": data,
            "version": env!("CARGO_PKG_VERSION"),
        })
        .to_string()
    } else {
        let also = running.manage_url.as_ref().map(|url| format!(", management at {url}")).unwrap_or_default();
        let settings = &running.deployment.settings;
        let config = settings.file.as_ref().map(|file| format!(" --config {}", file.display())).unwrap_or_default();
        let first = sign_in.map(|sign_in| {
            format!(
                "\nThis is its first start. Sign in as the operator, once, at\n\n{sign_in}\n\n\
                 and for the command line: export TOLLGATE_TOKEN=$(tollgate bootstrap{config} --data {data})"
            )
        });
        format!("Tollgate serves at {}{also}. Data in {data}.{}", running.url, first.unwrap_or_default())
    };
    // Whoever started us may not read on: that is no reason not to serve.
    let _ = screen.print(&text);
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// From now on they do not end the process by themselves.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: unix::signal(unix::SignalKind::terminate())?,
            interrupt: unix::signal(unix::SignalKind::interrupt())?,
        })
    }
    /// Waits for the next.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// As many open files as this user may have: each connection is one, and the usual soft limit is 1,024.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, soft = limit.current, hard = limit.maximum, "the limit of open files stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_shown_as_one_that_can_be_opened() {
        for (address, url) in [
            ("127.0.0.1:80", "http://127.0.0.1:80"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("10.0.0.1:80", "http://10.0.0.1:80"),
        ] {
            assert_eq!(url_of(address.parse().unwrap()), url);
        }
    }

    #[test]
    fn this_machine_has_a_name_for_its_node() {
        assert!(!machine_name().unwrap().as_str().is_empty());
    }

    #[test]
    fn a_port_that_is_taken_is_said_with_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = check_free(taken.local_addr().unwrap()).unwrap_err().to_string();
        assert!(error.contains("--listen"), "{error}");
    }
}
