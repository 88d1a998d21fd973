//! Identities: whom an identity provider calls what, and the roles that its groups give.
//!
//! A person is named by issuer and subject, never by a mail address: an address only links an identity to a user once,
//! and only where the provider has verified it and somebody other than its owner vouched for it here.

use serde_json::json;
use tollgate_core::{
    Actor, Id, No, Role, User,
    account::{ActorKind, RoleSource},
    name::{Email, Handle, Label},
};

use super::{NewSession, NewUser, SignInMethod, sessions, users};
use crate::{
    Committed, Result, Store, StoreError,
    value::{storable, values},
    write::{Difference, Subject, Write},
};

/// A person whom an identity provider has identified.
#[derive(Debug, Clone)]
pub struct IdentitySignIn {
    /// The provider.
    pub issuer: String,
    /// What it calls the person.
    pub subject: String,
    /// What a user that is made is called.
    pub name: Label,
    /// The person's mail address, verified by the provider.
    pub email: Option<Email>,
    /// Whether somebody who is unknown here becomes a user.
    pub create_user: bool,
    /// The roles that the person's groups give, at most one an account. `None`: groups give no roles here, and those
    /// that are there stay.
    pub roles: Option<Vec<(Handle, Role)>>,
    /// Whether a group makes the person an operator.
    pub operator: bool,
}

/// What became of it.
#[derive(Debug)]
pub enum IdentityOutcome {
    /// Signed in as this user.
    SignedIn(Committed<Id<User>>),
    /// The user is disabled.
    Disabled,
    /// Nobody here is known by that identity, and none is made.
    Unknown,
    /// A user has that address who gave it itself: it is not proven to be the same person.
    AddressTaken,
}

impl Store {
    /// Signs a person in whom an identity provider has identified: finds, links or makes the user, applies its groups'
    /// roles and opens a session, in one transaction.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn identity_sign_in(&self, person: IdentitySignIn, session: NewSession) -> Result<IdentityOutcome> {
        for text in [&person.issuer, &person.subject] {
            storable(Some(text))?;
        }
        let address = session.address;
        let mut write = self.write(&Actor { address, ..Actor::system("oidc") }).await?;
        let user = match known(&mut write, &person).await? {
            Some(user) => user,
            None => match link(&mut write, &person).await? {
                Ok(user) => user,
                Err(outcome) => return Ok(outcome),
            },
        };
        let (no, user) = users::read(&mut write, user).await?;
        if user.disabled_at.is_some() {
            return Ok(IdentityOutcome::Disabled);
        }
        apply_groups(&mut write, no, &user, &person).await?;
        write.act_as(Actor { kind: ActorKind::User { user: user.id, token: None }, address });
        sessions::open(&mut write, no, user.id, SignInMethod::Oidc, session).await?;
        Ok(IdentityOutcome::SignedIn(write.commit(user.id).await?))
    }
    /// The providers that know a user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn identity_issuers(&self, user: Id<User>) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT n.issuer FROM identities n JOIN users u ON u.no = n.user_no
                   WHERE u.id = $1 ORDER BY n.issuer LIMIT 10";
        let rows = self.pools().rows(sql, values![user]).await?;
        rows.iter().map(|row| row.columns().next()).collect()
    }
}

async fn known(write: &mut Write<'_>, person: &IdentitySignIn) -> Result<Option<Id<User>>> {
    let sql = "SELECT u.id FROM identities n JOIN users u ON u.no = n.user_no WHERE n.issuer = $1 AND n.subject = $2";
    let row = write.row(sql, values![person.issuer.as_str(), person.subject.as_str()]).await?;
    row.map(|row| row.columns().next()).transpose()
}

