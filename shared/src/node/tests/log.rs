//! What is logged at warn while the tests run.

use std::{io, sync::OnceLock};

use libp2p::PeerId;
use parking_lot::Mutex;

static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

/// Begins to record. To be called before anything is logged: whether a place in the code logs is
/// decided when it is reached first.
pub(crate) fn record() {
    LOG.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            .with_writer(|| Writer)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        Mutex::default()
    });
}

/// How often it was logged that a stream was reset for something that this peer did.
pub(crate) fn resets_by(peer: PeerId) -> usize {
    let bytes = LOG.get().map(|log| log.lock().clone()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter(|line| line.contains("stream reset"));
    let peer = peer.to_string();
    lines.filter(|line| line.contains(&peer)).count()
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(log) = LOG.get() {
            log.lock().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
