//! The settings: `tollgate.default.toml`, the settings file, the environment, the command line.
//!
//! The defaults' file is the only list of settings and the only source of defaults; what it does not
//! name stops the start. A [`Settings`] is complete and checked; secrets in it have no `Debug` text.

pub mod catalog;
mod docs;
pub mod environment;
mod leaks;
mod notify;
mod read;
mod show;
mod sign_in;
mod tree;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tollgate_core::{
    name::Slug,
    seal::{MasterKey, SecretText},
    secret::Prefix,
};

pub use catalog::{ModelSetting, UpstreamSetting};
pub use environment::Environment;
pub use read::SecretSource;
use read::Section;
use tree::{Item, Origin, Value};

/// The text of `tollgate.default.toml`.
const DEFAULTS: &str = include_str!("../tollgate.default.toml");
/// The settings file that is read where none is named.
const USUAL_FILE: &str = "tollgate.toml";
/// What the variables of settings begin with.
const VARIABLES: &str = "TOLLGATE__";
/// The largest settings file.
const MOST_FILE_BYTES: u64 = 4 << 20;

/// Why the settings were refused: every text names the place.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Not TOML.
    #[error("{origin}: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// No setting has this name.
    #[error("{origin}: there is no setting {setting}{}", suggestion(.nearest.as_deref()))]
    Unknown {
        /// Where.
        origin: Origin,
        /// Its path.
        setting: String,
        /// The nearest path that is known.
        nearest: Option<String>,
    },
    /// A value of another type.
    #[error("{origin}: {setting} must be {expected}, not {found}")]
    Type {
        /// Where.
        origin: Origin,
        /// Its path.
        setting: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A value of the right type that is not possible.
    #[error("{origin}: {setting}: {problem}")]
    Invalid {
        /// Where.
        origin: Origin,
        /// Its path.
        setting: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting that must be there is not.
    #[error("{origin}: {setting} is missing")]
    Missing {
        /// Where it should be.
        origin: Origin,
        /// Its path.
        setting: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => "; tollgate.default.toml lists all settings (`tollgate config --defaults`)".to_owned(),
    }
}

/// What the command line says about settings.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--listen ADDR`
    pub listen: Option<String>,
    /// `--data DIR`
    pub data: Option<PathBuf>,
    /// `--metrics ADDR`
    pub metrics: Option<String>,
}

/// How usage is brought to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalSync {
    /// By the kernel in its own time.
    Os,
    /// Before each request goes on.
    Always,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// All settings, checked. Paths of what the program makes are absolute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The settings file that was read, if any.
    pub file: Option<PathBuf>,
    /// `data.directory`
    pub data: PathBuf,
    /// `listen.address`
    pub listen: SocketAddr,
    /// `listen.manage`
    pub manage: Option<SocketAddr>,
    /// `listen.trusted_proxies`
    pub trusted_proxies: tollgate_gateway::TrustedProxies,
    /// `listen.public_url`, without a slash at its end
    pub public_url: Option<String>,
    /// `store.url`, an SQLite path made complete. May hold a password.
    pub store_url: SecretText,
    /// `store.connections`
    pub store_connections: u32,
    /// `store.wait`
    pub store_wait: Duration,
    /// `journal.directory`
    pub journal: PathBuf,
    /// `journal.sync`
    pub journal_sync: JournalSync,
    /// `journal.most`, in bytes
    pub journal_most: u64,
    /// `fleet.lease`
    pub lease: Duration,
    /// `fleet.node`
    pub node: Option<Slug>,
    /// `keys.prefix`
    pub prefix: Prefix,
    /// `keys.master_key`
    pub master_key: MasterKeySetting,
    /// The file that the master key is read from, if it is one.
    pub master_key_path: Option<PathBuf>,
    /// `keys.contact_url`
    pub contact_url: String,
    /// `sign_in`
    pub sign_in: tollgate_manage::SignInOptions,
    /// `leaks`
    pub leaks: tollgate_manage::LeakOptions,
    /// `mail` and `webhooks`
    pub notify: tollgate_manage::notify::NotifyOptions,
    /// `docs`
    pub docs: tollgate_manage::DocsOptions,
    /// `usage.keep_requests`
    pub keep_requests: Duration,
    /// `usage.keep_minutes`
    pub keep_minutes: Duration,
    /// `audit.keep`; `None`: for ever
    pub keep_audit: Option<Duration>,
    /// `limits`
    pub limits: Limits,
    /// `upstream`
    pub upstream: UpstreamTimes,
    /// `stop.drain`
    pub drain: Duration,
    /// `metrics.address`
    pub metrics: Option<SocketAddr>,
    /// `log.format`
    pub log_format: LogFormat,
    /// `log.level`
    pub log_level: String,
    /// `upstreams`
    pub upstreams: Vec<UpstreamSetting>,
    /// `models`
    pub models: Vec<ModelSetting>,
    effective: Item,
}

