//! The documentation of this deployment as it is now: pages, the operator's folder over them, and the values in them.
//!
//! It is whole in memory and made anew when something in it changed: the folder or the catalogue is looked at with the first
//! request after [`FRESH`], never in between, and by one request at a time. Where the store cannot be asked, what was there
//! before is served on.

mod writing;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tollgate_core::{ModelKind, Timestamp, catalog::Model};
use tollgate_docs::{Docs, Folder, Sources, Values, folder::FolderMark};
use tollgate_store::PageRequest;

pub use writing::{DocsModel, DocsWriting, NotWritten, Outcome};

use super::{
    ServiceError, Services, Visitor,
    throttle::{Rate, Throttle, network},
};

/// How long pages may be older than the catalogue and the folder.
const FRESH: Duration = Duration::from_secs(5);
/// Questions of one address: each costs about a millisecond of a core.
const QUESTIONS: Rate = Rate { burst: 60, every: Duration::from_millis(250) };
/// Searches of one address: one comes with each word that somebody types.
const SEARCHES: Rate = Rate { burst: 200, every: Duration::from_millis(50) };
/// The program's name in pages.
const PRODUCT: &str = "Tollgate";
/// How this deployment is reached where nobody has said so yet.
const NOWHERE: &str = "http://127.0.0.1:8080";

/// `[docs]`: how the documentation is made.
#[derive(Debug, Clone, Default)]
pub struct DocsOptions {
    /// The operator's own pages.
    pub directory: Option<PathBuf>,
    /// Whether pages name the catalogue's models. Anybody can read them.
    pub list_models: bool,
    /// The model that writes answers, where one does.
    pub model: Option<DocsModel>,
}

/// The documentation and what decides when it is made anew. Cheap to clone.
#[derive(Clone)]
pub struct Documentation(Arc<Inner>);

struct Inner {
    options: DocsOptions,
    /// Where people and clients reach this deployment.
    reached: Mutex<Reached>,
    current: ArcSwapOption<Docs>,
    looked: tokio::sync::Mutex<Option<Looked>>,
    questions: Throttle,
    searches: Throttle,
    /// What answers that a model writes share.
    desk: writing::Desk,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reached {
    url: String,
    base_url: String,
}

/// What the current documentation was made of, and when that was looked at.
struct Looked {
    at: Timestamp,
    mark: FolderMark,
    values: Values,
}

impl Documentation {
    /// One that was not made yet.
    #[must_use]
    pub fn new(options: DocsOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            reached: Mutex::new(Reached { url: NOWHERE.to_owned(), base_url: format!("{NOWHERE}/v1") }),
            current: ArcSwapOption::empty(),
            looked: tokio::sync::Mutex::new(None),
            questions: Throttle::new(QUESTIONS),
            searches: Throttle::new(SEARCHES),
            desk: writing::Desk::new(),
        }))
    }
    /// Whether a model writes answers.
    #[must_use]
    pub fn has_model(&self) -> bool {
        self.0.options.model.is_some()
    }
    /// Says where people reach this deployment, and where clients send requests: without a slash at the end, the second
    /// without `/v1`.
    pub fn reached_at(&self, console: &str, inference: &str) {
        let reached = Reached { url: console.to_owned(), base_url: format!("{inference}/v1") };
        *self.0.reached.lock().unwrap_or_else(PoisonError::into_inner) = reached;
    }
    fn reached(&self) -> Reached {
        self.0.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// The documentation, if it was made and its sources need not be looked at yet.
    fn fresh(&self, looked: Option<&Looked>, now: Timestamp) -> Option<Arc<Docs>> {
        // A clock that was set back does not keep old pages.
        let is_fresh = looked.is_some_and(|looked| looked.at <= now && now < looked.at.plus(FRESH));
        self.0.current.load_full().filter(|_| is_fresh)
    }
}

