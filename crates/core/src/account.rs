//! Accounts, plans, users and roles: who may do what in the management plane.
//!
//! [`Role::may`] is the whole matrix of what a member of an account may do; an operator may do
//! everything. A key is not a principal here: it never manages anything.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    id::{Id, No},
    leak::OnLeak,
    name::{Email, Handle, Label},
    time::Timestamp,
};

/// Who pays and who is billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: Id<Account>,
    /// Its row number.
    pub no: No<Account>,
    /// Its name in addresses and commands, unique (`default`).
    pub handle: Handle,
    /// Its name for people.
    pub name: Label,
    /// When the operator suspended it.
    pub suspended_at: Option<Timestamp>,
    /// What it subscribed to.
    pub subscription: Option<Subscription>,
    /// What happens to its keys that are found in public.
    pub on_leak: OnLeak,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change; the `etag`.
    pub version: i64,
}

/// An account's plan and until when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The plan's id.
    pub plan: Id<Plan>,
    /// The plan's code.
    pub plan_handle: Handle,
    /// Whether the plan is a paid one.
    pub paid: bool,
    /// When it lapses; absent: it runs on.
    pub until: Option<Timestamp>,
}

impl Account {
    /// Whether the account may make and use keys at `now`.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        let paid_until = self.subscription.as_ref().filter(|subscription| subscription.paid).map(|paid| paid.until);
        AccountAuth {
            no: self.no,
            suspended: self.suspended_at.is_some(),
            paid_until: PaidUntil::from_option(paid_until),
        }
        .standing(now)
    }
}

/// Whether an account's keys work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On a running paid plan.
    Good,
    /// No paid plan, or one that lapsed.
    PlanRequired,
    /// Suspended by the operator.
    Suspended,
}

/// How long a paid plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaidUntil {
    /// There is none.
    Never,
    /// Up to that instant.
    At(Timestamp),
    /// It runs on.
    Forever,
}

impl PaidUntil {
    /// From the end of a paid subscription, where there is one.
    #[must_use]
    pub const fn from_option(until: Option<Option<Timestamp>>) -> Self {
        match until {
            None => Self::Never,
            Some(None) => Self::Forever,
            Some(Some(at)) => Self::At(at),
        }
    }
}

/// An account as the data plane holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountAuth {
    /// Its row number.
    pub no: No<Account>,
    /// Suspended by the operator.
    pub suspended: bool,
    /// Until when its paid plan runs.
    pub paid_until: PaidUntil,
}

impl AccountAuth {
    /// Whether the account's keys work at `now`.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.paid_until {
            _ if self.suspended => Standing::Suspended,
            PaidUntil::Forever => Standing::Good,
            PaidUntil::At(end) if now < end => Standing::Good,
            PaidUntil::At(_) | PaidUntil::Never => Standing::PlanRequired,
        }
    }
}

/// What accounts subscribe to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its id.
    pub id: Id<Plan>,
    /// Its code, unique.
    pub handle: Handle,
    /// Its name for people.
    pub name: Label,
    /// Whether accounts on it may have keys.
    pub paid: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change; the `etag`.
    pub version: i64,
}

/// A person or a program that manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: Id<User>,
    /// Its name for people.
    pub name: Label,
    /// Its mail address, unique where there is one.
    pub email: Option<Email>,
    /// Whether it runs the deployment.
    pub operator: bool,
    /// When it was disabled; a disabled user's tokens and sessions are refused, its keys are dead.
    pub disabled_at: Option<Timestamp>,
    /// Its accounts.
    pub memberships: Vec<Membership>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change; the `etag`.
    pub version: i64,
}

/// A user's part in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The account.
    pub account: Id<Account>,
    /// Its handle.
    pub account_handle: Handle,
    /// What the user may do there.
    pub role: Role,
    /// Who gave the role, and so who takes it away.
    pub source: RoleSource,
}

/// Where a role comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleSource {
    /// An owner or operator gave it: it stays until somebody takes it away.
    Hand,
    /// A group of the identity provider gave it: looked at anew at each sign-in.
    Group,
}

impl RoleSource {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hand => "hand",
            Self::Group => "group",
        }
    }
}
impl std::str::FromStr for RoleSource {
    type Err = RoleSourceError;
    fn from_str(text: &str) -> Result<Self, RoleSourceError> {
        [Self::Hand, Self::Group].into_iter().find(|source| source.as_str() == text).ok_or(RoleSourceError)
    }
}

/// The text is no source of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role comes by hand or by group")]
pub struct RoleSourceError;

/// Asks somebody into an account: whoever opens its link first, unless it names an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: Id<Invitation>,
    /// Into which account.
    pub account: Id<Account>,
    /// The account's handle.
    pub account_handle: Handle,
    /// The account's name for people.
    pub account_name: Label,
    /// As what.
    pub role: Role,
    /// Whom: nobody else may accept it.
    pub email: Option<Email>,
    /// Who made it, by name; absent where the program did.
    pub created_by: Option<Label>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationStatus {
    /// It can be accepted.
    Open,
    /// It was.
    Accepted,
    /// It was taken back.
    Revoked,
    /// It ended by itself.
    Expired,
}