/// `limits`
#[derive(Debug, Clone)]
pub struct Limits {
    /// `header_time`
    pub header_time: Duration,
    /// `header_size`, in bytes
    pub header_size: u64,
    /// `body_size`, in bytes
    pub body_size: u64,
    /// `body_idle`
    pub body_idle: Duration,
    /// `write_stall`
    pub write_stall: Duration,
    /// `connections`
    pub connections: u64,
    /// `strangers_per_address`
    pub strangers_per_address: u64,
    /// `memory`, in bytes
    pub memory: u64,
}

/// `upstream`
#[derive(Debug, Clone)]
pub struct UpstreamTimes {
    /// `connect`
    pub connect: Duration,
    /// `first_byte`
    pub first_byte: Duration,
    /// `idle`
    pub idle: Duration,
}

/// The master key, or where it would be.
#[derive(Debug, Clone)]
pub enum MasterKeySetting {
    /// It is there.
    Present(MasterKey),
    /// Its file is not there: a single node's first start makes it.
    MissingFile(PathBuf),
    /// Its variable is not set.
    MissingVariable(String),
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Settings {
    /// Reads all sources, in order: defaults, file, environment, command line.
    pub fn load(arguments: &Arguments, environment: &Environment) -> Result<Self, SettingsError> {
        let file = match &arguments.config {
            Some(path) => Some(path.clone()),
            None => Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists()),
        };
        let text = file.as_deref().map(read_file).transpose()?;
        Self::from_parts(file, text.as_deref().unwrap_or_default(), arguments, environment)
    }

    /// The same without looking for a file.
    pub fn load_without_file(arguments: &Arguments, environment: &Environment) -> Result<Self, SettingsError> {
        Self::from_parts(None, "", arguments, environment)
    }

    fn from_parts(
        file: Option<PathBuf>,
        text: &str,
        arguments: &Arguments,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let mut tree = defaults()?;
        if let Some(path) = &file {
            let path: Arc<Path> = path.as_path().into();
            tree.overlay(Item::parse(text, &|line| Origin::File(Arc::clone(&path), line))?, "")?;
        }
        for (name, value) in environment.with_prefix(VARIABLES) {
            tree.overlay_variable(&format!("{VARIABLES}{name}"), name, value)?;
        }
        for (flag, path, value) in [
            ("--listen", ["listen", "address"], arguments.listen.clone()),
            ("--metrics", ["metrics", "address"], arguments.metrics.clone()),
        ] {
            if let Some(value) = value {
                tree.overlay(argument(flag, path, value), "")?;
            }
        }
        // The directory on the command line is relative to where the command was given, the one in
        // the file to the file.
        let base = file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        if let Some(data) = &arguments.data {
            let data = std::path::absolute(data).unwrap_or_else(|_| data.clone());
            tree.overlay(argument("--data", ["data", "directory"], data.display().to_string()), "")?;
        }
        Self::from_tree(file, &base, tree, environment)
    }

