//! Reports of keys and access tokens that were found in public: what dies by them, in one transaction, and a log of them.
//!
//! A report counts only with the hash of the whole secret, so whoever sends one has it: possession is authority. What a
//! report ends goes the way of every restriction, through the change log. Repeats change nothing but the log's counts.

mod log;

use std::collections::{HashMap, HashSet};

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, ChangeKind, Id, Key, KeyStatus, No, Seq, Timestamp, User,
    account::AccessToken,
    key::KeyState,
    leak::{KeyLeak, LeakEffect, LeakSource, OnLeak, Place, PlaceKind},
    name::Label,
    notice::{KeyLeaked, Notice, TokenLeaked},
    secret::{KeyHash, KeyHint, Prefix, PublicId},
};

pub(crate) use self::log::settle;
pub use self::log::{LeakLine, MOST_PLACES};
use self::log::{Log, Noted};
use crate::{
    Committed, Result, Store,
    bulk::{self, Insert, placeholders},
    changes::clock,
    engine::Tx,
    keys::row::{read_leak, state, state_parts},
    notices,
    value::{Value, values},
    write::{Subject, Write},
};

/// Most public ids of one statement.
const MOST_IDS: usize = 500;

/// That a secret was found. It has the form of a key and its checksum, nothing else is known of it.
#[derive(Debug, Clone)]
pub struct LeakReport {
    /// What may be said of it.
    pub hint: KeyHint,
    /// Its hash, should it be a key.
    pub key_hash: KeyHash,
    /// Its hash, should it be an access token.
    pub token_hash: KeyHash,
    /// Where it was found, if that was said.
    pub place: Option<Place>,
    /// What sort of place that is.
    pub kind: PlaceKind,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeakSubject {
    /// A key, by its text of today or of before its last rotation.
    Key(Id<Key>),
    /// An access token.
    Token(Id<AccessToken>),
}

/// What became of something that was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakFate {
    /// What it was.
    pub subject: LeakSubject,
    /// Whose it is; absent for an operator's token.
    pub account: Option<Id<Account>>,
    /// What this report did.
    pub effect: LeakEffect,
    /// How it stands now.
    pub status: KeyStatus,
}

impl Store {
    /// Which of these are known here: what they are and whose, in the order of the reports. Reads only.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leak_subjects(
        &self,
        reports: &[LeakReport],
    ) -> Result<Vec<Option<(LeakSubject, Option<Id<Account>>)>>> {
        let mut tx = self.pools().snapshot().await?;
        let known = Known::read(&mut tx, reports).await?;
        Ok(reports.iter().map(|report| known.subject(report)).collect())
    }

    /// Takes reports in: in one transaction, everything dies that has to, or its account is noted to be told, and the log
    /// has the reports. What became of each, in their order; `None`: not of this deployment.
    ///
    /// The text from before a key's last rotation counts for the whole key while it works: where that one lay, in a
    /// file's history or a program's settings, the next one is likely to lie too, and an owner can bring the key back.
    ///
    /// # Errors
    /// When the store fails: then nothing changed.
    pub async fn leaks_take(
        &self,
        actor: &Actor,
        source: LeakSource,
        reports: &[LeakReport],
    ) -> Result<Committed<Vec<Option<LeakFate>>>> {
        // Most reports are of nothing: those do not make anybody wait for the head of the change log.
        let known = self.leak_subjects(reports).await?;
        let at: Vec<usize> = (0..reports.len()).filter(|at| known.get(*at).is_some_and(Option::is_some)).collect();
        let mut fates = vec![None; reports.len()];
        if at.is_empty() {
            return Ok(Committed { value: fates, seq: Seq(0), members: Vec::new(), since: clock::now() });
        }
        let some: Vec<LeakReport> = at.iter().filter_map(|at| reports.get(*at).cloned()).collect();
        let mut write = self.write(actor).await?;
        let mut known = Known::read(&mut write, &some).await?;
        let mut log = Log::read(&mut write, known.subjects()).await?;
        let now = write.now();
        for (at, report) in at.iter().zip(&some) {
            if let Some(fate) = fates.get_mut(*at) {
                *fate = known.take(report, source, now, &mut log);
            }
        }
        known.write(&mut write, source).await?;
        log.write(&mut write).await?;
        notices::append(&mut write, &known.notices(source, now)).await?;
        if known.ended() {
            write.commit(fates).await
        } else {
            // What is dead already may not be so everywhere yet: the wait is for that too.
            write.commit_unchanged(fates).await
        }
    }

    /// How many keys of the account were found in public and are switched off for it, and how many go on working though
    /// they were found.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leaked_keys(&self, account: Id<Account>) -> Result<(u64, u64)> {
        let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN state = 'leaked' THEN 1 ELSE 0 END), 0) AS BIGINT),
                          CAST(COALESCE(SUM(CASE WHEN state = 'active' THEN 1 ELSE 0 END), 0) AS BIGINT)
                   FROM keys WHERE account_no = (SELECT no FROM accounts WHERE id = $1) AND leak_at IS NOT NULL";
        let row = self.pools().row(sql, values![account]).await?;
        row.map_or(Ok((0, 0)), |row| {
            let mut columns = row.columns();
            Ok((columns.next()?, columns.next()?))
        })
    }
    /// What was reported of a key, the latest first; at most a few dozen lines.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leak_log(&self, key: Id<Key>) -> Result<Vec<LeakLine>> {
        log::lines(self, key).await
    }
}

