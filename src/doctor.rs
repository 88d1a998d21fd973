//! `tollgate doctor`: looks at what a deployment stands on, and says what to do about each fault. It changes
//! nothing, and works with the server running or not.

use std::{
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use tollgate_core::{Route, Timestamp, World, account::Standing, catalog::Engine, seal::MasterKey, seal::SecretText};
use tollgate_store::{PageRequest, Store, audit::AuditFilter, changes::Uncounted};
use ureq::http;

use crate::{
    cli::{Entry, Failure, Screen, StoreArguments, Tone, agent},
    serve,
    settings::{Environment, MasterKeySetting, Settings},
    world,
};

/// Free space below which a disk is full soon.
const LEAST_FREE_BYTES: u64 = 1 << 30;
/// A flush that takes longer slows every request with `journal.sync = "always"`.
const SLOW_FLUSH: Duration = Duration::from_millis(20);
/// A clock that is further off counts usage into the wrong minutes.
const MOST_SKEW: Duration = Duration::from_secs(5);
/// Open files that a busy gateway needs.
const LEAST_OPEN_FILES: u64 = 4_096;
/// Pages of the documentation that are told one by one.
const MOST_PAGE_FAULTS: usize = 20;
/// Losses of journals that are looked at.
const MOST_GAPS: u32 = 1_000;
const CONNECT_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The largest list of models that is read from an upstream.
const MOST_ANSWER_BYTES: u64 = 8 << 20;

#[derive(Debug, Clone, Args)]
pub struct DoctorArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Well,
    /// Works, but should be looked at.
    Care,
    Fault,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    about: String,
    verdict: Verdict,
    found: String,
    advice: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn well(&mut self, about: impl Into<String>, found: impl Into<String>) {
        self.add(about, Verdict::Well, found, "");
    }
    fn care(&mut self, about: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(about, Verdict::Care, found, advice);
    }
    fn fault(&mut self, about: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(about, Verdict::Fault, found, advice);
    }
    fn add(&mut self, about: impl Into<String>, verdict: Verdict, found: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Finding { about: about.into(), verdict, found: found.into(), advice: advice.into() });
    }
}

/// `tollgate doctor`: exit code 1 if anything is at fault.
pub fn run(arguments: &DoctorArguments, environment: &Environment) -> Result<(), Failure> {
    let screen = Screen::real(environment, arguments.json);
    let world = world::real();
    let mut findings = Findings::default();
    match arguments.store.settings(environment) {
        Err(failure) => {
            let found = failure.message().unwrap_or_default();
            findings.fault(
                "configuration",
                found,
                "correct that line; `tollgate config --defaults` lists all settings",
            );
        }
        Ok(settings) => {
            let file = settings.file.as_ref().map_or("no file, defaults".to_owned(), |path| path.display().to_string());
            findings.well("configuration", file);
            files(&settings, &mut findings);
            pages(&settings, &mut findings);
            serve::runtime()?.block_on(async {
                store(&settings, &world, &mut findings).await;
                mail(&settings, &mut findings).await;
            });
        }
    }
    open_files(&mut findings);
    report(&screen, &findings)
}

fn report(screen: &Screen, findings: &Findings) -> Result<(), Failure> {
    let faults = findings.0.iter().filter(|finding| finding.verdict == Verdict::Fault).count();
    if screen.json() {
        let entry = |finding: &Finding| {
            let (word, _) = finding.verdict.shown();
            json!({ "about": finding.about, "verdict": word, "found": finding.found, "advice": finding.advice })
        };
        let entries: Vec<Value> = findings.0.iter().map(entry).collect();
        screen.print_json(&json!({ "healthy": faults == 0, "data": entries }).into())?;
    } else {
        let row = |finding: &Finding| {
            let (word, tone) = finding.verdict.shown();
            let text = match finding.advice.as_str() {
                "" => finding.found.clone(),
                advice => format!("{}\n→ {advice}", finding.found),
            };
            vec![Entry::toned(word, tone), finding.about.as_str().into(), text.into()]
        };
        screen.table(&["", "WHAT", "~FOUND"], findings.0.iter().map(row).collect(), "")?;
    }
    if faults == 0 { Ok(()) } else { Err(Failure::Silent) }
}

