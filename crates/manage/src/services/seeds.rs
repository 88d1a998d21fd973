//! What the binary does on the store itself, with no server and nobody signed in: whoever can read the
//! store's files or address is the operator anyway.

use tollgate_core::{
    Account, Actor, Id, Key, Permission, User, World,
    name::Label,
    seal::MasterKey,
    secret::{PlainKey, Prefix},
};
use tollgate_store::{Store, accounts::NewToken, keys::NewKey};

use super::{KeyShown, SIGN_IN_LINK_LIFE, ServiceError};

const NOT_MADE: ServiceError = ServiceError::State("a key could not be made");

/// Makes a new access token of the operator, seeding a new store first. For `tollgate bootstrap` and the demo.
///
/// # Errors
/// When the store fails.
pub async fn bootstrap_operator_token(
    store: &Store,
    master_key: &MasterKey,
    prefix: &Prefix,
    world: &World,
) -> Result<PlainKey, ServiceError> {
    let seeded = store.seed().await?;
    let plain = PlainKey::mint(&prefix.for_access_tokens(), world);
    let presented = plain.presented().map_err(|_| NOT_MADE)?;
    let new = NewToken {
        user: seeded.operator,
        account: None,
        name: "bootstrap".parse::<Label>().map_err(|error| ServiceError::invalid("name", error))?,
        public_id: presented.id(),
        hash: master_key.token_pepper().hash(&presented),
        expires_at: None,
    };
    store.token_create(&Actor::system("bootstrap"), new).await?;
    Ok(plain)
}

/// Makes a one-time sign-in link for a user; [`sign_in_path`] says where it leads.
///
/// # Errors
/// When the store fails.
pub async fn sign_in_link(
    store: &Store,
    master_key: &MasterKey,
    prefix: &Prefix,
    world: &World,
    actor: &Actor,
    user: Id<User>,
) -> Result<PlainKey, ServiceError> {
    let plain = PlainKey::mint(&prefix.for_sessions(), world);
    let presented = plain.presented().map_err(|_| NOT_MADE)?;
    let hash = master_key.session_pepper().hash(&presented);
    store.link_create(actor, user, presented.id(), hash, world.now().plus(SIGN_IN_LINK_LIFE)).await?;
    Ok(plain)
}

/// The path of a sign-in link: `/sign-in/<token>`. A secret as long as it has not been used.
#[must_use]
pub fn sign_in_path(link: &PlainKey) -> String {
    format!("/sign-in/{}", link.expose())
}

/// Makes a key for the program itself. For the demo.
///
/// # Errors
/// No paid plan, an unknown model, or when the store fails.
#[expect(clippy::too_many_arguments, reason = "four of them are the deployment, four the key")]
pub async fn issue_key(
    store: &Store,
    master_key: &MasterKey,
    prefix: &Prefix,
    world: &World,
    actor: &Actor,
    account: Id<Account>,
    name: Label,
    permission: Permission,
) -> Result<KeyShown, ServiceError> {
    let plain = PlainKey::mint(prefix, world);
    let presented = plain.presented().map_err(|_| NOT_MADE)?;
    let new = NewKey {
        account,
        prefix: presented.prefix(),
        public_id: presented.id(),
        hash: master_key.key_pepper().hash(&presented),
        name,
        permission,
        allowed_origins: Default::default(),
        expires_at: None,
        note: None,
        created_by: None,
        idempotency_key: None,
    };
    // Nobody waits for this key on another node: what it gives spreads by itself.
    let key: Key = store.key_create(actor, new).await?.value;
    Ok(KeyShown { plain, key })
}
