//! What the management plane can do, free of HTTP.
//!
//! Each function takes who asks and what is wanted, asks [`Principal`](crate::principal::Principal)
//! whether that is allowed, and calls the store. Pages, API and the binary use the same functions.

mod accounts;
mod catalog;
mod confirm;
mod documentation;
mod keys;
mod leaks;
mod members;
mod nodes;
mod oidc;
pub(crate) mod outgoing;
mod overview;
mod passwords;
mod seeds;
mod sessions;
mod throttle;
mod tokens;
mod trial;
mod upstream_test;
mod usage;
mod webhooks;

use std::{ops::Deref, sync::Arc};

use tollgate_core::{
    seal::MasterKey,
    secret::{Pepper, Prefix},
};
use tollgate_store::{Store, StoreError};

pub use accounts::{
    AccountChange, AccountInput, MembershipChange, MembershipInput, PlanChange, PlanInput, UserChange, UserInput,
};
pub(crate) use catalog::price_schema;
pub use catalog::{ModelChange, ModelInput, ServedByInput, UpstreamChange, UpstreamInput, catalog_apply};
pub use confirm::{Confirmed, Effective, EffectiveNode};
pub use documentation::{
    DocsModel, DocsOptions, DocsWriting, Documentation, NotWritten, Outcome, docs_directory_check,
};
pub use keys::{Grace, KeyChange, KeyInput, KeyShown, LONGEST_GRACE, RotateInput};
pub(crate) use keys::{grace_of, origins_schema, permission_schema};
pub(crate) use leaks::{AlertOutcome, GithubRefusal, GithubSigned, GitlabRefusal, RefusedAs};
pub use leaks::{LeakFigures, LeakInput, LeakOptions, LeakOutcome, MOST_REPORTED};
pub use members::{INVITATION_LIFE, InvitationInput, InvitationShown, MemberChange, Newcomer, invitation_path};
pub use nodes::WrittenOff;
pub use oidc::{OIDC_WAIT, OidcBegun, OidcCallback, OidcGroup, OidcOptions, OidcProblem, oidc_issuer_check};
pub use overview::Glance;
pub use passwords::{LONGEST_PASSWORD, PasswordProblem, SHORTEST_PASSWORD, password_check};
pub use seeds::{bootstrap_operator_token, issue_key, sign_in_link, sign_in_path};
pub use sessions::{SIGN_IN_LINK_LIFE, Session, Visitor};
pub use tokens::{TokenInput, TokenShown};
pub use trial::{LONGEST_TRIAL, TrialAnswer};
pub use upstream_test::{UpstreamTest, Verdict};
pub use usage::{
    LatencyAnswer, OverviewInput, UsageAnswer, UsageChart, UsageChoices, UsageCosts, UsageInput, UsageLines, UsageOf,
    UsageOverview, UsagePart, UsageSeries,
};
pub(crate) use usage::{tokens, zone_by_name};
pub use webhooks::{AttemptAnswer, WebhookChange, WebhookInput, WebhookRotateInput, WebhookShown};

use crate::ManageOptions;

/// The longest `Idempotency-Key`, in bytes.
const LONGEST_IDEMPOTENCY_KEY: usize = 255;

fn check_idempotency_key(text: Option<&str>) -> Result<(), ServiceError> {
    match text {
        Some(text) if !(1..=LONGEST_IDEMPOTENCY_KEY).contains(&text.len()) => {
            Err(ServiceError::invalid("Idempotency-Key", "an Idempotency-Key has 1 to 255 characters"))
        }
        _ => Ok(()),
    }
}

/// The services of a deployment. Cheap to clone.
#[derive(Clone)]
pub struct Services(Arc<Inner>);

/// What all services share.
pub struct Inner {
    options: ManageOptions,
    key_pepper: Pepper,
    token_pepper: Pepper,
    session_pepper: Pepper,
    token_prefix: Prefix,
    session_prefix: Prefix,
    passwords: passwords::Passwords,
    oidc: Option<oidc::Oidc>,
    leaks: leaks::Leaks,
}

impl Services {
    /// From the deployment's options.
    #[must_use]
    pub fn new(options: ManageOptions) -> Self {
        Self(Arc::new(Inner {
            key_pepper: options.master_key.key_pepper(),
            token_pepper: options.master_key.token_pepper(),
            session_pepper: options.master_key.session_pepper(),
            token_prefix: options.prefix.for_access_tokens(),
            session_prefix: options.prefix.for_sessions(),
            passwords: passwords::Passwords::new(options.master_key.password_pepper(), options.world.clone()),
            oidc: options.sign_in.oidc.clone().map(oidc::Oidc::new),
            leaks: leaks::Leaks::new(&options.leaks),
            options,
        }))
    }
    pub(crate) fn store(&self) -> &Store {
        &self.0.options.store
    }
    fn master_key(&self) -> &MasterKey {
        &self.0.options.master_key
    }
}
impl Deref for Services {
    type Target = ManageOptions;
    fn deref(&self) -> &ManageOptions {
        &self.0.options
    }
}