impl Verdict {
    const fn shown(self) -> (&'static str, Tone) {
        match self {
            Self::Well => ("ok", Tone::Good),
            Self::Care => ("care", Tone::Care),
            Self::Fault => ("FAULT", Tone::Bad),
        }
    }
}

/// The data directory, the master key's file, the disk.
fn files(settings: &Settings, findings: &mut Findings) {
    let data = settings.data.display().to_string();
    match std::fs::metadata(&settings.data) {
        Err(_) => {
            findings.care("data directory", format!("{data} is not there yet"), "the first `tollgate serve` makes it")
        }
        Ok(metadata) if !metadata.is_dir() => {
            findings.fault("data directory", format!("{data} is no directory"), "move it away or set data.directory");
        }
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            let found = format!("other users of this machine may look into {data}");
            findings.care("data directory", found, format!("chmod 700 {data}"));
        }
        Ok(_) => findings.well("data directory", data),
    }
    if let Some(path) = settings.file.as_deref().filter(|_| settings.file_holds_secret())
        && std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
    {
        let path = path.display();
        let found = format!("{path} holds a secret, and other users of this machine may read it");
        findings.care(
            "settings file",
            found,
            format!("chmod 600 {path}, or {{ file = … }} or {{ env = … }} in its place"),
        );
    }
    if let Some(path) = &settings.master_key_path
        && let Ok(metadata) = std::fs::metadata(path)
    {
        let path = path.display();
        if metadata.permissions().mode() & 0o077 == 0 {
            findings.well("master key file", format!("{path}, for its owner alone"));
        } else {
            let found = format!("other users of this machine may read {path}");
            findings.fault("master key file", found, format!("chmod 600 {path}"));
        }
    }
    for (about, path) in [("disk of the data", &settings.data), ("disk of the journal", &settings.journal)] {
        if let Some(directory) = path.ancestors().find(|path| path.is_dir()) {
            disk(about, directory, findings);
        }
    }
}

/// The operator's own pages of the documentation. Silence where there are none.
fn pages(settings: &Settings, findings: &mut Findings) {
    const ABOUT: &str = "documentation";
    let Some(directory) = &settings.docs.directory else { return };
    let (pages, faults) = tollgate_manage::docs_directory_check(directory);
    for fault in faults.iter().take(MOST_PAGE_FAULTS) {
        findings.fault(ABOUT, fault, "correct it or take it away: the page is left out, ours stands in its place");
    }
    if faults.len() > MOST_PAGE_FAULTS {
        findings.fault(ABOUT, format!("{} more like these", faults.len() - MOST_PAGE_FAULTS), "correct those first");
    }
    if faults.is_empty() {
        findings.well(ABOUT, format!("{pages} pages of your own in {}", directory.display()));
    }
}

/// Room, and how long a flush takes.
fn disk(about: &str, directory: &Path, findings: &mut Findings) {
    let shown = directory.display();
    let free = rustix::fs::statvfs(directory).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    let free = match free {
        Ok(free) => free,
        Err(error) => {
            findings.fault(about, format!("{shown}: {error}"), "make sure that the file system is mounted");
            return;
        }
    };
    let gib = free >> 30;
    if free < LEAST_FREE_BYTES {
        let found = format!("{} MiB are free at {shown}", free >> 20);
        findings.fault(about, found, "make room: with a full journal new requests are refused");
        return;
    }
    match flush_time(directory) {
        Ok(time) if time > SLOW_FLUSH => {
            let found = format!("{gib} GiB free, but a flush takes {} ms at {shown}", time.as_millis());
            findings.care(about, found, "a faster disk; until then leave journal.sync at \"os\"");
        }
        Ok(time) => {
            #[expect(clippy::cast_precision_loss, reason = "a flush is far below 2^53 microseconds")]
            let ms = time.as_micros() as f64 / 1_000.0;
            findings.well(about, format!("{gib} GiB free, a flush takes {ms:.1} ms at {shown}"));
        }
        Err(error) => {
            let advice = "give this user the right to write there";
            findings.fault(about, format!("nothing can be written to {shown}: {error}"), advice);
        }
    }
}

