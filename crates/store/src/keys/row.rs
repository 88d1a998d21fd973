//! A key's row, and how its life is written in it.

use tollgate_core::{
    Key, KeyStatus, Permission, Timestamp, User,
    key::{Exposure, KeyAuth, KeyBlock, KeyState},
    leak::{KeyLeak, LeakSource},
    name::{Label, ModelName},
    origin::Origins,
};

use crate::{
    Result, StoreError, accounts,
    engine::{Columns, Row},
    value::parsed,
};

/// Of a word that no state has.
const UNREADABLE: &str = "a key's state cannot be read";

/// Whether the key's creator may not have keys there now: 1 it is disabled, 2 it is neither a member nor an operator.
macro_rules! creator_is_out {
    () => {
        "CAST(CASE WHEN k.created_by IS NULL THEN 0 WHEN u.disabled_at IS NOT NULL THEN 1 WHEN u.operator = 1 THEN 0
         WHEN EXISTS (SELECT 1 FROM memberships b WHERE b.user_no = k.created_by AND b.account_no = k.account_no) THEN 0
         ELSE 2 END AS BIGINT)"
    };
}
/// The same as a condition on a key alone, for lists.
pub(crate) const CREATOR_IS_OUT: &str = "(k.created_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users c
    WHERE c.no = k.created_by AND c.disabled_at IS NULL AND (c.operator = 1 OR EXISTS (SELECT 1 FROM memberships b
        WHERE b.user_no = c.no AND b.account_no = k.account_no))))";

/// What [`key_of`] reads. Names of models hold no comma.
pub(crate) const COLUMNS: &str = concat!(
    creator_is_out!(),
    ", a.no, a.suspended_at, q.paid, a.plan_until,
    k.no, k.id, k.prefix, k.public_id, a.id, k.name, k.all_models,
    (SELECT string_agg(m.name, ',' ORDER BY m.name) FROM key_models p JOIN models m ON m.no = p.model_no
     WHERE p.key_no = k.no AND m.removed_at IS NULL),
    k.allowed_origins, COALESCE(e.browser_requests, 0), e.last_at, e.last_origin, k.state, k.state_at, k.found_at, k.expires_at, k.created_at, u.id, u.name, s.last_used_at, k.note,
    k.previous_until, k.leak_at, k.found_at, k.leak_source, k.leak_reports, k.version"
);
pub(crate) const FROM: &str = "FROM keys k JOIN accounts a ON a.no = k.account_no LEFT JOIN plans q ON q.no = a.plan_no
    LEFT JOIN users u ON u.no = k.created_by LEFT JOIN key_usage s ON s.key_no = k.no
    LEFT JOIN key_exposure e ON e.key_no = k.no";

/// The key in a row that was read at `now`.
pub(crate) fn key_of(row: &Row, now: Timestamp) -> Result<Key> {
    let mut columns = row.columns();
    let columns = &mut columns;
    let blocked_by = match columns.next::<i64>()? {
        0 => KeyBlock::of_account(accounts::read_account_auth(columns)?.standing(now)),
        out => {
            accounts::read_account_auth(columns)?;
            Some(if out == 1 { KeyBlock::CreatorDisabled } else { KeyBlock::CreatorRemoved })
        }
    };
    Ok(Key {
        blocked_by,
        no: columns.next()?,
        id: columns.next()?,
        prefix: columns.next()?,
        public_id: columns.next()?,
        account: columns.next()?,
        name: columns.next()?,
        permission: permission(columns)?,
        allowed_origins: origins(columns)?,
        exposure: Exposure {
            browser_requests: columns.next()?,
            last_at: columns.next()?,
            last_origin: columns.next()?,
        },
        state: state(columns)?,
        expires_at: columns.next()?,
        created_at: columns.next()?,
        created_by: creator(columns)?,
        last_used_at: columns.next()?,
        note: columns.next()?,
        rotated_until: columns.next()?,
        leak: read_leak(columns)?,
        version: columns.next()?,
    })
}

/// From `leak_at`, `found_at`, `leak_source`, `leak_reports`.
pub(crate) fn read_leak(columns: &mut Columns<'_>) -> Result<Option<KeyLeak>> {
    let (at, found_at): (Option<Timestamp>, Option<String>) = (columns.next()?, columns.next()?);
    let (source, reports): (Option<LeakSource>, u64) = (columns.next()?, columns.next()?);
    Ok(at.zip(source).map(|(at, source)| KeyLeak { at, found_at, source, reports }))
}