/// The keys and tokens that reports may mean, by public id.
struct Known {
    keys: HashMap<PublicId, KnownKey>,
    tokens: HashMap<PublicId, KnownToken>,
}

struct KnownKey {
    no: No<Key>,
    id: Id<Key>,
    hint: KeyHint,
    name: Label,
    hash: KeyHash,
    previous: Option<(KeyHash, Timestamp)>,
    state: KeyState,
    expires_at: Option<Timestamp>,
    leak: Option<KeyLeak>,
    account_no: No<Account>,
    account: Id<Account>,
    on_leak: OnLeak,
    /// The row is to be written.
    touched: bool,
    /// What this transaction did to it, and where the report said that it lay.
    did: Option<(LeakEffect, Option<Place>, PlaceKind)>,
    /// People are to be told.
    tells: bool,
}

struct KnownToken {
    no: No<AccessToken>,
    id: Id<AccessToken>,
    name: Label,
    hash: KeyHash,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    account: Option<(No<Account>, Id<Account>)>,
    user: Id<User>,
    did: Option<(Option<Place>, PlaceKind, KeyHint)>,
}

impl Known {
    async fn read(tx: &mut Tx, reports: &[LeakReport]) -> Result<Self> {
        let ids: HashSet<PublicId> = reports.iter().map(|report| report.hint.id).collect();
        let ids: Vec<PublicId> = ids.into_iter().collect();
        let (mut keys, mut tokens) = (HashMap::new(), HashMap::new());
        for ids in ids.chunks(MOST_IDS) {
            let within = placeholders(1, ids.len());
            let values = || ids.iter().map(Value::from).collect();
            let sql = format!(
                "SELECT k.no, k.id, k.prefix, k.public_id, k.name, k.hash, k.previous_hash, k.previous_until, k.state,
                        k.state_at, k.found_at, k.expires_at, k.leak_at, k.found_at, k.leak_source, k.leak_reports, a.no, a.id,
                        a.on_leak
                 FROM keys k JOIN accounts a ON a.no = k.account_no WHERE k.public_id IN ({within})"
            );
            for row in tx.rows(AssertSqlSafe(sql), values()).await? {
                let key = KnownKey::of(&row)?;
                keys.insert(key.hint.id, key);
            }
            let sql = format!(
                "SELECT t.public_id, t.no, t.id, t.name, t.hash, t.expires_at, t.revoked_at, u.id, a.no, a.id
                 FROM access_tokens t JOIN users u ON u.no = t.user_no LEFT JOIN accounts a ON a.no = t.account_no WHERE t.public_id IN ({within})"
            );
            for row in tx.rows(AssertSqlSafe(sql), values()).await? {
                let mut columns = row.columns();
                let public_id = columns.next()?;
                let (no, id, name, hash) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
                let (expires_at, revoked_at, user) = (columns.next()?, columns.next()?, columns.next()?);
                let (account_no, account): (Option<_>, Option<_>) = (columns.next()?, columns.next()?);
                let account = account_no.zip(account);
                let token = KnownToken { no, id, name, hash, expires_at, revoked_at, account, user, did: None };
                tokens.insert(public_id, token);
            }
        }
        Ok(Self { keys, tokens })
    }

