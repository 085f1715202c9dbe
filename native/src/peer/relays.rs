//! Relays that were given by URL: their addresses are fetched until there is a reservation, and again after it is
//! lost.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use axum::http::Uri;
use libp2p::PeerId;
use punchline::{
    address::{ip_of, leads_beyond},
    config::{IceServer, RelayAddress},
    error::Stopped,
    event::Event,
    node::Node,
    reason::Reason,
};
use tokio::{task, time};

use super::{connectivity::Reservations, relay_memory::RelayMemory, reporter::Reporter};
use crate::common::bootstrap;

/// The pause after the first attempt; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A relay that is found by its URL.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its number among the pending relays.
    pub(crate) place: usize,
    pub(crate) url: Uri,
    /// What it said last time.
    pub(super) memory: RelayMemory,
}

/// Keeps the node's relay for a URL up to date, until dropped.
///
/// What the URL said last time is tried at once, while it is asked again. Without a reservation the addresses are
/// fetched again and again: a relay that restarted without its data directory has another key, and maybe other ports.
pub(crate) async fn keep_up(
    Found { place, url, memory }: Found,
    node: Node,
    mut reservations: Reservations,
    reporter: Arc<Reporter>,
) {
    let mut known = memory.recall(&url);
    if let Some(known) = &known
        && node.relay_found(place, known.clone()).await.is_err()
    {
        return;
    }
    let mut reported = false;
    let mut asked = false;
    loop {
        let mut pause = FIRST_PAUSE;
        // Once in any case: it says where STUN is answered, too.
        while !asked || !contains(&reservations.borrow(), known.as_ref()) {
            let answer = fetch(url.clone()).await;
            asked = true;
            match answer.map(|found| learn_stun(&node, found)) {
                Ok(found) if known.as_ref() != Some(&found) => {
                    if replace(&node, place, known.as_ref(), &found).await.is_err() {
                        return;
                    }
                    memory.remember(&url, &found);
                    known = Some(found);
                }
                Ok(_) => {}
                // Once the relay was found the node itself reports its loss.
                Err(reason) if known.is_none() && !reported => {
                    reported = true;
                    let message = format!("cannot reach relay {url}: {reason}; retrying");
                    let code = Reason::BootstrapFailed;
                    reporter.report(&Event::Error { code, message }).await;
                }
                Err(reason) => tracing::debug!(%url, "{reason}"),
            }
            if !wait(&mut reservations, known.as_ref(), jittered(pause)).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let lost = reservations.wait_for(|held| !contains(held, known.as_ref()));
        if lost.await.is_err() {
            return;
        }
    }
}

/// Gives the node the relay that was found, and takes away one with another peer id, which it would dial for ever.
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

/// What a URL says.
struct Answer {
    relay: RelayAddress,
    /// Where it answers STUN.
    stun: Vec<SocketAddr>,
}

async fn fetch(url: Uri) -> Result<Answer, String> {
    task::spawn_blocking(move || fetch_and_resolve(&url))
        .await
        .unwrap_or_else(|e| Err(e.to_string()))
}

fn fetch_and_resolve(url: &Uri) -> Result<Answer, String> {
    let answer = bootstrap::fetch(url, bootstrap::TIMEOUT)?;
    // One port is enough to learn where we are seen.
    let port = answer.stun_ports.first().copied();
    let stun = port.map(|port| stun_servers(url, &answer.relay, port));
    Ok(Answer {
        relay: answer.relay,
        stun: stun.unwrap_or_default(),
    })
}

/// Where the relay answers STUN: at the host of its URL, and at one address of each family that it lists, for over IPv4
/// nobody learns of his address of IPv6.
fn stun_servers(url: &Uri, relay: &RelayAddress, port: u16) -> Vec<SocketAddr> {
    let host = url.host().map(|host| host.trim_matches(['[', ']']));
    let by_url = host.and_then(|host| (host, port).to_socket_addrs().ok());
    let mut servers: Vec<_> = by_url.into_iter().flatten().collect();
    let listed = relay.addresses.iter().filter(|a| leads_beyond(a));
    let listed: Vec<_> = listed.filter_map(ip_of).collect();
    for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
        if let Some(ip) = listed.iter().find(|ip| family(ip)) {
            servers.push(SocketAddr::new(*ip, port));
        }
    }
    servers
}

/// Has WebRTC ask a server that the user has named. Its host has to be looked up first.
pub(crate) async fn ask_too(server: IceServer, node: Node, reporter: Arc<Reporter>) {
    let added = task::spawn_blocking(move || node.rtc().add_ice_server(&server)).await;
    if let Ok(Err(error)) = added {
        let note = format!("browsers may not reach us directly: {error}");
        reporter.note(&note).await;
    }
}

/// Has WebRTC ask the relay where others can reach us.
fn learn_stun(node: &Node, answer: Answer) -> RelayAddress {
    node.rtc().add_stun_servers(answer.stun);
    answer.relay
}

/// Waits for a reservation, or until the pause is over. Returns whether the node still runs.
async fn wait(
    reservations: &mut Reservations,
    known: Option<&RelayAddress>,
    pause: Duration,
) -> bool {
    let held = reservations.wait_for(|held| contains(held, known));
    match time::timeout(pause, held).await {
        Ok(Err(_)) => false,
        Ok(Ok(_)) | Err(_) => true,
    }
}

fn contains(held: &BTreeSet<PeerId>, known: Option<&RelayAddress>) -> bool {
    known
        .and_then(|relay| relay.peer)
        .is_some_and(|peer| held.contains(&peer))
}

/// Between half the pause and all of it, so that peers that lost a relay together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