fn permission(columns: &mut Columns<'_>) -> Result<Permission> {
    let (all, names): (bool, Option<String>) = (columns.next()?, columns.next()?);
    if all {
        return Ok(Permission::All);
    }
    let names = names.unwrap_or_default();
    let names = names.split(',').filter(|name| !name.is_empty()).map(parsed::<ModelName>);
    names.collect::<Result<_>>().map(Permission::Models)
}

fn origins(columns: &mut Columns<'_>) -> Result<Origins> {
    parsed(&columns.next::<String>()?)
}

fn creator(columns: &mut Columns<'_>) -> Result<Option<(tollgate_core::Id<User>, Label)>> {
    let (id, name): (Option<_>, Option<_>) = (columns.next()?, columns.next()?);
    Ok(id.zip(name))
}

pub(crate) fn state(columns: &mut Columns<'_>) -> Result<KeyState> {
    let (word, at, found_at): (String, Option<Timestamp>, Option<String>) =
        (columns.next()?, columns.next()?, columns.next()?);
    let at = at.unwrap_or_default();
    match word.as_str() {
        "active" => Ok(KeyState::Active),
        "disabled" => Ok(KeyState::Disabled),
        "revoked" => Ok(KeyState::Revoked { at }),
        "leaked" => Ok(KeyState::Leaked { at, found_at }),
        _ => Err(StoreError::Failed(UNREADABLE.into())),
    }
}

/// The word and the instant of a state, as stored.
pub(crate) fn state_parts(state: &KeyState) -> (&'static str, Option<Timestamp>) {
    match state {
        KeyState::Active => ("active", None),
        KeyState::Disabled => ("disabled", None),
        KeyState::Revoked { at } => ("revoked", Some(*at)),
        KeyState::Leaked { at, .. } => ("leaked", Some(*at)),
    }
}

/// What [`key_auth_of`] reads. As few columns as will do, since a million keys are read at a start: a state counts as
/// `disabled` while the creator is out, and no list of models stands for all of them.
pub(crate) const AUTH_COLUMNS: &str = concat!(
    "k.no, k.public_id, k.account_no, k.hash, k.previous_hash, k.previous_until, k.expires_at,
    CASE WHEN k.state = 'active' AND ",
    creator_is_out!(),
    " <> 0 THEN 'disabled' ELSE k.state END, k.allowed_origins,
    CASE WHEN k.all_models = 1 THEN NULL
         ELSE COALESCE((SELECT string_agg(CAST(p.model_no AS TEXT), ',') FROM key_models p JOIN models m ON m.no = p.model_no
               WHERE p.key_no = k.no AND m.removed_at IS NULL), '') END"
);
pub(crate) const AUTH_FROM: &str = "FROM keys k LEFT JOIN users u ON u.no = k.created_by";

pub(crate) fn key_auth_of(columns: &mut Columns<'_>) -> Result<KeyAuth> {
    let (no, public_id, account, hash) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    let (previous_hash, previous_until): (Option<_>, Option<_>) = (columns.next()?, columns.next()?);
    let previous = previous_hash.zip(previous_until);
    let expires_at = columns.next()?;
    let status = match columns.next::<String>()?.as_str() {
        "active" => KeyStatus::Active,
        "disabled" => KeyStatus::Disabled,
        "revoked" => KeyStatus::Revoked,
        "leaked" => KeyStatus::Leaked,
        _ => return Err(StoreError::Failed(UNREADABLE.into())),
    };
    let allowed_origins = origins(columns)?;
    let numbers: Option<String> = columns.next()?;
    let models = numbers.map(|numbers| {
        let numbers = numbers.split(',').filter(|number| !number.is_empty());
        let mut models =
            numbers.map(|number| parsed(number).map(tollgate_core::No::new)).collect::<Result<Vec<_>>>()?;
        models.sort_unstable_by_key(|no| no.get());
        Ok::<_, StoreError>(models)
    });
    let models = models.transpose()?;
    Ok(KeyAuth { no, public_id, account, hash, previous, status, expires_at, models, allowed_origins })
}
