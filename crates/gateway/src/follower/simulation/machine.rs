//! What fails: machines with clocks that are wrong, stop and jump, processes that stop, and a network that loses,
//! repeats, delays and is cut.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{sync::oneshot, task::spawn_local, time::sleep};
use tollgate_core::lease::Reading;

use super::{
    Mutant, Simulation,
    authority::{Authority, Hint},
    node,
    node::Process,
};
use crate::lease::LeaseInstant;

/// How wrong a clock may run: chrony's largest slew. Nodes serve for 8/10 of what the authority waits, which is good up to 1/9.
const RATE_ERROR: f64 = 1.0 / 12.0;
/// How wrong one of a machine's two clocks may run while the other is in order.
const WILD_ERROR: f64 = 0.4;
/// Before a machine's clocks began to count.
const UPTIME: f64 = 1e5;
const WALL: f64 = 1e6;
/// After a message was lost, until its sender hears that the connection is.
const BROKEN_AFTER: Duration = Duration::from_secs(6);
/// Each node brings its own lease's length.
const LEASES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(15)];

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.next();
        random
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
    pub fn chance(&mut self, share: f64) -> bool {
        self.share() < share
    }
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.share() * (high - low)
    }
    pub fn time(&mut self, low: f64, high: f64) -> Duration {
        Duration::from_secs_f64(self.between(low, high))
    }
    /// A time that is exponentially distributed.
    pub fn wait(&mut self, mean: f64) -> Duration {
        Duration::from_secs_f64(-mean * (1.0 - self.share()).ln())
    }
    pub fn index(&mut self, length: usize) -> usize {
        (self.next() % length as u64) as usize
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
    fn rate(&mut self, error: f64, is_extreme: bool) -> f64 {
        if is_extreme { self.pick(&[1.0 - error, 1.0 + error]) } else { self.between(1.0 - error, 1.0 + error) }
    }
}

/// Which faults a run has, and how many.
pub(super) struct Weather {
    pub loss: f64,
    pub repeats: f64,
    /// The share of messages that take long, and how long those take at most, in seconds.
    slow: f64,
    slow_most: f64,
    /// Between two faults, in seconds.
    fault_gap: f64,
    /// How often each kind of fault is drawn.
    faults: [(Fault, f64); 6],
    /// Longest cut of the network and longest stop, in seconds.
    cut_most: f64,
    stop_most: f64,
    /// Clocks are as wrong as they may be, or one of two is wronger than that.
    extreme_rates: bool,
    wild_rates: bool,
    /// All nodes have leases of this length.
    same_lease: Option<Duration>,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The network of a machine: to the authority, from it, or both.
    Cut,
    /// SIGSTOP, or a processor that others have.
    Pause,
    /// A machine sleeps.
    Suspend,
    /// Clocks run at another rate.
    Rates,
    /// The wall clock is set.
    WallStep,
    /// A process is killed; another one starts.
    Restart,
}

impl Weather {
    pub fn new(random: &mut Random) -> Self {
        let faults = [Fault::Cut, Fault::Pause, Fault::Suspend, Fault::Rates, Fault::WallStep, Fault::Restart];
        let faults = faults.map(|fault| (fault, if random.chance(0.3) { 0.0 } else { random.between(0.1, 1.0) }));
        Self {
            loss: random.pick(&[0.0, 0.01, 0.03, 0.08]),
            repeats: random.pick(&[0.0, 0.03]),
            slow: random.pick(&[0.0, 0.02, 0.1, 0.3]),
            slow_most: random.pick(&[1.0, 4.0, 15.0]),
            fault_gap: random.between(0.4, 2.5),
            faults,
            cut_most: random.pick(&[3.0, 12.0, 25.0]),
            stop_most: random.pick(&[2.0, 8.0, 18.0]),
            extreme_rates: random.chance(0.5),
            wild_rates: random.chance(0.3),
            same_lease: random.chance(0.5).then(|| random.pick(&LEASES)),
        }
    }
    fn delay(&self, random: &mut Random) -> Duration {
        if random.chance(self.slow) { random.time(0.1, self.slow_most) } else { random.wait(0.01) }
    }
    fn fault(&self, random: &mut Random) -> Option<Fault> {
        let sum: f64 = self.faults.iter().map(|(_, weight)| weight).sum();
        let mut at = random.share() * sum;
        self.faults.iter().find_map(|(fault, weight)| {
            at -= weight;
            (at < 0.0).then_some(*fault)
        })
    }
}

