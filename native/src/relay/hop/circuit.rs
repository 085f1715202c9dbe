//! One circuit: bytes both ways between two streams, in turns with all others, at its own and its network's rate.

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt,
    channel::{mpsc, oneshot},
};
use prometheus_client::metrics::counter::Counter;
use tokio::{task, time};

use super::{
    ledger::{Activity, CircuitId},
    rates::{ByteRate, SharedRate},
};
use crate::watch::{By, Direction, Figures};

/// What is read at once, each way.
const BUFFER_BYTES: usize = 8 * 1024;
/// After so many bytes in a row it is the turn of others.
const TURN_BYTES: usize = 16 * 1024;
/// Both ways of a circuit wait each for itself.
const FLOWS: usize = 2;
/// A circuit whose receiver has taken nothing for so long is cut: what waits for it takes memory.
pub(super) const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What a circuit tells the behaviour, by itself or in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Opened(CircuitId),
    /// Or it never came about.
    Ended(CircuitId),
    /// It is cut, for its receiver at that address does not read.
    Unread(Option<IpAddr>),
}

/// The right to one circuit, until it is dropped.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) id: CircuitId,
    pub(super) asker: Option<IpAddr>,
    pub(super) activity: Activity,
    /// What `activity` counts from.
    pub(super) start: Instant,
    pub(super) bounds: Bounds,
    /// The rates that it shares with other circuits.
    pub(super) shared: Vec<SharedRate>,
    pub(super) relayed: Relayed,
    /// Resolves when the circuit has to make room.
    pub(super) cut: oneshot::Receiver<Infallible>,
    pub(super) progress: mpsc::Sender<Progress>,
}

/// The bytes that all circuits have carried, each way. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Relayed {
    to_callee: Counter,
    to_caller: Counter,
}

impl Relayed {
    pub(super) fn of(figures: &Figures) -> Self {
        let counter = |way| figures.relayed_bytes.get_or_create_owned(&By(way));
        Self {
            to_callee: counter(Direction::ToCallee),
            to_caller: counter(Direction::ToCaller),
        }
    }
}

/// What one circuit may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) duration: Duration,
    /// Both ways together; 0 = no limit.
    pub(crate) bytes: u64,
    /// Bytes a second, both ways together; 0 = no limit.
    pub(crate) rate: u64,
}

impl Grant {
    fn tell(&self, progress: Progress) {
        // A clone has room for one word of its own, so that an error means that the relay stops. Each circuit says two or
        // three in all.
        let _ = self.progress.clone().try_send(progress);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.tell(Progress::Ended(self.id));
    }
}

/// Passes bytes on until both sides have closed, one fails, or a bound is reached.
pub(super) async fn run(
    caller: impl AsyncRead + AsyncWrite + Unpin,
    callee: impl AsyncRead + AsyncWrite + Unpin,
    mut grant: Grant,
) {
    grant.tell(Progress::Opened(grant.id));
    let (_, never) = oneshot::channel();
    let cut = std::mem::replace(&mut grant.cut, never);
    let meter = Meter {
        grant: &grant,
        spent: Mutex::new((0, ByteRate::new(grant.bounds.rate))),
    };
    let (mut from_caller, mut to_caller) = caller.split();
    let (mut from_callee, mut to_callee) = callee.split();
    let relayed = &grant.relayed;
    let both = futures::future::try_join(
        pass_on(&mut from_caller, &mut to_callee, &meter, &relayed.to_callee),
        pass_on(&mut from_callee, &mut to_caller, &meter, &relayed.to_caller),
    );
    let ended = tokio::select! {
        ended = both => ended.map(|_| "both sides have closed it"),
        () = time::sleep(grant.bounds.duration) => Ok("its time is over"),
        _ = cut => Ok("it made room for another"),
    };
    match ended {
        Ok(why) => tracing::debug!(why, "circuit ended"),
        Err(error) => {
            tracing::debug!(%error, "circuit ended");
            if error.kind() == io::ErrorKind::TimedOut {
                grant.tell(Progress::Unread(grant.asker));
            }
        }
    }
}

async fn pass_on(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    meter: &Meter<'_>,
    relayed: &Counter,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut in_a_row = 0;
    loop {
        let read = match from.read(&mut buffer).now_or_never() {
            Some(read) => read?,
            None => {
                in_time(to.flush()).await?;
                in_a_row = 0;
                from.read(&mut buffer).await?
            }
        };
        if read == 0 {
            return in_time(to.close()).await;
        }
        in_time(to.write_all(&buffer[..read])).await?;
        relayed.inc_by(read as u64);
        let wait = meter.passed(read)?;
        in_a_row += read;
        if !wait.is_zero() {
            in_time(to.flush()).await?;
            time::sleep(wait).await;
            in_a_row = 0;
        } else if in_a_row >= TURN_BYTES {
            task::yield_now().await;
            in_a_row = 0;
        }
    }
}

/// Does something that waits for the receiver alone.
async fn in_time(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    match time::timeout(UNREAD_TIMEOUT, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it")),
    }
}

/// Counts what a circuit carries.
struct Meter<'a> {
    grant: &'a Grant,
    spent: Mutex<(u64, ByteRate)>,
}

impl Meter<'_> {
    /// So many bytes were passed on. Says how long to wait before the next.
    fn passed(&self, bytes: usize) -> io::Result<Duration> {
        let now = time::Instant::now().into_std();
        let bytes = bytes as u64;
        let since = now.saturating_duration_since(self.grant.start);
        self.grant.activity.note(since);
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, rate) = &mut *spent;
        *total += bytes;
        let max = self.grant.bounds.bytes;
        if max > 0 && *total > max {
            return Err(io::Error::other("it has carried what it may"));
        }
        let mut wait = rate.spend(bytes, now);
        for shared in &self.grant.shared {
            let sharers = FLOWS * Arc::strong_count(shared);
            let mut rate = shared.lock().unwrap_or_else(PoisonError::into_inner);
            wait = wait.max(rate.spend_of_shared(bytes, sharers, now));
        }
        Ok(wait)
    }
}
