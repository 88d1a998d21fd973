//! A process that serves: the real follower, gate, keyring and registries, and around them played workers, clients and
//! clocks. What a mutant of the node does wrong is done here.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Notify, mpsc},
    task::spawn_local,
    time::sleep,
};
use tollgate_core::{
    Change, Id, Seq, Timestamp,
    change::Node,
    lease::{Reading, Watch},
};
use tollgate_store::{
    StoreError,
    changes::{Lease, Renewal},
    keyring::{Changed, KeyringBase},
};

use super::{
    KEYS, Mutant, Simulation,
    authority::{Authority, EPOCH, Hint, hash, model, public_id},
};
use crate::{
    GatewayOptions,
    catalogue::CatalogueParts,
    client::ClientConnection,
    follower::{
        Effects, Follower,
        effects::{interval, tell_workers},
    },
    in_flight::{InFlight, KeyGrant, MaySend, Registration, Ticket, permit},
    keyring::Keyring,
    lease::{LeaseGate, LeaseInstant},
    metrics::Metrics,
    worker::Message,
};

const WORKERS: usize = 2;
/// Between two looks of a process at its answers, in seconds at most.
const CHUNK_GAP: f64 = 0.2;
/// Between two new requests of a process, in seconds.
const REQUEST_GAP: f64 = 0.4;
/// An answer takes this long at most, in seconds.
const ANSWER_TIME: f64 = 25.0;
/// How long a verdict is kept where nothing better is done.
const VERDICT_TIME: Duration = Duration::from_secs(60);

/// A running answer.
struct Answer {
    key: usize,
    registration: Registration,
    ends_at: Duration,
}

pub(super) struct Process {
    pub simulation: Rc<Simulation>,
    pub machine: usize,
    node: Id<Node>,
    gate: LeaseGate,
    keyring: Keyring,
    registries: Vec<Rc<InFlight>>,
    answers: RefCell<Vec<Answer>>,
    is_dead: Cell<bool>,
    pub is_paused: Cell<bool>,
    /// Tasks that have something to do and whose process or machine stands still.
    halted: RefCell<Vec<Waker>>,
    /// What it has seen of other nodes' leases: `Fleet::observe`.
    observed: RefCell<BTreeMap<Id<Node>, Watch>>,
    changes: Notify,
    pub acknowledgements: Notify,
    /// How many revocations wait here.
    pub confirming: Cell<u64>,
    /// It has served, ever.
    has_served: Cell<bool>,
    /// The lease that it holds or held last.
    lease: RefCell<Option<Lease>>,
    /// The head of the log in the last grant that came, and in the one that it serves on.
    granted: Cell<Seq>,
    serves_on: Cell<Seq>,
    /// Answers to renewals, whoever asked.
    renewals: RefCell<VecDeque<Renewal>>,
    renewed: Notify,
    /// Kept verdicts, and since when.
    verdicts: RefCell<BTreeMap<usize, (Duration, bool)>>,
}

/// Starts a process on a machine.
pub(super) fn start(simulation: &Rc<Simulation>, machine: usize) {
    let mut random = simulation.random.borrow_mut();
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&random.next().to_be_bytes());
    let process = Rc::new(Process {
        simulation: Rc::clone(simulation),
        machine,
        node: Id::from_parts(0, &bytes),
        gate: LeaseGate::default(),
        keyring: Keyring::new(),
        registries: (0..WORKERS).map(|_| Rc::new(InFlight::new(Gauge::default()))).collect(),
        answers: RefCell::default(),
        is_dead: Cell::default(),
        is_paused: Cell::default(),
        halted: RefCell::default(),
        observed: RefCell::default(),
        changes: Notify::new(),
        acknowledgements: Notify::new(),
        confirming: Cell::default(),
        has_served: Cell::default(),
        lease: RefCell::default(),
        granted: Cell::default(),
        serves_on: Cell::default(),
        renewals: RefCell::default(),
        renewed: Notify::new(),
        verdicts: RefCell::default(),
    });
    drop(random);
    simulation.machines[machine].process_put(Rc::clone(&process));
    let mut workers = Vec::new();
    for registry in &process.registries {
        let (mailbox, messages) = mpsc::unbounded_channel();
        workers.push(mailbox);
        process.spawn(Rc::clone(&process).work(Rc::clone(registry), messages));
    }
    process.spawn(Rc::clone(&process).follow(workers));
    process.spawn(Rc::clone(&process).take_requests());
    process.spawn(Rc::clone(&process).send_chunks());
}

