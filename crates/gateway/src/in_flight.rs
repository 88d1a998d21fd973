//! The requests that a worker is serving, so that a change can reach those that are already running.
//!
//! Invariants: a request is registered in the same step in which the keyring let it in, without an await in between,
//! so that a change finds either no admission or a registration; and it stays registered until its last byte is with
//! the kernel. All of this is one thread's: there is no lock, and once [`InFlight::recheck`] has returned, no byte of
//! a request that it ended is handed over any more.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
};

use prometheus_client::metrics::gauge::Gauge;
use tollgate_core::{
    Account, Change, ChangeKind, Key, KeyStatus, Model, No, Timestamp,
    account::Standing,
    secret::{KeyHash, PublicId},
};
use tollgate_wire::ErrorCode;

use crate::{
    client::ClientConnection,
    keyring::{KeyEntry, Keyring, plan_ends_at},
    page::Page,
};

/// Whether a byte may be given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaySend {
    Now,
    /// It is held back: the node does not know whether the request was ended.
    NotNow,
}

/// What a request was let in by.
pub(crate) struct Ticket {
    pub key_id: PublicId,
    pub presented: KeyHash,
    pub key: No<Key>,
    pub account: No<Account>,
    pub model: No<Model>,
    /// The page that sent it; `None`: a program did.
    page: Option<Page>,
    /// A stream, which may go on for long: it ends also when the text that it came with does.
    is_stream: bool,
    /// When key or plan end by the clock.
    ends_at: Cell<Timestamp>,
    /// When the grace ends of the text that it came with, as known while that was still good.
    grace: Cell<Option<Timestamp>>,
    cut: Cell<Option<ErrorCode>>,
    waker: RefCell<Option<Waker>>,
    /// The connection that its answer goes to.
    client: Rc<ClientConnection>,
}

impl Ticket {
    pub fn new(
        grant: &KeyGrant,
        page: Option<Page>,
        model: No<Model>,
        is_stream: bool,
        client: Rc<ClientConnection>,
    ) -> Self {
        Self {
            key_id: grant.id,
            presented: grant.presented,
            key: grant.entry.no,
            account: grant.entry.account,
            model,
            page,
            is_stream,
            ends_at: Cell::new(grant.ends_at(is_stream)),
            grace: Cell::new(grant.grace),
            cut: Cell::new(None),
            waker: RefCell::new(None),
            client,
        }
    }
    /// Why the request has to end, if it has to. Looked at before every byte.
    pub fn cut(&self) -> Option<ErrorCode> {
        self.cut.get()
    }
    /// When key or plan end by the clock.
    pub fn ends_at(&self) -> Timestamp {
        self.ends_at.get()
    }
    /// Whoever waits for the answer is woken when the request has to end.
    pub fn watch(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            place => *place = Some(context.waker().clone()),
        }
    }
    /// Ends the request; the first reason stands.
    pub fn end(&self, code: ErrorCode) {
        if self.cut.get().is_none() {
            self.cut.set(Some(code));
            // What waits in buffers for a client that does not read must not leave any more either.
            self.client.discard_unsent();
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }
    /// Asks the keyring again; ends the request where it says no. Returns whether this ended it.
    pub fn recheck(&self, keyring: &Keyring, now: Timestamp) -> bool {
        if self.cut.get().is_some() {
            return false;
        }
        // A plain answer that was let in under the old text of a rotated key is given out though its grace ends meanwhile:
        // the key lives. A rotation that comes later, or gives no grace, has another end than the one that is known here.
        let grace = self.grace.get().filter(|_| !self.is_stream);
        let verdict = KeyGrant::under(keyring, self.key_id, &self.presented, grace, now)
            .and_then(|grant| permit_page(&grant, self.page.as_ref()).map(|()| grant))
            .and_then(|grant| permit(keyring, &grant, self.model).map(|()| grant));
        match verdict {
            Ok(grant) => {
                self.ends_at.set(grant.ends_at(self.is_stream));
                self.grace.set(grant.grace);
                false
            }
            Err(code) => {
                // To a request that was admitted, a key that is no more is one that was revoked.
                self.end(if code == ErrorCode::InvalidApiKey { ErrorCode::ApiKeyRevoked } else { code });
                true
            }
        }
    }
    /// Whether a byte of it may be given out, at the authority's time where this node may serve (`None`: it may not); an
    /// error if the request was ended.
    pub fn may_send(&self, keyring: &Keyring, now: Option<Timestamp>) -> Result<MaySend, ErrorCode> {
        if let Some(code) = self.cut.get() {
            return Err(code);
        }
        let Some(now) = now else { return Ok(MaySend::NotNow) };
        if now >= self.ends_at.get() {
            self.recheck(keyring, now);
        }
        self.cut.get().map_or(Ok(MaySend::Now), Err)
    }
    fn concerns(&self, change: ChangeKind) -> bool {
        match change {
            ChangeKind::Key(no) => no == self.key,
            ChangeKind::Account(no) => no == self.account,
            ChangeKind::Model(no) => no == self.model,
            ChangeKind::Upstream(_) => false,
        }
    }
}

