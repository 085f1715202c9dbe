//! `punchline relay`: relay, rendezvous point, STUN server and web host in one process.
//!
//! [`run`] is called with [`settings::Settings`], which the command line has put together, and returns
//! when it is asked to stop. In between
//! - [`Relay::start`] ([`start`]) opens everything that can fail: the data directory ([`credentials`]), libp2p's
//!   listeners and the sockets of HTTP and STUN ([`listen`]), and puts the swarm together
//!   ([`behaviour`]). HTTP ([`http`](crate::http)) and STUN ([`stun`]) become tasks of their own, which end with the
//!   relay;
//! - [`Relay::run`] polls the swarm. Each of its events is handled in [`swarm_events`]: what there is
//!   (addresses, registrations) changes, and the operator gets a [`report`]. Reservations and circuits are
//!   [`hop`]'s, and what was refused is counted in [`refusals`](crate::common::refusals);
//! - when every listener has an address, or some seconds have passed, it reports `ready`;
//! - [`Relay::drain`] lets its peers go, if it may take the time;
//! - [`Relay::stop`] closes all connections.
//!
//! Meanwhile [`figures`] keeps a [`Watch`] up to date, for those who watch the relay by HTTP.
//!
//! ```text
//!   peers ──► transport ──► swarm ──► swarm_events ──► rendezvous point, report ──► stdout
//!                 ▲           │ asks                  └► refusals ──► stderr
//!                 │ cuts      └──► access, handshakes, network_limits, connections, hop, autonat: may it have that?
//!                 └──────────────────┘
//! ```
//!
//! Everything that a remote can make grow has a bound in [`limits`] or a constant beside what it bounds.

pub(crate) mod access;
mod advertise;
mod announce;
mod autonat;
mod behaviour;
mod credentials;
mod drain;
mod figures;
mod handshakes;
mod hop;
pub(crate) mod limits;
mod listen;
mod memory;
mod network_limits;
mod registration_rates;
mod report;
mod secure;
mod service;
pub(crate) mod settings;
mod start;
mod stun;
mod swarm_events;
mod transport;
mod unanswered_pings;