impl Services {
    /// The documentation as it is now.
    ///
    /// # Errors
    /// When there is none yet and none can be made.
    pub async fn docs(&self) -> Result<Arc<Docs>, ServiceError> {
        let documentation = &self.docs;
        let inner = &documentation.0;
        // Somebody else looks at this moment: what was there is new enough.
        let mut looked = match (inner.looked.try_lock(), inner.current.load_full()) {
            (Ok(looked), _) => looked,
            (Err(_), Some(docs)) => return Ok(docs),
            (Err(_), None) => inner.looked.lock().await,
        };
        if let Some(docs) = documentation.fresh(looked.as_ref(), self.world.now()) {
            return Ok(docs);
        }
        let values = match (self.docs_values().await, looked.as_ref()) {
            (Ok(values), _) => values,
            (Err(error), before) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the documentation's list of models is not current"
                );
                before.map_or_else(|| self.values_of(&[]), |before| before.values.clone())
            }
        };
        let directory = inner.options.directory.clone();
        let before = looked.as_ref().map(|looked| (looked.mark.clone(), looked.values.clone()));
        let before = before.filter(|_| inner.current.load().is_some());
        let work = move || renewed(directory.as_deref(), values, before);
        let (mark, values, made) = tokio::task::spawn_blocking(work).await.map_err(|_| FAILED)?;
        if let Some(docs) = made? {
            inner.current.store(Some(Arc::new(docs)));
        }
        *looked = Some(Looked { at: self.world.now(), mark, values });
        inner.current.load_full().ok_or(FAILED)
    }

    /// What pages say of this deployment.
    async fn docs_values(&self) -> Result<Values, ServiceError> {
        if !self.docs.0.options.list_models {
            return Ok(self.values_of(&[]));
        }
        let all = PageRequest { cursor: None, limit: PageRequest::MOST };
        let models = self.store().model_list(&all).await.map_err(ServiceError::of_list)?;
        Ok(self.values_of(&models.data))
    }
    fn values_of(&self, models: &[Model]) -> Values {
        let Reached { url, base_url } = self.docs.reached();
        let served = || models.iter().filter(|model| !model.served_by.is_empty());
        let sample = served().find(|model| model.kind == ModelKind::Chat).or_else(|| served().next());
        Values {
            product: PRODUCT.to_owned(),
            url,
            base_url,
            key_prefix: self.prefix.as_str().to_owned(),
            contact_url: self.contact_url.clone().unwrap_or_default(),
            model: sample.map(|model| model.name.to_string()),
            models: served().map(|model| model.name.to_string()).collect(),
        }
    }

    /// Lets a question through, unless its address asked too many.
    ///
    /// # Errors
    /// [`ServiceError::TooManyAttempts`] with the time after which one more may be asked.
    pub fn docs_question_take(&self, visitor: &Visitor) -> Result<(), ServiceError> {
        take(&self.docs.0.questions, visitor)
    }
    /// The same for a search.
    ///
    /// # Errors
    /// As for a question.
    pub fn docs_search_take(&self, visitor: &Visitor) -> Result<(), ServiceError> {
        take(&self.docs.0.searches, visitor)
    }
}

const FAILED: ServiceError = ServiceError::NotNow("the documentation cannot be made at this moment; the log says why");

fn take(throttle: &Throttle, visitor: &Visitor) -> Result<(), ServiceError> {
    let taken = throttle.take(&visitor.address.map(network));
    taken.map_err(|retry_after| ServiceError::TooManyAttempts { retry_after })
}

/// Reads a directory of the operator's pages: how many there are, and what is left out with the reason.
#[must_use]
pub fn docs_directory_check(directory: &Path) -> (usize, Vec<String>) {
    let folder = Folder::read(directory);
    (folder.pages.len(), folder.faults.iter().map(ToString::to_string).collect())
}

/// Makes the documentation, unless nothing changed.
fn renewed(
    directory: Option<&Path>,
    values: Values,
    before: Option<(FolderMark, Values)>,
) -> (FolderMark, Values, Result<Option<Docs>, ServiceError>) {
    let mark = directory.map(Folder::mark).unwrap_or_default();
    if before.is_some_and(|(old_mark, old_values)| old_mark == mark && old_values == values) {
        return (mark, values, Ok(None));
    }
    let sources = match directory {
        Some(directory) => {
            let folder = Folder::read(directory);
            for fault in &folder.faults {
                tracing::warn!(path = %fault.path.display(), problem = fault.problem, "a page of docs.directory is left out");
            }
            folder.sources()
        }
        None => Sources::built_in(),
    };
    let made = Docs::new(&sources, &values).map(Some).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the documentation cannot be made");
        FAILED
    });
    (mark, values, made)
}
