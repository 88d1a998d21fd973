//! Work that goes on when whoever asked for it has hung up. The process owns it: a stop waits for what runs.
//!
//! At most [`Background::MOST`] at once, so that nobody can pile up work by hanging up early.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinHandle},
};

use crate::services::ServiceError;

/// Where such work runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Background(Arc<Semaphore>);

impl Default for Background {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(Self::MOST)))
    }
}

/// There is as much work as there may be, or the process is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

impl Background {
    /// The most at once.
    pub const MOST: usize = 64;

    /// Begins some work. The handle may be dropped: the work goes on.
    pub(crate) fn begin<F>(&self, work: F) -> Result<JoinHandle<F::Output>, Busy>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| Busy)?;
        Ok(tokio::spawn(async move {
            let output = work.await;
            drop(permit);
            output
        }))
    }
    /// Begins nothing any more, and waits for what runs, for at most this long; whether all of it has ended.
    pub async fn finish(&self, at_most: Duration) -> bool {
        let all = u32::try_from(Self::MOST).unwrap_or(u32::MAX);
        let ended = tokio::time::timeout(at_most, self.0.acquire_many(all)).await.is_ok();
        self.0.close();
        ended
    }
}

/// The result of work that was waited for. A panic in it is one of whoever waits.
pub(crate) fn outcome<T, E: From<ServiceError>>(joined: Result<Result<T, E>, JoinError>) -> Result<T, E> {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // Nobody aborts it but a runtime that is going away.
        Err(_) => Err(ServiceError::State("the process is stopping").into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_what_runs_and_nothing_begins_after_it() {
        let background = Background::default();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let handle = background.begin(async move { gone.await.is_ok() }).unwrap();
        assert!(!background.finish(Duration::from_millis(1)).await);
        assert_eq!(background.begin(async {}).unwrap_err(), Busy);
        go.send(()).unwrap();
        assert!(handle.await.unwrap());
    }

    #[tokio::test]
    async fn there_is_never_more_than_there_may_be() {
        let background = Background::default();
        let (go, gone) = tokio::sync::watch::channel(false);
        for _ in 0..Background::MOST {
            let mut gone = gone.clone();
            drop(background.begin(async move { gone.wait_for(|gone| *gone).await.is_ok() }).unwrap());
        }
        assert_eq!(background.begin(async {}).unwrap_err(), Busy);
        go.send(true).unwrap();
        assert!(background.finish(Duration::from_secs(30)).await);
    }
}
