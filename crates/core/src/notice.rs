//! What people are told without having asked: that a key was found in public, that their endpoint was given up.
//!
//! A [`Notice`] is stored and sent as JSON, `{"type": …, "data": …}`: what receivers rely on. Fields are added, never renamed
//! or taken away. It names things by id and hint, and never holds a key.

use serde::{Deserialize, Serialize};

use crate::{
    account::{AccessToken, Account, User},
    id::Id,
    key::Key,
    name::Label,
    time::Timestamp,
};

/// Something that people are to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Notice {
    /// A key was found in public.
    #[serde(rename = "key.leaked")]
    KeyLeaked(KeyLeaked),
    /// An access token was found in public, and was revoked.
    #[serde(rename = "token.leaked")]
    TokenLeaked(TokenLeaked),
    /// An endpoint failed for so long that nothing is sent to it any more.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled(WebhookDisabled),
    /// Somebody tries whether it arrives.
    #[serde(rename = "test")]
    Test(Test),
}

/// A key that was found in public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLeaked {
    /// The account that owns it.
    pub account: Id<Account>,
    /// Its id.
    pub key: Id<Key>,
    /// What its owner calls it.
    pub name: Label,
    /// The beginning of its text, `tg_<id>…`.
    pub hint: String,
    /// Where it was found, as the reporter says: any text, a URL as a rule.
    pub found_at: Option<String>,
    /// By which way it was reported.
    pub source: LeakSource,
    /// When it was reported.
    pub at: Timestamp,
    /// Whether it was disabled. Not where the account's setting is "tell me only", nor where it was dead before.
    pub disabled: bool,
}

/// An access token that was found in public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLeaked {
    /// Whose it is.
    pub user: Id<User>,
    /// The one account that it works for; absent for an operator's token.
    pub account: Option<Id<Account>>,
    /// Its id.
    pub token: Id<AccessToken>,
    /// What its owner calls it.
    pub name: Label,
    /// The beginning of its text.
    pub hint: String,
    /// Where it was found, as the reporter says.
    pub found_at: Option<String>,
    /// By which way it was reported.
    pub source: LeakSource,
    /// When it was reported.
    pub at: Timestamp,
}

/// An endpoint that nothing is sent to any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDisabled {
    /// The account that it belongs to; absent for one of the deployment.
    pub account: Option<Id<Account>>,
    /// Its id.
    pub webhook: Id<Webhook>,
    /// Its name.
    pub name: Label,
    /// Since when every attempt has failed.
    pub failing_since: Timestamp,
    /// When it was disabled.
    pub at: Timestamp,
    /// Why the last attempt failed.
    pub reason: DeliveryProblem,
    /// The status of its answer, where there was one.
    pub status: Option<u16>,
}

/// A try of a way to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// The account that it is about; absent for the deployment.
    pub account: Option<Id<Account>>,
    /// When it was asked for.
    pub at: Timestamp,
}

/// By which way a leak was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakSource {
    /// By anybody who holds it, through `POST /leaks`.
    Public,
    /// By an operator or owner, through the management API (`tollgate scan --report` too).
    Api,
    /// By GitHub's secret scanning as a partner.
    Github,
    /// By a `secret_scanning_alert` of somebody's own repository on GitHub.
    GithubAlert,
    /// By GitLab's secret detection.
    Gitlab,
}

impl LeakSource {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Public, Self::Api, Self::Github, Self::GithubAlert, Self::Gitlab];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Api => "api",
            Self::Github => "github",
            Self::GithubAlert => "github_alert",
            Self::Gitlab => "gitlab",
        }
    }
}
impl std::str::FromStr for LeakSource {
    type Err = LeakSourceError;
    fn from_str(text: &str) -> Result<Self, LeakSourceError> {
        Self::ALL.into_iter().find(|source| source.as_str() == text).ok_or(LeakSourceError)
    }
}

/// Why an attempt to deliver a notice failed, or why there is no further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryProblem {
    /// The receiver answered with a status that says no; for an endpoint a redirection too.
    Status,
    /// The endpoint said that it is gone for good (410).
    Gone,
    /// There was no answer in time.
    TimedOut,
    /// The receiver's name is not known.
    UnknownHost,
    /// No connection came about, or it broke off.
    Unreachable,
    /// The receiver has an address of a private network, and those are not allowed.
    PrivateAddress,
    /// No connection with TLS: the certificate, or the server offers none.
    Tls,
    /// What came back was no answer of this protocol, or too long.
    BadAnswer,
    /// The mail server refused the program's login.
    Login,
    /// The user has no mail address, or is disabled.
    NoAddress,
    /// The endpoint was disabled or removed while this waited.
    Stopped,
    /// The endpoint's secret does not open with this deployment's master key.
    Secret,
    /// It was written by another version of the program, and this one cannot read it.
    Unreadable,
}

