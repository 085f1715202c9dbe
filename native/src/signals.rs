//! Ctrl-C and SIGTERM: the first asks to stop, the second ends the process at once.

use anyhow::Context;
use tokio::sync::watch;

use crate::os;

/// Exit status of a process that was asked twice: what a shell reports for SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Becomes true when the process has been asked to stop.
pub(crate) type Stop = watch::Receiver<bool>;

/// Installs the handlers.
pub(crate) fn install() -> anyhow::Result<Stop> {
    let mut signals = os::StopSignals::install().context("cannot handle signals")?;
    let (asked, stop) = watch::channel(false);
    tokio::spawn(async move {
        signals.next().await;
        asked.send_replace(true);
        signals.next().await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(stop)
}

/// Waits until the process is asked to stop.
pub(crate) async fn asked(stop: &mut Stop) {
    if stop.wait_for(|asked| *asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}
