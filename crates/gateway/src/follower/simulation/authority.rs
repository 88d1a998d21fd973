//! The authority: the store's tables, and one function for each transaction of the store that matters here, named as
//! that is. A call is one transaction under the head's lock.

use std::{collections::BTreeMap, time::Duration};

use tollgate_core::{
    Change, ChangeKind, Id, KeyStatus, Model, ModelKind, No, Seq, Timestamp,
    account::{AccountAuth, PaidUntil},
    change::Node,
    key::KeyAuth,
    lease::{LeaseRow, LeaseState, Standing},
    secret::{KeyHash, PublicId},
};
use tollgate_store::{
    changes::{Grant, Lease, Renewal},
    keyring::{Changed, KeyringBase},
};

use super::{KEYS, Mutant};

/// The authority's wall clock when a run begins.
pub(super) const EPOCH: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(super) fn public_id(key: usize) -> PublicId {
    format!("{key:012}").parse().unwrap()
}
pub(super) fn hash(key: usize) -> KeyHash {
    KeyHash::from_bytes([u8::try_from(key).unwrap(); 32])
}
fn no(key: usize) -> No<tollgate_core::Key> {
    No::new(i64::try_from(key).unwrap() + 1)
}
pub(super) fn model() -> No<Model> {
    No::new(1)
}

/// What waiting processes are told of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    Change,
    Acknowledgement,
}

pub(super) struct Authority {
    mutant: Option<Mutant>,
    changes: Vec<ChangeKind>,
    is_revoked: [bool; KEYS],
    leases: BTreeMap<Id<Node>, LeaseRow>,
    /// Up to where each node was sent the log.
    sent: BTreeMap<Id<Node>, i64>,
    /// What the last transaction tells.
    pub hint: Option<Hint>,
}