impl DeliveryProblem {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Status,
        Self::Gone,
        Self::TimedOut,
        Self::UnknownHost,
        Self::Unreachable,
        Self::PrivateAddress,
        Self::Tls,
        Self::BadAnswer,
        Self::Login,
        Self::NoAddress,
        Self::Stopped,
        Self::Secret,
        Self::Unreadable,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Gone => "gone",
            Self::TimedOut => "timed_out",
            Self::UnknownHost => "unknown_host",
            Self::Unreachable => "unreachable",
            Self::PrivateAddress => "private_address",
            Self::Tls => "tls",
            Self::BadAnswer => "bad_answer",
            Self::Login => "login",
            Self::NoAddress => "no_address",
            Self::Stopped => "stopped",
            Self::Secret => "secret",
            Self::Unreadable => "unreadable",
        }
    }
}
impl std::str::FromStr for DeliveryProblem {
    type Err = DeliveryProblemError;
    fn from_str(text: &str) -> Result<Self, DeliveryProblemError> {
        Self::ALL.into_iter().find(|problem| problem.as_str() == text).ok_or(DeliveryProblemError)
    }
}

/// The text is no reason why a delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reason why a delivery failed")]
pub struct DeliveryProblemError;

/// The text is no way in which leaks are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a way in which leaks are reported")]
pub struct LeakSourceError;

impl Notice {
    /// The word for its kind, as in its JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::KeyLeaked(_) => "key.leaked",
            Self::TokenLeaked(_) => "token.leaked",
            Self::WebhookDisabled(_) => "webhook.disabled",
            Self::Test(_) => "test",
        }
    }
    /// The account whose owners and endpoints are told; absent where it is a matter of the deployment.
    #[must_use]
    pub const fn account(&self) -> Option<Id<Account>> {
        match self {
            Self::KeyLeaked(leaked) => Some(leaked.account),
            Self::TokenLeaked(leaked) => leaked.account,
            Self::WebhookDisabled(disabled) => disabled.account,
            Self::Test(test) => test.account,
        }
    }
    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::KeyLeaked(leaked) => leaked.at,
            Self::TokenLeaked(leaked) => leaked.at,
            Self::WebhookDisabled(disabled) => disabled.at,
            Self::Test(test) => test.at,
        }
    }
}

/// An address that notices are posted to. What is kept of one is the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Webhook {}

/// A notice on its way to one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_a_notice_is_what_receivers_rely_on() {
        let at: Timestamp = "2026-05-04T12:34:56Z".parse().unwrap();
        let leaked = Notice::KeyLeaked(KeyLeaked {
            account: Id::from_parts(1, &[1; 10]),
            key: Id::from_parts(2, &[2; 10]),
            name: "CI <b>".parse().unwrap(),
            hint: "tg_abcdefghijkl…".into(),
            found_at: Some("https://git.example/x#L1".into()),
            source: LeakSource::GithubAlert,
            at,
            disabled: true,
        });
        let json = serde_json::to_string(&leaked).unwrap();
        assert_eq!(
            json,
            r#"{"type":"key.leaked","data":{"account":"acct_00000000000171018101010101010101","key":"key_00000000000272028202020202020202","name":"CI <b>","hint":"tg_abcdefghijkl…","found_at":"https://git.example/x#L1","source":"github_alert","at":"2026-05-04T12:34:56Z","disabled":true}}"#
        );
        let test = Notice::Test(Test { account: None, at });
        assert_eq!(
            serde_json::to_string(&test).unwrap(),
            r#"{"type":"test","data":{"account":null,"at":"2026-05-04T12:34:56Z"}}"#
        );
        for notice in [leaked, test] {
            let json = serde_json::to_value(&notice).unwrap();
            assert_eq!(json["type"], notice.kind());
            assert_eq!(serde_json::from_value::<Notice>(json).unwrap(), notice);
        }
        for problem in DeliveryProblem::ALL {
            assert_eq!(serde_json::to_value(problem).unwrap(), problem.as_str());
            assert_eq!(problem.as_str().parse(), Ok(problem));
        }
        for source in LeakSource::ALL {
            assert_eq!(serde_json::to_value(source).unwrap(), source.as_str());
            assert_eq!(source.as_str().parse(), Ok(source));
        }
    }
}
