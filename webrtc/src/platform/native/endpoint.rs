//! A UDP socket that many connections share, and on which strangers may knock.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Socket, Type};
use tokio::{io::Interest, net::UdpSocket, sync::mpsc, task::AbortHandle};

use super::{
    routes::{LinkId, Transaction},
    table::{Arrival, Packet, Table},
};

/// Packets of one call to the system. Each may be a row of packets of the same length.
const BATCH: usize = 8;
/// The longest such row.
const MAX_ROW: usize = 64 * 1024;
/// How long reading waits after an error that is no remote's.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// A socket. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Endpoint {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    /// With port, and the unspecified IP where it is bound to all.
    address: SocketAddr,
    socket: UdpSocket,
    state: UdpSocketState,
    table: Mutex<Table>,
}

impl Endpoint {
    /// Opens a socket, in a runtime of tokio.
    pub(super) fn bind(at: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None)?;
        if at.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&at.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let shared = Arc::new(Shared {
            address: socket.local_addr()?,
            socket,
            state,
            table: Mutex::default(),
        });
        let task = tokio::spawn(receive(shared.clone())).abort_handle();
        Ok(Self { shared, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Whether it sends from there.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        let ours = self.shared.address;
        let same_ip = ours.ip() == address.ip() || ours.ip().is_unspecified();
        same_ip && ours.port() == address.port() && ours.is_ipv4() == address.is_ipv4()
    }

    /// Lets strangers in from now on.
    pub(super) fn open_door(&self) -> mpsc::Receiver<Arrival> {
        self.shared.table.lock().open_door()
    }

    /// Has the packets of a connection put there.
    pub(super) fn attach(&self, link: LinkId, user: String, queue: mpsc::Sender<Packet>) {
        self.shared.table.lock().attach(link, user, queue);
    }

    /// The connection has another user, too.
    pub(super) fn also(&self, link: LinkId, user: String) {
        self.shared.table.lock().routes.add(link, user);
    }

    pub(super) fn detach(&self, link: LinkId) {
        self.shared.table.lock().detach(link);
    }

    /// Knows from now on whose what comes from there is.
    pub(super) fn claim(&self, link: LinkId, source: SocketAddr) {
        self.shared.table.lock().routes.claim(link, source);
    }

    /// Knows whose the answer to this question is.
    pub(super) fn asked(&self, link: LinkId, number: Transaction) {
        self.shared.table.lock().routes.asked(link, number);
    }

    /// Sends what can be sent at once: what cannot is lost, as packets may be.
    pub(super) fn send(&self, from: IpAddr, to: SocketAddr, bytes: &[u8]) {
        self.shared.send(from, to, bytes);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn send(&self, from: IpAddr, to: SocketAddr, bytes: &[u8]) {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: Some(from),
        };
        // Not by tokio, which takes a socket for blocked until it has been waited for: the first packet would be lost.
        if let Err(error) = self.state.try_send((&self.socket).into(), &transmit) {
            tracing::trace!(%from, %to, %error, "a packet is lost");
        }
    }

    fn on_packet(&self, packet: Packet) {
        let (from, to) = (packet.from, packet.to);
        let reply = self.table.lock().on_packet(packet);
        if let Some(reply) = reply {
            self.send(to.ip(), from, &reply);
        }
    }
}

/// Takes what comes, until the task is aborted.
async fn receive(shared: Arc<Shared>) {
    let mut memory = vec![0; BATCH * MAX_ROW];
    let mut rows = [RecvMeta::default(); BATCH];
    loop {
        if shared.socket.readable().await.is_err() {
            return;
        }
        let got = shared.socket.try_io(Interest::READABLE, || {
            let mut buffers = memory.chunks_mut(MAX_ROW).map(IoSliceMut::new);
            let mut buffers: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| buffers.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
            shared
                .state
                .recv((&shared.socket).into(), &mut buffers, &mut rows)
        });
        match got {
            Ok(count) => {
                for (row, memory) in rows.iter().zip(memory.chunks(MAX_ROW)).take(count) {
                    on_row(&shared, row, &memory[..row.len.min(MAX_ROW)]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Of a packet that was sent before, to where nobody listens.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => {
                tracing::debug!(%error, "cannot receive");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

fn on_row(shared: &Shared, row: &RecvMeta, bytes: &[u8]) {
    let ip = row.dst_ip.unwrap_or(shared.address.ip());
    let to = SocketAddr::new(ip, shared.address.port());
    for packet in bytes.chunks(row.stride.max(1)) {
        shared.on_packet(Packet {
            from: row.addr,
            to,
            bytes: Bytes::copy_from_slice(packet),
        });
    }
}