use std::{
    collections::HashSet,
    convert::Infallible,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use libp2p::{Multiaddr, PeerId, Swarm, core::transport::ListenerId, multiaddr::Protocol};
use punchline::{
    config::Bootstrap, event::Event, poll_on_wake::PollOnWake,
    protocols::rendezvous::server::Server as Rendezvous,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{self, Interval},
};

use self::{
    access::Access,
    behaviour::Behaviour,
    credentials::Credentials,
    registration_rates::RegistrationRates,
    report::{Counts, Report},
    service::Watchdog,
    settings::Settings,
    unanswered_pings::UnansweredPings,
};
use crate::{
    common::{
        log,
        output::{self, Output},
        refusals::Refusals,
        signals::{self, Stop},
    },
    http::page::{Page, Readiness},
    watch::{State, Watch},
};

/// How long `ready` waits for the listeners' addresses. A machine may have no network yet.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long peers may take to close their side when the relay stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a relay until it is asked to stop, or nobody reads stdout any more.
pub(crate) async fn run(settings: Settings, mut stop: Stop) -> anyhow::Result<()> {
    if settings.check_only {
        check(&settings)?;
        return Ok(output::print("The configuration is fine.\n")?);
    }
    let drain = settings.drain;
    let mut relay = Relay::start(settings)?;
    let stdout_closed = relay.output.closed();
    let was_asked = tokio::select! {
        () = signals::asked(&mut stop) => true,
        () = stdout_closed => false,
        never = relay.run() => match never {},
    };
    service::stopping();
    if let (true, Some(time)) = (was_asked, drain) {
        relay.drain(time).await;
    }
    relay.stop().await;
    Ok(())
}

/// Says what is wrong with settings that can be said without starting anything.
fn check(settings: &Settings) -> anyhow::Result<()> {
    Page::find(settings.www.as_deref())?;
    announce::check(settings)?;
    settings.access.load()?;
    let data_dir = credentials::directory_of(&settings.key, settings.port);
    let check = |tls| secure::check(tls, data_dir.as_deref());
    settings.tls.as_ref().map_or(Ok(()), check)
}

struct Relay {
    swarm: Swarm<PollOnWake<Behaviour>>,
    output: Output,
    /// Whether reports are NDJSON rather than text.
    json: bool,
    access: Access,
    /// Holds the lock on the data directory.
    _credentials: Credentials,
    /// HTTP and STUN, and who looks at the lists of who may use the relay.
    servers: JoinSet<()>,
    http_port: u16,
    /// By what name browsers come over TLS, if they do.
    secure: Option<secure::Name>,
    page: Page,
    /// What `/bootstrap.json` answers.
    bootstrap: watch::Sender<Bootstrap>,
    /// The addresses that the operator wants advertised. If there are none, they are chosen from
    /// `listening`.
    announced: Vec<Multiaddr>,
    listening: Vec<Multiaddr>,
    advertised: Vec<Multiaddr>,
    /// Listeners that have not reported an address; `None` once the relay is ready.
    listeners_without_address: Option<HashSet<ListenerId>>,
    rendezvous: Rendezvous,
    registration_rates: RegistrationRates,
    refusals: Refusals,
    watch: Watch,
    unanswered_pings: UnansweredPings,
    watchdog: Watchdog,
    refusals_due: Interval,
}

impl Relay {
    async fn run(&mut self) -> Infallible {
        let deadline = time::sleep(ADDRESS_TIMEOUT);
        tokio::pin!(deadline);
        loop {
            if self
                .listeners_without_address
                .as_ref()
                .is_some_and(HashSet::is_empty)
            {
                self.handle_pending_events();
                self.ready();
            }
            let is_starting = self.listeners_without_address.is_some();
            tokio::select! {
                () = self.work() => {}
                () = &mut deadline, if is_starting => self.ready(),
            }
        }
    }

    /// Does the next thing that there is to do, until the relay is stopped.
    async fn work(&mut self) {
        tokio::select! {
            event = self.swarm.select_next_some() => self.on_swarm_event(event),
            () = until(self.rendezvous.poll_timeout()) => self.on_registrations_due(),
            () = self.access.changed() => self.on_new_rules(),
            () = self.watchdog.tick() => {}
            _ = self.refusals_due.tick() => {
                self.refusals.report();
                log::report_left_out();
            }
        }
    }

    /// Handles the events that are there already. Each listener has reported one address, and its others
    /// follow at once.
    fn handle_pending_events(&mut self) {
        while let Some(event) = self.swarm.select_next_some().now_or_never() {
            self.on_swarm_event(event);
        }
    }

    /// Reports that every listener is up.
    fn ready(&mut self) {
        self.listeners_without_address = None;
        self.watch.set_state(State::Ready);
        self.report(Event::Ready {});
        service::ready();
        if !self.json {
            let url = match &self.secure {
                Some(name) => name.url(),
                None => {
                    let host = announce::host(&self.advertised);
                    format!("http://{host}:{}", self.http_port)
                }
            };
            self.output
                .line(format!("Peers join with: punchline --relay {url}"));
            self.output.line(match self.page.readiness() {
                Readiness::Built => format!("Browsers join at: {url}"),
                Readiness::NotBuilt => {
                    format!("Browsers join at: {url} (not built yet: cargo xtask web)")
                }
                Readiness::Missing => "No page for browsers: --www DIR names one".into(),
            });
        }
    }

    /// Brings the swarm and `/bootstrap.json` up to date with the addresses to advertise.
    fn advertise(&mut self) {
        let wanted = match self.announced.is_empty() {
            true => advertise::choose(&self.listening, self.secure.as_ref()),
            false => self.announced.clone(),
        };
        if wanted == self.advertised {
            return;
        }
        for gone in self.advertised.iter().filter(|a| !wanted.contains(a)) {
            self.swarm.remove_external_address(gone);
        }
        // The swarm's behaviours keep the latest first.
        for address in wanted.iter().rev() {
            self.swarm.add_external_address(address.clone());
        }
        let peer_id = *self.swarm.local_peer_id();
        let full = wanted.iter().map(|a| with_peer(a, peer_id)).collect();
        self.bootstrap.send_modify(|b| b.addresses = full);
        self.advertised = wanted;
    }

    fn report(&mut self, report: impl Into<Report>) {
        let report = report.into();
        if !self.json {
            if let Some(text) = report.text(self.counts()) {
                self.output.line(text);
            }
            return;
        }
        match report.json() {
            Ok(json) => self.output.line(json),
            Err(error) => tracing::error!(%error, "an event has no JSON form"),
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            registrations: self.rendezvous.registrations(),
            reservations: self.swarm.behaviour().0.hop.reserved_peers(),
            circuits: self.swarm.behaviour().0.hop.circuits(),
        }
    }

    /// Closes connections, so that peers know at once, and writes the last reports. Until then it answers that it is not
    /// ready any more.
    async fn stop(mut self) {
        self.watch.set_state(State::Stopping);
        self.refusals.report();
        log::report_left_out();
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.network_info().num_peers() > 0 {
                let event = self.swarm.select_next_some().await;
                self.on_swarm_event(event);
            }
        };
        if time::timeout(STOP_TIMEOUT, closed).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        self.servers.abort_all();
        self.output.finish();
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    address.clone().with(Protocol::P2p(peer))
}
