//! Relays that were given by URL: asks where they are until they stand, and again when they fell.

use punchline::reason::Reason;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::http::Uri;
use libp2p::PeerId;
use punchline::{config::RelayAddress, error::Stopped, event::Event, node::Node};
use tokio::{sync::watch, task, time};

use super::{bootstrap, teller::Teller};

/// The first pause between two attempts; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The relays that we hold a reservation on.
pub(crate) type Reserved = watch::Receiver<BTreeSet<PeerId>>;

/// Looks after the relay at a URL, until dropped. `place` is its number among the pending relays.
///
/// While there is no reservation the relay may be another one by now, with a new key or new ports:
/// it restarted without its data directory.
pub(crate) async fn look_after(
    place: usize,
    url: Uri,
    node: Node,
    mut reserved: Reserved,
    teller: Arc<Teller>,
) {
    let mut known: Option<RelayAddress> = None;
    let mut told = false;
    loop {
        let mut pause = FIRST_PAUSE;
        while !stands(&reserved, known.as_ref()) {
            match ask(url.clone()).await {
                Ok(found) if known.as_ref() != Some(&found) => {
                    if replace(&node, place, known.as_ref(), &found).await.is_err() {
                        return;
                    }
                    known = Some(found);
                }
                Ok(_) => {}
                // Later the node itself tells that the relay is lost.
                Err(reason) if known.is_none() && !told => {
                    told = true;
                    let message = format!("cannot reach relay {url}: {reason}; retrying");
                    let code = Reason::BootstrapFailed;
                    teller.tell(&Event::Error { code, message }).await;
                }
                Err(reason) => tracing::debug!(%url, "{reason}"),
            }
            if !wait(&mut reserved, known.as_ref(), jittered(pause)).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let lost = reserved.wait_for(|reserved| !contains(reserved, known.as_ref()));
        if lost.await.is_err() {
            return;
        }
    }
}

/// Uses the relay that is there now; the one that was there would be dialled for ever.
async fn replace(
    node: &Node,
    place: usize,
    known: Option<&RelayAddress>,
    found: &RelayAddress,
) -> Result<(), Stopped> {
    let gone = known.and_then(|known| known.peer);
    if let Some(gone) = gone.filter(|gone| found.peer != Some(*gone)) {
        node.drop_relay(gone).await?;
    }
    node.relay_found(place, found.clone()).await
}

async fn ask(url: Uri) -> Result<RelayAddress, String> {
    task::spawn_blocking(move || bootstrap::fetch(&url))
        .await
        .unwrap_or_else(|e| Err(e.to_string()))
}

/// Waits until the relay stands, or for that long. Returns whether the node still runs.
async fn wait(reserved: &mut Reserved, known: Option<&RelayAddress>, pause: Duration) -> bool {
    let stands = reserved.wait_for(|reserved| contains(reserved, known));
    match time::timeout(pause, stands).await {
        Ok(Err(_)) => false,
        Ok(Ok(_)) | Err(_) => true,
    }
}

fn stands(reserved: &Reserved, known: Option<&RelayAddress>) -> bool {
    contains(&reserved.borrow(), known)
}

fn contains(reserved: &BTreeSet<PeerId>, known: Option<&RelayAddress>) -> bool {
    known
        .and_then(|relay| relay.peer)
        .is_some_and(|peer| reserved.contains(&peer))
}

/// Between half of it and all of it: peers that lost a relay together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