/// Links the identity to the user of its address, or to a new one.
async fn link(
    write: &mut Write<'_>,
    person: &IdentitySignIn,
) -> Result<std::result::Result<Id<User>, IdentityOutcome>> {
    let of_address = match &person.email {
        Some(email) => {
            let sql = "SELECT id, no FROM users WHERE email_key = $1";
            write.row(sql, values![users::email_key(email)]).await?
        }
        None => None,
    };
    let user = match of_address {
        Some(row) => {
            let mut columns = row.columns();
            let (user, no): (Id<User>, No<User>) = (columns.next()?, columns.next()?);
            if !users::provenance(write, no).await?.0 {
                return Ok(Err(IdentityOutcome::AddressTaken));
            }
            user
        }
        None if person.create_user => {
            let new = NewUser {
                name: person.name.clone(),
                email: person.email.clone(),
                operator: false,
                memberships: Vec::new(),
                idempotency_key: None,
            };
            users::insert(write, new).await?.id
        }
        None => return Ok(Err(IdentityOutcome::Unknown)),
    };
    let (no, now) = (super::user_no(write, user).await?, write.now());
    let sql = "INSERT INTO identities (issuer, subject, user_no, created_at) VALUES ($1, $2, $3, $4)";
    write.execute(sql, values![person.issuer.as_str(), person.subject.as_str(), no, now]).await?;
    let detail = json!({ "issuer": person.issuer, "by_address": person.email.is_some() });
    write.audit("identity.link", Subject::new(user), detail).await?;
    Ok(Ok(user))
}

/// Gives what the groups give and takes back what they gave before; what was given by hand stays as it is.
async fn apply_groups(write: &mut Write<'_>, no: No<User>, user: &User, person: &IdentitySignIn) -> Result<()> {
    let Some(roles) = &person.roles else { return Ok(()) };
    let held = |handle: &Handle| user.memberships.iter().find(|membership| membership.account_handle == *handle);
    let mut wanted: Vec<(Handle, Option<Role>)> = Vec::new();
    for (handle, role) in roles {
        if !is_account(write, handle).await? {
            tracing::warn!(account = %handle, "sign_in.oidc.groups names an account that is not there");
        } else if held(handle).is_none_or(|membership| membership.source == RoleSource::Group) {
            wanted.push((handle.clone(), Some(*role)));
        }
    }
    for membership in user.memberships.iter().filter(|membership| membership.source == RoleSource::Group) {
        if !roles.iter().any(|(handle, _)| *handle == membership.account_handle) {
            wanted.push((membership.account_handle.clone(), None));
        }
    }
    let mut difference = Difference::default();
    let moved = users::set_memberships(write, no, user, &wanted, RoleSource::Group, &mut difference).await?;
    let operating = apply_operator(write, no, user, person.operator, &mut difference).await?;
    if difference.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE users SET version = version + 1 WHERE no = $1";
    write.execute(sql, values![no]).await?;
    users::touch_keys(write, no, operating, &moved).await?;
    write.audit("user.edit", Subject::new(user.id), difference.into_detail()).await
}

/// Whether the user became an operator or ceased to be one.
async fn apply_operator(
    write: &mut Write<'_>,
    no: No<User>,
    user: &User,
    wanted: bool,
    difference: &mut Difference,
) -> Result<bool> {
    let (_, source) = users::provenance(write, no).await?;
    if user.operator == wanted || (user.operator && source == RoleSource::Hand) {
        return Ok(false);
    }
    if user.operator {
        match users::another_operator(write, no).await {
            Ok(()) => {}
            // A deployment without an operator could be run by nobody.
            Err(StoreError::State(_)) => {
                tracing::warn!(user.id = %user.id, "the last operator stays one, though no group says so any more");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    let sql = "UPDATE users SET operator = $2, operator_source = $3 WHERE no = $1";
    write.execute(sql, values![no, wanted, RoleSource::Group.as_str()]).await?;
    difference.note("operator", json!({ "from": user.operator, "to": wanted, "source": RoleSource::Group }));
    Ok(true)
}

async fn is_account(write: &mut Write<'_>, handle: &Handle) -> Result<bool> {
    Ok(write.row("SELECT no FROM accounts WHERE handle = $1", values![handle]).await?.is_some())
}
