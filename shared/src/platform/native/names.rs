//! Names in addresses, resolved as every other program of this machine resolves them.
//!
//! libp2p-dns 0.45 reads the system's configuration once, when it starts, and fails without one; it asks a name server
//! that has changed since for ever (a laptop that moves, a VPN), and it does not find a name without a dot in
//! `/etc/hosts` where a search list is configured. Not reported, as far as known. So host names are looked up by the
//! system's own resolver, and libp2p-dns is left to `/dnsaddr`, made anew for each look-up. `tests/names.rs` fails
//! without this.

use std::{
    fmt, io,
    net::{IpAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    dns,
    multiaddr::Protocol,
};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, task, time};

/// How long a look-up may take; the system's resolver has limits of its own, which add up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Look-ups at a time. Each occupies a thread until the system's resolver gives up.
const MAX_LOOKUPS: usize = 16;
/// Addresses of one name that are dialled, one after the other.
const MAX_ADDRESSES: usize = 8;

/// A name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub(super) struct NameError {
    name: String,
    reason: String,
}

/// Carries a [`NameError`] as its source: the errors of several transports together show nothing else.
#[derive(Debug, thiserror::Error)]
#[error("a name could not be resolved")]
struct Unresolved(#[source] NameError);

/// A transport that also dials names.
pub(super) struct Names<T> {
    inner: Arc<Mutex<T>>,
    lookups: Arc<Semaphore>,
}

impl<T> Names<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner: Arc::new(Mutex::new(inner)),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }
}

impl<T> Clone for Names<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            lookups: self.lookups.clone(),
        }
    }
}

impl<T> fmt::Debug for Names<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl<T> Transport for Names<T>
where
    T: Transport<Error = io::Error> + Send + Unpin + 'static,
    T::Output: Send,
    T::Dial: Send + 'static,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<T::Output>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.lock().listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.lock().remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let name = address.iter().position(|part| is_name(&part));
        let Some(at) = name.filter(|_| !needs_its_name(&address)) else {
            return Ok(self.inner.lock().dial(address, opts)?.boxed());
        };
        let this = self.clone();
        Ok(async move { this.dial_by_name(address, at, opts).await }.boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut *self.inner.lock()).poll(cx)
    }
}

impl<T> Names<T>
where
    T: Transport<Error = io::Error> + Send + Unpin + 'static,
    T::Output: Send,
    T::Dial: Send + 'static,
{
    /// Dials where the name at this position leads, one address after the other.
    async fn dial_by_name(
        self,
        address: Multiaddr,
        at: usize,
        opts: DialOpts,
    ) -> io::Result<T::Output> {
        let (name, fits): (_, fn(&IpAddr) -> bool) = match address.iter().nth(at) {
            Some(Protocol::Dns(name)) => (name.into_owned(), |_| true),
            Some(Protocol::Dns4(name)) => (name.into_owned(), IpAddr::is_ipv4),
            Some(Protocol::Dns6(name)) => (name.into_owned(), IpAddr::is_ipv6),
            _ => return self.dial_by_records(address, opts).await,
        };
        let mut ips = self.look_up(name.clone()).await?;
        ips.retain(fits);
        let mut failure = failed(&name, "it has no address of this kind");
        for ip in ips.into_iter().take(MAX_ADDRESSES) {
            let Some(address) = address.replace(at, |_| Some(ip.into())) else {
                break;
            };
            let dial = self.inner.lock().dial(address, opts);
            match dial {
                Ok(dial) => match dial.await {
                    Ok(output) => return Ok(output),
                    Err(e) => failure = e,
                },
                Err(TransportError::Other(e)) => failure = e,
                Err(TransportError::MultiaddrNotSupported(_)) => {
                    failure = io::ErrorKind::Unsupported.into();
                }
            }
        }
        Err(failure)
    }

    /// The addresses of a host, as the system has them at this moment.
    async fn look_up(&self, name: String) -> io::Result<Vec<IpAddr>> {
        let work = async {
            // It is never closed.
            let permit = self.lookups.clone().acquire_owned().await;
            let asked = name.clone();
            task::spawn_blocking(move || {
                let found = (asked.as_str(), 0).to_socket_addrs();
                drop(permit);
                found.map(|found| found.map(|address| address.ip()).collect())
            })
            .await
        };
        match time::timeout(LOOKUP_TIMEOUT, work).await {
            Ok(Ok(Ok(ips))) => Ok(ips),
            Ok(Ok(Err(e))) => Err(failed(&name, &in_plain_words(&e))),
            Ok(Err(e)) => Err(io::Error::other(e)),
            Err(_) => Err(failed(&name, NO_NAME_SERVER)),
        }
    }

    /// Dials what the records of a `/dnsaddr` say.
    async fn dial_by_records(self, address: Multiaddr, opts: DialOpts) -> io::Result<T::Output> {
        let name = address.to_string();
        let Ok(mut by_records) = dns::tokio::Transport::system(self) else {
            return Err(failed(&name, "no name server is configured"));
        };
        match by_records.dial(address, opts) {
            Ok(dial) => dial.await.map_err(|e| of_records(&name, e)),
            Err(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

const NO_NAME_SERVER: &str = "no name server answers; check this network's DNS";

/// Whether the name is part of the handshake, and of the certificate there: who speaks TLS looks the name up beneath it.
fn needs_its_name(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, Protocol::Tls | Protocol::Wss(_)))
}

const fn is_name(part: &Protocol<'_>) -> bool {
    matches!(
        part,
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
    )
}

fn failed(name: &str, reason: &str) -> io::Error {
    io::Error::other(Unresolved(NameError {
        name: name.into(),
        reason: reason.into(),
    }))
}

/// The system's resolver says everything with one kind of error, and texts of its own.
fn in_plain_words(error: &io::Error) -> String {
    let text = error.to_string();
    if text.contains("Temporary failure") {
        return NO_NAME_SERVER.into();
    }
    if text.contains("not known") || text.contains("No address associated") {
        return "there is no such host; check the name".into();
    }
    let prefix = "failed to lookup address information: ";
    text.strip_prefix(prefix).unwrap_or(&text).into()
}

/// libp2p-dns shows the whole query in its errors.
fn of_records(name: &str, error: dns::Error<io::Error>) -> io::Error {
    let is_of_names = |error: &dns::Error<io::Error>| matches!(error, dns::Error::ResolveError(_));
    match error {
        dns::Error::Transport(e) => e,
        dns::Error::Dial(errors) if !errors.iter().all(is_of_names) => {
            io::Error::other(dns::Error::Dial(errors))
        }
        _ => failed(name, "it has no such record, or no name server answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_names_are_one_plain_sentence() {
        for (system, plain) in [
            (
                "failed to lookup address information: Name or service not known",
                "there is no such host; check the name",
            ),
            (
                "failed to lookup address information: Temporary failure in name resolution",
                NO_NAME_SERVER,
            ),
            ("failed to lookup address information: odd", "odd"),
            ("odd", "odd"),
        ] {
            assert_eq!(in_plain_words(&io::Error::other(system)), plain);
        }
    }
}
