//! Ctrl-C, SIGTERM and a closed terminal (SIGHUP): the first asks to stop, the second ends the process at once.

use anyhow::Context;
use tokio::sync::watch;

use super::os;

/// Exit status after a second request: what a shell reports for a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Becomes true when the process has been asked to stop.
pub(crate) type Stop = watch::Receiver<bool>;

/// Installs the handlers, which replace the system's own from now on.
pub(crate) fn install() -> anyhow::Result<Stop> {
    let mut signals = os::StopSignals::install().context("cannot handle signals")?;
    let (requested, stop) = watch::channel(false);
    tokio::spawn(async move {
        signals.next().await;
        requested.send_replace(true);
        signals.next().await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(stop)
}

/// Waits until the process is asked to stop.
pub(crate) async fn asked(stop: &mut Stop) {
    if stop.wait_for(|requested| *requested).await.is_err() {
        std::future::pending::<()>().await;
    }
}
