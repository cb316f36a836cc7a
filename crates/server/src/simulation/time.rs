//! Simulated time: it passes by itself, a little for each moment of real time, and faster while an
//! operation on a volume is late.
//!
//! A paused clock that jumps whenever the runtime is idle will not do: the control database answers
//! from a thread of its own, and the jump would end every wait for it. So a task that blocks holds
//! the clock still, and it is moved from here, by steps that are small beside every grace.

use futures::future::BoxFuture;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use store::simulated::SimVolumes;
use tokio::task::spawn_blocking;

/// Moves the runtime's paused time on: `tokio::time::advance`, which only tests and examples have.
pub type Advance = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Real time between two steps: in it other threads can answer.
const MOMENT: Duration = Duration::from_millis(1);
const STEP: Duration = Duration::from_millis(5);
const STEP_WHILE_LATE: Duration = Duration::from_millis(25);

/// Does `work` while time passes.
pub(super) async fn pass<T>(
    volumes: &SimVolumes,
    advance: Advance,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        biased;
        done = work => done,
        never = run(volumes, advance) => match never {},
    }
}

async fn run(volumes: &SimVolumes, advance: Advance) -> Infallible {
    // Dropped with this future, which ends the wait.
    let (_hold, held) = mpsc::channel::<Infallible>();
    drop(spawn_blocking(move || held.recv()));
    loop {
        let moment = spawn_blocking(|| {
            let (_nobody, never) = mpsc::channel::<Infallible>();
            never.recv_timeout(MOMENT)
        });
        // It always ends by its time.
        drop(moment.await);
        let late = volumes.late_operations() > 0;
        advance(if late { STEP_WHILE_LATE } else { STEP }).await;
    }
}
