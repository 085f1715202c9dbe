//! The servers that connections ask for addresses.

use std::net::{SocketAddr, ToSocketAddrs};

use super::turn;
use crate::{Error, IceServer};

/// Servers of each kind that are asked by each connection.
const MAX_SERVERS: usize = 8;

/// What they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Servers {
    /// They say where they see us.
    pub(super) stun: Vec<SocketAddr>,
    /// They carry what nothing else does.
    pub(super) turn: Vec<turn::Server>,
}

/// The same, by name.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Stun(&'a str),
    Turn(&'a str),
}

impl Servers {
    pub(super) fn add_stun(&mut self, address: SocketAddr) {
        if !self.stun.contains(&address) {
            push(&mut self.stun, address);
        }
    }

    fn add_turn(&mut self, server: turn::Server) {
        self.turn.retain(|known| known.address != server.address);
        push(&mut self.turn, server);
    }
}

/// The newest are the likeliest to be there.
fn push<T>(servers: &mut Vec<T>, server: T) {
    if servers.len() == MAX_SERVERS {
        servers.remove(0);
    }
    servers.push(server);
}

/// Returns how to add a server, once its name has been looked up, which may take a while.
pub(super) fn find(server: &IceServer) -> Result<impl FnOnce(&mut Servers) + use<>, Error> {
    let refused = |reason: &str| Error::Backend(format!("{}: {reason}", server.url));
    let place = place(&server.url).map_err(refused)?;
    let (Place::Stun(host) | Place::Turn(host)) = place;
    let addresses = host.to_socket_addrs();
    let addresses: Vec<_> = addresses.map_err(|e| refused(&e.to_string()))?.collect();
    let who = match (place, &server.username, &server.credential) {
        (Place::Stun(_), ..) => None,
        (Place::Turn(_), Some(user), Some(password)) => Some((user.clone(), password.clone())),
        (Place::Turn(_), ..) => return Err(refused("TURN wants a user and a password")),
    };
    Ok(move |servers: &mut Servers| match who {
        None => addresses.into_iter().for_each(|a| servers.add_stun(a)),
        // Its addresses are those of one server, which would count each of our connections twice.
        Some((user, password)) => {
            if let Some(address) = addresses.into_iter().next() {
                servers.add_turn(turn::Server {
                    address,
                    user,
                    password,
                });
            }
        }
    })
}

/// Reads a URL of RFC 7064 or RFC 7065, with its port.
fn place(url: &str) -> Result<Place<'_>, &'static str> {
    if let Some(host) = url.strip_prefix("stun:") {
        return Ok(Place::Stun(host));
    }
    let Some(host) = url.strip_prefix("turn:") else {
        return Err("only stun:HOST:PORT and turn:HOST:PORT are used");
    };
    match host.split_once('?') {
        None => Ok(Place::Turn(host)),
        Some((host, "transport=udp")) => Ok(Place::Turn(host)),
        Some(_) => Err("TURN is spoken over UDP only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(servers: &[IceServer]) -> Servers {
        let mut all = Servers::default();
        for server in servers {
            find(server).expect("a server")(&mut all);
        }
        all
    }

    fn turn(url: &str, user: &str) -> IceServer {
        IceServer {
            username: Some(user.into()),
            credential: Some("secret".into()),
            ..IceServer::new(url)
        }
    }

    #[test]
    fn urls_say_which_server_is_asked_for_what() {
        let all = added(&[
            IceServer::new("stun:192.0.2.1:1"),
            IceServer::new("stun:192.0.2.1:1"),
            turn("turn:192.0.2.2:2", "a"),
            turn("turn:[2001:db8::1]:3?transport=udp", "b"),
            turn("turn:192.0.2.2:2", "c"),
        ]);
        assert_eq!(all.stun, ["192.0.2.1:1".parse().expect("an address")]);
        let users = all.turn.iter().map(|s| (s.address.port(), s.user.as_str()));
        assert_eq!(users.collect::<Vec<_>>(), [(3, "b"), (2, "c")]);
    }

    #[test]
    fn what_is_not_spoken_is_refused_by_name() {
        for (server, reason) in [
            (IceServer::new("turn:192.0.2.2:2"), "a user and a password"),
            (
                turn("turns:192.0.2.2:2", "a"),
                "only stun:HOST:PORT and turn:HOST:PORT",
            ),
            (turn("turn:192.0.2.2:2?transport=tcp", "a"), "over UDP only"),
            (turn("turn:192.0.2.2", "a"), "192.0.2.2: "),
        ] {
            let error = find(&server).err().expect("a refusal").to_string();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_oldest_of_too_many_goes() {
        let urls = (1..=MAX_SERVERS + 2).map(|i| format!("192.0.2.1:{i}"));
        let servers: Vec<_> = urls
            .flat_map(|url| {
                [
                    IceServer::new(format!("stun:{url}")),
                    turn(&format!("turn:{url}"), "a"),
                ]
            })
            .collect();
        let all = added(&servers);
        assert_eq!((all.stun.len(), all.turn.len()), (MAX_SERVERS, MAX_SERVERS));
        assert_eq!((all.stun[0].port(), all.turn[0].address.port()), (3, 3));
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", added(&[turn("turn:192.0.2.2:2", "somebody")]));
        assert!(
            !shown.contains("secret") && !shown.contains("somebody"),
            "{shown}"
        );
    }
}