impl Process {
    /// Runs a task as long as the process lives, and while it does not stand still.
    pub fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let (process, mut task) = (Rc::clone(self), Box::pin(task));
        spawn_local(poll_fn(move |context| {
            if process.is_dead.get() {
                return Poll::Ready(());
            }
            if !process.is_running() {
                process.halted.borrow_mut().push(context.waker().clone());
                return Poll::Pending;
            }
            let polled = task.as_mut().poll(context);
            process.simulation.check(&process);
            polled
        }));
    }
    pub fn is_running(&self) -> bool {
        !self.is_dead.get() && !self.is_paused.get() && !self.simulation.machines[self.machine].is_suspended.get()
    }
    /// It goes on, in any order: the promise holds from the first instant.
    pub fn resume(&self) {
        if !self.is_running() {
            return;
        }
        self.simulation.check(self);
        let mut halted = self.halted.take();
        while !halted.is_empty() {
            let next = self.simulation.random.borrow_mut().index(halted.len());
            halted.swap_remove(next).wake();
        }
    }
    pub fn kill(&self) {
        self.is_dead.set(true);
        self.halted.take().into_iter().for_each(Waker::wake);
    }
    pub fn told(&self, hint: Hint) {
        match hint {
            Hint::Change => self.changes.notify_one(),
            Hint::Acknowledgement => self.acknowledgements.notify_one(),
        }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.simulation.is(mutant)
    }
    fn time(&self, low: f64, high: f64) -> Duration {
        self.simulation.random.borrow_mut().time(low, high)
    }
    pub fn reading(&self) -> Reading {
        self.simulation.machines[self.machine].reading(self.simulation.now(), self.simulation.mutant)
    }
    pub fn lease_length(&self) -> Duration {
        self.simulation.machines[self.machine].lease
    }
    fn instant(&self) -> LeaseInstant {
        self.simulation.machines[self.machine].instant(self.simulation.now(), self.simulation.mutant)
    }
    /// The authority's time if the node may serve, as workers ask.
    fn authority_now(&self) -> Option<Timestamp> {
        let now = self.gate.check(self.instant());
        if self.is(Mutant::FailOpen) && self.has_served.get() { Some(now.unwrap_or(EPOCH)) } else { now }
    }

    /// `authenticate` and `authorise` of the flow.
    fn let_in(&self, key: usize) -> Option<KeyGrant> {
        let now = self.authority_now()?;
        let grant = KeyGrant::of(&self.keyring, public_id(key), &hash(key), now).ok()?;
        permit(&self.keyring, &grant, model()).ok()?;
        Some(grant)
    }
    /// Whether a request with this key would be let in.
    fn admits(&self, key: usize) -> bool {
        if self.is(Mutant::Ttl60) {
            let verdicts = self.verdicts.borrow();
            return verdicts.get(&key).is_some_and(|(at, verdict)| *verdict && self.is_kept(*at));
        }
        self.let_in(key).is_some()
    }
    fn is_kept(&self, at: Duration) -> bool {
        self.simulation.now().saturating_sub(at) < VERDICT_TIME
    }
    /// Whether a chunk of an answer would be handed over: `Inner::poll_may_send`.
    fn sends(&self, answer: &Answer) -> Option<MaySend> {
        if self.is(Mutant::Ttl60) {
            return Some(MaySend::Now);
        }
        let now = if self.is(Mutant::NoChunk) { Some(EPOCH) } else { self.authority_now() };
        answer.registration.ticket().may_send(&self.keyring, now).ok()
    }
    /// What it would do that a revocation of `key` has promised it does not.
    pub fn breach(&self, key: usize) -> Option<&'static str> {
        if self.admits(key) {
            return Some("admits");
        }
        let mut answers = self.answers.borrow_mut();
        let sends = answers.iter_mut().any(|answer| answer.key == key && self.sends(answer) == Some(MaySend::Now));
        sends.then_some("sends a chunk for")
    }

    /// A key that it would let in though it serves on a grant that carried its end.
    pub fn ran_ahead(&self) -> Option<usize> {
        self.authority_now()?;
        let authority = self.simulation.authority.borrow();
        let mut keys = authority.revoked_within(self.serves_on.get());
        keys.find(|key| self.let_in(*key).is_some())
    }

    async fn take_requests(self: Rc<Self>) {
        loop {
            let gap = self.simulation.random.borrow_mut().wait(REQUEST_GAP);
            sleep(gap).await;
            let key = self.simulation.random.borrow_mut().index(KEYS);
            if self.is(Mutant::Ttl60) && !self.verdicts.borrow().get(&key).is_some_and(|(at, _)| self.is_kept(*at)) {
                let keys = self.call(|authority| authority.keyring_keys()).await;
                if let Ok(keys) = keys {
                    let verdict = matches!(keys[key].status, tollgate_core::KeyStatus::Active);
                    self.verdicts.borrow_mut().insert(key, (self.simulation.now(), verdict));
                }
            }
            let Some(grant) = self.let_in(key) else { continue };
            if self.is(Mutant::CheckRegister) {
                let lost_time = self.time(0.0, 0.1);
                sleep(lost_time).await;
            }
            let ticket = Ticket::new(&grant, None, model(), true, ClientConnection::for_tests());
            let worker = self.simulation.random.borrow_mut().index(WORKERS);
            let registration = self.registries[worker].register(ticket);
            let ends_at = self.simulation.now() + self.time(0.5, ANSWER_TIME);
            self.answers.borrow_mut().push(Answer { key, registration, ends_at });
        }
    }
    async fn send_chunks(self: Rc<Self>) {
        loop {
            let gap = self.time(0.02, CHUNK_GAP);
            sleep(gap).await;
            let now = self.simulation.now();
            self.answers.borrow_mut().retain(|answer| self.sends(answer).is_some() && now < answer.ends_at);
        }
    }
    /// A worker's part in a change: `Worker::recheck`, when it comes to it.
    async fn work(self: Rc<Self>, registry: Rc<InFlight>, mut messages: mpsc::UnboundedReceiver<Message>) {
        while let Some(message) = messages.recv().await {
            let busy = self.time(0.0, 0.03);
            sleep(busy).await;
            if let Message::Changed(changes, done) = message {
                let now = self.authority_now().unwrap_or(EPOCH);
                // The follower may have gone on.
                let _ = done.send(registry.recheck(&self.keyring, changes.as_deref(), now));
            }
        }
    }
    /// Joins and follows; a start that fails is made again.
    async fn follow(self: Rc<Self>, workers: Vec<mpsc::UnboundedSender<Message>>) {
        loop {
            let effects = PlayedEffects {
                process: Rc::clone(&self),
                workers: workers.clone(),
                parts: CatalogueParts::new(),
                metrics: Metrics::unregistered(),
            };
            if let Ok(lease) = effects.join().await {
                let mut follower = Follower::new(effects, lease);
                if follower.begin().await.is_ok() {
                    follower.follow_for_ever().await;
                }
                follower.release().await;
            }
            let pause = self.time(0.1, 1.0);
            sleep(pause).await;
        }
    }
}