/// A way that a message can take.
#[derive(Clone, Copy)]
enum Way {
    ToAuthority,
    FromAuthority,
}

/// A machine's clocks, in seconds.
struct Clocks {
    monotonic: f64,
    raw: f64,
    boot: f64,
    wall: f64,
    /// `CLOCK_MONOTONIC` and what hangs on it; `CLOCK_MONOTONIC_RAW`, by which a sleep is measured too.
    rate: f64,
    raw_rate: f64,
    read_at: f64,
}

/// A machine: clocks, a network connection, and a process of ours.
pub(super) struct Machine {
    clocks: RefCell<Clocks>,
    pub is_suspended: Cell<bool>,
    /// Until when nothing gets through to the authority, and from it.
    cut_until: [Cell<Duration>; 2],
    pub lease: Duration,
    process: RefCell<Option<Rc<Process>>>,
}

impl Machine {
    pub fn new(weather: &Weather, random: &mut Random) -> Self {
        let clocks =
            Clocks { monotonic: UPTIME, raw: UPTIME, boot: UPTIME, wall: WALL, rate: 1.0, raw_rate: 1.0, read_at: 0.0 };
        let machine = Self {
            clocks: RefCell::new(clocks),
            is_suspended: Cell::default(),
            cut_until: Default::default(),
            lease: weather.same_lease.unwrap_or_else(|| random.pick(&LEASES)),
            process: RefCell::default(),
        };
        machine.change_rates(weather, random, Duration::ZERO);
        machine
    }
    pub fn process(&self) -> Rc<Process> {
        Rc::clone(self.process.borrow().as_ref().unwrap())
    }
    pub fn process_put(&self, process: Rc<Process>) {
        *self.process.borrow_mut() = Some(process);
    }
    /// Its process holds the simulation, which holds it.
    pub fn clear(&self) {
        self.process.borrow_mut().take();
    }

