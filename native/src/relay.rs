//! `punchline relay`: relay, rendezvous point, STUN server and web host in one process.

mod advertise;
mod announce;
mod behaviour;
mod book;
mod circuits;
mod event;
mod events;
pub(crate) mod limits;
mod listen;
mod networks;
mod reach;
mod reservations;
mod silent;
mod state;
mod stun;

use std::{
    collections::HashSet,
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{FutureExt, StreamExt};
use libp2p::{Multiaddr, PeerId, Swarm, core::transport::ListenerId, multiaddr::Protocol};
use punchline::{
    config::Bootstrap, event::Event, protocols::rendezvous::server::Server as Rendezvous,
};
use tokio::{net::UdpSocket, sync::watch, task::JoinSet, time};

use self::{
    behaviour::Behaviour,
    book::Book,
    event::{Line, RelayEvent},
    listen::{Servers, WebRtcOnIpv6},
    silent::Silent,
    state::State,
};
use crate::{
    cli::Settings,
    common::{
        os,
        output::{self, Output},
        signals::{self, Stop},
    },
    http::{
        self, bootstrap,
        page::{Page, Readiness},
        slots::Slots,
    },
};

/// Listeners that are bound but have found no address by then don't keep us from being ready: a
/// machine may have no network yet.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long peers may take to see that we close.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a relay until it is asked to stop.
pub(crate) async fn run(settings: Settings, mut stop: Stop) -> anyhow::Result<()> {
    let mut relay = Relay::start(settings)?;
    let stdout_closed = relay.output.closed();
    tokio::select! {
        () = signals::asked(&mut stop) => {}
        () = stdout_closed => {}
        never = relay.run() => match never {},
    }
    relay.stop().await;
    Ok(())
}

struct Relay {
    swarm: Swarm<Behaviour>,
    output: Output,
    json: bool,
    /// Holds the lock on the data directory.
    _state: State,
    /// HTTP and STUN; they end with us.
    servers: JoinSet<()>,
    http_port: u16,
    page: Page,
    bootstrap: watch::Sender<Bootstrap>,
    /// What the operator wants advertised; else it is chosen from `listening`.
    announce: Vec<Multiaddr>,
    listening: Vec<Multiaddr>,
    advertised: Vec<Multiaddr>,
    webrtc_on_ipv6: Option<WebRtcOnIpv6>,
    /// Listeners that have not reported an address; `None` once we are ready.
    awaited: Option<HashSet<ListenerId>>,
    rendezvous: Rendezvous,
    book: Book,
    silent: Silent,
}

impl Relay {
    /// Opens everything that can fail, then says that it started.
    fn start(settings: Settings) -> anyhow::Result<Self> {
        warn_of_few_files(settings.limits.files());
        let page = Page::find(settings.www.as_deref())?;
        let state = State::load(&settings.key, settings.port)?;
        let peer_id = state.key.public().to_peer_id();
        let announce = announce::resolve(
            &settings.announce,
            peer_id,
            &state.certificate.fingerprint(),
        )?;
        let certificate = settings.webrtc_direct.then(|| state.certificate.clone());
        let limits = &settings.limits;
        let book = Book::new(limits);
        let mut swarm = behaviour::swarm(state.key.clone(), certificate, limits, &book)?;
        let third = if settings.port == 0 {
            0
        } else {
            settings.port + 2
        };
        let listeners = listen::start(&mut swarm, settings.port, settings.webrtc_direct)?;
        let sockets = listen::servers(third)?;
        let (bootstrap, served) = watch::channel(Bootstrap {
            peer_id,
            addresses: Vec::new(),
            namespace: settings.namespace,
            version: env!("CARGO_PKG_VERSION").into(),
            stun_ports: stun_ports(&sockets.stun),
        });
        let mut relay = Self {
            swarm,
            output: Output::stdout().context("cannot start the output thread")?,
            json: settings.json,
            _state: state,
            servers: JoinSet::new(),
            http_port: 0,
            page,
            bootstrap,
            announce,
            listening: Vec::new(),
            advertised: Vec::new(),
            webrtc_on_ipv6: settings.webrtc_direct.then(WebRtcOnIpv6::default),
            awaited: Some(listeners.into_iter().collect()),
            rendezvous: Rendezvous::new(limits.rendezvous()),
            book,
            silent: Silent::default(),
        };
        relay.say(Event::Started { peer_id });
        let slots = Slots::new(
            limits.max_http_connections,
            limits.http_connections_of_network(),
        );
        relay.serve(sockets, served, &slots)?;
        for address in relay.announce.clone() {
            relay.say(Event::ExternalAddress { address });
        }
        relay.advertise();
        Ok(relay)
    }

    /// Starts HTTP and STUN.
    fn serve(
        &mut self,
        sockets: Servers,
        bootstrap: watch::Receiver<Bootstrap>,
        slots: &Arc<Slots>,
    ) -> anyhow::Result<()> {
        let bootstrap = bootstrap::Source {
            bootstrap,
            announced: !self.announce.is_empty(),
        };
        for listener in sockets.http {
            let address = listener.local_addr()?;
            if self.http_port == 0 {
                self.http_port = address.port();
            }
            let url = format!("http://{}", as_local(address));
            self.say(RelayEvent::Http { url });
            let router = http::router(bootstrap.clone(), self.page.clone());
            self.servers
                .spawn(http::serve(listener, router, slots.clone()));
        }
        for socket in sockets.stun {
            let address = as_local(socket.local_addr()?).to_string();
            self.say(RelayEvent::Stun { address });
            self.servers.spawn(stun::serve(socket));
        }
        Ok(())
    }

    async fn run(&mut self) -> Infallible {
        let deadline = time::sleep(ADDRESS_TIMEOUT);
        tokio::pin!(deadline);
        loop {
            if self.awaited.as_ref().is_some_and(HashSet::is_empty) {
                self.on_every_pending_event();
                self.ready();
            }
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                () = &mut deadline, if self.awaited.is_some() => self.ready(),
                () = until(self.rendezvous.poll_timeout()) => self.on_registrations_due(),
            }
        }
    }

    /// A listener has reported one address; the others are there too, or nearly so.
    fn on_every_pending_event(&mut self) {
        while let Some(event) = self.swarm.select_next_some().now_or_never() {
            self.on_swarm_event(event);
        }
    }

    /// Every listener is up.
    fn ready(&mut self) {
        self.awaited = None;
        self.say(Event::Ready {});
        if !self.json {
            let host = announce::host(&self.advertised);
            let url = format!("http://{host}:{}", self.http_port);
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

    /// Tells the swarm and `/bootstrap.json` what to advertise now.
    fn advertise(&mut self) {
        let wanted = match self.announce.is_empty() {
            true => advertise::choose(&self.listening),
            false => self.announce.clone(),
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

    fn say(&mut self, line: impl Into<Line>) {
        let line = line.into();
        if !self.json {
            if let Some(text) = line.text(self.book.counts(self.rendezvous.registrations())) {
                self.output.line(text);
            }
            return;
        }
        match line.json() {
            Ok(json) => self.output.line(json),
            Err(error) => tracing::error!(%error, "an event has no JSON form"),
        }
    }

    /// Closes connections, so that peers know at once, and writes what is left to be said.
    async fn stop(mut self) {
        self.servers.abort_all();
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
        self.output.finish();
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Of IPv4: with fixed ports IPv6 has the same.
fn stun_ports(sockets: &[UdpSocket]) -> Vec<u16> {
    let addresses = sockets.iter().filter_map(|s| s.local_addr().ok());
    addresses
        .filter(SocketAddr::is_ipv4)
        .map(|a| a.port())
        .collect()
}

fn warn_of_few_files(needed: u64) {
    if let Some(files) = os::raise_open_files()
        && files < needed
    {
        output::complain(&format!(
            "warning: this process may open {files} files; --max-connections may need {needed}: raise `ulimit -n` or LimitNOFILE"
        ));
    }
}

/// How this machine itself would reach a socket that is bound to every interface.
fn as_local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    address.clone().with(Protocol::P2p(peer))
}