/// A played node under a real follower.
struct PlayedEffects {
    process: Rc<Process>,
    workers: Vec<mpsc::UnboundedSender<Message>>,
    parts: CatalogueParts,
    metrics: Metrics,
}

impl Effects for PlayedEffects {
    fn instant(&self) -> LeaseInstant {
        self.process.instant()
    }
    fn interval(&self) -> Duration {
        let random = self.process.simulation.random.borrow_mut().next();
        interval(self.process.lease_length(), (random >> 48) as u16)
    }
    fn serves_for(&self) -> Duration {
        let lease = self.process.lease_length();
        if self.process.is(Mutant::NoMargin) {
            return lease;
        }
        let options = GatewayOptions::new(([127, 0, 0, 1], 0).into(), "".into(), "n".parse().unwrap());
        GatewayOptions { lease, ..options }.serves_for()
    }
    fn open(&self, asked: LeaseInstant, serves_for: Option<Duration>, authority_now: Timestamp) {
        self.process.has_served.set(true);
        self.process.serves_on.set(self.process.granted.get());
        let from = if self.process.is(Mutant::Receipt) { self.process.instant() } else { asked };
        self.process.gate.extend(from, serves_for, authority_now);
    }
    fn close(&self) {
        self.process.gate.close();
    }
    fn show(&self, _applied: Seq) {}

