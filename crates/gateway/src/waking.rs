//! Wakes that a task would give itself.
//!
//! A client's connection, the request on it and the upstream's connection under that are one task here, which looks at all
//! three whenever it runs. hyper's halves talk through channels that wake whoever may wait at the other end: the very
//! task that runs. Each such wake made it run once more, for nothing: two of four runs of a plain request.
//!
//! Invariant: a wake is held back only from the task that asks, only while it takes something out of a channel, and it
//! either looks at the channel's other end before it waits or gives itself the wake after all.

use std::{
    cell::Cell,
    sync::Arc,
    task::{Wake, Waker},
};

thread_local! {
    static HOLDING: Cell<Holding> = const { Cell::new(Holding::No) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holding {
    No,
    /// Wakes of this thread are held back;
    Yes,
    /// and one was.
    HeldBack,
}

/// Runs `poll` and holds back what would wake a task with an [`OwnWaker`] from inside; whether anything was.
pub(crate) fn quietly<T>(poll: impl FnOnce() -> T) -> (T, bool) {
    let holding = Restore(HOLDING.replace(Holding::Yes));
    let polled = poll();
    let held_back = HOLDING.get() == Holding::HeldBack;
    drop(holding);
    (polled, held_back)
}

/// Also when `poll` panics.
struct Restore(Holding);

impl Drop for Restore {
    fn drop(&mut self) {
        HOLDING.set(self.0);
    }
}

/// A task's waker as everything below it sees it.
#[derive(Default)]
pub(crate) struct OwnWaker(Option<(Arc<Inner>, Waker)>);

struct Inner(Waker);

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        match HOLDING.get() {
            Holding::No => self.0.wake_by_ref(),
            Holding::Yes | Holding::HeldBack => HOLDING.set(Holding::HeldBack),
        }
    }
}

impl OwnWaker {
    /// Around the waker with which the task runs now: made once, since a task keeps its waker.
    pub fn around(&mut self, task: &Waker) -> &Waker {
        let known = self.0.take().filter(|(inner, _)| inner.0.will_wake(task));
        let (_, own) = self.0.insert(known.unwrap_or_else(|| {
            let inner = Arc::new(Inner(task.clone()));
            let own = Waker::from(Arc::clone(&inner));
            (inner, own)
        }));
        own
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_wake_is_held_back_from_inside_alone() {
        let count = Arc::new(Count::default());
        let woken = || count.0.load(Ordering::Relaxed);
        let mut own = OwnWaker::default();
        let waker = own.around(&Waker::from(Arc::clone(&count))).clone();
        waker.wake_by_ref();
        assert_eq!(woken(), 1);
        assert_eq!(quietly(|| waker.wake_by_ref()), ((), true));
        assert_eq!(quietly(|| ()), ((), false));
        assert_eq!(woken(), 1);
        // Another thread's wake is never held back.
        quietly(|| std::thread::scope(|scope| drop(scope.spawn(|| waker.wake_by_ref()).join())));
        assert_eq!(woken(), 2);
        let panicked = std::panic::catch_unwind(|| quietly(|| panic!("inside")));
        assert!(panicked.is_err());
        waker.wake();
        assert_eq!(woken(), 3, "nothing is held back behind a panic");
    }

    #[test]
    fn another_task_has_another_waker() {
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        let mut own = OwnWaker::default();
        for count in &counts {
            own.around(&Waker::from(Arc::clone(count))).wake_by_ref();
        }
        assert!(counts.iter().all(|count| count.0.load(Ordering::Relaxed) == 1));
    }
}