/// The quickest of a few flushes of a small file.
fn flush_time(directory: &Path) -> std::io::Result<Duration> {
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let measure = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        let mut quickest = Duration::MAX;
        for _ in 0..3 {
            let begun = Instant::now();
            file.write_all(&[0; 512])?;
            file.sync_data()?;
            quickest = quickest.min(begun.elapsed());
        }
        Ok(quickest)
    };
    let measured = measure();
    let _ = std::fs::remove_file(&path);
    measured
}

/// The store, the master key's fit, and what only the store can tell: upstreams and clocks.
async fn store(settings: &Settings, world: &World, findings: &mut Findings) {
    if let Some(path) = settings.sqlite_path()
        && !path.exists()
    {
        let found = format!("{} is not there yet", path.display());
        findings.care("store", found, "the first `tollgate serve` makes it");
        master_key(settings, None, findings).await;
        return;
    }
    let begun = Instant::now();
    let store = match serve::open_store(settings, world).await {
        Ok(store) => store,
        Err(error) => {
            let advice = "start it, or correct store.url; a store of a newer version needs that version's program";
            findings.fault("store", format!("{error:#}"), advice);
            return;
        }
    };
    let opened = begun.elapsed();
    match store.ping().await {
        Ok(()) => findings.well("store", format!("answers, opened in {} ms", opened.as_millis())),
        Err(error) => findings.fault("store", error.to_string(), "look at the database server's log"),
    }
    let key = master_key(settings, Some(&store), findings).await;
    clock(&store, world, findings).await;
    gaps(&store, findings).await;
    uncounted(&store, findings).await;
    docs_model(settings, &store, world.now(), findings).await;
    if let Some(key) = key {
        upstreams(&store, &key, world, findings).await;
    }
    store.close().await;
}

/// The mail server: its greeting, its certificate, its login.
async fn mail(settings: &Settings, findings: &mut Findings) {
    const ABOUT: &str = "mail";
    let Some(options) = &settings.notify.mail else {
        let found = "none is sent: nobody hears of a leaked key but through the console and webhooks";
        findings.care(ABOUT, found, "set [mail] host and from");
        return;
    };
    match tollgate_manage::notify::mail_check(options).await {
        Ok(()) => findings.well(ABOUT, format!("{} answers, and takes the login", options.host)),
        Err(error) => {
            let advice =
                "correct [mail]: host, port, tls, username, password; the certificate must be valid for the host";
            findings.fault(ABOUT, format!("{}: {error}", options.host), advice);
        }
    }
}

async fn master_key(settings: &Settings, store: Option<&Store>, findings: &mut Findings) -> Option<MasterKey> {
    const ABOUT: &str = "master key";
    let key = match (&settings.master_key, store) {
        (MasterKeySetting::Present(key), _) => key,
        (MasterKeySetting::MissingFile(path), None) if settings.sqlite_path().is_some() => {
            findings.care(ABOUT, format!("{} is not there yet", path.display()), "the first `tollgate serve` makes it");
            return None;
        }
        (MasterKeySetting::MissingFile(path), _) => {
            let advice = "bring it back from a copy: without it no key and no upstream credential can be read";
            findings.fault(ABOUT, format!("{} is not there", path.display()), advice);
            return None;
        }
        (MasterKeySetting::MissingVariable(name), _) => {
            findings.fault(
                ABOUT,
                format!("the variable {name} is not set"),
                "set it for the server and for this command",
            );
            return None;
        }
    };
    let Some(store) = store else {
        findings.well(ABOUT, "is there");
        return Some(key.clone());
    };
    match store.master_key_check(key.fingerprint()).await {
        Ok(()) => {
            findings.well(ABOUT, "is the store's");
            Some(key.clone())
        }
        Err(error) => {
            let advice = "name the master key that this store was made with, or another store";
            findings.fault(ABOUT, error.to_string(), advice);
            None
        }
    }
}