/// What kind of thing was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// An account.
    Account,
    /// A key.
    Key,
    /// A model.
    Model,
    /// An upstream.
    Upstream,
    /// A plan.
    Plan,
    /// A user.
    User,
    /// An access token.
    Token,
    /// A session.
    Session,
    /// A member of an account.
    Member,
    /// An invitation into an account.
    Invitation,
    /// An endpoint that notices are posted to.
    Webhook,
    /// A notice on its way to one.
    Delivery,
    /// A running process, or one that is gone.
    Node,
    /// Anything else.
    Thing,
}

impl Noun {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Key => "key",
            Self::Model => "model",
            Self::Upstream => "upstream",
            Self::Plan => "plan",
            Self::User => "user",
            Self::Token => "access token",
            Self::Session => "session",
            Self::Member => "member",
            Self::Invitation => "invitation",
            Self::Webhook => "webhook",
            Self::Delivery => "delivery",
            Self::Node => "node",
            Self::Thing => "thing",
        }
    }
}

/// What a caller of the services treats differently. `problem` gives each its HTTP.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Nobody is signed in.
    #[error("sign in first")]
    Unauthenticated,
    /// The token or session is none, or not any more.
    #[error("the access token is not valid")]
    InvalidToken,
    /// A key for inference was presented.
    #[error("keys do not manage")]
    KeyPresented,
    /// A browser sent it from another site.
    #[error("sent from another site")]
    CrossSite,
    /// The caller's role does not allow it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such thing for this caller.
    #[error("there is no such {}", .0.as_str())]
    NotFound(Noun),
    /// The input is wrong.
    #[error("{message}")]
    Invalid {
        /// Which field or parameter.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// Named in the interface, not enforced by anything yet.
    #[error("{0} is not supported yet")]
    NotSupportedYet(&'static str),
    /// The same `Idempotency-Key` made this before.
    #[error("already created as {0}")]
    AlreadyCreated(String),
    /// It was changed since the caller read it.
    #[error("changed in the meantime")]
    VersionConflict,
    /// Its name is taken.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// Something uses it.
    #[error("in use: {0}")]
    InUse(String),
    /// Its state does not allow it.
    #[error("not possible: {0}")]
    State(&'static str),
    /// Sign-in or a password was tried too often.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When one may try again.
        retry_after: std::time::Duration,
    },
    /// The account has no running paid plan.
    #[error("a paid plan is required")]
    PlanRequired,
    /// The account is suspended.
    #[error("the account is suspended")]
    Suspended,
    /// The body is not JSON by its own account.
    #[error("the body is to be sent as application/json")]
    UnsupportedMediaType,
    /// The body is over the limit.
    #[error("the body is too large")]
    TooLarge,
    /// The body did not come in time.
    #[error("the body did not come in time")]
    TooSlow,
    /// Something that this needs does not work at this moment.
    #[error("{0}")]
    NotNow(&'static str),
    /// The store cannot be reached.
    #[error("the store is unavailable")]
    Unavailable(#[source] StoreError),
    /// A bug or damage.
    #[error("internal error")]
    Internal(#[source] StoreError),
}

impl ServiceError {
    /// An input that is wrong.
    pub(crate) fn invalid(field: &str, message: impl ToString) -> Self {
        Self::Invalid { field: field.to_owned(), message: message.to_string() }
    }
    /// Maps the store's errors of a list: what it cannot read there is the cursor.
    pub(crate) fn of_list(error: StoreError) -> Self {
        match error {
            StoreError::State(why) => Self::invalid("cursor", why),
            error => error.into(),
        }
    }
    /// Maps the store's errors, where "not found" is about a thing of this kind.
    pub(crate) fn of(noun: Noun) -> impl Fn(StoreError) -> Self {
        move |error| match error {
            StoreError::NotFound => Self::NotFound(noun),
            other => Self::from(other),
        }
    }
}
impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound(Noun::Thing),
            StoreError::VersionConflict => Self::VersionConflict,
            StoreError::Exists(what) => Self::Exists(what),
            StoreError::AlreadyCreated(id) => Self::AlreadyCreated(id),
            StoreError::InUse(by) => Self::InUse(by),
            StoreError::Unknown { kind, name } => {
                let field = match kind {
                    "model" => "models",
                    other => other,
                };
                Self::invalid(field, format_args!("there is no {kind} {name:?}"))
            }
            StoreError::State(why) => Self::State(why),
            StoreError::PlanRequired => Self::PlanRequired,
            StoreError::Suspended => Self::Suspended,
            error @ StoreError::Unavailable(_) => Self::Unavailable(error),
            error @ StoreError::Failed(_) => Self::Internal(error),
        }
    }
}
