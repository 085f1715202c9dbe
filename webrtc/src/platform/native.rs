//! WebRTC of a native program: str0m, on UDP sockets that all connections share.

mod certificate;
mod connection;
mod credentials;
mod endpoint;
mod links;
mod listener;
mod routes;
mod servers;
mod strangers;
mod stun;
mod table;
mod turn;

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
};

use libp2p::Multiaddr;
use parking_lot::Mutex;

pub use self::{
    certificate::Certificate,
    connection::{Connection, DEAD_AFTER},
    links::MAX_ADDRESSES,
    listener::Listener,
    routes::{MAX_QUESTIONS, MAX_SOURCES},
    strangers::MAX_STRANGERS,
    table::{MAX_HANDSHAKES, MAX_PACKETS},
    turn::MAX_PERMISSIONS,
};
use self::{endpoint::Endpoint, servers::Servers};
use crate::{
    Error, IceServer,
    backend::{Backend, Listen},
    direct::{Fingerprint, socket_in},
};

/// Addresses outside at which our sockets are reached.
const MAX_OUTSIDE: usize = 8;

/// Makes connections. They share the sockets that it listens on, or one for each family of addresses where it listens
/// nowhere. It needs a tokio runtime. Clones share their servers and sockets.
#[derive(Clone, Default)]
pub struct Native {
    servers: Arc<Mutex<Servers>>,
    sockets: Arc<Mutex<Vec<Weak<Endpoint>>>>,
    /// Where they are reached from outside.
    outside: Arc<Mutex<Vec<SocketAddr>>>,
    certificate: Option<Certificate>,
    guard: Guard,
}

/// Says whether packets may be sent to where a remote says that it is. Remotes are strangers, and may name somebody else.
#[derive(Clone)]
struct Guard(Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>);

impl Default for Guard {
    fn default() -> Self {
        Self(Arc::new(|_| true))
    }
}

impl Native {
    /// Makes one that asks no server yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows this certificate to everybody. Without it a listener makes one up, and so does each connection.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Has this asked of each candidate of a remote, before any packet is sent there. ICE sends it up to some ten packets; a
    /// candidate that is refused is as if it had not come.
    #[must_use]
    pub fn guarded(mut self, allows: impl Fn(SocketAddr) -> bool + Send + Sync + 'static) -> Self {
        self.guard = Guard(Arc::new(allows));
        self
    }

    /// Asks this server, too, for connections that are made from now on. It resolves names, which may take a while. TURN is
    /// spoken over UDP alone.
    ///
    /// # Errors
    ///
    /// It is no URL of STUN or TURN, there is no such host, or a TURN server has no user and password.
    pub fn add_ice_server(&self, server: &IceServer) -> Result<(), Error> {
        let add = servers::find(server)?;
        add(&mut self.servers.lock());
        Ok(())
    }

    /// The same, for addresses of STUN servers.
    pub fn add_stun_servers(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut servers = self.servers.lock();
        for address in addresses {
            servers.add_stun(address);
        }
    }
}

impl Native {
    /// The sockets that there are, or new ones.
    fn endpoints(&self) -> io::Result<Vec<Arc<Endpoint>>> {
        let mut sockets = self.sockets.lock();
        let open: Vec<_> = sockets.iter().filter_map(Weak::upgrade).collect();
        if !open.is_empty() {
            return Ok(open);
        }
        let any = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let bound = any.map(|ip| Endpoint::bind(SocketAddr::new(ip, 0)));
        // A machine may have one family alone.
        let (open, refused): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
        let open: Vec<_> = open.into_iter().flatten().map(Arc::new).collect();
        if let (true, Some(Err(error))) = (open.is_empty(), refused.into_iter().next()) {
            return Err(error);
        }
        *sockets = open.iter().map(Arc::downgrade).collect();
        Ok(open)
    }
}

impl Backend for Native {
    type Connection = Connection;

    const TAKES_USERS: bool = true;

    fn reached_at(&self, address: &Multiaddr, is_so: bool) {
        let Some(socket) = socket_in(address) else {
            return;
        };
        let mut outside = self.outside.lock();
        outside.retain(|known| *known != socket);
        if is_so && outside.len() < MAX_OUTSIDE {
            outside.push(socket);
        }
    }

    fn open(&self) -> Result<Connection, Error> {
        let servers = self.servers.lock().clone();
        let guard = self.guard.clone();
        let endpoints = self.endpoints();
        let connection = endpoints.and_then(|endpoints| {
            Connection::new(endpoints, &servers, guard, self.certificate.as_ref())
        });
        let mut connection = connection.map_err(|error| failed(&error))?;
        connection.add_outside(&self.outside.lock());
        Ok(connection)
    }
}

impl Listen for Native {
    type Listener = Listener;

    fn listen(&self, at: SocketAddr) -> Result<Listener, Error> {
        let certificate = match &self.certificate {
            Some(certificate) => certificate.clone(),
            None => Certificate::random()?,
        };
        let endpoint = Endpoint::bind(at).map_err(|error| failed(&error))?;
        let endpoint = Arc::new(endpoint);
        let mut sockets = self.sockets.lock();
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(&endpoint));
        Listener::new(endpoint, certificate).map_err(|error| failed(&error))
    }

    fn remote_fingerprint(connection: &mut Connection) -> Option<Fingerprint> {
        connection.remote_fingerprint()
    }
}

fn failed(error: &io::Error) -> Error {
    Error::Backend(error.to_string())
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}
