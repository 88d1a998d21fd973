//! Invitations into an account: made by an owner, accepted once by whoever opens the link, or by the one they name.
//!
//! Only the hash of a link's text is kept. Accepting uses it up in the transaction that makes the membership.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, Id, No, Role, Timestamp, User,
    account::{ActorKind, Invitation, RoleSource},
    name::{Email, Label},
    secret::{KeyHash, PublicId},
};

use super::{INVITATIONS, NewSession, NewUser, SignInMethod, auth, passwords, sessions, user_no, users};
use crate::{
    Committed, Page, PageRequest, Result, Store, StoreError,
    engine::{Columns, Row},
    value::values,
    write::{Subject, Write},
};

/// Most invitations of an account that wait to be accepted.
const MOST_OPEN: i64 = 1_000;

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Into which account.
    pub account: Id<Account>,
    /// As what.
    pub role: Role,
    /// Whom; absent: whoever opens the link first.
    pub email: Option<Email>,
    /// The public part of its text.
    pub public_id: PublicId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What accepting an invitation gave.
#[derive(Debug, Clone)]
pub struct InvitationAccepted {
    /// The invitation, used up.
    pub invitation: Invitation,
    /// The user who is a member now.
    pub user: Id<User>,
}

const COLUMNS: &str =
    "i.id, a.id, a.handle, a.name, i.role, i.email, u.name, i.created_at, i.expires_at, i.accepted_at,
    i.revoked_at";
const FROM: &str = "FROM invitations i JOIN accounts a ON a.no = i.account_no LEFT JOIN users u ON u.no = i.created_by";

fn read_invitation(columns: &mut Columns<'_>) -> Result<Invitation> {
    Ok(Invitation {
        id: columns.next()?,
        account: columns.next()?,
        account_handle: columns.next()?,
        account_name: columns.next()?,
        role: columns.next()?,
        email: columns.next()?,
        created_by: columns.next()?,
        created_at: columns.next()?,
        expires_at: columns.next()?,
        accepted_at: columns.next()?,
        revoked_at: columns.next()?,
    })
}