/// The wall clock against the store's newest entries: a clock that was set back counts into times that were before.
async fn clock(store: &Store, world: &World, findings: &mut Findings) {
    let newest = store.audit_list(&AuditFilter::default(), &PageRequest { cursor: None, limit: 1 }).await;
    let nodes = store.node_list().await.unwrap_or_default();
    let audited = newest.ok().and_then(|page| page.data.first().map(|entry| entry.at));
    let latest = nodes.iter().map(|node| node.renewed_at).chain(audited).max();
    let now = world.now();
    match latest {
        Some(latest) if latest > now.plus(MOST_SKEW) => {
            let ahead = Duration::from_millis((latest.as_millis() - now.as_millis()).unsigned_abs());
            let found = format!("this machine's clock is {} s behind the store's newest entry", ahead.as_secs());
            findings.fault("clock", found, "let NTP (chrony, systemd-timesyncd) set the clock, on every node");
        }
        _ => findings.well("clock", format!("{now}, not behind the store")),
    }
}

/// What journals have lost. Silence where nothing is: it takes a failing disk.
async fn gaps(store: &Store, findings: &mut Findings) {
    let gaps = store.journal_gaps(MOST_GAPS).await.unwrap_or_default();
    if let Some(newest) = gaps.iter().map(|lost| lost.noticed_at).max() {
        let records = gaps.iter().map(|lost| lost.gap.records).fold(0, u64::saturating_add);
        let found = format!(
            "{records} records could not be read, the last noticed {newest}: requests may be in nobody's usage"
        );
        findings.care(
            "journal",
            found,
            "check the disks that hold journals; `GET /api/v1/nodes/journal-gaps` lists them",
        );
    }
}

/// What nodes that are gone had begun and not counted. Silence where there are none.
async fn uncounted(store: &Store, findings: &mut Findings) {
    let nodes = store.node_list().await.unwrap_or_default();
    for node in nodes.iter().filter(|node| node.written_off_at.is_none()) {
        let Some(Uncounted { at_least, at_most, since, .. }) = node.uncounted else { continue };
        let found = format!(
            "node {} is gone, and {at_least} to {at_most} requests that it began are not counted: usage is complete up to \
             {since} only",
            node.name
        );
        let advice = "start it again with its journal directory; where its disk is lost, `tollgate nodes write-off`";
        findings.care("usage", found, advice);
    }
}

/// Who writes answers to questions about the documentation. Silence where nobody is to.
async fn docs_model(settings: &Settings, store: &Store, now: Timestamp, findings: &mut Findings) {
    const ABOUT: &str = "docs.model";
    let Some(by) = &settings.docs.model else { return };
    let advice = "until then questions are answered with the pages' own words";
    match store.model_get(by.model.as_str()).await {
        Ok(model) if Route::ChatCompletions.serves(model.kind) => {}
        Ok(model) => {
            let found = format!("{} is of the kind {}, and a chat model is needed", by.model, model.kind.as_str());
            return findings.fault(ABOUT, found, format!("name a chat model: {advice}"));
        }
        Err(error) => {
            return findings.fault(
                ABOUT,
                format!("{}: {error}", by.model),
                format!("name a model that there is: {advice}"),
            );
        }
    }
    match store.account_get(&by.account).await.map(|account| account.standing(now)) {
        Ok(Standing::Good) => findings.well(ABOUT, format!("{} answers for account {}", by.model, by.account)),
        Ok(Standing::PlanRequired) => {
            let found = format!("account {} has no paid plan", by.account);
            findings.fault("docs.account", found, format!("give it one: {advice}"));
        }
        Ok(Standing::Suspended) => {
            let found = format!("account {} is suspended", by.account);
            findings.fault("docs.account", found, format!("name another: {advice}"));
        }
        Err(error) => {
            let found = format!("{}: {error}", by.account);
            findings.fault("docs.account", found, format!("name an account that there is: {advice}"));
        }
    }
}