    fn clocks(&self, now: Duration) -> std::cell::RefMut<'_, Clocks> {
        let mut clocks = self.clocks.borrow_mut();
        let passed = now.as_secs_f64() - clocks.read_at;
        clocks.read_at += passed;
        let (slewed, raw) = (passed * clocks.rate, passed * clocks.raw_rate);
        if self.is_suspended.get() {
            clocks.boot += raw;
            clocks.wall += raw;
        } else {
            clocks.monotonic += slewed;
            clocks.raw += raw;
            clocks.boot += slewed;
            clocks.wall += slewed;
        }
        clocks
    }
    fn change_rates(&self, weather: &Weather, random: &mut Random, now: Duration) {
        let mut clocks = self.clocks(now);
        clocks.raw_rate = random.rate(RATE_ERROR, weather.extreme_rates);
        clocks.rate = if weather.wild_rates {
            random.rate(WILD_ERROR, weather.extreme_rates)
        } else if random.chance(0.7) {
            clocks.raw_rate
        } else {
            random.rate(RATE_ERROR, weather.extreme_rates)
        };
    }
    /// What a node's lease is measured with.
    pub fn instant(&self, now: Duration, mutant: Option<Mutant>) -> LeaseInstant {
        let clocks = self.clocks(now);
        let [boot, raw, monotonic, wall] = [clocks.boot, clocks.raw, clocks.monotonic, clocks.wall].map(nanos);
        match mutant {
            Some(Mutant::Mono) => LeaseInstant::from_clocks(monotonic, raw, monotonic),
            Some(Mutant::Wall) => LeaseInstant::of(wall, wall),
            Some(Mutant::Slewed) => LeaseInstant::of(boot, boot),
            _ => LeaseInstant::from_clocks(boot, raw, monotonic),
        }
    }
    /// What whoever waits measures with.
    pub fn reading(&self, now: Duration, mutant: Option<Mutant>) -> Reading {
        let clocks = self.clocks(now);
        let [monotonic, raw] = [clocks.monotonic, clocks.raw].map(Duration::from_secs_f64);
        match mutant {
            Some(Mutant::FastWait) => Reading { monotonic, raw: monotonic },
            _ => Reading { monotonic, raw },
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

impl Simulation {
    /// How long a message takes; `None` if it is lost.
    fn travels(&self, machine: usize, way: Way) -> Option<Duration> {
        let mut random = self.random.borrow_mut();
        let is_cut = self.machines[machine].cut_until[way as usize].get() > self.now();
        if is_cut || random.chance(self.weather.loss) { None } else { Some(self.weather.delay(&mut random)) }
    }
}

/// A transaction's way to the authority and back. What is not sent back in the end is heard of as a broken connection.
pub(super) async fn travel<T>(
    simulation: Rc<Simulation>,
    machine: usize,
    mut transaction: impl FnMut(&mut Authority) -> T,
    answer: oneshot::Sender<T>,
) {
    let Some(delay) = simulation.travels(machine, Way::ToAuthority) else {
        sleep(BROKEN_AFTER).await;
        return;
    };
    sleep(delay).await;
    let result = simulation.transact(&mut transaction);
    let back = simulation.travels(machine, Way::FromAuthority);
    sleep(back.unwrap_or(BROKEN_AFTER)).await;
    if back.is_some() {
        // Nobody may wait for it any more.
        let _ = answer.send(result);
    }
    let repeats = simulation.random.borrow_mut().chance(simulation.weather.repeats);
    if repeats && let Some(delay) = simulation.travels(machine, Way::ToAuthority) {
        sleep(delay).await;
        simulation.transact(&mut transaction);
    }
}

impl Simulation {
    fn transact<T>(self: &Rc<Self>, transaction: &mut impl FnMut(&mut Authority) -> T) -> T {
        let result = transaction(&mut self.authority.borrow_mut());
        let hint = self.authority.borrow_mut().hint.take();
        for machine in 0..self.machines.len() {
            let is_awaited = match hint {
                Some(Hint::Change) => true,
                Some(Hint::Acknowledgement) => self.process(machine).confirming.get() > 0,
                None => false,
            };
            if let Some(hint) = hint
                && is_awaited
                && let Some(delay) = self.travels(machine, Way::FromAuthority)
            {
                let simulation = Rc::clone(self);
                spawn_local(async move {
                    sleep(delay).await;
                    simulation.process(machine).told(hint);
                });
            }
        }
        result
    }
}

/// Faults, one after the other, for as long as the run lasts.
pub(super) async fn faults(simulation: Rc<Simulation>) {
    loop {
        let gap = simulation.random.borrow_mut().wait(simulation.weather.fault_gap);
        sleep(gap).await;
        let fault = simulation.weather.fault(&mut simulation.random.borrow_mut());
        if let Some(fault) = fault {
            strike(&simulation, fault);
        }
    }
}

fn strike(simulation: &Rc<Simulation>, fault: Fault) {
    let (weather, now) = (&simulation.weather, simulation.now());
    let mut random = simulation.random.borrow_mut();
    let number = random.index(simulation.machines.len());
    let machine = &simulation.machines[number];
    let process = machine.process();
    match fault {
        Fault::Cut => {
            let until = now + random.time(0.3, weather.cut_most);
            for way in random.pick(&[&[0][..], &[1], &[0, 1]]) {
                machine.cut_until[*way].set(until);
            }
        }
        Fault::Pause if process.is_running() => {
            process.is_paused.set(true);
            let time = random.time(0.05, weather.stop_most);
            spawn_local(async move {
                sleep(time).await;
                process.is_paused.set(false);
                process.resume();
            });
        }
        Fault::Suspend if process.is_running() => {
            drop(machine.clocks(now));
            machine.is_suspended.set(true);
            let (time, simulation) = (random.time(0.3, weather.stop_most), Rc::clone(simulation));
            spawn_local(async move {
                sleep(time).await;
                let machine = &simulation.machines[number];
                drop(machine.clocks(simulation.now()));
                machine.is_suspended.set(false);
                machine.process().resume();
            });
        }
        Fault::Rates => machine.change_rates(weather, &mut random, now),
        Fault::WallStep => {
            machine.clocks(now).wall += random.pick(&[-3_600.0, -7.0, -3.0, 5.0, 3_600.0]);
            drop(random);
            simulation.check(&process);
        }
        Fault::Restart if process.is_running() => {
            drop(random);
            process.kill();
            node::start(simulation, number);
        }
        Fault::Pause | Fault::Suspend | Fault::Restart => {}
    }
}