/// A key that the keyring vouches for at an instant: it lives, the text presented was right, its account is in order.
pub(crate) struct KeyGrant {
    pub id: PublicId,
    pub presented: KeyHash,
    pub entry: KeyEntry,
    /// When the grace ends of the text presented, where that is from before a rotation.
    grace: Option<Timestamp>,
    /// When key or plan end by the clock.
    ends_at: Timestamp,
}

impl KeyGrant {
    /// Asks the keyring, at the authority's time `now`.
    pub fn of(keyring: &Keyring, id: PublicId, presented: &KeyHash, now: Timestamp) -> Result<Self, ErrorCode> {
        Self::under(keyring, id, presented, None, now)
    }
    /// The same for whoever shows a pass: it stands for the text of today of the key, which is returned too.
    pub fn of_pass(keyring: &Keyring, id: PublicId, now: Timestamp) -> Result<(Self, KeyHash), ErrorCode> {
        let entry = keyring.key(id).ok_or(ErrorCode::InvalidApiKey)?;
        let presented = entry.hash();
        Ok((Self::of_entry(keyring, id, entry, &presented, now)?, presented))
    }
    /// The same for a request that runs, under a text from before a rotation whose grace was known to end at `grace`: that
    /// end alone does not matter any more.
    fn under(
        keyring: &Keyring,
        id: PublicId,
        presented: &KeyHash,
        grace: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, ErrorCode> {
        let fits =
            |entry: &KeyEntry| entry.fits(presented, now) || (grace.is_some() && entry.grace(presented) == grace);
        let entry = keyring.key(id).filter(fits).ok_or(ErrorCode::InvalidApiKey)?;
        Self::of_entry(keyring, id, entry, presented, now)
    }
    fn of_entry(
        keyring: &Keyring,
        id: PublicId,
        entry: KeyEntry,
        presented: &KeyHash,
        now: Timestamp,
    ) -> Result<Self, ErrorCode> {
        match entry.status(now) {
            KeyStatus::Active => {}
            KeyStatus::Disabled => return Err(ErrorCode::ApiKeyDisabled),
            KeyStatus::Expired => return Err(ErrorCode::ApiKeyExpired),
            KeyStatus::Revoked => return Err(ErrorCode::ApiKeyRevoked),
            KeyStatus::Leaked => return Err(ErrorCode::ApiKeyLeaked),
        }
        let account = keyring.account(entry.account).ok_or(ErrorCode::PlanRequired)?;
        match account.standing(now) {
            Standing::Good => {}
            Standing::PlanRequired => return Err(ErrorCode::PlanRequired),
            Standing::Suspended => return Err(ErrorCode::AccountSuspended),
        }
        let (grace, ends_at) = (entry.grace(presented), entry.expires_at().min(plan_ends_at(&account)));
        Ok(Self { id, presented: *presented, entry, grace, ends_at })
    }
    /// Until when a request may run at most.
    fn ends_at(&self, is_stream: bool) -> Timestamp {
        let grace = self.grace.filter(|_| is_stream);
        grace.map_or(self.ends_at, |grace| self.ends_at.min(grace))
    }
}

/// Whether a key may use a model that is in the catalogue.
pub(crate) fn permit(keyring: &Keyring, grant: &KeyGrant, model: No<Model>) -> Result<(), ErrorCode> {
    if !keyring.catalogue().has(model) {
        Err(ErrorCode::ModelNotFound)
    } else if !grant.entry.permits(model) {
        Err(ErrorCode::ModelNotPermitted)
    } else {
        Ok(())
    }
}

/// Whether a key may be used from the page that sent a request; a program's has none.
pub(crate) fn permit_page(grant: &KeyGrant, page: Option<&Page>) -> Result<(), ErrorCode> {
    match page {
        Some(page) if !page.may_use(grant.entry.allowed_origins()) => Err(ErrorCode::BrowserUseRefused),
        _ => Ok(()),
    }
}

/// A worker's registry.
pub(crate) struct InFlight {
    slots: RefCell<Slots>,
    count: Gauge,
}

#[derive(Default)]
struct Slots {
    tickets: Vec<Option<Rc<Ticket>>>,
    free: Vec<usize>,
}

impl InFlight {
    pub fn new(count: Gauge) -> Self {
        Self { slots: RefCell::default(), count }
    }
    /// Registers a request until the registration is dropped.
    pub fn register(self: &Rc<Self>, ticket: Ticket) -> Registration {
        let ticket = Rc::new(ticket);
        let mut slots = self.slots.borrow_mut();
        let place = slots.free.pop().unwrap_or(slots.tickets.len());
        match slots.tickets.get_mut(place) {
            Some(slot) => *slot = Some(Rc::clone(&ticket)),
            None => slots.tickets.push(Some(Rc::clone(&ticket))),
        }
        self.count.inc();
        Registration { registry: Rc::clone(self), place, ticket }
    }
    /// Asks the keyring again for every request that one of `changes` is about (`None`: for all), and ends those that
    /// it does not let in any more. Returns how many were ended by each change.
    pub fn recheck(&self, keyring: &Keyring, changes: Option<&[Change]>, now: Timestamp) -> Vec<u64> {
        let mut counts = vec![0; changes.map_or(1, <[Change]>::len)];
        // Copied, since ending a request may run what takes another one out.
        let tickets: Vec<Rc<Ticket>> = self.slots.borrow().tickets.iter().flatten().cloned().collect();
        for ticket in tickets {
            let Some(place) =
                changes.map_or(Some(0), |changes| changes.iter().rposition(|change| ticket.concerns(change.kind)))
            else {
                continue;
            };
            if ticket.recheck(keyring, now)
                && let Some(count) = counts.get_mut(place)
            {
                *count += 1;
            }
        }
        counts
    }
    /// Ends all, for a stop that cannot wait any longer.
    pub fn end_all(&self, code: ErrorCode) {
        let tickets: Vec<Rc<Ticket>> = self.slots.borrow().tickets.iter().flatten().cloned().collect();
        tickets.iter().for_each(|ticket| ticket.end(code));
    }
    pub fn is_empty(&self) -> bool {
        let slots = self.slots.borrow();
        slots.free.len() == slots.tickets.len()
    }
}

/// Keeps a request registered.
pub(crate) struct Registration {
    registry: Rc<InFlight>,
    place: usize,
    ticket: Rc<Ticket>,
}

impl Registration {
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }
}
impl Drop for Registration {
    fn drop(&mut self) {
        let mut slots = self.registry.slots.borrow_mut();
        if let Some(slot) = slots.tickets.get_mut(self.place) {
            *slot = None;
            slots.free.push(self.place);
            self.registry.count.dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::{
        Id, ModelKind, Seq,
        account::{AccountAuth, PaidUntil},
        key::KeyAuth,
    };

    use super::*;
    use crate::{catalogue::CatalogueParts, metrics::Metrics};

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }
    fn hash() -> KeyHash {
        KeyHash::from_bytes([7; 32])
    }
    fn id() -> PublicId {
        "abcdefghijkl".parse().unwrap()
    }
    fn key() -> KeyAuth {
        KeyAuth {
            no: No::new(1),
            public_id: id(),
            account: No::new(1),
            hash: hash(),
            previous: None,
            status: KeyStatus::Active,
            expires_at: None,
            models: Some(vec![No::new(1)]),
            allowed_origins: Default::default(),
        }
    }
    fn account(suspended: bool, paid_until: PaidUntil) -> AccountAuth {
        AccountAuth { no: No::new(1), suspended, paid_until }
    }
    fn catalogue(models: &[i64]) -> crate::catalogue::Catalogue {
        let mut parts = CatalogueParts::new();
        for no in models {
            let model = Model {
                id: Id::from_parts(0, &[0; 10]),
                no: No::new(*no),
                name: format!("m{no}").parse().unwrap(),
                title: None,
                kind: ModelKind::Chat,
                context_window: None,
                max_output_tokens: None,
                price: Default::default(),
                served_by: vec![],
                created_at: at(0),
                version: 1,
            };
            parts.models.insert(model.no, model);
        }
        parts.build(&Metrics::unregistered())
    }
    fn keyring() -> Keyring {
        let keyring = Keyring::new();
        keyring.key_put(key());
        keyring.account_put(account(false, PaidUntil::Forever));
        keyring.catalogue_put(catalogue(&[1, 2]));
        keyring
    }
    fn verdict(keyring: &Keyring, presented: KeyHash, model: i64, now: i64) -> Result<(), ErrorCode> {
        let grant = KeyGrant::of(keyring, id(), &presented, at(now))?;
        permit(keyring, &grant, No::new(model))
    }

    #[test]
    fn who_is_let_in_is_this_table() {
        let keyring = keyring();
        let wrong = KeyHash::from_bytes([8; 32]);
        assert_eq!(verdict(&keyring, hash(), 1, 10), Ok(()));
        assert_eq!(verdict(&keyring, hash(), 2, 10), Err(ErrorCode::ModelNotPermitted));
        assert_eq!(verdict(&keyring, hash(), 3, 10), Err(ErrorCode::ModelNotFound));
        assert_eq!(verdict(&keyring, wrong, 1, 10), Err(ErrorCode::InvalidApiKey));
        for (status, code) in [
            (KeyStatus::Disabled, ErrorCode::ApiKeyDisabled),
            (KeyStatus::Revoked, ErrorCode::ApiKeyRevoked),
            (KeyStatus::Leaked, ErrorCode::ApiKeyLeaked),
        ] {
            keyring.key_put(KeyAuth { status, ..key() });
            assert_eq!(verdict(&keyring, hash(), 1, 10), Err(code));
            assert_eq!(verdict(&keyring, wrong, 1, 10), Err(ErrorCode::InvalidApiKey), "only the right secret is told");
        }
        keyring.key_put(KeyAuth { expires_at: Some(at(10)), ..key() });
        assert_eq!(verdict(&keyring, hash(), 1, 9), Ok(()));
        assert_eq!(verdict(&keyring, hash(), 1, 10), Err(ErrorCode::ApiKeyExpired));
        keyring.key_put(key());
        for (suspended, paid_until, code) in [
            (true, PaidUntil::Forever, ErrorCode::AccountSuspended),
            (false, PaidUntil::Never, ErrorCode::PlanRequired),
            (false, PaidUntil::At(at(10)), ErrorCode::PlanRequired),
        ] {
            keyring.account_put(account(suspended, paid_until));
            assert_eq!(verdict(&keyring, hash(), 1, 10), Err(code));
        }
        keyring.account_remove(No::new(1));
        assert_eq!(verdict(&keyring, hash(), 1, 10), Err(ErrorCode::PlanRequired), "an account that is gone");
    }

    #[test]
    fn a_change_ends_the_requests_that_it_is_about_and_no_others() {
        let keyring = keyring();
        let registry = Rc::new(InFlight::new(Gauge::default()));
        let grant = KeyGrant::of(&keyring, id(), &hash(), at(1)).unwrap();
        let running = registry.register(Ticket::new(&grant, None, No::new(1), false, ClientConnection::for_tests()));
        let change = |seq, kind| Change { seq: Seq(seq), kind };
        let changes = [change(1, ChangeKind::Key(No::new(1))), change(2, ChangeKind::Key(No::new(9)))];
        assert_eq!(registry.recheck(&keyring, Some(&changes), at(1)), [0, 0], "nothing that matters has changed");
        keyring.key_put(KeyAuth { models: Some(vec![No::new(2)]), ..key() });
        assert_eq!(registry.recheck(&keyring, Some(&changes[1..]), at(1)), [0], "not about this key");
        assert_eq!(registry.recheck(&keyring, Some(&changes), at(1)), [1, 0]);
        assert_eq!(running.ticket().cut(), Some(ErrorCode::ModelNotPermitted));
        assert_eq!(registry.recheck(&keyring, None, at(1)), [0], "ended once");
        assert!(!registry.is_empty());
        drop(running);
        assert!(registry.is_empty());
    }

    #[test]
    fn a_plain_answer_outlives_the_grace_of_its_text_and_nothing_else() {
        let grace = |until| Some((hash(), at(until)));
        let new = KeyHash::from_bytes([9; 32]);
        let rotated = |previous| KeyAuth { hash: new, previous, ..key() };
        for (what, changes, cut) in [
            ("the grace ends", vec![rotated(grace(20))], [None, Some(ErrorCode::ApiKeyRevoked)]),
            (
                "an edit after the grace",
                vec![rotated(grace(20)), KeyAuth { expires_at: Some(at(900)), ..rotated(grace(20)) }],
                [None, Some(ErrorCode::ApiKeyRevoked)],
            ),
            ("a rotation without grace", vec![rotated(grace(10))], [Some(ErrorCode::ApiKeyRevoked); 2]),
            (
                "another rotation",
                vec![
                    rotated(grace(20)),
                    KeyAuth { hash: KeyHash::from_bytes([5; 32]), previous: Some((new, at(90))), ..key() },
                ],
                [Some(ErrorCode::ApiKeyRevoked); 2],
            ),
            (
                "a revoke after the grace",
                vec![rotated(grace(20)), KeyAuth { status: KeyStatus::Revoked, ..rotated(grace(20)) }],
                [Some(ErrorCode::ApiKeyRevoked); 2],
            ),
        ] {
            for (is_stream, cut) in [false, true].into_iter().zip(cut) {
                let keyring = keyring();
                let registry = Rc::new(InFlight::new(Gauge::default()));
                let grant = KeyGrant::of(&keyring, id(), &hash(), at(1)).unwrap();
                let ticket = Ticket::new(&grant, None, No::new(1), is_stream, ClientConnection::for_tests());
                let running = registry.register(ticket);
                // The first change is heard of at 10, the others behind the end of the grace.
                for (change, now) in changes.iter().zip([10, 30]) {
                    keyring.key_put(change.clone());
                    registry.recheck(&keyring, None, at(now));
                }
                let ends_at = running.ticket().ends_at();
                if at(30) >= ends_at {
                    running.ticket().recheck(&keyring, at(30));
                }
                assert_eq!(running.ticket().cut(), cut, "{what}, a stream: {is_stream}");
                assert_eq!(KeyGrant::of(&keyring, id(), &hash(), at(30)).err(), Some(ErrorCode::InvalidApiKey));
            }
        }
    }
}