async fn upstreams(store: &Store, key: &MasterKey, world: &World, findings: &mut Findings) {
    let base = match store.keyring_base().await {
        Ok(base) => base,
        Err(error) => {
            findings.fault("upstreams", error.to_string(), "look at the database server's log");
            return;
        }
    };
    if base.upstreams.is_empty() {
        findings.care("upstreams", "there are none", "`tollgate upstreams add NAME --base-url URL` adds one");
    }
    for sealed in base.upstreams {
        let upstream = sealed.upstream;
        let about = format!("upstream {}", upstream.name);
        if !upstream.enabled {
            findings.care(
                about,
                "is disabled",
                format!("`tollgate upstreams edit {} --enable` lets requests go there", upstream.name),
            );
            continue;
        }
        let credential = match sealed.credential.map(|sealed| key.open(&sealed, &upstream.id.to_string())).transpose() {
            Ok(credential) => credential,
            Err(error) => {
                let advice = format!("set it anew: `tollgate upstreams edit {} --credential-file FILE`", upstream.name);
                findings.fault(about, error.to_string(), advice);
                continue;
            }
        };
        let wanted: Vec<&str> = base
            .models
            .iter()
            .flat_map(|model| &model.served_by)
            .filter(|server| server.upstream_no == upstream.no)
            .map(|server| server.model.as_str())
            .collect();
        let url = upstream.base_url.as_str().to_owned();
        let engine = upstream.engine;
        let begun = Instant::now();
        let asked = tokio::task::spawn_blocking(move || ask(&url, engine, credential.as_ref())).await;
        let Ok(answer) = asked else { continue };
        upstream_finding(&about, answer, &wanted, begun.elapsed(), world.now(), findings);
    }
}

/// An upstream's answer to "which models have you?".
pub struct UpstreamAnswer {
    /// The HTTP status.
    pub status: u16,
    date: Option<Timestamp>,
    /// The ids of its list, where its body is one.
    pub models: Option<Vec<String>>,
}

/// Asks an upstream for its models, within fixed limits; follows no redirect. An error never holds the credential.
pub fn ask(base_url: &str, engine: Engine, credential: Option<&SecretText>) -> Result<UpstreamAnswer, String> {
    let mut request = http::Request::get(format!("{base_url}/models"));
    if let Some(credential) = credential {
        request = match engine {
            Engine::Anthropic => {
                request.header("x-api-key", credential.expose()).header("anthropic-version", "2023-06-01")
            }
            _ => request.header(http::header::AUTHORIZATION, format!("Bearer {}", credential.expose())),
        };
    }
    let request = request.body(()).map_err(|_| "its credential cannot be sent in a header".to_owned())?;
    let response = agent(CONNECT_TIME, ANSWER_TIME).run(request).map_err(|error| error.to_string())?;
    let (parts, mut body) = response.into_parts();
    let date = parts.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp().into());
    let text = body.with_config().limit(MOST_ANSWER_BYTES).read_to_string().unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let names =
        |list: &Vec<Value>| list.iter().filter_map(|model| Some(model.get("id")?.as_str()?.to_owned())).collect();
    Ok(UpstreamAnswer {
        status: parts.status.as_u16(),
        date,
        models: body.get("data").and_then(Value::as_array).map(names),
    })
}

