//! The timer of the event loop.

use futures_timer::Delay;
use web_time::Instant;

/// A timer that is set anew only when its deadline moves.
#[derive(Debug, Default)]
pub(super) struct Timer {
    armed: Option<(Instant, Delay)>,
}

impl Timer {
    /// Resolves at the deadline, or never if there is none.
    pub(super) async fn until(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        if self.armed.as_ref().is_none_or(|(at, _)| *at != deadline) {
            let delay = deadline.saturating_duration_since(Instant::now());
            self.armed = Some((deadline, Delay::new(delay)));
        }
        if let Some((_, delay)) = &mut self.armed {
            delay.await;
        }
        self.armed = None;
    }
}