impl Invitation {
    /// What became of it by `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> InvitationStatus {
        match (self.accepted_at, self.revoked_at) {
            (Some(_), _) => InvitationStatus::Accepted,
            (_, Some(_)) => InvitationStatus::Revoked,
            _ if now >= self.expires_at => InvitationStatus::Expired,
            _ => InvitationStatus::Open,
        }
    }
}

impl InvitationStatus {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// What a user may do in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything in the account.
    Owner,
    /// Makes and manages own keys, sees own usage and models.
    Member,
    /// Sees keys and usage, changes nothing.
    Viewer,
}

/// What can be asked of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountAction {
    /// See keys, models and usage.
    Read,
    /// Make a key.
    KeyCreate,
    /// Change or end a key that the user made.
    OwnKeyManage,
    /// Change or end anybody's key.
    AnyKeyManage,
    /// See members and the account's audit log.
    MembersRead,
    /// Invite members, change their roles, take them out.
    MembersManage,
    /// See and change where notices are posted.
    WebhooksManage,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Member, Self::Viewer];

    /// Whether this role allows `action`.
    #[must_use]
    pub const fn may(self, action: AccountAction) -> bool {
        match (self, action) {
            (Self::Owner, _)
            | (_, AccountAction::Read)
            | (Self::Member, AccountAction::KeyCreate | AccountAction::OwnKeyManage) => true,
            (Self::Member | Self::Viewer, _) => false,
        }
    }
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }
}
impl std::str::FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
    }
}

/// The text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is owner, member or viewer")]
pub struct RoleError;

/// A token for the management API and the CLI, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Its id.
    pub id: Id<AccessToken>,
    /// What its owner calls it.
    pub name: Label,
    /// Whose it is.
    pub user: Id<User>,
    /// The one account that it works for; absent only for an operator's token.
    pub account: Option<Id<Account>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Who does something: every write takes one and leaves it in the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub kind: ActorKind,
    /// From where, if over the network.
    pub address: Option<IpAddr>,
}

/// The kinds of actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActorKind {
    /// A user, by a session or by an access token.
    User {
        /// The user.
        user: Id<User>,
        /// The token that it used, where it did.
        token: Option<Id<AccessToken>>,
    },
    /// The program itself: settings applied at start, bootstrap, leak intake.
    System {
        /// Which part of it (`settings`, `bootstrap`, `demo`).
        part: &'static str,
    },
}

impl Actor {
    /// A part of the program itself.
    #[must_use]
    pub const fn system(part: &'static str) -> Self {
        Self { kind: ActorKind::System { part }, address: None }
    }
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id; ids grow with time.
    pub id: Id<AuditEntry>,
    /// When.
    pub at: Timestamp,
    /// Who: `user_…` or `system:<part>`.
    pub actor: String,
    /// The actor's name, for people.
    pub actor_name: Option<Label>,
    /// The access token that was used.
    pub token: Option<Id<AccessToken>>,
    /// From where.
    pub address: Option<String>,
    /// What was done: `key.revoke`, `plan.edit`.
    pub action: String,
    /// The id of what it was done to.
    pub subject: String,
    /// The account that it belongs to, where it does.
    pub account: Option<Id<Account>>,
    /// What changed, as JSON; never a secret.
    pub detail: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_matrix_is_this_table() {
        use AccountAction::{AnyKeyManage, KeyCreate, MembersManage, MembersRead, OwnKeyManage, Read, WebhooksManage};
        let actions = [Read, KeyCreate, OwnKeyManage, AnyKeyManage, MembersRead, MembersManage, WebhooksManage];
        let may = |role: Role| actions.map(|action| role.may(action));
        assert_eq!(may(Role::Owner), [true; 7]);
        assert_eq!(may(Role::Member), [true, true, true, false, false, false, false]);
        assert_eq!(may(Role::Viewer), [true, false, false, false, false, false, false]);
    }

    #[test]
    fn keys_work_only_on_a_running_paid_plan_of_an_account_in_use() {
        let at = Timestamp::from_millis;
        let standing = |suspended, paid_until| AccountAuth { no: No::new(1), suspended, paid_until }.standing(at(10));
        assert_eq!(standing(false, PaidUntil::Forever), Standing::Good);
        assert_eq!(standing(false, PaidUntil::At(at(11))), Standing::Good);
        assert_eq!(standing(false, PaidUntil::At(at(10))), Standing::PlanRequired);
        assert_eq!(standing(false, PaidUntil::Never), Standing::PlanRequired);
        assert_eq!(standing(true, PaidUntil::Forever), Standing::Suspended);
    }
}