    fn from_tree(
        file: Option<PathBuf>,
        base: &Path,
        tree: Item,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let root = Section::root(&tree)?;
        let data = base.join(root.section("data")?.text("directory")?);
        // What is shown of it should still be true in another directory.
        let data = std::path::absolute(&data).unwrap_or(data);
        let (listen, store, journal) = (root.section("listen")?, root.section("store")?, root.section("journal")?);
        let (fleet, keys, usage) = (root.section("fleet")?, root.section("keys")?, root.section("usage")?);
        let audit = root.section("audit")?;
        let (limits, upstream, log) = (root.section("limits")?, root.section("upstream")?, root.section("log")?);
        Ok(Self {
            listen: address(&listen, "address")?.ok_or_else(|| listen.invalid("address", "is empty".to_owned()))?,
            manage: address(&listen, "manage")?,
            trusted_proxies: trusted_proxies(&listen)?,
            public_url: public_url(&listen)?,
            store_url: store_url(&store, &data, base, environment)?,
            store_connections: u32::try_from(store.number("connections", 1, 1_000)?).unwrap_or(u32::MAX),
            store_wait: store.duration("wait", MS, HOUR)?,
            journal: data.join(journal.text("directory")?),
            journal_sync: match journal.text("sync")? {
                "os" => JournalSync::Os,
                "always" => JournalSync::Always,
                other => return Err(journal.invalid("sync", format!("must be \"os\" or \"always\", not {other:?}"))),
            },
            journal_most: journal.size("most", 1 << 20, 1 << 50)?,
            lease: fleet.duration("lease", SECOND * 2, HOUR)?,
            node: fleet.optional("node")?,
            prefix: keys.parsed("prefix")?,
            master_key: master_key(&keys, &data, environment)?,
            master_key_path: match keys.secret("master_key")? {
                SecretSource::File(path) => Some(data.join(path)),
                SecretSource::Text(_) | SecretSource::Variable(_) => None,
            },
            contact_url: contact_url(&keys)?,
            sign_in: sign_in::options(&root, base, environment)?,
            leaks: leaks::options(&root, base, environment)?,
            notify: notify::options(&root, base, environment)?,
            docs: docs::options(&root, base)?,
            keep_requests: usage.duration("keep_requests", HOUR, DAY * 36_500)?,
            keep_minutes: usage.duration("keep_minutes", DAY, DAY * 36_500)?,
            keep_audit: match audit.text("keep")? {
                "ever" => None,
                _ => Some(audit.duration("keep", DAY, DAY * 36_500)?),
            },
            limits: Limits {
                header_time: limits.duration("header_time", MS, HOUR)?,
                header_size: limits.size("header_size", 8 << 10, 16 << 20)?,
                body_size: limits.size("body_size", 1 << 10, 4 << 30)?,
                body_idle: limits.duration("body_idle", MS, HOUR)?,
                write_stall: limits.duration("write_stall", MS, HOUR)?,
                connections: limits.number("connections", 1, 10_000_000)?,
                strangers_per_address: limits.number("strangers_per_address", 1, 10_000_000)?,
                memory: limits.size("memory", 1 << 20, 1 << 40)?,
            },
            upstream: UpstreamTimes {
                connect: upstream.duration("connect", MS, HOUR)?,
                first_byte: upstream.duration("first_byte", MS, HOUR * 24)?,
                idle: upstream.duration("idle", MS, HOUR * 24)?,
            },
            drain: root.section("stop")?.duration("drain", Duration::ZERO, HOUR * 24)?,
            metrics: address(&root.section("metrics")?, "address")?,
            log_format: match log.text("format")? {
                "auto" => LogFormat::Auto,
                "human" => LogFormat::Human,
                "json" => LogFormat::Json,
                other => {
                    let problem = format!("must be \"auto\", \"human\" or \"json\", not {other:?}");
                    return Err(log.invalid("format", problem));
                }
            },
            log_level: log_level(&log)?,
            upstreams: catalog::upstreams(&root, base, environment)?,
            models: catalog::models(&root)?,
            file,
            data,
            effective: tree,
        })
    }

    /// All settings as TOML, each with where it was set; secrets are hidden.
    pub fn show(&self) -> String {
        show::document(&self.effective)
    }
    /// Whether the settings file itself holds a secret, rather than saying where one is.
    pub fn file_holds_secret(&self) -> bool {
        show::file_holds_secret("", &self.effective)
    }
    /// The commented defaults.
    pub const fn defaults_text() -> &'static str {
        DEFAULTS
    }
    /// The path of the SQLite file, if the store is one.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        self.store_url.expose().strip_prefix("sqlite:").map(PathBuf::from)
    }
}

/// The tree of the defaults. The lists have no place of their own in the file, since a table written
/// once could not be written again.
fn defaults() -> Result<Item, SettingsError> {
    let mut tree = Item::parse(DEFAULTS, &|_| Origin::Default)?;
    let list = || Item { value: Value::List(Vec::new()), origin: Origin::Default };
    if let Value::Table(table) = &mut tree.value {
        for name in ["upstreams", "models"] {
            table.insert(name.to_owned(), list());
        }
        if let Some(Item { value: Value::Table(sign_in), .. }) = table.get_mut("sign_in")
            && let Some(Item { value: Value::Table(oidc), .. }) = sign_in.get_mut("oidc")
        {
            oidc.insert("groups".to_owned(), list());
        }
    }
    Ok(tree)
}

