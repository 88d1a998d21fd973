//! Access tokens for this API and the CLI: made, listed, revoked, recognised.

use serde::Deserialize;
use tollgate_core::{
    Id, Timestamp, User,
    account::AccessToken,
    name::Label,
    secret::{KeyHash, PlainKey, Presented},
};
use tollgate_store::accounts::{Identity, NewToken};
use utoipa::ToSchema;

use super::{Noun, ServiceError, Services, check_idempotency_key};
use crate::principal::{Principal, account_by_name};

/// An access token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenInput {
    /// What you call it.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "laptop")]
    pub name: Label,
    /// When it ends by itself. A token made with a token does not outlive it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    pub expires_at: Option<Timestamp>,
    /// The one account that it works for, by name or id. A customer's token is always bound to one; an operator's may
    /// go without, and then it does everything.
    #[serde(default)]
    #[schema(example = "default")]
    pub account: Option<String>,
    /// Operators: whose it is to be; else the caller's own.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    pub user: Option<Id<User>>,
}

/// An access token at the one moment at which its text is there.
#[derive(Debug)]
pub struct TokenShown {
    /// Its text, to be shown once.
    pub plain: PlainKey,
    /// What is kept of it.
    pub token: AccessToken,
}

impl Services {
    pub(super) fn key_hash(&self, presented: &Presented<'_>) -> KeyHash {
        self.0.key_pepper.hash(presented)
    }
    pub(super) fn token_hash(&self, presented: &Presented<'_>) -> KeyHash {
        self.0.token_pepper.hash(presented)
    }
    pub(super) fn session_hash(&self, presented: &Presented<'_>) -> KeyHash {
        self.0.session_pepper.hash(presented)
    }

    /// Whom an access token stands for.
    ///
    /// # Errors
    /// [`ServiceError::KeyPresented`], [`ServiceError::InvalidToken`], or when the store fails.
    pub async fn token_identify(&self, text: &[u8]) -> Result<Identity, ServiceError> {
        let presented = Presented::parse(text).map_err(|_| ServiceError::InvalidToken)?;
        if presented.prefix() == self.prefix {
            return Err(ServiceError::KeyPresented);
        }
        // Not compared with today's prefix of tokens: a deployment that changes its prefix keeps its tokens. The hash
        // is of the whole text under the tokens' own pepper, so nothing else passes for one.
        let hash = self.0.token_pepper.hash(&presented);
        self.store().token_identity(presented.id(), hash).await?.ok_or(ServiceError::InvalidToken)
    }

    /// Makes an access token and shows it once.
    ///
    /// # Errors
    /// A wrong input, a caller who may not, a repeated `idempotency_key`, or when the store fails.
    pub async fn token_create(
        &self,
        principal: &Principal,
        input: TokenInput,
        idempotency_key: Option<&str>,
    ) -> Result<TokenShown, ServiceError> {
        check_idempotency_key(idempotency_key)?;
        let owner = match input.user {
            Some(other) if other != principal.user().id => {
                principal.require_operator()?;
                self.store().user_get(other).await.map_err(|error| match error {
                    tollgate_store::StoreError::NotFound => ServiceError::invalid("user", "there is no such user"),
                    error => error.into(),
                })?
            }
            _ => principal.user().clone(),
        };
        let account = self.token_account(principal, &owner, input.account.as_deref()).await?;
        let expires_at = match (input.expires_at, principal.ends_at()) {
            (Some(asked), _) if asked <= self.world.now() => {
                return Err(ServiceError::invalid("expires_at", "expires_at has passed already"));
            }
            (Some(asked), Some(end)) if asked > end => {
                return Err(ServiceError::invalid(
                    "expires_at",
                    "a token does not outlive the one that it is made with",
                ));
            }
            (asked, end) => asked.or(end),
        };
        let plain = PlainKey::mint(&self.0.token_prefix, &self.world);
        let presented = plain.presented().map_err(|_| ServiceError::State("a token could not be made"))?;
        let hash = self.0.token_pepper.hash(&presented);
        let new = NewToken { user: owner.id, account, name: input.name, public_id: presented.id(), hash, expires_at };
        let token = self.store().token_create_once(&principal.actor(), new, idempotency_key).await?;
        Ok(TokenShown { plain, token })
    }

    /// The account that a new token is bound to: never more than its maker and its owner both have.
    async fn token_account(
        &self,
        principal: &Principal,
        owner: &User,
        named: Option<&str>,
    ) -> Result<Option<Id<tollgate_core::Account>>, ServiceError> {
        if named.is_none() && principal.is_operator() && owner.operator {
            return Ok(None);
        }
        let account = if principal.is_operator() {
            let first = owner.memberships.first().map(|first| first.account_handle.as_str());
            let Some(named) = named.or(first) else {
                return Err(ServiceError::invalid("account", "this user belongs to no account"));
            };
            let account = account_by_name(self.store(), named).await.map_err(ServiceError::of(Noun::Account))?;
            if !owner.operator && !owner.memberships.iter().any(|membership| membership.account == account.id) {
                return Err(ServiceError::invalid("account", "this user does not belong to that account"));
            }
            account
        } else {
            principal.access(self, named).await?.account
        };
        Ok(Some(account.id))
    }

    /// Whose tokens a call is about.
    fn token_owner(principal: &Principal, user: Option<Id<User>>) -> Result<Id<User>, ServiceError> {
        match user {
            Some(other) if other != principal.user().id => principal.require_operator().map(|()| other),
            _ => Ok(principal.user().id),
        }
    }

    /// The caller's access tokens, newest first; an operator may name another user. A token that is bound to an account
    /// sees those of that account only.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn token_list(
        &self,
        principal: &Principal,
        user: Option<Id<User>>,
    ) -> Result<Vec<AccessToken>, ServiceError> {
        let mut tokens = self.store().token_list(Self::token_owner(principal, user)?).await?;
        if let Some(bound) = principal.bound_to() {
            tokens.retain(|token| token.account == Some(bound));
        }
        Ok(tokens)
    }

    /// Revokes one of the caller's access tokens; an operator may name another user.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], or when the store fails.
    pub async fn token_revoke(
        &self,
        principal: &Principal,
        user: Option<Id<User>>,
        id: Id<AccessToken>,
    ) -> Result<AccessToken, ServiceError> {
        let owner = Self::token_owner(principal, user)?;
        if principal.bound_to().is_some() && !self.token_list(principal, user).await?.iter().any(|token| token.id == id)
        {
            return Err(ServiceError::NotFound(Noun::Token));
        }
        self.store().token_revoke(&principal.actor(), owner, id).await.map_err(ServiceError::of(Noun::Token))
    }
}