impl Authority {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self {
            mutant,
            changes: Vec::new(),
            is_revoked: [false; KEYS],
            leases: BTreeMap::new(),
            sent: BTreeMap::new(),
            hint: None,
        }
    }
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
    fn head(&self) -> i64 {
        i64::try_from(self.changes.len()).unwrap()
    }
    fn held(&mut self, lease: &Lease) -> Option<&mut LeaseRow> {
        let row = self.leases.get_mut(&lease.node)?;
        (row.standing.epoch == lease.epoch && row.state == LeaseState::Active).then_some(row)
    }

    /// `Store::join_fleet`
    pub fn join_fleet(&mut self, node: Id<Node>, length: Duration) -> Lease {
        let before = self.leases.get(&node).map_or(Standing { epoch: 0, grants: -1 }, |row| row.standing);
        let standing = Standing { epoch: before.epoch + 1, grants: before.grants + 1 };
        self.leases.insert(node, LeaseRow { standing, acked: Seq(0), state: LeaseState::Active, length });
        self.sent.insert(node, 0);
        Lease { node, epoch: standing.epoch, cluster: uuid::Uuid::nil(), generation: 1, renewable: true }
    }
    /// `Store::renew_in_fleet`. `is_silent`: what the renewing process has observed of a lease, `Store::expire_silent`.
    pub fn renew_in_fleet(
        &mut self,
        lease: &Lease,
        applied: Seq,
        now: Timestamp,
        mut is_silent: impl FnMut(Id<Node>, &LeaseRow) -> bool,
    ) -> Renewal {
        let head = self.head();
        if self.is(Mutant::Reuse)
            && let Some(row) = self.leases.get_mut(&lease.node)
            && row.state == LeaseState::Expired
        {
            row.state = LeaseState::Active;
            return Renewal::Granted(Grant { changes: blanks(applied.0, head), head: Seq(head), now });
        }
        if applied.0 > head {
            return Renewal::Lost;
        }
        let Some(row) = self.held(lease) else { return Renewal::Lost };
        row.standing.grants += 1;
        row.acked = row.acked.max(applied);
        let mut changes = self.changes_after(applied);
        if self.is(Mutant::Cursor) {
            let sent = self.sent.insert(lease.node, head).unwrap_or(0).max(applied.0);
            changes = [blanks(applied.0, sent), self.changes_after(Seq(sent))].concat();
        }
        for (node, row) in &mut self.leases {
            if row.state == LeaseState::Active && is_silent(*node, row) {
                row.state = LeaseState::Expired;
            }
        }
        self.hint = Some(Hint::Acknowledgement);
        Renewal::Granted(Grant { changes, head: Seq(head), now })
    }
    /// `Store::acknowledge_in_fleet`
    pub fn acknowledge_in_fleet(&mut self, lease: &Lease, applied: Seq) {
        if let Some(row) = self.held(lease) {
            row.acked = row.acked.max(applied);
        }
        self.hint = Some(Hint::Acknowledgement);
    }
    /// `Store::release_in_fleet`
    pub fn release_in_fleet(&mut self, lease: &Lease) {
        if let Some(row) = self.held(lease) {
            row.state = LeaseState::Released;
        }
        self.hint = Some(Hint::Acknowledgement);
    }
    /// `Store::expire`
    pub fn expire(&mut self, node: Id<Node>, standing: Standing) -> bool {
        let is_blind = self.is(Mutant::BlindDrop) || self.is(Mutant::ExpireAck);
        let row = self.leases.get_mut(&node).filter(|row| row.state == LeaseState::Active);
        let Some(row) = row.filter(|row| row.standing == standing || is_blind) else { return false };
        row.state = LeaseState::Expired;
        true
    }
    /// `Store::leases`
    pub fn leases(&self) -> BTreeMap<Id<Node>, LeaseRow> {
        self.leases.clone()
    }
    /// `Store::members`
    pub fn members(&self) -> Vec<(Id<Node>, Standing)> {
        let active = self.leases.iter().filter(|(_, row)| row.state == LeaseState::Active);
        active.map(|(node, row)| (*node, row.standing)).collect()
    }
    /// `Store::key_transition` with `Write::commit` or, of a repeat, `Write::unchanged`
    pub fn key_revoke(&mut self, key: usize) -> (Seq, Vec<(Id<Node>, Standing)>) {
        let is_repeat = std::mem::replace(&mut self.is_revoked[key], true);
        if !is_repeat {
            self.changes.push(ChangeKind::Key(no(key)));
            self.hint = Some(Hint::Change);
        }
        let members = if is_repeat && self.is(Mutant::Repeat) { Vec::new() } else { self.members() };
        (Seq(self.head()), members)
    }

    /// The first `head` entries are about these keys.
    pub fn revoked_within(&self, head: Seq) -> impl Iterator<Item = usize> {
        let entries = self.changes.iter().take(usize::try_from(head.0).unwrap());
        entries.filter_map(|kind| (0..KEYS).find(|key| *kind == ChangeKind::Key(no(*key))))
    }

    /// `Store::changes_after`
    pub fn changes_after(&self, after: Seq) -> Vec<Change> {
        let numbered = (1..).zip(&self.changes).map(|(seq, kind)| Change { seq: Seq(seq), kind: *kind });
        numbered.filter(|change| change.seq > after).collect()
    }
    /// `Store::keyring_base`
    pub fn keyring_base(&self) -> KeyringBase {
        let account = AccountAuth { no: No::new(1), suspended: false, paid_until: PaidUntil::Forever };
        let model = Model {
            id: Id::from_parts(0, &[0; 10]),
            no: model(),
            name: "m".parse().unwrap(),
            title: None,
            kind: ModelKind::Chat,
            context_window: None,
            max_output_tokens: None,
            price: Default::default(),
            served_by: vec![],
            created_at: EPOCH,
            version: 1,
        };
        let last_key = no(KEYS - 1);
        KeyringBase { seq: Seq(self.head()), accounts: vec![account], models: vec![model], upstreams: vec![], last_key }
    }
    /// `Store::keyring_keys`
    pub fn keyring_keys(&self) -> Vec<KeyAuth> {
        (0..KEYS).map(|key| self.key(key)).collect()
    }
    /// `Store::keyring_changed`
    pub fn keyring_changed(&self, changes: &[Change]) -> Vec<Changed> {
        let keys = (0..KEYS).filter(|key| changes.iter().any(|change| change.kind == ChangeKind::Key(no(*key))));
        keys.map(|key| Changed::Key(no(key), Some(self.key(key)))).collect()
    }
    fn key(&self, key: usize) -> KeyAuth {
        KeyAuth {
            no: no(key),
            public_id: public_id(key),
            account: No::new(1),
            hash: hash(key),
            previous: None,
            status: if self.is_revoked[key] { KeyStatus::Revoked } else { KeyStatus::Active },
            expires_at: None,
            models: None,
            allowed_origins: Default::default(),
        }
    }
}

/// Entries in place of others, about nothing: what a mutant leaves out must not be found out as a gap.
fn blanks(after: i64, to: i64) -> Vec<Change> {
    (after + 1..=to).map(|seq| Change { seq: Seq(seq), kind: ChangeKind::Upstream(No::new(1)) }).collect()
}
