//! How a connection begins: with a remote that will be described, or with a stranger who came to a listener.

use std::{collections::VecDeque, io, sync::Arc, time::Instant};

use str0m::{
    Candidate, IceCreds, Rtc, RtcConfig, channel::ChannelConfig, config::Fingerprint, net::Protocol,
};
use tokio::time::sleep_until;

use super::{Connection, MAX_IN_FLIGHT, channels::Channels, crypto, failed};
use crate::{
    Error,
    backend::HANDSHAKE,
    platform::native::{
        Guard,
        certificate::Certificate,
        endpoint::Endpoint,
        links::Links,
        servers::Servers,
        stun::Questions,
        table::Arrival,
        turn::{self, Turn},
    },
};

impl Connection {
    /// Makes one whose remote will be known by its description.
    pub(in crate::platform::native) fn new(
        endpoints: Vec<Arc<Endpoint>>,
        servers: &Servers,
        guard: Guard,
        certificate: Option<&Certificate>,
    ) -> io::Result<Self> {
        let mut rtc = config(certificate).build(Instant::now());
        let user = rtc.direct_api().local_ice_credentials().ufrag;
        let links = Links::share(endpoints, &user)?;
        Ok(Self::with(rtc, links, guard, servers))
    }

    /// Makes one of somebody who came to a listener. He is known by the handshake that follows.
    pub(in crate::platform::native) fn of_stranger(
        arrival: Arrival,
        endpoint: Arc<Endpoint>,
        certificate: &Certificate,
    ) -> Result<Self, Error> {
        let (server, client) = (&arrival.credentials.server, &arrival.credentials.client);
        let mut rtc = config(Some(certificate))
            .set_ice_lite(true)
            .set_fingerprint_verification(false)
            .set_local_ice_credentials(creds(server, server))
            .build(Instant::now());
        let mut api = rtc.direct_api();
        api.set_ice_controlling(false);
        api.set_remote_ice_credentials(creds(client, &arrival.credentials.client_password));
        api.set_remote_fingerprint(any_certificate());
        let handshake = api.create_data_channel(handshake_channel());
        let links = Links::of(arrival, endpoint);
        let started = api.start_dtls(false);
        api.start_sctp(false);
        let mut connection = Self::with(rtc, links, Guard::default(), &Servers::default());
        started.map_err(|error| failed(&error))?;
        connection.channels.insert(HANDSHAKE, handshake, false);
        connection.advance();
        Ok(connection)
    }

    fn with(mut rtc: Rtc, links: Links, guard: Guard, servers: &Servers) -> Self {
        let now = Instant::now();
        for address in links.addresses() {
            if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
                rtc.add_local_candidate(candidate);
            }
        }
        let questions = Questions::new(&links, &servers.stun, now);
        let turns = servers.turn.iter().filter_map(|s| ask(s, now)).collect();
        let mut connection = Self {
            rtc,
            links,
            guard,
            questions,
            turns,
            pending: None,
            init: None,
            channels: Channels::default(),
            mid: String::new(),
            silent: None,
            events: VecDeque::new(),
            next: now,
            timer: Box::pin(sleep_until(now.into())),
            waker: None,
            closed: false,
        };
        connection.drain();
        connection
    }
}

/// Nothing comes of a server where this machine has no address of its family.
fn ask(server: &turn::Server, now: Instant) -> Option<Turn> {
    match Turn::ask(server, now) {
        Ok(turn) => Some(turn),
        Err(error) => {
            tracing::debug!(?server, %error, "a TURN server cannot be asked");
            None
        }
    }
}

fn config(certificate: Option<&Certificate>) -> RtcConfig {
    let config = RtcConfig::new()
        .set_crypto_provider(crypto())
        .set_sctp_max_buffered_amount(MAX_IN_FLIGHT);
    match certificate {
        Some(certificate) => config.set_dtls_cert(certificate.to_str0m()),
        None => config,
    }
}

/// Number 0 on both sides, without being announced.
pub(super) fn handshake_channel() -> ChannelConfig {
    ChannelConfig {
        negotiated: Some(0),
        ..ChannelConfig::default()
    }
}

/// str0m wants one, though it is told not to compare.
fn any_certificate() -> Fingerprint {
    Fingerprint {
        hash_func: "sha-256".to_owned(),
        bytes: vec![0; 32],
    }
}

pub(super) fn creds(user: &str, password: &str) -> IceCreds {
    IceCreds {
        ufrag: user.to_owned(),
        pass: password.to_owned(),
    }
}