fn read_file(path: &Path) -> Result<String, SettingsError> {
    let failed = |error| SettingsError::File { path: path.to_owned(), error };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > MOST_FILE_BYTES {
        return Err(failed(std::io::Error::other(format!("it has {length} bytes, more than {MOST_FILE_BYTES}"))));
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn argument(flag: &'static str, [section, name]: [&str; 2], value: String) -> Item {
    let origin = Origin::Argument(flag);
    let item = Item { value: Value::Text(value), origin: origin.clone() };
    let section_value = Value::Table([(name.to_owned(), item)].into());
    let section_item = Item { value: section_value, origin: origin.clone() };
    Item { value: Value::Table([(section.to_owned(), section_item)].into()), origin }
}

/// `HOST:PORT`, `:PORT` for every address, or empty for none. Names are not looked up: what a name
/// points to may change between two starts.
fn address(section: &Section<'_>, name: &str) -> Result<Option<SocketAddr>, SettingsError> {
    let text = section.text(name)?;
    let full = match (text.strip_prefix(':'), text.strip_prefix("localhost:")) {
        _ if text.is_empty() => return Ok(None),
        (Some(port), _) => format!("0.0.0.0:{port}"),
        (_, Some(port)) => format!("127.0.0.1:{port}"),
        _ => text.to_owned(),
    };
    let problem = || format!("must be an IP address and a port, such as \"127.0.0.1:8080\", not {text:?}");
    full.parse().map(Some).map_err(|_| section.invalid(name, problem()))
}

fn trusted_proxies(listen: &Section<'_>) -> Result<tollgate_gateway::TrustedProxies, SettingsError> {
    let texts = listen.texts("trusted_proxies")?;
    tollgate_gateway::TrustedProxies::parse(&texts).map_err(|(at, error)| {
        let text = texts.get(at).map_or("", String::as_str);
        listen.invalid("trusted_proxies", format!("{text:?} {error}"))
    })
}

fn public_url(listen: &Section<'_>) -> Result<Option<String>, SettingsError> {
    let url: Option<tollgate_core::catalog::BaseUrl> = listen.optional("public_url")?;
    Ok(url.map(|url| url.as_str().to_owned()))
}

fn store_url(
    store: &Section<'_>,
    data: &Path,
    base: &Path,
    environment: &Environment,
) -> Result<SecretText, SettingsError> {
    let missing = || store.invalid("url", "the file or variable that it names is not there".to_owned());
    let url = store.secret_text("url", base, environment)?.ok_or_else(missing)?;
    match url.strip_prefix("sqlite:") {
        Some("") => Err(store.invalid("url", "names no file: sqlite:PATH".to_owned())),
        Some(path) => Ok(SecretText::new(format!("sqlite:{}", data.join(path).display()))),
        None if url.starts_with("postgres://") || url.starts_with("postgresql://") => Ok(SecretText::new(url)),
        None => Err(store.invalid("url", "must begin with sqlite: or postgres://".to_owned())),
    }
}

fn master_key(keys: &Section<'_>, data: &Path, environment: &Environment) -> Result<MasterKeySetting, SettingsError> {
    match (keys.secret_text("master_key", data, environment)?, keys.secret("master_key")?) {
        (Some(text), _) => {
            let problem = || keys.invalid("master_key", "must be 32 bytes as 64 hexadecimal digits".to_owned());
            parse_master_key(&text).map(MasterKeySetting::Present).ok_or_else(problem)
        }
        (None, SecretSource::File(path)) => Ok(MasterKeySetting::MissingFile(data.join(path))),
        (None, SecretSource::Variable(name)) => Ok(MasterKeySetting::MissingVariable(name)),
        (None, SecretSource::Text(_)) => Err(keys.invalid("master_key", "is empty".to_owned())),
    }
}

/// 64 hexadecimal digits, white space around them ignored.
pub fn parse_master_key(text: &str) -> Option<MasterKey> {
    let text = text.trim();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0u8; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(MasterKey::from_bytes(bytes))
}

fn contact_url(keys: &Section<'_>) -> Result<String, SettingsError> {
    let url = keys.text("contact_url")?;
    let fits = ["mailto:", "https://", "http://"].iter().any(|scheme| url.starts_with(scheme))
        && !url.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '<' | '>'));
    if fits {
        Ok(url.to_owned())
    } else {
        Err(keys.invalid("contact_url", "must be a mailto: or https: address".to_owned()))
    }
}

fn log_level(log: &Section<'_>) -> Result<String, SettingsError> {
    let level = log.text("level")?;
    match tracing_subscriber::EnvFilter::builder().parse(level) {
        Ok(_) if !level.is_empty() => Ok(level.to_owned()),
        Ok(_) => Err(log.invalid("level", "is empty".to_owned())),
        Err(error) => Err(log.invalid("level", error.to_string())),
    }
}

#[cfg(test)]
mod tests;