fn upstream_finding(
    about: &str,
    answer: Result<UpstreamAnswer, String>,
    wanted: &[&str],
    took: Duration,
    now: Timestamp,
    findings: &mut Findings,
) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let advice = "start it, correct its address (`tollgate upstreams edit`), or let this machine reach it";
            findings.fault(about, format!("does not answer: {error}"), advice);
            return;
        }
    };
    match (answer.status, &answer.models) {
        (401 | 403, _) => {
            let advice = "give it a valid credential: `tollgate upstreams edit NAME --credential-file FILE`";
            findings.fault(about, format!("refuses our credential with status {}", answer.status), advice);
        }
        (500.., _) => {
            let found = format!("answers GET models with status {}", answer.status);
            findings.fault(about, found, "look at that server's log");
        }
        (200, Some(models)) => {
            let missing: Vec<&str> =
                wanted.iter().copied().filter(|wanted| !models.iter().any(|model| model == wanted)).collect();
            if missing.is_empty() {
                findings.well(about, format!("answers in {} ms and has its models", took.as_millis()));
            } else {
                let found = format!("answers, but does not list {}", missing.join(", "));
                let advice = "load that model there, or correct its name: `tollgate models edit MODEL --served-by …`";
                findings.care(about, found, advice);
            }
        }
        (status, _) => {
            let found = format!("answers, but lists no models (status {status})");
            findings.care(about, found, "nothing, if it is a server without GET models; else correct its base URL");
        }
    }
    // The header is cut to seconds, and travelled as long as the answer took.
    if let Some(date) = answer.date {
        let skew = Duration::from_millis((date.as_millis() - now.as_millis()).unsigned_abs());
        if skew > MOST_SKEW + took + Duration::from_secs(1) {
            let found = format!("its clock and ours are {} s apart", skew.as_secs());
            findings.care(format!("{about}, clock"), found, "let NTP set both clocks");
        }
    }
}

fn open_files(findings: &mut Findings) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(most) if most < LEAST_OPEN_FILES => {
            let found = format!("at most {most}");
            findings.care("open files", found, "raise the hard limit (LimitNOFILE= of systemd, ulimit -Hn) to 65536");
        }
        Some(most) => findings.well("open files", format!("up to {most}")),
        None => findings.well("open files", "without limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(answer: Result<UpstreamAnswer, String>, wanted: &[&str]) -> Vec<(Verdict, String)> {
        let mut findings = Findings::default();
        let now = Timestamp::from_millis(1_000_000_000);
        upstream_finding("upstream u", answer, wanted, Duration::ZERO, now, &mut findings);
        findings.0.into_iter().map(|finding| (finding.verdict, finding.found)).collect()
    }
    fn answer(status: u16, models: Option<&[&str]>) -> Result<UpstreamAnswer, String> {
        let models = models.map(|models| models.iter().map(|&model| model.to_owned()).collect());
        Ok(UpstreamAnswer { status, date: None, models })
    }

    #[test]
    fn an_upstream_is_judged_by_its_list_of_models() {
        let word = |findings: Vec<(Verdict, String)>| findings[0].0;
        assert_eq!(word(verdict(answer(200, Some(&["a", "b"])), &["a"])), Verdict::Well);
        assert_eq!(word(verdict(answer(200, Some(&["b"])), &["a"])), Verdict::Care);
        assert_eq!(word(verdict(answer(404, None), &["a"])), Verdict::Care);
        assert_eq!(word(verdict(answer(401, None), &["a"])), Verdict::Fault);
        assert_eq!(word(verdict(answer(503, None), &["a"])), Verdict::Fault);
        assert_eq!(word(verdict(Err("connection refused".to_owned()), &["a"])), Verdict::Fault);
    }

    #[test]
    fn clocks_that_are_apart_are_said() {
        let date = Some(Timestamp::from_millis(1_000_060_000));
        let apart = verdict(Ok(UpstreamAnswer { status: 200, date, models: Some(Vec::new()) }), &[]);
        assert_eq!(apart[1], (Verdict::Care, "its clock and ours are 60 s apart".to_owned()));
    }

    #[test]
    fn a_disk_is_measured_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        assert!(flush_time(directory.path()).unwrap() < Duration::from_secs(60));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
