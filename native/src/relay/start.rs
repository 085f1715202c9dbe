//! How a relay comes up: everything that can fail, in an order that leaves nothing behind when it does.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context;
use punchline::{
    config::Bootstrap, event::Event, name::PeerName,
    protocols::rendezvous::server::Server as Rendezvous,
};
use tokio::{net::UdpSocket, sync::watch, task::JoinSet};

use super::{
    Relay, access, announce, behaviour, credentials,
    credentials::Credentials,
    figures,
    listen::{self, Sockets},
    memory::{self, Memory},
    registration_rates::RegistrationRates,
    report::RelayEvent,
    secure::Front,
    service::Watchdog,
    settings::Settings,
    stun,
    unanswered_pings::UnansweredPings,
};
use crate::{
    common::{
        every, os,
        output::{self, Output},
        proxies::TrustedProxies,
        refusals::{self, Refusals},
    },
    http::{
        self, bootstrap,
        connection_limit::ConnectionLimit,
        page::Page,
        websocket::{self, Doorway},
    },
    watch::{Figures, Watch},
};

/// What HTTP and STUN serve, and by what.
struct Serving {
    sockets: Sockets,
    front: Option<Front>,
    doorway: Doorway,
    bootstrap: watch::Receiver<Bootstrap>,
    limit: Arc<ConnectionLimit>,
    proxies: TrustedProxies,
}

impl Relay {
    /// Opens everything that can fail, then reports that the relay has started.
    pub(super) fn start(settings: Settings) -> anyhow::Result<Self> {
        let limits = &settings.limits;
        warn_of_few_files(limits.open_files());
        let page = Page::find(settings.www.as_deref())?;
        announce::check(&settings)?;
        let front = front(&settings)?;
        let (access, keeper) = settings.access.load()?;
        let mut servers = JoinSet::new();
        servers.spawn(access::keep_up(keeper));
        let memory = Memory::default();
        servers.spawn(memory::keep_up(memory.clone(), limits.max_memory_share));
        let credentials = Credentials::load(&settings.key, settings.port)?;
        let peer_id = credentials.key.public().to_peer_id();
        let announced = announce::resolve(
            &settings.announce,
            peer_id,
            credentials.certificate.fingerprint(),
        )?;
        let certificate = settings
            .webrtc_direct
            .then(|| credentials.certificate.clone());
        let (doorway, websockets) = websocket::doorway();
        let mut swarm = behaviour::swarm(
            credentials.key.clone(),
            certificate,
            websockets,
            &settings,
            &access,
            &memory,
        )?;
        let listeners = listen::start_listeners(&mut swarm, settings.port, settings.webrtc_direct)?;
        let sockets = listen::bind_sockets(settings.port)?;
        let (bootstrap, current_bootstrap) = watch::channel(Bootstrap {
            peer_id,
            addresses: Vec::new(),
            namespace: settings.namespace,
            version: env!("CARGO_PKG_VERSION").into(),
            stun_ports: stun_ports(&sockets.stun),
        });
        let output = Output::stdout().context("cannot start the output thread")?;
        let refusals = Refusals::default();
        let connection_limit = ConnectionLimit::new(
            limits.max_http_connections,
            limits.http_connections_of_network(),
            refusals.clone(),
        );
        let sources = figures::sources(&refusals, &connection_limit, &output);
        let watch = Watch::new(settings.metrics, Figures::default(), sources);
        swarm
            .behaviour_mut()
            .0
            .hop
            .count_in(watch.figures().clone());
        let mut relay = Self {
            swarm,
            output,
            json: settings.json,
            access,
            _credentials: credentials,
            servers,
            http_port: 0,
            secure: front.as_ref().map(|front| front.name.clone()),
            page,
            bootstrap,
            announced,
            listening: Vec::new(),
            advertised: Vec::new(),
            listeners_without_address: Some(listeners.into_iter().collect()),
            rendezvous: Rendezvous::new(limits.rendezvous()),
            registration_rates: RegistrationRates::default(),
            refusals,
            watch,
            unanswered_pings: UnansweredPings::default(),
            watchdog: Watchdog::new(),
            refusals_due: every(refusals::REPORT_INTERVAL),
        };
        let name = PeerName::of(&peer_id);
        relay.report(Event::Started { peer_id, name });
        relay.serve(Serving {
            sockets,
            front,
            doorway,
            bootstrap: current_bootstrap,
            limit: connection_limit,
            proxies: settings.trusted_proxies,
        })?;
        for address in relay.announced.clone() {
            relay.report(Event::ExternalAddress { address });
        }
        relay.advertise();
        Ok(relay)
    }

    /// Starts HTTP, with TLS and without, and STUN.
    fn serve(&mut self, serving: Serving) -> anyhow::Result<()> {
        let bootstrap = bootstrap::Source {
            current: serving.bootstrap,
            is_announced: !self.announced.is_empty(),
        };
        let router = http::router(
            bootstrap,
            self.page.clone(),
            self.watch.clone(),
            serving.doorway,
        );
        let server = http::Server {
            router,
            watch: self.watch.clone(),
            limit: serving.limit,
            proxies: serving.proxies,
            tls: None,
        };
        for listener in serving.sockets.http {
            let address = listener.local_addr()?;
            if self.http_port == 0 {
                self.http_port = address.port();
            }
            let url = format!("http://{}", as_local(address));
            self.report(RelayEvent::Http { url });
            self.servers.spawn(http::serve(listener, server.clone()));
        }
        if let Some(front) = serving.front {
            self.serve_securely(front, server)?;
        }
        self.servers.spawn(self.watch.clone().keep_samples());
        for socket in serving.sockets.stun {
            let address = as_local(socket.local_addr()?).to_string();
            self.report(RelayEvent::Stun { address });
            let answers = self.watch.figures().stun_answers.clone();
            self.servers.spawn(stun::serve(socket, answers));
        }
        Ok(())
    }

    fn serve_securely(&mut self, front: Front, plain: http::Server) -> anyhow::Result<()> {
        let server = plain.secured(front.tls.acceptor()?);
        for listener in front.listeners {
            let url = format!("https://{}", as_local(listener.local_addr()?));
            self.report(RelayEvent::Http { url });
            self.servers.spawn(http::serve(listener, server.clone()));
        }
        self.servers.spawn(front.tls.keep_up());
        Ok(())
    }
}

/// Opens the port for browsers with TLS, if there is to be one.
fn front(settings: &Settings) -> anyhow::Result<Option<Front>> {
    let data_dir = credentials::directory_of(&settings.key, settings.port);
    let open = |tls| Front::open(tls, data_dir.as_deref());
    settings.tls.as_ref().map(open).transpose()
}

/// Returns the ports of IPv4, which are those of IPv6 too.
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

/// Returns the address by which this machine itself reaches a socket: loopback if the socket is bound to
/// every interface.
fn as_local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
