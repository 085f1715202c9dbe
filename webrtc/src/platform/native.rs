//! WebRTC of a native program: str0m, on UDP sockets of its own.

mod connection;
mod sockets;
mod stun;

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use parking_lot::Mutex;

pub use self::connection::{Connection, DEAD_AFTER};
pub use self::sockets::MAX_SOCKETS;
use self::sockets::Sockets;
use crate::{Error, IceServer, backend::Backend};

/// Servers that are asked by each connection.
const MAX_SERVERS: usize = 8;

/// Makes connections, each with a UDP socket for every address of the machine (at most [`MAX_SOCKETS`]). It needs a tokio
/// runtime. Clones share their servers.
#[derive(Clone, Default)]
pub struct Native {
    /// Of STUN.
    servers: Arc<Mutex<Vec<SocketAddr>>>,
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

    /// Has this asked of each candidate of a remote, before any packet is sent there. ICE sends it up to some ten packets; a
    /// candidate that is refused is as if it had not come.
    #[must_use]
    pub fn guarded(mut self, allows: impl Fn(SocketAddr) -> bool + Send + Sync + 'static) -> Self {
        self.guard = Guard(Arc::new(allows));
        self
    }

    /// Asks this server, too, for connections that are made from now on. It resolves names, which may take a while. TURN is
    /// not spoken.
    ///
    /// # Errors
    ///
    /// It is no STUN server's URL, or there is no such host.
    pub fn add_ice_server(&self, server: &IceServer) -> Result<(), Error> {
        let refused = |reason: &str| Error::Backend(format!("{}: {reason}", server.url));
        let host = server.url.strip_prefix("stun:");
        let host = host.ok_or_else(|| refused("only stun:HOST:PORT is used"))?;
        let addresses = host
            .to_socket_addrs()
            .map_err(|error| refused(&error.to_string()))?;
        self.add_stun_servers(addresses);
        Ok(())
    }

    /// The same, for addresses.
    pub fn add_stun_servers(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut servers = self.servers.lock();
        for address in addresses {
            if !servers.contains(&address) {
                // The newest are the likeliest to be there.
                if servers.len() == MAX_SERVERS {
                    servers.remove(0);
                }
                servers.push(address);
            }
        }
    }
}

impl Backend for Native {
    type Connection = Connection;

    fn open(&self) -> Result<Connection, Error> {
        let sockets = Sockets::bind().map_err(|e| Error::Backend(e.to_string()))?;
        let servers = self.servers.lock().clone();
        Ok(Connection::new(sockets, servers, self.guard.clone()))
    }
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