    /// What a report means, and whose it is.
    fn subject(&self, report: &LeakReport) -> Option<(LeakSubject, Option<Id<Account>>)> {
        let key = self.keys.get(&report.hint.id).filter(|key| key.is_meant(report));
        let token = self.tokens.get(&report.hint.id).filter(|token| token.hash == report.token_hash);
        match (key, token) {
            (Some(key), _) => Some((LeakSubject::Key(key.id), Some(key.account))),
            (None, Some(token)) => Some((LeakSubject::Token(token.id), token.account.map(|(_, id)| id))),
            (None, None) => None,
        }
    }
    fn subjects(&self) -> Vec<String> {
        let keys = self.keys.values().map(|key| key.id.to_string());
        keys.chain(self.tokens.values().map(|token| token.id.to_string())).collect()
    }
    /// Takes one report in, in memory.
    fn take(&mut self, report: &LeakReport, source: LeakSource, now: Timestamp, log: &mut Log) -> Option<LeakFate> {
        let (subject, account) = self.subject(report)?;
        let (effect, status) = match subject {
            LeakSubject::Key(_) => self.keys.get_mut(&report.hint.id)?.take(report, source, now, log),
            LeakSubject::Token(_) => self.tokens.get_mut(&report.hint.id)?.take(report, source, now, log),
        };
        Some(LeakFate { subject, account, effect, status })
    }
    /// Whether anything died.
    fn ended(&self) -> bool {
        let key = |key: &KnownKey| matches!(key.did, Some((LeakEffect::Ended, ..)));
        self.keys.values().any(key) || self.tokens.values().any(|token| token.did.is_some())
    }
    /// What people are to be told.
    fn notices(&self, source: LeakSource, at: Timestamp) -> Vec<Notice> {
        let found_at = |place: &Option<Place>| place.as_ref().map(|place| place.as_str().to_owned());
        let keys = self.keys.values().filter(|key| key.tells).filter_map(|key| {
            let (effect, place, _) = key.did.as_ref()?;
            Some(Notice::KeyLeaked(KeyLeaked {
                account: key.account,
                key: key.id,
                name: key.name.clone(),
                hint: key.hint.to_string(),
                found_at: found_at(place),
                source,
                at,
                disabled: *effect == LeakEffect::Ended,
            }))
        });
        let tokens = self.tokens.values().filter_map(|token| {
            let (place, _, hint) = token.did.as_ref()?;
            Some(Notice::TokenLeaked(TokenLeaked {
                user: token.user,
                account: token.account.map(|(_, id)| id),
                token: token.id,
                name: token.name.clone(),
                hint: hint.to_string(),
                found_at: found_at(place),
                source,
                at,
            }))
        });
        keys.chain(tokens).collect()
    }
    /// Writes what was taken in.
    async fn write(&self, write: &mut Write<'_>, source: LeakSource) -> Result<()> {
        let (mut rows, mut audits) = (Vec::new(), [Vec::new(), Vec::new()]);
        for key in self.keys.values().filter(|key| key.touched) {
            let (word, at) = state_parts(&key.state);
            let place = key.leak.as_ref().and_then(|leak| leak.found_at.as_deref());
            let ended = matches!(key.did, Some((LeakEffect::Ended, ..)));
            let (first, by) =
                (key.leak.as_ref().map(|leak| leak.at), key.leak.as_ref().map(|leak| leak.source.as_str()));
            let reports = key.leak.as_ref().map_or(0, |leak| leak.reports);
            rows.push(values![key.no, word, at, place, first, by, reports, i64::from(ended)]);
            if ended {
                write.change(ChangeKind::Key(key.no));
            }
            if let Some((effect, place, kind)) = &key.did {
                let list = if *effect == LeakEffect::Ended { &mut audits[0] } else { &mut audits[1] };
                let detail = json!({
                    "name": key.name, "source": source, "found_at": place.as_ref().map(Place::as_str),
                    "kind": kind.as_str(), "to": word,
                });
                list.push((Subject::new(key.id).of(key.account_no), detail));
            }
        }
        let update = Insert {
            head: "UPDATE keys SET state = v.column2, state_at = v.column3, found_at = v.column4, leak_at = v.column5,
                       leak_source = v.column6, leak_reports = v.column7, version = version + v.column8 FROM (VALUES ",
            columns: 8,
            tail: ") AS v WHERE keys.no = v.column1",
        };
        bulk::execute(write, &update, rows).await?;
        let [ended, told] = audits;
        write.audit_many("key.leak", ended).await?;
        write.audit_many("key.leak_told", told).await?;
        let (mut rows, mut audits) = (Vec::new(), Vec::new());
        let now = write.now();
        for token in self.tokens.values() {
            let Some((place, kind, _)) = &token.did else { continue };
            rows.push(values![token.no, now]);
            let subject = Subject::new(token.id);
            let subject = match token.account {
                Some((account, _)) => subject.of(account),
                None => subject,
            };
            let place = place.as_ref().map(Place::as_str);
            let detail = json!({ "name": token.name, "source": source, "found_at": place, "kind": kind.as_str() });
            audits.push((subject, detail));
        }
        let update = Insert {
            head: "UPDATE access_tokens SET revoked_at = v.column2 FROM (VALUES ",
            columns: 2,
            tail: ") AS v WHERE access_tokens.no = v.column1",
        };
        bulk::execute(write, &update, rows).await?;
        write.audit_many("token.leak", audits).await
    }
}

impl KnownKey {
    fn of(row: &crate::engine::Row) -> Result<Self> {
        let mut columns = row.columns();
        let columns = &mut columns;
        let (no, id) = (columns.next()?, columns.next()?);
        let hint = KeyHint { prefix: columns.next::<Prefix>()?, id: columns.next()? };
        let (name, hash) = (columns.next()?, columns.next()?);
        let (previous_hash, previous_until): (Option<_>, Option<_>) = (columns.next()?, columns.next()?);
        Ok(Self {
            no,
            id,
            hint,
            name,
            hash,
            previous: previous_hash.zip(previous_until),
            state: state(columns)?,
            expires_at: columns.next()?,
            leak: read_leak(columns)?,
            account_no: columns.next()?,
            account: columns.next()?,
            on_leak: columns.next()?,
            touched: false,
            did: None,
            tells: false,
        })
    }
    fn is_meant(&self, report: &LeakReport) -> bool {
        self.hash == report.key_hash || self.previous.is_some_and(|(previous, _)| previous == report.key_hash)
    }
    fn take(
        &mut self,
        report: &LeakReport,
        source: LeakSource,
        now: Timestamp,
        log: &mut Log,
    ) -> (LeakEffect, KeyStatus) {
        let is_old = self.hash != report.key_hash;
        let effect = if is_old && self.previous.is_none_or(|(_, until)| until <= now) {
            // A text that a rotation has ended says nothing of the one that lives.
            LeakEffect::Unchanged
        } else {
            self.found(report, source, now, log)
        };
        (effect, self.state.status(self.expires_at, now))
    }
    fn found(&mut self, report: &LeakReport, source: LeakSource, now: Timestamp, log: &mut Log) -> LeakEffect {
        let subject = self.id.to_string();
        let noted = log.note(&subject, source, report, now);
        let could_live = matches!(self.state, KeyState::Active | KeyState::Disabled);
        if noted == Noted::Settled || matches!(self.state, KeyState::Revoked { .. }) {
            return LeakEffect::Unchanged;
        }
        let found_at = report.place.as_ref().map(|place| place.as_str().to_owned());
        let leak = self.leak.get_or_insert(KeyLeak { at: now, found_at, source, reports: 0 });
        leak.reports = leak.reports.saturating_add(1);
        self.touched = true;
        let effect = match self.on_leak {
            _ if !could_live => LeakEffect::Unchanged,
            OnLeak::Disable => LeakEffect::Ended,
            OnLeak::Tell if noted == Noted::New => LeakEffect::Told,
            OnLeak::Tell => LeakEffect::Unchanged,
        };
        if effect == LeakEffect::Ended {
            self.state = KeyState::Leaked { at: now, found_at: leak.found_at.clone() };
        }
        if effect != LeakEffect::Unchanged {
            self.tells |= effect == LeakEffect::Ended || log.may_tell(&subject, now);
            self.did = Some((effect, report.place.clone(), report.kind));
            if self.tells {
                log.told(&subject, source, report, now);
            }
        }
        effect
    }
}

impl KnownToken {
    /// A token manages, and nobody's programs call models with it: it dies also where an account wants to be told only.
    fn take(
        &mut self,
        report: &LeakReport,
        source: LeakSource,
        now: Timestamp,
        log: &mut Log,
    ) -> (LeakEffect, KeyStatus) {
        log.note(&self.id.to_string(), source, report, now);
        if self.revoked_at.is_some() {
            return (LeakEffect::Unchanged, KeyStatus::Revoked);
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return (LeakEffect::Unchanged, KeyStatus::Expired);
        }
        self.revoked_at = Some(now);
        self.did = Some((report.place.clone(), report.kind, report.hint));
        (LeakEffect::Ended, KeyStatus::Revoked)
    }
}