impl Store {
    /// Makes an invitation.
    ///
    /// # Errors
    /// [`StoreError::State`] where too many wait already, or when the store fails.
    pub async fn invitation_create(&self, actor: &Actor, new: NewInvitation) -> Result<Invitation> {
        let mut write = self.write(actor).await?;
        let account = auth(&mut write, new.account).await?.no;
        let (id, now) = (write.new_id::<Invitation>(), write.now());
        let sql = "SELECT COUNT(*) FROM invitations
                   WHERE account_no = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2";
        let open: i64 = match write.row(sql, values![account, now]).await? {
            Some(row) => row.columns().next()?,
            None => 0,
        };
        if open >= MOST_OPEN {
            return Err(StoreError::State("too many invitations of this account wait to be accepted: revoke some"));
        }
        let by: Option<No<User>> = match &actor.kind {
            ActorKind::User { user, .. } => Some(user_no(&mut write, *user).await?),
            ActorKind::System { .. } => None,
        };
        write
            .execute(
                "INSERT INTO invitations (id, public_id, hash, account_no, role, email, created_by, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                values![id, &new.public_id, new.hash, account, new.role.as_str(), new.email.as_ref(), by, now, new.expires_at],
            )
            .await?;
        let detail = json!({ "role": new.role, "for_one_address": new.email.is_some(), "expires_at": new.expires_at });
        write.audit("invitation.create", Subject::new(id).of(account), detail).await?;
        let invitation = by_id(&mut write, new.account, id).await?;
        Ok(write.commit(invitation).await?.value)
    }
    /// An account's invitations, newest first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn invitation_list(&self, account: Id<Account>, page: &PageRequest) -> Result<Page<Invitation>> {
        let before = page.after_number(INVITATIONS)?.unwrap_or(i64::MAX);
        let sql = format!("SELECT i.no, {COLUMNS} {FROM} WHERE a.id = $1 AND i.no < $2 ORDER BY i.no DESC LIMIT $3");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![account, before, page.rows()]).await?;
        page.numbered(INVITATIONS, &rows, read_invitation)
    }
    /// Takes an invitation back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::State`] for one that was accepted, or when the store fails.
    pub async fn invitation_revoke(
        &self,
        actor: &Actor,
        account: Id<Account>,
        id: Id<Invitation>,
    ) -> Result<Invitation> {
        let mut write = self.write(actor).await?;
        let mut invitation = by_id(&mut write, account, id).await?;
        if invitation.accepted_at.is_some() {
            return Err(StoreError::State("this invitation was accepted: take the member out instead"));
        }
        if invitation.revoked_at.is_some() {
            return Ok(invitation);
        }
        let now = write.now();
        invitation.revoked_at = Some(now);
        write.execute("UPDATE invitations SET revoked_at = $2 WHERE id = $1", values![id, now]).await?;
        let account = auth(&mut write, account).await?.no;
        write.audit("invitation.revoke", Subject::new(id).of(account), json!({ "role": invitation.role })).await?;
        Ok(write.commit(invitation).await?.value)
    }
    /// The invitation of a presented text, as long as it can be accepted. Uses nothing up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitation_find(&self, public_id: PublicId, hash: KeyHash) -> Result<Option<Invitation>> {
        let sql = format!("SELECT i.hash, {COLUMNS} {FROM} WHERE i.public_id = $1");
        let Some(row) = self.pools().row(AssertSqlSafe(sql), values![&public_id]).await? else { return Ok(None) };
        open_one(&row, hash, self.world().now())
    }
    /// A user who is there accepts an invitation. `None` for one that cannot be accepted any more.
    ///
    /// # Errors
    /// [`StoreError::State`] for a member of the account, or another address than the invited one; or when the store
    /// fails.
    pub async fn invitation_accept(
        &self,
        actor: &Actor,
        public_id: PublicId,
        hash: KeyHash,
        user: Id<User>,
    ) -> Result<Option<Committed<InvitationAccepted>>> {
        let mut write = self.write(actor).await?;
        let Some(mut invitation) = claim(&mut write, public_id, hash).await? else { return Ok(None) };
        let (no, user) = users::read(&mut write, user).await?;
        if user.memberships.iter().any(|membership| membership.account == invitation.account) {
            return Err(StoreError::State("you are a member of this account already"));
        }
        if let Some(invited) = &invitation.email
            && user.email.as_ref().map(users::email_key) != Some(users::email_key(invited))
        {
            return Err(StoreError::State("this invitation is for another mail address than yours"));
        }
        join(&mut write, &mut invitation, no, user.id).await?;
        let accepted = InvitationAccepted { invitation, user: user.id };
        write.commit(accepted).await.map(Some)
    }
    /// A person who is new here accepts an invitation: becomes a user with a password, and is signed in. An invitation
    /// that names an address makes a user of that address, whatever `email` says. `None` for one that cannot be accepted
    /// any more.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for an address that a user has, or when the store fails.
    pub async fn invitation_accept_new(
        &self,
        public_id: PublicId,
        hash: KeyHash,
        (name, email): (Label, Email),
        password: &str,
        session: NewSession,
    ) -> Result<Option<Committed<InvitationAccepted>>> {
        let mut write = self.write(&Actor { address: session.address, ..Actor::system("invitation") }).await?;
        let Some(mut invitation) = claim(&mut write, public_id, hash).await? else { return Ok(None) };
        let email = invitation.email.clone().unwrap_or(email);
        let new = NewUser { name, email: Some(email), operator: false, memberships: Vec::new(), idempotency_key: None };
        let user = users::insert(&mut write, new).await?.id;
        let no = user_no(&mut write, user).await?;
        write.execute("UPDATE users SET email_proven = 0 WHERE no = $1", values![no]).await?;
        passwords::set(&mut write, no, password).await?;
        sessions::open(&mut write, no, user, SignInMethod::Invitation, session).await?;
        join(&mut write, &mut invitation, no, user).await?;
        write.commit(InvitationAccepted { invitation, user }).await.map(Some)
    }
}

fn open_one(row: &Row, hash: KeyHash, now: Timestamp) -> Result<Option<Invitation>> {
    let mut columns = row.columns();
    if columns.next::<KeyHash>()? != hash {
        return Ok(None);
    }
    let invitation = read_invitation(&mut columns)?;
    let open = invitation.accepted_at.is_none() && invitation.revoked_at.is_none() && now < invitation.expires_at;
    Ok(open.then_some(invitation))
}

/// The invitation, if it can be accepted: nobody else can, until this write ends.
async fn claim(write: &mut Write<'_>, public_id: PublicId, hash: KeyHash) -> Result<Option<Invitation>> {
    let sql = format!("SELECT i.hash, {COLUMNS} {FROM} WHERE i.public_id = $1");
    let now = write.now();
    match write.row(AssertSqlSafe(sql), values![&public_id]).await? {
        Some(row) => open_one(&row, hash, now),
        None => Ok(None),
    }
}

async fn join(write: &mut Write<'_>, invitation: &mut Invitation, no: No<User>, user: Id<User>) -> Result<()> {
    let (account, now) = (auth(write, invitation.account).await?.no, write.now());
    invitation.accepted_at = Some(now);
    write.execute("UPDATE invitations SET accepted_at = $2 WHERE id = $1", values![invitation.id, now]).await?;
    users::member_set(write, no, account, Some((invitation.role, RoleSource::Hand))).await?;
    // Keys that it made here when it was a member before live again.
    users::touch_keys(write, no, false, &[account]).await?;
    let detail = json!({ "user": user, "role": invitation.role });
    write.audit("invitation.accept", Subject::new(invitation.id).of(account), detail).await
}

async fn by_id(write: &mut Write<'_>, account: Id<Account>, id: Id<Invitation>) -> Result<Invitation> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE i.id = $1 AND a.id = $2");
    let row = write.row(AssertSqlSafe(sql), values![id, account]).await?.ok_or(StoreError::NotFound)?;
    read_invitation(&mut row.columns())
}
