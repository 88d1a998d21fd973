//! A key's row, and how its life is written in it.

use std::{fmt::Display, str::FromStr};

use tollgate_core::{
    Key, KeyStatus, No, Permission, Timestamp, User,
    key::{Exposure, KeyAuth, KeyBlock, KeyState},
    leak::{KeyLeak, LeakSource},
    name::{Label, ModelName},
    origin::Origins,
    secret::KeyHash,
};

use crate::{
    Result, StoreEngine, StoreError, accounts,
    engine::{Columns, Row},
    value::parsed,
};

const UNREADABLE: &str = "a stored key cannot be read";

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
        _ => Err(unreadable()),
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

/// Between the keys of one text, and between the parts of a key: no name, number or origin holds them.
pub(crate) const KEY_SEPARATOR: char = '\u{1e}';
const PART_SEPARATOR: char = '\u{1f}';

/// A key as the data plane holds it, as one text that [`key_auth_of`] reads. A million keys are read at a start, and each
/// value of a row that is handed over costs more than to write it into a text and to read it from there. A state counts as
/// `disabled` while the creator is out; `*` stands for all models.
pub(crate) fn auth_text(engine: StoreEngine) -> String {
    let (hash, previous_hash) = (engine.hex("k.hash"), engine.hex("k.previous_hash"));
    format!(
        "concat_ws('{PART_SEPARATOR}', k.no, k.public_id, k.account_no, {hash}, COALESCE({previous_hash}, ''),
            COALESCE(CAST(k.previous_until AS TEXT), ''), COALESCE(CAST(k.expires_at AS TEXT), ''),
            CASE WHEN k.state = 'active' AND {} <> 0 THEN 'disabled' ELSE k.state END,
            CASE WHEN k.all_models = 1 THEN '*' ELSE COALESCE((SELECT string_agg(CAST(p.model_no AS TEXT), ',')
                FROM key_models p JOIN models m ON m.no = p.model_no
                WHERE p.key_no = k.no AND m.removed_at IS NULL), '') END,
            k.allowed_origins)",
        creator_is_out!()
    )
}
pub(crate) const AUTH_FROM: &str = "FROM keys k LEFT JOIN users u ON u.no = k.created_by";

pub(crate) fn key_auth_of(text: &str) -> Result<KeyAuth> {
    let mut parts = Parts(text.split(PART_SEPARATOR));
    let (no, public_id, account) = (No::new(parts.parsed()?), parts.parsed()?, No::new(parts.parsed()?));
    let hash = hash_of(parts.next()?)?.ok_or_else(unreadable)?;
    let (previous_hash, previous_until) = (hash_of(parts.next()?)?, parts.instant()?);
    let previous = previous_hash.zip(previous_until);
    let expires_at = parts.instant()?;
    let status = match parts.next()? {
        "active" => KeyStatus::Active,
        "disabled" => KeyStatus::Disabled,
        "revoked" => KeyStatus::Revoked,
        "leaked" => KeyStatus::Leaked,
        _ => return Err(unreadable()),
    };
    let models = match parts.next()? {
        "*" => None,
        numbers => {
            let numbers = numbers.split(',').filter(|number| !number.is_empty());
            let mut models = numbers.map(|number| parsed(number).map(No::new)).collect::<Result<Vec<_>>>()?;
            models.sort_unstable_by_key(|no| no.get());
            Some(models)
        }
    };
    let allowed_origins = parts.parsed()?;
    Ok(KeyAuth { no, public_id, account, hash, previous, status, expires_at, models, allowed_origins })
}

/// What is left of a key's text.
struct Parts<'t>(std::str::Split<'t, char>);

impl<'t> Parts<'t> {
    fn next(&mut self) -> Result<&'t str> {
        self.0.next().ok_or_else(unreadable)
    }
    fn parsed<T: FromStr<Err: Display>>(&mut self) -> Result<T> {
        parsed(self.next()?)
    }
    fn instant(&mut self) -> Result<Option<Timestamp>> {
        match self.next()? {
            "" => Ok(None),
            ms => parsed(ms).map(Timestamp::from_millis).map(Some),
        }
    }
}

fn hash_of(text: &str) -> Result<Option<KeyHash>> {
    let mut hash = [0; 32];
    if text.is_empty() {
        return Ok(None);
    }
    let length = base16ct::mixed::decode(text, &mut hash).map_err(|_| unreadable())?.len();
    if length == hash.len() { Ok(Some(KeyHash::from_bytes(hash))) } else { Err(unreadable()) }
}

fn unreadable() -> StoreError {
    StoreError::Failed(UNREADABLE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parts: [&str; 10]) -> String {
        parts.join("\u{1f}")
    }

    #[test]
    fn a_key_of_the_data_plane_is_read_from_its_text_or_not_at_all() {
        let (hash, id) = ("0F".repeat(32), "0123456789ab");
        let plain = ["7", id, "3", &hash, "", "", "", "active", "*", ""];
        let key = key_auth_of(&text(plain)).unwrap();
        assert_eq!((key.no.get(), key.account.get(), key.hash), (7, 3, KeyHash::from_bytes([15; 32])));
        assert_eq!((key.previous, key.expires_at, key.status, key.models), (None, None, KeyStatus::Active, None));
        // A host may hold a semicolon.
        let other = ["8", id, "3", &hash, &hash, "5", "9", "leaked", "12,4", "https://a;b.example"];
        let key = key_auth_of(&text(other)).unwrap();
        assert_eq!(key.previous, Some((KeyHash::from_bytes([15; 32]), Timestamp::from_millis(5))));
        assert_eq!((key.expires_at, key.status), (Some(Timestamp::from_millis(9)), KeyStatus::Leaked));
        assert_eq!(key.models.unwrap().iter().map(|no| no.get()).collect::<Vec<_>>(), [4, 12]);
        for (part, wrong) in
            [(0, "x"), (1, "short"), (3, ""), (3, "0f"), (4, "zz"), (6, "soon"), (7, "well"), (8, "4,x")]
        {
            let mut parts = plain;
            parts[part] = wrong;
            assert!(key_auth_of(&text(parts)).is_err(), "{part} {wrong}");
        }
        assert!(key_auth_of("7").is_err());
    }
}
