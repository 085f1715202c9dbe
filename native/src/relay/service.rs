//! What a service manager hears of a relay: that it is ready, that it still runs, and that it stops
//! ([sd_notify](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html)).
//!
//! Where nobody asked for it by `NOTIFY_SOCKET`, nothing is said.

use std::time::Duration;

use tokio::time::Interval;

use crate::common::{
    every,
    os::{self, Word},
};

/// Of the time after which a service manager takes the relay for dead, it says that it runs after this part.
const PART: u32 = 3;
/// A shorter time is not asked for by anybody who wants his relay to do something else, too.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Says that the relay still runs, for as long as it is polled.
#[derive(Debug)]
pub(crate) struct Watchdog(Option<Interval>);

impl Watchdog {
    /// Asks the service manager how often it wants to hear that.
    pub(crate) fn new() -> Self {
        Self(os::watchdog().map(|time| every((time / PART).max(MIN_INTERVAL))))
    }

    /// Says it once more when it is due.
    pub(crate) async fn tick(&mut self) {
        match &mut self.0 {
            Some(due) => {
                due.tick().await;
                os::tell_service_manager(Word::Alive);
            }
            None => std::future::pending().await,
        }
    }
}

pub(crate) fn ready() {
    os::tell_service_manager(Word::Ready);
}

pub(crate) fn stopping() {
    os::tell_service_manager(Word::Stopping);
}