    async fn join(&self) -> Result<Lease, StoreError> {
        let (node, length) = (self.process.node, self.process.lease_length());
        let lease = self.process.call(move |authority| authority.join_fleet(node, length)).await?;
        *self.process.lease.borrow_mut() = Some(lease.clone());
        Ok(lease)
    }
    async fn short(&self) {
        std::future::pending().await
    }
    async fn renew(&self, lease: &Lease, applied: Seq) -> Result<Renewal, StoreError> {
        let (process, held, asked) = (Rc::clone(&self.process), lease.clone(), self.instant());
        let transaction = move |authority: &mut Authority| {
            let at = i64::try_from(process.simulation.now().as_millis()).unwrap();
            let now = Timestamp::from_millis(EPOCH.as_millis() + at);
            let reading = process.reading();
            let mut observed = process.observed.borrow_mut();
            authority.renew_in_fleet(&held, applied, now, |node, row| {
                let watch = observed.entry(node).or_insert(Watch::new(row.standing, reading));
                watch.see(row.standing, reading);
                watch.is_silent(row.length, reading)
            })
        };
        if self.process.is(Mutant::LastSend) {
            // Answers are taken as they come.
            let process = Rc::clone(&self.process);
            self.process.spawn(async move {
                if let Ok(renewal) = process.call(transaction).await {
                    process.renewals.borrow_mut().push_back(renewal);
                    process.renewed.notify_one();
                }
            });
            loop {
                if let Some(renewal) = self.process.renewals.borrow_mut().pop_front() {
                    return Ok(renewal);
                }
                self.process.renewed.notified().await;
            }
        }
        let renewal = self.process.call(transaction).await?;
        if let Renewal::Granted(grant) = &renewal {
            self.process.granted.set(grant.head);
            if self.process.is(Mutant::ExtendFirst) {
                self.open(asked, Some(self.serves_for()), grant.now);
            }
        }
        Ok(renewal)
    }
    async fn acknowledge(&self, lease: &Lease, applied: Seq, _cut: &[(Seq, u64)]) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.process.call(move |authority| authority.acknowledge_in_fleet(&lease, applied)).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.process.call(move |authority| authority.release_in_fleet(&lease)).await
    }
    async fn change_wait(&self, _seen: Seq, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.process.changes.notified()).await;
    }
    async fn changes_after(&self, after: Seq) -> Result<Vec<Change>, StoreError> {
        self.process.call(move |authority| authority.changes_after(after)).await
    }

    async fn base(&self) -> Result<KeyringBase, StoreError> {
        self.process.call(|authority| authority.keyring_base()).await
    }
    async fn load(&mut self, base: KeyringBase) -> Result<usize, StoreError> {
        let keyring = &self.process.keyring;
        keyring.clear();
        base.accounts.into_iter().for_each(|account| keyring.account_put(account));
        self.parts.models = base.models.into_iter().map(|model| (model.no, model)).collect();
        keyring.catalogue_put(self.parts.build(&self.metrics));
        let keys = self.process.call(|authority| authority.keyring_keys()).await?;
        keys.into_iter().for_each(|key| keyring.key_put(key));
        Ok(keyring.len())
    }
    async fn changed(&self, changes: &[Change]) -> Result<Vec<Changed>, StoreError> {
        let changes = changes.to_vec();
        if self.process.is(Mutant::AckEarly)
            && let (Some(last), Some(lease)) = (changes.last(), self.process.lease.borrow().clone())
        {
            let (process, applied) = (Rc::clone(&self.process), last.seq);
            self.process.spawn(async move {
                // As good as sent.
                let _ = process.call(move |authority| authority.acknowledge_in_fleet(&lease, applied)).await;
            });
        }
        self.process.call(move |authority| authority.keyring_changed(&changes)).await
    }
    fn put(&mut self, changed: Vec<Changed>) {
        for changed in changed {
            if let Changed::Key(_, Some(key)) = changed {
                self.process.keyring.key_put(key);
            }
        }
    }
    async fn tell_workers(&self, changes: Option<Arc<[Change]>>) -> Vec<u64> {
        tell_workers(&self.workers, changes).await
    }
}
